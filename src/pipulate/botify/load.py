"""An exported file as links: unpacked, its form found out, every oddity counted.

    rows = links + blank_target + blank_source + short      no row disappears unseen
    blank_target = a page without links: it is among the pages; the two others are left out
    links = what edges.csv has, self-links and repeats too (the measures tell repeats apart)

Cells that a spreadsheet would run leave with a ' before them, in both files alike.
"""

import contextlib
import csv
import gzip
import io
import itertools
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from pipulate import CsvFile, Problem

AGAIN = "Run the download again; if it stays so, export anew."
CELL = 10_000_000  # characters of one cell; a quote that is never closed ends here
LONG = 2_000  # characters of an address that is counted as long
PLAIN = re.compile(r"[A-Za-z0-9/][!#-+.-~-]*")  # nothing that a CSV quotes or a spreadsheet runs
WEB = re.compile(r"\s*[\"']?https?://", re.IGNORECASE)
# How columns may be called, lower case; else their order decides, which is that of the question.
SOURCES = ("url", "full url", "source", "source url")
TARGETS = ("outlinks_internal.graph.url", "target", "target url")
DELIMITERS = ",\t;|"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[TextIO, str]]:
    """(the text, "gzip" | "zip" | "plain") of a file, told by its first bytes. Raises Problem."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.lstrip()[:1] in (b"<", b"{"):
        said = " ".join(head.decode(errors="replace").split())[:200]
        raise Problem(f"What came is no export: {said}", AGAIN)
    kind = {b"\x1f\x8b": "gzip", b"PK": "zip"}.get(head[:2], "plain")
    try:
        with _bytes(path, kind) as raw:
            yield io.TextIOWrapper(raw, "utf-8-sig", "replace", newline=""), kind
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise Problem(f"The file is damaged or breaks off ({error}).", AGAIN) from None
    except (RuntimeError, NotImplementedError) as error:
        raise Problem(f"The zip file cannot be opened ({error}).", AGAIN) from None


@contextlib.contextmanager
def _bytes(path: Path, kind: str) -> Iterator[Any]:
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if not name.endswith("/")]
            named = [name for name in inside if name.lower().endswith(".csv")] or inside
            if not named:
                raise Problem("The zip file is empty.", AGAIN)
            with archive.open(named[0]) as raw:
                yield raw
    else:
        with gzip.open(path) if kind == "gzip" else path.open("rb") as raw:
            yield raw


def load(path: Path, folder: Path, columns: list[str], told: Any = None) -> dict[str, Any]:
    """Write edges.csv (source, target) and nodes.csv (id and `columns`); returns what was found:

    counts by name, "container", "header", "sep" (whether there were such lines). `columns`: what
    the export has behind source and target. `told(rows)` hears how far it is. Raises Problem."""
    old = csv.field_size_limit(CELL)
    try:
        with opened(path) as (text, kind):
            counts = Counter[str]()
            rows, form = _rows(text, columns)
            nodes: dict[str, list[str]] = {}
            edges = _edges(rows, form["order"], nodes, counts, told)
            _write(folder / "edges.csv", itertools.chain(["source,target\n"], edges))
        heads = ["id", *(column.replace(" ", "_").lower() for column in columns)]
        rows = ([url, *more] for url, more in nodes.items())
        _write(folder / "nodes.csv", CsvFile("nodes.csv", heads, rows).chunks)
    except csv.Error as error:
        raise Problem(f"The file cannot be read as CSV ({error}).", AGAIN) from None
    finally:
        csv.field_size_limit(old)
    names = ("rows", "links", "self_links", "blank_target", "blank_source", "short")
    odd = ("line_breaks", "long", "unreadable", "formulas")
    found = {name: counts[name] for name in (*names, *odd)} | {"pages": len(nodes)}
    return found | {"container": kind, "header": form["header"], "sep": form["sep"]}


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.writelines(lines)


def _rows(text: TextIO, columns: list[str]) -> tuple[Iterator[list[str]], dict[str, Any]]:
    """(rows of data, {header, sep, order: indexes of source, target and the columns})."""
    first = [line for line in itertools.islice(text, 20) if line.strip()]
    named = re.fullmatch(r'"?sep=([^"\r\n])"?\s*', first[0], re.I) if first else None
    first = first[1:] if named else first
    if not first:
        raise Problem("The file is empty.", AGAIN)
    delimiter = named[1] if named else max(DELIMITERS, key=first[0].count)
    reader = csv.reader(itertools.chain(first, text), delimiter=delimiter)
    head = [*itertools.islice(filter(None, reader), 2)]
    header = _is_header(head)
    names = [cell.strip().lower() for cell in head[0]] if header else []
    order = _order(names, len(columns))
    form = {"header": header, "sep": bool(named), "order": order}
    return itertools.chain(head[header:], reader), form


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row has no address, and the second one has, or its words are known."""
    if any(map(WEB.match, rows[0])):
        return False
    known = {_bare(cell) for cell in rows[0]} & {*SOURCES, *TARGETS}
    return bool(known) or any(WEB.match(cell) for row in rows[1:] for cell in row)


