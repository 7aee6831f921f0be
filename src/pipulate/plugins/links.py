"""Links: a CSV with one link per row becomes the measured shape of a site.

    rows = links + repeated + self_links + blank + left_out      no row disappears unseen
    links = distinct pairs of two different pages: what all measures rest on
    repeated = rows that say such a pair again; self_links = rows where a page links to itself
    blank = rows with too few cells or an empty one: left out, pages too; empty lines are no rows
    left_out = by their kind, rows of a crawler's export that are no link to a page of the site

A self-link adds to no degree and no PageRank; edges.csv has it, with its count. Memory holds page
names and numbers per row and link.
"""

import csv
import io
import re
from collections import Counter
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Literal

from pipulate import Choices, File, Pipeline, Problem
from pipulate.plugins._exports import MARKS, known, sifted

ORIGINS = ["source", "from", "origin", "referring", "referrer", "linking", "src", "url", "page"]
TARGETS = ["target", "to", "destination", "linked", "href", "outlink", "link", "url", "page"]
PAGE = re.compile(r"(\w+:)?//\S|\.{0,2}/|[^\s/]+/\S*$|\S+\.(html?|php|aspx?)\b", re.IGNORECASE)
HOST = re.compile(r"[^\s.]+(\.[^\s.]+)+")
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
FIRST = 1_000  # rows that are looked at for what may be no pages

links = Pipeline("Links", "Measures a CSV of links: pages, depth, components and PageRank.")


def find_encoding(path):
    """The first encoding that reads the whole file, in pieces; a byte order mark decides alone."""
    with open(path, "rb") as file:
        mark = file.read(2)
    marks = {b"\xef\xbb": ["utf-8-sig"], b"\xff\xfe": ["utf-16"], b"\xfe\xff": ["utf-16"]}
    for encoding in marks.get(mark, ["utf-8", "cp1252", "latin-1"]):
        with suppress(UnicodeError), open(path, encoding=encoding, newline="") as text:
            if any("\0" in piece for piece in iter(lambda: text.read(1 << 20), "")):
                raise Problem(f"{path.name} is not a text file.", "Save it as CSV in UTF-8.")
            return encoding
    raise Problem(f"{path.name} is not the {encoding} it claims to be.", "Save it as CSV in UTF-8.")


def split(text, delimiter, whole):
    """(share of rows of the usual width, share of cells like pages, rows); (0, 0, []) if unfit."""
    rows = list(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)))
    rows = rows if whole else rows[:-1]  # a text that is not whole was cut in its last row
    widths = Counter(map(len, rows)).most_common(1)
    if not widths or widths[0][0] < 2:
        return 0, 0, []
    cells = [cell for row in rows for cell in row]
    return widths[0][1] / len(rows), sum(map(bool, map(PAGE.match, cells))) / len(cells), rows


def read_header(rows):
    """(whether the first row is a header, one distinct name per column)."""
    data = [any(PAGE.match(cell) or NUMBER.fullmatch(cell) for cell in row) for row in rows[:100]]
    usual = any(cell.strip().lower() in ORIGINS + TARGETS for cell in rows[0])
    header = not data[0] and (usual or 2 * sum(data) >= len(data))  # pages and numbers are data
    width = max(map(len, rows))
    cells = [*(rows[0] if header else []), *[""] * width][:width]
    names = [cell.strip() or f"Column {n}" for n, cell in enumerate(cells, 1)]
    return header, [f"{x} ({n})" if x in names[: n - 1] else x for n, x in enumerate(names, 1)]


@links.step
def source(csv: File):
    """Which CSV file holds the links, one per row?"""
    if not csv.path.is_file():
        raise Problem(f"There is no file {csv.path}.", "Choose a CSV file, not a folder.")
    encoding = find_encoding(csv.path)
    with open(csv.path, encoding=encoding, newline="") as stream:
        text, whole = stream.read(1 << 17), not stream.read(1)
    named = re.match(r'"?sep=([^"\r\n])"?[\r\n]', text, re.IGNORECASE)
    tried = {each: split(text, each, whole) for each in (named[1] if named else ",\t;|")}
    delimiter = max(tried, key=lambda each: tried[each][:2])
    rows = tried[delimiter][2][bool(named) :]
    if not rows:
        what = "has no two columns" if text.strip() else "is empty"
        raise Problem(f"{csv.name} {what}.", "Give each link a source and a target.")
    title = len(rows) > 1 and len(rows[0]) == 1 and bool(known(rows[1])[0])
    rows = rows[title:]  # old versions of Screaming Frog put a line "All Inlinks" first
    header, names = read_header(rows)
    if header and len(rows) == 1 and whole:
        raise Problem(f"{csv.name} has a header but no rows.", "Choose a CSV with links in it.")
    return {
        "file": csv,
        "columns": names,
        "sample": [[cell[:200] for cell in row] for row in rows[header:][:5]],
        "delimiter": delimiter,
        "encoding": encoding,
        "header": header,
        "program": known(names)[0],
        "skip": bool(named) + title + header,  # rows before the first link
    }


