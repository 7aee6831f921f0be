"""CSV, JSON and workbooks read as rows; rows written as CSV and JSON.

Text that a spreadsheet would take for a formula leaves with a `'` before it, and reading takes
exactly one such `'` away again. `raw` does neither.
"""

import codecs
from contextlib import suppress
import csv
import io
from itertools import chain, islice
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from pipulate.core.ask import unlike
from pipulate.core.fields import dumps
from pipulate.core.kinds import MISSING, File
from pipulate.core.problems import Problem
from pipulate.core.tables import Row

FORMULA = re.compile("'*[=+@\t\r\n＝＋－＠-]")
CELL = 10_000_000  # characters of one cell or line; a quote that is never closed ends here
COLUMNS = 1_000
WHOLE = 200_000_000  # characters of JSON: it is read at once
UNPACKED = 1_000_000_000  # bytes of a workbook; core/workbook.py has the limits that hold
SAMPLE = 65_536  # characters from which the delimiter is guessed
BATCH = 500  # rows of one chunk
FIRST = 20  # rows by which a heading is told
OTHERS = (b"%PDF", b"<", b"\x89PNG", b"\xff\xd8", b"\x1f\x8b")  # what no sheet begins with
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # zip: xlsx, ods; compound file: xls
EMPTY = ("", None)
Numbered = Iterator[tuple[int, list[Any]]]
Header = bool | Callable[[list[list[Any]]], bool]

csv.field_size_limit(CELL)


@dataclass
class Sheet:
    """A table as it came, to be read once. `rows`: (number as a person counts them, cells).

    Cells are JSON values, dates in ISO, MISSING where a JSON object lacks the key; fewer or more
    than there are columns."""

    columns: list[str]
    rows: Numbered
    sheets: Sequence[str] = ()  # of a workbook
    typed: bool = False  # (JSON) text is meant as it stands, not as typed into a form
    header: bool = True  # whether the columns are called by a first row


def read_sheet(
    path: Path | str, sheet: str = "", header: Header = True, raw: bool = False
) -> Sheet:
    """The rows of a file, whatever its kind; a CSV file of any size in constant memory.

    `sheet`: of a workbook (else the first with rows). `header`: whether the first row names the
    columns (else "Column 1" …), or what tells that of the first rows. `raw`: a `'` before a
    formula stays. Raises Problem, also while rows are taken."""
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(SAMPLE)
    if head.startswith(WORKBOOKS):
        lines = _workbook(path, sheet)
        return _table(enumerate(lines, 1), header, raw, sheets=next(lines))
    encoding = _encoding(path, head)
    with path.open(encoding=encoding, newline="") as text:
        sample = text.read(SAMPLE)
        if path.suffix.lower() == ".json" or re.match(r"\s*\[\s*{", sample):
            return _from_json(sample + text.read(WHOLE))
    said = re.match("sep=([;,|\t])\r?\n", sample)  # a line for Excel
    lines = _records(path, encoding, said[1] if said else _delimiter(sample))
    return _table(islice(lines, bool(said), None), header, raw)


def write_csv(
    columns: Iterable[str], rows: Iterable[Iterable[Any]], raw: bool = False
) -> Iterator[str]:
    """CSV in chunks of text. Cells: text (defused unless `raw`), numbers, JSON."""
    every = chain([columns], rows)
    while batch := [*islice(every, BATCH)]:
        out = io.StringIO()
        csv.writer(out).writerows([[_cell(value, raw) for value in row] for row in batch])
        yield out.getvalue()


def write_json(rows: Iterable[Row]) -> Iterator[str]:
    """A JSON list of objects, one a line, in chunks of text."""
    before, lines = "[\n", map(dumps, rows)
    while batch := [*islice(lines, BATCH)]:
        yield before + ",\n".join(batch)
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def _cell(value: Any, raw: bool) -> Any:
    if isinstance(value, str):
        return f"'{value}" if not raw and FORMULA.match(value) else value
    if isinstance(value, Decimal):
        return f"{value:f}"  # every digit, never 1E+2
    return dumps(value) if isinstance(value, bool | dict | list | File) else value


def _meant(cell: Any) -> Any:
    quoted = isinstance(cell, str) and cell[:1] == "'" and FORMULA.match(cell)
    return cell[1:] if quoted else cell


