"""The page of a CRUD app: a list whose state is in the address, its add form, what clicks do."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qsl

from fasthtml.components import H1, A, Button, Details, Div, Form, Header, Input, Label, Li, Nav
from fasthtml.components import NotStr, Option, P, Section, Span, Summary, Table, Tbody, Th, Thead
from fasthtml.components import Tr, Ul

from pipulate.apps import exchange
from pipulate.apps.base import Go, Refusal, Route, Visit
from pipulate.apps.markup import drawn_once, filter_input, hidden, html, labelled, notice
from pipulate.apps.markup import problem_card
from pipulate.apps.query import PAGE, State
from pipulate.apps.many import QUIET, Many
from pipulate.apps.rows import AGAIN, mark
from pipulate.core.fields import Field, Ref, Secret, makes
from pipulate.core.problems import Conflict, Invalid, Problem, short
from pipulate.core.tools import limited

REFUSED = "form.refused"  # a form that came back with messages; no field can be called so
TURN = {"hx_target": "#listing", "hx_swap": "outerHTML", "hx_push_url": "true"}
ROWS, COUNT = secrets.token_hex(9), secrets.token_hex(9)  # nobody can type them into a search


class Listing(Many):
    """What Crud shows: that has the table (`rows`, `find`) and the tools, this the page."""

    def __init__(self):
        super().__init__()
        if not any(makes(f.default) for f in self.fields.values()):
            self._top = drawn_once(self._top)
        self._bar, self._frame_of = drawn_once(self._bar), drawn_once(self._frame_of)
        self._kept = drawn_once(self._kept)
        self.routes = [
            Route("GET", "", self.page),
            Route("POST", "", self.add),
            *self.model.extra_routes,  # before those with {id}
            Route("GET", "options/{field}", partial(offered, fields=self.fields)),
            Route("POST", "bulk", self.bulk),
            Route("GET", "bulk/{field}", self.bulk_input),
            Route("GET", "totals", self.show_totals),
            Route("POST", "views", self.save_view),
            *exchange.ROUTES,
            Route("POST", "{id}/move", self.move),
            Route("POST", "{id}/call/{tool}", self.call),
            Route("GET", "{id}", self.show),
            Route("PATCH", "{id}", self.edit),
            Route("DELETE", "{id}", self.delete),
            Route("GET", "{id}/{field}", self.show),
        ]

    def state(self, query: Mapping[str, str]) -> State:
        """The list an address means; one without state is the app's own default."""
        return State.read(query or dict(parse_qsl(self.model.default_filter)), self.named)

    def state_at(self, address: str) -> State:
        return self.state(dict(parse_qsl(address.partition("?")[2].partition("#")[0])))

    def address(self, base: str, state: State, **changes) -> str:
        said = state.query(**changes) or ("all=1" if self.model.default_filter else "")
        return f"{base}?{said}" if said else base

    async def page(self, visit: Visit):
        state = self.state(visit.query)

        def work():
            self.keep_in_step(visit.caller)
            return self._listing(visit, state)

        kept, shelf = self._kept(state, "true"), visit.house.shelf
        try:
            with shelf.trying(shelf.of(self), "the list"):
                listed = await limited(work)
        except Problem as problem:
            every = A("Show all", href=self.address(visit.base, State()))
            listed = Div(problem_card(problem), Table(self._filters(state)), every, id="listing")
            if visit.partial:
                return Refusal((listed, kept), problem.status)
        if visit.partial:
            return listed, kept
        bar = self._bar(visit.base, state, tuple(self.views(visit.caller).items()))
        return Section(await limited(self._top, visit.base), bar, listed, cls="crud")

    def _top(self, base: str):
        about = P(self.description.split("\n")[0])
        links = [A(text, href=f"{base}/{path}") for text, path in self.model.links.items()]
        return Header(Div(H1(self.title), about), *links, cls="head"), self.add_form(base)

    def add_form(self, base: str, typed: Mapping[str, str] = {}, bad: Mapping[str, str] = {}):
        """The form for a new row: what was `typed`, and why it was refused (`bad`)."""
        first = next((name for name in self.fields if name in bad), self.first.name)
        boxes = []
        for name, f in self.fields.items():
            made, why = f"made.{name}", bad.get(name, "")
            given = typed.get(made, f.show(f.initial))
            if makes(f.default):  # what comes back as it was given is made anew
                boxes.append(hidden(made, given))
            shown = typed.get(name, given)
            more = self.look_up(f, base, shown, why, {"hx_post": base})
            boxes.append(labelled(f, shown, why, autofocus=name == first, **more))
        other = "; ".join(why for name, why in bad.items() if name not in self.fields)
        note = P(other, cls="error", role="alert") if other else ""
        parts = *boxes, Button("Add", type="submit"), hidden(REFUSED, "1") if bad else "", note
        return Form(*parts, hx_post=base, hx_swap="none", id="add", cls="add", novalidate=True)

    # -- the list

    def _listing(self, visit: Visit, state: State):
        rows, count = self.find(visit.caller, state)
        last = max(1, -(-count // PAGE))
        if state.page > last:  # its rows are gone
            return self._listing(visit, replace(state, page=last))
        frame = str(self._frame_of(visit.base, state, last))
        head, tail = frame.replace(COUNT, f"{count:,}").split(ROWS)
        return NotStr(head + self.drawn_rows(rows, visit.caller, state.columns) + tail)

    def _frame_of(self, base: str, state: State, last: int):
        head = Thead(self._heads(base, state), self._filters(state))
        body = Tbody(ROWS, id="rows", data_sortable=base if self._movable(state) else None)
        table = Table(head, body, cls="rows", hx_target="closest tr", hx_swap="outerHTML")
        return Div(
            Div(table, cls="wide"),
            self._empty(base, state),
            self.bulk_bar(base, state, COUNT),
            *self._pager(base, last, state),
            id="listing",
        )

    def _movable(self, state: State) -> bool:
        return self.model.order == "position" and state.plain  # where the first row is the first

    def _heads(self, base: str, state: State):
        heads = [Th(self.title, scope="col")] if self.drawn else []
        for name in () if self.drawn else state.columns or self.named:
            field, down = self.named[name], f"-{name}"
            ways = {name: (down, "ascending", " ↑"), down: ("", "descending", " ↓")}
            to, way, mark = ways.get(state.sort, (name, None, ""))
            at = self.address(base, state, sort=to, page=1)
            link = A(field.label + mark, href=at, data_order=to)
            number = "number" if field.kind.input == "number" else None
            heads.append(Th(link, scope="col", aria_sort=way, cls=number))
        every = Input(type="checkbox", data_every=True, aria_label="Select all on this page")
        return Tr(Th(every, cls="grip"), *heads, Th(cls="actions"))

    def _filters(self, state: State):
        if self.drawn:
            return ""
        cells = []
        for name in state.columns or self.named:
            field = self.named[name]
            box = filter_input(field, state.filters.get(name, ""))
            cells.append(Th(box, data_label=field.label))
        cells.append(Th(cls="actions"))
        return Tr(Th(cls="grip"), *cells, cls="filters", hidden=not {*state.filters} - {"id"})

    def _bar(self, base: str, state: State, views: tuple[tuple[str, str], ...]):
        more = {"role": "button", "cls": QUIET}
        bring = A("Import", href=f"{base}/import", id="bring", **more)
        menus = self._views_menu(base, views), bring, *self.asks(base, **more)
        return Div(self._state_form(base, state), *menus, cls="bar")

    def _state_form(self, base: str, state: State):
        said = f"Search {self.title.lower()}"
        box = Input(type="search", name="q", value=state.q, placeholder=said, aria_label=said)
        when = {"hx_trigger": "input delay:250ms, search, submit", "hx_sync": "this:replace"}
        filters = Button("Filter", type="button", cls=QUIET, data_filter=True)
        parts = () if self.drawn else (filters, self._columns_menu(state))
        how = {"action": base, "hx_get": base, "id": "state", **when, **TURN}
        return Form(box, self._kept(state), *parts, **how)

    def _kept(self, state: State, oob: str | None = None):
        boxes = () if self.drawn else state.columns or self.named
        kept = {"sort": state.sort, "cols": ",".join(state.columns)}
        kept |= {"all": "1"} if self.model.default_filter else {}
        apart = {"id", *self.named}.difference(boxes)
        kept |= {f"f.{n}": said for n, said in state.filters.items() if n in apart}
        return Span(*map(hidden, kept, kept.values()), id="kept", hx_swap_oob=oob)

    def _columns_menu(self, state: State):
        shown, items = state.columns or self.named, []
        for name in dict.fromkeys([*shown, *self.named]):
            label = self.named[name].label
            on = {"data_column": name, "checked": name in shown, "aria_label": f"Show {label}"}
            items.append(Li(Label(Input(type="checkbox", **on), label)))
        return Details(Summary("Columns"), Ul(*items, data_columns=True), cls="dropdown")

    def _empty(self, base: str, state: State):
        if not state.narrow:
            return P(f"No {self.title.lower()} yet. Add the first above.", cls="empty")
        what = f"“{state.q}”" if state.q else "these filters"
        every = A("Show all", href=self.address(base, State(columns=state.columns)))
        return P(f"Nothing matches {what}. ", every, cls="empty")

    def _pager(self, base: str, last: int, state: State):
        def to(number: int, text: str):
            at = self.address(base, state, page=number)
            return A(text, href=at, hx_get=at, **TURN)

        page = state.page
        where = f"Page {page:,} of {last:,} · " if last > 1 else ""
        key, word = ("found", "found") if state.narrow else ("count", "in all")
        links = [to(1, "⇤ First"), to(page - 1, "← Back")] if page > 1 else []
        links += [to(page + 1, "More →"), to(last, "Last ⇥")] if page < last else []
        exits, totals = self.exits(base, state.query(page=1))
        count = Span(f"{COUNT} {word}", id=key)
        return Nav(Span(where, count), Span(*links), exits, cls="pager"), totals

    # -- routes

    async def _draw(self, visit: Visit, draw, what, **how):
        """In a thread and not for ever: the class's own code may draw."""
        work = partial(draw, what, visit.caller, names=self.state_at(visit.here).columns, **how)
        return NotStr(await limited(work))

    async def add(self, visit: Visit):
        """A clean form comes back, the row is put first."""
        added = await self._add_there(visit)
        given = {n: visit.form.get(f"made.{n}") for n in self.fields}
        known = {n: t for n, t in visit.form.items() if n in given and t != given[n]}
        state, refused = self.state_at(visit.here), REFUSED in visit.form
        seen = visit.partial and not refused and self._movable(state) and not state.columns

        def look(made):
            rows, counted = [self.rows(visit.caller)[made["id"]]], self.counted(visit.caller)
            return lambda: (self.drawn_rows(rows, visit.caller), counted)

        try:
            if added:
                raise added
            drawn = await visit.call(f"{self.name}_add", known, look if seen else None)
        except Invalid as problem:
            bad = self._untold(known, problem.details.get("fields", {"": str(problem)}))
            form = await limited(self.add_form, visit.base, visit.form, bad)
            return Refusal(form, target="#add")
        if seen:
            row, counted = drawn
            return NotStr(f'<tbody hx-swap-oob="afterbegin:#rows">{row}</tbody>'), counted
        if not visit.partial:
            return Go(visit.base)
        # what the form would be reset to may have been refused
        form = refused and await limited(self.add_form, visit.base)
        return NotStr(AGAIN), form(hx_swap_oob="true") if refused else ""

    async def show(self, visit: Visit):
        """A field in the address is an input."""
        field, row = visit.path.get("field", ""), self.rows(visit.caller)[visit.number("id")]
        if field in ("*", *self.fields):
            return await self._draw(visit, self.editor, row, name=field)
        return await self._draw(visit, self.drawn_rows, [row])

    async def edit(self, visit: Visit):
        """What is refused stays in its cell, with why."""
        added = await self._add_there(visit)
        key = visit.number("id")
        typed = {n: t for n, t in visit.form.items() if n in (*self.fields, "version")}
        kept = {n: t for n, t in typed.items() if t or n not in self.of_type(Secret)}
        try:
            if added and "edit.whole" in visit.form:
                raise added
            row = await self._saved(visit, key, kept)
        except (Invalid, Conflict) as problem:
            sent = [n for n in typed if n in self.fields]
            if "theirs" in problem.details:
                typed.pop("version")  # now it was seen
            bad = problem.details.get("fields") or dict.fromkeys(sent, problem.what)
            one = len(sent) == 1 and "edit.whole" not in visit.form
            how = {"name": sent[0] if one else "*", "bad": self._untold(kept, bad)}
            row = self.rows(visit.caller)[key]
            drawn = await self._draw(visit, self.editor, row, typed=typed, **how)
            return Refusal(drawn, problem.status)
        return await self._draw(visit, self.drawn_rows, [row])

    async def _add_there(self, visit: Visit) -> Invalid | None:
        added = {}
        for name, field in self.of_type(Ref).items():
            if said := visit.form.get(f"add.{name}"):
                app = self.target(field)
                made = await visit.call(f"{app.name}_add", {app.first.name: said})
                visit.form = {**visit.form, name: f"{said} #{made['id']}"}
                added[name] = f"Added to {app.title}. The row here is not saved yet."
        return Invalid("; ".join(added.values()), fields=added) if added else None

    def _untold(self, typed: Mapping[str, str], bad: Mapping[str, str]) -> dict[str, str]:
        why = "Type it again: it is not sent back."
        return {name: why for name in self.of_type(Secret) if typed.get(name)} | dict(bad)

    async def _saved(self, visit: Visit, key: int, kept: dict[str, str]):
        """Conflict: the same fields were changed meanwhile."""
        version, *marks = kept.get("version", "").split() or [""]
        seen, tool = dict(zip(self.fields, marks, strict=False)), f"{self.name}_update"
        try:
            kept = kept | {"version": version} if version else kept
            return await visit.call(tool, kept, lambda _: self.rows(visit.caller)[key], id=key)
        except Conflict as problem:
            theirs = problem.details.get("theirs")
            clash = [n for n in theirs or () if seen.get(n) != mark(theirs[n])]
            problem.details["fields"] = {n: self._clash(n, theirs[n]) for n in clash}
            if clash or theirs is None:
                raise
            version = str(problem.details["version"])
        return await self._saved(visit, key, kept | {"version": " ".join([version, *marks])})

    def _clash(self, name: str, theirs) -> str:
        field = self.fields[name]
        said = field.show(field.load(theirs))
        now = f"Somebody changed this meanwhile; here it says “{said}” now."
        return f"{now} Yours is kept: save again, or Escape."

    async def delete(self, visit: Visit):
        gone = await visit.call(f"{self.name}_delete", id=visit.number("id"))
        first = short(str(gone["deleted"][self.first.name]))
        more = self.plain(visit.caller).count() >= PAGE or self.state_at(visit.here).narrow
        again = NotStr(AGAIN) if more else self.counted(visit.caller)
        return notice(f"Deleted “{first}”.", visit.undo), again

    async def move(self, visit: Visit):
        """Behind the row `after` (or first)."""
        await visit.call(f"{self.name}_move", visit.form, id=visit.number("id"))
        return ""

    async def call(self, visit: Visit):
        key = visit.number("id")
        said = await visit.call(f"{self.name}_{visit.path['tool']}", id=key)
        drawn = await self._draw(visit, self.drawn_rows, self.rows(visit.caller).these([key]))
        return drawn, notice(said) if isinstance(said, str) else ""


async def offered(visit: Visit, fields: dict[str, Field]):
    """Names of rows that a Ref may mean."""
    field = fields.get(visit.path["field"])
    if not field or field.type is not Ref:
        raise Problem("That field refers to no rows.", "Reload the page.")
    app = visit.house.shelf.crud(field.target)
    found = await limited(app.options, visit.caller, visit.query.get("q", ""))
    return NotStr(html(*(Option(value=name) for name in found)))
