"""The measures of a graph in numpy, and its tables written fast: for the pipeline Links.

Pages are numbers from 0; `origin` and `target` are arrays with the two ends of each link, sorted by
origin, `first` says where the links of each page begin.
"""

import re

import numpy as np

from pipulate import File
from pipulate.plugins._communities import communities

EDGE = ("source", "target", "count")
TOP = 50  # rows of the table of pages that are shown
LINES = 1 << 13  # lines of a table that are written at once
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
FORMULA = re.compile("[=+@\t\r＝＋－＠-]")  # what a spreadsheet runs begins so
PLAIN = re.compile(r"[\w/.][^\",;\t\r\n]*")  # needs no quotes, and nothing runs it


def depths(first, target, start):
    """Clicks from `start`, -1 if out of reach; page p links to target[first[p] : first[p + 1]]."""
    depth = np.full(len(first) - 1, -1)
    level, front = 0, np.array([start])
    while front.size:  # breadth first, a whole level at a time
        depth[front] = level
        sizes = first[front + 1] - first[front]
        skipped = np.repeat(first[front] - (np.cumsum(sizes) - sizes), sizes)
        reached = target[skipped + np.arange(len(skipped))]
        level, front = level + 1, np.unique(reached[depth[reached] < 0])
    return depth


def components(n, a, b):
    """(component of each page, 1 the largest; sizes). Hooking and pointer jumping: roots hook onto
    smaller neighbours, then every path is cut to length 1 (Shiloach & Vishkin 1982)."""
    root = np.arange(n)
    while len(a):
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root != root[root]).any():
            root = root[root]
        a, b = root[a], root[b]
        a, b = a[a != b], b[a != b]
    label, sizes = np.unique(root, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(-sizes, kind="stable")
    return np.argsort(order)[label] + 1, sizes[order]


def pagerank(n, origin, target, damping=0.85, tolerance=1e-9):
    """PageRank of each page, sum 1: the share of time that a random surfer is there.
        PR(p) = (1 - d) / n + d * (sum over q -> p of PR(q) / out(q) + PR(pages without links) / n)
    Page, Brin, Motwani, Winograd: The PageRank Citation Ranking (Stanford, 1998). At most 100
    rounds, ended when the ranks change by less than `tolerance` in sum."""
    out = np.bincount(origin, minlength=n)
    rank, shares = np.full(n, 1 / n), np.empty(len(origin))
    for _ in range(100):
        np.take(rank / np.maximum(out, 1), origin, out=shares, mode="clip")
        flow = np.bincount(target, shares, n) + rank[out == 0].sum() / n
        before, rank = rank, (1 - damping) / n + damping * flow
        if abs(rank - before).sum() < tolerance:
            break
    return rank


def defused(text):
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def cell(text):
    """A text as a cell of a CSV: defused, quoted where it has to be."""
    if PLAIN.fullmatch(text):
        return text
    text = defused(text)
    return '"' + text.replace('"', '""') + '"' if re.search('[",;\t\r\n]', text) else text


class Column:
    """Cells by their numbers, looked up only when a part of the column is written."""

    def __init__(self, cells, numbers):
        self.cells, self.numbers = np.array(cells, object), numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, part):
        return self.cells[self.numbers[part]]


def column(values, order, end=","):
    """The values as cells that bring their own end, as `save` joins them; -1 is an empty cell."""
    if values.dtype.kind == "i":
        return Column([*(f"{n}{end}" for n in range(values.max() + 1)), end], values[order])
    write = f"{{:.9g}}{end}".format if values.dtype.kind == "f" else lambda text: cell(text) + end
    return Column([*map(write, values.tolist())], order)


def save(path, header, *columns):
    """A CSV, whole or not at all. Python joins 8,192 lines at a time, and runs per no line."""
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8", newline="") as out:
        out.write(",".join(header) + "\n")
        for at in range(0, len(columns[0]), LINES):
            lines = np.stack([column[at : at + LINES] for column in columns], 1)
            out.write("".join(lines.ravel().tolist()))
    return File(part.replace(path))


