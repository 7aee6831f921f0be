"""The bundled Files app: the list follows the folder, and nothing outside of it is reached."""

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from pipulate.core.problems import Missing, Problem, Refused
from pipulate.core.tools import limited

LONG_AGO = time.time() - 40 * 86_400


@pytest.fixture
def folder(house):
    return house.settings.folder("files")


@pytest.fixture
def put(folder):
    """put(path, content): a file appears below files/, as if copied there by hand a while ago."""

    def putting(path, content=b"hello"):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, (LONG_AGO, LONG_AGO))
        return target

    return putting


@pytest.fixture
def listed(house, call):
    """listed(**state): {name: row} of the list, as a tool gives it."""

    def listing(at=None, **state):
        rows = call("files_list", at=at, **state)["rows"]
        names = house.files.names(house.profiles.at(at), [row["file"] for row in rows])
        return {names[row["file"]]: row for row in rows}

    return listing


def table(house):
    return {row["path"] for row in house.db.all("SELECT path FROM files")}


def test_files_that_were_there_are_listed_newest_first(put, listed):
    for days, name in enumerate(["new.txt", "b/old.txt", "a/oldest.txt"]):
        os.utime(put(name), (LONG_AGO - days, LONG_AGO - days))
    assert [*listed()] == ["new.txt", "old.txt", "oldest.txt"]


def test_the_history_says_in_words_that_the_list_followed_the_folder(house, put, listed):
    put("report.csv")
    listed(), listed()
    said = [event["summary"] for event in house.events.recent(1) if "list" in event["verb"]]
    assert said == ["Brought Files up to date"]


def test_a_file_that_appears_is_entered_and_one_that_vanishes_goes(house, put, listed):
    put("report.csv")
    deep = put("2026/october/notes.txt", b"four")
    assert {n: (r["folder"], r["bytes"]) for n, r in listed().items()} == {
        "report.csv": ("", 5),
        "notes.txt": ("2026/october", 4),
    }
    assert table(house) == {"report.csv", "2026/october/notes.txt"}
    deep.unlink()
    assert [*listed()] == ["report.csv"] and table(house) == {"report.csv"}


def test_looking_twice_changes_nothing_and_is_not_in_the_history(house, put, listed):
    put("a.txt")
    first = listed()
    events = len(house.events.recent(1))
    assert listed() == first and len(house.events.recent(1)) == events


def test_the_number_of_a_file_that_vanished_is_never_given_again(put, listed):
    gone = put("a.txt")
    (before,) = listed().values()
    gone.unlink()
    listed()
    put("b.txt")
    (after,) = listed().values()
    assert before["file"] != after["file"]


def test_two_tabs_that_look_at_once_enter_a_file_once(house, run, put):
    for n in range(20):
        put(f"{n}.txt")
    app, caller = house.shelf.get("files"), house.caller("user")

    async def together():
        await asyncio.gather(*(limited(app.keep_in_step, caller) for _ in range(4)))

    run(together())
    assert len(app.rows(caller)()) == 20


@pytest.mark.parametrize("name", [".hidden", ".git/config", "sub/.part", "é\udcff.txt"])
def test_hidden_and_unreadable_names_are_left_alone(put, listed, name):
    put(name)
    assert listed() == {}


