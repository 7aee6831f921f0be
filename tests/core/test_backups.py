"""Backups: whole, private, seven of them, and proven by restoring."""

import os
import re
import shutil
import stat
from datetime import date, timedelta
from pathlib import Path

import apsw
import pytest

from pipulate.core import backups
from pipulate.core.backups import backup, daily, listing, open_store, restore
from pipulate.core.problems import Broken, Missing, Problem
from pipulate.core.schema import MIGRATIONS
from pipulate.core.store import Database


@pytest.fixture
def folder(settings):
    settings.make_home()
    return settings.folder("backups")


@pytest.fixture
def db(settings, folder):
    db = open_store(settings)
    yield db
    db.close()


def names(db):
    return [r["name"] for r in db.table("profiles")(order_by="id")]


def add(db, name):
    db.table("profiles").insert(slug=name, name=name, position=1)


def test_a_backup_holds_what_is_saved_and_not_what_is_in_the_making(db, folder):
    add(db, "a")
    with db.change():
        add(db, "b")
        made = backup(db, folder, "now")
    copy = Database(made)
    assert names(copy) == ["a"] and copy.all("PRAGMA integrity_check")[0]["integrity_check"] == "ok"
    copy.close()


def test_a_backup_is_one_private_file_and_leaves_nothing_beside_it(db, folder):
    made = backup(db, folder, "now")
    assert made.name.endswith("-now.db") and os.listdir(folder) == [made.name]
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


@pytest.mark.skipif(not os.path.exists("/proc/self/fdinfo"), reason="says how a file is open")
def test_a_backup_is_flushed_by_a_handle_that_may_write_for_windows_flushes_no_other(
    db, folder, monkeypatch
):
    def flush(number):
        how = re.search(r"flags:\s*([0-7]+)", Path(f"/proc/self/fdinfo/{number}").read_text())
        writable.append(int(how[1], 8) & (os.O_WRONLY | os.O_RDWR))

    writable = []
    monkeypatch.setattr(backups.os, "fsync", flush)
    backup(db, folder, "now")
    assert writable and all(writable)


def test_given_a_damaged_store_then_no_backup_is_left(db, folder):
    fill(db)
    db.all("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(db.path)
    with pytest.raises(Problem):
        backup(db, folder)
    assert os.listdir(folder) == []


def test_a_backup_ends_though_rows_are_saved_all_the_while(db, folder, monkeypatch):
    db.execute("CREATE TABLE pages AS SELECT zeroblob(20_000_000) AS body")
    steps = []

    class Watched(apsw.Connection):
        def backup(self, *about):
            return Steps(super().backup(*about))

    class Steps:
        def __init__(self, job):
            self.job = job

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.job.finish()

        def __getattr__(self, name):
            return getattr(self.job, name)

        def step(self, pages):
            steps.append(pages)
            assert len(steps) < 50, "each change begins it anew"
            self.job.step(pages)
            add(db, f"n{len(steps)}")

    monkeypatch.setattr(apsw, "Connection", Watched)
    copy = Database(backup(db, folder))
    assert len(steps) > 5 and names(copy) == [], "it is the store as it was"
    copy.close()


def test_given_too_little_room_then_no_backup_is_begun_and_it_says_how_much_is_needed(
    db, folder, monkeypatch
):
    little = shutil.disk_usage(folder)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: little)
    with pytest.raises(Problem, match="needs [0-9,]+ bytes; 10 are free"):
        daily(db, folder)
    assert os.listdir(folder) == []


def test_what_a_killed_backup_left_is_gone_the_next_day(db, folder):
    name = f".pipulate-{date.today():%Y%m%d}-120000.db.cd"
    for part in (
        ".pipulate-20260101-120000.db.ab",
        ".pipulate-20260101-120000.db.ab-journal",
        name,
    ):
        (folder / part).write_bytes(b"")
    made = daily(db, folder)
    assert {*os.listdir(folder)} == {made.name, name}, "one of today may be at work"


def test_one_backup_a_day_and_seven_are_kept(db, folder):
    for age in range(1, 10):
        day = date.today() - timedelta(days=age)
        (folder / f"pipulate-{day:%Y%m%d}-120000-daily.db").write_bytes(b"")
    kept = folder / "pipulate-20200101-000000-before-v2.db"
    kept.write_bytes(b"")
    made = daily(db, folder)
    left = sorted(folder.glob("*-daily.db"))
    assert left[-1] == made and len(left) == 7 and kept.exists()
    assert daily(db, folder) is None


def test_backups_made_before_a_migration_do_not_pile_up_but_young_ones_and_ten_are_kept(db, folder):
    def made(*ages):
        days = [date.today() - timedelta(days=age) for age in ages]
        paths = [folder / f"pipulate-{day:%Y%m%d}-120000-before-the-daily.db" for day in days]
        return [path for path in paths if not path.write_bytes(b"")]

    young, old = made(*range(8)), made(*range(31, 36))
    assert daily(db, folder) is not None, "an app may be called daily"
    assert all(path.exists() for path in [*young, *old[:2]]), "ten are kept, however old"
    assert not any(path.exists() for path in old[2:])
    for path in folder.glob("*-daily.db"):
        path.unlink()
    many = made(*range(31))
    daily(db, folder)
    assert all(path.exists() for path in many), "none goes within 30 days"
    assert not any(path.exists() for path in old)