@source.view
def draw_source(output):
    """The first rows, as a table."""
    from pipulate import DataTable

    named = (dict(zip(output["columns"], row, strict=False)) for row in output["sample"])
    return DataTable(list(named))


def paged(source, index):
    """How many of the first cells of a column are like pages."""
    return sum(1 for row in source["sample"] if PAGE.match("".join(row[index : index + 1])))


def likeliest(source, hints, role, pages_only=False):
    """Columns, best first: that of a known program, one with pages if only those will do, a word

    among the hints, fewer other words, more cells like pages."""
    sure = known(source["columns"])[1].get(role)

    def rank(index):
        words = re.findall(r"[^\W_]+", source["columns"][index].lower())
        hint = min((hints.index(word) for word in words if word in hints), default=len(hints))
        pages = paged(source, index)
        unfit = pages_only and not pages
        return source["columns"][index] != sure, unfit, hint, len(words), -pages

    return [source["columns"][index] for index in sorted(range(len(source["columns"])), key=rank)]


def origin_columns(source):
    """Columns that may hold where links stand, the likeliest first."""
    return likeliest(source, ORIGINS, "origin")


def target_columns(source):
    """The column guessed as origin comes last, so the two guesses always differ.

    Where that has pages, so has the target: a column "Target" may say how a link opens."""
    origin = origin_columns(source)[0]
    pages_only = paged(source, source["columns"].index(origin)) > 0
    found = likeliest(source, TARGETS, "target", pages_only)
    return [name for name in found if name != origin] + [origin]


Origin = Annotated[str, Choices(origin_columns)]
Target = Annotated[str, Choices(target_columns)]


@links.step
def columns(source, origin: Origin, target: Target):
    """Which column links to which?"""
    if origin == target:
        raise Problem(f"Both ends of a link are {origin!r}.", "Choose another column for one end.")
    note = doubted(source, origin, target)
    return {"origin": origin, "target": target} | ({"note": note} if note else {})


@columns.view
def draw_columns(output):
    """The two columns, and what speaks against them."""
    return figures("end", output | {"note": None}), output.get("note", "")


def doubted(source, *columns):
    """What speaks against two columns, as a sentence: cells unlike pages and never at both ends."""
    at, ends = [source["columns"].index(name) for name in columns], (set(), set())
    with (
        suppress(OSError, csv.Error, UnicodeError),  # the next step tells of these
        open(source["file"].path, encoding=source["encoding"], newline="") as text,
    ):
        rows = filter(None, csv.reader(text, delimiter=source["delimiter"]))
        for row in islice(rows, source["skip"], FIRST):
            for cells, n in zip(ends, at, strict=True):
                cells.update(filter(None, map(str.strip, row[n : n + 1])))

    def unlike(cells):
        like = sum(1 for cell in cells if PAGE.match(cell) or HOST.fullmatch(cell))
        return 2 * like < len(cells)

    odd = [name for name, cells in zip(columns, ends, strict=True) if unlike(cells)]
    if not odd or ends[0] & ends[1]:
        return ""
    named = " and ".join(map(repr, odd))
    said = f"Most cells of {named} are no address or path, and none stands in both columns."
    return f"{said} If these are no links between pages, choose other columns."


def read_links(source, columns, job):
    """(page names by id, rows as pairs of ids, {column: text of each page}, counts) of a file."""
    from pipulate.plugins._pairs import read

    roles = known(source["columns"])[1]
    marks = [role for role in MARKS if role in roles]
    names = columns["origin"], columns["target"], *(roles[role] for role in marks)

    def told(share, rows):
        job.progress(int(60 * share), 100, f"{rows:,} rows read")

    try:
        pages, ends, found, short = read(source, [*map(source["columns"].index, names)], told)
    except (csv.Error, UnicodeError) as error:
        advice = "Up to there a quote is not closed or not doubled; mend it or export again."
        raise Problem(f"{source['file'].path.name}, {error}.", advice) from error
    pages, ends, more, counts = sifted(pages, ends, dict(zip(marks, found, strict=True)))
    counts["blank"] += short
    if not pages:
        rows = counts["blank"] + sum(counts["left_out"].values())
        what = f"None of {rows:,} rows names two pages. {told_left_out(counts)}".strip()
        raise Problem(what, "Choose other columns.")
    return pages, ends, more, counts


