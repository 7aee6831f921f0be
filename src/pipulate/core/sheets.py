"""Sheets: CSV, JSON, workbooks and pasted tables read as rows; rows written as CSV and JSON.

Text that a spreadsheet would take for a formula leaves with a `'` before it, and reading takes
exactly one such `'` away again: what goes out comes back the same. `raw` does neither.
"""

import codecs
import contextlib
import csv
import io
import itertools
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from pipulate.core.fields import dumps
from pipulate.core.kinds import MISSING
from pipulate.core.problems import Problem
from pipulate.core.tables import Row

FORMULA = re.compile("'*[=+@\t\r\n＝＋－＠-]")
CELL = 10_000_000  # characters of one cell or line; a quote that is never closed ends here
COLUMNS = 1_000
WHOLE = 200_000_000  # characters of JSON: it is read at once
UNPACKED = 1_000_000_000  # bytes of a workbook; core/workbook.py has the limits that hold
SAMPLE = 65_536  # characters from which the delimiter is guessed
BATCH = 500  # rows of one chunk
OTHERS = (b"%PDF", b"<", b"\x89PNG", b"\xff\xd8", b"\x1f\x8b")  # what no sheet begins with
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # zip: xlsx, ods; compound file: xls
Numbered = Iterator[tuple[int, list[Any]]]

csv.field_size_limit(CELL)


@dataclass
class Sheet:
    """A table as it came, to be read once. `rows`: (number as a person counts them, cells).

    Cells are JSON values: text, and from JSON and workbooks numbers, booleans, ISO dates; MISSING
    where a JSON object lacks the key. A row may have fewer or more cells than there are columns.
    `typed` (JSON): text is meant as it stands, not as typed into a form."""

    columns: list[str]
    rows: Numbered
    sheets: list[str] = field(default_factory=list)  # of a workbook
    typed: bool = False


def read_sheet(path: Path, sheet: str = "", header: bool = True, raw: bool = False) -> Sheet:
    """The rows of a file, whatever its kind; a CSV file of any size in constant memory.

    `sheet` names one of a workbook's (else the first with rows); without `header` the first row is
    data and columns are called "Column 1" …; `raw` keeps a `'` before a formula. Raises Problem,
    also while rows are taken."""
    with path.open("rb") as file:
        head = file.read(SAMPLE)
    if head.startswith(WORKBOOKS):
        names, rows = _workbook(path, sheet)
        return _table(rows, header, raw, sheets=names)
    if head.startswith(OTHERS):
        raise _no_sheet(f"{path.name} is no table")
    encoding = _encoding(path, head)
    return _from_text(lambda: path.open(encoding=encoding, newline=""), path.name, header, raw)


def read_text(text: str, header: bool = True, raw: bool = False) -> Sheet:
    """The rows of pasted text: cells of a spreadsheet, CSV, JSON or one value a line."""
    plain = text.replace("\r\n", "\n")
    return _from_text(lambda: io.StringIO(plain, newline=""), "What was pasted", header, raw)


def write_csv(
    columns: Iterable[str], rows: Iterable[Iterable[Any]], raw: bool = False
) -> Iterator[str]:
    """CSV in chunks of text. Cells: text (defused unless `raw`), numbers, booleans, None."""
    every, cell = itertools.chain([columns], rows), _plain if raw else _defused
    while batch := list(itertools.islice(every, BATCH)):
        out = io.StringIO()
        csv.writer(out).writerows([[cell(value) for value in row] for row in batch])
        yield out.getvalue()


def write_json(rows: Iterable[Row]) -> Iterator[str]:
    """A JSON list of objects, one a line, in chunks of text."""
    before = "[\n"
    lines = iter(rows)
    while batch := list(itertools.islice(lines, BATCH)):
        yield before + ",\n".join(map(dumps, batch))
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"  # every digit, never 1E+2
    return str(value).lower() if isinstance(value, bool) else value


def _defused(value: Any) -> Any:
    unsafe = isinstance(value, str) and FORMULA.match(value)
    return f"'{value}" if unsafe else _plain(value)


def _meant(cell: Any) -> Any:
    quoted = isinstance(cell, str) and cell[:1] == "'" and FORMULA.match(cell)
    return cell[1:] if quoted else cell


# -- rows of every kind ----------------------------------------------------------------------


def _table(records: Numbered, header: bool, raw: bool, **more: Any) -> Sheet:
    """Records without the empty ones, the first of them taken as the heading."""
    filled = (r for r in records if any(cell not in ("", None) for cell in r[1]))
    first = next(filled, None)
    if first is None:
        raise Problem("There is nothing in it.", "Give a table with a heading and rows.")
    if len(first[1]) > COLUMNS:
        what = f"It has {len(first[1]):,} columns; {COLUMNS:,} are the most."
        raise Problem(what, "Leave out those that are not needed.")
    rows = filled if header else itertools.chain([first], filled)
    columns = _names(first[1] if header else [""] * len(first[1]))
    one = next(rows, None)
    if one is None:
        raise Problem("It has a heading but no rows.", "Add rows, or say that there is no heading.")
    return Sheet(columns, _cells(itertools.chain([one], rows), len(columns), raw), **more)


def _cells(records: Numbered, width: int, raw: bool) -> Numbered:
    """Cells as they were meant; empty ones beyond the heading are left out."""
    for number, cells in records:
        while len(cells) > width and cells[-1] in ("", None):
            cells.pop()
        yield number, cells if raw else [_meant(cell) for cell in cells]


