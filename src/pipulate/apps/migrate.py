"""An app's table follows its class: fields added, renamed, retyped, removed, after a backup.

What the class was when it last loaded is kept in the settings under `fields:TABLE`. A change that
would lose values is refused until somebody accepts exactly that change (its digest).
"""

import contextlib
import hashlib
from typing import Any

from pipulate.core import backups
from pipulate.core.fields import KINDS, MISSING, Field, dumps, to_column
from pipulate.core.problems import Problem
from pipulate.core.store import Row, quote

COLUMNS = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",  # a deleted row can come back under its number
    "profile_id": "INTEGER NOT NULL",
    "position": "REAL NOT NULL DEFAULT 0",
    "version": "INTEGER NOT NULL DEFAULT 1",
}


def define(house, app) -> None:
    """Make an app's table, or bring it in step with the class. Raises Problem when values would be

    lost, with `accept` (a digest) in its details; `house.accepted` holds those agreed to."""
    db, settings, key = house.db, house.settings_of(), f"fields:{app.table_name}"
    own = {n: {"column": f.kind.column, "kind": f.type.__name__} for n, f in app.fields.items()}
    wanted = {"fields": own, "shared": app.model.shared}
    if settings.get(key) != wanted:
        with db.change(verb="migrate", target=app.table_name):
            db.begin()  # another process may have done it while this one waited
            _step(house, app, settings.get(key) or {}, own)
            settings[key] = wanted
    if app.model.order.removeprefix("-") not in app.fields:
        db.all(f"SELECT 1 FROM {app.table_name} ORDER BY {app.model.order} LIMIT 1")


def _step(house, app, known: Row, own: dict[str, Row]) -> None:
    db, table, shared = house.db, app.table_name, app.model.shared
    db.forget(table)
    there = [name for name in db.columns(table) if name not in COLUMNS]
    was = {n: known.get("fields", {}).get(n) or own.get(n) or TEXT for n in there}
    if there and (was != own or known.get("shared", shared) != shared):
        Migration(house, app, was).run(known.get("shared", shared))
    db.define(table, COLUMNS | {n: f["column"] for n, f in own.items()})


TEXT = {"column": "TEXT", "kind": "str"}


