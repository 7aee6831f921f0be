"""Scoped handles on tables with the MiniDataAPI verbs, and the dictionary face of the settings."""

from __future__ import annotations

from functools import lru_cache
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from pipulate.core.fields import dumps, to_column
from pipulate.core.kinds import SET
from pipulate.core.problems import Conflict, Missing, Problem, nearest

AMONG = "IN (SELECT value FROM json_each(?))"  # one JSON list: any number of keys
Row = dict[str, Any]
Pair = tuple[Row | None, Row | None]  # a row as it is and as it shall be; None: it is not there


@lru_cache(1_000)
def quote(name: str) -> str:
    """An SQL identifier; values never pass here."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Problem(f"{name!r} cannot be a column or table name.", "Use letters, digits, _.")
    return f'"{name}"'


@lru_cache(1_000)
def _writing(verb: str, table: str, names: tuple[str, ...], keys: tuple[str, ...]) -> str:
    """Its values are those of the columns, then those of the keys."""
    if verb == "INSERT":
        marks = ", ".join("?" * len(names))
        return f"INSERT INTO {table} ({', '.join(map(quote, names))}) VALUES ({marks})"
    sets = ", ".join(f"{quote(name)} = ?" for name in names)
    what = f"DELETE FROM {table}" if verb == "DELETE" else f"UPDATE {table} SET {sets}"
    return f"{what} WHERE {' AND '.join(f'{quote(key)} = ?' for key in keys)}"


def bumped(row: Row, new: Row) -> Row:
    """A row with new values, and the next version where they are others."""
    after = row | new
    return after | {"version": row["version"] + 1} if "version" in row and after != row else after


@dataclass(frozen=True)
class Table:
    """A scoped handle: insert update upsert delete, table(), table[key], key in table, xtra.

    `scoped` tables refuse work but by a handle that `xtra(profile_id=…)` bound to a scope, whose
    values are set on insert and cannot be changed."""

    db: Any  # the Database, which makes these handles
    name: str
    pk: str = "id"
    scoped: bool = False
    logged: bool = True  # writes leave images in the event log
    row: Callable[[Row], Any] = dict  # makes what is returned, of the columns
    scope: Row = field(default_factory=dict)
    defaults: Callable[[Row], Row] = lambda given: {}  # of columns that an insert leaves out
    keep: Callable[[Row], Row] = dict  # values as they are kept, of values as they are given

    def xtra(self, **scope: Any) -> Table:
        """A new handle that sees, makes and changes only rows with these values."""
        self._known(scope)
        return replace(self, scope={**self.scope, **scope})

    def select(self, what: str, where: str = "", args: Any = (), tail: str = "") -> list[Row]:
        """SELECT what FROM the scoped rows that match; values go in `args`."""
        # by the keys: SQLite would walk through the whole scope
        way = "+" * (f"{quote(self.pk)} {AMONG}" in (where or ""))
        tests = " AND ".join([*(f"{way}{quote(n)} = ?" for n in self.scope), f"({where or 1})"])
        sql = f"SELECT {what} FROM {self._table} WHERE {tests}{tail}"
        return self.db.all(sql, [*self.scope.values(), *map(to_column, args)])

    def __call__(
        self, where: str = "", args: Any = (), order_by: str = "", limit: int = -1, offset: int = 0
    ) -> list[Any]:
        """Rows that match; `where` and `order_by` are SQL, values go in `args`."""
        tail = f"{f' ORDER BY {order_by}' if order_by else ''} LIMIT ? OFFSET ?"
        return [self.row(r) for r in self.select("*", where, [*(args or ()), limit, offset], tail)]

    def these(self, keys: Iterable[Any]) -> list[Any]:
        return self(f"{quote(self.pk)} {AMONG}", [dumps([*keys])])

    def keys(self, where: str = "", args: Any = (), order_by: str = "") -> list[Any]:
        tail = order_by and f" ORDER BY {order_by}"
        return [row["key"] for row in self.select(f"{quote(self.pk)} AS key", where, args, tail)]

    def count(self, where: str = "", args: Any = ()) -> int:
        if len(self.scope) == 1 and not where:
            ((name, value),) = self.scope.items()
            whole, column = f"FROM {self._table}", quote(name)
            others = f"SELECT 1 {whole} WHERE {column} < ?1 OR {column} > ?1"
            # SQLite counts a whole table 200 times as fast as a part of it
            sql = f"SELECT (SELECT count(*) {whole}) AS n WHERE NOT EXISTS ({others})"
            if every := self.db.one(sql, (value,)):
                return every["n"]
        return self.select("count(*) AS n", where, args)[0]["n"]

    def __getitem__(self, key: Any) -> Any:
        return self.row(self.raw(key))

    def __contains__(self, key: Any) -> bool:
        return bool(self.these([key]))

    def raw(self, key: Any) -> Row:
        """One row as stored. Raises Missing."""
        for row in self.select("*", f"{quote(self.pk)} = ?", [key]):
            return row
        what = f"{self.name.removeprefix('app_')} has no row {key!r} here."
        raise Missing(what, "It may be deleted: see History.")

    def insert(self, record: Any = None, /, **values: Any) -> Any:
        """Add a row; returns it as stored."""
        given = self._values(record, values)
        new = {self.pk: None, **self.defaults(given), **self.scope, **given}
        self._stay(new)
        return self.row(self._write(None, new))

    def update(self, record: Any = None, /, **values: Any) -> Any:
        """Change only the given columns of the row with this key. Given a `version`, it raises

        Conflict (details "mine", "theirs") when the row changed since."""
        new = self._values(record, values)
        key, seen = new.pop(self.pk, None), new.pop("version", None)
        with self.db.writing():
            row = self.raw(key)
            if seen is not None and int(seen) != row["version"]:
                what = "Somebody changed this row meanwhile; yours was not saved."
                about = {"mine": new, "theirs": {k: row[k] for k in new}}
                then = "Compare the two, then save again or keep theirs."
                raise Conflict(what, then, **about, version=row["version"])
            self._stay(new)
            if (after := bumped(row, new)) != row:
                row = self._write(row, after)
        return self.row(row)

    def upsert(self, record: Any = None, /, **values: Any) -> Any:
        """Update the row, or insert it."""
        new = self._values(record, values)
        with self.db.writing():
            return self.update(new) if new.get(self.pk) in self else self.insert(new)

    def delete(self, key: Any) -> Any:
        """Remove a row and return it. Raises Missing."""
        with self.db.writing():
            row = self.raw(key)
            self.write([(row, None)])
        return self.row(row)

    def insert_many(self, records: Sequence[Row]) -> range:
        """Add rows that all have the same columns, as stored; returns their ids, in order."""
        with self.db.writing():
            # never the number of a row that was there: undo may bring it back
            given = "(SELECT seq FROM sqlite_sequence WHERE name = ?)"
            top = f"max(coalesce(max({quote(self.pk)}), 0), coalesce({given}, 0))"
            first = self.db.all(f"SELECT {top} + 1 AS n FROM {self._table}", [self.name])[0]["n"]
            ids = range(first, first + len(records))
            self._known(records[0] if records else ())
            rows = zip(ids, records, strict=True)
            with self.db.appending(self.name, first, len(records)):
                self.write([(None, {**row, **self.scope, self.pk: key}) for key, row in rows])
        return ids

    def update_each(self, changes: Sequence[tuple[Row, Row]]) -> None:
        """Change many rows: (as read, new values). Raises Conflict when one changed since."""
        with self.db.writing():
            key, keys = quote(self.pk), dumps([row[self.pk] for row, _ in changes])
            read = self.select(f"{key} AS key, version", f"{key} {AMONG}", [keys])
            versions = {row["key"]: row["version"] for row in read}
            for row, _ in changes:
                if versions.get(row[self.pk]) != row["version"]:
                    what = f"Row {row[self.pk]} of {self.name} changed meanwhile."
                    raise Conflict(what, "Nothing was saved; try again.")
            alike = sorted(changes, key=lambda change: [*change[1]])
            self.db.unindex(self.name, len(alike))
            self.write([(row, bumped(row, new)) for row, new in alike])

    def update_many(self, where: str, args: Any = (), /, **values: Any) -> int:
        """Give all that match these values; returns how many there were."""
        new = self._values(None, values)
        self._stay(new)
        with self.db.writing():
            found = self.select("*", where, args)
            self.write((row, bumped(row, new)) for row in found)
        return len(found)

    def delete_many(self, where: str, args: Any = ()) -> int:
        """Remove all that match; returns how many there were."""
        with self.db.writing():
            found = self.select("*", where, args)
            self.db.unindex(self.name, len(found))
            self.write((row, None) for row in found)
        return len(found)

    def write(self, pairs: Iterable[Pair]) -> None:
        """Make of each row the other of its pair, in this order."""
        pairs = [pair for pair in pairs if pair[0] != pair[1]]
        with self.db.change():
            for sql, same in groupby(map(self._told, pairs), key=itemgetter(0)):
                self.db.execute_many(sql, [values for _, values in same])
            self._log(pairs)

    def _write(self, before: Row | None, after: Row) -> Row:
        sql, values = self._told((before, after))
        with self.db.change():
            stored: Row = self.db.execute(f"{sql} RETURNING *", values)[0]
            self._log([(before, stored)])
        return stored

    def _told(self, pair: Pair) -> tuple[str, list[Any]]:
        before, after = pair
        if not before or not after:
            new, verb = after or {}, "INSERT" if after else "DELETE"
        else:
            new, verb = {n: v for n, v in after.items() if before[n] != v}, "UPDATE"
        key = [before[self.pk], *self.scope.values()] if before else []
        keys = (self.pk, *self.scope)  # of settings the key alone is no key
        return _writing(verb, self._table, (*new,), keys), [*new.values(), *key]

    def _log(self, pairs: Iterable[Pair]) -> None:
        for before, after in pairs if self.logged else ():
            key = (before or after or {})[self.pk]
            image = {"table": self.name, "id": key, "before": before, "after": after}
            self.db.current.images.append(image)

    def _values(self, record: Any, values: Row) -> Row:
        given = record if isinstance(record, Mapping) else vars(record) if record else {}
        self._known(new := {**given, **values})
        return {k: to_column(v) for k, v in self.keep(new).items()}

    def _known(self, names: Iterable[str]) -> None:
        columns = self.db.columns(self.name)
        for name in names:
            if name not in columns:
                raise Problem(f"{self.name} has no column {name!r}.", nearest(name, columns))

    def _stay(self, new: Row) -> None:
        if any(new.get(name, value) != value for name, value in self.scope.items()):
            raise Problem("A row cannot leave its scope.", "Change it under its own profile.")

    @property
    def _table(self) -> str:
        if self.scoped and not self.scope:
            raise Problem(f"{self.name} holds rows per profile.", "Use table.xtra(profile_id=…).")
        return quote(self.name)


@dataclass
class Store:
    """One row of the settings table."""

    key: str
    value: str
    secret: int = 0
    scope: str = ""


class DictLikeDB(MutableMapping[str, Any]):
    """The dictionary face of a key-value table: DictLikeDB(table, Store). Values are JSON.

    Secrets are given by name only: items() and values() show "set, ends …1234"."""

    def __init__(self, store: Table, Store: type = Store):
        self.store, self.Store = store, Store

    def __getitem__(self, key: str) -> Any:
        for row in self.store("key = ?", [key]):
            return json.loads(row["value"])
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def set(self, key: str, value: Any, secret: bool = False) -> None:
        """Keep a JSON value; a key once secret stays secret."""
        hidden = secret or self.store("key = ? AND secret", [key])
        self.store.upsert(vars(self.Store(key, dumps(value), bool(hidden))) | self.store.scope)

    def __delitem__(self, key: str) -> None:
        try:
            self.store.delete(key)
        except Missing:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.store.keys(order_by="key"))

    def __len__(self) -> int:
        return self.store.count()

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]
        rows = [(r["key"], json.loads(r["value"]), r["secret"]) for r in self.store(order_by="key")]
        return [(k, f"{SET}{str(value)[8:][-4:]}" if hide else value) for k, value, hide in rows]

    def values(self) -> list[Any]:  # type: ignore[override]
        return [value for _, value in self.items()]