def _bare(name: str) -> str:
    return re.sub(r"^crawl\.[\d-]+\.", "", name.strip().lower())


def _order(names: list[str], more: int) -> list[int]:
    """Where source and target are, by their names, else first and second; then what follows."""
    bare = [_bare(name) for name in names]
    source = next((bare.index(name) for name in SOURCES if name in bare), None)
    target = next((bare.index(name) for name in TARGETS if name in bare), None)
    if source is None or target is None:
        source, target = 0, 1
    rest = [n for n in range(2 + more) if n not in (source, target)]
    return [source, target, *rest[:more]]


class _Cells(dict[str, "_Cell"]):
    """Addresses as they stand in a file → what becomes of them; each is looked at once."""

    def __missing__(self, raw: str) -> "_Cell":
        cell = self[raw] = _Cell(raw)
        return cell


class _Cell:
    """An address without blanks around it, as text of a CSV, and what is odd about it."""

    __slots__ = ("address", "odd", "text")

    def __init__(self, raw: str):
        self.address = self.text = address = raw.strip()
        self.odd: list[str] = []
        if PLAIN.fullmatch(address) and len(address) <= LONG:
            return
        self.text = "".join(CsvFile("", [address], []).chunks).rstrip("\r\n")
        odd = {
            "line_breaks": "\n" in address or "\r" in address,
            "unreadable": "\ufffd" in address,
            "long": len(address) > LONG,
            "formulas": self.text[:1] == "'" or self.text[:2] == "\"'",
        }
        self.odd = [name for name, there in odd.items() if there]


def _edges(
    rows: Iterator[list[str]],
    order: list[int],
    nodes: dict[str, list[str]],
    counts: Counter[str],
    told: Any,
) -> Iterator[str]:
    """The links, each as a line; meanwhile pages and counts fill."""
    (a, b, *more), cells, number = order, _Cells(), 0
    for number, row in enumerate(filter(None, rows), 1):
        if told and not number % 20_000:
            told(number)
        try:
            source, target = cells[row[a]], cells[row[b]]
        except IndexError:
            counts["short"] += 1
            continue
        if not source.address:
            counts["blank_source"] += 1
            continue
        if source.address not in nodes:
            nodes[source.address] = [row[n] if n < len(row) else "" for n in more]
        if not target.address:
            counts["blank_target"] += 1
            continue
        if source is target or source.address == target.address:
            counts["self_links"] += 1
        if source.odd or target.odd:
            counts.update({*source.odd, *target.odd})
        yield f"{source.text},{target.text}\n"
    left_out = counts["short"] + counts["blank_source"] + counts["blank_target"]
    counts["rows"], counts["links"] = number, number - left_out
