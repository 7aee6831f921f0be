"""The page of a CRUD app: the list, its add form, cells edited in place, and what tabs are sent."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from fasthtml.components import A, Button, Div, Form, H1, Header, Input, Nav, NotStr, P, Section
from fasthtml.components import Span, Table, Tbody, Td, Th, Thead, Tr

from pipulate.apps.base import Go, Refusal, Route, Visit
from pipulate.apps.markup import field_input, html, labelled, notice, owned
from pipulate.core.problems import Conflict, Invalid
from pipulate.core.tools import Caller, limited

PAGE = 50  # rows of one page


class Listing:
    """What Crud shows: it has the table (`rows`, `find`) and the tools, this has the elements."""

    def page_routes(self) -> list[Route]:
        """The routes below the app's address; the class's own come before those with {id}."""
        return [
            Route("GET", "", self.page),
            Route("POST", "", self.add),
            *self.model.extra_routes,
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
        return Section(NotStr(self._top(visit, q)), listed, cls="crud")

    def _top(self, visit: Visit, q: str) -> str:
        """Heading, search box and add form as text; drawn once unless there is a search."""
        key = f"{visit.base}?q={q}"
        if key in self._frames:
            return self._frames[key]
        search = Input(
            type="search",
            name="q",
            value=q,
            placeholder=f"Search {self.title.lower()}",
            aria_label=f"Search {self.title}",
            hx_get=visit.base,
            hx_trigger="input changed delay:250ms, search",
            hx_target="#listing",
            hx_swap="outerHTML",
            hx_push_url="true",
        )
        head = Header(Div(H1(self.title), P(self.description.split("\n")[0])), search, cls="head")
        drawn = html(head, self.add_form(visit))
        return drawn if q else self._frames.setdefault(key, drawn)

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

    def _listing(self, visit: Visit, q: str, page: int):
        rows, count = self.find(visit.caller, q, page)
        heads = [Th(f.label, scope="col") for f in self.fields.values()]
        if self.drawn:
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
            swap = {"hx_target": "#listing", "hx_swap": "outerHTML", "hx_push_url": "true"}
            return A(text, href=address, hx_get=address, **swap)

        back = to(page - 1, "← Newer") if page > 1 else ""
        more = to(page + 1, "More →") if page < last else ""
        where = f"Page {page:,} of {last:,} · " if last > 1 else ""
        return Nav(back, Span(where, Span(f"{count:,} {'found' if q else 'in all'}", id="count")), more, cls="pager")

    def _count(self, caller: Caller):
        """The number of rows, out of band, after one came or went."""
        return Span(f"{self.rows(caller).count():,} in all", id="count", hx_swap_oob="true")

    def row_html(
        self, row, base: str, edit: str = "", typed: Mapping[str, str] = {}, bad: Mapping = {}
    ) -> str:
        """One row as HTML; `edit` names the field shown as an input, "*" all of them. The frame is

        drawn as elements once and filled as text: elements are slow (design.md §4, Rendering)."""
        if edit == "*":
            cells = self._editor(row, base, list(self.fields), typed, bad)
        elif self.drawn:
            cells = html(owned(Td(row.__ft__())))
        else:
            cells = "".join(
                self._editor(row, base, [n], typed, bad) if n == edit else self._cell(row, base, n)
                for n in self.fields
            )
        frame = self._frame(base)
        return frame.replace("\0id\0", str(row.id)).replace("\0cells\0", cells)

    def _frame(self, base: str) -> str:
        if base not in self._frames:
            one = f"{base}/\0id\0"
            grip = Td(Button("⠿", cls="link", title="Drag, or Alt+↑ / Alt+↓"), cls="grip")
            pen = Button("✎", cls="link", hx_get=f"{one}/*", aria_label="Edit") if self.drawn else ""
            erase = Button("✕", cls="link", hx_delete=one, aria_label="Delete", title="Delete")
            tail = Td(pen, erase, cls="actions")
            self._frames[base] = html(Tr(grip, NotStr("\0cells\0"), tail, id=f"{self.name}-\0id\0"))
        return self._frames[base]

    def _cell(self, row, base: str, name: str) -> str:
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

    def _editor(self, row, base: str, names: list[str], typed: Mapping, bad: Mapping) -> str:
        """A form for some fields of a row in one cell; Enter saves, Escape leaves."""
        version, parts = Input(type="hidden", name="version", value=str(row.version)), []
        for name in names:
            field = self.fields[name]
            shown = typed.get(name, field.show(getattr(row, name)))
            attrs = {"autofocus": name == names[0], "data_cancel": f"{base}/{row.id}"}
            draw = field_input if len(names) == 1 else labelled
            parts.append(draw(field, shown, bad.get(name, ""), **attrs))
        whole = len(names) > 1
        if whole:
            parts.append(Button("Save"))
        elif bad:
            parts.append(Span(*bad.values(), cls="error", role="alert"))
        save = {"hx_patch": f"{base}/{row.id}", "hx_trigger": "submit" if whole else "submit, change"}
        span = None if self.drawn or not whole else len(self.fields)
        form = Form(*parts, version, **save, cls="edit", novalidate=True)
        return html(Td(form, colspan=span, data_label=self.fields[names[0]].label))

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
        return NotStr(self.row_html(row, visit.base, name if name in (*self.fields, "*") else ""))

    async def edit(self, visit: Visit):
        """Save the fields sent; refused input stays in its cell with the reason."""
        key = _id(visit)
        typed = {n: t for n, t in visit.form.items() if n in self.fields or n == "version"}
        names = [n for n in typed if n in self.fields]
        try:
            await visit.call(f"{self.name}_update", text=typed, id=key)
        except (Invalid, Conflict) as problem:
            row = self.rows(visit.caller)[key]
            bad = problem.details.get("fields") or {n: self._clash(row, n, problem) for n in names}
            edit = names[0] if len(names) == 1 else "*"
            drawn = self.row_html(row, visit.base, edit, typed, bad)
            return Refusal(NotStr(drawn), problem.status)
        return NotStr(self.row_html(self.rows(visit.caller)[key], visit.base))

    def _clash(self, row, name: str, problem) -> str:
        if not isinstance(problem, Conflict):
            return problem.what
        theirs = self.fields[name].show(getattr(row, name))
        return f"Changed meanwhile to “{theirs}”. Yours is kept here: save again, or Escape."

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
                place = self._place(profile, image["after"]["position"])
                parts.append(f'<tbody hx-swap-oob="{place}">{row}</tbody>')
            else:
                parts.append(row.replace("<tr ", '<tr hx-swap-oob="true" ', 1))
        count = self._count(Caller("system", profile))
        return "".join(parts) + html(count) if parts else ""

    def _place(self, profile, position: float) -> str:
        """Where a row that appears goes: behind the one before it, else on top."""
        table, where = self.rows(Caller("system", profile)), "position < ?"
        before = table(where, [position], "position DESC", 1)
        if not before or self.model.order != "position":
            return "afterbegin:#rows"
        return f"afterend:#{self.name}-{before[0].id}"


def _id(visit: Visit) -> int:
    shown = visit.path["id"]
    return int(shown) if shown.isdecimal() and len(shown) < 19 else -1
