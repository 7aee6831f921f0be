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
import string
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import eq, itemgetter
from pathlib import Path
from typing import Any, TextIO

from pipulate import CsvFile, Problem
from pipulate.plugins._blocks import blocks

AGAIN = "Run the download again; if it stays so, export anew."
CELL = 10_000_000  # characters of one cell; a quote that is never closed ends here
LONG = 2_000  # characters of an address that is counted as long
PLAIN = re.compile(r"[A-Za-z0-9/][!#-+.-~-]*")  # nothing that a CSV quotes or a spreadsheet runs
CLEAR = bytes(n for n in range(33, 127) if n not in b'",')
STARTS = {*string.ascii_letters, *string.digits, "/"}
FIRST = itemgetter(0)
PAUSE = 20_000  # rows between two reports
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
            form = _form(text, columns)
        found = _Found(form)
        with opened(path) as (text, kind):
            edges = found.links(text, told)
            _write(folder / "edges.csv", itertools.chain(["source,target\n"], edges))
        heads = ["id", *(column.replace(" ", "_").lower() for column in columns)]
        rows = ([url, *more] for url, more in found.nodes.items())
        _write(folder / "nodes.csv", CsvFile("nodes.csv", heads, rows).chunks)
    except csv.Error as error:
        raise Problem(f"The file cannot be read as CSV ({error}).", AGAIN) from None
    finally:
        csv.field_size_limit(old)
    names = ("rows", "links", "self_links", "blank_target", "blank_source", "short")
    odd = ("line_breaks", "long", "unreadable", "formulas")
    counts = {name: found.counts[name] for name in (*names, *odd)} | {"pages": len(found.nodes)}
    return counts | {"container": kind, "header": form["header"], "sep": form["sep"]}


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.writelines(lines)


def _form(text: TextIO, columns: list[str]) -> dict[str, Any]:
    """How a file is written, by its first lines: {header, sep, delimiter, width, order: indexes of

    source, target and the columns}."""
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
    form = {"header": header, "sep": bool(named), "delimiter": delimiter, "width": len(head[-1])}
    return form | {"order": _order(names, len(columns))}


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


class _Found:
    """What a file of that form holds: `nodes`, the further cells of each page, and `counts`."""

    def __init__(self, form: dict[str, Any]):
        self.form, self.cells = form, _Cells()
        self.nodes: dict[str, list[str]] = {}
        self.counts = Counter[str]()

    def links(self, text: TextIO, told: Any) -> Iterator[str]:
        """The links as lines; meanwhile pages and counts fill."""
        form, counts, width = self.form, self.counts, self.form["width"]
        skip = form["header"] + form["sep"]
        for cells, rows in blocks(text, form["delimiter"], width, skip, strict=False):
            before = counts["rows"]
            counts["rows"] += len(rows) or len(cells) // width
            lines = self._plain(cells, rows)
            if not lines:
                rows = rows or [cells[n : n + width] for n in range(0, len(cells), width)]
            yield from [lines] if lines else self._odd(rows)
            for mark in range(before // PAUSE + 1, counts["rows"] // PAUSE + 1) if told else ():
                told(mark * PAUSE)

    def _plain(self, cells: list[str], rows: list[list[str]]) -> str:
        """The links of a block as lines; "" if a row is short or a cell of theirs odd."""
        (a, b, *more), width = self.form["order"], self.form["width"]
        try:
            sources = [row[a] for row in rows] or cells[a::width]
            targets = [row[b] for row in rows] or cells[b::width]
            firsts = {*map(FIRST, sources), *map(FIRST, targets)}
        except IndexError:  # a short row, or a blank cell
            return ""
        if firsts - STARTS or max(a, b) >= width:
            return ""
        parts = [",", ",", ",", "\n"] * len(sources)
        parts[::4], parts[2::4] = sources, targets
        lines = "".join(parts)
        marks = lines.encode().translate(None, CLEAR)
        if marks != b",\n" * len(sources) or _has_long_line(lines):
            return ""
        new = set(sources).difference(self.nodes)
        for n, source in enumerate(sources if new else ()):
            if source in new:
                new.discard(source)
                row = rows[n] if rows else cells[n * width : (n + 1) * width]
                self.nodes[source] = [row[k] if k < len(row) else "" for k in more]
        self.counts["links"] += len(sources)
        self.counts["self_links"] += sum(map(eq, sources, targets))
        return lines

    def _odd(self, rows: Iterable[list[str]]) -> Iterator[str]:
        """The links of rows that need a second look, one by one."""
        (a, b, *more), counts, cells = self.form["order"], self.counts, self.cells
        for row in rows:
            if len(row) <= max(a, b):
                counts["short"] += 1
                continue
            source, target = cells[row[a]], cells[row[b]]
            if not source.address:
                counts["blank_source"] += 1
                continue
            if source.address not in self.nodes:
                self.nodes[source.address] = [row[k] if k < len(row) else "" for k in more]
            if not target.address:
                counts["blank_target"] += 1
                continue
            counts["links"] += 1
            counts["self_links"] += source.address == target.address
            counts.update({*source.odd, *target.odd})
            yield f"{source.text},{target.text}\n"


def _has_long_line(lines: str) -> bool:
    """Whether a line is longer than an address that is counted as long."""
    at = 0
    while at < len(lines):
        at, before = lines.rfind("\n", at, at + LONG) + 1, at
        if at <= before:
            return True
    return False