class Migration:
    """From what a table's fields were ({name: {column, kind}}) to what the class says."""

    def __init__(self, house, app, was: dict[str, Row]):
        self.house, self.db, self.app, self.table = house, house.db, app, app.table_name
        self.renamed = {
            f.renamed: n for n, f in app.fields.items() if f.renamed in was and n not in was
        }
        self.was = {self.renamed.get(name, name): kind for name, kind in was.items()}
        self.removed = [name for name in self.was if name not in app.fields]
        kinds = {n: f.type.__name__ for n, f in app.fields.items()}
        self.retyped = [n for n, k in kinds.items() if n in self.was and self.was[n]["kind"] != k]
        self.added = [name for name in app.fields if name not in self.was]

    def run(self, was_shared: bool) -> None:
        old = {new: old for old, new in self.renamed.items()}
        read = {name: self._converted(name, old.get(name, name)) for name in self.retyped}
        lost = {name: sum(new is MISSING for _, new in read[name]) for name in self.retyped}
        lost |= {name: self._filled(name) for name in self.removed}
        self._ask({name: count for name, count in lost.items() if count})
        if self.db.one(f"SELECT 1 FROM {self.table} LIMIT 1"):
            label = f"before-{self.app.slug}".replace("_", "-")
            backups.backup(self.db, self.house.settings.folder("backups"), label)
        self._change(read)
        if was_shared != self.app.model.shared:
            self._move()
        said = {"added": self.added, "renamed": [*self.renamed], "removed": self.removed}
        said["retyped"] = self.retyped
        words = "; ".join(f"{verb} {', '.join(names)}" for verb, names in said.items() if names)
        self.db.current.summary = f"{self.app.title} follows its class: {words or 'sharing'}"

    def _ask(self, lost: dict[str, int]) -> None:
        digest = hashlib.sha256(dumps([self.table, self.was, lost]).encode()).hexdigest()[:16]
        if not lost or digest in self.house.accepted:
            return
        said = ", ".join(f"{count:,} of {name}" for name, count in lost.items())
        raise Problem(
            f"{self.app.model.__name__}: this change would lose values: {said}.",
            "Nothing was changed. Put the field back (a new name: Renamed), or accept the loss; "
            "a backup is made first.",
            accept=digest,
        )

    def _filled(self, name: str) -> int:
        """How many rows hold something in a column."""
        sql = f"SELECT count(*) AS n FROM {self.table} WHERE coalesce({quote(name)}, '') != ''"
        return self.db.all(sql)[0]["n"]

    def _converted(self, name: str, old: str) -> list[tuple[int, Any]]:
        """[(id, new value)] of a column by way of its text; MISSING where that cannot be."""
        kinds = {kind.__name__: kind for kind in KINDS}
        before = kinds.get(self.was[name]["kind"], str)
        reader, field = Field(name, before, KINDS[before]), self.app.fields[name]
        sql = f"SELECT id, {quote(old)} AS value FROM {self.table} WHERE {quote(old)} IS NOT NULL"
        return [(row["id"], _value(reader, field, row["value"])) for row in self.db.all(sql)]

    def _change(self, read: dict[str, list[tuple[int, Any]]]) -> None:
        table, fields = self.table, self.app.fields
        self._drop_indexes()
        for old, new in self.renamed.items():
            self.db.execute(f"ALTER TABLE {table} RENAME COLUMN {quote(old)} TO {quote(new)}")
        for name in self.removed + self.retyped:
            self.db.execute(f"ALTER TABLE {table} DROP COLUMN {quote(name)}")
        self.db.forget(table)
        columns = {n: fields[n].kind.column for n in self.added + self.retyped}
        self.db.define(table, columns)
        for name in self.added + self.retyped:
            default = fields[name].default
            if default not in (MISSING, None):
                self.db.execute(f"UPDATE {table} SET {quote(name)} = ?", (to_column(default),))
        for name, pairs in read.items():
            sql = f"UPDATE {table} SET {quote(name)} = ? WHERE id = ?"
            kept = [(to_column(v), key) for key, v in pairs if v not in (MISSING, None)]
            self.db.execute_many(sql, kept)
        if self.renamed:
            settings, key = self.house.settings_of(), f"renamed:{table}"
            settings[key] = (settings.get(key) or {}) | self.renamed

    def _drop_indexes(self) -> None:
        """What was made for search and order is made again when it is needed."""
        made = "SELECT type, name FROM sqlite_master WHERE type IN ('index', 'trigger')"
        for row in self.db.all(f"{made} AND tbl_name = ? AND sql IS NOT NULL", (self.table,)):
            self.db.execute(f"DROP {row['type']} {quote(row['name'])}")
        self.db.execute(f"DROP TABLE IF EXISTS {self.table}_fts")

    def _move(self) -> None:
        """Shared rows belong to profile 0; those no longer shared go to the first profile."""
        key = 0 if self.app.model.shared else self.house.profiles.at().id
        self.db.execute(f"UPDATE {self.table} SET profile_id = ?", (key,))


def _value(reader: Field, field: Field, stored: Any) -> Any:
    try:
        text = reader.text(reader.load(stored))
        return field.parse(text) if text.strip() else None
    except (ValueError, TypeError):
        return MISSING


def recast(app, row: Row) -> Row:
    """An older row of columns as the class has it now: values are read by way of their text, those

    that do not fit are left out, fields that are new have their default."""
    new = {name: value for name, value in row.items() if name not in app.fields}
    for name, field in app.fields.items():
        value = row.get(name, field.default)
        if name in row and value is not None:
            value = _fitting(field, value)
        if value is not MISSING:
            new[name] = to_column(value)
    return new


def _fitting(field: Field, stored: Any) -> Any:
    own = isinstance(stored, str) or not issubclass(field.type, str)
    with contextlib.suppress(ValueError, TypeError):
        if stored in (0, 1) if field.type is bool else own:
            field.load(stored)
            return stored
    with contextlib.suppress(ValueError, TypeError):
        return field.parse(str(stored))
    return MISSING
