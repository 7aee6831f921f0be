"""CRUD apps: a class with typed fields is a table, a page, tools and events.

    class Book(CrudApp):
        "Books to read."
        title: str
        rating: Annotated[int, Between(0, 5)] = 0

The class is the row: in a method, `self` is one row and `self.table` its profile's table.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from typing import Any, ClassVar

from fasthtml.components import FT

from pipulate.apps.base import Route, Visit, snake
from pipulate.apps.listing import PAGE, Listing
from pipulate.apps.markup import owned
from pipulate.core.fields import MISSING, Field, check_values, fields_of, make_field, to_column, to_json
from pipulate.core.problems import Problem
from pipulate.core.tables import quote
from pipulate.core.tools import Caller, Tool, limited, tool_of, tools_in

COLUMNS = {
    "id": "INTEGER PRIMARY KEY",
    "profile_id": "INTEGER NOT NULL",
    "position": "REAL NOT NULL DEFAULT 0",
    "version": "INTEGER NOT NULL DEFAULT 1",
}
ID = make_field("id", int)


class CrudApp:
    """The base of CRUD apps; annotated attributes are fields, the others are settings."""

    plural: ClassVar[str] = ""
    order: ClassVar[str] = "position"
    shared: ClassVar[bool] = False
    fields: ClassVar[dict[str, Field]] = {}
    extra_routes: ClassVar[list[Route]] = []

    def __init_subclass__(cls) -> None:
        hints = typing.get_type_hints(cls, include_extras=True)
        names = [n for n in cls.__dict__.get("__annotations__", {}) if not n.startswith("_")]
        reserved = {*COLUMNS, *dir(CrudApp), "table"}
        for name in names:
            if name in reserved:
                raise Problem(f"{cls.__name__}.{name}: the base class uses that name.", "Rename it.")
        made = (make_field(n, hints[n], getattr(cls, n, MISSING), f"{cls.__name__}.") for n in names)
        cls.fields = {**cls.fields, **{f.name: f for f in made}}
        if not cls.fields:
            raise Problem(f"{cls.__name__} has no fields.", "Add one, such as `title: str`.")
        cls.extra_routes = []

    def __init__(self, row: Mapping[str, Any], table=None):
        self.id, self.version = row["id"], row["version"]
        self.table = table
        for name, field in self.fields.items():
            setattr(self, name, field.load(row[name]))

    def check(self) -> None:
        """Raise Invalid to refuse this row before it is saved; the base accepts all."""

    def __ft__(self):
        """The row's content; the base class draws one cell per field."""
        return ", ".join(f.show(getattr(self, n)) for n, f in self.fields.items())

    def __str__(self) -> str:
        return str(getattr(self, next(iter(self.fields))))

    @classmethod
    def rt(cls, path: str, methods: list[str]) -> Callable[[Any], Any]:
        """A further route below the app's address: a function of table, profile and typed fields."""

        def add(function):
            run = functools.partial(_extra, cls, function)
            cls.extra_routes += [Route(m.upper(), path.strip("/"), run) for m in methods]
            return function

        return add


async def _extra(cls: type[CrudApp], function, visit: Visit):
    values: dict[str, Any] = {"table": visit.app.rows(visit.caller), "profile": visit.caller.profile}
    named, asked = inspect.signature(function).parameters, fields_of(function, *values)
    typed = {**visit.query, **visit.form, **visit.path}
    given = check_values(asked, {f.name: typed[f.name] for f in asked if f.name in typed}, text=True)
    values = {n: v for n, v in values.items() if n in named} | given
    result = await limited(functools.partial(function, **values))
    parts = result if isinstance(result, tuple) else (result,)
    parts = tuple(escape(p) if isinstance(p, str) else p for p in parts)
    parts = tuple(owned(p) if isinstance(p, FT) else p for p in parts)
    return parts[0] if len(parts) == 1 else parts


