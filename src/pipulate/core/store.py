"""The store: one SQLite file, one writer, one transaction and one event for every change.

Writes happen inside `with database.change(...)`: it takes the write lock at the first write verb,
collects before and after images of logged tables, appends one event and commits, all or nothing.
Through apsw, whose SQLite is newer than the standard library's (fixes the WAL-reset fault).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import apsw

from pipulate.core.fields import dumps
from pipulate.core.problems import Broken, Busy, Conflict, Problem
from pipulate.core.tables import DictLikeDB, Store, Table, quote

__all__ = ["Change", "Database", "DictLikeDB", "Store", "Table", "now", "quote"]

WAIT = 5.0  # seconds a writer waits for another before it is told "busy"
MAGIC = b"SQLite format 3\0"


def now() -> str:
    """This moment, UTC, ISO 8601 with microseconds (sorts as text)."""
    return datetime.now(UTC).isoformat()


@dataclass
class Change:
    """One transaction in the making: who does what to what; `images` fill as tables are written."""

    actor: str = "system"
    verb: str = "write"
    profile_id: int | None = None
    target: str = ""
    summary: str = ""
    turn: str | None = None
    undo_of: int | None = None
    images: list[dict[str, Any]] = field(default_factory=list)
    begun: bool = False
    event_id: int | None = None


def _problem(error: apsw.Error) -> Problem:
    """The user's words for what SQLite refused."""
    said = str(error)
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Busy("The store is busy; this was not saved.", "Try again in a moment.")
    if isinstance(error, apsw.FullError):
        return Busy("The disk is full; this was not saved.", "Free some space, then try again.")
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError):
        return Broken(f"The home folder cannot be written ({said}).", "Make it writable, try again.")
    if isinstance(error, apsw.IOError):
        return Busy(f"The disk did not take this ({said}); it was not saved.", "Check the disk.")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return Broken("The store is damaged.", "Restart Pipulate to restore a backup.")
    raise error


