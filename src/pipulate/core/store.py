"""The store: one SQLite file, one writer, one transaction and one event for every change.

`with database.change(...)` takes the write lock at the first write, collects before and after
images of logged tables, appends one event and commits, all or nothing. By apsw: its SQLite has
the WAL-reset fault fixed.
"""

from contextlib import contextmanager, suppress
import secrets
import shutil
from threading import RLock, get_ident, local
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

import apsw

from pipulate.core.ask import Answer, answer, ask
from pipulate.core.images import pack
from pipulate.core.problems import Broken, Busy, Conflict, Missing, Problem
from pipulate.core.tables import DictLikeDB as DictLikeDB, Store as Store
from pipulate.core.tables import Row as Row, Table as Table, quote as quote

WAIT = 5.0  # seconds a writer waits for another before it is told "busy"
ROOM = 1_000_000  # bytes below which a store that does not open is a full disk, not a fault
LATE = set[int]()  # threads at work that were stopped, and may hang beneath Python
MANY = 5_000  # rows of one change from which a search index is rather made anew
# secure_delete "fast": what is dropped is overwritten where that costs no further writing
PRAGMAS = {"synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "secure_delete": "fast"}
PRAGMAS["journal_size_limit"] = 2**26  # bytes of the -wal
MAGIC = b"SQLite format 3\0"
HELD = apsw.BusyError, apsw.LockedError
SHUT = apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError
LOST = apsw.CorruptError, apsw.NotADBError
# What SQLite refuses, by its kind, as a Problem: the first that fits.
REFUSALS: list[tuple[Any, type[Problem], str, str]] = [
    (HELD, Busy, "The store is busy; this was not saved.", "Try again in a moment."),
    (apsw.FullError, Busy, "The disk is full; this was not saved.", "Free some space, try again."),
    (SHUT, Broken, "The home folder cannot be written ({}).", "Make it writable, try again."),
    (apsw.IOError, Busy, "The disk did not take this ({}); it was not saved.", "Check the disk."),
    (LOST, Broken, "The store is damaged.", "Restart Pipulate to restore a backup."),
    (OverflowError, Missing, "No row has so large a number.", "Check the number."),
    (apsw.ConstraintError, Conflict, "The store refused this ({}).", "Reload and try again."),
]


def now(later: float = 0) -> str:
    """This moment, or so many seconds later: UTC, ISO 8601 with microseconds (sorts as text)."""
    return (datetime.now(UTC) + timedelta(seconds=later)).isoformat()


class _InWords:
    """Around what SQLite does: its refusals are Problems. (Cheaper than a generator.)"""

    def __enter__(self) -> None: ...

    def __exit__(self, _: Any, error: BaseException | None, trace: Any) -> None:
        for kind, problem, what, next_step in REFUSALS if error else ():
            if isinstance(error, kind):
                raise problem(what.format(error), next_step) from error


IN_WORDS = _InWords()


@dataclass
class Change:
    """One transaction in the making: who does what to what."""

    actor: str = "system"
    verb: str = "write"
    profile_id: int | None = None
    target: str = ""
    summary: str = ""
    turn: str | None = None
    undoes: list[int] = field(default_factory=list)  # the events that it takes back
    images: list[Row] = field(default_factory=list)  # of what was written so far
    writer: apsw.Connection | None = None  # once it is begun
    soft: bool = False  # it waits for no disk: only a power cut may lose it
    forgets: bool = False  # the -wal shall not have it any more, either


class Database:
    """An open store. Raises Broken for what is no store, is damaged or from the future."""

    def __init__(self, path: Path, latest: int = 0):
        self.path = path
        self._local, self._lock = local(), RLock()
        self._holder = 0  # the thread that has the lock
        self._columns: dict[str, list[str]] = {}
        self.on_event: list[Callable[[Row], None]] = []
        _refuse_foreign(path)
        try:
            self._writer = self._connect()
            version = self._writer.pragma("user_version")
            if latest and version > latest:
                what = f"A newer Pipulate wrote this home (schema {version}; here: {latest})."
                raise Broken(what, "Install that version again, or restore an older backup.")
            self._writer.pragma("journal_mode", "wal")
            self._writer.pragma("cache_size", -16_000)  # kB: counting 100,000 rows reads none anew
        except apsw.Error as error:
            if (free := shutil.disk_usage(path.parent).free) < ROOM:
                what = f"The disk is full: {free:,} bytes are free where the home is."
                raise Busy(what, "Free some space, then try again; the store is safe.") from None
            what = f"The store {path} cannot be opened ({error})."
            raise Broken(what, "Restore a backup.") from None

    def _connect(self) -> apsw.Connection:
        # never SQLITE_OPEN_CREATE: a store that was deleted must not come back empty
        db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_timeout(int(WAIT * 900))  # ms
        for name, value in PRAGMAS.items():
            db.pragma(name, value)
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # else each `id < ?` is planned anew
        db.create_scalar_function("lower", _lower, 1, deterministic=True)
        return db

    def _reader(self) -> apsw.Connection:
        """This thread's; inside a begun change the writer, to see its own rows."""
        if self.current and self.current.writer is not None:
            return self.current.writer
        if not hasattr(self._local, "db"):
            self._local.db = self._connect()
            self._local.db.pragma("query_only", 1)
        return self._local.db

    @property
    def current(self) -> Change | None:
        return getattr(self._local, "change", None)

    def all(self, sql: str, args: Any = ()) -> list[Row]:
        """Rows of a query; values only as parameters."""
        with IN_WORDS:
            return _dicts(self._reader().execute(sql, args))

    def one(self, sql: str, args: Any = ()) -> Row | None:
        return next(iter(self.all(sql, args)), None)

    def ask(self, sql: str, **limits: Any) -> Answer:
        """What one SELECT of the user's gives: see core/ask.py."""
        return ask(self.path, sql, **limits)

    def stream(self, sql: str, **limits: Any) -> Generator[tuple[Any, ...]]:
        """The same without end: the column names, then each row's values."""
        return answer(self.path, sql, **limits)

    def execute(self, sql: str, args: Any = ()) -> list[Row]:
        """Run a statement inside the current change (or one of its own)."""
        with self.change(), IN_WORDS:
            return _dicts(self.begin().execute(sql, args))

    def execute_many(self, sql: str, rows: Iterable[Any]) -> None:
        with self.change(), IN_WORDS:
            self.begin().executemany(sql, rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The current change (or one of its own), begun: what is read in it stays true."""
        with self.change():
            self.begin()
            yield

    @contextmanager
    def change(self, **event: Any) -> Iterator[Change]:
        """One transaction and at most one event. Inside another change it joins that one."""
        if outer := self.current:
            yield outer
            return
        change = self._local.change = Change(**event)
        record = None
        try:
            yield change
            if change.images or (change.summary and change.writer):
                record = self._append_event(change)
            self._end(change, "COMMIT")
            if change.forgets:
                with suppress(apsw.Error):  # as long as somebody reads it stays
                    self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except BaseException:
            self._end(change, "ROLLBACK")
            raise
        finally:
            self._local.change = None
            with suppress(RuntimeError):  # not held, as it may be unbegun
                self._release(change) if change.writer else self._lock.release()
        if record:
            for listener in self.on_event:
                listener(record)

    def begin(self) -> apsw.Connection:
        """The writer, in the transaction of the current change."""
        change = self.current
        if not change:
            return self._writer
        if change.writer is not None:  # one that was taken back is closed, and so false
            return change.writer
        until = time.monotonic() + 0.9 * WAIT  # before a hook's own time is over
        while not self._lock.acquire(timeout=min(WAIT, 0.1)):  # another one after a taking back
            if self._holder in LATE:
                self._take_back()
            elif time.monotonic() > until:
                raise Busy("Another change is still being saved.", "Nothing was saved; try again.")
        self._holder = get_ident()
        try:
            with IN_WORDS:
                if change.soft:
                    self._writer.pragma("synchronous", 1)
                self._writer.execute("BEGIN IMMEDIATE")
        except BaseException:
            with suppress(Exception):  # of a thread that is stopped it may have begun
                self._writer.execute("ROLLBACK")
            self._release(change)
            raise
        change.writer = self._writer
        return change.writer

    def _take_back(self) -> None:
        """Undo what a thread of LATE holds all others up with; it can write no more."""
        with suppress(KeyError, apsw.Error):  # another one did; it is at work in SQLite
            LATE.remove(self._holder)
            old, self._writer, self._lock = self._writer, self._connect(), RLock()
            old.interrupt()
            old.close(force=True)

    def _release(self, change: Change) -> None:
        try:
            if change.soft:
                self._writer.pragma("synchronous", PRAGMAS["synchronous"])
        finally:
            self._holder = 0
            self._lock.release()

    def _end(self, change: Change, word: str) -> None:
        if change.writer and not change.writer.get_autocommit():
            with IN_WORDS:
                change.writer.execute(word)

    def _append_event(self, change: Change) -> Row:
        images = change.images
        about = {
            "at_utc": now(),
            **{name: getattr(change, name) for name in ("profile_id", "actor", "verb", "turn")},
            "target": change.target or _target(images),
            "summary": change.summary or change.verb,
            "changed": len(images),
            "deleted": sum(image["after"] is None for image in images),
        }
        event = self.table("events", logged=False).insert(about)
        parts = [(event["id"], n, body) for n, body in enumerate(pack(images))]
        self.execute_many("INSERT INTO images VALUES (?, ?, ?)", parts)
        undone = [(key, event["id"]) for key in change.undoes]
        self.execute_many("INSERT INTO undone VALUES (?, ?)", undone)
        return event | {"images": images}

    def hide(self, secret: str) -> str:
        """Keep a secret apart; returns what stands for it: its end and an id."""
        key = secrets.token_hex(8)
        self.execute("INSERT INTO secrets VALUES (?, ?, ?)", (key, secret, now()))
        return f"{secret[8:][-4:]} {key}"

    def reveal(self, told: str) -> str | None:
        """The secret that this stands for, if any."""
        found = self.one("SELECT value FROM secrets WHERE id = ?", (told.rpartition(" ")[2],))
        return found["value"] if found else None

    def columns(self, name: str) -> list[str]:
        """[] when there is no such table."""
        if not (known := self._columns.get(name)):
            found = self.all("SELECT name FROM pragma_table_info(?)", (name,))
            known = self._columns[name] = [r["name"] for r in found]
        return known

    def define(self, name: str, columns: Mapping[str, str]) -> None:
        """Make a table, or add the columns it lacks: {name: SQL type and clauses}."""
        have, table = self.columns(name), quote(name)
        lines = [f"{quote(n)} {sql}" for n, sql in columns.items() if n not in have]
        if not have:
            self.execute(f"CREATE TABLE {table} ({', '.join(lines)})")
        for line in lines if have else ():
            self.execute(f"ALTER TABLE {table} ADD COLUMN {line}")
        self.forget(name)
        if {"profile_id", "position"} <= {*columns}:
            index = quote(f"{name}_order")
            self.execute(f"CREATE INDEX IF NOT EXISTS {index} ON {table} (profile_id, position)")

    def unindex(self, name: str, rows: int) -> None:
        """Before so many rows change: drop the search index (apps/data.py) if that costs less

        than keeping it in step. The next search makes it again."""
        fts = f"{name}_fts"
        # to enter or take out one row by itself costs as much as to enter eight in one go
        if rows >= MANY and self.columns(fts) and 8 * rows > self.table(name).count():
            drops = "".join(f"DROP TRIGGER IF EXISTS {fts}_{when};" for when in "idu")
            self.execute(f"{drops}DROP TABLE IF EXISTS {fts}")
            self.forget(fts)

    @contextmanager
    def appending(self, name: str, first: int, rows: int) -> Iterator[None]:
        """While so many rows are added, from this id on: the next search enters them into its

        index, which costs a fraction of doing so one by one."""
        fts, writer = f"{name}_fts", self.begin()
        if later := rows >= MANY and bool(self.columns(fts)):
            mark = "UPDATE store SET value = ? WHERE scope = '' AND key = ? AND value = '-1'"
            self.execute(mark, (str(first - 1), f"filled:{fts}"))
        try:
            writer.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, not later)
            yield
        finally:
            writer.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)

    def forget(self, name: str) -> None:
        """A table's columns changed: read them again."""
        self._columns.pop(name, None)

    def table(self, name: str, **options: Any) -> Table:
        """See Table for the options."""
        return Table(self, name, **options)

    def close(self) -> None:
        if self._lock.acquire(timeout=1):  # else the end of the program ends the change at work
            self._writer.close()
            self._lock.release()
        if hasattr(self._local, "db"):
            self._local.db.close()


def _refuse_foreign(path: Path) -> None:
    try:
        path.touch()
        path.chmod(0o600)  # before SQLite makes the -wal, which takes the same rights
        with path.open("rb") as file:
            head = file.read(16) or MAGIC
    except OSError as error:
        raise Broken(f"{path} cannot be read ({error.strerror}).", "Check its rights.") from None
    if head != MAGIC:
        raise Broken(f"{path} is not a Pipulate store.", "Restore a backup.")


def _lower(*of: Any) -> Any:  # SQLite's knows ASCII alone
    return of[0] and str(of[0]).lower()


def _dicts(cursor: apsw.Cursor) -> list[Row]:
    names: list[str] = []
    found = []
    for row in cursor:
        names = names or [column[0] for column in cursor.description]
        found.append(dict(zip(names, row, strict=True)))
    return found


def _target(images: list[Row]) -> str:
    """The first row of each table, and how many more there are: app_books/1 +2."""
    first: Row = {}
    for image in images:
        first.setdefault(image["table"], image["id"])
    named = " ".join(f"{table}/{key}" for table, key in first.items())
    more = len(images) - len(first)
    return f"{named} +{more}" if more else named
