"""A CSV in blocks: whatever way a block takes, the rows are those of csv."""

import csv
import io
import random

import pytest

from pipulate.plugins import _blocks

CELLS = ["/a", "/b?x=1", "", " ", " /c ", "/d;e", "caf\u00e9", '"/q"', '"a,b"', '"a\nb"', '"a""b"']
CELLS += ['"a\r\nb"', 'in"side', "\u2028"]


def rows_of(text, width, skip=0, delimiter=","):
    rows = []
    stream = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")
    for cells, more in _blocks.blocks(stream, delimiter, width, skip):
        rows += more or [cells[n : n + width] for n in range(0, len(cells), width)]
    return rows


def plainly(text, skip=0, delimiter=","):
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row][
        skip:
    ]


@pytest.mark.parametrize("seed", range(60))
def test_the_rows_are_those_of_csv(monkeypatch, seed):
    rng = random.Random(seed)
    monkeypatch.setattr(_blocks, "BLOCK", rng.choice([1, 7, 40, 300]))
    delimiter, end = rng.choice(",\t;"), rng.choice(["\n", "\r\n", "\r"])
    cells = CELLS if seed % 2 else CELLS[:3]
    widths = [2, 2, 2, 2, 3, 0] if seed % 3 else [2]
    lines = [[rng.choice(cells) for _ in range(rng.choice(widths))] for _ in range(40)]
    text = end.join(map(delimiter.join, lines)) + rng.choice(["", end])
    skip = rng.choice([0, 1, 5])
    assert rows_of(text, 2, skip, delimiter) == plainly(text, skip, delimiter)


@pytest.mark.parametrize("seed", range(40))
def test_rows_with_all_cells_in_quotes_are_those_of_csv(monkeypatch, seed):
    rng = random.Random(seed)
    monkeypatch.setattr(_blocks, "BLOCK", rng.choice([1, 40, 300, 3_000]))
    cells = ["/a", "", " b", ",", "x,y", "caf\u00e9"] + seed % 2 * ['"', 'a","b', "\n", '"\n"']
    out = io.StringIO(newline="")
    how = {"quoting": csv.QUOTE_ALL, "lineterminator": rng.choice(["\n", "\r\n"])}
    widths = [3] if seed % 3 else [3, 3, 3, 2, 4]
    rows = [[rng.choice(cells) for _ in range(rng.choice(widths))] for _ in range(60)]
    csv.writer(out, **how).writerows(rows)
    assert rows_of(out.getvalue(), 3) == rows


@pytest.mark.parametrize("line", ["/a,/b\n", '"/a","/b, c"\n'])
def test_plain_lines_do_not_go_through_csv(line):
    text = "source,target\n" + line * (600_000 // len(line))
    stream = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")
    first, *others = _blocks.blocks(stream, ",", 2, 1)
    assert first[1] and len(others) == 2 and not any(rows for _, rows in others)


@pytest.mark.parametrize("block", [1, 1 << 18])
def test_a_fault_names_its_line_in_the_whole_file(monkeypatch, block):
    monkeypatch.setattr(_blocks, "BLOCK", block)
    with pytest.raises(csv.Error, match="^line 4: "):
        rows_of('/a,/b\n/a,/b\n/a,/b\n/c,"/d"x\n/e,/f\n', 2)
