"""An exported file as links: unpacked, its form found out, every oddity counted.

    rows = links + blank_target + blank_source + short      no row disappears unseen
    blank_target = a page without links: it is among the pages; the two others are left out
    links = what edges.csv has, self-links and repeats too (the measures tell repeats apart)

Cells that a spreadsheet would run leave with a ' before them, in both files alike.
"""

import contextlib
import csv
import functools
import gzip
import io
import itertools
import re
import string
import zipfile
import zlib
from collections import Counter
from operator import eq, itemgetter

from pipulate import CsvFile, Problem
from pipulate.botify.plans import FIELDS, METRICS
from pipulate.plugins._graph import cell, defused
from pipulate.plugins._pairs import columns

AGAIN = "Run the download again; if it stays so, export anew."
CELL = 10_000_000  # characters of one cell; a quote that is never closed ends here
LONG = 2_000  # characters of an address that is counted as long
CLEAR = bytes(n for n in range(33, 127) if n not in b'",')  # what no CSV puts in quotes
STARTS = {*string.ascii_letters, *string.digits, "/"}  # of what no spreadsheet runs
FIRST = itemgetter(slice(1))
PAUSE = 20_000  # rows between two reports
WEB = re.compile(r"\s*[\"']?https?://", re.IGNORECASE)
# How columns may be called, lower case; else their order decides, which is that of the question.
SOURCES = ("url", "full url", "source", "source url")
TARGETS = ("outlinks_internal.graph.url", "target", "target url")
FIELD = FIELDS | METRICS
DELIMITERS = ",\t;|"
BESIDE = re.compile(r"/$|(^|/)(\.|__MACOSX/)")  # folders, and what a Mac puts into an archive


@contextlib.contextmanager
def opened(path):
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


def _bytes(path, kind):
    if kind != "zip":
        return gzip.open(path) if kind == "gzip" else path.open("rb")
    archive = zipfile.ZipFile(path)
    inside = [name for name in archive.namelist() if not BESIDE.search(name)]
    named = [name for name in inside if name.lower().endswith(".csv")] or inside
    if not named:
        raise Problem("The zip file is empty.", AGAIN)
    if len(named) > 1:  # which of them is meant, or whether all are, nobody has said
        shown = ", ".join(named[:5])
        raise Problem(f"The zip file holds {len(named):,} files: {shown[:200]}.", AGAIN)
    return archive.open(named[0])


def load(path, folder, labels, told=None):
    """Write edges.csv (source, target) and nodes.csv (id and `labels`, what is exported besides).

    Returns counts by name, "container", "header", "sep" (whether there were such lines).
    `told(rows)` hears how far it is. Raises Problem."""
    old = csv.field_size_limit(CELL)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with opened(path) as (text, kind):
            form = _form(text, labels)
        found = _Found(form)
        with opened(path) as (text, kind):
            edges = found.links(text, told or (lambda rows: None))
            _write(folder / "edges.csv", itertools.chain(["source,target\n"], edges))
        heads = ["id", *(label.replace(" ", "_").lower() for label in labels)]
        rows = (map(defused, (page, *more)) for page, more in found.nodes.items())
        _write(folder / "nodes.csv", CsvFile("", heads, rows, raw=True).chunks)
    except csv.Error as error:
        raise Problem(f"The file cannot be read as CSV ({error}).", AGAIN) from None
    finally:
        csv.field_size_limit(old)
    names = ("rows", "links", "self_links", "blank_target", "blank_source", "short")
    odd = ("line_breaks", "long", "unreadable", "formulas")
    counts = {name: found.counts[name] for name in (*names, *odd)} | {"pages": len(found.nodes)}
    return counts | {"container": kind, "header": form["header"], "sep": form["sep"]}


