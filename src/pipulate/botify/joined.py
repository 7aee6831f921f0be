"""What Botify knows of each page, joined to what was measured: one table of pages, and its sums."""

from collections import Counter, defaultdict

from pipulate import CsvFile
from pipulate.plugins._picture import rows_of, typed

TOP = 50  # rows that are shown
TYPES, CELL = 200, 1_000  # page types that are told apart; characters of a cell that is shown
KIND, UNKNOWN = "page_type", "(not exported)"
SUMS = ("in_degree", "out_degree", "pagerank", "clicks", "impressions")


def join(measured, known, out):
    """Write `out`: the columns of `measured`, then those that `known` has of the same page.

    Returns {known: pages in both, top: the first rows, types: [sums by page type], levels:
    [(depth, links)]}. Raises Problem when a file is gone."""
    pages, rows = rows_of(known), rows_of(measured)
    heads, first = next(pages)[1:], next(rows)
    rest = {page: more for page, *more in pages}
    head = [*first, *(f"botify_{name}" if name in first else name for name in heads)]
    found, sums = Counter(), Sums()
    top = []

    def lines():
        for row in rows:
            more = rest.get(row[0])
            found["known"] += more is not None
            cells = [*row, *(more or [""] * len(heads))]
            sums.add(dict(zip(head, cells, strict=False)))
            if len(top) < TOP:
                top.append([cell[:CELL] for cell in cells])
            yield cells

    part = out.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as text:
        text.writelines(CsvFile(out.name, head, lines(), raw=True).chunks)  # defused already
    part.replace(out)
    about = {"known": found["known"], "top": typed(head, top)}
    return about | {"types": sums.types() if KIND in head else [], "levels": sums.levels()}


class Sums:
    """What rows of pages add up to, by page type and by depth."""

    def __init__(self):
        self.by_type = defaultdict(Counter)
        self.by_depth = Counter()

    def add(self, row):
        kind = self.by_type[row.get(KIND) or UNKNOWN]
        kind.update({name: float(row[name] or 0) for name in SUMS if name in row}, pages=1)
        if row["depth"]:
            kind.update(reached=1, depth=int(row["depth"]))
            self.by_depth[int(row["depth"])] += int(row["out_degree"])

    def types(self):
        """A row for each page type, the one with the most PageRank first."""
        kinds = sorted(self.by_type.items(), key=lambda item: -item[1]["pagerank"])
        return [_told(*each) for each in kinds[:TYPES]]

    def levels(self):
        return [[depth, links] for depth, links in sorted(self.by_depth.items())]


def _told(kind, sums):
    pages, reached = sums["pages"], sums["reached"]
    return {
        KIND: kind,
        "pages": pages,
        "links_in": round(sums["in_degree"] / pages, 1),
        "links_out": round(sums["out_degree"] / pages, 1),
        "depth": round(sums["depth"] / reached, 1) if reached else None,
        "pagerank_percent": round(100 * sums["pagerank"], 2),
    } | {name: round(sums[name]) for name in SUMS[3:] if name in sums}
