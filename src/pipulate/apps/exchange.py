"""Rows in and out of an app: downloads, the page of an import, and both as tools."""

from itertools import chain, islice
import time
from datetime import date
from typing import Any, Literal

from fasthtml.components import H1, A, Button, Details, Div, Fieldset, Form, Header, Input, Label
from fasthtml.components import Legend, P, Section, Small, Strong, Summary, Td, Textarea, Th

from pipulate.apps.base import Download, Route, Visit, so_many
from pipulate.apps.intake import SECONDS, Intake, counted
from pipulate.apps.markup import data_table, field_input, grid, hidden, html, problem_card, select
from pipulate.apps.query import State
from pipulate.core.fields import MISSING, Field, File, Secret, make_field
from pipulate.core.problems import Problem
from pipulate.core.sheets import BATCH, EMPTY, write_csv, write_json
from pipulate.core.store import Row
from pipulate.core.tools import BULK, Caller, limited, tool

ORDERED = "No heading is the name of a field: columns are first taken in the order of the fields."
WHOLE = {"hx_target": "#import", "hx_swap": "outerHTML"}


def export(app, caller: Caller, state: State, form="csv", raw=False, mark="") -> Download:
    """Rows in the order of the list, without secrets. `form`: csv (after a mark) or json."""
    known = {n: f for n, f in app.fields.items() if f.type is not Secret}
    fields = [known[name] for name in state.columns or known if name in known]
    keys = app.plain(caller).keys(*app.where(caller, state), app.order(state))
    rows, name = _rows(app, caller, keys, fields), f"{app.slug}-{date.today()}.{form}"
    if form == "json":
        return Download(name, "application/json", write_json(rows), len(keys))
    plain = {"id", *(f.name for f in fields if f.kind.input == "number")}
    cells = ([v if n in plain else known[n].text(v) for n, v in row.items()] for row in rows)
    chunks = write_csv([f"{mark}id", *(f.name for f in fields)], cells, raw)
    return Download(name, "text/csv; charset=utf-8", chunks, len(keys))


def _rows(app, caller: Caller, keys: list[int], fields: list[Field]):
    """Read when they are taken: a slow download locks nothing."""
    for start in range(0, len(keys), BATCH):
        found = app.rows(caller).these(batch := keys[start : start + BATCH])
        labels, there = app.labels(caller, found), {row.id: vars(row) for row in found}
        for row in filter(None, map(there.get, batch)):
            yield {"id": row["id"]} | {f.name: app.called(f, row[f.name], labels) for f in fields}


# -- pages


async def _export(visit: Visit) -> Download:
    said = visit.query
    form = "json" if said.get("format") == "json" else "csv"
    how = visit.app.state(said), form, bool(said.get("raw")), "\ufeff"  # for spreadsheets
    return await limited(export, visit.app, visit.caller, *how)


async def _form(visit: Visit):
    parts = [*_choose(f"{visit.base}/import")]
    try:
        if visit.query.get("file"):
            parts = await limited(lambda: [*_preview(visit)], seconds=SECONDS)
    except Problem as problem:
        parts.insert(0, problem_card(problem))
    return _page(visit, *parts)


def _page(visit: Visit, *parts):
    title = H1(f"Import into {visit.app.title.lower()}")
    back = A(f"← {visit.app.title}", href=visit.base)
    return Section(Header(title, back, cls="head"), *parts, id="import")


def _choose(at: str):
    pick = field_input(make_field("file", File), hx_get=at, hx_push_url="true", **WHOLE)
    yield Form(Label("A file: CSV, JSON, XLSX or ODS ", pick), Button("Go on"), action=at)
    box = Textarea(name="text", rows=6, required=True, placeholder="Title\tDone\nBuy milk\tno")
    yield Form(Label("Or cells copied from a spreadsheet", box), Button("Go on"), data_paste=at)
    yield P("In the list itself, pasting while no box is chosen leads here, too.", cls="hint")