def told_left_out(counts):
    """What was left out of a crawler's export, as a sentence; "" if nothing was."""
    kinds = ", ".join(f"{rows:,} {kind}" for kind, rows in counts.get("left_out", {}).items())
    return f"Left out, being no links between pages of the site: {kinds}." if kinds else ""


def told_variants(pages):
    """Which pages have another's name but for a detail, as a sentence; "" if none has."""
    known = {*pages}
    others = {
        "a slash at the end": (page[:-1] for page in pages if page.endswith("/")),
        "http and https": (f"https{page[4:]}" for page in pages if page.startswith("http:")),
        "what follows a #": (page.partition("#")[0] for page in pages if "#" in page),
    }
    counts = {by: sum(1 for other in found if other in known) for by, found in others.items()}
    said = ", ".join(f"{count:,} by {by}" for by, count in counts.items() if count)
    what = f"Pages that differ from another only in name, and are counted beside it: {said}."
    return what if said else ""


def find_start(pages, start, linking):
    """Id of the page called `start`, or else of a likely home among `linking` (ids in order)."""
    if start in pages:
        return pages.index(start)
    if start:
        near = [page for page in pages if start.lower() in page.lower()]
        near = near or sorted(pages, key=lambda page: abs(len(page) - len(start)))
        nearest = get_close_matches(start, near[:2_000], 1, 0)[0]
        raise Problem(f"No page is called {start!r}.", f"The nearest is {nearest!r}.")
    if not PAGE.match(pages[linking[0]]):
        return linking[0]  # the first source; for addresses, the shortest one
    short = sorted(linking, key=lambda each: len(pages[each]))[:200]
    short = [each for each in short if PAGE.match(pages[each])] or short
    return min(short, key=lambda each: len(re.sub(r"\b(index|home)\.\w+$", "", pages[each])))


Grouped = Annotated[bool, "pages that link to one another most; needs the extra communities"]


@links.step
def measure(source, columns, job, start: str = "", communities: Grouped = False):
    """From which page is depth counted? (Empty: from the home page, as far as it can be told.)"""
    from pipulate.plugins._graph import Graph  # numpy only for those who measure

    pages, ends, more, counts = read_links(source, columns, job)
    graph = Graph(len(pages), ends)
    begin = find_start(pages, start.strip(), graph.linking)
    job.progress(70, 100, f"{len(pages):,} pages; depth and PageRank next")
    measured = graph.measured(begin) | {"start": pages[begin]} | counts
    notes = [*filter(None, [columns.get("note"), told_variants(pages)])]
    measured |= {"note": " ".join(notes)} if notes else {}
    if communities:
        job.progress(80, 100, f"{measured['links']:,} links; communities next")
        measured |= graph.grouped()
    return measured | graph.tables(job.files, pages, more)


def figures(word, values):
    """The counts, measures and words among named values, as a table of two columns."""
    from pipulate import DataTable  # it brings the whole of FastHTML: only for drawing

    def row(name, value):
        shown = value if isinstance(value, str | bool) else f"{value:,}"
        return {word: name.replace("_", " "), "value": shown}  # all of them text: one edge

    return DataTable([row(n, v) for n, v in values.items() if isinstance(v, str | int | float)])


def pictured(output):
    """The graph itself, its top pages as a table, and two histograms."""
    from pipulate import BarChart, DataTable
    from pipulate.plugins._picture import Picture, depth_bars, evened

    return (
        Picture(output["nodes"].path, output["edges"].path),
        DataTable(evened(output["top"])),
        BarChart(output["degrees"], "Pages by how many pages link to them", log=True),
        BarChart(depth_bars(output), "Pages by clicks from the start"),
    )


@measure.view
def draw_measure(output):
    """What was left out and why, the figures, the picture."""
    told = " ".join(filter(None, [output.get("note"), told_left_out(output)]))
    return told, figures("measured", output | {"note": None}), *pictured(output)


Formats = Annotated[list[Literal["gexf", "graphml"]], "for Gephi and other programs"]


@links.step(auto=True)
def report(source, measure, job, formats: Formats = []):  # noqa: B006
    """Writes a report that any browser opens; other formats by Revise."""
    from pipulate.plugins._report import published

    return published(f"Links of {source['file'].name}", measure, formats, job)


@report.view
def draw_report(output):
    """What the report is."""
    return "The report is one file: open it in a browser, keep it, send it on."