def test_the_listing_is_newest_first_with_sizes(db, folder):
    old, new = backup(db, folder, "old"), backup(db, folder, "new")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    found = listing(folder)
    assert [b["name"] for b in found] == [new.name, old.name]
    assert found[1]["made"].startswith("2023-11-1") and found[0]["size"] == new.stat().st_size


def test_given_a_backup_when_it_is_restored_then_its_rows_are_there_and_the_store_is_kept(
    settings, folder
):
    db = open_store(settings)
    add(db, "before")
    made = backup(db, folder)
    add(db, "after")
    db.close()
    content = made.read_bytes()
    aside = restore(settings, made.name)
    again, replaced = open_store(settings), Database(aside)
    assert names(again) == ["before"] and names(replaced) == ["before", "after"]
    again.close(), replaced.close()
    assert made.read_bytes() == content, "the backup itself stays as it was"


@pytest.mark.parametrize("moves", [2, 3])
def test_given_a_restore_that_was_killed_half_way_then_the_next_start_ends_it(
    settings, folder, monkeypatch, moves
):
    db = open_store(settings)
    add(db, "before")
    made = backup(db, folder)
    add(db, "after")  # in the -wal: the process is killed, so nothing tidies up
    move, left = Path.replace, [None] * moves  # the copy's own, the store's, the -wal's

    def killed(path, to):
        left.pop()  # or IndexError
        return move(path, to)

    with monkeypatch.context() as patch, pytest.raises(IndexError):
        patch.setattr(Path, "replace", killed)
        restore(settings, made.name)
    again = open_store(settings)
    assert names(again) == ["before"]
    again.close(), db.close()
    (aside,) = folder.glob("replaced-*.db")
    replaced = Database(aside)
    assert names(replaced) == ["before", "after"]
    replaced.close()


@pytest.mark.parametrize("name", ["nope.db", "../pipulate.db", "", ".", "/etc/passwd"])
def test_only_a_backup_of_the_folder_is_restored(settings, db, folder, name):
    made = backup(db, folder)
    with pytest.raises(Missing) as caught:
        restore(settings, name)
    assert made.name in caught.value.next_step and settings.database.exists()


def test_given_a_damaged_backup_then_the_store_stays_in_place(settings, folder):
    db = open_store(settings)
    fill(db)
    made = backup(db, folder)
    db.close()
    damage(made)
    with pytest.raises(Problem):
        restore(settings, made.name)
    again = open_store(settings)
    assert len(names(again)) == 400
    again.close()


def fill(db):
    with db.change():
        for n in range(400):
            add(db, f"{n:04} " + "x" * 50)


def damage(path):
    """Overwrite a page in the middle, as a failing disk would."""
    size = path.stat().st_size // 4096
    with open(path, "r+b") as file:
        for page in range(2, size):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)


def test_given_a_damaged_store_when_it_is_opened_then_broken_and_untouched(settings, folder):
    db = open_store(settings)
    fill(db)
    db.close()
    damage(settings.database)
    content = settings.database.read_bytes()
    with pytest.raises(Broken, match="damaged"):
        open_store(settings)
    assert settings.database.read_bytes() == content


def test_given_a_store_that_is_empty_beside_backups_then_it_does_not_begin_anew(settings, folder):
    db = open_store(settings)
    made = backup(db, folder)
    db.close()
    settings.database.write_bytes(b"")
    with pytest.raises(Broken, match="store is empty. Restore a backup"):
        open_store(settings)
    restore(settings, made.name)
    open_store(settings).close()


@pytest.fixture
def newer(monkeypatch):
    """newer(script): this program with one more migration."""
    return lambda script: monkeypatch.setattr(backups, "MIGRATIONS", [*MIGRATIONS, script])


def test_given_an_older_home_then_it_is_backed_up_and_migrated(settings, folder, newer):
    db = open_store(settings)
    add(db, "a")
    db.close()
    newer("ALTER TABLE profiles ADD COLUMN colour TEXT DEFAULT 'red'; CREATE TABLE more (x);")
    db = open_store(settings)
    assert db.table("profiles")()[0]["colour"] == "red" and db.columns("more") == ["x"]
    db.close()
    (kept,) = folder.iterdir()
    assert kept.name.endswith(f"-before-v{len(MIGRATIONS) + 1}.db")
    old = Database(kept)
    assert "colour" not in old.columns("profiles") and names(old) == ["a"]
    old.close()


def test_given_a_migration_that_fails_half_way_then_the_store_is_as_before(settings, newer):
    settings.make_home()
    open_store(settings).close()
    newer("CREATE TABLE more (x); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(Exception, match="nowhere"):
        open_store(settings)
    db = Database(settings.database)
    assert db.columns("more") == []
    assert db.all("PRAGMA user_version")[0]["user_version"] == len(MIGRATIONS)
    db.close()


@pytest.mark.parametrize("name", ["../x.db", "..", "", "a" * 5000, "a\0b", "\ud800", "gone.db"])
def test_a_name_that_is_no_backup_is_missing_whatever_it_looks_like(settings, folder, name):
    (folder / "gone.db").symlink_to("nowhere")
    with pytest.raises(Missing):
        restore(settings, name)
