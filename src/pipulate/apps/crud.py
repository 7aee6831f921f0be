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
from html import escape
from typing import Any, ClassVar
from urllib.parse import quote

from fasthtml.components import A, Button, Div, Form, H1, Header, Input, Nav, NotStr, P, Section
from fasthtml.components import Span, Table, Tbody, Td, Th, Thead, Tr

from pipulate.apps.base import Go, Refusal, Route, Visit, snake
from pipulate.apps.markup import field_input, html, labelled, notice
from pipulate.core.fields import MISSING, Field, check_values, fields_of, make_field, to_json
from pipulate.core.problems import Conflict, Invalid, Problem
from pipulate.core.tools import Caller, Tool, limited, tool_of, tools_in

PAGE = 50  # rows of one page
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
    return await limited(functools.partial(function, **values))


class Crud:
    """A CrudApp class at work in a house: its table, tools, page and routes."""

    def __init__(self, model: type[CrudApp]):
        self.model, self.fields = model, model.fields
        self.name = snake(model.__name__)
        plural = self.name if self.name.endswith("s") else f"{self.name}s"
        self.slug = snake(model.plural) or plural
        self.title = self.slug.replace("_", " ").capitalize()
        self.description = inspect.getdoc(model) if model.__doc__ else ""
        self.table_name = f"app_{self.slug}"
        self._row_parts: dict[str, tuple[str, list[str]]] = {}
        self.routes = [
            Route("GET", "", self.page),
            Route("POST", "", self.add),
            *model.extra_routes,
            Route("POST", "{id}/move", self.move),
            Route("GET", "{id}", self.show),
            Route("PATCH", "{id}", self.edit),
            Route("DELETE", "{id}", self.delete),
            Route("GET", "{id}/{field}", self.show),
        ]

    # -- the table ---------------------------------------------------------------------------

    def define(self, house) -> None:
        """Make the table, or add columns for fields it lacks."""
        columns = dict(COLUMNS)
        for name, field in self.fields.items():
            default = "" if field.default in (MISSING, None) else _literal(field.default)
            columns[name] = field.kind.column + default
        house.db.define(self.table_name, columns)
        self.house = house

    def rows(self, caller: Caller):
        """The scoped table; its rows are instances of the class."""
        profile_id = 0 if self.model.shared else caller.profile.id
        scoped = self.house.db.table(self.table_name, scoped=True).xtra(profile_id=profile_id)
        return type(scoped)(**{**scoped.__dict__, "row": lambda row: self.model(row, scoped)})

    def _checked(self, row: dict[str, Any], caller: Caller) -> None:
        """Run the class's own check on the row as it would be, before the write lock is taken."""
        stored = {**dict.fromkeys(self.fields), **row}
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
            where = " OR ".join(f"CAST({n} AS TEXT) LIKE ? ESCAPE '\\'" for n in self.fields)
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
        rows, count = self.find(caller, q, max(1, page))
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
        self._checked({n: getattr(old, n) for n in self.fields} | values, caller)
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
        row = table.update(id=id, position=place)
        self._said("Moved", row)
        return self.as_json(row)

    # -- the page ----------------------------------------------------------------------------

    async def page(self, visit: Visit):
        """The list with its add form; ?q= searches, ?page= pages."""
        q, shown = visit.query.get("q", ""), visit.query.get("page", "1")
        page = max(1, int(shown) if shown.isdecimal() and len(shown) < 9 else 1)
        rows, count = await limited(self.find, visit.caller, q, page)
        listed = await limited(self._listing, visit, rows, count, q, page)
        if visit.partial:
            return listed
        search = Input(
            type="search",
            name="q",
            value=q,
            placeholder=f"Search {self.title.lower()}",
            aria_label=f"Search {self.title}",
            hx_get=visit.base,
            hx_trigger="input changed delay:250ms, search",
            hx_target="#listing",
            hx_push_url="true",
        )
        head = Header(Div(H1(self.title), P(self.description.split("\n")[0])), search, cls="head")
        return Section(head, self.add_form(visit), listed, cls="crud")

    def add_form(self, visit: Visit, typed: Mapping[str, str] | None = None, bad=None):
        """The form for a new row, with what was typed and the messages when it was refused."""
        bad, typed = bad or {}, typed or {}
        boxes = [
            labelled(f, typed.get(n, f.show(f.default)), bad.get(n, ""), autofocus=not i or None)
            for i, (n, f) in enumerate(self.fields.items())
        ]
        send = Button("Add", type="submit")
        other = "; ".join(why for name, why in bad.items() if name not in self.fields)
        note = P(other, cls="error", role="alert") if other else ""
        attrs = {"hx_post": visit.base, "hx_swap": "none", "id": "add", "cls": "add"}
        return Form(*boxes, send, note, **attrs, novalidate=True)

    def _listing(self, visit: Visit, rows: list[Any], count: int, q: str, page: int):
        heads = [Th(f.label, scope="col") for f in self.fields.values()]
        if self.model.__ft__ is not CrudApp.__ft__:
            heads = [Th(self.title, scope="col")]
        sortable = {"data_sortable": visit.base} if self.model.order == "position" and not q else {}
        body = NotStr("".join(self.row_html(r, visit.base) for r in rows))
        table = Table(
            Thead(Tr(Th(cls="grip"), *heads, Th(cls="actions"))),
            Tbody(body, id="rows", **sortable),
            hx_target="closest tr",
            hx_swap="outerHTML",
            cls="rows",
        )
        empty = f"Nothing matches “{q}”." if q else f"No {self.title.lower()} yet. Add the first above."
        return Div(table, P(empty, cls="empty"), self._pager(visit, count, q, page), id="listing")

    def _pager(self, visit: Visit, count: int, q: str, page: int):
        last = max(1, -(-count // PAGE))

        def to(number: int, text: str):
            address = f"{visit.base}?page={number}" + (f"&q={quote(q)}" if q else "")
            return A(text, href=address, hx_get=address, hx_target="#listing", hx_push_url="true")

        back = to(page - 1, "← Newer") if page > 1 else ""
        more = to(page + 1, "More →") if page < last else ""
        where = f"Page {page:,} of {last:,} · " if last > 1 else ""
        return Nav(back, Span(where, Span(f"{count:,} in all", id="count")), more, cls="pager")

    def _count(self, caller: Caller):
        """The number of rows, out of band, after one came or went."""
        return Span(f"{self.rows(caller).count():,} in all", id="count", hx_swap_oob="true")

    def row_html(self, row: CrudApp, base: str, edit: str = "", typed: str = "", why: str = "") -> str:
        """One row as HTML; `edit` names the field shown as an input. Filled from a row built once as

        elements with sentinels: elements are slow (design.md §4, Rendering)."""
        if type(row).__ft__ is not CrudApp.__ft__:
            cells = f'<td colspan="{1}">{html(row.__ft__())}</td>' if not edit else None
            own = cells or self._editor(row, base, edit, typed, why)
            return self._container(base)[0].replace("\0id\0", str(row.id)).replace("\0cells\0", own)
        shell, order = self._container(base)
        cells = "".join(
            self._editor(row, base, n, typed, why) if n == edit else self._cell(row, base, n)
            for n in order
        )
        return shell.replace("\0id\0", str(row.id)).replace("\0cells\0", cells)

    def _container(self, base: str) -> tuple[str, list[str]]:
        if base not in self._row_parts:
            grip = Td(Button("⠿", cls="link", title="Drag, or Alt+↑ / Alt+↓"), cls="grip")
            erase = {"hx_delete": f"{base}/\0id\0", "aria_label": "Delete", "title": "Delete"}
            row = Tr(
                grip,
                NotStr("\0cells\0"),
                Td(Button("✕", cls="link", **erase), cls="actions"),
                id=f"{self.name}-\0id\0",
            )
            self._row_parts[base] = html(row), list(self.fields)
        return self._row_parts[base]

    def _cell(self, row: CrudApp, base: str, name: str) -> str:
        field, value = self.fields[name], getattr(row, name)
        head = f'<td data-label="{field.label}">'
        if field.type is bool:
            on = " checked" if value else ""
            flip = f'{{"{name}":"{str(not value).lower()}","version":"{row.version}"}}'
            return (
                f'{head}<input type="checkbox" aria-label="{field.label}"{on} '
                f"hx-patch=\"{base}/{row.id}\" hx-trigger=\"change\" hx-vals='{flip}'></td>"
            )
        shown = escape(field.show(value)) or '<span class="none">–</span>'
        return f'{head}<button class="cell" hx-get="{base}/{row.id}/{name}">{shown}</button></td>'

    def _editor(self, row: CrudApp, base: str, name: str, typed: str, why: str) -> str:
        field = self.fields[name]
        shown = typed if why else field.show(getattr(row, name))
        version = Input(type="hidden", name="version", value=str(row.version))
        box = field_input(field, shown, why, autofocus=True, data_cancel=f"{base}/{row.id}")
        note = Span(why, cls="error", role="alert") if why else ""
        save = {"hx_patch": f"{base}/{row.id}", "hx_trigger": "submit, change", "cls": "edit"}
        return html(Td(Form(box, version, note, **save, novalidate=True), data_label=field.label))

    # -- routes ------------------------------------------------------------------------------

    async def add(self, visit: Visit):
        """A new row: a clean form comes back, the row is put at the top of the list."""
        known = {n: t for n, t in visit.form.items() if n in self.fields}
        try:
            made = await visit.call(f"{self.name}_add", text=known)
        except Invalid as problem:
            bad = problem.details.get("fields", {"": str(problem)})
            return Refusal(self.add_form(visit, visit.form, bad), target="#add")
        if not visit.partial:
            return Go(visit.base)
        row = self.row_html(self.rows(visit.caller)[made["id"]], visit.base)
        new = NotStr(f'<tbody hx-swap-oob="afterbegin:#rows">{row}</tbody>')
        return new, self._count(visit.caller)

    async def show(self, visit: Visit):
        """A row; with a field in the address that cell is an input."""
        row = self.rows(visit.caller)[_id(visit)]
        name = visit.path.get("field", "")
        return NotStr(self.row_html(row, visit.base, name if name in self.fields else ""))

    async def edit(self, visit: Visit):
        """Save the fields sent; refused input stays in its cell with the reason."""
        key = _id(visit)
        typed = {n: t for n, t in visit.form.items() if n in self.fields or n == "version"}
        name = next((n for n in typed if n in self.fields), "")
        try:
            await visit.call(f"{self.name}_update", text=typed, id=key)
        except (Invalid, Conflict) as problem:
            row = self.rows(visit.caller)[key]
            why = problem.details.get("fields", {}).get(name) or problem.what
            if isinstance(problem, Conflict):
                theirs = self.fields[name].show(getattr(row, name))
                why = f"Changed meanwhile to “{theirs}”. Yours is kept here: save again or Escape."
            cell = self.row_html(row, visit.base, name, typed.get(name, ""), why)
            return Refusal(NotStr(cell), problem.status)
        return NotStr(self.row_html(self.rows(visit.caller)[key], visit.base))

    async def delete(self, visit: Visit):
        """Remove a row; the notice offers Undo."""
        gone = await visit.call(f"{self.name}_delete", id=_id(visit))
        event = self.house.events.recent(visit.caller.profile.id, 1)[0]["id"]
        first = str(gone["deleted"][next(iter(self.fields))])[:60]
        undo = f"/{visit.caller.profile.slug}/undo/{event}"
        return notice(f"Deleted “{first}”.", undo), self._count(visit.caller)

    async def move(self, visit: Visit):
        """Put a row behind the one named in `after` (empty: first)."""
        after = visit.form.get("after", "")
        await visit.call(f"{self.name}_move", text={"after": after}, id=_id(visit))
        return ""

    def live(self, house, profile, event: dict[str, Any]) -> str:
        """The rows an event changed, as out-of-band fragments for tabs that show this app."""
        base, parts = f"/{profile.slug}/{self.slug}", []
        for image in event["images"][:20]:
            if image["table"] != self.table_name:
                continue
            if image["after"] is None:
                parts.append(f'<tr id="{self.name}-{image["id"]}" hx-swap-oob="delete"></tr>')
                continue
            row = self.row_html(self.model(image["after"]), base)
            if image["before"] is None:
                parts.append(f'<tbody hx-swap-oob="afterbegin:#rows">{row}</tbody>')
            else:
                parts.append(row.replace("<tr ", '<tr hx-swap-oob="true" ', 1))
        count = self._count(Caller("system", profile))
        return "".join(parts) + html(count) if parts else ""


def _id(visit: Visit) -> int:
    shown = visit.path["id"]
    return int(shown) if shown.isdecimal() and len(shown) < 19 else -1


def _literal(value) -> str:
    plain = to_json(value)
    if isinstance(plain, str):
        plain = "'" + plain.replace("'", "''") + "'"
    return f" DEFAULT {int(plain) if isinstance(plain, bool) else plain}"
