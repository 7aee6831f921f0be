"""Rows of a CSV of links as numbers of pages."""

import random

import numpy as np
import pytest

from pipulate.plugins._pairs import Numbers, kept


@pytest.mark.parametrize("names", [3, 50, 9_000])
def test_numbers_are_those_of_a_plain_dict(names):
    rng, known = random.Random(names), {}
    pages = Numbers()
    for size in (1, 10, 3_000, 3_000, 9_000):
        cells = [f"{rng.choice(['', ' '])}/{rng.randrange(names)}" for _ in range(size)]
        cells = ["" if rng.random() < 0.1 else cell + rng.choice(["", "\t"]) for cell in cells]
        bare = (cell.strip() for cell in cells)
        expected = [known.setdefault(cell, len(known)) if cell else -1 for cell in bare]
        assert pages.of(cells).tolist() == expected
    assert pages.names == [*known]


def test_cells_of_the_same_slot_are_told_apart():
    class Cell(str):
        __slots__ = ()

        def __hash__(self):
            return 4_096 * int(self)

    expected = [n % 900 for n in range(1_000)]
    assert Numbers().of([Cell(n) for n in expected]).tolist() == expected


def test_names_are_numbered_as_they_come_and_blanks_around_them_do_not_count():
    pages = Numbers()
    assert pages.of(["/b", " /a", "", "/a", "/b ", " \t", "/b"]).tolist() == [0, 1, -1, 1, 0, -1, 0]
    assert pages.names == ["/b", "/a"]


def test_pages_that_only_rows_left_out_name_are_gone_and_the_others_come_as_they_came():
    links = np.array([[0, 1], [3, 2], [2, 0]], np.intc)
    pages, left = kept(list("abcd"), links, np.array([False, True, True]))
    assert pages == ["d", "c", "a"] and left.tolist() == [[0, 1], [1, 2]]