def _names(cells: list[Any]) -> list[str]:
    """Headings as text, each once: an empty one is "Column 3", a second "Title" is "Title 2"."""
    while len(cells) > 1 and cells[-1] in ("", None) and any(cells):
        cells = cells[:-1]
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = again = str(_meant("" if cell is None else cell)).strip() or f"Column {number}"
        for count in itertools.count(2):
            if again not in names:
                break
            again = f"{name} {count}"
        names.append(again)
    return names


def _no_sheet(what: str) -> Problem:
    return Problem(f"{what}.", "Give a CSV, JSON, XLSX or ODS file.")


# -- text --------------------------------------------------------------------------------------


def _encoding(path: Path, head: bytes) -> str:
    """UTF-16 with its mark, UTF-8, else what Windows writes, else Latin-1, which is never wrong."""
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in head and not wide:
        raise _no_sheet(f"{path.name} is no table")
    for encoding in ["utf-16"] if wide else ["utf-8-sig", "cp1252", "latin-1"]:
        with contextlib.suppress(UnicodeError), path.open(encoding=encoding, newline="") as file:
            while file.read(SAMPLE):
                pass
            return encoding
    raise _no_sheet(f"{path.name} is no readable text")


def _from_text(open_it: Callable[[], TextIO], name: str, header: bool, raw: bool) -> Sheet:
    with open_it() as file:
        sample = file.read(SAMPLE)
        said = re.search(r"\.(json|jsonl|ndjson)$", name, re.IGNORECASE)
        if said or sample.lstrip()[:1] in ("[", "{"):
            try:
                return _from_json(sample + file.read(WHOLE))
            except Problem:
                if said:
                    raise
    delimiter, skip = _delimiter(sample)
    return _table(_records(open_it, delimiter, skip), header, raw)


def _records(open_it: Callable[[], TextIO], delimiter: str, skip: int) -> Numbered:
    number = 0
    with open_it() as file:
        reader = csv.reader(_lines(file), delimiter=delimiter)
        try:
            for number, cells in enumerate(reader, 1):
                if number > skip:
                    yield number, cells
        except csv.Error as error:
            what = f"Row {number + 1} cannot be read ({error})."
            raise Problem(what, "Look for a quote that is opened there and never closed.") from None


def _lines(file: TextIO) -> Iterator[str]:
    """Lines of bounded length: a file without an end of line is not read into memory."""
    while line := file.readline(CELL):
        if len(line) == CELL:
            raise _no_sheet(f"A line is longer than {CELL:,} characters")
        yield line


def _delimiter(sample: str) -> tuple[str, int]:
    """(what stands between cells, rows to skip). The one that splits most rows as the first is;

    one value a line is split by nothing where a comma stands in one."""
    if told := re.match(r"sep=([^\w\s]|\t)\r?\n", sample, re.IGNORECASE):
        return told[1], 1
    best, found = 0, ","
    for delimiter in ",\t;|":
        with contextlib.suppress(csv.Error):
            read = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
            widths = [len(cells) for cells in itertools.islice(read, 30) if cells] or [0]
            alike = widths.count(widths[0])
            prose = f"{delimiter} " in sample.split("\n")[0] and alike <= len(widths) / 2
            if widths[0] > 1 and alike > best and not prose:
                best, found = alike, delimiter
            elif delimiter == "," and max(widths) > 1:
                found = "\x1f"
    return found, 0


def _from_json(text: str) -> Sheet:
    """A list of objects, {"rows": […]}, or an object a line. Read as a whole."""
    if len(text) >= WHOLE:
        raise Problem(f"JSON of over {WHOLE:,} characters is too much.", "Give it as CSV.")
    try:
        data = _objects(text)
    except (ValueError, RecursionError) as error:
        raise _no_sheet(f"This is no JSON ({str(error)[:80]})") from None
    if not all(isinstance(row, dict) for row in data):
        raise _no_sheet("JSON has to be a list of objects")
    columns = [*dict.fromkeys(name for row in data for name in row)]
    if re.search("[\0\ud800-\udfff]", "".join(columns)):
        raise _no_sheet("A name in it holds a character that cannot be shown")
    if not columns or len(columns) > COLUMNS:
        what = f"It has {len(columns):,} columns; 1 to {COLUMNS:,} can be read."
        raise Problem(what, "Give a list of objects with the same names.")
    rows = ([row.get(name, MISSING) for name in columns] for row in data)
    return Sheet(columns, enumerate(rows, 1), typed=True)


def _objects(text: str) -> list[Any]:
    try:
        data = json.loads(text)
    except ValueError:
        if text.lstrip()[:1] == "[":
            raise
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    data = data.get("rows", [data]) if isinstance(data, dict) else data
    return data if isinstance(data, list) else [data]


# -- workbooks -----------------------------------------------------------------------------------


def _workbook(path: Path, sheet: str) -> tuple[list[str], Numbered]:
    """(names of the sheets, rows), from the process that reads it (core/workbook.py)."""
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as packed:
        if sum(part.file_size for part in packed.infolist()) > UNPACKED:
            raise _too_large()
    lines = _said([sys.executable, "-m", "pipulate.core.workbook", str(path), sheet])
    names = next(lines, None)
    if isinstance(names, str):
        raise Problem(f"{names}.", "Save it as XLSX or CSV, then try again.")
    if names is None:
        raise _too_large()
    return names, enumerate(lines, 1)


def _said(command: list[str]) -> Iterator[Any]:
    """The JSON lines that a process prints; it ends with whoever reads them."""
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=silent, stderr=silent) as child:
        assert child.stdout
        try:
            yield from map(json.loads, child.stdout)
            if child.wait():
                raise _too_large()
        finally:
            child.kill()


def _too_large() -> Problem:
    what = "This workbook is damaged, or needs over 1 GB of memory."
    return Problem(what, "Save the sheet as CSV, then try again.")
