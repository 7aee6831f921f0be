"""Rows in: a file becomes rows of an app, all of them as one change, or none.

It is read and checked row by row before anything is written (Planner), then written in one short
transaction with one event, so that undo takes back the whole of it (carry_out).
"""

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipulate.apps.data import Data
from pipulate.apps.query import ID
from pipulate.core.fields import BLANK, MISSING, Field, File, Ref, Secret, Tags, to_column
from pipulate.core.problems import Invalid, Problem, nearest
from pipulate.core.sheets import Sheet, read_sheet
from pipulate.core.store import Row
from pipulate.core.tools import Caller, limited

MOST = 200_000  # rows of one import: they are held until all of them are checked
SECONDS = 600  # how long reading and checking may take
SHOWN = 50  # rows that are left out, named in a report
EMPTY = ("", None)
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Asked:
    """What to import. `columns`: {column of the file: field, "" to leave it out}, where that is

    not what the headings say; `match`: fields by which rows are found, to be updated."""

    path: Path
    match: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    header: bool = True
    sheet: str = ""
    raw: bool = False

    def open(self) -> Sheet:
        """The file's rows, from the first."""
        return read_sheet(self.path, self.sheet, self.header, self.raw)

    def fields(self, app: Data, columns: list[str]) -> dict[str, str]:
        """{column: field or ""} for every column. Raises Problem for names nobody has."""
        for name in self.columns:
            if name not in columns:
                raise Problem(f"The file has no column {name!r}.", nearest(name, columns))
        for name in (*self.match, *filter(None, self.columns.values())):
            if name not in app.fields and name != "id":
                raise Problem(f"{app.title} has no field {name!r}.", nearest(name, app.fields))
        chosen = guess(app, columns, self.header, "id" in self.match) | dict(self.columns)
        for name in app.fields:
            if (among := [*chosen.values()].count(name)) > 1:
                what = f"{among} columns of the file are to become {name!r}."
                raise Problem(what, "Leave out all but one.")
        for name in self.match:
            if name not in chosen.values():
                raise Problem(f"No column of the file is {name!r}.", "Match on another field.")
        return chosen


def guess(app: Data, columns: list[str], header: bool = True, by_id: bool = False):
    """{column: field or ""}, by name or label; without a heading in the order of the fields."""
    if not header:
        return dict(itertools.zip_longest(columns, [*app.fields][: len(columns)], fillvalue=""))
    known = {_plain(f.label): n for n, f in app.fields.items()} | {_plain(n): n for n in app.fields}
    known |= {"id": "id"} if by_id else {}
    found: dict[str, str] = {}
    for column in columns:
        name = known.get(_plain(column), "")
        found[column] = "" if name in found.values() else name
    return found


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


@dataclass
class Plan:
    """What an import would do; rows as stored columns. `skip`: (row of the file, {field: why})."""

    columns: dict[str, str]
    add: list[Row] = field(default_factory=list)
    update: list[tuple[Row, Row]] = field(
        default_factory=list
    )  # (the row as it is, its new values)
    unchanged: int = 0
    skip: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    def report(self, done: bool = False) -> Row:
        """{add, update, unchanged, skip, skipped: the first rows and why, columns, ignored}."""
        counts = {"add": len(self.add), "update": len(self.update), "unchanged": self.unchanged}
        return counts | {
            "skip": len(self.skip),
            "skipped": [{"row": number, "why": why} for number, why in self.skip[:SHOWN]],
            "columns": {column: name for column, name in self.columns.items() if name},
            "ignored": [column for column, name in self.columns.items() if not name],
            "done": done,
        }


