"""The page of a CRUD app: the list, its add form, cells edited in place, and what tabs are sent."""

import functools
from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from fasthtml.components import H1, A, Button, Div, Form, Header, Input, Nav, NotStr, P, Section
from fasthtml.components import Span, Table, Tbody, Td, Th, Thead, Tr

from pipulate.apps.base import Go, Refusal, Route, Visit
from pipulate.apps.markup import field_input, html, labelled, notice, owned
from pipulate.core.problems import Conflict, Invalid
from pipulate.core.store import Row
from pipulate.core.tools import Caller, limited

PAGE = 50  # rows of one page
TURN = {"hx_target": "#listing", "hx_swap": "outerHTML", "hx_push_url": "true"}


class Listing:
    """What Crud shows: it has the table (`rows`, `find`) and the tools, this has the elements."""

    def __init__(self):
        self._frame = functools.lru_cache(self._frame)
        self._top = functools.lru_cache(self._top)
        self.routes = [
            Route("GET", "", self.page),
            Route("POST", "", self.add),
            *self.model.extra_routes,  # before those with {id}
            Route("POST", "{id}/move", self.move),
            Route("GET", "{id}", self.show),
            Route("PATCH", "{id}", self.edit),
            Route("DELETE", "{id}", self.delete),
            Route("GET", "{id}/{field}", self.show),
        ]

    async def page(self, visit: Visit):
        """The list with its add form; ?q= searches, ?page= pages."""
        q, shown = visit.query.get("q", ""), visit.query.get("page", "1")
        page = max(1, int(shown) if shown.isdecimal() and len(shown) < 9 else 1)
        listed = await limited(self._listing, visit, q, page)
        if visit.partial:
            return listed
        return Section(NotStr(self._top(visit.base, q)), listed, cls="crud")

    def _top(self, base: str, q: str) -> str:
        """Heading, search box and add form."""
        search = Input(
            type="search",
            name="q",
            value=q,
            placeholder=f"Search {self.title.lower()}",
            aria_label=f"Search {self.title}",
            hx_get=base,
            hx_trigger="input changed delay:250ms, search",
            **TURN,
        )
        head = Header(Div(H1(self.title), P(self.description.split("\n")[0])), search, cls="head")
        return html(head, self.add_form(base))

    def add_form(self, base: str, typed: Mapping[str, str] = {}, bad: Mapping[str, str] = {}):
        """The form for a new row, with what was typed and the messages when it was refused."""
        boxes = []
        for name, f in self.fields.items():
            shown = typed.get(name, f.show(f.default))
            boxes.append(labelled(f, shown, bad.get(name, ""), autofocus=not boxes))
        other = "; ".join(why for name, why in bad.items() if name not in self.fields)
        note = P(other, cls="error", role="alert") if other else ""
        attrs = {"hx_post": base, "hx_swap": "none", "id": "add", "cls": "add"}
        return Form(*boxes, Button("Add", type="submit"), note, **attrs, novalidate=True)

    def _listing(self, visit: Visit, q: str, page: int):
        rows, count = self.find(visit.caller, q, page)
        heads = [self.title] if self.drawn else [f.label for f in self.fields.values()]
        heads = [Th(head, scope="col") for head in heads]
        sortable = {"data_sortable": visit.base} if self.model.order == "position" and not q else {}
        body = NotStr("".join(self.row_html(r, visit.base) for r in rows))
        table = Table(
            Thead(Tr(Th(cls="grip"), *heads, Th(cls="actions"))),
            Tbody(body, id="rows", **sortable),
            hx_target="closest tr",
            hx_swap="outerHTML",
            cls="rows",
        )
        empty = f"No {self.title.lower()} yet. Add the first above."
        empty = P(f"Nothing matches “{q}”." if q else empty, cls="empty")
        return Div(table, empty, self._pager(visit.base, count, q, page), id="listing")

    def _pager(self, base: str, count: int, q: str, page: int):
        last = max(1, -(-count // PAGE))

        def to(number: int, text: str):
            address = f"{base}?page={number}" + (f"&q={quote(q)}" if q else "")
            return A(text, href=address, hx_get=address, **TURN)

        where = f"Page {page:,} of {last:,} · " if last > 1 else ""
        return Nav(
            to(page - 1, "← Newer") if page > 1 else "",
            Span(where, _count(count, "found" if q else "in all")),
            to(page + 1, "More →") if page < last else "",
            cls="pager",
        )

    def _counted(self, caller: Caller):
        """The number of rows, out of band, after one came or went."""
        return _count(self.rows(caller).count(), hx_swap_oob="true")

    def row_html(self, row, base: str, edit="", typed: Mapping = {}, bad: Mapping = {}) -> str:
        """One row as HTML; `edit` names the field shown as an input, "*" all of them. The frame is

        drawn as elements once and filled as text: elements are slow (design.md §4, Rendering)."""
        if edit == "*":
            cells = self._editor(row, base, [*self.fields], typed, bad)
        elif self.drawn:
            cells = html(owned(Td(row.__ft__())))
        else:
            cells = "".join(
                self._editor(row, base, [n], typed, bad) if n == edit else self._cell(row, base, n)
                for n in self.fields
            )
        return self._frame(base).replace("\0id\0", str(row.id)).replace("\0cells\0", cells)

    def _frame(self, base: str) -> str:
        one = f"{base}/\0id\0"
        grip = Td(Button("⠿", cls="link", title="Drag, or Alt+↑ / Alt+↓"), cls="grip")
        pen = Button("✎", cls="link", hx_get=f"{one}/*", aria_label="Edit") if self.drawn else ""
        erase = Button("✕", cls="link", hx_delete=one, aria_label="Delete", title="Delete")
        tail = Td(pen, erase, cls="actions")
        return html(Tr(grip, NotStr("\0cells\0"), tail, id=f"{self.name}-\0id\0"))

    def _cell(self, row, base: str, name: str) -> str:
        field, value, at = self.fields[name], getattr(row, name), f"{base}/{row.id}"
        if field.type is bool:
            on = " checked" if value else ""
            flip = f'{{"{name}":"{str(not value).lower()}","version":"{row.version}"}}'
            inner = (
                f'<input type="checkbox" aria-label="{field.label}"{on} '
                f'hx-patch="{at}" hx-trigger="change" hx-vals=\'{flip}\'>'
            )
        else:
            shown = escape(field.show(value)) or '<span class="none">–</span>'
            inner = f'<button class="cell" hx-get="{at}/{name}">{shown}</button>'
        return f'<td data-label="{field.label}">{inner}</td>'

    def _editor(self, row, base: str, names: list[str], typed: Mapping, bad: Mapping) -> str:
        """A form for some fields of a row in one cell; Enter saves, Escape leaves."""
        at, parts, whole = f"{base}/{row.id}", [], len(names) > 1
        for name in names:
            field, draw = self.fields[name], labelled if whole else field_input
            shown = typed.get(name, field.show(getattr(row, name)))
            attrs = {"autofocus": not parts, "data_cancel": at}
            parts.append(draw(field, shown, bad.get(name, ""), **attrs))
        if whole:
            parts.append(Button("Save"))
        elif bad:
            parts.append(Span(*bad.values(), cls="error", role="alert"))
        form = Form(
            *parts,
            Input(type="hidden", name="version", value=str(row.version)),
            hx_patch=at,
            hx_trigger="submit" if whole else "submit, change",
            cls="edit",
            novalidate=True,
        )
        span = len(self.fields) if whole and not self.drawn else None
        return html(Td(form, colspan=span, data_label=self.fields[names[0]].label))

    # -- routes

    async def add(self, visit: Visit):
        """A new row: a clean form comes back, the row is put at the top of the list."""
        known = {n: t for n, t in visit.form.items() if n in self.fields}
        try:
            made = await visit.call(f"{self.name}_add", text=known)
        except Invalid as problem:
            bad = problem.details.get("fields", {"": str(problem)})
            return Refusal(self.add_form(visit.base, visit.form, bad), target="#add")
        if not visit.partial:
            return Go(visit.base)
        row = self.row_html(self.rows(visit.caller)[made["id"]], visit.base)
        new = NotStr(f'<tbody hx-swap-oob="afterbegin:#rows">{row}</tbody>')
        return new, self._counted(visit.caller)

    async def show(self, visit: Visit):
        """A row; with a field in the address that cell is an input."""
        return self._shown(visit, visit.path.get("field", ""))

    def _shown(self, visit: Visit, *edit):
        return NotStr(self.row_html(self.rows(visit.caller)[visit.number("id")], visit.base, *edit))

    async def edit(self, visit: Visit):
        """Save the fields sent; refused input stays in its cell with the reason."""
        key = visit.number("id")
        typed = {n: t for n, t in visit.form.items() if n in (*self.fields, "version")}
        names = [n for n in typed if n in self.fields]
        try:
            await visit.call(f"{self.name}_update", text=typed, id=key)
        except (Invalid, Conflict) as problem:
            row = self.rows(visit.caller)[key]
            bad = problem.details.get("fields") or {n: self._clash(row, n, problem) for n in names}
            edit = names[0] if len(names) == 1 else "*"
            return Refusal(self._shown(visit, edit, typed, bad), problem.status)
        return self._shown(visit)

    def _clash(self, row, name: str, problem) -> str:
        if not isinstance(problem, Conflict):
            return problem.what
        theirs = self.fields[name].show(getattr(row, name))
        return f"Changed meanwhile to “{theirs}”. Yours is kept here: save again, or Escape."

    async def delete(self, visit: Visit):
        gone = await visit.call(f"{self.name}_delete", id=visit.number("id"))
        first = str(gone["deleted"][next(iter(self.fields))])[:60]
        return notice(f"Deleted “{first}”.", visit.undo), self._counted(visit.caller)

    async def move(self, visit: Visit):
        """Put a row behind the one named in `after` (empty: first)."""
        after = visit.form.get("after", "")
        await visit.call(f"{self.name}_move", text={"after": after}, id=visit.number("id"))
        return ""

    def live(self, house, profile, event: Row) -> str:
        """The rows an event changed, as out-of-band fragments for tabs that show this app."""
        base, caller, parts = f"/{profile.slug}/{self.slug}", Caller("system", profile), []
        for image in event["images"][:20]:
            after = image["after"]
            if image["table"] != self.table_name:
                continue
            if after is None:
                parts.append(f'<tr id="{self.name}-{image["id"]}" hx-swap-oob="delete"></tr>')
                continue
            row = self.row_html(self.model(after), base)
            if image["before"] is None:
                place = self._place(caller, after["position"])
                parts.append(f'<tbody hx-swap-oob="{place}">{row}</tbody>')
            else:
                parts.append(row.replace("<tr ", '<tr hx-swap-oob="true" ', 1))
        return html(*parts, self._counted(caller)) if parts else ""

    def _place(self, caller: Caller, position: float) -> str:
        """Where a row that appears goes: behind the one before it, else on top."""
        before = self.rows(caller)("position < ?", [position], "position DESC", 1)
        if not before or self.model.order != "position":
            return "afterbegin:#rows"
        return f"afterend:#{self.name}-{before[0].id}"


def _count(number: int, word: str = "in all", **attrs):
    return Span(f"{number:,} {word}", id="count", **attrs)
