"""Many rows of an app at once: change, delete, totals, saved views; as tools and on the page.

Which rows: their ids, or `where`, the text after "?" of a list's address ("f.rating=>3&q=dune").
"""

import re
from collections import Counter
from decimal import Decimal, localcontext
from typing import Any
from urllib.parse import parse_qsl

from fasthtml.components import A, Button, Details, Div, Form, Input, Label, Li, Small
from fasthtml.components import Span, Summary, Td, Th, Ul

from pipulate.apps.base import Go, Visit
from pipulate.apps.markup import field_input, figure, grid, hidden, notice, select
from pipulate.apps.query import Sql, State, order_sql
from pipulate.apps.rows import Rows
from pipulate.core.fields import Field, File, Ref, Secret, Text, Url, check_values, dumps, to_json
from pipulate.core.problems import Problem, require, short
from pipulate.core.tables import AMONG, Row, quote
from pipulate.core.tools import Caller, limited, tool

SECONDS = 120.0
QUIET = "outline secondary"
VALUES = 8  # of one field


class RowTools:
    """Part of HouseTools, which has `house` and `said`."""

    def _size(self, caller: Caller, app: str, ids=(), where: str = "", **_) -> int:
        crud, which = self._meant(caller, app, ids, where)
        return crud.plain(caller).count(*which)

    def _meant(self, caller: Caller, app: str, ids, where: str) -> tuple[Any, Sql]:
        crud = self.house.shelf.crud(app)
        if ids:
            return crud, (f'"id" {AMONG}', [dumps(ids)])
        state = crud.state_of(where)
        if not state.narrow and "all=1" not in where.split("&"):
            raise Problem("Which rows?", "Give ids:=[1,2], where=f.done=yes, or where=all=1 (all).")
        return crud, crud.where(caller, state)

    @tool(seconds=SECONDS, size=_size)
    def rows_update(
        self, caller: Caller, app: str, values: dict, ids: list | None = None, where: str = ""
    ):
        """Give many rows of an app these values: {field: value}. One event, undoable."""
        crud, which = self._meant(caller, app, ids, where)
        if not (new := check_values(crud.fields.values(), values, partial=True)):
            raise Problem("No values were given.", 'Give values such as {"done": true}.')
        return {"changed": crud.change_many(caller, new, *which)}

    @tool(seconds=SECONDS, size=_size)
    def rows_delete(self, caller: Caller, app: str, ids: list | None = None, where: str = ""):
        """Delete many rows of an app; one event, undoable."""
        crud, which = self._meant(caller, app, ids, where)
        table = crud.plain(caller)
        crud.refuse_used(caller, table.keys(*which))
        leaving = crud.rows(caller)(*which) if crud.mourns else []
        gone = table.delete_many(*which)
        for row in leaving:
            row.deleted()
        if gone:
            self.said(f"Deleted {crud.told(gone)}")
        return {"deleted": gone}

    @tool(kind="read", seconds=SECONDS)
    def rows_totals(self, caller: Caller, app: str, where: str = ""):
        """Sums, means, ranges and counts per value of an app's fields."""
        crud = self.house.shelf.crud(app)
        return crud.totals(caller, crud.state_of(where))

    @tool
    def view_save(self, caller: Caller, app: str, name: str, where: str = ""):
        """Save a list's state (filter, order, columns) under a name; no `where`: remove it."""
        crud = self.house.shelf.crud(app)
        said = where and (crud.state_of(where).query(page=1) or "all=1")
        kept = crud.views(caller) | {name.strip()[:60]: said}
        kept = {n: said for n, said in kept.items() if said}
        self.house.settings_of(caller.profile.id)[f"views:{crud.slug}"] = kept
        return kept


