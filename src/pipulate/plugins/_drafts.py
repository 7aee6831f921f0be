"""Versions of plugin files that wait in quarantine/ until a person approves one of them.

quarantine/NAME/HASH.py is a file as it was written, HASH.json what is known of it: {name, hash, at,
origin, wish, state, version, problems, notes, powers, apps, pages}. Only `approve` writes to apps/,
and only the content that has the hash.
"""

import contextlib
import hashlib
import json
import keyword
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from pipulate import Problem
from pipulate.plugins import _reading

SECONDS, TURN = 60, 50  # a trial may take, and may wait for its turn
TRIALS = threading.Semaphore(2)  # at a time, whoever asks for how many
PASSED = ("PATH", "PYTHONPATH", "SYSTEMROOT", "TZ", "LANG")  # of the environment, to a trial
TRIAL = "pipulate-trial-"  # how the name of a home for one begins, before that of its program
REPORT = 10_000_000  # bytes of what a trial says
PAGE, APP = {"title": "", "html": ""}, {"slug": "", "title": "", "tools": [""]}
FORM = {"problems": [""], "notes": [""], "apps": [APP], "pages": [PAGE], "reached": [""]}
OWN = {"state": "waiting", "origin": "own file", "wish": "", "problems": [], "notes": []}
OWN |= {"apps": [], "pages": []}


def word(name):
    """Whether a file, field or step may be called so."""
    return re.fullmatch("[a-z][a-z0-9_]*", name) and not keyword.iskeyword(name)


def named(name):
    """A name, if a plugin file may have it. Raises Problem."""
    if len(name) > 41 or not word(name):
        how = "Use a word of small letters, none of Python's."
        raise Problem(f"{name[:60]!r} is no name for a plugin.", how)
    return name


def home_of(table):
    """The home folder to which a table belongs."""
    return table.db.path.parent


def live(home, name):
    """The text that is in apps/ now, byte by byte, or nothing. Raises Problem."""
    path = home / "apps" / f"{named(name)}.py"
    try:
        return path.read_bytes().decode() if path.exists() else ""
    except UnicodeDecodeError:
        raise Problem(f"{path.name} is not written in UTF-8.", "Save it so, once.") from None


def digest(text):
    """The SHA-256 of a text, by which an approval binds it."""
    return hashlib.sha256(text.encode()).hexdigest()


def keep(home, name, text, about):
    """Put a version into quarantine; its record. What was known of the same text is replaced."""
    folder, key, old = home / "quarantine" / named(name), digest(text), versions(home, name)
    found = next((v for v in old if v["hash"] == key), {"version": len(old) + 1, "at": now()})
    found = OWN | found | about | {"name": name, "hash": key, "powers": _reading.powers(text)}
    folder.mkdir(exist_ok=True)
    written(folder / f"{key}.py", text)
    return mark(home, found, found["state"])


def now():
    """The time, as records hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def written(path, text):
    """Write a file in one step."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with part.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file)
    part.replace(path)


def versions(home, name=""):
    """The records of one plugin, or of all, newest first."""
    paths = (home / "quarantine").glob(f"{named(name) if name else '*'}/*.json")
    found = (json.loads(path.read_text("utf-8")) for path in paths)
    return sorted(found, key=lambda record: (record["at"], record["version"]), reverse=True)


def read(home, name, key):
    """(a version's record, its text). Raises Problem when it is not what its hash says."""
    found = [v for v in versions(home, name) if v["hash"] == key]
    path = home / "quarantine" / name / f"{key}.py"
    text = path.read_bytes().decode(errors="replace") if found and path.exists() else ""
    if not found or digest(text) != key:
        raise Problem("There is no such version of this plugin.", "Open it from Plugins.")
    return found[0], text


def newest(home, name):
    """The text that waits, if none came later, else the one in apps/. Raises Problem."""
    found = fit_first(versions(home, name))[:1]
    waits = [version["hash"] for version in found if version["state"] == "waiting"]
    if text := read(home, name, waits[0])[1] if waits else live(home, name):
        return text
    own = sorted(path.stem for path in (home / "apps").glob("[!_.]*.py"))
    raise Problem(f"You have no plugin {name!r}.", f"Yours: {', '.join(own) or 'none yet'}.")


def fit_first(records):
    """Versions in their order, those behind that did not pass."""
    return sorted(records, key=lambda record: record["state"] == "faulty")


def draft(home, name, text, origin, wish=""):
    """Read, try and keep a text: its record, whose `problems` say what has to be mended."""
    state, faults = "approved" if live(home, name) == text else "waiting", _reading.faults(text)
    about = OWN | {"at": now()} | ({"problems": faults} if faults else tried(home, name, text))
    state = "faulty" if about["problems"] else state
    return keep(home, name, text, about | {"origin": origin, "wish": wish, "state": state})


