"""Rows in: a file becomes rows of an app, all of them as one change, or none."""

import contextlib
import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipulate.apps.query import ID
from pipulate.core.fields import BLANK, MISSING, Field, File, Ref, Secret, Tags, dumps, to_column
from pipulate.core.notations import NOTATIONS, agreed, plain
from pipulate.core.problems import Invalid, Problem, require
from pipulate.core.sheets import EMPTY, read_sheet
from pipulate.core.tables import AMONG, Row, quote
from pipulate.core.tools import Caller

MOST = 200_000  # rows of one import: they are held until all of them are checked
SECONDS = 600  # how long reading and checking may take
SHOWN = 50  # rows that are left out, named in a report


class Intake:
    """A file to be read for an app.

    `columns`: {column: field or ""} where its heading does not say it. `match`: fields by which
    rows to be updated are found. `header` None: found out; without one columns are taken in the
    order of the fields, with a `guess` also (`ordered`) where none is the name of a field.
    `notations`: {field: how its texts are written}, where a column leaves that open."""

    def __init__(
        self,
        app,
        caller: Caller,
        path: Path,
        match: Iterable[str] = (),
        columns: dict[str, str] | None = None,
        header: bool | None = True,
        guess: bool = False,
        notations: dict[str, str] | None = None,
        **how: Any,
    ):
        self.app, self.caller, self.match = app, caller, tuple(match)
        self.fields = {"id": ID, **app.fields}
        self.sheet = read_sheet(path, header=self._headed if header is None else header, **how)
        known = {_plain(name): name for name in (*self.match, *app.fields)}
        named = {column: known.pop(_plain(column), "") for column in self.sheet.columns}
        for column in named if guess else ():  # "Found on" may be the field found
            named[column] = named[column] or known.pop(_plain(column.partition(" ")[0]), "")
        unknown = not any(name in app.fields for name in named.values())
        self.ordered = guess and unknown and self.sheet.header
        if self.ordered or not self.sheet.header:
            free = (column for column in self.sheet.columns if column.lower() != "id")
            named |= zip(free, app.fields, strict=False)
        self.columns = named | (columns or {})
        self.notations = dict(notations or {})
        self.taken: list[tuple[int, Row]] = []  # (row of the file, its values as stored)
        self.known: dict[Any, list[Row]] = {}  # rows of the app, by what is matched
        self.seen: dict[Any, int] = {}  # rows of the file, by the same
        self.add: list[Row] = []
        self.update: list[tuple[Row, Row]] = []  # (the row as it is, its new values)
        # (row of the file, {field: why}, {field: what stands there})
        self.skip: list[tuple[int, dict[str, str], dict[str, str]]] = []
        self.unchanged = 0

    def _headed(self, rows: list[list[Any]]) -> bool:
        """The first row names a field, or is unlike the others wherever these are exact."""
        known = {*map(_plain, self.fields)}
        if any(_plain(str(cell)) in known for cell in rows[0]):
            return True
        unlike = []
        for field, cell, *below in itertools.zip_longest(self.app.fields.values(), *rows):
            some = [one for one in below if one not in EMPTY]
            if cell not in EMPTY and some and all(_exact(field, one) for one in some):
                unlike.append(not _exact(field, cell))
        return bool(unlike) and all(unlike)

    def _check_names(self) -> None:
        chosen, title = [name for name in self.columns.values() if name], self.app.title
        told = [name for name, field in self.fields.items() if field.type is not Secret]
        checks = [
            ("The file has no column", self.columns, self.sheet.columns),
            (f"{title} has no field", [*self.match, *chosen, *self.notations], self.fields),
            ("No column of the file is", self.match, chosen),
            ("No row is found by its", self.match, told),
        ]
        for name, how in self.notations.items():
            checks.append((f"{name} cannot be written with", [how], self.written(name)))
        for what, asked, names in checks:
            for name in map(str, asked):
                require(name, names, f"{what} {name!r}.", Problem)
        if not chosen:
            what = f"No column of the file is a field of {title}."
            raise Problem(what, f"Say which is which; the fields: {', '.join(self.app.fields)}.")
        name, count = Counter(chosen).most_common(1)[0]
        if count > 1:
            what = f"{count} columns of the file are to become {name!r}."
            raise Problem(what, "Leave out all but one.")

    def read(self, tell: Callable[[int], Any] = bool) -> Row:
        """Check every row; `tell` hears now and then how many were read. Returns report()."""
        self._check_names()
        if len(rows := [*itertools.islice(self.sheet.rows, MOST + 1)]) > MOST:
            raise Problem(f"It has more than {MOST:,} rows.", "Split the file; import each.")
        named = enumerate(self.columns.values())
        self.readers = [(n, name, self._reader(name, n, rows)) for n, name in named if name]
        self.defaults = self.app.plain(self.caller).defaults  # a function makes each row its own
        for start in range(0, len(rows), 2_000):
            tell(start)
            self._each(rows[:2_000], self._take)
            del rows[:2_000]  # they are held once
        if self.match:  # what the rows mean is looked up at once: the table may be large
            self._look_up({new.get(self.match[0]) for _, new in self.taken})
        self._each(self.taken, self._sort)
        self.taken.clear()
        self.skip.sort()
        return self.report()

    def _each(self, rows, work: Callable[[int, Any], None]) -> None:
        for number, row in rows:
            try:
                work(number, row)
            except Invalid as problem:
                said, why = problem.details, {"": problem.what}
                self.skip.append((number, said.get("fields") or why, said.get("was") or {}))

    def _look_up(self, keys: set[Any]) -> None:
        column, where, args = quote(self.match[0]), "", list[str]()
        if self.fields[self.match[0]].type not in (float, Decimal):  # JSON may round it
            where, args = f"{column} {AMONG}", [dumps([*keys])]
            where += f" OR {column} IS NULL" * (None in keys)
        for row in self.app.plain(self.caller)(where, args):
            self.known.setdefault(self._key(row), []).append(row)

    def _key(self, row: Row) -> tuple[Any, ...]:
        """What a row is found by, in which 1.50 is 1.5."""
        values = ((self.fields[name], row.get(name)) for name in self.match)
        return tuple(f.load(value) if f.type is Decimal else value for f, value in values)

    def report(self, done: bool = False) -> Row:
        """{add, update, unchanged, skip, skipped: the first rows, why, what was, columns, ignored,

        notations: {field: how its texts were read, where they are not plain}}."""
        named = {column: name for column, name in self.columns.items() if name}
        return {
            "add": len(self.add),
            "update": len(self.update),
            "unchanged": self.unchanged,
            "skip": len(self.skip),
            "skipped": [{"row": n, "why": why, "was": was} for n, why, was in self.skip[:SHOWN]],
            "columns": named,
            "ignored": [column for column in self.columns if column not in named],
            "notations": {n: how for n, how in self.notations.items() if n in named.values()},
            "done": done,
        }

    def written(self, name: str) -> Iterable[str]:
        return () if self.sheet.typed else NOTATIONS.get(self.fields.get(name, ID).type, ())

    def _agreed(self, name: str, index: int, rows) -> list[str]:
        if self.written(name) and name not in self.notations:
            cells = {c[index] for _, c in rows if index < len(c) and isinstance(c[index], str)}
            ways = agreed(self.fields[name].type, filter(str.strip, cells))
            if len(ways) != 1:
                return ways
            self.notations[name] = ways[0]
        return [self.notations[name]] if name in self.notations else []

    def _reader(self, name: str, index: int, rows) -> Callable[[Any], Any]:
        """From a cell to what is stored, or MISSING; what it saw it knows again."""
        field, typed = self.fields[name], self.sheet.typed
        ways = self._agreed(name, index, rows)
        worded = field.kind.input in BLANK and (field.many or not field.choices)
        may_be_empty = field.optional or worded or typed

        def read(cell: Any) -> Any:
            if not may_be_empty and cell in EMPTY:
                return MISSING
            if ways and isinstance(cell, str) and cell.strip():
                cell = plain(field.type, ways, cell)
            value = _value(field, cell, typed)
            if value is not None and field.type is Ref:
                value = self.app.referred(field, value, self.caller, elsewhere=True)
            if value is not None and field.type is File:
                self.app.house.files.resolve(value, self.caller)
                value = re.sub("(?<=^file:)([0-9]+) .*", r"\1", value)  # the name goes
            return to_column(value)

        size = MOST if field.type is Ref else 4_096  # each costs a look at the other app
        return read if field.type in (Tags, dict, list) else functools.lru_cache(size, True)(read)

    def _take(self, number: int, cells: list[Any]) -> None:
        stored, bad, was = {}, {}, {}
        if len(cells) > len(self.columns):
            bad[""] = f"has {len(cells)} cells where the heading has {len(self.columns)}"
        for index, name, read in self.readers:
            if index >= len(cells) or cells[index] is MISSING:
                continue
            try:
                if (value := read(cells[index])) is not MISSING:
                    stored[name] = value
            except TypeError:  # a list or an object cannot be looked up again
                bad[name] = "cannot be a list or an object"
            except (ValueError, Problem) as error:
                bad[name] = str(error)
                if self.fields[name].type is not Secret:
                    was[name] = str(cells[index])[:40]
        if bad:
            raise Invalid("That row cannot be read.", fields=bad, was=was)
        self.taken.append((number, stored))

    def _sort(self, number: int, new: Row) -> None:
        known = self._known(number, new)
        new.pop("id", None)
        if known and all(known[name] == value for name, value in new.items()):
            self.unchanged += 1
            return
        needed = (n for n, f in self.app.fields.items() if f.required and not known)
        if lacking := {name: "is needed" for name in needed if name not in new}:
            raise Invalid("That row lacks a value.", fields=lacking)
        row = (known or dict.fromkeys(self.app.fields) | self.defaults(new)) | new
        if self.app.checks:
            fields = self.app.fields.items()
            given = {n: new[n] for n, f in fields if f.type is Secret and n in new}
            self.app.checked({n: f.load(row[n]) for n, f in fields} | given, self.caller)
        if known:
            self.update.append((known, new))
        else:
            self.add.append(row)

    def _known(self, number: int, new: Row) -> Row | None:
        key = self._key(new)
        if all(value in EMPTY for value in key):
            return None
        said = " and ".join(self.match)
        if (before := self.seen.setdefault(key, number)) != number:
            raise Invalid(f"row {before} of the file has the same {said}")
        if len(found := self.known.get(key, [])) > 1:
            ids = ", ".join(str(row["id"]) for row in found[:5])
            raise Invalid(f"{len(found)} rows have this {said} (id {ids}): which is meant?")
        return found[0] if found else None

    def write(self, source: str) -> Row:
        """Save all of it, as one event, or nothing. Returns report()."""
        app, caller, db = self.app, self.caller, self.app.house.db
        if not self.add and not self.update:
            return self.report(done=True)
        with db.change(verb="rows_import", **caller.by) as change:
            db.begin()
            table = app.plain(caller)
            table.update_each([(row, self._kept(new)) for row, new in self.update])
            first = (table.select("min(position) AS top")[0]["top"] or 0) - len(self.add)
            rows = enumerate(map(self._kept, self.add))
            table.insert_many([row | {"position": first + n} for n, row in rows])
            counts = f"{len(self.add):,} added, {len(self.update):,} changed"
            change.summary = f"Imported {app.title.lower()} from {source[:60]}: {counts}"
        return self.report(done=True)

    def _kept(self, row: Row) -> Row:
        for name in self.app.of_type(File):
            if row.get(name):
                row[name] = self.app.house.files.take_in(row[name], self.caller)
        return self.app.stored(row)


def counted(report: Row, all: bool = False) -> str:
    """2 added · 1 left out; `all`: also what is 0."""
    added, changed = ("added", "changed") if report["done"] else ("to add", "to change")
    words = {"add": added, "update": changed, "unchanged": "as they are", "skip": "left out"}
    parts = [f"{report[key]:,} {word}" for key, word in words.items() if all or report[key]]
    return " · ".join(parts) or "There is nothing to import."


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _exact(field: Field | None, cell: Any) -> bool:
    """Whether it is a number, a day, or else what not every text could be."""
    if re.fullmatch(r"[\W\d_]*\d[\W\d_]*", str(cell)):
        return True
    return bool(field) and _takes(field, cell) and not _takes(field, "?")


def _takes(field: Field, cell: Any) -> bool:
    with contextlib.suppress(ValueError):
        return bool(agreed(field.type, [str(cell)]) or [_value(field, cell, False)])
    return False


def _value(field: Field, cell: Any, typed: bool) -> Any:
    if isinstance(cell, str) and not typed:
        return field.parse(cell)
    try:
        return field.check(cell)
    except ValueError:
        if not isinstance(cell, str | int | float):
            raise
    return field.parse(str(cell).lower() if isinstance(cell, bool) else str(cell))