class Many(Rows):
    """All that on an app's page."""

    def state_of(self, text: str) -> State:
        """The list that a tool means. Raises Problem for unknown names: without them it would

        mean more rows."""
        known = ["q", "sort", "cols", "page", "all", *(f"f.{n}" for n in (*self.named, "id"))]
        for name, _ in parse_qsl(text, keep_blank_values=True):
            require(name, known, f"{self.title}: {name!r} says nothing.", Problem)
        return State.of(text, self.named)

    def change_many(self, caller: Caller, values: Row, where: str, args: list[Any]) -> int:
        """Each row's own `check` is asked first."""
        meant, table = self._meant(values, caller), self.rows(caller)
        if self.checks:
            for row in table(where, args):
                try:
                    self.checked({**vars(row), **meant}, caller)
                except Problem as problem:
                    problem.what = f"#{row.id} “{short(str(row))}”: {problem.what}"
                    raise
        changed = self.plain(caller).update_many(where, args, **meant)
        said = ", ".join(self.fields[n].label for n in values)
        if changed:
            self.house.db.current.summary = f"Set {said} of {self.told(changed)}"
        return changed

    # -- the bar below a list, while rows are ticked

    def bulk_bar(self, base: str, state: State, count: str):
        names = {n: f.label for n, f in self.fields.items()}
        every = f"all {count} that match"
        looks = {"Set": "secondary", "Export": "outline secondary", "Delete": "outline"}
        return Form(
            Span("", data_ticked=True, aria_live="polite"),
            Label(Input(type="checkbox", value="1", name="bulk.every", aria_label=every), every),
            select(names, "", name="bulk.field", aria_label="Field", hx_target="#bulk-value",
                   hx_swap="innerHTML", hx_get=f"{base}/bulk/value"),
            Span(field_input(self.first), id="bulk-value"),
            *(Button(n, name="bulk.do", value=n.lower(), cls=cls) for n, cls in looks.items()),
            hidden("bulk.where", ("" if state.narrow else "all=1&") + state.query(page=1)),
            hx_post=f"{base}/bulk",
            hx_target="#listing",
            hx_swap="outerHTML",
            novalidate=True,  # what is to be set may be blank when rows are to be deleted
            id="bulk",
        )  # fmt: skip

    async def bulk_input(self, visit: Visit):
        """Of the field chosen in the bar."""
        if (name := visit.query.get("bulk.field", visit.path["field"])) not in self.fields:
            raise Problem("There is no such field.", "Reload the page.")
        field = self.fields[name]
        shown = field.show(await limited(lambda: field.initial))
        return field_input(field, shown, **self.look_up(field, visit.base))

    async def bulk(self, visit: Visit):
        form = {n[5:]: text for n, text in visit.form.items() if n[:5] == "bulk."}
        ids, where = re.findall("[0-9]{1,18}", form.get("ids", "")), form.get("where", "")
        which = {"where": where} if form.get("every") else {"ids": [*map(int, ids)]}
        if not any(which.values()):
            raise Problem("No row is ticked.", "Tick some first.")
        if form.get("do") == "export":
            return Go(f"{visit.base}/export?{which.get('where') or 'f.id=' + ','.join(ids)}")
        tool, done = "rows_delete", "deleted"
        if form.get("do") != "delete":
            tool, done, name = "rows_update", "changed", form.get("field", "")
            new = check_values(self.fields.values(), {name: visit.form.get(name, "")}, True, True)
            which["values"] = to_json(new)
        count = (await visit.call(tool, app=self.slug, **which))[done]
        told = f"{done.capitalize()} {self.told(count)}."
        listed = await limited(self._listing, visit, self.state_of(where))
        return listed, notice(told, visit.undo if count else "")

    # -- totals

    def exits(self, base: str, said: str):
        """Links at the end of a list, and its totals, reckoned when their box is opened."""
        export = f"{base}/export?{said or 'all=1'}&format="
        links = (A(f"Export {n.upper()}", href=export + n, download=True) for n in ("csv", "json"))
        ask = {"hx_trigger": "toggle once", "hx_target": "find div", "cls": "totals"}
        box = Summary("Totals"), Div("…", aria_live="polite")
        return Span(*links), Details(*box, hx_get=f"{base}/totals?{said}", **ask)

    def totals(self, caller: Caller, state: State) -> list[Row]:
        """[{field, count, sum, mean, min, max, values: [[value, count], …]}] of a list.

        `count`: rows that hold something; sums of int and Decimal are exact."""
        which = self.where(caller, state)
        return [
            {"field": name, **self._sums(caller, field, which),
             "values": self._counts(caller, field, which)}
            for name, field in self.fields.items()
            if field.type not in (Secret, Text, File, Url)
        ]  # fmt: skip

    def _sums(self, caller: Caller, field: Field, which: Sql) -> Row:
        name, select = quote(field.name), self.plain(caller).select
        if field.kind.input == "number":  # SQLite adds binary fractions, and 63 bits at most
            rows = select(f"{name} AS value", *which)
            held = [field.type(row["value"]) for row in rows if row["value"] is not None]
            with localcontext(prec=150):
                total = sum(held, field.type(0))
            ends = {"min": min(held, default=None), "max": max(held, default=None)}
            mean = total / len(held) if held else None
            return {"count": len(held), "sum": total, "mean": mean} | ends
        ends = f", min({name}) AS min, max({name}) AS max" if field.kind.input[:4] == "date" else ""
        return select(f"count({order_sql(field)}) AS count{ends}", *which)[0]

    def _counts(self, caller: Caller, field: Field, which: Sql) -> list[list[Any]]:
        many_values = ("number", "date", "datetime-local", "textarea")
        if field.kind.input in many_values and not field.choices:
            return []
        most = -1 if field.many else 200
        tail = f" GROUP BY {order_sql(field)} ORDER BY _n DESC, _value LIMIT {most}"
        what = f"nullif({quote(field.name)}, '') AS _value, count(*) AS _n"
        counted: Counter[Any] = Counter()
        for row in self.plain(caller).select(what, *which, tail):
            value = field.load(row["_value"])
            for one in (value or [None]) if field.many else [value]:
                counted[one] += row["_n"]
        told, often = {}, field.choices or field.type in (bool, Ref) or field.many
        if field.type is Ref:
            names = self.ref_names(caller, field, counted.keys() - {None})
            told = {key: f"{name} #{key}" for key, name in names.items()}
        return [[told.get(v, v), n] for v, n in counted.most_common(VALUES) if often or n > 1]

    async def show_totals(self, visit: Visit):
        state = self.state(visit.query)
        found = await limited(self.totals, visit.caller, state, seconds=SECONDS)
        heads = ("Field", "Filled", "Sum", "Mean", "Smallest", "Largest", "Values")
        return grid(map(Th, heads), (self._total(visit.base, state, row) for row in found))

    def _total(self, base: str, state: State, row: Row):
        field, links = self.fields[row["field"]], []
        for value, count in row["values"]:
            text = ("yes" if value else "no") if field.type is bool else str(value)
            said = text if field.type is bool or field.choices else f"={text}"
            text, said = ("(empty)", "=") if value is None else (text, said)
            at = f"{base}?{state.query(filters={**state.filters, field.name: said}, page=1)}"
            links.append(Span(A(text, href=at), f" {count:,}"))
        keys = ("sum", "mean", "min", "max")
        figures = f"{row['count']:,}", *(_short(field, row.get(key), key) for key in keys)
        return (
            Th(field.label, scope="row"),
            *(Td(figure, cls="number") for figure in figures),
            Td(*links, cls="values"),
        )

    # -- saved views

    def views(self, caller: Caller) -> dict[str, str]:
        """{name: the text after "?"}."""
        return self.house.settings_of(caller.profile.id).get(f"views:{self.slug}", {})

    def _views_menu(self, base: str, views: tuple[tuple[str, str], ...], shown: bool = False):
        items, post = [], {"hx_post": f"{base}/views"}
        for name, said in views:
            drop = {"hx_vals": {"name": name, "drop": "1"}, **post}
            close = Button("✕", cls="link", aria_label=f"Remove the view {name}", **drop)
            items.append(Li(A(name, href=f"{base}?{said}"), close))
        name = Input(name="name", placeholder="Name of this view", aria_label="Name", required=True)
        save = Form(name, Button("Save"), hx_include="#state", cls="inline", **post)
        menu = Ul(*items, Li(save), Li(Small("Search, filter, order and columns under a name.")))
        attrs = {"id": "views", "cls": "dropdown", "hx_target": "#views", "hx_swap": "outerHTML"}
        return Details(Summary("Views"), menu, open=shown, **attrs)

    async def save_view(self, visit: Visit):
        """Keep (or remove) the form's state."""
        gone, name = "drop" in visit.form, visit.form.get("name", "")
        where = "" if gone else self.state(visit.form).query(page=1) or "all=1"
        kept = await visit.call("view_save", app=self.slug, name=name, where=where)
        return self._views_menu(visit.base, tuple(kept.items()), True)


def _short(field: Field, value: Any, key: str) -> str:
    if value is None:
        return ""
    if field.kind.input != "number":
        return field.show(field.load(value)).replace("T", " ")
    if key == "mean":
        return figure(float(value))
    return f"{value:,f}" if field.type is Decimal else figure(value)
