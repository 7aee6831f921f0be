"""A workbook as JSON lines, read in a process of its own: `python -m pipulate.core.workbook`.

A few hostile kilobytes can unpack to gigabytes: that ends this process, under a limit, and never
the house. Arguments: the file, the sheet's name or "". Output: the names of the sheets, then one
list of cells a row; or a sentence.
"""

from contextlib import suppress
import json
import sys
from collections.abc import Iterator
from typing import Any

MEMORY = 2**30  # bytes a workbook may need
SECONDS = 120


def limit() -> None:
    """Bound the memory (bytes) and CPU time (seconds) of this process, where the system can."""
    with suppress(ImportError):  # Windows
        import resource

        for kind, most in (("RLIMIT_AS", MEMORY), ("RLIMIT_CPU", SECONDS), ("RLIMIT_CORE", 0)):
            with suppress(ValueError, OSError):  # macOS has none for memory
                resource.setrlimit(getattr(resource, kind), (most, most))


def plain(cell: Any) -> Any:
    """A cell as a JSON value: dates as ISO text, 119.00000000000001 as a spreadsheet shows it."""
    if isinstance(cell, float) and not cell.is_integer():
        cell = float(f"{cell:.15g}")
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**63:
        return int(cell)
    return cell.isoformat() if hasattr(cell, "isoformat") else cell


def lines(path: str, name: str) -> Iterator[Any]:
    """Of the sheet that is named, else of the first that holds anything."""
    from python_calamine import CalamineError, load_workbook

    try:
        book = load_workbook(path)
        names = book.sheet_names
        if name and name not in names:
            yield f"There is no sheet {name!r}; there are: {', '.join(names)}"
            return
        yield names
        sheets = map(book.get_sheet_by_name, [name] if name else names)
        if sheet := next((sheet for sheet in sheets if sheet.height), None):
            yield from ([plain(cell) for cell in row] for row in sheet.iter_rows())
    except CalamineError as error:
        yield f"This workbook cannot be read: {error}"


if __name__ == "__main__":
    limit()
    for line in lines(*sys.argv[1:]):
        print(json.dumps(line, default=str))
