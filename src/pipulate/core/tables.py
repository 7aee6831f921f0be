"""Scoped handles on tables with the MiniDataAPI verbs, and the dictionary face of the settings.

A handle is made per scope by `xtra`, which returns a new one; its values are SQL parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipulate.core.fields import dumps, to_column
from pipulate.core.problems import Conflict, Missing, Problem, nearest


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
    row: Callable[[dict[str, Any]], Any] = dict
    scope: Mapping[str, Any] = field(default_factory=dict)

    def xtra(self, **scope: Any) -> Table:
        """A new handle that sees, makes and changes only rows with these values."""
        self._known(scope)
        return replace(self, scope={**self.scope, **scope})

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


class DictLikeDB(MutableMapping[str, Any]):
    """The dictionary face of a key-value table: DictLikeDB(table, Store). Values are JSON.

    Secrets are given only to who asks by name: items() and values() show "set, ends …1234"."""

    def __init__(self, store: Table, Store: type = Store):
        self.store, self.Store = store, Store

    def __getitem__(self, key: str) -> Any:
        if key not in self.store:
            raise KeyError(key)
        return json.loads(self.store.raw(key)["value"])

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def set(self, key: str, value: Any, secret: bool = False) -> None:
        """Keep a JSON value; a key once secret stays secret."""
        known = self.store.raw(key)["secret"] if key in self.store else 0
        self.store.upsert(vars(self.Store(key, dumps(value), int(secret or known))) | self.store.scope)

    def __delitem__(self, key: str) -> None:
        if key not in self.store:
            raise KeyError(key)
        self.store.delete(key)

    def __iter__(self) -> Iterator[str]:
        return (row["key"] for row in self.store(order_by="key"))

    def __len__(self) -> int:
        return self.store.count()

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]
        return [(row["key"], _shown(row)) for row in self.store(order_by="key")]

    def values(self) -> list[Any]:  # type: ignore[override]
        return [value for _, value in self.items()]


def _shown(row: dict[str, Any]) -> Any:
    value = json.loads(row["value"])
    return f"set, ends …{str(value)[8:][-4:]}" if row["secret"] else value