def _write(path, lines):
    """A file, whole or not at all."""
    part = path.with_suffix(".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            out.writelines(lines)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _form(text, labels):
    """How a file is written, by its first lines: {header, sep, delimiter, columns, skip: rows

    before the first link, order: indexes of source, target and the columns of `labels`}."""
    first = [line for line in itertools.islice(text, 20) if line.strip()]
    named = re.fullmatch(r'"?sep=([^"\r\n])"?\s*', first[0], re.I) if first else None
    first = first[1:] if named else first
    if not first:
        raise Problem("The file is empty.", AGAIN)
    if any("\0" in line for line in first):
        raise Problem("What came is no text in UTF-8.", AGAIN)
    width = 2 + len(labels)
    delimiter = named[1] if named else max(DELIMITERS, key=lambda each: _fit(first, each, width))
    reader = csv.reader(itertools.chain(first, text), delimiter=delimiter)
    head = [*itertools.islice(filter(None, reader), 2)]
    header, sep = _is_header(head), bool(named)
    names = [_bare(name) for name in head[0]] if header else []
    form = {"header": header, "sep": sep, "delimiter": delimiter, "skip": header + sep}
    form["columns"] = range(max(width, *map(len, head)))
    return form | {"order": _order(names, labels)}


def _fit(lines, delimiter, width):
    """How well lines split: cells that are addresses, rows as wide as was asked for, and how often

    it stands in the first one. Addresses and titles have other delimiters in them."""
    rows = [*csv.reader(lines, delimiter=delimiter)]
    pages = sum(1 for row in rows for each in row if WEB.match(each))
    return pages, sum(len(row) == width for row in rows), lines[0].count(delimiter)


def _is_header(rows):
    """Whether the first row has no address, and the second one has, or its words are known."""
    if any(map(WEB.match, rows[0])):
        return False
    known = {*map(_bare, rows[0])} & {*SOURCES, *TARGETS}
    return bool(known) or any(WEB.match(cell) for row in rows[1:] for cell in row)


def _bare(name):
    return re.sub(r"^crawl\.[\d-]+\.", "", name.strip().lower())


def _order(names, labels):
    source = next((names.index(name) for name in SOURCES if name in names), None)
    target = next((names.index(name) for name in TARGETS if name in names), None)
    if source is None or target is None:
        source, target = 0, 1
    rest = [n for n in range(2 + len(labels)) if n not in (source, target)]
    fields = [FIELD.get(label) for label in labels]
    if {*fields} <= {*names}:  # in whichever order
        rest = [names.index(field) for field in fields]
    return [source, target, *rest[: len(labels)]]


class _Found:
    """What a file of that form holds: `nodes`, the further cells of each page, and `counts`."""

    def __init__(self, form):
        self.form, self.counts = form, Counter()
        self.nodes = {}
        self.look = functools.cache(_look)

    def links(self, text, told):
        """The links as lines; meanwhile pages and counts fill."""
        for ends, more, short in columns(text, self.form, self.form["order"], strict=False):
            before = self.counts["rows"]
            self.counts.update(rows=len(ends) // 2 + short, short=short)
            yield self._plain(ends, more) or "".join(self._odd(ends, more))
            for mark in range(before // PAUSE + 1, self.counts["rows"] // PAUSE + 1):
                told(mark * PAUSE)

    def _plain(self, ends, more):
        """The links of a block, all at once; "" if one of its addresses needs a second look."""
        count, parts = len(ends) // 2, [""] * (2 * len(ends))
        parts[::2], parts[1::2] = ends, [",", "\n"] * count
        lines = "".join(parts)
        odd = {*map(FIRST, ends)} - STARTS or max(map(len, ends), default=0) > LONG
        if odd or lines.encode().translate(None, CLEAR) != b",\n" * count:
            return ""
        sources = ends[::2]
        new = set(sources).difference(self.nodes)
        for n, source in enumerate(sources if new else ()):
            if source in new and source not in self.nodes:
                self.nodes[source] = [cells[n] for cells in more]
        self.counts.update(links=count, self_links=sum(map(eq, sources, ends[1::2])))
        return lines

    def _odd(self, ends, more):
        for n, pair in enumerate(zip(ends[::2], ends[1::2], strict=True)):
            (source, one, odd), (target, other, too) = map(self.look, pair)
            if source and source not in self.nodes:
                self.nodes[source] = [cells[n] for cells in more]
            if not source or not target:
                self.counts["blank_target" if source else "blank_source"] += 1
                continue
            self.counts.update({"links", *["self_links"] * (source == target), *odd, *too})
            yield f"{one},{other}\n"


def _look(raw):
    """(an address without blanks around it, as a cell of a CSV, what is odd about it)."""
    address = raw.strip()
    odd = {
        "line_breaks": "\n" in address or "\r" in address,
        "unreadable": "\ufffd" in address,
        "long": len(address) > LONG,
        "formulas": defused(address) != address,
    }
    return address, cell(address), [name for name, there in odd.items() if there]
