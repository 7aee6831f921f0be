"""Compare: two measured link graphs, and what became of each page between them.

A graph is a run of Links or Link graph, or a file: its nodes.csv, or any CSV of links, which is
measured first. Pages are told apart by their names; PageRank is a share of the whole, so that many
new pages take a little from all others.
"""

import csv
import filecmp
import json
from collections import Counter, defaultdict
from contextlib import suppress
from itertools import chain
from math import isclose
from types import SimpleNamespace
from typing import Annotated, NamedTuple

from fasthtml.components import H3, P

from pipulate import BarChart, Choices, DataTable, File, Pipeline, Problem
from pipulate.plugins import links
from pipulate.plugins._picture import evened
from pipulate.plugins._report import MEASURES, Best, page_type, save_page, section, table

PIPELINES = {"link_graph": "graph", "links": "measure"}  # pipeline: its step that has the pages
LOOKED_AT = 50  # runs of each
GIVEN = "the file below"
SHOWN, LONG = 25, 500  # rows of a table; characters of a page's name in it
Given = Annotated[File | None, "nodes.csv of a run, or any CSV of links"]
WAYS = ("New", "Gone", "Deeper", "Shallower", "Out of reach", "In reach again", "More links")
WAYS += ("Fewer links", "PageRank gained", "PageRank lost")

compare = Pipeline(
    "Compare",
    "Two link graphs: pages new and gone, deeper and shallower, PageRank gained and lost.",
)


class Page(NamedTuple):
    """A page in one graph; depth is None out of reach, kind "" where no column says it."""

    into: int
    out: int
    depth: int | None
    rank: float
    kind: str


# -- which two ---------------------------------------------------------------------------------


@compare.step(auto=True)
def runs(job):
    """Looks up the runs that have measured links."""
    found = []
    for pipeline, step in PIPELINES.items():
        for run in job.tool("run_list", pipeline=pipeline)[:LOOKED_AT]:
            made = None
            if run["parent"].endswith("/links"):  # a part of a run of Link graph
                continue
            with suppress(Problem):  # of an edition that is not there now
                made = job.tool("run_output", run=run["id"], step=step)
            if made and "nodes" in made:
                nodes, at = File(made["nodes"]["$file"]), run["created_utc"][:16].replace("T", " ")
                name = f"{pipeline} {run['id']} ({called(run, made)}, {made['pages']:,} pages)"
                about = {"graph": name, "links": made["links"], "begun_utc": at}
                crawl = json.loads(run["inputs"]).get("analysis", "")
                found.append(about | {"nodes": nodes, "crawl": crawl})
    found.sort(key=lambda row: row["begun_utc"], reverse=True)
    if all(row["crawl"] for row in found[:2]):  # an older crawl may have been exported later
        found[:2] = sorted(found[:2], key=lambda row: row["crawl"], reverse=True)
    return found


def called(run, made):
    """What tells a run from others: its name, its analysis, where it starts, its file.

    The analysis first: a table cuts off the end of what is long."""
    given = json.loads(run["inputs"])
    file = (given.get("csv") or {}).get("name", "")
    parts = given.get("analysis"), made["start"][:LONG], file
    return run["name"] or " ".join(filter(None, parts))


@runs.view
def draw_runs(output):
    """The runs to choose from."""
    shown = [{name: row[name] for name in ("graph", "links", "begun_utc")} for row in output]
    return DataTable(shown) if shown else "No run has measured links yet; two files will do."


def newest(runs):
    """Graphs of runs, the newest first, then the choice of a file."""
    return [*(row["graph"] for row in runs), GIVEN]


def older(runs):
    """The same, but the newest last: what is compared with it comes before."""
    return [*newest(runs)[1:], *newest(runs)[:1]]


