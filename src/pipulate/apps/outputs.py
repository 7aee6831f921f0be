"""Outputs of steps as elements, by their type; as downloads; and what else they may feed.

All is bounded: rows are paged, text and trees cut, what lies in a file of its own stays there.
"""

import heapq
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fasthtml.components import H3, A, Button, Details, Div, Figcaption, Figure, Img, Nav, NotStr
from fasthtml.components import P, Pre, Small, Span, Strong, Summary, Th

from pipulate.apps.base import Download, csv_file, so_many
from pipulate.apps.files import shown_as
from pipulate.apps.job import files_in
from pipulate.apps.markup import data_table, html, markdown, owned, problem_card
from pipulate.core.fields import Field, File, dumps, pretty, to_json
from pipulate.core.outputs import Large, Rows, as_row, columns_of, is_rows
from pipulate.core.problems import Problem
from pipulate.core.sheets import write_json
from pipulate.core.store import Row

PAGE, WIDE = 100, 60  # rows and columns of a page of a table
TEXT, NODES, DEEP = 20_000, 400, 30  # characters; values and levels of a tree
LOOK = 1_000_000  # bytes of a text file that a browser may show
MARKED = re.compile(r"(?m)^(#{1,6} |[-*+] |\d+\. |> |```|\|.*\|$)|\*\*\S|\]\(https?:")


@dataclass(frozen=True)
class Place:
    """Where an output is found: `at`, its own address; file(path), that of a file; or ""."""

    at: str = ""
    file: Callable[[Path], str] = lambda path: ""


# -- drawn


def draw(value: Any, place: Place, key: str = ""):
    """Any output, by its type; `key` names the part of an output that it is."""
    match value:
        case None:
            return P("Done, without output.", cls="empty")
        case File():
            return file_link(value, place.file(value.path))
        case Large():
            return Div("Too large to be shown here.", draw(File(value.path), place))
        case Rows() if not (place.file(value.path) if place.at else value.path.exists()):
            return P("The file of these rows is gone. Run the step again.", cls="empty")
        case str():
            return _text(value)
        case bool() | int() | float():
            return P(Strong(f"{value:,}" if not isinstance(value, bool) else str(value).lower()))
        case dict() if value:
            return _parts(value, place)
    if is_rows(value):
        return table(value, place, key)
    if isinstance(value, list) and value and all(isinstance(one, File) for one in value):
        return Div(*(draw(one, place) for one in value[:PAGE]))
    return _folded(value)


def _parts(value: Row, place: Place):
    apart = {k: v for k, v in value.items() if isinstance(v, File | Large) or is_rows(v)}
    rest: Any = {k: v for k, v in value.items() if k not in apart}
    if any(isinstance(v, dict | list) for v in rest.values()):
        drawn = _folded(rest)
    else:
        drawn = data_table([{"name": k, "value": v} for k, v in islice(rest.items(), NODES)])
    named = ((H3(k.replace("_", " ").capitalize()), draw(v, place, k)) for k, v in apart.items())
    return Div(drawn if rest else "", *chain(*islice(named, NODES)))


def _text(value: str):
    shown, more = value[:TEXT], len(value) - TEXT
    if MARKED.search(shown):
        body = Div(markdown(shown), cls="text")
    else:
        body = (Pre if "\n" in shown else P)(shown)
    return Div(body, Small(f"{more:,} more characters are in the download.") if more > 0 else "")


def _folded(value: Any):
    return NotStr(f'<ul class="tree">{_tree("", value, [NODES])}</ul>')


def _tree(name: str, value: Any, room: list[int], level: int = 0) -> str:
    """A JSON value as nested lists that fold; `room`: how many values may still be drawn."""
    room[0] -= 1
    label, nested = f"<b>{escape(name[:100])}</b> " if name else "", isinstance(value, dict | list)
    inner = value.values() if isinstance(value, dict) else value if nested else ()
    short = len(inner) < 5 and not any(isinstance(one, dict | list) for one in inner)
    if short or level > DEEP:
        return f"<li>{label}<code>{escape(dumps(value)[:300])}</code></li>"
    pairs = value.items() if isinstance(value, dict) else enumerate(value, 1)
    lines, count = [], so_many(len(value), "name" if isinstance(value, dict) else "value")
    for key, one in pairs:
        if room[0] <= 0:
            lines.append("<li>… the rest is in the download</li>")
            break
        lines.append(_tree(str(key), one, room, level + 1))
    opened = " open" if level < 2 and len(value) <= 20 or not level else ""
    head = f"<summary>{label}<small>{count}</small></summary>"
    return f"<li><details{opened}>{head}<ul>{''.join(lines)}</ul></details></li>"


