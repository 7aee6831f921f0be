"""A measured link graph as one HTML file, which opens anywhere: no script, nothing fetched.

The table of pages is gone through once, for a few rows of each kind and sums by page type and
community.
"""

import heapq
import re
from collections import defaultdict
from datetime import date

from fasthtml.common import H1, H2, A, Body, Dd, Div, Dl, Dt, Head, Header, Html, Main, Meta, Nav, P
from fasthtml.common import Section, Style, Th, Title, Wbr, to_xml

from pipulate import BarChart, DataTable, File
from pipulate.plugins._formats import save_as
from pipulate.plugins._picture import depth_bars, evened, rows_of, typed

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
LEGEND = (
    "In-degree: how many pages link to a page. Out-degree: how many pages it links to.",
    "Depth: clicks from the start page, by the shortest way; empty where there is none.",
    "PageRank: the share of time that somebody who clicks at random is there; it adds up to 1.",
)
ROWS = (
    "Component: pages that are joined by links, whichever way these lead; 1 is the largest.",
    "Repeated, self links, blank: rows with a link that was there before, with one from a page to "
    "itself, without one of the two pages.",
    "Orphans and dead ends are those of the file: a page with no link at all is not in it, and one "
    "that was not crawled seems to link to none.",
)
MEASURES = ("in_degree", "out_degree", "depth", "pagerank")
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
figure{margin:0}
figcaption{font-weight:600;margin:.5rem 0}
svg{max-width:40rem;display:block;font-size:13px;fill:currentColor}
small{font-weight:400}
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
    """The name of the column that tells the type of a page, or None."""
    return next((name for name in columns if TYPE.fullmatch(name)), None)


class Best:
    """Of all rows that pass, the `most` with the largest values, the largest first; ties as they

    came. `count`: how many passed."""

    def __init__(self, most):
        self.most, self.count, self.heap = most, 0, []

    def add(self, value, row):
        self.count += 1
        keep = heapq.heappush if len(self.heap) < self.most else heapq.heappushpop
        keep(self.heap, (value, -self.count, row))

    @property
    def rows(self):
        return [row for *_, row in sorted(self.heap, reverse=True)]


class Survey:
    """What one pass through the table of pages gives: its best rows, and sums of groups."""

    def __init__(self, nodes):
        rows = rows_of(nodes)
        self.head = next(rows)
        self.tables = {title: Best(MOST) for title in TITLES}
        at = {name: n for n, name in enumerate(self.head)}
        grouping = {page_type(self.head), "community"} & at.keys()
        # column → value → [pages, PageRank, links to them, without one, first]
        self.groups = {name: defaultdict(lambda: [0, 0.0, 0, 0, ""]) for name in sorted(grouping)}
        for row in rows:
            into, out, depth, rank = (row[at[name]] for name in MEASURES)
            self._sort(row, int(into), int(out), depth, float(rank))
            for name, groups in self.groups.items():
                group = groups[row[at[name]]]
                for n, more in enumerate((1, float(rank), int(into), into == "0")):
                    group[n] += more
                group[4] = group[4] or row[0]

    def _sort(self, row, into, out, depth, rank):
        """The tables in which a row has its place; the least important page is added last."""
        self.tables[RANKED].add(rank, row)
        self.tables[LINKED].add(into, row)
        self.tables[DEEPEST if depth else LOST].add(int(depth) if depth else rank, row)
        if not into and depth != "0":
            self.tables[ORPHANS].add(rank, row)
        if not out:
            self.tables[ENDS].add(rank, row)

    def by(self, name):
        """[{value, pages, …}] of the groups of a column, those with most pages first."""
        return [
            {
                name: value or "(none)",
                "pages": pages,
                "pagerank_%": round(100 * rank, 2),
                "links_to_a_page": round(into / pages, 1),
                "orphans": orphans,
                "most_important": first,
            }
            for value, (pages, rank, into, orphans, first) in sorted(
                self.groups[name].items(), key=lambda one: -one[1][0]
            )
        ]