class Crud(Listing):
    """A CrudApp class at work in a house: its table, tools, page and routes."""

    def __init__(self, model: type[CrudApp]):
        self.model, self.fields = model, model.fields
        self.name = snake(model.__name__)
        plural = self.name if self.name.endswith("s") else f"{self.name}s"
        self.slug = snake(model.plural) or plural
        self.title = self.slug.replace("_", " ").capitalize()
        self.description = inspect.getdoc(model) if model.__doc__ else ""
        self.table_name = f"app_{self.slug}"
        self._frames: dict[str, str] = {}
        self.drawn = model.__ft__ is not CrudApp.__ft__  # the class draws its rows itself
        self.routes = self.page_routes()

    # -- the table ---------------------------------------------------------------------------

    def define(self, house) -> None:
        """Make the table, or add columns for fields it lacks."""
        columns = dict(COLUMNS)
        for name, field in self.fields.items():
            default = "" if field.default in (MISSING, None) else _literal(field.default)
            columns[name] = field.kind.column + default
        house.db.define(self.table_name, columns)
        house.db.all(f'SELECT 1 FROM "{self.table_name}" ORDER BY {self.model.order} LIMIT 1')
        self.house = house

    def rows(self, caller: Caller):
        """The scoped table; its rows are instances of the class."""
        profile_id = 0 if self.model.shared else caller.profile.id
        scoped = self.house.db.table(self.table_name, scoped=True).xtra(profile_id=profile_id)
        return replace(scoped, row=lambda row: self.model(row, scoped))

    def _checked(self, row: dict[str, Any], caller: Caller) -> None:
        """Run the class's own check on the row as it would be, before the write lock is taken."""
        stored = {"id": None, "version": 1, **dict.fromkeys(self.fields), **row}
        made = self.model.__new__(self.model)
        for name, value in stored.items():
            setattr(made, name, value)
        made.table = self.rows(caller)
        made.check()

    def find(self, caller: Caller, q: str = "", page: int = 1) -> tuple[list[Any], int]:
        """(rows of a page, how many match). q searches every text field."""
        where, args = "", []
        if q:
            like = "%" + re.sub(r"([\\%_])", r"\\\1", q) + "%"
            where = " OR ".join(f"CAST({quote(n)} AS TEXT) LIKE ? ESCAPE '\\'" for n in self.fields)
            args = [like] * len(self.fields)
        table, order = self.rows(caller), f"{self.model.order}, id"
        return table(where, args, order, PAGE, (page - 1) * PAGE), table.count(where, args)

    # -- tools -------------------------------------------------------------------------------

    def tools(self, house) -> list[Tool]:
        """book_list book_get book_add book_update book_delete book_move and those marked @tool."""
        n, some = self.name, self.name.replace("_", " ")
        every, about = tuple(self.fields.values()), self.description.split("\n")[0]
        version = make_field("version", int, None)
        made = [
            tool_of(self._list, f"{n}_list", f"List or search {self.title}. {about}", "read"),
            tool_of(self._get, f"{n}_get", f"One {some} by id.", "read"),
            Tool(f"{n}_add", f"Add a {some}. {about}", "write", every, self._add),
            tool_of(self._delete, f"{n}_delete", f"Delete a {some}; can be undone."),
            tool_of(self._move, f"{n}_move", f"Put a {some} behind another, or first."),
        ]
        about, fields = f"Change the given fields of a {some}.", (ID, version, *every)
        made.append(Tool(f"{n}_update", about, "write", fields, self._update, partial=True))
        return made + [self._method_tool(*marked) for marked in tools_in(self.model)]

    def _method_tool(self, name: str, method) -> Tool:
        def run(caller: Caller, id: int, **values):
            return method(self.rows(caller)[id], **values)

        said, fields = (inspect.getdoc(method) or name).split("\n")[0], (ID, *fields_of(method))
        return Tool(f"{self.name}_{name}", said, method.tool_kind, fields, run)

    def as_json(self, row: CrudApp) -> dict[str, Any]:
        values = {n: to_json(getattr(row, n)) for n in self.fields}
        return {"id": row.id, **values, "version": row.version}

    def _list(self, caller: Caller, q: str = "", page: int = 1) -> dict[str, Any]:
        page = min(max(1, page), 10**9)
        rows, count = self.find(caller, q, page)
        return {"rows": [self.as_json(r) for r in rows], "count": count, "page": page}

    def _get(self, caller: Caller, id: int) -> dict[str, Any]:
        return self.as_json(self.rows(caller)[id])

    def _said(self, verb: str, row: CrudApp) -> None:
        if change := self.house.db.current:
            change.summary = f"{verb} {self.name.replace('_', ' ')} “{str(row)[:80]}”"

    def _add(self, caller: Caller, **values) -> dict[str, Any]:
        self._checked(values, caller)
        table = self.rows(caller)
        first = table(order_by="position", limit=1)
        top = table.db.one(f'SELECT min(position) AS p FROM "{self.table_name}"') if first else None
        row = table.insert(**values, position=(top["p"] if top else 0) - 1)
        self._said("Added", row)
        return self.as_json(row)

    def _update(self, caller: Caller, id: int, **values) -> dict[str, Any]:
        if values.get("version", 0) is None:
            del values["version"]
        table = self.rows(caller)
        old = table[id]
        self._checked({**vars(old), **values}, caller)
        row = table.update(id=id, **values)
        self._said("Changed", row)
        return self.as_json(row)

    def _delete(self, caller: Caller, id: int) -> dict[str, Any]:
        row = self.rows(caller).delete(id)
        self._said("Deleted", row)
        return {"deleted": self.as_json(row), "undo": "undo takes it back"}

    def _move(self, caller: Caller, id: int, after: int | None = None) -> dict[str, Any]:
        table = self.rows(caller)
        where, args = "id != ?", [id]
        start = float("-inf")
        if after is not None:
            start = table.raw(after)["position"]
            where, args = "position > ? AND id != ?", [start, id]
        nxt = table.raw(found[0].id)["position"] if (found := table(where, args, "position", 1)) else None
        if after is None:
            place = (nxt or 0.0) - 1
        else:
            place = start + 1 if nxt is None else (start + nxt) / 2
        if place in (start, nxt):  # no number is left between the two
            for n, row in enumerate(table(order_by="position, id")):
                table.update(id=row.id, position=n)
            return self._move(caller, id, after)
        row = table.update(id=id, position=place)
        self._said("Moved", row)
        return self.as_json(row)


def _literal(value) -> str:
    plain = to_column(value)
    if isinstance(plain, str):
        plain = "'" + plain.replace("'", "''") + "'"
    return f" DEFAULT {plain}"
