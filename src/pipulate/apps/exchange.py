"""Rows in and out of an app: downloads, the page of an import, and both as tools."""

import itertools
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Literal

from fasthtml.components import H1, A, Button, Details, Div, Fieldset, Form, Header, Input, Label
from fasthtml.components import Legend, Option, P, Section, Select, Small, Strong, Summary, Table
from fasthtml.components import Tbody, Td, Textarea, Th, Thead, Tr

from pipulate.apps.base import Download, Route, Visit, csv_file
from pipulate.apps.intake import SECONDS, SHOWN, Asked, bring_in, guess
from pipulate.apps.markup import field_input, html, problem_card
from pipulate.apps.query import State
from pipulate.apps.refs import AMONG
from pipulate.core.fields import MISSING, Field, File, Ref, Secret, dumps, make_field, to_json
from pipulate.core.problems import Problem
from pipulate.core.sheets import Sheet, write_json
from pipulate.core.store import Row
from pipulate.core.tools import BULK, Caller, limited, tool

BATCH = 500  # rows read for one chunk of a download
FIRST = 3  # rows shown before an import
FILE = make_field("file", File)
WHOLE = {"hx_target": "#import", "hx_swap": "outerHTML"}


def export(app, caller: Caller, state: State, form: str = "csv", raw: bool = False) -> Download:
    """Rows as a download, in the order of the list; without secrets. `form`: csv or json."""
    names = [n for n in state.columns or app.fields if n in app.fields]
    names = [n for n in names if app.fields[n].type is not Secret]
    where, args = app.where(caller, state)
    keys = app.plain(caller).keys(where, args, app.order(caller, state))
    batches = _batches(app, caller, keys)
    name = f"{app.slug}-{date.today()}.{form}"
    if form == "json":
        rows = (
            {"id": r.id, **{n: to_json(getattr(r, n)) for n in names}} for b in batches for r in b
        )
        return Download(name, "application/json", write_json(rows), len(keys))
    cells = itertools.chain.from_iterable(_cells(app, caller, names, b) for b in batches)
    return replace(csv_file(name, ["id", *names], cells, raw), rows=len(keys))


def _batches(app, caller: Caller, keys: list[int]) -> Iterator[list[Any]]:
    """Rows in this order, read when they are taken: a slow download holds no transaction open."""
    table = app.rows(caller)
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        found = {row.id: row for row in table(AMONG, [dumps(batch)])}
        yield [found[key] for key in batch if key in found]


def _cells(app, caller: Caller, names: list[str], rows: list[Any]) -> Iterator[list[Any]]:
    """Rows as cells: numbers as such, a reference as its name with its number, else text."""
    labels = app.labels(caller, rows)
    fields = [app.fields[name] for name in names]
    for row in rows:
        yield [row.id, *(_cell(field, getattr(row, field.name), labels) for field in fields)]


def _cell(field: Field, value: Any, labels: Mapping[tuple[str, Any], str]) -> Any:
    if field.kind.input == "number":
        return value
    label = labels.get((field.name, value)) if field.type is Ref else None
    return f"{label} {field.text(value)}" if label else field.text(value)


# -- pages -----------------------------------------------------------------------------------------


def routes() -> list[Route]:
    """What every app has for rows in and out, below its address."""
    return [
        Route("GET", "export", _export),
        Route("GET", "import", _form),
        Route("GET", "import/check", _check),
        Route("POST", "import", _import),
    ]


async def _export(visit: Visit) -> Download:
    """Rows of the list that the address describes: ?format=csv|json&raw=1&…"""
    said, state = visit.query, visit.app.state(visit.query)
    form = "json" if said.get("format") == "json" else "csv"
    made = await limited(export, visit.app, visit.caller, state, form, bool(said.get("raw")))
    mark = ["\ufeff"] if form == "csv" else []  # by which a spreadsheet knows UTF-8
    return replace(made, chunks=itertools.chain(mark, made.chunks))