class Database:
    """An open store. Raises Broken when the file is no SQLite file, damaged or from the future."""

    def __init__(self, path: Path, latest: int = 0):
        self.path = path
        self._local = threading.local()
        self._lock = threading.RLock()
        self._columns: dict[str, list[str]] = {}
        self.on_event: list[Callable[[dict[str, Any]], None]] = []
        self._refuse_foreign(path)
        try:
            self._writer = self._connect()
            version = self._writer.pragma("user_version")
            if latest and version > latest:
                raise Broken(
                    f"This home was written by a newer Pipulate (schema {version}; this one: {latest}).",
                    "Install that version again, or restore an older backup into a copy.",
                )
            self._writer.pragma("journal_mode", "wal")
        except apsw.Error as error:
            raise Broken(f"The store {path} cannot be opened ({error}).", "Restore a backup.") from None

    @staticmethod
    def _refuse_foreign(path: Path) -> None:
        try:
            if not path.exists():
                path.touch()
            path.chmod(0o600)  # before SQLite makes the -wal, which takes the same rights
            with path.open("rb") as file:
                head = file.read(16) or MAGIC
        except OSError as error:
            raise Broken(f"{path} cannot be read ({error.strerror}).", "Check its rights.") from None
        if head != MAGIC:
            raise Broken(f"{path} is not a Pipulate store.", "Restore a backup.")

    def _connect(self) -> apsw.Connection:
        # never SQLITE_OPEN_CREATE: a store that was deleted must not come back empty
        db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_timeout(int(WAIT * 1000))
        for name, value in (("synchronous", 2), ("foreign_keys", 1), ("trusted_schema", 0)):
            db.pragma(name, value)
        db.row_trace = _as_dict
        return db

    def reader(self) -> apsw.Connection:
        """This thread's connection; inside a begun change it is the writer, to see its own rows."""
        change = self.current
        if change and change.begun:
            return self._writer
        if not hasattr(self._local, "db"):
            self._local.db = self._connect()
            self._local.db.pragma("query_only", 1)
        return self._local.db

    @property
    def current(self) -> Change | None:
        return getattr(self._local, "change", None)

    def all(self, sql: str, args: Any = ()) -> list[dict[str, Any]]:
        """Rows of a reading query; values only as parameters."""
        try:
            return list(self.reader().execute(sql, args))
        except apsw.Error as error:
            raise _problem(error) from error

    def one(self, sql: str, args: Any = ()) -> dict[str, Any] | None:
        rows = self.all(sql, args)
        return rows[0] if rows else None

    def execute(self, sql: str, args: Any = ()) -> list[dict[str, Any]]:
        """Run a writing statement inside the current change (or one of its own)."""
        with self.change():
            try:
                return list(self._begin().execute(sql, args))
            except apsw.ConstraintError as error:
                raise Conflict(f"The store refused this ({error}).", "Reload and try again.") from error
            except apsw.Error as error:
                raise _problem(error) from error

    @contextlib.contextmanager
    def change(self, **event: Any) -> Iterator[Change]:
        """One transaction and at most one event. Inside another change it joins that one."""
        if outer := self.current:
            yield outer
            return
        change = self._local.change = Change(**event)
        record = None
        try:
            yield change
            if change.images or (change.summary and change.begun):
                record = self._append_event(change)
            if change.begun:
                self._finish("COMMIT")
        except BaseException:
            if change.begun:
                self._finish("ROLLBACK")
            raise
        finally:
            self._local.change = None
        if record:
            for listener in self.on_event:
                listener(record)

    def _begin(self) -> apsw.Connection:
        change = self.current
        if change is None or change.begun:
            return self._writer
        if not self._lock.acquire(timeout=WAIT):
            raise Busy("Another change is still being saved.", "Nothing was saved; try again.")
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            self._lock.release()
            raise _problem(error) from error
        change.begun = True
        return self._writer

    def _finish(self, word: str) -> None:
        try:
            if not self._writer.get_autocommit():
                self._writer.execute(word)
        except apsw.Error as error:
            if not self._writer.get_autocommit():
                self._writer.execute("ROLLBACK")
            raise _problem(error) from error
        finally:
            self.current.begun = False  # type: ignore[union-attr]
            self._lock.release()

    def _append_event(self, change: Change) -> dict[str, Any]:
        import zlib

        images = dumps(change.images) if change.images else None
        packed = zlib.compress(images.encode()) if images and len(images) > 2_000 else images
        record: dict[str, Any] = {
            "at_utc": now(),
            "profile_id": change.profile_id,
            "actor": change.actor,
            "verb": change.verb,
            "target": change.target or _target(change.images),
            "summary": change.summary or change.verb,
            "turn": change.turn,
            "undo_of": change.undo_of,
        }
        names = ", ".join([*record, "images"])
        marks = ", ".join("?" * (len(record) + 1))
        self._begin().execute(f"INSERT INTO events ({names}) VALUES ({marks})", [*record.values(), packed])
        change.event_id = record["id"] = self._writer.last_insert_rowid()
        return record | {"images": change.images}

    def columns(self, name: str) -> list[str]:
        """Column names of a table, [] when there is none."""
        if name not in self._columns:
            found = [r["name"] for r in self.all("SELECT name FROM pragma_table_info(?)", (name,))]
            if not found:
                return []
            self._columns[name] = found
        return self._columns[name]

    def define(self, name: str, columns: Mapping[str, str]) -> None:
        """Make a table, or add the columns it lacks. Keys: names; values: SQL types and clauses."""
        have = self.columns(name)
        if not have:
            body = ", ".join(f"{quote(n)} {sql}" for n, sql in columns.items())
            self.execute(f"CREATE TABLE {quote(name)} ({body})")
        for column in (n for n in columns if have and n not in have):
            self.execute(f"ALTER TABLE {quote(name)} ADD COLUMN {quote(column)} {columns[column]}")
        self._columns.pop(name, None)

    def table(self, name: str, **options: Any) -> Table:
        """A handle on a table; see Table for the options."""
        return Table(self, name, **options)

    def close(self) -> None:
        self._writer.close()
        if hasattr(self._local, "db"):
            self._local.db.close()


def _as_dict(cursor: apsw.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((column[0] for column in cursor.description), row, strict=True))


def _target(images: list[dict[str, Any]]) -> str:
    first = images[0] if images else {"table": "", "id": ""}
    return f"{first['table']}/{first['id']}" + (f" +{len(images) - 1}" if len(images) > 1 else "")
