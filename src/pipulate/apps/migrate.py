"""An app's table follows its class: fields added, renamed, retyped, removed, after a backup.

What the class was when it last loaded is kept in the settings under `fields:TABLE`. A change that
would lose values is refused until somebody accepts exactly that change (its digest).
"""

from contextlib import suppress
import re
from typing import Any

from pipulate.apps.query import State, condition
from pipulate.core import backups
from pipulate.core.fields import KINDS, MISSING, Field, File, Ref, Secret, digest, dumps, to_column
from pipulate.core.kinds import NAMED
from pipulate.core.problems import Problem
from pipulate.core.store import Row, quote
from pipulate.core.tools import Caller

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
    own = {n: {"column": f.kind.column, "kind": _kind(f)} for n, f in app.fields.items()}
    wanted, order = {"fields": own, "shared": app.model.shared}, app.model.order
    db.forget(app.table_name)  # another process may have changed it
    with db.change():
        if settings.get(key) != wanted:
            db.begin()  # it may be doing so while this one waits
            _step(house, app, wanted | (settings.get(key) or {"fields": {}}), own)
            settings[key] = wanted
        try:
            if order.removeprefix("-") not in own:
                db.all(f"SELECT 1 FROM {app.table_name} ORDER BY {order} LIMIT 1")
        except Exception as error:
            what = f"{app.model.__name__}: the rows cannot be in the order {order!r} ({error})."
            hint = "Name a field, or write SQL of fields: julianday(day) + every."
            raise Problem(what, hint) from None


def _kind(field: Field) -> str:
    return f"{field.type.__name__} {field.target}".strip()


def _step(house, app, known: Row, own: dict[str, Row]) -> None:
    db, table = house.db, app.table_name
    columns = db.all("SELECT name, type FROM pragma_table_info(?)", (table,))
    there = {c["name"]: c["type"] for c in columns if c["name"] not in COLUMNS}
    was = {n: known["fields"].get(n) or _taken(own.get(n), c) for n, c in there.items()}
    if there and (was != own or known["shared"] != app.model.shared):
        Migration(house, app, was).run(known["shared"])
    db.define(table, COLUMNS | {n: f["column"] for n, f in own.items()})


def _taken(now: Row | None, column: str) -> Row:
    """What a column was of which no record tells (homes of version 0.1)."""
    if now and now["column"] == column:
        return now
    return {"column": column, "kind": {"INTEGER": "int", "REAL": "float"}.get(column, "str")}