class Planner:
    """Reads a file for an app: each row is to be added, to be updated, as it was, or refused."""

    def __init__(self, app, caller: Caller, asked: Asked):
        self.app, self.caller, self.match = app, caller, asked.match
        self.sheet = asked.open()
        self.plan = Plan(asked.fields(app, self.sheet.columns))
        if not any(self.plan.columns.values()):
            names = ", ".join(app.fields)
            what = f"No column of the file is a field of {app.title}."
            raise Problem(what, f"Say which is which; the fields: {names}.")
        named = enumerate(self.plan.columns.values())
        self.readers = [(n, name, self._reader(name)) for n, name in named if name]
        table = app.plain(caller)
        self.blank = dict.fromkeys(app.fields) | table.defaults
        self.needed = [n for n, f in app.fields.items() if f.required]
        self.known: dict[Any, list[Row]] = {}
        self.seen: dict[Any, int] = {}
        for row in table() if asked.match else ():
            self.known.setdefault(tuple(row[n] for n in asked.match), []).append(row)

    def run(self, tell: Tell) -> Plan:
        """Read to the end; `tell` hears now and then how many rows have been read."""
        for count, (number, cells) in enumerate(self.sheet.rows):
            if count == MOST:
                raise Problem(f"It has more than {MOST:,} rows.", "Split the file; import each.")
            if count % 2_000 == 0:
                tell(count)
            try:
                self._row(number, cells)
            except Invalid as problem:
                self.plan.skip.append((number, problem.details.get("fields") or {"": problem.what}))
        return self.plan

    def _reader(self, name: str) -> Callable[[Any], Any]:
        """A function from a cell to (value, as stored), or MISSING; what it saw it knows again."""
        field, typed = self.app.fields.get(name, ID), self.sheet.typed
        worded = field.kind.input in BLANK and (field.many or not field.choices)
        may_be_empty = field.optional or worded or typed

        def read(cell: Any) -> Any:
            if not may_be_empty and cell in EMPTY:
                return MISSING
            value = _value(field, cell, typed)
            if value is not None and field.type is Ref:
                value = self.app.referred(field, value, self.caller)
            if value is not None and field.type is File:
                self.app.house.files.resolve(value, self.caller)
            return value, to_column(value)

        shared = field.type not in (Tags, dict, list)  # a hook must not change what others hold
        return functools.lru_cache(4_096, typed=True)(read) if shared else read

    def _values(self, cells: list[Any]) -> tuple[Row, Row]:
        """(values, as stored) of one row. Raises Invalid."""
        values, stored, bad = {}, {}, {}
        if len(cells) > len(self.plan.columns):
            bad[""] = f"has {len(cells)} cells where the heading has {len(self.plan.columns)}"
        for index, name, read in self.readers:
            if index >= len(cells) or (cell := cells[index]) is MISSING:
                continue
            try:
                found = read(cell)
            except TypeError:  # a list or an object cannot be looked up again
                bad[name] = "cannot be a list or an object"
                continue
            except (ValueError, Problem) as error:
                bad[name] = str(error)
                continue
            if found is not MISSING:
                values[name], stored[name] = found
        if bad:
            raise Invalid("That row cannot be read.", fields=bad)
        return values, stored

    def _row(self, number: int, cells: list[Any]) -> None:
        values, stored = self._values(cells)
        known = self._known(number, stored)
        values.pop("id", None)
        stored.pop("id", None)
        if known is None:
            lacking = {name: "is needed" for name in self.needed if name not in values}
            if lacking:
                raise Invalid("That row lacks a value.", fields=lacking)
            self._check(values)
            self.plan.add.append(self.blank | stored)
        elif all(known[name] == value for name, value in stored.items()):
            self.plan.unchanged += 1
        else:
            self._check(values, known)
            self.plan.update.append((known, stored))

    def _known(self, number: int, stored: Row) -> Row | None:
        """The row of the app that this row of the file means. Raises Invalid when unclear."""
        key = tuple(stored.get(name) for name in self.match)
        if all(value in EMPTY for value in key):
            return None
        said = " and ".join(self.match)
        if (before := self.seen.setdefault(key, number)) != number:
            raise Invalid(f"row {before} of the file has the same {said}")
        found = self.known.get(key, [])
        if len(found) > 1:
            ids = ", ".join(str(row["id"]) for row in found[:5])
            raise Invalid(f"{len(found)} rows have this {said} (id {ids}): which is meant?")
        return found[0] if found else None

    def _check(self, values: Row, known: Row | None = None) -> None:
        if self.app.checks:
            fields = self.app.fields.items()
            whole = {n: f.load(known[n]) if known else f.load(self.blank[n]) for n, f in fields}
            self.app.checked(whole | values, self.caller)


def _value(field: Field, cell: Any, typed: bool) -> Any:
    """A cell as the field takes it: text as typed; a number in a column of text as its text."""
    if isinstance(cell, str) and not typed:
        return field.parse(cell)
    try:
        return field.check(cell)
    except ValueError:
        if not isinstance(cell, str | int | float):
            raise
    return field.parse(str(cell).lower() if isinstance(cell, bool) else str(cell))


def carry_out(app, caller: Caller, plan: Plan, source: str) -> Row:
    """Write what was planned: all of it, as one event, or nothing. Returns the report."""
    about = {"actor": caller.actor, "verb": "rows_import", "profile_id": caller.profile.id}
    db = app.house.db
    with db.change(**about, turn=caller.turn) as change:
        if not plan.add and not plan.update:
            return plan.report(done=True)
        db.begin()
        table = app.plain(caller)
        table.update_each([(row, _kept(app, new, caller)) for row, new in plan.update])
        if plan.add:
            top = table(order_by="position", limit=1)
            first = (top[0]["position"] if top else 0) - len(plan.add)
            new = (_kept(app, row, caller) for row in plan.add)
            table.insert_many([{**row, "position": first + n} for n, row in enumerate(new)])
        counts = f"{len(plan.add):,} added, {len(plan.update):,} changed"
        change.summary = f"Imported {app.title.lower()} from {source[:60]}: {counts}"
    return plan.report(done=True)


def _kept(app, row: Row, caller: Caller) -> Row:
    """A row with its files taken in and its secrets put away."""
    files = {n: app.taken_in(f, row[n], caller) for n, f in app.of_type(File).items() if row.get(n)}
    return app.stored(row | files) if files or app.of_type(Secret) else row


async def bring_in(
    app, caller: Caller, asked: Asked, source: str, dry_run: bool = False, tell: Tell = bool
) -> Row:
    """Plan an import and, unless it is a dry run, carry it out; both in a thread."""
    ready = await limited(lambda: Planner(app, caller, asked).run(tell), seconds=SECONDS)
    if dry_run:
        return ready.report()
    return await limited(carry_out, app, caller, ready, source, seconds=SECONDS)
