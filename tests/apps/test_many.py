"""Many rows at once: changed, deleted, exported; totals and saved views; by tools and the bar."""

import re
import statistics
from collections import Counter
from decimal import Decimal, localcontext

import pytest

from every import EVERY, ROWS, open_world
from pipulate.apps.base import Go, Visit
from pipulate.apps.markup import html
from pipulate.core.problems import Conflict, Confirm, Invalid, NeedsApproval, Problem

BOOK = """
    from pipulate import CrudApp, Invalid

    class Book(CrudApp):
        title: str
        stars: int = 0
        field: str = ""
        where: str = ""
        ids: list[str] = []
        done: bool = False

        def check(self):
            if self.stars > 5:
                raise Invalid(f"{self.title} has too many stars.", "Give fewer.")
"""


@pytest.fixture
def books(plugin, call, house):
    """Thirty books with 0 to 5 stars; books() is {id: row}."""
    plugin(BOOK, "books")
    with house.db.change():
        table = house.shelf.crud("book").plain(house.caller("user"))
        table.insert_many(
            [{"title": f"Book {n:02}", "stars": n % 6, "position": n} for n in range(30)]
        )
    return lambda: {row["id"]: row for row in call("book_list")["rows"]}


@pytest.fixture
def sure(call):
    """sure(tool, …): a tool called by somebody who was asked."""
    return lambda tool, **values: call(tool, confirmed=True, **values)


@pytest.fixture
def post(house, run):
    """post(app, path, form): what the page answers, as HTML; or the Go."""

    def posting(slug, path, form, method="POST", query=None):
        app = house.shelf.crud(slug)
        route, values = next((r, v) for r in app.routes if (v := r.match(method, path)) is not None)
        caller = house.caller("user", confirmed=True)
        drawn = run(route.run(Visit(house, caller, app, values, query or {}, form, True)))
        if isinstance(drawn, Go):
            return drawn
        return html(*drawn) if isinstance(drawn, tuple) else html(drawn)

    return posting


# -- tools -----------------------------------------------------------------------------------


def test_rows_are_given_by_their_ids_or_as_a_list_says_them(books, sure):
    assert sure("rows_update", app="book", ids=[1, 2, 99], values={"done": True}) == {"changed": 2}
    assert sure("rows_update", app="books", where="f.stars=5", values={"stars": 4}) == {
        "changed": 5
    }
    assert sure("rows_delete", app="book", where="f.title=Book 0&f.stars=<2") == {"deleted": 4}
    rows = books()
    assert len(rows) == 26 and not [r for r in rows.values() if r["stars"] == 5]
    assert sure("rows_delete", app="book", where="all=1") == {"deleted": 26}


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("f.star=3", "'f.star' says nothing"),
        ("done=yes", "'done' says nothing"),
        ("f.stars", "Which rows"),
        ("f.stars=", "Which rows"),
        ("sort=title", "Which rows"),
        ("page=2", "Which rows"),
        ("all=0", "Which rows"),
        ("", "Which rows"),
        ("f.stars=many", "stars needs a whole number"),
    ],
)
@pytest.mark.parametrize("tool", ["rows_delete", "rows_update"])
def test_given_a_list_that_says_less_than_it_seems_then_no_row_is_touched(
    books, sure, tool, where, said
):
    before = books()
    more = {"values": {"title": "x"}} if tool == "rows_update" else {}
    with pytest.raises(Problem, match=said):
        sure(tool, app="book", where=where, **more)
    assert books() == before


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "No values"),
        ({"star": 1}, "not known here"),
        ({"title": " "}, "may not be blank"),
        ({"stars": "3"}, "whole number"),
        ({"stars": 9}, "Book 00 has too many stars"),
        ({"id": 3}, "not known"),
    ],
    ids=str,
)
def test_one_wrong_value_changes_no_row(books, sure, values, said):
    before = books()
    with pytest.raises(Problem, match=said):
        sure("rows_update", app="book", where="all=1", values=values)
    assert books() == before


def test_of_many_rows_the_one_that_its_class_refuses_is_named(books, sure):
    with pytest.raises(Problem, match="#1 “Book 00”: Book 00 has too many stars"):
        sure("rows_update", app="book", where="all=1", values={"stars": 9})


def test_a_change_of_many_is_one_event_and_is_taken_back_whole(books, call, sure):
    before = books()
    sure("rows_update", app="book", where="f.stars=>2", values={"done": True, "title": "Same"})
    event = call("history")[0]
    assert (event["summary"], event["changed"]) == ("Set Done, Title of 15 books", 15)
    sure("rows_delete", app="book", where="f.title=same")
    assert call("history")[0]["summary"] == "Deleted 15 books" and len(books()) == 15
    call("undo", event=call("history")[0]["id"])
    call("undo", event=event["id"])
    titles = {key: (r["title"], r["done"]) for key, r in books().items()}
    assert titles == {key: (r["title"], r["done"]) for key, r in before.items()}