def _table(records: Numbered, header: Header, raw: bool, sheets: Sequence[str] = ()) -> Sheet:
    filled = (r for r in records if any(cell not in EMPTY for cell in r[1]))
    if not (first := [*islice(filled, FIRST)]):
        raise Problem("There is nothing in it.", "Give a table with a heading and rows.")
    named = header([cells for _, cells in first]) if callable(header) else header
    top = first[0][1]
    heading = _few(_within(top, 1) if named else [""] * len(top))
    if named and not first[1:]:
        raise Problem("It has a heading but no rows.", "Add rows, or say that there is no heading.")
    every = chain(first[named:], filled)
    rows = ((n, _within(cells, len(heading))) for n, cells in every)
    if not raw:
        rows = ((n, [*map(_meant, cells)]) for n, cells in rows)
    words = (str("" if cell is None else _meant(cell)).strip() for cell in heading)
    columns = unlike(word or f"Column {n}" for n, word in enumerate(words, 1))
    return Sheet(columns, rows, sheets, header=named)


def _within(cells: list[Any], width: int) -> list[Any]:
    while len(cells) > width and cells[-1] in EMPTY:
        cells.pop()
    return cells


def _few(columns: list[Any]) -> list[Any]:
    if 0 < len(columns) <= COLUMNS:
        return columns
    what = f"It has {len(columns):,} columns; 1 to {COLUMNS:,} can be read."
    raise Problem(what, "Leave out those that are not needed.")


def _no_sheet(what: str) -> Problem:
    return Problem(f"{what}.", "Give a CSV, JSON, XLSX or ODS file.")


def _encoding(path: Path, head: bytes) -> str:
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if head.startswith(OTHERS) or (b"\0" in head and not wide):
        raise _no_sheet(f"{path.name} is no table")
    for encoding in ["utf-16"] if wide else ["utf-8-sig", "cp1252", "latin-1"]:
        with suppress(UnicodeError), path.open(encoding=encoding, newline="") as file:
            while file.read(SAMPLE):
                pass
            return encoding
    raise _no_sheet(f"{path.name} is no readable text")


def _records(path: Path, encoding: str, delimiter: str) -> Numbered:
    number = 0
    with path.open(encoding=encoding, newline="") as file:
        try:
            for number, cells in enumerate(csv.reader(_lines(file), delimiter=delimiter), 1):
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


def _delimiter(sample: str) -> str:
    """What splits most rows as the first is; nothing, where commas stand in one value a line."""
    best, found = 0, ","
    for delimiter in "\t;|,":  # the comma last: it also stands in numbers
        with suppress(csv.Error):
            read = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
            widths = [len(cells) for cells in islice(read, 30) if cells] or [0]
            alike = widths.count(widths[0])
            prose = f"{delimiter} " in sample.split("\n")[0] and alike <= len(widths) / 2
            if widths[0] > 1 and alike > best and not prose:
                best, found = alike, delimiter
            elif delimiter == "," and max(widths) > 1 and not best:
                found = "\x1f"
    return found


def _from_json(text: str) -> Sheet:
    try:
        if len(text) >= WHOLE:
            raise ValueError(f"over {WHOLE:,} characters")
        data = json.loads(
            text, parse_float=lambda n: n if len(n) > 16 and repr(float(n)) != n else float(n)
        )
    except (ValueError, RecursionError) as error:
        raise _no_sheet(f"This is no JSON that can be read ({str(error)[:80]})") from None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise _no_sheet("JSON has to be a list of objects")
    columns = _few([*dict.fromkeys(chain.from_iterable(data))])
    if re.search("[\0\ud800-\udfff]", "".join(columns)):
        raise _no_sheet("A name in it holds a character that cannot be shown")
    rows = ([row.get(name, MISSING) for name in columns] for row in data)
    return Sheet(columns, enumerate(rows, 1), typed=True)


def _workbook(path: Path, sheet: str) -> Iterator[Any]:
    try:
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > UNPACKED:
                raise ValueError
        for line in _said([sys.executable, "-m", "pipulate.core.workbook", str(path), sheet]):
            if isinstance(line, str):
                raise Problem(f"{line}.", "Save it as XLSX or CSV, then try again.")
            yield line
    except ValueError:  # too large, ended by its limits, or broken off within a line
        what = "This workbook is damaged, or needs over 1 GB of memory."
        raise Problem(what, "Save the sheet as CSV, then try again.") from None


def _said(command: list[str]) -> Iterator[Any]:
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=silent, stderr=silent) as child:
        try:
            yield from map(json.loads, child.stdout or ())
            if child.wait():
                raise ValueError
        finally:
            child.kill()