def published(title, measured, formats, job):
    """What was measured, with the report and a file in each of `formats` added."""
    made = {"report": write_report(title, measured, job.files)}
    for done, form in enumerate(formats):
        job.progress(done, len(formats), f"graph.{form}")
        made[form] = save_as(form, measured["nodes"].path, measured["edges"].path, job.files)
    return measured | made


def write_report(title, measured, folder):
    """report.html of a measured graph, in a folder. `measured`: what the step Measure gives."""
    survey = Survey(measured["nodes"].path)
    counts = {k: v for k, v in measured.items() if isinstance(v, int | float | str)}
    counts |= {f"{kind} left out": n for kind, n in measured.get("left_out", {}).items()}
    counts |= {"orphans": survey.tables[ORPHANS].count, "dead_ends": survey.tables[ENDS].count}
    groups = {name: survey.by(name) for name in survey.groups}
    parts = [_charts(measured, groups)]
    for name, rows in groups.items():
        parts.append(table(f"By {name.replace('_', ' ')}", rows[:KINDS], len(rows), "largest"))
    for name, best in survey.tables.items():
        parts.append(table(name, typed(survey.head, best.rows), best.count))
    said = f"{counts['pages']:,} pages and {counts['links']:,} links, measured on {date.today()}."
    said = f"{said} {counts.pop('note', '')}".strip()
    return save_page(folder, title, said, counts, parts, LEGEND + ROWS)


def save_page(folder, title, said, counts, parts, legend=LEGEND):
    """report.html of that title; below it a sentence, {name: figure}, words, and sections."""
    links = [A(part.children[0].children[0], href=f"#{part.attrs['id']}") for part in parts]
    head = Header(H1(title), P(said), Nav(*links))
    page = Body(head, Main(Dl(*map(_figure, counts, counts.values())), *map(P, legend), *parts))
    about = Meta(charset="utf-8"), Meta(name="viewport", content="width=device-width")
    safe = Meta(http_equiv="Content-Security-Policy", content=POLICY)
    whole = Html(Head(*about, safe, Title(title), Style(LOOK)), page, lang="en")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(to_xml(whole, indent=False), encoding="utf-8")
    return File(path)


def section(title, *parts):
    """A part of the report; links lead to its title."""
    return Section(H2(title), *parts, id=re.sub(r"\W+", "-", title.lower()))


def table(title, rows, count=0, word="first"):
    """A section with rows as a table that needs no script; `count`: how many there are."""
    if not rows:
        return section(title, P("None."))
    note = P(f"The {word} {len(rows)} of {count:,}.") if count > len(rows) else ""
    numbers = {name for row in rows for name, value in row.items() if not isinstance(value, str)}
    heads = [Th(name.replace("_", " "), cls="number" * (name in numbers)) for name in rows[0]]
    return section(title, note, DataTable(evened(rows), heads=heads))


def _figure(name, value):
    shown = value if isinstance(value, str) else f"{value:,}"
    wide = "wide" if len(shown) > 12 else None
    parts = re.split(r"(?<=/)(?=[^/])", shown)  # a long address breaks behind a slash
    broken = [each for part in parts for each in (Wbr(), part)][1:]
    return Div(Dt(f"{name[:1].upper()}{name[1:]}".replace("_", " ")), Dd(*broken), cls=wide)


def _charts(measured, groups):
    charts = [
        BarChart(depth_bars(measured), "Pages by clicks from the start"),
        BarChart(measured["degrees"], "Pages by how many pages link to them", log=True),
    ]
    for name, rows in groups.items():
        for column, word in (("pages", "Pages by {}"), ("pagerank_%", "PageRank by {}, %")):
            bars = [(row[name], row[column]) for row in rows[:KINDS]]
            charts.append(BarChart(bars, word.format(name.replace("_", " "))))
    return section("Charts", Div(*charts, cls="charts"))