def test_what_lies_outside_is_never_listed_nor_served(house, folder, listed, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("key")
    (folder / "link.txt").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    assert listed() == {} and table(house) == set()
    house.db.execute(
        "INSERT INTO files (profile_id, path, name, size, created_utc)"
        " VALUES (1, '../../secret.txt', 'x', 1, ''), (1, 'link.txt', 'y', 1, '')"
    )
    for key in (1, 2):
        with pytest.raises(Missing, match="gone"):
            house.files.get(house.profiles.at(), key)


def test_the_file_of_a_step_belongs_to_the_profile_of_its_run(house, call, put, listed):
    call("profile_add", name="Other")
    key = house.runs.create(house.profiles.at("other").id, "hello")["id"]
    put(f"runs/{key}/1/out.csv")
    put("mine.csv")
    assert [*listed("other")] == ["out.csv"] and [*listed()] == ["mine.csv"]


def test_what_a_pipeline_wrote_says_in_which_run(house, call, put, listed):
    run = call("hello_run", name="Ada")["run"]
    put(f"runs/{run}/letters/out.csv")
    put("runs/99/letters/lost.csv")
    put("mine.csv")
    runs = {name: row["run"] for name, row in listed().items()}
    assert runs == {"out.csv": f"hello {run}", "lost.csv": "", "mine.csv": ""}


def test_the_folder_of_a_file_is_opened_in_the_file_manager(
    call, put, listed, tmp_path, monkeypatch, until
):
    path, said = put("reports/2026.csv"), tmp_path / "said"
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {said}\n')
    opener.chmod(0o700)
    (row,) = listed().values()
    assert str(path.parent) in call("files_open_folder", id=row["id"], confirmed=True)
    assert until(lambda: said.exists() and said.read_text()) == str(path.parent)
    with pytest.raises(Problem, match="approval"):
        call("files_open_folder", "model", id=row["id"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Problem, match="no file manager"):
        call("files_open_folder", id=row["id"], confirmed=True)


def test_what_the_program_is_still_writing_is_left_alone_for_a_moment(put, listed):
    writing = put("runs/7/1/part.csv")
    os.utime(writing)
    assert listed() == {}


def test_a_file_is_added_tagged_found_and_sorted(put, listed, call, tmp_path):
    outside = tmp_path / "photo.png"
    outside.write_bytes(b"x" * 99)
    call("files_add", file=str(outside), tags=["trip"])
    put("plan.txt")
    assert [*listed(q="photo")] == [*listed(filters={"file": "PHOTO"})] == ["photo.png"]
    assert [*listed(filters={"tags": "trip"})] == ["photo.png"]
    assert [*listed(sort="-bytes")] == [*listed(sort="file")] == ["photo.png", "plan.txt"]
    assert [*listed(sort="changed")] == ["plan.txt", "photo.png"]


@pytest.mark.parametrize("actor", ["model", "mcp"])
def test_the_model_cannot_take_in_a_file_from_elsewhere(call, actor):
    with pytest.raises(Exception, match="outside") as caught:
        call("files_add", actor=actor, file="/etc/hostname")
    assert not isinstance(caught.value, Refused) or caught.value


def test_a_deleted_file_is_in_the_trash_and_undo_brings_it_back(house, call, put, listed):
    kept = put("a/keep.txt", b"precious")
    (row,) = listed().values()
    call("files_update", id=row["id"], tags=["old"])
    call("files_delete", id=row["id"])
    assert listed() == {} and not kept.exists()
    deletion = next(e for e in house.events.recent(1) if e["verb"] == "files_delete")
    call("undo", event=deletion["id"])
    assert listed()["keep.txt"]["tags"] == ["old"] and kept.read_bytes() == b"precious"


def test_many_are_deleted_at_once_and_a_newer_file_of_the_name_is_not_overwritten(
    house, call, put, listed
):
    put("a.txt", b"old")
    put("b.txt")
    ids = [row["id"] for row in listed().values()]
    call("rows_delete", app="files", ids=ids, confirmed=True)
    assert listed() == {}
    put("a.txt", b"new")
    listed()
    deletion = next(e for e in house.events.recent(1) if e["verb"] == "rows_delete")
    call("undo", event=deletion["id"])
    assert len(listed()) == 2 and call("files_list")["count"] == 3  # two are called a.txt
    contents = {p.read_bytes() for p in house.settings.folder("files").glob("*a.txt")}
    assert contents == {b"old", b"new"}


@pytest.fixture
def held(monkeypatch):
    """held(path): another program has it open; Windows moves and deletes no such file."""
    moved, names = Path.rename, set()

    def rename(self, target):
        if self in names:
            raise PermissionError(13, "The file is used by another process")
        return moved(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    return names.add


def test_a_deletion_that_was_not_saved_leaves_every_file_where_it_was(house, call, put, listed):
    kept, row = put("a/kept.txt"), listed()["kept.txt"]
    put("gone.txt")
    ids = [row["id"], listed()["gone.txt"]["id"]]
    put("gone.txt").unlink()  # by hand, since the page was drawn
    with pytest.raises(Missing, match=r"gone\.txt is gone"):
        call("rows_delete", app="files", ids=ids)
    assert not kept.exists() and listed() == {"kept.txt": row} and kept.read_bytes() == b"hello"


def test_a_file_that_another_program_has_open_says_so_and_stays_and_the_list_is_shown(
    house, call, put, listed, held
):
    kept = put("sheet.csv")
    (row,) = listed().values()
    held(kept)
    with pytest.raises(Problem, match=r"sheet.csv stays where it is .*another process.*Close it"):
        call("files_delete", id=row["id"])
    assert [*listed()] == ["sheet.csv"] and kept.exists()


def test_a_deletion_undone_while_a_program_has_the_file_open_stays_undone(
    house, call, put, listed, held
):
    put("sheet.csv")
    (row,) = listed().values()
    call("files_delete", id=row["id"])
    held(next(house.settings.folder("files").glob(".trash/*/sheet.csv")))
    call("undo")
    assert [one["id"] for one in listed().values()] == [row["id"]]
    assert house.files.get(house.profiles.at(), 1).path.exists()


def test_the_trash_is_emptied_after_thirty_days(house, call, put, listed, monkeypatch):
    put("a.txt")
    (row,) = listed().values()
    call("files_delete", id=row["id"])
    trash = house.settings.folder("files") / ".trash"
    listed()
    assert [p.name for p in trash.rglob("*.txt")] == ["a.txt"]
    later = time.time() + 31 * 86_400
    monkeypatch.setattr("pipulate.apps.files.time.time", lambda: later)
    listed()
    assert [*trash.rglob("*.txt")] == [] and table(house) == set()


def test_the_thirty_days_begin_when_it_is_put_away_not_when_it_was_made_as_windows_counts(
    house, call, put, listed
):
    """Its st_ctime is the day it was made; on Unix, where it is not, the folder tells, too."""
    put("a.txt")
    (row,) = listed().values()
    call("files_delete", id=row["id"])
    (kept,) = (house.settings.folder("files") / ".trash").rglob("*.txt")
    os.utime(kept, (LONG_AGO, LONG_AGO))
    listed()
    assert kept.exists()
    os.utime(kept.parent, (LONG_AGO, LONG_AGO))
    listed()
    assert not kept.exists()


def test_a_thousand_files_are_listed_in_a_second(put, call, folder):
    for n in range(1000):
        (folder / f"{n}.txt").write_text("x")
    started = time.process_time()
    assert call("files_list")["count"] == 1000
    assert call("files_list", sort="-bytes")["count"] == 1000
    assert time.process_time() - started < 3


def test_more_files_than_one_look_can_enter_come_in_portions_the_oldest_first_and_go_at_once(
    put, call, folder, house, monkeypatch
):
    monkeypatch.setattr("pipulate.apps.files.PORTION", 40)
    for n in range(100):
        os.utime(put(f"many/{n}.txt"), (LONG_AGO + n, LONG_AGO + n))
    assert [call("files_list")["count"] for _ in range(4)] == [40, 80, 100, 100]
    newest = call("files_list")["rows"][0]
    assert house.files.names(house.profiles.at(), [newest["file"]]) == {newest["file"]: "99.txt"}
    assert newest["tags"] == [] and newest["folder"] == "many"
    shutil.rmtree(folder / "many")
    assert call("files_list")["count"] == 0 and not table(house)


def test_pictures_have_a_thumbnail_texts_a_look_and_all_else_only_a_download(house, put, listed):
    for name in ("a.png", "b.txt", "c.html", "d.svg", "<e>.pdf"):
        put(name)
    assert len(listed()) == 5
    app, caller = house.shelf.get("files"), house.caller("user")
    drawn = {str(r.id): app.drawn_rows([r], caller) for r in app.rows(caller)()}
    by_name = {n: drawn[str(r["id"])] for n, r in listed().items()}
    assert "<img" in by_name["a.png"] and "/view" in by_name["b.txt"]
    for name in ("c.html", "d.svg", "<e>.pdf"):
        assert "/view" not in by_name[name] and " download" in by_name[name]
    assert "<e>" not in by_name["<e>.pdf"]
