"""Scoped handles on tables with the MiniDataAPI verbs, and the dictionary face of the settings.

A handle is made per scope by `xtra`, which returns a new one; its values are SQL parameters.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipulate.core.fields import dumps, to_column
from pipulate.core.problems import Conflict, Missing, Problem, nearest

Row = dict[str, Any]


@functools.lru_cache(1_000)
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

    db: Any  # the Database; typed loosely, since it makes these handles
    name: str
    pk: str = "id"
    scoped: bool = False
    logged: bool = True
    row: Callable[[Row], Any] = dict
    scope: Row = field(default_factory=dict)
    defaults: Row = field(default_factory=dict)  # of columns that an insert leaves out
    keep: Callable[[Row], Row] = dict  # values as they are kept, of values as they are given

    def xtra(self, **scope: Any) -> Table:
        """A new handle that sees, makes and changes only rows with these values."""
        self._known(scope)
        return replace(self, scope={**self.scope, **scope})

    def __call__(
        self, where: str = "", args: Any = (), order_by: str = "", limit: int = -1, offset: int = 0
    ) -> list[Any]:
        """Rows that match; `where` and `order_by` are our own SQL, values go in `args`."""
        tail = f"{order_by and f' ORDER BY {order_by}'} LIMIT ? OFFSET ?"
        return [self.row(r) for r in self.select("*", where, [*args, limit, offset], tail)]

    def count(self, where: str = "", args: Any = ()) -> int:
        if len(self.scope) == 1 and not where:
            ((name, value),) = self.scope.items()
            every = self._census(quote(name))
            if every["low"] == every["high"] == value:
                return every["n"]
        return self.select("count(*) AS n", where, args)[0]["n"]

    def _census(self, name: str) -> Row:
        """All rows, whosever: SQLite counts a whole table 200 times as fast as a part of it."""
        table = self._table
        ends = f"(SELECT min({name}) FROM {table}) AS low, (SELECT max({name}) FROM {table})"
        return self.db.one(f"SELECT {ends} AS high, (SELECT count(*) FROM {table}) AS n")

    def keys(self, where: str = "", args: Any = (), order_by: str = "") -> list[Any]:
        """The keys of the rows that match, in order."""
        tail = order_by and f" ORDER BY {order_by}"
        return [row["key"] for row in self.select(f"{quote(self.pk)} AS key", where, args, tail)]

    def __getitem__(self, key: Any) -> Any:
        return self.row(self.raw(key))

    def __contains__(self, key: Any) -> bool:
        return bool(self._find(key))

    def raw(self, key: Any) -> Row:
        """The columns of one row as stored. Raises Missing."""
        found = self._find(key)
        if not found:
            what = f"{self.name.removeprefix('app_')} has no row {key!r} here."
            raise Missing(what, "It may be deleted: see History.")
        return found[0]

    def insert(self, record: Any = None, /, **values: Any) -> Any:
        """Add a row; returns it as stored."""
        new = {self.pk: None, **self.defaults, **self.scope, **self._values(record, values)}
        self._stay(new)
        names, marks = ", ".join(map(quote, new)), ", ".join("?" * len(new))
        sql = f"INSERT INTO {self._table} ({names}) VALUES ({marks}) RETURNING *"
        with self.db.change():
            after = self.db.execute(sql, [*new.values()])[0]
            self._log(None, after)
        return self.row(after)

    def update(self, record: Any = None, /, **values: Any) -> Any:
        """Change only the given columns of the row with this key. With `version` among the values

        a row changed since then is refused: Conflict with details "mine" and "theirs"."""
        new = self._values(record, values)
        key, seen = new.pop(self.pk, None), new.pop("version", None)
        with self.db.change():
            self.db.begin()
            before = after = self.raw(key)
            if seen is not None and int(seen) != before["version"]:
                raise Conflict(
                    "Somebody changed this row meanwhile; yours was not saved.",
                    "Compare the two, then save again or keep theirs.",
                    mine=new,
                    theirs={k: before[k] for k in new},
                    version=before["version"],
                )
            changed = {k: v for k, v in new.items() if before[k] != v}
            self._stay(changed)
            if changed:
                sets = [f"{quote(k)} = ?" for k in changed]
                sets += ["version = version + 1"] * ("version" in before)
                where, args = self._at(key)
                sql = f"UPDATE {self._table} SET {', '.join(sets)}{where} RETURNING *"
                after = self.db.execute(sql, [*changed.values(), *args])[0]
                self._log(before, after)
        return self.row(after)

    def upsert(self, record: Any = None, /, **values: Any) -> Any:
        """Update the row with this key, or insert it."""
        new = self._values(record, values)
        return self.update(new) if new.get(self.pk) in self else self.insert(new)

    def delete(self, key: Any) -> Any:
        """Remove a row and return it. Raises Missing."""
        where, args = self._at(key)
        with self.db.change():
            self.db.begin()
            before = self.raw(key)
            self.db.execute(f"DELETE FROM {self._table}{where}", args)
            self._log(before, None)
        return self.row(before)

    def insert_many(self, records: Sequence[Row]) -> range:
        """Add rows that all have the same columns, as stored; returns their ids, in order."""
        with self.db.change():
            self.db.begin()
            # as SQLite would: never the number of a row that was there, which undo may bring back
            given = "(SELECT seq FROM sqlite_sequence WHERE name = ?)"
            top = f"max(coalesce(max({quote(self.pk)}), 0), coalesce({given}, 0))"
            first = self.db.all(f"SELECT {top} + 1 AS n FROM {self._table}", [self.name])[0]["n"]
            ids = range(first, first + len(records))
            self.db.unindex(self.name, len(records))
            rows = [{**r, **self.scope, self.pk: key} for key, r in zip(ids, records, strict=True)]
            if not rows:
                return ids
            self._known(rows[0])
            names, marks = ", ".join(map(quote, rows[0])), ", ".join("?" * len(rows[0]))
            sql = f"INSERT INTO {self._table} ({names}) VALUES ({marks})"
            self.db.execute_many(sql, ([*row.values()] for row in rows))
            for row in rows:
                self._log(None, row)
        return ids

    def update_each(self, changes: Sequence[tuple[Row, Row]]) -> None:
        """Change many rows, each (as it was read, its own new values). Raises Conflict when one

        was changed since."""
        with self.db.change():
            self.db.begin()
            now = self.select(f"{quote(self.pk)} AS key, version", "", [])
            seen = {row["key"]: row["version"] for row in now}
            for before, new in changes:
                if seen.get(before[self.pk]) != before["version"]:
                    what = f"Row {before[self.pk]} of {self.name} changed meanwhile."
                    raise Conflict(what, "Nothing was saved; try again.")
                self._log(before, {**before, **new, "version": before["version"] + 1})
            by_columns: dict[tuple[str, ...], list[list[Any]]] = {}
            for before, new in changes:
                by_columns.setdefault((*new,), []).append([*new.values(), before[self.pk]])
            for names, rows in by_columns.items():
                sets = ", ".join(f"{quote(name)} = ?" for name in names)
                sql = f"UPDATE {self._table} SET {sets}, version = version + 1"
                self.db.execute_many(f"{sql} WHERE {quote(self.pk)} = ?", rows)

    def update_many(self, where: str, args: Any = (), /, **values: Any) -> int:
        """Give all rows that match these values; returns how many there were."""
        new = self._values(None, values)
        self._stay(new)
        sets = [*(f"{quote(k)} = ?" for k in new), "version = version + 1"]
        return self._write_many(f"UPDATE {self._table} SET {', '.join(sets)}", new, where, args)

    def delete_many(self, where: str, args: Any = ()) -> int:
        """Remove all rows that match; returns how many there were."""
        return self._write_many(f"DELETE FROM {self._table}", None, where, args)

    def _write_many(self, sql: str, new: Row | None, where: str, args: Any) -> int:
        with self.db.change():
            self.db.begin()
            found = self.select("*", where, args)
            if new is None:
                self.db.unindex(self.name, len(found))
            scoped, scope = self._where(where, args)
            self.db.execute(f"{sql}{scoped}", [*(new or {}).values(), *scope])
            for row in found:
                bumped = new and {**row, **new, "version": row["version"] + 1}
                self._log(row, bumped)
        return len(found)

    def _log(self, before: Row | None, after: Row | None) -> None:
        if self.logged:
            key = (after or before or {})[self.pk]
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

    def _where(self, where: str, args: Any) -> tuple[str, list[Any]]:
        parts = [*(f"{quote(name)} = ?" for name in self.scope), f"({where or 1})"]
        return f" WHERE {' AND '.join(parts)}", [*self.scope.values(), *args]

    def _at(self, key: Any) -> tuple[str, list[Any]]:
        return self._where(f"{quote(self.pk)} = ?", [key])

    def select(self, what: str, where: str = "", args: Any = (), tail: str = "") -> list[Row]:
        """SELECT what FROM the scoped rows that match; the SQL is our own, values go in `args`."""
        scoped, values = self._where(where, args)
        return self.db.all(f"SELECT {what} FROM {self._table}{scoped}{tail}", values)

    def _find(self, key: Any) -> list[Row]:
        return self.select("*", f"{quote(self.pk)} = ?", [key])


@dataclass
class Store:
    """One row of the settings table."""

    key: str
    value: str
    secret: int = 0
    scope: str = ""


class DictLikeDB(MutableMapping[str, Any]):
    """The dictionary face of a key-value table: DictLikeDB(table, Store). Values are JSON.

    Secrets are given only to who asks by name: items() and values() show "set, ends …1234"."""

    def __init__(self, store: Table, Store: type = Store):
        self.store, self.Store = store, Store

    def __getitem__(self, key: str) -> Any:
        return json.loads(self._raw(key)["value"])

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def set(self, key: str, value: Any, secret: bool = False) -> None:
        """Keep a JSON value; a key once secret stays secret."""
        hidden = secret or (key in self.store and self.store.raw(key)["secret"])
        self.store.upsert(vars(self.Store(key, dumps(value), int(hidden))) | self.store.scope)

    def __delitem__(self, key: str) -> None:
        self.store.delete(self._raw(key)["key"])

    def _raw(self, key: str) -> Row:
        if key not in self.store:
            raise KeyError(key)
        return self.store.raw(key)

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.items())

    def __len__(self) -> int:
        return self.store.count()

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]
        return [(row["key"], _shown(row)) for row in self.store(order_by="key")]

    def values(self) -> list[Any]:  # type: ignore[override]
        return [value for _, value in self.items()]


def _shown(row: Row) -> Any:
    value = json.loads(row["value"])
    return f"set, ends …{str(value)[8:][-4:]}" if row["secret"] else value