def bars(values, alone=2):
    """[label, number of pages]: a bar per value; if values exceed 30 only of those below `alone`,

    a power of two, from where a bar goes up to the next power of two."""
    most = int(values.max())
    edges = [*range(most + 1)] if most <= 30 else [*range(alone)]
    labels = [*map(str, edges)]
    while 30 < most >= alone:
        edges.append(alone)
        alone *= 2
        labels.append(f"{edges[-1]}–{alone - 1}")
    sums = np.add.reduceat(np.bincount(values), edges).tolist()
    return [list(pair) for pair in zip(labels, sums, strict=True)]


class Graph:
    """Links between n pages; `ends`: page numbers, origin, target, origin, target …"""

    def __init__(self, n, ends):
        origin, target = np.asarray(ends).reshape(-1, 2).T
        pairs, self.times = np.unique(origin * np.int64(n) + target, return_counts=True)
        self.n, self.edges = n, np.divmod(pairs, n)
        self.other = self.edges[0] != self.edges[1]
        self.origin, self.target = (end[self.other] for end in self.edges)
        self.into, self.out = (np.bincount(e, minlength=n) for e in (self.target, self.origin))
        self.community = None  # of each page, once they are asked for

    @property
    def linking(self):
        """The pages that link to others, in order; the first one when none does."""
        return np.flatnonzero(self.out).tolist() or [0]

    def measured(self, start):
        self.depth = depth = depths(np.append(0, np.cumsum(self.out)), self.target, start)
        self.component, sizes = components(self.n, self.origin, self.target)
        self.rank = pagerank(self.n, self.origin, self.target)
        return {
            "pages": self.n,
            "links": len(self.origin),
            "repeated": int(self.times[self.other].sum()) - len(self.origin),
            "self_links": int(self.times[~self.other].sum()),
            "components": len(sizes),
            "largest_component": int(sizes[0]),
            "unreached": int((depth < 0).sum()),
            "orphans": int(((self.into == 0) & (depth != 0)).sum()),
            "dead_ends": int((self.out == 0).sum()),
            "max_depth": int(depth.max()),
            "degrees": bars(self.into),
            "depths": bars(depth[depth >= 0], 16),
        }

    def grouped(self):
        """The counts of communities, which are a column of the table from now on."""
        self.community, sizes, modularity = communities(self.n, self.origin, self.target)
        about = {"communities": len(sizes), "largest_community": int(sizes[0])}
        return about | {"modularity": round(modularity, 3)}

    def tables(self, folder, pages, more=None):
        """{top: the first rows; nodes, edges: CSV files}, the pages by their rank.

        `more`: {column: text of each page}, beside the measures."""
        values = {"in_degree": self.into, "out_degree": self.out, "depth": self.depth}
        values |= {"component": self.component, "community": self.community, "pagerank": self.rank}
        values = {name: each for name, each in values.items() if each is not None} | (more or {})
        order, ends = np.argsort(-self.rank, kind="stable"), [","] * (len(values) - 1) + ["\n"]
        cells = np.array([f"{cell(page)}," for page in pages], object)
        nodes = map(column, values.values(), [order] * len(values), ends)
        edges = *(Column(cells, end) for end in self.edges), column(self.times, slice(None), "\n")
        top = order[:TOP]
        first = {name: each[top].tolist() for name, each in values.items()}
        first |= {"depth": [None if depth < 0 else depth for depth in first["depth"]]}
        first = {"page": [pages[n] for n in top.tolist()], **first}
        rows = zip(*first.values(), strict=True)
        return {
            "top": [dict(zip(first, row, strict=True)) for row in rows],
            "nodes": save(folder / "nodes.csv", first, Column(cells, order), *nodes),
            "edges": save(folder / "edges.csv", EDGE, *edges),
        }