def _opened(visit: Visit) -> tuple[File, Intake]:
    said = {**visit.query, **visit.form}
    file = visit.house.files.resolve(said.get("file", ""), visit.caller)
    how = {
        "match": (name[2:] for name in said if name[:2] == "m."),
        "notations": {name[2:]: how for name, how in said.items() if name[:2] == "n." and how},
        "header": said["header"] != "false" if "header" in said else None,
        "sheet": said.get("sheet", ""),
        "raw": said.get("raw") == "true",
    }
    intake = Intake(visit.app, visit.caller, file.path, guess=True, **how)
    intake.columns |= {c: said[f"c.{c}"] for c in intake.columns if f"c.{c}" in said}
    return file, intake


def _preview(visit: Visit):
    file, intake = _opened(visit)
    at, sheet = f"{visit.base}/import", intake.sheet
    first = [*islice(sheet.rows, 3)]  # are shown
    sheet.rows = chain(first, sheet.rows)
    yield P("From ", Strong(file.name), ", or choose ", A("another file", href=at), ".")
    if intake.ordered:
        yield P(ORDERED, cls="hint")
    outcome = [*_outcome(intake, at)]  # which tells the notations, too
    yield Form(
        hidden("file", visit.query["file"]),
        _columns(intake, [cells for _, cells in first]),
        *_options(intake, visit.query),
        Div(*outcome, id="check"),
        hx_get=at,
        hx_trigger="change, submit",
        hx_push_url="true",
        hx_sync="this:replace",  # none on its way takes the place of what an import did
        **WHOLE,
    )


def _outcome(intake: Intake, at: str):
    try:
        report = intake.read()
    except Problem as problem:
        yield problem_card(problem)
        return
    yield _report(intake.app, report)
    if rows := report["add"] + report["update"]:
        press = {"hx_post": at, "hx_disabled_elt": "#import :enabled", "type": "button"}
        yield Button(f"Import {so_many(rows, 'row')}", **press, **WHOLE)
    yield P(id="going", role="status")


def _columns(intake: Intake, first: list[list[Any]]):
    fields = {"": "– leave out –"} | {n: f.label for n, f in intake.app.fields.items()}
    lines = []
    for index, (column, chosen) in enumerate(intake.columns.items()):
        values = [cells[index] for cells in first if index < len(cells)]
        shown = " · ".join(str(v)[:40] for v in values if v not in (*EMPTY, MISSING))
        pick = Small("finds rows, where ticked below")
        if column.lower() != "id":
            named = {"name": f"c.{column}", "id": f"c{index}", "aria_label": f"{column} becomes"}
            pick = select(fields, chosen, **named)
        lines.append((Th(column, scope="row"), Td(shown), Td(pick, " ", _written(intake, chosen))))
    return grid(map(Th, ("In the file", "First values", "Becomes")), lines)


def _written(intake: Intake, name: str):
    known, chosen = intake.written(name), intake.notations.get(name, "")
    if not known or not (chosen or any(name in why for _, why, _ in intake.skip)):
        return ""
    said = {"name": f"n.{name}", "id": f"n-{name}", "aria_label": f"How {name} is written"}
    return select({"": "– say how –"} | {how: how for how in known}, chosen, **said)


def _options(intake: Intake, said):
    sheet, chosen = intake.sheet, intake.columns.values()
    told = ((n, f) for n, f in intake.app.fields.items() if f.type is not Secret)
    labels = {n: f.label for n, f in told if n in chosen}
    labels |= {"id": "id"} if "id" in map(str.lower, sheet.columns) else {}
    if len(sheet.sheets) > 1:
        yield Label("Sheet ", select(sheet.sheets, said.get("sheet", ""), name="sheet", id="sheet"))
    legend = Legend("Update rows that match on … (nothing ticked: every row is added)")
    matches = (_box(f"m.{name}", label, name in intake.match) for name, label in labels.items())
    yield Fieldset(legend, *matches, cls="boxes")
    if not sheet.typed:
        yield Fieldset(
            hidden("header", "false"),
            _box("header", "The first row is a heading", sheet.header),
            _box("raw", "Keep the ' that stands before a formula", said.get("raw") == "true"),
            cls="boxes",
        )


