"""A measured link graph as one HTML file, which opens anywhere: no script, nothing fetched.

The table of pages is gone through once; what is kept of it are a few rows of each kind, and sums by
page type and by community where it has such columns.
"""

import heapq
import re
from collections import defaultdict
from datetime import date

from fasthtml.common import H1, H2, A, Body, Dd, Div, Dl, Dt, Head, Header, Html, Main, Meta, Nav, P
from fasthtml.common import Section, Style, Th, Title, to_xml

from pipulate import BarChart, DataTable, File
from pipulate.plugins._formats import save_as
from pipulate.plugins._picture import NAMED, as_numbers, rows_of

MOST = 50  # rows of a table
KINDS = 30  # bars of a chart, rows of a table by page type or community
TYPE = re.compile(r"(page[ _]?)?(type|segment|template)s?", re.IGNORECASE)
TITLES = RANKED, LINKED, DEEPEST, LOST, ORPHANS, ENDS = (
    "Highest PageRank",
    "Most linked",
    "Deepest",
    "Out of reach from the start",
    "Orphans: no page links to them",
    "Dead ends: they link to no page",
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # whatever a page is called, nothing runs

LOOK = """
:root{color-scheme:light dark;--line:#8885;--bar:#2f6fb3;background:Canvas}
@media (prefers-color-scheme:dark){:root{--bar:#6aa8e8}}
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:0 auto;padding:1rem 1.2rem 4rem}
h1{font-size:1.6rem;margin:.5rem 0 0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.2rem 0 .5rem}
p{margin:.3rem 0}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.8rem 0}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.6rem;margin:1rem 0}
dl div{border:1px solid var(--line);border-radius:.4rem;padding:.4rem .7rem}
dl .wide{grid-column:span 2}
dt{font-size:.85rem}
dd{margin:0;font-size:1.2rem;font-weight:600;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr));
  gap:1.5rem}
figure{margin:0;overflow:auto}
figcaption{font-weight:600;margin:.5rem 0}
svg{width:100%;min-width:24rem;display:block}
svg text{font-size:15px;fill:currentColor}
rect{fill:var(--bar)}
.scroll{overflow:auto;max-height:30rem;border:1px solid var(--line);border-radius:.4rem}
table{border-collapse:collapse;font-size:.9rem;width:max-content;min-width:100%}
th,td{padding:.3rem .7rem;text-align:left;border-bottom:1px solid var(--line)}
th{position:sticky;top:0;background:Canvas;white-space:nowrap}
td{max-width:min(26rem,60vw);overflow-wrap:anywhere}
td a{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
@media print{.scroll{max-height:none;overflow:visible} nav{display:none}}
"""


def page_type(columns):
    """The first column that says of what kind a page is, or None."""
    return next((name for name in columns if TYPE.fullmatch(name)), None)


class Best:
    """Of all rows that pass, the `most` with the largest values, the largest first; ties as they

    came. `count`: how many passed."""

    def __init__(self, most):
        self.most, self.count, self.heap = most, 0, []

    def add(self, value, row):
        """Take in a row, if it is among the best so far."""
        self.count += 1
        keep = heapq.heappush if len(self.heap) < self.most else heapq.heappushpop
        keep(self.heap, (value, -self.count, row))

    @property
    def rows(self):
        """The rows that stayed."""
        return [row for *_, row in sorted(self.heap, reverse=True)]


class Survey:
    """What one pass through the table of pages gives: its best rows, and sums of groups."""

    def __init__(self, nodes):
        rows = rows_of(nodes)
        self.head = next(rows)
        self.tables = {title: Best(MOST) for title in TITLES}
        self.groups = {}  # column → value → [pages, PageRank, links to them, without one, first]
        grouping = {page_type(self.head), *({"community"} & {*self.head})} - {None}
        at = {name: n for n, name in enumerate(self.head)}
        for name in sorted(grouping):
            self.groups[name] = defaultdict(lambda: [0, 0.0, 0, 0, ""])
        for row in rows:
            values = [row[at[name]] for name in ("in_degree", "out_degree", "depth", "pagerank")]
            self._sort(row, *values)
            for name, groups in self.groups.items():
                self._sum(groups[row[at[name]]], row[0], values)

    def _sort(self, row, into, out, depth, rank):
        """The tables in which a row has its place; the least important page is added last."""
        rank = float(rank)
        self.tables[RANKED].add(rank, row)
        self.tables[LINKED].add(int(into), row)
        self.tables[DEEPEST if depth else LOST].add(int(depth) if depth else rank, row)
        if into == "0" and depth != "0":
            self.tables[ORPHANS].add(rank, row)
        if out == "0":
            self.tables[ENDS].add(rank, row)

    def _sum(self, group, page, values):
        into, _, _, rank = values
        group[0] += 1
        group[1] += float(rank)
        group[2] += int(into)
        group[3] += into == "0"
        group[4] = group[4] or page

    def by(self, name):
        """[{value, pages, …}] of the groups of a column, those with most pages first."""
        rows = []
        for value, group in sorted(self.groups[name].items(), key=lambda one: -one[1][0]):
            pages, rank, into, orphans, first = group
            about = {name: value or "(none)", "pages": pages, "pagerank_%": round(100 * rank, 2)}
            about |= {"links_to_a_page": round(into / pages, 1), "orphans": orphans}
            rows.append(about | {"most_important": first})
        return rows


def write_report(title, measured, folder):
    """report.html of a measured graph, in a folder. `measured`: what the step Measure gives."""
    survey = Survey(measured["nodes"].path)
    counts = {k: v for k, v in measured.items() if isinstance(v, int | float | str)}
    counts |= {f"{kind} left out": n for kind, n in measured.get("left_out", {}).items()}
    counts |= {"orphans": survey.tables[ORPHANS].count, "dead_ends": survey.tables[ENDS].count}
    parts = [_charts(measured, survey)]
    parts += [_groups(name, survey.by(name)) for name in survey.groups]
    parts += [_table(name, best, survey.head) for name, best in survey.tables.items()]
    links = [A(part.children[0].children[0], href=f"#{part.attrs['id']}") for part in parts]
    said = f"{counts['pages']:,} pages and {counts['links']:,} links, measured on {date.today()}."
    head = Header(H1(title), P(said), Nav(*links))
    page = Body(head, Main(Dl(*(_figure(*pair) for pair in counts.items())), *parts))
    about = Meta(charset="utf-8"), Meta(name="viewport", content="width=device-width")
    safe = Meta(http_equiv="Content-Security-Policy", content=POLICY)
    whole = Html(Head(*about, safe, Title(title), Style(LOOK)), page, lang="en")
    path = folder / "report.html"
    path.write_text(to_xml(whole, indent=False), encoding="utf-8")
    return File(path)


def published(title, measured, formats, job):
    """What was measured, with its report and its graph in other formats as files of this step."""
    made = {"report": write_report(title, measured, job.files)}
    for done, form in enumerate(formats):
        job.progress(done, len(formats), f"graph.{form}")
        made[form] = save_as(form, measured["nodes"].path, measured["edges"].path, job.files)
    return measured | made


def _figure(name, value):
    """A count, below its name."""
    shown = value if isinstance(value, str) else f"{value:,}"
    wide = "wide" if len(shown) > 16 else None
    return Div(Dt(name.replace("_", " ").capitalize()), Dd(shown), cls=wide)


def _section(title, *parts):
    return Section(H2(title), *parts, id=re.sub(r"\W+", "-", title.lower()))


def _charts(measured, survey):
    """Pages by depth, by links, and by page type."""
    charts = [
        BarChart(measured["depths"], "Pages by clicks from the start"),
        BarChart(measured["degrees"], "Pages by how many pages link to them"),
    ]
    for name in survey.groups:
        rows, said = survey.by(name)[:KINDS], name.replace("_", " ")
        charts.append(BarChart([(row[name], row["pages"]) for row in rows], f"Pages by {said}"))
        shares = [(row[name], row["pagerank_%"]) for row in rows]
        charts.append(BarChart(shares, f"PageRank by {said}, %"))
    return _section("Charts", Div(*charts, cls="charts"))


def _groups(name, rows):
    said = f"By {name.replace('_', ' ')}"
    return _section(said, *_more(len(rows), KINDS, "largest"), _plain(rows[:KINDS], [*rows[0]]))


def _table(title, best, head):
    rows = [dict(zip(head, row, strict=False)) for row in best.rows]
    for name in head[1:]:
        cells = [row.get(name, "") for row in rows]
        if not NAMED.search(name) and as_numbers(cells):
            for row in rows:
                row[name] = _number(row.get(name, ""))
    return _section(title, *_more(best.count, MOST, "first"), _plain(rows, head))


def _number(cell):
    """A cell of a column of numbers."""
    return (int(cell) if cell.lstrip("-").isdecimal() else float(cell)) if cell else None


def _more(count, shown, word):
    return [P(f"The {word} {shown} of {count:,}.")] if count > shown else []


def _plain(rows, columns):
    """A table that needs no script."""
    if not rows:
        return P("None.")
    numbers = {name for row in rows for name, value in row.items() if not isinstance(value, str)}
    heads = (Th(name.replace("_", " "), cls="number" * (name in numbers)) for name in columns)
    return DataTable(rows, columns, [*heads])
