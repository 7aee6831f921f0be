"""The store: one SQLite file, one writer, scoped tables with the MiniDataAPI verbs.

Writes happen inside `with database.change(...)`: it takes the write lock at the first write verb,
collects before and after images of logged tables, appends one event and commits, all or nothing.
Through apsw, whose SQLite is newer than the standard library's (fixes the WAL-reset fault).
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import apsw

from pipulate.core.fields import dumps, to_column
from pipulate.core.problems import Broken, Busy, Conflict, Missing, Problem, nearest

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
        if path.exists():
            path.chmod(0o600)

    @staticmethod
    def _refuse_foreign(path: Path) -> None:
        try:
            head = path.read_bytes()[:16] if path.exists() and path.stat().st_size else MAGIC
        except OSError as error:
            raise Broken(f"{path} cannot be read ({error.strerror}).", "Check its rights.") from None
        if head != MAGIC:
            raise Broken(f"{path} is not a Pipulate store.", "Restore a backup.")

    def _connect(self) -> apsw.Connection:
        db = apsw.Connection(str(self.path))
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


def quote(name: str) -> str:
    """An SQL identifier. Names come from classes and are checked; values never pass here."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Problem(f"{name!r} cannot be a column or table name.", "Use letters, digits, _.")
    return f'"{name}"'


