"""Backups: made by the online backup API, checked, renamed into place.

Seven daily ones are kept; of those made before a migration ten, and all of the last 30 days."""

import os
import secrets
import shutil
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

from pipulate.core.problems import Broken, Missing, Problem, require
from pipulate.core.schema import MIGRATIONS
from pipulate.core.settings import Settings
from pipulate.core.store import Database

KEEP, KEEP_BEFORE = 7, 10
MONTH = timedelta(days=30)
# Faulty tables; indexes of words, which take the longest, can be made again.
DAMAGE = """SELECT 1 FROM sqlite_master t, pragma_quick_check(t.name) c
    WHERE t.type = 'table' AND t.rootpage AND c.quick_check != 'ok'"""


def backup(db: Database, folder: Path, label: str = "") -> Path:
    """Copy the store to folder/pipulate-DATE-TIME[-label].db: whole and checked, or a Problem."""
    return _copy(db.path, folder, label)


def _copy(path: Path, folder: Path, label: str) -> Path:
    name = f"pipulate-{datetime.now():%Y%m%d-%H%M%S}{'-' + label if label else ''}.db"
    key = secrets.token_hex(4)
    part, final = folder / f".{name}.{key}", folder / name
    if final.exists():  # of the same second
        final = final.with_stem(f"{final.stem}-{key}")
    needed = 2 * path.stat().st_size  # what is saved meanwhile has room, too
    if (free := shutil.disk_usage(folder).free) < needed:
        raise Problem(f"A copy needs {needed:,} bytes; {free:,} are free.", "Free some space.")
    try:
        source, copy = apsw.Connection(str(path)), apsw.Connection(str(part))
        with closing(source), closing(copy):
            source.execute("BEGIN; SELECT 1 FROM sqlite_master")  # else each change begins it anew
            with copy.backup("main", source, "main") as job:
                while not job.done:
                    job.step(500)
            if copy.pragma("integrity_check") != "ok":
                raise apsw.CorruptError("The copy failed its check.")
            copy.pragma("journal_mode", "delete")
    except apsw.Error as error:
        part.unlink(missing_ok=True)
        what = f"The backup could not be made ({error})."
        raise Problem(what, "Check the disk, and run `pipulate doctor`.") from error
    part.chmod(0o600)
    with part.open("r+b") as file:  # Windows flushes no other
        os.fsync(file.fileno())
    part.replace(final)
    return final


def daily(db: Database, folder: Path) -> Path | None:
    """Make today's backup if there is none, and drop those that need not be kept."""
    today = f"pipulate-{date.today():%Y%m%d}"
    if any(folder.glob(f"{today}-??????-daily.db")):
        return None
    when, young = "pipulate-????????-??????", f"pipulate-{date.today() - MONTH:%Y%m%d}"
    befores = sorted(folder.glob(f"{when}-before-*.db"))[:-KEEP_BEFORE]
    dailies = sorted(folder.glob(f"{when}-daily.db"))[: 1 - KEEP]
    killed = (path for path in folder.glob(".pipulate-*") if path.name < f".{today}")
    for old in [*dailies, *killed, *(path for path in befores if path.name < young)]:
        old.unlink()
    return backup(db, folder, "daily")


def listing(folder: Path) -> list[dict[str, Any]]:
    """[{name, size, made}] newest first; size in bytes, made in local time."""
    kept = [(path.stat(), path.name) for path in folder.glob("*.db") if path.is_file()]
    return [
        {"name": name, "size": s.st_size, "made": f"{datetime.fromtimestamp(s.st_mtime):%F %T}"}
        for s, name in sorted(kept, key=lambda pair: -pair[0].st_mtime)
    ]


def restore(settings: Settings, name: str) -> Path:
    """Put a copy of a backup in the store's place; returns where what stood there is kept.

    Only while no server holds the home."""
    folder, name = settings.folder("backups"), Path(name).name
    known = [kept["name"] for kept in listing(folder)]
    require(name, known, f"There is no backup {name!r}.", Missing)
    return _exchange(settings, _copy(folder / name, settings.home, "restoring"))


def _exchange(settings: Settings, fresh: Path) -> Path:
    name = fresh.name.replace("pipulate", "replaced", 1).replace("-restoring", "")
    aside = settings.folder("backups") / name
    for suffix in ("", "-wal", "-shm"):
        if (part := Path(f"{settings.database}{suffix}")).exists():
            part.replace(f"{aside}{suffix}")
    fresh.replace(settings.database)
    return aside


def open_store(settings: Settings) -> Database:
    """Open the store of a home, migrated (after a backup). Raises Broken."""
    latest = len(MIGRATIONS)
    if not settings.database.exists():  # a restore may have been killed half-way
        for fresh in sorted(settings.home.glob("pipulate-*-restoring*.db"))[-1:]:
            _exchange(settings, fresh)
    empty = settings.database.exists() and not settings.database.stat().st_size
    if empty and listing(settings.folder("backups")):  # as after a power loss
        raise Broken("The store is empty.", "Restore a backup; without backups it begins anew.")
    db = Database(settings.database, latest)
    if 0 < _version(db) < latest:
        backup(db, settings.folder("backups"), f"before-v{latest}")
    if _version(db) < latest:
        with db.writing():  # another process may have done it while this one waited for the lock
            for script in MIGRATIONS[_version(db) :]:
                db.execute(script)
            db.execute(f"PRAGMA user_version = {latest}")
    if db.one(DAMAGE):
        raise Broken("The store is damaged.", "Restore a backup; the damaged file is kept.")
    return db


def _version(db: Database) -> int:
    return db.all("PRAGMA user_version")[0]["user_version"]