def told(table, caller, name, text, origin, wish=""):
    """A draft as a caller is told of it, with the address where it waits."""
    found = draft(home_of(table), name, text, origin, wish)
    about = ("name", "hash", "version", "state", "problems", "notes", "powers", "apps")
    address = f"/{caller.profile.slug}/plugins/{name}/{found['hash']}"
    return {key: found[key] for key in about} | {"address": address}


def tried(home, name, text):
    """What the trial in a child process says: {problems, notes, apps, pages, reached}."""
    if not TRIALS.acquire(timeout=TURN):
        raise Problem("Other drafts are being tried.", "Send this one again in a minute.")
    with contextlib.ExitStack() as end:
        end.callback(TRIALS.release)
        folder = Path(end.enter_context(place(home, name, text)))
        # held open: what the child puts in their places is not read
        report = end.enter_context((folder / "report.json").open("w+b"))
        said = end.enter_context((folder / "said").open("w+b"))
        ended = child(folder, name, said)
        with contextlib.suppress(ValueError, RecursionError):
            report.seek(0)
            return like(FORM, json.loads(report.read(REPORT)))
        said.seek(max(0, said.seek(0, os.SEEK_END) - 500))
        told = said.read(500).decode(errors="replace")
        return {"problems": [f"The trial {ended}. {told}".strip()]}


def place(home, name, text):
    """A home in a temporary folder, with this draft among the user's own files."""
    sweep()
    prefix = f"{TRIAL}{os.getpid()}-"
    made = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    apps = Path(made.name, "apps")
    apps.mkdir()
    for path in (home / "apps").glob("[!_.]*.py"):  # those it may refer to: they are there first
        if path.stem != name:
            (apps / f"0{path.name}").write_bytes(path.read_bytes())
    (apps / f"{name}.py").write_bytes(text.encode())
    return made


def sweep():
    """Away with what a program that was killed has left of its trials."""
    for path in Path(tempfile.gettempdir()).glob(f"{TRIAL}*-*"):
        number = path.name.removeprefix(TRIAL).partition("-")[0]
        try:  # nobody may be asked so on Windows: it would be ended
            if hasattr(os, "killpg") and number.isdecimal():
                os.kill(int(number), 0)
        except (ProcessLookupError, OverflowError):
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:  # another user's
            continue


def like(form, value):
    """What of a value has the form of an example: code under trial may have written it."""
    if isinstance(form, list):
        return [like(form[0], one) for one in value] if isinstance(value, list) else []
    if isinstance(form, dict):
        given = value if isinstance(value, dict) else {}
        return {key: like(part, given.get(key)) for key, part in form.items()}
    return value if isinstance(value, str) else ""


def child(folder, name, said):
    """Run the trial in that home; what is said of its end."""
    with begun(folder, "trial", name, stdout=said, stderr=said) as process:
        try:
            return f"ended the program ({process.wait(SECONDS)})"
        except subprocess.TimeoutExpired:
            return f"did not end within {SECONDS} s"
        finally:
            kill(process)


def begun(folder, *command, stdout, stderr):
    """A process behind the walls, in that home: a trial or a stage, and the name of the draft."""
    kept = {key: os.environ[key] for key in PASSED if key in os.environ}
    kept |= {"TMPDIR": str(folder), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    how = {"cwd": folder, "env": kept, "stdout": stdout, "stderr": stderr}
    how["stdin"] = subprocess.PIPE  # open as long as this program lives: the child ends with it
    walls = [sys.executable, "-X", "utf8", "-m", "pipulate.plugins._walls"]  # as steps have it
    return subprocess.Popen([*walls, *command], start_new_session=True, **how)


def kill(process):
    """End it, and what it has begun."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()


def approve(home, name, key):
    """Put a version into apps/, where it is loaded at once. What was there stays a version."""
    record, text = read(home, name, key)
    if record["problems"]:
        raise Problem("This version did not pass its trial.", "Edit it, or ask for a change.")
    if (before := live(home, name)) and digest(before) != key:
        keep(home, name, before, {"state": "replaced"})
    replaced(home, name)
    written(home / "apps" / f"{name}.py", text)
    return mark(home, record, "approved")


def replaced(home, name):
    """What was approved of this plugin is in apps/ no more."""
    for old in versions(home, name):
        if old["state"] == "approved":
            mark(home, old, "replaced")


def mark(home, record, state):
    """Keep a version's record, with this state."""
    record = record | {"state": state}
    path = home / "quarantine" / record["name"] / f"{record['hash']}.json"
    written(path, json.dumps(record))
    now = time.time_ns()
    os.utime(path.parent, ns=(now, now))  # by which it is noticed: a file system may round it
    return record