def file_link(file: File, at: str):
    """A download, by the file's number and never its path; a picture as such, text to look at."""
    size, kind = file.path.stat().st_size if file.path.exists() else 0, shown_as(file.name)
    said = f"{file.name} ({size:,} bytes)"
    if not at:
        return P(Span(said))
    link, see = A(said, href=at, download=file.path.name), {"href": f"{at}/view"}
    if kind.startswith("image"):
        picture = A(Img(src=f"{at}/view", loading="lazy", alt=file.name), target="_blank", **see)
        return Figure(picture, Figcaption(link), cls="picture")
    return P(link, " ", A("Look", target="_blank", **see) if kind and size < LOOK else "")


def viewed(view: Callable[[Any], Any], value: Any, *held: list[Any]):
    """What a step's view draws, as HTML; `held` gets what holds its widgets."""
    return NotStr(html(owned((view(value),), *held)))


def view_failed(error: Exception):
    """What is shown beside the output then."""
    what = f"The view of this step failed ({type(error).__name__}: {error})."[:500]
    return problem_card(Problem(what, "Mend it, or run the step again; the output is safe."))


# -- tables


def table(rows: Any, place: Place, key: str = "", page: int = 1, sort: str = ""):
    """One page of rows. Headings sort all of them (`sort`: a column, "-" before it: downwards)."""
    count, first = len(rows), (page - 1) * PAGE
    every = columns_of(islice(rows, PAGE) if isinstance(rows, Rows) else rows)
    some = _sorted(rows, sort, first + PAGE)[first:] if sort else rows[first : first + PAGE]
    at, said = f"{place.at}?", so_many(count, "row")
    if len(every) > WIDE:
        said += f" · {WIDE} of {len(every):,} columns"
    links, heads = [A("CSV", href=f"{place.at}.csv?{urlencode({'key': key})}", download=True)], None
    if count > PAGE:
        turn = {"hx_target": "closest .table", "hx_swap": "outerHTML"}

        def to(word: str, **where: Any):
            where = {"key": key, "sort": sort} | where
            return Button(word, cls="link", hx_get=at + urlencode(where), **turn)

        said = f"{first + 1:,} to {min(count, first + PAGE):,} of {said}"
        links += [to("← Before", page=page - 1)] if page > 1 else []
        links += [to("Next →", page=page + 1)] if first + PAGE < count else []
        heads = [_head(to, column, sort) for column in every[:WIDE]]
    drawn = data_table([*map(as_row, some)], every[:WIDE], heads)
    links = links if place.at else []  # nothing answers in a notebook
    return Div(drawn, Nav(Small(said), *links, cls="tools"), cls="table")


def _head(to: Callable[..., Any], column: str, sort: str):
    down = sort == f"-{column}"
    order = "descending" if down else "ascending" if sort == column else None
    word = column.replace("_", " ")
    return Th(to(word, sort=column if down else f"-{column}"), aria_sort=order)


def _sorted(rows: Iterable[Any], sort: str, most: int) -> list[Any]:
    """The first so many rows of that order, gone through once; what is empty comes last."""
    column, down = sort.lstrip("-"), sort.startswith("-")

    def rank(row: Any):
        value = as_row(row).get(column)
        value = dumps(value) if isinstance(value, dict | list | File) else value
        return (value is None) != down, isinstance(value, str), value

    return (heapq.nlargest if down else heapq.nsmallest)(most, rows, rank)


# -- elsewhere


def tools(value: Any, place: Place):
    """What may be done with a whole output: copy, download, use elsewhere."""
    if value is None:
        return ""
    kind = "txt" if isinstance(value, str) else "json"
    at = f"{place.at}.{kind}"
    copy = Button("Copy", cls="link", data_copy=at, type="button")
    use = {"hx_get": place.at.removesuffix("output") + "use", "hx_trigger": "toggle once"}
    return Nav(
        copy if isinstance(value, str | dict | list) else "",
        "" if isinstance(value, File | Large) else A(kind.upper(), href=at, download=True),
        Details(Summary("Use in…"), Div("…"), hx_target="find div", **use),
        cls="tools",
    )


def download(value: Any, name: str, form: str) -> Download:
    """An output as csv (rows), txt or json, made while it is sent."""
    if form == "csv" and is_rows(value):
        columns = columns_of(value)  # of all rows: none that only a late one has gets lost
        cells = ([as_row(row).get(c) for c in columns] for row in value)
        return csv_file(f"{name}.csv", columns, cells)
    if form == "txt":
        return Download(f"{name}.txt", "text/plain; charset=utf-8", [str(value)])
    text = write_json(value) if is_rows(value) else [pretty(to_json(value))]
    return Download(f"{name}.json", "application/json", text)


def takes(field: Field, value: Any) -> bool:
    """Whether a pipeline that first asks for this field can be fed with an output."""
    if field.type is File:
        return is_rows(value) or bool(files_in(value))
    try:
        return field.check(value) is not None
    except (ValueError, TypeError):
        return False
