"""What the app Files knows of a folder: who wrote it, what came and went, how it opens."""

import json
import re
import shutil
import subprocess
import sys
import threading

from pipulate import Problem

OPENERS = {"darwin": "open", "win32": "explorer"}  # else that of the desktop


def in_step(table, files):
    """Enter the files that came, and take out those that are gone."""
    bring_back(table.db)
    come, gone = files(row["file"] for row in table.select("file"))
    given = table.defaults({})
    table.insert_many([{**given, "file": file} for file in come])
    if gone:
        table.delete_many("file IN (SELECT value FROM json_each(?))", [json.dumps(gone)])


def bring_back(db):
    """Files whose deletion was not saved, as on a full disk: they are in the trash all the same."""
    files = db.path.parent / "files"
    away = {int(f.name): f for f in files.glob(".trash/*") if f.name.isdecimal()}
    sql = """SELECT id, path FROM files WHERE id IN (SELECT value FROM json_each(?))
        AND path NOT GLOB '.trash/*'"""
    for row in db.all(sql, [json.dumps([*away])]):
        kept, there = away[row["id"]] / row["path"], files / row["path"]
        if kept.exists() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            kept.rename(there)


def place(db, path):
    """The folder of a file, below files/."""
    said = path.parent.relative_to(db.path.parent / "files").as_posix().strip(".")
    return "uploads" if said.startswith("uploads/") else said


def run_of(db, folder):
    """The run whose step wrote into such a folder, as "links 3"; or ""."""
    found = re.match(r"runs/(\d{1,15})(/|$)", folder)
    rows = db.all("SELECT pipeline FROM runs WHERE id = ?", (int(found[1]),)) if found else []
    return f"{rows[0]['pipeline'].replace('_', ' ')} {found[1]}" if rows else ""


def show(folder):
    """Open a folder in the file manager. Raises Problem."""
    opener = shutil.which(OPENERS.get(sys.platform, "xdg-open"))
    if not opener:
        raise Problem("There is no file manager that could be started.", f"Open {folder}.")
    quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
    work = {"target": subprocess.run, "args": [[opener, folder]], "kwargs": quiet}
    threading.Thread(**work, daemon=True).start()  # some stay until their window is closed
    return f"Your file manager shows {folder}."


def put_away(row):
    """Move a row's file to the trash. Raises Problem."""
    try:
        row.put_away("file")
    except PermissionError as error:  # on Windows, while another program has it open
        what = f"{row.follow('file').name} stays where it is ({error.strerror})."
        raise Problem(what, "Close it in other programs, then delete it.") from None
