"""The measures of a graph in numpy, and its tables written fast: for the pipeline Links.

Pages are numbers from 0; `origin` and `target` are arrays with the two ends of each link, sorted by
origin, `first` says where the links of each page begin.
"""

import re
from itertools import islice

import numpy as np

from pipulate import File
from pipulate.plugins._communities import communities

NODE = ("page", "in_degree", "out_degree", "depth", "component", "pagerank")
EDGE = ("source", "target", "count")
TOP = 50  # rows of the table of pages that are shown
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


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
    rank = np.full(n, 1 / n)
    for _ in range(100):
        share = rank / np.maximum(out, 1)
        flow = np.bincount(target, share[origin], n) + rank[out == 0].sum() / n
        before, rank = rank, (1 - damping) / n + damping * flow
        if abs(rank - before).sum() < tolerance:
            break
    return rank


def cell(text):
    """A CSV cell, quoted if need be; a leading ' stops spreadsheets from running a formula."""
    if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not NUMBER.fullmatch(text):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if re.search('[",;\t\r\n]', text) else text


def texts(values, form="{},"):
    """Values as cells that bring their own comma or line end, as `save` joins them."""
    return np.array([form.format("" if value is None else value) for value in values], object)


def save(path, header, *columns):
    """A CSV, whole or not at all. numpy joins 65,536 lines at a time: no Python runs per line."""
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8", newline="") as out:
        out.write(",".join(header) + "\n")
        for at in range(0, len(columns[0]), 1 << 16):
            lines = np.stack([column[at : at + (1 << 16)] for column in columns], 1)
            out.write("".join(lines.ravel()))
    return File(part.replace(path))


def bars(values):
    """[label, number of pages]: a bar per value, or per power of two if values exceed 30."""
    if values.max() <= 30:
        return [[str(value), pages] for value, pages in enumerate(np.bincount(values).tolist())]
    counts = np.bincount(np.frexp(values)[1]).tolist()  # 0, 1, 2–3, 4–7 …
    labels = ["0", "1"] + [f"{1 << power}–{(2 << power) - 1}" for power in range(1, len(counts))]
    return [list(pair) for pair in zip(labels, counts, strict=False)]


class Graph:
    """Links between n pages; `ends`: page numbers, origin, target, origin, target …"""

    def __init__(self, n, ends):
        ends = np.frombuffer(ends, np.intc)
        pairs, self.times = np.unique(ends[::2] * np.int64(n) + ends[1::2], return_counts=True)
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
        """The counts and histograms, depth counted from `start`."""
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
            "max_depth": int(depth.max()),
            "degrees": bars(self.into),
            "depths": bars(depth[depth >= 0]),
        }

    def grouped(self):
        """The counts of communities, which are a column of the table from now on."""
        self.community, sizes, modularity = communities(self.n, self.origin, self.target)
        about = {"communities": len(sizes), "largest_community": int(sizes[0])}
        return about | {"modularity": round(modularity, 3)}

    def tables(self, folder, pages):
        """{top: the first rows; nodes, edges: CSV files}, the pages by their rank."""
        order, reached = np.argsort(-self.rank, kind="stable"), self.depth >= 0
        values = [self.into, self.out, np.where(reached, self.depth, None), self.component]
        head = [*NODE] if self.community is None else [*NODE[:-1], "community", NODE[-1]]
        values += [*([] if self.community is None else [self.community]), self.rank]
        nodes = [[pages[n] for n in order.tolist()], *(each[order].tolist() for each in values)]
        cells, seen = texts(map(cell, pages)), np.unique(self.times)
        numbers = [*map(texts, nodes[1:-1]), texts(nodes[-1], "{:.9g}\n")]
        counts = texts(seen, "{}\n")[np.searchsorted(seen, self.times)]
        first = islice(zip(*nodes, strict=True), TOP)
        ends = (cells[end] for end in self.edges)
        return {
            "top": [dict(zip(head, row, strict=True)) for row in first],
            "nodes": save(folder / "nodes.csv", head, cells[order], *numbers),
            "edges": save(folder / "edges.csv", EDGE, *ends, counts),
        }