async def _form(visit: Visit):
    """Choose a file or paste; then say what its columns are."""
    if not visit.query.get("file"):
        return _page(visit, *_choose(visit))
    try:
        file, asked, sheet = await limited(_opened, visit, seconds=SECONDS)
        first = await limited(lambda: [cells for _, cells in itertools.islice(sheet.rows, FIRST)])
    except Problem as problem:
        return _page(visit, problem_card(problem), *_choose(visit))
    chosen = guess(visit.app, sheet.columns, asked.header) | dict(asked.columns)
    begin = {"hx_get": f"{visit.base}/import/check", "hx_trigger": "load", "id": "check"}
    begin |= {"hx_target": "this", "hx_swap": "innerHTML", "hx_push_url": "false"}
    form = Form(
        Input(type="hidden", name="file", value=visit.query["file"]),
        _columns(visit.app, sheet, first, chosen),
        *_options(visit.app, sheet, asked, chosen),
        Div(P("Checking …", id="going", role="status"), hx_include="closest form", **begin),
        hx_get=f"{visit.base}/import",
        hx_trigger="change, submit",
        hx_push_url="true",
        **WHOLE,
    )
    other = A("another file", href=f"{visit.base}/import")
    return _page(visit, P("From ", Strong(file.name), ", or choose ", other, "."), form)


def _page(visit: Visit, *parts):
    title = f"Import into {visit.app.title.lower()}"
    back = A(f"← {visit.app.title}", href=visit.base)
    return Section(Header(H1(title), back, cls="head"), *parts, id="import")


def _choose(visit: Visit):
    """The two ways to give rows."""
    pick = field_input(FILE, hx_get=f"{visit.base}/import", hx_push_url="true", **WHOLE)
    given = Label("A file: CSV, JSON, XLSX or ODS", pick), Button("Go on", type="submit")
    yield Form(*given, action=f"{visit.base}/import")
    box = Textarea(name="text", rows=6, required=True, placeholder="Title\tDone\nBuy milk\tno")
    here = Label("Or cells copied from a spreadsheet", box)
    yield Form(here, Button("Go on"), data_paste=f"{visit.base}/import")
    yield P("In the list itself, pasting while no box is chosen leads here, too.", cls="hint")


def _opened(visit: Visit) -> tuple[File, Asked, Sheet]:
    """(the file, what is asked of it, its rows), from the address or the form."""
    said = {**visit.query, **visit.form}
    file = visit.house.files.resolve(said.get("file", ""), visit.caller)
    match = tuple(name[2:] for name in said if name[:2] == "m.")
    options = {"sheet": said.get("sheet", ""), "raw": said.get("raw") == "true"}
    asked = Asked(file.path, match, header=said.get("header") != "false", **options)
    sheet = asked.open()
    if "header" not in said and not any(guess(visit.app, sheet.columns, by_id=True).values()):
        asked = replace(asked, header=False)
        sheet = asked.open()
    columns = {name: said[f"c.{name}"] for name in sheet.columns if f"c.{name}" in said}
    return file, replace(asked, columns=columns), sheet


def _columns(app, sheet: Sheet, first: list[list[Any]], chosen: Mapping[str, str]):
    """One line a column: its heading, first values, and the field it becomes."""
    fields = {"": "– leave out –"} | {n: f.label for n, f in app.fields.items()}
    lines = []
    for index, column in enumerate(sheet.columns):
        values = [cells[index] for cells in first if index < len(cells)]
        options = [Option(t, value=n, selected=n == chosen[column]) for n, t in fields.items()]
        pick = Select(*options, name=f"c.{column}", id=f"c{index}", aria_label=f"{column} becomes")
        pick = Small("finds rows, where ticked below") if column.lower() == "id" else pick
        shown = Td(" · ".join(str(v)[:40] for v in values if v not in ("", None, MISSING)))
        lines.append(Tr(Th(column, scope="row"), shown, Td(pick)))
    heads = Tr(Th("In the file"), Th("First values"), Th("Becomes"))
    return Div(Table(Thead(heads), Tbody(*lines), cls="data"), cls="scroll", tabindex="0")


def _options(app, sheet: Sheet, asked: Asked, chosen: Mapping[str, str]):
    """Which rows to update, whether there is a heading, which sheet, formulas."""
    labels = {n: f.label for n, f in app.fields.items() if n in chosen.values()}
    labels |= {"id": "id"} if "id" in map(str.lower, sheet.columns) else {}
    matches = [_box(f"m.{name}", label, name in asked.match) for name, label in labels.items()]
    if len(sheet.sheets) > 1:
        named = [Option(name, selected=name == asked.sheet) for name in sheet.sheets]
        yield Label("Sheet", Select(*named, name="sheet", id="sheet"))
    legend = Legend("Update rows that match on … (nothing ticked: every row is added)")
    yield Fieldset(legend, *matches, cls="boxes")
    if not sheet.typed:
        yield Fieldset(
            Input(type="hidden", name="header", value="false"),
            _box("header", "The first row is a heading", asked.header),
            _box("raw", "Keep the ' that stands before a formula", asked.raw),
            cls="boxes",
        )


