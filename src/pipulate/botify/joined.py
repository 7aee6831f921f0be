"""What Botify knows of each page, joined to what was measured: one table of pages, and its sums."""

from collections import Counter, defaultdict

from pipulate import CsvFile
from pipulate.plugins._formats import NUMBER
from pipulate.plugins._picture import rows_of, typed

TOP = 50  # rows that are shown
TYPES, CELL = 200, 1_000  # page types that are told apart; characters of a cell that is shown
KIND, UNKNOWN = "page_type", "(not exported)"
SUMS = ("in_degree", "out_degree", "pagerank", "clicks", "impressions")


def join(measured, known, out):
    """Write `out`: the columns of `measured`, then those that `known` has of the same page.

    Returns {known: pages in both, without_links: pages in `known` alone, top: the first rows,

    types: [sums by page type], levels: [(depth, links)]}. Raises Problem when a file is gone."""
    pages, rows = rows_of(known), rows_of(measured)
    heads, first = next(pages)[1:], next(rows)
    rest = {page: more for page, *more in pages}
    head = [*first, *(f"botify_{name}" if name in first else name for name in heads)]
    found, by_type, by_depth, top = Counter(), defaultdict(Counter), Counter(), []

    def lines():
        for row in rows:
            more = rest.get(row[0])
            found["known"] += more is not None
            cells = [*row, *(more or [""] * len(heads))]
            if len(top) < TOP:
                top.append([cell[:CELL] for cell in cells])
            _add(dict(zip(head, cells, strict=False)), by_type, by_depth)
            yield cells

    part = out.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as text:
        text.writelines(CsvFile(out.name, head, lines(), raw=True).chunks)  # defused already
    part.replace(out)
    kinds = sorted(by_type.items(), key=lambda item: -item[1]["pagerank"])[:TYPES]
    return {
        "known": found["known"],
        "without_links": len(rest) - found["known"],  # of the others no row says a link
        "top": typed(head, top),
        "types": [_told(*each) for each in kinds] if KIND in head else [],
        "levels": [[depth, links] for depth, links in sorted(by_depth.items())],
    }


def _add(page, by_type, by_depth):
    sums = by_type[page.get(KIND) or UNKNOWN]
    known = {name: page[name] for name in SUMS if name in page}
    sums.update({n: float(v) if NUMBER.fullmatch(v) else 0 for n, v in known.items()}, pages=1)
    if page["depth"]:
        sums.update(reached=1, depth=int(page["depth"]))
        by_depth[int(page["depth"])] += int(page["out_degree"])


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