def test_more_than_twenty_rows_need_a_yes_of_a_person(books, call):
    def delete(actor, where):
        return call("rows_delete", actor=actor, app="book", where=where)

    for actor, refused in (("model", NeedsApproval), ("mcp", NeedsApproval), ("shell", Confirm)):
        with pytest.raises(refused):
            delete(actor, "f.stars=<5")
        with pytest.raises(refused):
            call("rows_update", actor=actor, app="book", ids=[*range(30)], values={"done": True})
    assert delete("model", "f.stars=5") == {"deleted": 5} and len(books()) == 25


def test_rows_found_by_the_search_index_are_changed_while_the_index_follows(
    books, call, sure, monkeypatch
):
    monkeypatch.setattr("pipulate.apps.data.LARGE", 2)
    assert call("book_list", q="book")["count"] == 30
    sure("rows_update", app="book", where="q=book", values={"title": "Volume"})
    assert call("book_list", q="book")["count"] == 0
    assert sure("rows_delete", app="book", where="q=volume") == {"deleted": 30}


def test_a_profile_changes_only_its_own_rows(books, call):
    call("profile_add", name="Shop")
    assert call("rows_delete", at="shop", app="book", where="all=1") == {"deleted": 0}
    assert call("rows_update", at="shop", app="book", ids=[1], values={"stars": 1}) == {
        "changed": 0
    }
    assert len(books()) == 30


def test_references_and_secrets_are_set_for_many_rows(plugin, call, house):
    plugin(EVERY, "every")
    call("author_add", name="Ann")
    for title in "ab":
        call("thing_add", title=title)
    values = {"author": "ann", "key": "hunter2-hunter2", "tags": ["x"], "due": "2026-01-31"}
    call("rows_update", app="thing", where="all=1", values=values)
    rows = house.shelf.crud("thing").rows(house.caller("user"))()
    assert [row.follow("author").name for row in rows] == ["Ann", "Ann"]
    assert [row.follow("key") for row in rows] == ["hunter2-hunter2"] * 2
    with pytest.raises(Invalid, match="Authors has no 'Zoe'"):
        call("rows_update", app="thing", where="all=1", values={"author": "Zoe"})
    with pytest.raises(Conflict, match="Used by 2 things"):
        call("rows_delete", app="author", where="all=1")


# -- the bar of the page ---------------------------------------------------------------------


def bulk(do, ids=(), more=()):
    form = {"bulk.do": do, "bulk.ids": str([str(i) for i in ids]), "bulk.where": "all=1&"}
    return form | dict(more)


@pytest.mark.parametrize(
    ("field", "typed", "value"),
    [
        ("title", "New", "New"),
        ("field", "x", "x"),
        ("where", "all=1", "all=1"),
        ("stars", "3", 3),
        ("ids", "a, b", ["a", "b"]),
        ("done", "true", True),
    ],
)
def test_a_field_of_the_ticked_rows_is_set_whatever_it_is_called(books, post, field, typed, value):
    text = post("books", "bulk", bulk("set", [2, 5], more={"bulk.field": field, field: typed}))
    assert "Changed 2 books." in text and 'id="listing"' in text
    assert books()[2][field] == books()[5][field] == value != books()[1][field]


def test_all_that_match_are_deleted_and_come_back_with_undo(books, post, call):
    more = {"bulk.every": "1", "bulk.where": "f.stars=>3&sort=-title"}
    text = post("books", "bulk", bulk("delete", [1]) | more)
    assert "Deleted 10 books." in text and len(books()) == 20 and "Nothing matches" in text
    call("undo", event=int(re.search(r"/default/undo/(\d+)", text)[1]))
    assert len(books()) == 30


def test_ticked_rows_are_exported_by_their_ids(books, post):
    assert post("books", "bulk", bulk("export", [2, 5])) == Go("/default/books/export?f.id=2,5")
    every = bulk("export") | {"bulk.every": "1", "bulk.where": "f.stars=3"}
    assert post("books", "bulk", every) == Go("/default/books/export?f.stars=3")


def test_given_rows_that_are_gone_by_now_then_there_is_nothing_to_undo(books, post, call):
    call("book_delete", id=2)
    text = post("books", "bulk", bulk("delete", [2]))
    assert "Deleted 0 books." in text and "undo" not in text and len(books()) == 29


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"bulk.do": "delete"},
        bulk("delete"),
        bulk("set"),
        bulk("delete") | {"bulk.ids": "{"},
        bulk("delete", [1]) | {"bulk.every": "1", "bulk.where": "f.nothing=1"},
        bulk("set", [1]) | {"bulk.field": "nothing"},
        bulk("set", [1]) | {"bulk.field": "stars", "stars": "9"},
        bulk("set", [1]) | {"bulk.field": "title"},
    ],
    ids=str,
)
def test_a_form_that_says_nothing_clear_changes_nothing(books, post, form):
    before = books()
    with pytest.raises(Problem):
        post("books", "bulk", form)
    assert books() == before