def _box(name: str, label: str, on: bool):
    key = f"on-{name}"  # by which focus stays where it is
    return Label(Input(type="checkbox", name=name, value="true", checked=on, id=key), label)


async def _import(visit: Visit):
    started, at = time.monotonic(), f"{visit.base}/import"

    def tell(count: int) -> None:
        if time.monotonic() - started > 1:
            said = html(P(f"{count:,} rows read …", id="going", hx_swap_oob="true"))
            for listener in visit.house.on_progress:
                listener(visit.profile.id, said, at)

    def work() -> tuple[str, Row]:
        file, intake = _opened(visit)
        intake.read(tell)
        return file.name, intake.write(file.name)

    name, report = await limited(work, seconds=SECONDS)
    links = [A("Show the list", href=visit.base, role="button")]
    if undo := visit.undo:
        links += [Button("Undo", hx_post=undo, cls="outline secondary")]
    told = P("From ", Strong(name), ":"), _report(visit.app, report), Div(*links, cls="bar")
    # until it is undone
    return _page(visit, Div(*told, hx_target="this", hx_swap="delete"))


def _report(app, report: Row):
    known = {name: f.label for name, f in app.fields.items()}
    read = (f" · {known.get(name, name)}: {how}" for name, how in report["notations"].items())
    said = P(Strong(counted(report)), Small(*read), role="status")
    if not report["skip"]:
        return said
    rows = []
    for skip in report["skipped"]:
        was = {name: f" (it is {cell!r})" for name, cell in skip["was"].items() if cell.strip()}
        told = ((known.get(n, n), why, was.get(n, "")) for n, why in skip["why"].items())
        why = (f"{name} {why}{cell}".strip() for name, why, cell in told)
        rows.append({"Row": skip["row"], "Why it is left out": "; ".join(why)})
    more = report["skip"] - len(rows)
    note = Small(f"and {more:,} more") if more else ""
    return Div(said, Details(Summary("Rows left out"), data_table(rows), note, open=True))


ROUTES = [
    Route("GET", "export", _export),
    Route("GET", "import", _form),
    Route("POST", "import", _import),
]

# -- tools


class ExchangeTools:
    """Part of HouseTools, which has `house`."""

    @tool(seconds=SECONDS)
    def rows_export(
        self,
        caller: Caller,
        app: str,
        format: Literal["csv", "json"] = "csv",
        where: str = "",
        raw: bool = False,
    ):
        """Write an app's rows to a file; `where` as after ? in a list's address: f.done=no"""
        kind, files = self.house.shelf.crud(app), self.house.files
        made = export(kind, caller, kind.state_of(where), format, raw)
        path = files.new_folder("exports") / made.name
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(made.chunks)
        return {"file": f"file:{files.record(caller.profile, path)}", "rows": made.rows}

    # a dry run needs no approval; an import does, however small
    @tool(
        kind="bulk", seconds=SECONDS, size=lambda self, _, dry_run, **__: 0 if dry_run else BULK + 1
    )
    def rows_import(
        self,
        caller: Caller,
        app: str,
        file: File,
        match: list[str] | None = None,
        columns: dict | None = None,
        notations: dict | None = None,
        header: bool = True,
        sheet: str = "",
        raw: bool = False,
        dry_run: bool = False,
    ):
        """Add a file's rows (CSV, JSON, XLSX) to an app; rows equal in the `match` fields are

        updated. `columns`: {"Column": "field"} where names differ; `notations`: {"field": "day

        first"} where dates or numbers are unclear. Try `dry_run` first."""
        kind, given = self.house.shelf.crud(app), self.house.files.resolve(file, caller)
        how = {"header": header, "notations": notations, "sheet": sheet, "raw": raw}
        intake = Intake(kind, caller, given.path, match or (), columns, **how)
        report = intake.read()
        return report if dry_run else intake.write(given.name)