@compare.step
def graphs(
    runs,
    *,
    before: Annotated[str, Choices(older)],
    before_file: Given = None,
    after: Annotated[str, Choices(newest)],
    after_file: Given = None,
):
    """Which two graphs? Choose runs, or give files: what is given counts."""
    known = {row["graph"]: row["nodes"] for row in runs}
    sides = {"before": (before, before_file), "after": (after, after_file)}
    files = {side: given or known.get(chosen) for side, (chosen, given) in sides.items()}
    for side, file in files.items():
        if not file:
            raise Problem(f"No graph is chosen for {side!r}.", "Choose a run, or give a file.")
        if not file.path.is_file():
            raise Problem(f"The file {file.name} is gone.", "Run its step again, or give another.")
    if filecmp.cmp(files["before"].path, files["after"].path, shallow=False):
        raise Problem("Both are the same graph, page by page.", "Choose another one for one side.")
    names = {
        side: called_file(given, files.values(), known) if given else chosen
        for side, (chosen, given) in sides.items()
    }
    return names | {f"{side}_file": file for side, file in files.items()}


def called_file(given, files, known):
    """What a file is called: as the run that wrote it, or with its folder if both have one name."""
    run = next((name for name, nodes in known.items() if nodes.path == given.path), None)
    alike = len({file.name for file in files}) == 1
    return run or (f"{given.path.parent.name}/{given.name}" if alike else given.name)


# -- what became of each page ------------------------------------------------------------------


def read(file, folder, job):
    """({page: Page} of a table of pages or a CSV of links, whether it has page types)."""
    form = links.source(file)
    if not {*MEASURES} <= {*form["columns"]}:
        folder.mkdir(parents=True, exist_ok=True)
        own = SimpleNamespace(files=folder, progress=job.progress)
        ends = links.columns(form, links.origin_columns(form)[0], links.target_columns(form)[0])
        form = links.source(links.measure(form, ends, own)["nodes"])
    path, kind, pages = form["file"].path, page_type(form["columns"]), {}
    at = [form["columns"].index(name) for name in (*MEASURES, *([kind] if kind else []))]
    with open(path, encoding=form["encoding"], newline="") as text:
        rows = filter(None, csv.reader(text, delimiter=form["delimiter"]))
        next(rows)
        for number, row in enumerate(rows, 2):
            try:
                into, out, depth, rank, *kinds = (row[n] for n in at)
                about = int(into), int(out), int(depth) if depth else None, float(rank)
            except (ValueError, IndexError):
                what = f"{file.name}, row {number}: a measure is no number."
                raise Problem(what, "Give the table as Pipulate wrote it.") from None
            pages[row[0]] = Page(*about, *kinds or [""])
    return pages, bool(kind)


def ways(was, now):
    """{what happened to a page: how much}; `was` or `now` is None where the page is not."""
    if not was or not now:
        return {"New": now.rank} if now else {"Gone": was.rank}
    found, more = {}, now.into - was.into
    if was.depth is not None and now.depth is not None:
        found["Deeper" if now.depth > was.depth else "Shallower"] = abs(now.depth - was.depth)
    elif was.depth != now.depth:
        found["Out of reach" if now.depth is None else "In reach again"] = now.rank
    found["More links" if more > 0 else "Fewer links"] = abs(more)
    gain = 0 if isclose(was.rank, now.rank, rel_tol=1e-6) else now.rank - was.rank
    found["PageRank gained" if gain > 0 else "PageRank lost"] = abs(gain)
    return {way: size for way, size in found.items() if size}


def told_starts(*graphs):
    """A sentence when depth is counted from two different pages; "" otherwise."""
    starts = [next((n for n, page in pages.items() if page.depth == 0), "") for pages in graphs]
    if starts[0] == starts[1]:
        return ""
    was, now = (start[:LONG] or "nowhere" for start in starts)
    return f" Depth is counted from {was} before, from {now} after: compare no depths."


