"""What Botify knows of each page, joined to what was measured: one table of pages, and its sums."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipulate import CsvFile
from pipulate.plugins._picture import rows_of

TOP = 50  # rows that are shown
TYPES, CELL = 200, 1_000  # page types that are told apart; characters of a cell that is shown
KIND, UNKNOWN = "page_type", "(not exported)"
SUMS = ("in_degree", "out_degree", "pagerank", "clicks", "impressions")
NUMBERS = {*SUMS, "depth", "component", "community", "inlinks", "botify_depth", "botify_pagerank"}
Row = dict[str, str]


def join(measured: Path, known: Path, out: Path) -> dict[str, Any]:
    """Write `out`: the columns of `measured`, then those that `known` has of the same page.

    Returns {known: pages in both, top: the first rows, types: [sums by page type], levels:
    [(depth, links)]}. Raises Problem when a file is gone."""
    pages, rows = rows_of(known), rows_of(measured)
    heads, first = next(pages)[1:], next(rows)
    rest = {page: more for page, *more in pages}
    head = [*first, *(f"botify_{name}" if name in first else name for name in heads)]
    found, sums = Counter[str](), Sums()
    top: list[dict[str, Any]] = []

    def lines() -> Iterator[list[str]]:
        for row in rows:
            more = rest.get(row[0])
            found["known"] += more is not None
            cells = [*row, *(more or [""] * len(heads))]
            whole = dict(zip(head, cells, strict=False))
            sums.add(whole)
            if len(top) < TOP:
                top.append({n: _number(v) if n in NUMBERS else v[:CELL] for n, v in whole.items()})
            yield cells

    part = out.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as text:
        text.writelines(CsvFile(out.name, head, lines(), raw=True).chunks)  # defused already
    part.replace(out)
    about = {"known": found["known"], "top": top}
    return about | {"types": sums.types() if KIND in head else [], "levels": sums.levels()}


def _number(cell: str) -> Any:
    """A cell as a number; an empty one as none, another one as it is."""
    try:
        value = float(cell) if cell else None
    except ValueError:
        return cell
    return int(value) if value is not None and value.is_integer() else value


class Sums:
    """What rows of pages add up to, by page type and by depth."""

    def __init__(self) -> None:
        self.by_type: dict[str, Any] = defaultdict(Counter)
        self.by_depth = Counter[int]()

    def add(self, row: Row) -> None:
        kind = self.by_type[row.get(KIND) or UNKNOWN]
        kind.update({name: float(row[name] or 0) for name in SUMS if name in row}, pages=1)
        if row["depth"]:
            kind.update(reached=1, depth=int(row["depth"]))
            self.by_depth[int(row["depth"])] += int(row["out_degree"])

    def types(self) -> list[dict[str, Any]]:
        """A row for each page type, the one with the most PageRank first."""
        kinds = sorted(self.by_type.items(), key=lambda item: -item[1]["pagerank"])
        return [_told(*each) for each in kinds[:TYPES]]

    def levels(self) -> list[list[int]]:
        return [[depth, links] for depth, links in sorted(self.by_depth.items())]


def _told(kind: str, sums: Counter[str]) -> dict[str, Any]:
    pages, reached = sums["pages"], sums["reached"]
    return {
        KIND: kind,
        "pages": pages,
        "links_in": round(sums["in_degree"] / pages, 1),
        "links_out": round(sums["out_degree"] / pages, 1),
        "depth": round(sums["depth"] / reached, 1) if reached else None,
        "pagerank_percent": round(100 * sums["pagerank"], 2),
    } | {name: round(sums[name]) for name in SUMS[3:] if name in sums}
