"""Rows of a CSV of links as numbers of pages."""

import numpy as np

from pipulate.plugins._pairs import Numbers, kept


def test_names_are_numbered_as_they_come_and_blanks_around_them_do_not_count():
    pages = Numbers()
    assert pages.of(["/b", " /a", "", "/a", "/b ", " \t", "/b"]).tolist() == [0, 1, -1, 1, 0, -1, 0]
    assert pages.names == ["/b", "/a"]


def test_pages_that_only_rows_left_out_name_are_gone_and_the_others_come_as_they_came():
    links = np.array([[0, 1], [3, 2], [2, 0]], np.intc)
    pages, left = kept(list("abcd"), links, np.array([False, True, True]))
    assert pages == ["d", "c", "a"] and left.tolist() == [[0, 1], [1, 2]]