class Migration:
    """From what a table's fields were ({name: {column, kind}}) to what the class says."""

    def __init__(self, house, app, was: dict[str, Row]):
        self.house, self.db, self.app, self.table = house, house.db, app, app.table_name
        new = ((n, f.renamed) for n, f in app.fields.items() if n not in was)
        self.renamed = {old: n for n, old in new if old in was}
        self.was = {self.renamed.get(name, name): kind for name, kind in was.items()}
        self.removed = [name for name in self.was if name not in app.fields]
        self.kinds = {n: _kind(f) for n, f in app.fields.items()}
        self.added = [name for name in self.kinds if name not in self.was]
        kept = (name for name in self.kinds if name in self.was)
        self.retyped = [name for name in kept if self.was[name]["kind"] != self.kinds[name]]

    def run(self, was_shared: bool) -> None:
        old = {new: old for old, new in self.renamed.items()}
        read = {name: self._converted(name, old.get(name, name)) for name in self.retyped}
        lost = {name: sum(new is MISSING for _, new in read[name]) for name in self.retyped}
        table = self.db.table(self.table)
        for name in self.removed:
            lost[name] = table.count(*condition(Field(name, str, KINDS[str]), "!="))
        self._ask({name: count for name, count in lost.items() if count})
        if table.count():
            label = f"before-{self.app.slug}".replace("_", "-")
            backups.backup(self.db, self.house.settings.folder("backups"), label)
        self._change(read)
        if was_shared != self.app.model.shared:
            key = 0 if self.app.model.shared else self.house.profiles.at().id
            self.db.execute(f"UPDATE {self.table} SET profile_id = ?", (key,))
        verbs = ("added", "renamed", "removed", "retyped")
        told = [f"{verb} {', '.join(getattr(self, verb))}" for verb in verbs if getattr(self, verb)]
        words = "; ".join(told) or "sharing"
        change, said = self.db.current, f"{self.app.title} follows its class: {words}"
        change.verb, change.target = "migrate", f"{change.target} {self.table}".strip()
        change.summary = f"{change.summary}; {said}" if change.summary else said

    def _ask(self, lost: dict[str, int]) -> None:
        asked = digest(dumps([self.table, self.was, self.kinds, lost]))[:16]
        if not lost or asked in self.house.accepted:
            return
        said = ", ".join(f"{count:,} of {name}" for name, count in lost.items())
        what = f"{self.app.model.__name__}: this change would lose values: {said}."
        then = "Nothing was changed. Put the field back (a new name: Renamed), or accept the loss"
        raise Problem(what, f"{then}; a backup is made first.", accept=asked)

    def _converted(self, name: str, old: str) -> list[tuple[int, Any]]:
        """[(id, new value)] of a column by way of its text; MISSING where that cannot be."""
        kind, _, target = self.was[name]["kind"].partition(" ")
        before = NAMED.get(kind, str)
        reader, field = Field(name, before, KINDS[before], target=target), self.app.fields[name]
        callers = {p.id: Caller("system", p) for p in self.house.profiles.all()}
        callers[0] = Caller("system", self.house.profiles.at())  # for rows that are shared
        what = f"id, profile_id, {quote(old)} AS value FROM {self.table}"
        rows = self.db.all(f"SELECT {what} WHERE {quote(old)} IS NOT NULL")
        return [(row["id"], self._value(reader, field, row, callers)) for row in rows]

    def _value(self, reader: Field, field: Field, row: Row, callers: dict[int, Caller]) -> Any:
        stored, caller = row["value"], callers.get(row["profile_id"], callers[0])
        try:
            text = reader.text(reader.load(stored))
            if reader.type is Ref:
                text = self.app.ref_names(caller, reader, [stored]).get(stored, text)
            if not text.strip():
                return None
            value = field.parse(re.sub(r"(?<=\d)\.0+$", "", text) if field.type is int else text)
            if field.type is Ref:
                return self.app.referred(field, value, caller)
            known = field.type is not File or re.fullmatch("file:[0-9]+", value)
            return value if known and reader.type is not Secret else MISSING
        except (ValueError, TypeError, Problem):
            return MISSING

    def _change(self, read: dict[str, list[tuple[int, Any]]]) -> None:
        table = self.table
        self._drop_indexes()
        for old, new in self.renamed.items():
            self.db.execute(f"ALTER TABLE {table} RENAME COLUMN {quote(old)} TO {quote(new)}")
        for name in self.removed + self.retyped:
            self.db.execute(f"ALTER TABLE {table} DROP COLUMN {quote(name)}")
        self.db.forget(table)
        columns = {n: self.app.fields[n].kind.column for n in self.added + self.retyped}
        self.db.define(table, columns)
        defaults = self.app.shelf(0).defaults
        rows = {row["id"]: defaults({}) for row in self.db.all(f"SELECT id FROM {table}")}
        for name, pairs in read.items():
            for key, value in pairs:
                if value not in (MISSING, None):
                    rows[key][name] = to_column(self.app.stored({name: value})[name])
        for name in columns:
            kept = [(new[name], key) for key, new in rows.items() if name in new]
            self.db.execute_many(f"UPDATE {table} SET {quote(name)} = ? WHERE id = ?", kept)
        if self.renamed:
            settings, key = self.house.settings_of(), f"renamed:{table}"
            known, now = settings.get(key) or {}, self.renamed
            settings[key] = {old: now.get(name, name) for old, name in known.items()} | now
            self._rename_in_views()

    def _rename_in_views(self) -> None:
        for profile in self.house.profiles.all():
            settings, key = self.house.settings_of(profile.id), f"views:{self.app.slug}"
            if views := settings.get(key):
                settings[key] = {view: self._renamed_in(said) for view, said in views.items()}

    def _renamed_in(self, view: str) -> str:
        now, state = self.renamed, State.of(view, self.app.named | self.renamed)
        name = state.sort.removeprefix("-")
        return state.query(
            filters={now.get(n, n): text for n, text in state.filters.items()},
            columns=tuple(now.get(n, n) for n in state.columns),
            sort=state.sort.removesuffix(name) + now.get(name, name),
        )

    def _drop_indexes(self) -> None:
        """What was made for search and order is made again when it is needed."""
        made = "SELECT type, name FROM sqlite_master WHERE type IN ('index', 'trigger')"
        for row in self.db.all(f"{made} AND tbl_name = ? AND sql IS NOT NULL", (self.table,)):
            self.db.execute(f"DROP {row['type']} {quote(row['name'])}")
        self.db.execute(f"DROP TABLE IF EXISTS {self.table}_fts")


def recast(app, row: Row) -> Row:
    """An older row of columns as the class has it now: values by way of their text, without those

    that do not fit; new fields have their default."""
    new = {name: value for name, value in row.items() if name not in app.fields}
    for name, field in app.fields.items():
        value = row.get(name, field.initial)
        if name in row and value is not None:
            value = _fitting(field, value)
        if value is not MISSING:
            new[name] = to_column(value)
    new["profile_id"] = 0 if app.model.shared else row["profile_id"] or app.house.profiles.at().id
    return new


def _fitting(field: Field, stored: Any) -> Any:
    text, whole = isinstance(stored, str), issubclass(field.type, int)
    own = stored in (0, 1) if field.type is bool else text != whole
    with suppress(ValueError, TypeError):
        if own and (isinstance(field.load(stored), list) or not field.many):
            return stored
    with suppress(ValueError, TypeError):
        return MISSING if field.type is Ref else field.parse(str(stored))
    return MISSING