def test_the_input_of_every_field_can_be_had_for_the_bar(plugin, post, house):
    plugin(EVERY, "every")
    for name, field in house.shelf.crud("thing").fields.items():
        drawn = post("things", "bulk/value", {}, "GET", {"bulk.field": name})
        assert f'name="{name}' in drawn, field
    with pytest.raises(Problem, match="no such field"):
        post("things", "bulk/value", {}, "GET", {"bulk.field": "nothing"})


# -- totals ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("home")) as world:
        world.call("author_add", name="Ann")
        for n in range(3):
            for row in ROWS:
                world.call("thing_add", **row, **({"author": 1} if n else {}))
        world.call("thing_add", title="large", count=2**63 - 1, price="0." + "1" * 90)
        world.call("thing_add", title="larger", count=2**63 - 1, price="9" * 60)
        yield world


@pytest.mark.parametrize("where", ["", "f.done=yes", "q=nothing such", "f.tags=red"])
def test_totals_are_what_python_reckons(world, where):
    rows = world.house.shelf.crud("thing").rows(world.caller)
    sql, args = world.app.where(world.caller, world.app.state_of(where))
    held = rows(sql, args)
    found = {t["field"]: t for t in world.app.totals(world.caller, world.app.state_of(where))}
    assert set(found) == set(world.app.fields) - {"note", "url", "key", "paper"}
    for name, total in found.items():
        values = [getattr(row, name) for row in held]
        filled = [v for v in values if v not in (None, "", [], {})]
        assert total["count"] == len(filled), name
        if name in ("count", "price", "weight") and filled:
            exact = [v if name == "weight" else Decimal(v) for v in filled]
            with localcontext(prec=150):
                assert total["sum"] == sum(exact)
            assert float(total["mean"]) == pytest.approx(float(statistics.fmean(map(float, exact))))
            assert (total["min"], total["max"]) == (min(filled), max(filled))
        if name in ("tags", "colors"):
            counted = Counter(tag for v in values for tag in v or [None])
            assert dict(total["values"]) == dict(counted.most_common(8))
        if name in ("done", "level", "stars", "maybe"):
            assert dict(total["values"]) == Counter(values)


def test_a_count_leads_to_exactly_the_rows_it_counts(world, run):
    visit = Visit(world.house, world.caller, world.app, {}, {}, {}, True)
    text = html(world.run(world.app.show_totals(visit)))
    links = re.findall(r'href="/default/things\?([^"]*)">([^<]*)</a> ([\d,]+)', text)
    assert len(links) > 15
    for address, said, count in links:
        state = world.app.state_of(address.replace("&amp;", "&"))
        assert world.app.find(world.caller, state)[1] == int(count), (address, said)
    assert ">Ann #1</a> 16" in text and ">yes</a> 3" in text


def test_the_headings_of_totals_stand_above_their_numbers(world):
    visit = Visit(world.house, world.caller, world.app, {}, {}, {}, True)
    text = html(world.run(world.app.show_totals(visit)))
    assert re.search("<th[^>]*number[^>]*>Sum<", text) and "<th>Field<" in text


def test_totals_of_millions_have_no_exponent_and_times_look_as_in_the_list(world):
    world.call("thing_add", title="rich", price="24691357.8", met="2026-01-31T12:30:00Z")
    visit = Visit(world.house, world.caller, world.app, {}, {"q": "rich"}, {}, True)
    text = html(world.run(world.app.show_totals(visit)))
    assert text.count(">24,691,357.8<") == 4, "sum, mean, smallest, largest"
    assert "2026-01-31 1" in text and "31T1" not in text


# -- views -----------------------------------------------------------------------------------


def test_a_view_is_saved_under_a_name_opened_and_removed(books, post, call):
    form = {"name": " Best <b> ", "q": "book", "f.stars": ">4", "sort": "-title", "cols": "title"}
    text = post("books", "views", form)
    assert "Best &lt;b&gt;" in text
    where = re.search(r'href="/default/books\?([^"]*)"', text)[1].replace("&amp;", "&")
    assert where == "q=book&f.stars=%3E4&sort=-title&cols=title"
    assert "Best" not in post("books", "views", {"name": "Best <b>", "drop": "1"})


def test_views_belong_to_a_profile_and_the_plain_list_may_be_one(books, call):
    assert call("view_save", app="book", name="All", where="all=1") == {"All": "all=1"}
    call("profile_add", name="Shop")
    assert call("view_save", at="shop", app="book", name="Mine", where="f.done=yes") == {
        "Mine": "f.done=yes"
    }
    assert call("view_save", app="book", name="All") == {}
    with pytest.raises(Problem, match="says nothing"):
        call("view_save", app="book", name="x", where="f.nothing=1")
    with pytest.raises(Invalid, match="blank"):
        call("view_save", app="book", name=" ", where="all=1")