@dataclass(frozen=True)
class Table:
    """A scoped handle: insert update upsert delete, table(), table[key], key in table, xtra.

    `scoped` tables refuse work until `xtra(profile_id=…)` has returned a handle bound to a scope:
    values of the scope are SQL parameters, are set on insert and cannot be changed. `row` makes the
    returned object from a dict of columns. `logged` writes leave images in the event log."""

    db: Database
    name: str
    pk: str = "id"
    scoped: bool = False
    logged: bool = True
    row: Callable[[dict[str, Any]], Any] = dict
    scope: Mapping[str, Any] = field(default_factory=dict)

    def xtra(self, **scope: Any) -> Table:
        """A new handle that sees, makes and changes only rows with these values."""
        self._known(scope)
        return Table(**{**self.__dict__, "scope": {**self.scope, **scope}})

    def __call__(
        self, where: str = "", args: Any = (), order_by: str = "", limit: int = -1, offset: int = 0
    ) -> list[Any]:
        """Rows that match; `where` and `order_by` are the program's own SQL, values go in `args`."""
        scoped, values = self._where(where, args)
        order = f" ORDER BY {order_by}" if order_by else ""
        sql = f"SELECT * FROM {quote(self.name)}{scoped}{order} LIMIT ? OFFSET ?"
        return [self.row(found) for found in self.db.all(sql, [*values, limit, offset])]

    def count(self, where: str = "", args: Any = ()) -> int:
        scoped, values = self._where(where, args)
        found = self.db.one(f"SELECT count(*) AS n FROM {quote(self.name)}{scoped}", values)
        return found["n"] if found else 0

    def __getitem__(self, key: Any) -> Any:
        return self.row(self.raw(key))

    def __contains__(self, key: Any) -> bool:
        return self._find(key) is not None

    def raw(self, key: Any) -> dict[str, Any]:
        """The columns of one row as stored. Raises Missing."""
        found = self._find(key)
        if found is None:
            raise Missing(f"{self.name} has no row {key!r} here.", "It may be deleted: see History.")
        return found

    def insert(self, record: Any = None, **values: Any) -> Any:
        """Add a row; returns it as stored."""
        return self._write(None, dict(self.scope) | self._values(record, values))

    def update(self, record: Any = None, **values: Any) -> Any:
        """Change only the given columns of the row with this key. With `version` among the values

        a row changed since then is refused: Conflict with details "mine" and "theirs"."""
        new = self._values(record, values)
        key, seen = new.pop(self.pk, None), new.pop("version", None)
        with self.db.change():
            self.db._begin()
            before = self.raw(key)
            if seen is not None and int(seen) != before["version"]:
                raise Conflict(
                    "Somebody changed this row meanwhile; yours was not saved.",
                    "Compare the two, then save again or keep theirs.",
                    mine={k: to_column(v) for k, v in new.items()},
                    theirs={k: before[k] for k in new},
                    version=before["version"],
                )
            changed = {k: v for k, v in new.items() if before[k] != to_column(v)}
            return self._write(before, changed) if changed else self.row(before)

    def upsert(self, record: Any = None, **values: Any) -> Any:
        """Update the row with this key, or insert it."""
        new = self._values(record, values)
        known = new.get(self.pk) is not None and new[self.pk] in self
        return self.update(new) if known else self.insert(new)

    def delete(self, key: Any) -> Any:
        """Remove a row and return it. Raises Missing."""
        with self.db.change():
            self.db._begin()
            before = self.raw(key)
            scoped, args = self._where(f"{quote(self.pk)} = ?", [key])
            self.db.execute(f"DELETE FROM {quote(self.name)}{scoped}", args)
            self._log(before, None)
            return self.row(before)

    def _write(self, before: dict[str, Any] | None, values: dict[str, Any]) -> Any:
        self._check_scope()
        if any(values.get(name, value) != value for name, value in self.scope.items()):
            raise Problem("A row cannot leave its scope.", "Change it under its own profile.")
        columns = {k: to_column(v) for k, v in values.items()}
        names = [quote(k) for k in columns]
        with self.db.change():
            if before is None:
                marks = ", ".join("?" * len(names))
                head = f"({', '.join(names)}) VALUES ({marks})" if names else "DEFAULT VALUES"
                sql, args = f"INSERT INTO {quote(self.name)} {head}", [*columns.values()]
            else:
                sets = [f"{n} = ?" for n in names]
                if "version" in before:
                    sets.append("version = version + 1")
                scoped, scope_args = self._where(f"{quote(self.pk)} = ?", [before[self.pk]])
                sql = f"UPDATE {quote(self.name)} SET {', '.join(sets)}{scoped}"
                args = [*columns.values(), *scope_args]
            after = self.db.execute(f"{sql} RETURNING *", args)[0]
            self._log(before, after)
        return self.row(after)

    def _log(self, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        change = self.db.current
        if self.logged and change:
            key = (after or before or {})[self.pk]
            image = {"table": self.name, "id": key, "before": before, "after": after}
            change.images.append(image)

    def _values(self, record: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        given = record if isinstance(record, Mapping) else vars(record) if record else {}
        new = {**given, **values}
        self._known(new)
        return new

    def _known(self, names: Mapping[str, Any]) -> None:
        columns = self.db.columns(self.name)
        for name in names:
            if name not in columns:
                raise Problem(f"{self.name} has no column {name!r}.", nearest(name, columns))

    def _check_scope(self) -> None:
        if self.scoped and not self.scope:
            raise Problem(f"{self.name} holds rows per profile.", "Use table.xtra(profile_id=…).")

    def _where(self, where: str, args: Any) -> tuple[str, list[Any]]:
        self._check_scope()
        parts = [f"{quote(name)} = ?" for name in self.scope]
        if where:
            parts.append(f"({where})")
        return (f" WHERE {' AND '.join(parts)}" if parts else ""), [*self.scope.values(), *args]

    def _find(self, key: Any) -> dict[str, Any] | None:
        scoped, args = self._where(f"{quote(self.pk)} = ?", [key])
        return self.db.one(f"SELECT * FROM {quote(self.name)}{scoped}", args)


@dataclass
class Store:
    """One row of the settings table."""

    key: str
    value: str
    secret: int = 0
    scope: str = ""


class DictLikeDB:
    """The dictionary face of a key-value table: DictLikeDB(table, Store). Values are JSON.

    Secrets are given only to who asks by name: items() and values() show "set, ends …1234"."""

    def __init__(self, store: Table, Store: type = Store):
        self.store, self.Store = store, Store

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        return json.loads(self.store.raw(key)["value"])

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def set(self, key: str, value: Any, secret: bool = False) -> None:
        """Keep a JSON value; a key once secret stays secret."""
        known = self.store.raw(key)["secret"] if key in self else 0
        row = {"key": key, "value": dumps(value), "secret": int(secret or known)}
        self.store.upsert(row)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.store.delete(key)

    def __contains__(self, key: object) -> bool:
        return key in self.store

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return self.store.count()

    def keys(self) -> list[str]:
        return [row["key"] for row in self.store(order_by="key")]

    def items(self) -> list[tuple[str, Any]]:
        return [(row["key"], _shown(row)) for row in self.store(order_by="key")]

    def values(self) -> list[Any]:
        return [value for _, value in self.items()]

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default


def _shown(row: dict[str, Any]) -> Any:
    value = json.loads(row["value"])
    return f"set, ends …{str(value)[-4:]}" if row["secret"] else value
