"""What events changed, drawn: values as the app shows them, secrets not at all."""

import re
from html import unescape

import pytest

from pipulate.apps.base import Visit
from pipulate.apps.markup import html
from pipulate.web.diff import diff

BOOKS = """
    from pipulate import CrudApp, Ref, Secret
    class Author(CrudApp):
        name: str
    class Book(CrudApp):
        title: str
        author: Ref["author"] | None = None
        pin: Secret | None = None
        pages: int | None = None
"""


@pytest.fixture
def drawn(house, plugin, call):
    """drawn(): what the newest event changed, as text."""
    plugin(BOOKS)

    def drawing():
        event = house.events.recent(1, 1)[0]
        visit = Visit(house, house.caller("user"), None)
        images = house.events.images(event["id"], limit=50)
        text = html(diff(visit, images, event["changed"], event["kept"]))
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())

    return drawing


def test_a_reference_is_shown_by_name_and_a_secret_only_as_set(drawn, call):
    call("author_add", name="Ann Leckie")
    call("book_add", title="Ancillary Justice", author=1, pin="opensesame1234")
    said = "Title Ancillary Justice Author Ann Leckie #1 Pin set"
    assert drawn() == f"Book “Ancillary Justice” added {said}"
    call("book_update", id=1, pin="another secret")
    assert drawn() == "Book “Ancillary Justice” changed Pin set → set"


def test_a_field_that_was_or_became_empty_says_so(drawn, call):
    call("book_add", title="Dune")
    call("book_update", id=1, pages=412)
    assert drawn() == "Book “Dune” changed Pages empty → 412"
    call("book_update", id=1, pages=None)
    assert drawn() == "Book “Dune” changed Pages 412 → empty"


def test_given_a_class_that_changed_since_then_its_old_values_are_shown_as_they_were(
    drawn, call, plugin, house
):
    call("book_add", title="Dune", pages=412)
    event = house.events.recent(1, 1)[0]
    plugin(BOOKS.replace("title: str", "name: str").replace("int", "bool"), "books")
    house.events.recent = lambda *_: [event]
    assert "Dune" in drawn() and "412" in drawn()


def test_a_table_of_the_house_is_named_by_its_rows(drawn, call):
    call("profile_add", name="Shop")
    assert drawn().startswith("Profile Shop added Slug shop Name Shop")


def test_markup_in_a_value_stays_text(drawn, call, house):
    call("book_add", title="<script>alert(1)</script>")
    assert "“<script>alert(1)</script>” added" in drawn()


def test_given_what_was_there_is_no_longer_kept_then_it_says_for_how_long_it_was(house):
    visit = Visit(house, house.caller("user"), None)
    assert "kept for 30 days" in html(diff(visit, [], 3, kept=False))
    assert "All is as it was" in html(diff(visit, [], 3, kept=True))
