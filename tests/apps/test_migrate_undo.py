"""Undo of what was done before a class changed: old values come back as the class is now."""

import pytest

from pipulate.core.problems import Problem

BOOK = """
    from pipulate import CrudApp, Ref, Renamed
    from typing import Annotated
    class Book(CrudApp):
        title: str
        pages: str = ""
"""


@pytest.fixture
def done(plugin, call, house):
    """done(tool, now): a book of 12 pages is changed or deleted; then its pages become `now`."""

    def doing(tool, now, **values):
        plugin(BOOK)
        call("book_add", title="Dune", pages=values.pop("was", "12"))
        call(tool, id=1, **values)
        house.accepted = type("All", (), {"__contains__": lambda *_: True})()
        plugin(BOOK.replace('pages: str = ""', now))
        own = "verb = ?"
        return house.db.one(f"SELECT id FROM events WHERE {own}", [tool])["id"]

    return doing


@pytest.fixture
def book(house):
    """book(): the columns of the first book."""
    return lambda: house.db.one("SELECT * FROM app_books WHERE id = 1")


@pytest.mark.parametrize(
    ("now", "name", "value"),
    [
        ("pages: int = 0", "pages", 12),
        ("pages: float = 0", "pages", 12.0),
        ('leaves: Annotated[int, Renamed("pages")] = 0', "leaves", 12),
        ('pages: str = ""\n        rating: int = 3', "rating", 3),
    ],
    ids=["int", "float", "renamed and retyped", "a field added"],
)
def test_a_deleted_row_comes_back_as_the_class_is_now_and_redo_deletes_it(
    done, call, book, now, name, value
):
    event = done("book_delete", now)
    assert call("undo", event=event) == "Undid: Deleted book “Dune”"
    assert book()[name] == value and call("book_get", id=1)[name] == value
    call("undo", event=event + 2)
    assert book() is None


def test_given_a_value_that_no_longer_fits_then_the_rest_comes_back_and_the_summary_says_so(
    done, call
):
    event = done("book_update", "pages: int = 0", was="many", title="Dune 2", pages="7")
    said = call("undo", event=event)
    assert said.endswith("(without pages, which is of another type now)")
    assert call("book_get", id=1) == {"id": 1, "title": "Dune", "pages": 7, "version": 3}


def test_given_nothing_but_such_a_value_then_a_problem_says_so(done, call):
    event = done("book_update", "pages: bool = False", was="many", pages="yes")
    with pytest.raises(Problem, match="nothing left to take back .without pages"):
        call("undo", event=event)


def test_given_a_field_removed_then_the_rest_comes_back_and_the_summary_says_so(done, call):
    event = done("book_delete", "rating: int = 5")
    said = call("undo", event=event)
    assert said.endswith("(without pages, which is no field any more)")
    assert call("book_get", id=1)["rating"] == 5


def test_a_field_that_was_renamed_there_and_back_comes_back_with_its_row(plugin, call):
    first = "pages: str"
    plugin(BOOK.replace(first, f"leaves: str = ''\n        {first}"))
    call("book_add", title="Dune", pages="12")
    size = "size: Annotated[str, Renamed('leaves')] = ''\n        "
    for name, was in (("pages", ""), ("leaves", "pages"), ("pages", "leaves")):
        plugin(BOOK.replace(first, f"{size}{name}: Annotated[str, Renamed('{was}')]"))
    call("book_delete", id=1)
    assert call("undo") == "Undid: Deleted book “Dune”"
    assert call("book_get", id=1)["pages"] == "12"


def test_a_text_comes_back_as_no_reference_though_its_field_is_one_now(done, call):
    event = done("book_delete", 'pages: Ref["book"] | None = None', was="many")
    assert call("undo", event=event).endswith("(without pages, which is of another type now)")
    assert call("book_get", id=1)["pages"] is None


def test_a_number_as_text_comes_back_as_a_tag_though_it_is_json_too(done, call):
    call("undo", event=done("book_delete", "pages: list[str] = []"))
    assert call("book_get", id=1)["pages"] == ["12"]
    assert call("rows_totals", app="book")[1]["values"] == [["12", 1]]
