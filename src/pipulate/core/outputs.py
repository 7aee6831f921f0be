"""Outputs too large for the store: kept in a file, and read from it."""

from json import loads
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

# Where outputs lie: foreign JSON that looks like a reference leads nowhere else.
KEPT = re.compile(
    r"(?!.*\.\.[\\/]).*[\\/](runs[\\/]\d+[\\/]\d+|pipulate-\w+)[\\/](rows\.jsonl|output\.json)"
)
INLINE = 1_000_000  # characters of an output that the store keeps itself


class Rows:
    """Rows in a JSON Lines file. Gone through as often as wanted, one row in memory at a time."""

    def __init__(self, path: Path | str, count: int):
        self.path, self.count = Path(path), count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        with self.path.open(encoding="utf-8") as file:
            yield from map(loads, file)

    def __getitem__(self, at: int | slice) -> Any:
        places = range(self.count)[at]
        if isinstance(places, int):
            return self[places : places + 1][0]
        forth = places if places.step > 0 else places[::-1]
        with self.path.open(encoding="utf-8") as file:  # what lies before is not parsed
            found = [*map(loads, islice(file, forth.start, forth.stop, forth.step))]
        return found if forth is places else found[::-1]


class Large:
    """JSON in a file of its own; `load()` reads it."""

    def __init__(self, path: Path | str, size: int):
        self.path, self.size = Path(path), size

    def load(self) -> Any:
        return loads(self.path.read_text(encoding="utf-8"))


def is_rows(value: Any) -> bool:
    """Whether it is a table: rows in a file, or a list of dictionaries."""
    many = value if isinstance(value, list) else []
    return isinstance(value, Rows) or bool(many) and all(isinstance(row, dict) for row in many)


def as_row(row: Any) -> dict[str, Any]:
    """What is no row is its `value`."""
    return row if isinstance(row, dict) else {"value": row}


def columns_of(rows: Iterable[Any]) -> list[str]:
    """Those of every row."""
    return [*dict.fromkeys(chain.from_iterable(map(as_row, rows)))]


def loaded(output: Any) -> Any:
    """An output as a step takes it: what lies in a file of JSON is read."""
    return output.load() if isinstance(output, Large) else output


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write a text file whole or not at all; returns the number of lines."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8") as file:
        count = sum(file.write(line + "\n") > 0 for line in lines)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return count
