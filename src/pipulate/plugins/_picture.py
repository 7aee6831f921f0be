"""A link graph as a picture, drawn by cosmos.gl on the graphics card from a nodes and an edges CSV.

Nodes: a name, then columns of any kind, the most important row first. Edges: two names. Numbers go
to the page as bytes; names and rows only when they are asked for.
"""

import csv
import re
from array import array
from collections import Counter
from decimal import Decimal
from itertools import islice
from math import nan

from pipulate import Problem
from pipulate.plugins._drawing import LOOK, SCRIPT

PAGES, LINKS = 200_000, 1_000_000  # what is drawn at most
FOUND, WORDS = 20, 40  # pages that a search offers; values of a column that have a name
NAMED = re.compile(r"component|communit|status|code|type|segment|template", re.IGNORECASE)
COUNTED = {"component", "community"}  # of these the names are numbers: 1 is the largest
RANKS = {"pagerank", "pagerank_before", "pagerank_after"}


class Picture:
    """What a view returns to show a graph. `nodes`, `edges`: paths of the CSV files."""

    commands = ("graph", "rows", "find")

    def __init__(self, nodes, edges):
        self.nodes, self.edges, self._esm, self._css = nodes, edges, SCRIPT, LOOK
        self.state = {}

    def graph(self, _, buffers):
        """What is drawn: ({pages, links, of, columns}, [ends of links, each column])."""
        lines = rows_of(self.nodes)
        head, rows = next(lines, []), [*islice(lines, PAGES)]
        pages = len(rows) + sum(1 for _ in lines)
        names, *columns = zip(*rows, strict=True) if rows else [()]
        ids = {name: n for n, name in enumerate(names)}
        ends, links = array("f"), 0
        for source, target, *_ in islice(rows_of(self.edges), 1, None):
            a, b = ids.get(source), ids.get(target)
            if a is None or b is None or a == b:
                continue
            links += 1
            if links <= LINKS:
                ends.extend((a, b))
        drawn = [*filter(None, map(coded, head[1:], columns))]
        about = {"pages": len(names), "links": len(ends) // 2, "of": [pages, links]}
        about["columns"] = [each for each, _ in drawn]
        return about, [ends.tobytes(), *(numbers.tobytes() for _, numbers in drawn)]

    def rows(self, places, buffers):
        lines, wanted = rows_of(self.nodes), {*places}
        head = next(lines, [])
        some = islice(lines, max(places, default=-1) + 1)
        found = {n: dict(zip(head, row, strict=False)) for n, row in enumerate(some) if n in wanted}
        return [found[n] for n in places if n in found], []

    def find(self, words, buffers):
        """[[place, name]] of pages whose name has these words, the most important first."""
        lines = enumerate(islice(rows_of(self.nodes), 1, PAGES + 1))
        fits = ([n, row[0]] for n, row in lines if words.lower() in row[0].lower())
        return [*islice(fits, FOUND)], []


def rows_of(path):
    """The rows of a CSV, one at a time, the header first. Raises Problem when it is gone."""
    if not path.is_file():
        raise Problem(f"The file {path.name} is gone.", "Run the step that wrote it again.")
    with open(path, encoding="utf-8", newline="") as text:
        yield from filter(None, csv.reader(text))


def coded(title, cells):
    """({name, words or low and high}, its numbers): a column of words as their places in a list.

    None for words that hardly repeat, such as titles: those are shown with their page only."""
    numbers = None if NAMED.search(title) else as_numbers(cells)
    if numbers:
        known = [number for number in numbers if number == number]
        return {"name": title, "low": min(known, default=0), "high": max(known, default=0)}, numbers
    common = [word for word, _ in Counter(cells).most_common(WORDS)]
    place = {word: n for n, word in enumerate(common)}
    codes = array("f", (place.get(cell, WORDS) for cell in cells))
    if not NAMED.search(title) and 2 * codes.count(WORDS) > len(codes):
        return None
    return {"name": title, "words": common + ["others"] * (WORDS in codes)}, codes


def as_numbers(cells):
    """Cells as numbers, not a number where empty; None when one is something else."""
    try:
        return array("f", (float(cell) if cell else nan for cell in cells))
    except ValueError:
        return None


def typed(head, rows):
    """Rows of text by the names of their cells, columns of numbers as such, None where empty."""
    columns = dict(zip(head, zip(*rows, strict=True), strict=False))
    for name in head[1:]:
        named = NAMED.search(name) and name not in COUNTED
        if name in columns and not named and as_numbers(columns[name]):
            columns[name] = map(_number, columns[name])
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


class Share(float):
    """A PageRank, shown with the same number of digits as any other, and without an exponent."""

    def __format__(self, spec):
        return f"{Decimal(format(float(self), '#.5g')):f}"


def evened(rows):
    """The rows of a table with their PageRank as such."""
    return [
        {k: Share(v) if k in RANKS and v is not None else v for k, v in row.items()} for row in rows
    ]


def depth_bars(measured):
    """[label, pages] by clicks from the start, and out of reach: all pages of a graph."""
    lost = measured.get("unreached")
    return [*measured["depths"], *([["out of reach", lost]] if lost else [])]


def _number(cell):
    return (int(cell) if cell.lstrip("-").isdecimal() else float(cell)) if cell else None