class Changes:
    """The rows of all pages; when they have passed, the best of each way and sums by page type."""

    def __init__(self, old, new, typed):
        self.old, self.new, self.typed = old, new, typed
        self.tables = {way: Best(SHOWN) for way in WAYS}
        self.by_type = defaultdict(Counter)

    def rows(self):
        """A row for each page, that of a page that is gone behind all others."""
        gone = (page for page in self.old if page not in self.new)
        for page in chain(self.new, gone):
            was, now = self.old.get(page), self.new.get(page)
            found, row = ways(was, now), {"page": page}
            row |= {"page_type": (now or was).kind} if self.typed else {}
            row |= {"change": ", ".join(found).lower()}
            for name, field in (("depth", "depth"), ("in_degree", "into"), ("pagerank", "rank")):
                row[f"{name}_before"] = getattr(was, field, None)
                row[f"{name}_after"] = getattr(now, field, None)
            for way, size in found.items():
                short = {k: v for k, v in row.items() if k != "change"} | {"page": page[:LONG]}
                self.tables[way].add(size, short)
            self._sum(self.by_type[(now or was).kind], found, was, now)
            yield row

    def _sum(self, sums, found, was, now):
        sums.update(way.lower() for way in found)
        for page, word in ((was, "before"), (now, "after")):
            sums[f"pages_{word}"] += bool(page)
            sums[f"pagerank_{word}_%"] += 100 * page.rank if page else 0

    def types(self):
        names = ("pages_before", "pages_after", *map(str.lower, WAYS[:4]))
        names += ("pagerank_before_%", "pagerank_after_%")
        rows = sorted(self.by_type.items(), key=lambda one: -one[1]["pages_after"])
        return [
            {"page_type": kind or "(none)"} | {name: round(sums[name], 2) for name in names}
            for kind, sums in rows
        ]


def totals(pages):
    """Figures of a whole graph by their names."""
    depths = [page.depth for page in pages.values() if page.depth is not None]
    return {
        "pages": len(pages),
        "links": sum(page.into for page in pages.values()),
        "mean depth": round(sum(depths) / len(depths), 2) if depths else 0,
        "deepest": max(depths, default=0),
        "out of reach": len(pages) - len(depths),
        "orphans": sum(not page.into and page.depth != 0 for page in pages.values()),
        "dead ends": sum(not page.out for page in pages.values()),
    }


@compare.step(auto=True)
def changes(graphs, job):
    """Compares them page by page."""
    (old, some), (new, more) = (
        read(graphs[f"{side}_file"], job.files / side, job) for side in ("before", "after")
    )
    if old.keys().isdisjoint(new):
        what = f"The two graphs have no page in common: one has {next(iter(old))[:LONG]}, "
        advice = "Choose two graphs of one site, with its addresses written alike."
        raise Problem(f"{what}the other {next(iter(new))[:LONG]}.", advice)
    job.progress(0, 0, f"{len(old):,} pages and {len(new):,}")
    found, was, now = Changes(old, new, some or more), totals(old), totals(new)
    written = job.csv("changes.csv", found.rows())
    figures = [
        {"measured": name, "before": was[name], "after": now[name]}
        | {"change": round(now[name] - was[name], 2)}
        for name in was
    ]
    told = {
        "before": graphs["before"],
        "after": graphs["after"],
        "figures": figures,
        "shared": len(old.keys() & new.keys()),
        "note": told_starts(old, new),
        "changes": {way: best.count for way, best in found.tables.items()},
        "types": found.types() if found.typed else [],
        "tables": {way: best.rows for way, best in found.tables.items() if best.rows},
        "file": written,
    }
    return told | {"report": reported(told, job.files)}


def reported(told, folder):
    """report.html in a folder, of what `changes` told."""
    counts = told["changes"]
    parts = [table("Figures", told["figures"]), section("Chart", chart(counts))]
    parts += [table("By page type", told["types"])] if told["types"] else []
    parts += [table(way, rows, counts[way]) for way, rows in told["tables"].items()]
    said = f"{told['shared']:,} pages are in both.{told['note']}"
    return save_page(folder, f"{told['before']} → {told['after']}", said, counts, parts)


def chart(counts):
    """How many pages changed in which way; PageRank moves nearly everywhere."""
    return BarChart([[way, counts[way]] for way in WAYS[:8]], "Pages by what became of them")


@changes.view
def draw_changes(output):
    """Figures, bars and tables of what changed."""
    said = f"{output['before']} → {output['after']}: {output['shared']:,} pages are in both."
    drawn = [P(said, output.get("note", "")), DataTable(output["figures"])]
    if not output["tables"]:
        return (*drawn, P("No page is new, gone or anywhere else."))
    drawn.append(chart(output["changes"]))
    if output["types"]:
        drawn += [H3("By page type"), DataTable(output["types"])]
    for way, rows in output["tables"].items():
        count = output["changes"][way]
        more = f", the first {len(rows)}" if count > len(rows) else ""
        drawn += [H3(f"{way} ({count:,}{more})"), DataTable(evened(rows))]
    return tuple(drawn)