def _box(name: str, label: str, on: bool):
    box = Input(type="checkbox", name=name, value="true", checked=on, id=f"on-{name}")
    return Label(box, label)


async def _check(visit: Visit):
    """What the import would do, and the button for it."""
    try:
        _, report = await _run(visit, dry_run=True)
    except Problem as problem:
        return problem_card(problem)
    rows = report["add"] + report["update"]
    press = {"hx_post": f"{visit.base}/import", "hx_disabled_elt": "this", "type": "button"}
    word = "row" if rows == 1 else "rows"
    button = Button(f"Import {rows:,} {word}", **press, **WHOLE) if rows else ""
    return _report(visit.app, report, "to add", "to change"), button, P(id="going", role="status")


async def _import(visit: Visit):
    """Carry it out; then the way back."""
    file, report = await _run(visit)
    undo = Button("Undo", hx_post=visit.undo, hx_swap="none", cls="outline secondary")
    undo = undo if report["add"] or report["update"] else ""
    links = A("Show the list", href=visit.base, role="button"), undo
    told = _report(visit.app, report, "added", "changed")
    return _page(visit, P("From ", Strong(file.name), ":"), told, Div(*links, cls="bar"))


async def _run(visit: Visit, dry_run: bool = False) -> tuple[File, Row]:
    file, asked, _ = await limited(_opened, visit, seconds=SECONDS)
    started, profile, at = time.monotonic(), visit.caller.profile, f"{visit.base}/import"

    def tell(count: int) -> None:
        if time.monotonic() - started > 1:
            said = html(P(f"{count:,} rows read …", id="going", hx_swap_oob="true"))
            for listener in visit.house.on_progress:
                listener(profile.id, said, at)

    return file, await bring_in(visit.app, visit.caller, asked, file.name, dry_run, tell)


def _report(app, report: Row, added: str, changed: str):
    counts = {added: "add", changed: "update", "as they are already": "unchanged"}
    counts |= {"left out": "skip"}
    parts = [f"{report[key]:,} {word}" for word, key in counts.items() if report[key]]
    said = P(Strong(" · ".join(parts) or "There is nothing to import."), role="status")
    if not report["skip"]:
        return said
    body = [
        Tr(Td(f"{s['row']:,}", cls="number"), Td(_why(app, s["why"]))) for s in report["skipped"]
    ]
    more = report["skip"] - SHOWN
    note = Small(f"and {more:,} more") if more > 0 else ""
    table = Table(Thead(Tr(Th("Row", cls="number"), Th("Why it is left out"))), Tbody(*body))
    return Div(said, Details(Summary("Rows left out"), table, note, open=True))


def _why(app, reasons: Mapping[str, str]) -> str:
    known = {name: f.label for name, f in app.fields.items()}
    return "; ".join(f"{known.get(name, name)} {why}".strip() for name, why in reasons.items())


# -- tools -----------------------------------------------------------------------------------------


def _size(caller: Caller, dry_run: bool = False, **rest: Any) -> int:
    """A dry run changes nothing and needs no approval; an import does, however small."""
    return 0 if dry_run else BULK + 1


class ExchangeTools:
    """Tools of the house for rows in and out, of any app."""

    def __init__(self, house):
        self.house = house

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
        folder = files.folder / "exports" / secrets.token_hex(6)
        folder.mkdir(parents=True)
        with open(folder / made.name, "w", encoding="utf-8", newline="") as file:
            file.writelines(made.chunks)
        kept = files.record(caller.profile, folder / made.name)
        return {"file": f"file:{kept}", "rows": made.rows}

    @tool(kind="bulk", size=_size)
    async def rows_import(
        self,
        caller: Caller,
        app: str,
        file: File,
        match: list[str] | None = None,
        columns: dict | None = None,
        header: bool = True,
        sheet: str = "",
        raw: bool = False,
        dry_run: bool = False,
    ):
        """Add a file's rows (CSV, JSON, XLSX) to an app; rows equal in the `match` fields are

        updated. `columns`: {"Column": "field"} where names differ. Try `dry_run` first."""
        kind, given = self.house.shelf.crud(app), self.house.files.resolve(file, caller)
        asked = Asked(given.path, tuple(match or ()), columns or {}, header, sheet, raw)
        return await bring_in(kind, caller, asked, given.name, dry_run)
