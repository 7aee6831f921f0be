"""The page of a CRUD app: rows, cells edited in place, and what other tabs are sent."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import parse_qsl, quote

import pytest

from every import EVERY
from serving import serving

from pipulate.apps.base import Go, Refusal, Visit
from pipulate.apps.listing import REFUSED
from pipulate.apps.markup import html
from pipulate.core.problems import Missing, Problem

BOOK = """
    from typing import Literal
    from pipulate import CrudApp, Invalid

    class Book(CrudApp):
        "Books to read."
        title: str
        shelf: Literal["home", "away"] = "home"
        stars: int = 0
        done: bool = False

        def check(self):
            if self.stars > 5:
                raise Invalid("Five stars are the most.", "Give fewer.")
"""
OWN = """
    from fasthtml.common import B
    from pipulate import CrudApp

    class Note(CrudApp):
        text: str
        done: bool = False

        def __ft__(self):
            return B(self.text)
"""

DATED = """
    from itertools import count
    from pipulate import CrudApp

    made = count(1)

    class Parcel(CrudApp):
        name: str
        number: int = lambda: next(made)
"""


@pytest.fixture
def book(plugin):
    return plugin(BOOK, "books").apps[0]


@pytest.fixture
def visit(house, book, run):
    """visit(method, path, form, query): what the page answers a browser with htmx."""

    def visiting(method, path="", form=None, query=None, app=book, partial=True, here=""):
        matched = ((r, v) for r in app.routes if (v := r.match(method, path)) is not None)
        route, values = next(matched)
        caller = house.caller("user", confirmed=True)
        visit = Visit(house, caller, app, values, query or {}, form or {}, partial, here)
        return run(route.run(visit))

    return visiting


@pytest.fixture
def add(visit):
    return lambda **form: visit("POST", form=form)


def drawn(answer):
    return html(*answer) if isinstance(answer, tuple) else html(answer)


def test_an_empty_list_says_what_to_do(visit):
    assert "No books yet" in drawn(visit("GET", partial=False))


def test_the_page_has_a_form_with_every_field_and_its_default(visit):
    text = drawn(visit("GET", partial=False))
    form = re.search(r"<form.*?</form>", text, re.S)[0]
    for name in ("title", "shelf", "stars", "done"):
        assert f'name="{name}"' in form
    assert 'hx-post="/default/books"' in form and 'value="0"' in form
    assert '<input type="hidden" name="done" value="false">' in form


def test_an_added_row_comes_back_at_the_top_with_the_new_count(add):
    text = drawn(add(title="Emma", done="true"))
    assert 'hx-swap-oob="afterbegin:#rows"' in text and "Emma" in text and "1 in all" in text


def test_without_script_an_added_row_leads_back_to_the_list(visit):
    assert visit("POST", form={"title": "Emma"}, partial=False) == Go("/default/books")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"title": " ", "stars": "3"}, "may not be blank"),
        ({"stars": "3"}, "is needed"),
        ({"title": "x", "stars": "many"}, "needs a whole number"),
        ({"title": "x", "stars": "6"}, "Five stars are the most."),
        ({"title": "x", "shelf": "moon"}, "must be one of"),
    ],
    ids=str,
)
def test_given_a_wrong_form_then_it_comes_back_with_what_was_typed_and_why(add, call, form, said):
    answer = add(**form)
    assert isinstance(answer, Refusal) and (answer.status, answer.target) == (422, "#add")
    text = html(answer.elements)
    assert said in text
    assert form.get("stars") is None or f'value="{form["stars"]}"' in text
    assert call("book_list")["count"] == 0


def test_what_a_reference_misses_is_added_there_when_its_app_needs_more_than_a_name(plugin, visit):
    app = plugin(
        """
        from pipulate import CrudApp, Ref

        class Shop(CrudApp):
            name: str
            street: str

        class Visit(CrudApp):
            shop: Ref["shop"]
        """
    ).apps[1]
    text = html(visit("POST", form={"shop": "<Corner>"}, app=app).elements)
    link = re.search('<a href="/default/shops"[^>]*>([^<]*)</a>', text)
    assert link[1] == "Add “&lt;Corner&gt;” to Shops" and "add.shop" not in text
    assert "/default/shops" not in html(visit("POST", form={"shop": "#7"}, app=app).elements)


def test_adding_what_a_reference_misses_does_not_save_the_row_beside_it(plugin, visit, call):
    app = plugin(
        """
        from pipulate import CrudApp, Ref

        class Site(CrudApp):
            name: str

        class Crawl(CrudApp):
            title: str
            site: Ref["site"]
        """
    ).apps[1]
    form = {"title": "May", "site": "Shop"}
    answer = visit("POST", form=form | {"add.site": "Shop"}, app=app)
    text = html(answer.elements)
    assert answer.target == "#add" and 'value="Shop #1"' in text and 'value="May"' in text
    assert "not saved yet" in text and call("crawl_list")["count"] == 0
    visit("POST", form={"title": "May", "site": "Shop #1"}, app=app)
    row = {"title": "June", "site": "Blog", "version": "1", "edit.whole": "1", "add.site": "Blog"}
    text = html(visit("PATCH", "1", row, app=app).elements)
    assert 'value="Blog #2"' in text and 'value="June"' in text
    assert call("crawl_get", id=1)["title"] == "May"
    cell = {"site": "News", "version": "1", "add.site": "News"}
    assert "News" in drawn(visit("PATCH", "1", cell, app=app)), "of one cell there is no more to it"
    assert call("crawl_get", id=1)["site"] == 3


def seen(text):
    """What a form says of the row that it was drawn of."""
    return re.search(r'name="version" value="([^"]+)"', text)[1]


def test_a_cell_opens_as_an_input_with_the_version_that_was_seen(visit, add):
    add(title="Emma")
    text = drawn(visit("GET", "1/title"))
    assert 'name="title"' in text and 'value="Emma"' in text
    assert seen(text).split()[0] == "1"
    assert text.count('name="stars"') == 0


def test_a_saved_cell_comes_back_as_its_row_and_nothing_else_changed(visit, add, call):
    add(title="Emma", stars="4", shelf="away", done="true")
    assert "Persuasion" in drawn(visit("PATCH", "1", {"title": "Persuasion", "version": "1"}))
    row = call("book_get", id=1)
    assert (row["stars"], row["shelf"], row["done"]) == (4, "away", True)


def test_a_tick_is_turned_by_one_click(visit, add, call):
    add(title="Emma")
    text = drawn(visit("GET", "1"))
    sent = re.search(r"hx-vals='(.*?)'", text)[1]
    assert sent == '{"done":"true"}' and " checked" not in text
    text = drawn(visit("PATCH", "1", {"done": "true"}))
    assert " checked" in text and '{"done":"false"}' in text


def test_given_a_wrong_cell_then_it_stays_open_with_what_was_typed(visit, add):
    add(title="Emma")
    answer = visit("PATCH", "1", {"stars": "lots", "version": "1"})
    text = html(answer.elements)
    assert answer.status == 422 and 'value="lots"' in text and "whole number" in text


def test_given_a_row_changed_meanwhile_then_both_are_shown_and_saving_again_works(visit, add, call):
    add(title="Emma")
    visit("PATCH", "1", {"title": "Theirs", "version": "1"})
    answer = visit("PATCH", "1", {"title": "Mine", "version": "1"})
    text = html(answer.elements)
    assert answer.status == 409 and "Theirs" in text and 'value="Mine"' in text
    visit("PATCH", "1", {"title": "Mine", "version": seen(text)})
    assert call("book_get", id=1)["title"] == "Mine"


@pytest.mark.parametrize("opened", ["1/stars", "1/*"])
def test_two_tabs_that_edit_different_fields_of_a_row_are_both_kept(visit, add, call, opened):
    add(title="Emma")
    mine, theirs = seen(drawn(visit("GET", opened))), seen(drawn(visit("GET", "1/title")))
    visit("PATCH", "1", {"title": "Theirs", "version": theirs})
    call("book_move", id=1)
    assert "Theirs" in drawn(visit("PATCH", "1", {"stars": "4", "version": mine}))
    row = call("book_get", id=1)
    assert (row["title"], row["stars"]) == ("Theirs", 4)


def test_of_a_whole_row_only_the_field_that_both_changed_is_in_conflict(visit, add, call):
    add(title="Emma")
    form = {"title": "Mine", "stars": "4", "version": seen(drawn(visit("GET", "1/*")))}
    call("book_update", id=1, title="Theirs", shelf="away")
    answer = visit("PATCH", "1", form | {"edit.whole": "1"})
    text = html(answer.elements)
    assert (
        answer.status == 409 and text.count("Somebody changed this meanwhile") == 2
    )  # title, note
    assert call("book_get", id=1)["stars"] == 0


def test_what_others_saved_while_input_was_refused_is_still_in_conflict(visit, add, call):
    add(title="Emma")
    form = {"title": "Mine", "stars": "many", "version": seen(drawn(visit("GET", "1/*")))}
    call("book_update", id=1, title="Theirs")
    text = html(visit("PATCH", "1", form | {"edit.whole": "1"}).elements)
    again = visit("PATCH", "1", form | {"stars": "4", "version": seen(text), "edit.whole": "1"})
    assert again.status == 409 and "“Theirs”" in html(again.elements)
    assert call("book_get", id=1)["title"] == "Theirs"


def test_deleting_offers_to_take_it_back_and_counts_again(visit, add, call):
    add(title="Emma")
    text = drawn(visit("DELETE", "1"))
    assert "0 in all" in text and "Emma" in text
    event = int(re.search(r'hx-post="/default/undo/(\d+)"', text)[1])
    call("undo", event=event)
    assert call("book_list")["count"] == 1


def test_rows_are_moved_by_the_row_they_are_put_behind(visit, add, call):
    for title in "cba":
        add(title=title)
    visit("POST", "3/move", {"after": "1"})
    assert [r["title"] for r in call("book_list")["rows"]] == ["b", "c", "a"]
    visit("POST", "1/move", {"after": ""})
    assert [r["title"] for r in call("book_list")["rows"]] == ["c", "b", "a"]


def test_rows_are_dragged_where_the_list_stands_from_its_beginning(visit, house, book):
    with house.db.change():
        rows = [{"title": f"{n:02}", "position": n} for n in range(60)]
        book.plain(house.caller("user")).insert_many(rows)
    for query in ({}, {"cols": "title"}):
        assert "data-sortable" in drawn(visit("GET", query=query))
    for query in ({"page": "2"}, {"q": "1"}, {"sort": "title"}, {"f.done": "no"}):
        assert "data-sortable" not in drawn(visit("GET", query=query))


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ({}, "Book 069", "Book 000"),
        ({"page": "2"}, "Book 000", "Book 069"),
        ({"q": "Book 00"}, "10 found", "Book 069"),
        ({"q": "nothing"}, "Nothing matches “nothing”.", "Book 000"),
        ({"page": "x"}, "Book 069", "Book 000"),
        ({"page": "٢"}, "Page", "zzz"),
        ({"page": "0"}, "Book 069", "Book 000"),
    ],
    ids=str,
)
def test_the_list_is_searched_and_paged(visit, house, book, query, shown, hidden):
    with house.db.change():
        for n in range(70):
            book.rows(house.caller("user")).insert(title=f"Book {n:03}", position=-n)
    text = drawn(visit("GET", query=query))
    assert shown in text and hidden not in text


def test_a_searched_page_keeps_its_search_in_the_links(visit, house, book):
    with house.db.change():
        for n in range(70):
            book.rows(house.caller("user")).insert(title=f"a&b {n}", position=n)
    assert "q=a%26b&amp;page=2" in drawn(visit("GET", query={"q": "a&b"}))


@pytest.mark.parametrize("path", ["9", "x", "٣", "1.0", "9" * 30])
def test_a_row_that_is_not_there_is_missing(visit, path):
    for method in ("GET", "PATCH", "DELETE"):
        with pytest.raises(Missing):
            visit(method, path, {"title": "x"})


class Tags(HTMLParser):
    """The names of the tags and attributes of an HTML text."""

    def __init__(self, text):
        super().__init__()
        self.names, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


HOSTILE = ["<script>alert(1)</script>", '"><img src=x>', "' onclick='x", "</td></tr>", "{{x}}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_row_holds_it_is_shown_as_text(visit, add, text):
    add(title=text)
    for answer in (visit("GET"), visit("GET", "1"), visit("GET", "1/title"), visit("DELETE", "1")):
        parts = Tags(drawn(answer))
        assert not {"script", "img"} & parts.names and "onclick" not in parts.attributes


def test_a_row_drawn_by_its_class_stands_in_a_row_with_its_actions(plugin, visit, call):
    (note,) = plugin(OWN, "notes").apps
    call("note_add", text={"text": "<i>hi"})
    text = drawn(visit("GET", app=note))
    assert "<b>&lt;i&gt;hi</b>" in text and 'id="note-1"' in text
    assert 'hx-delete="/default/notes/1"' in text and 'hx-get="/default/notes/1/*"' in text
    whole = drawn(visit("GET", "1/*", app=note))
    assert 'name="text"' in whole and 'name="done"' in whole and ">Save<" in whole


def test_given_a_row_that_loops_while_it_is_drawn_then_the_page_says_so(
    plugin, visit, call, monkeypatch
):
    from pipulate.core import tools

    source = OWN.replace("return B(self.text)", "\n            while True: pass")
    (note,) = plugin(source, "notes").apps
    call("note_add", text={"text": "x"})
    monkeypatch.setattr(tools.limited, "__kwdefaults__", {"seconds": 0.2})
    text = drawn(visit("GET", app=note, partial=False))
    assert "was stopped" in text and 'id="add"' in text


def test_given_a_row_that_loops_at_three_visits_then_its_plugin_rests_and_says_why(
    plugin, visit, call, monkeypatch
):
    from pipulate.core import tools

    source = OWN.replace("return B(self.text)", "\n            while True: pass")
    own = plugin(source, "notes")
    (note,) = own.apps
    call("note_add", text={"text": "x"})
    monkeypatch.setattr(tools.limited, "__kwdefaults__", {"seconds": 0.2})
    for _ in range(3):
        assert own.problem is None
        visit("GET", app=note, partial=False)
    assert own.folded and "notes.py, line" in own.problem.what
    assert "three times in a row: This took over 0.2 s" in own.problem.what


SLOW = """
    import time
    from fasthtml.common import P
    from pipulate import CrudApp

    slow = []

    def made():
        until = time.monotonic() + 3 * len(slow)
        while time.monotonic() < until:
            pass
        return 1

    class Slow(CrudApp):
        name: str
        number: int = made

    @Slow.rt("/at", methods=["GET"])
    def at(number: int = made):
        return P(number)
"""


@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("GET", "at"), ("GET", "bulk/number"), ("POST", "")]
)
def test_given_a_default_that_takes_long_then_the_whole_server_waited_for_it(
    plugin, visit, monkeypatch, method, rest
):
    from pipulate.core import tools

    own = plugin(SLOW, "slow")
    own.module.slow.append(1)
    monkeypatch.setattr(tools.limited, "__kwdefaults__", {"seconds": 0.2})
    known = own.apps[0].house.tools.by_name  # a tool is checked within its own time
    monkeypatch.setitem(known, "slow_add", replace(known["slow_add"], seconds=0.2))
    form = {"name": "x"} if method == "POST" else {}
    with pytest.raises(Problem, match="was stopped"):
        visit(method, rest, form, app=own.apps[0], partial=False)


@pytest.mark.parametrize("own", ["self.text", "B([self.text])", "({'a': self.text}, B('x'))"])
def test_given_a_row_that_its_class_draws_from_text_then_markup_in_it_stays_text(
    plugin, visit, call, own
):
    (note,) = plugin(OWN.replace("B(self.text)", own), "notes").apps
    call("note_add", text={"text": "<p hx-delete=/x hx-trigger=load>"})
    text = drawn(visit("GET", app=note))
    assert "&lt;p hx-delete" in text and "<p hx-delete" not in text


def test_a_row_added_costs_eight_statements_of_the_writer(house, add, monkeypatch):
    add(title="the first reads what the tables are")
    said, others, reader = [], [], house.db._reader

    def watched():
        used = reader()
        if used is not house.db._writer:
            others.append(used)
        return used

    monkeypatch.setattr(house.db, "_reader", watched)
    house.db._writer.exec_trace = lambda _, sql, values: not said.append(sql)
    assert "seven is one too few" in drawn(add(title="seven is one too few"))
    assert [sql.split()[0] for sql in said] == (
        ["BEGIN", "SELECT", "INSERT", "SELECT", "SELECT", "INSERT", "INSERT", "COMMIT"]
    )
    assert len(others) <= 1, "the profile of the address, once a second"


# -- the state of the list in the address ----------------------------------------------------

OPEN = """
    from pipulate import CrudApp

    class Job(CrudApp):
        name: str
        done: bool = False
        order = "-name"
        default_filter = "f.done=no"
"""


@pytest.fixture
def jobs(plugin, call, visit):
    """jobs(address): the names in the list that the address shows, and its HTML."""
    (app,) = plugin(OPEN, "jobs").apps
    for name, done in (("a", False), ("b", True), ("c", False)):
        call("job_add", name=name, done=done)

    def listing(address=""):
        text = drawn(visit("GET", query=dict(parse_qsl(address)), app=app))
        return re.findall(r'hx-get="/default/jobs/\d+/name">([^<]*)<', text), text

    return listing


def test_a_list_opens_with_the_filter_of_its_class_and_can_show_all(jobs):
    assert jobs()[0] == ["c", "a"] and jobs("all=1")[0] == ["c", "b", "a"]
    assert jobs("f.done=yes")[0] == ["b"] and jobs("sort=name")[0] == ["a", "b", "c"]
    text = jobs("q=nothing")[1]
    assert 'href="/default/jobs?all=1">Show all</a>' in text
    assert '<input type="hidden" name="all" value="1">' in text  # a form without filters is all


def test_a_filter_of_a_field_that_is_gone_leaves_a_way_to_the_list(visit):
    text = drawn(visit("GET", query={"f.gone": "3"}).elements)
    assert "gone is no field here" in text and 'href="/default/books">Show all</a>' in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"f.stars": "many"}, "stars needs a whole number"),
        ({"f.stars": ">", "f.shelf": "moon"}, "stars needs a whole number"),
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_read_is_said_while_the_page_works_on(visit, add, query, said):
    add(title="Emma")
    text = drawn(visit("GET", query=query, partial=False))
    assert said in text and 'role="alert"' in text
    assert 'id="add"' in text and 'id="state"' in text and 'id="listing"' in text
    assert f'value="{query["f.stars"].replace(">", "&gt;")}"' in text  # to be mended in its box


def test_what_the_address_names_that_is_no_field_is_left_out(visit, add):
    add(title="Emma")
    odd = {"sort": "-gone", "cols": "gone", "page": "-1", "odd": "x"}
    assert drawn(visit("GET", query=odd)) == drawn(visit("GET"))
    text = drawn(visit("GET", query={"f.gone": "3"}).elements)
    assert "gone is no field here" in text and "Emma" not in text


def test_a_page_beyond_the_end_is_the_last_one(visit, house, book):
    with house.db.change():
        rows = [{"title": f"Book {n:03}", "position": n} for n in range(120)]
        book.plain(house.caller("user")).insert_many(rows)
    text = drawn(visit("GET", query={"page": "9"}))
    assert "Book 119" in text and "Page 3 of 3" in text and "More" not in text


def test_columns_are_hidden_and_put_in_order_and_their_filters_kept(visit, add):
    add(title="Emma", stars="4")
    query = {"cols": "done,title", "f.stars": ">3", "q": "emma"}
    text = drawn(visit("GET", query=query, partial=False))
    assert re.findall(r'<td data-label="([^"]*)"', text) == ["Done", "Title"]
    heads = re.findall(r'<th[^>]*scope="col"[^>]*><a[^>]*>([^<]*)', text)
    assert heads == ["Done", "Title"]
    assert '<input type="hidden" name="f.stars" value="&gt;3">' in text
    assert re.findall(r'data-column="([^"]*)"', text)[:2] == ["done", "title"]
    here = "http://x/default/books?cols=done,title"
    text = drawn(visit("PATCH", "1", {"stars": "5"}, here=here))
    assert re.findall(r'<td data-label="([^"]*)"', text) == ["Done", "Title"]


def test_a_heading_orders_up_then_down_then_not_at_all(visit, add):
    add(title="Emma")
    for sort, way, to in (
        ("", None, "?sort=title"),
        ("title", "ascending", "?sort=-title"),
        ("-title", "descending", ""),
    ):
        text = drawn(visit("GET", query={"sort": sort} if sort else {}))
        assert f'href="/default/books{to}"' in text
        assert (f'aria-sort="{way}"' in text) is bool(way)


def test_a_row_added_where_it_may_not_belong_lets_the_list_draw_itself_anew(visit):
    for here in ("?sort=title", "?q=x", "?page=2", "?cols=title", "?f.done=no"):
        text = drawn(visit("POST", form={"title": "Emma"}, here=f"http://x/default/books{here}"))
        assert 'id="again"' in text and "Emma" not in text
    assert "Emma" in drawn(visit("POST", form={"title": "Emma"}, here="http://x/default/books"))


def test_given_more_rows_than_are_shown_then_the_list_fills_up_after_one_is_deleted(
    visit, house, book
):
    with house.db.change():
        rows = [{"title": f"{n:02}", "position": n} for n in range(51)]
        book.plain(house.caller("user")).insert_many(rows)
    assert 'id="again"' in drawn(visit("DELETE", "1"))
    assert "49 in all" in drawn(visit("DELETE", "2"))
    assert 'id="again"' in drawn(visit("DELETE", "3", here="http://x/default/books?q=0"))


# -- nothing is a fault ----------------------------------------------------------------------

ODD = ["\0", "\ud800", "\u202egnp.exe 🙂", "'\"><script>\r\n", "%00", "9" * 400]


def test_no_text_anywhere_is_a_fault_of_the_server(tmp_path):
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    (home / "apps" / "every.py").write_text(EVERY)
    with serving(home) as server:
        server.call("thing_add", title="one")
        names = ["title", "note", "count", "due", "met", "tags", "author", "paper", "extra"]
        for odd in ODD:
            said = quote(odd, errors="surrogatepass")
            asked = [f"f.{name}={said}" for name in (*names, "key", "colors", "id", "double")]
            asked += [f"{name}={said}" for name in ("q", "sort", "cols", "page", "f.x", said)]
            asked = [f"?{query}" for query in asked]
            asked += [f"{path}?q={said}" for path in ("/totals", "/export", "/options/author")]
            for query in asked:
                fine(server.client.get(f"/default/things{query}"), query)
            form = "&".join(f"{name}={said}" for name in (*names, "colors[]", "version", "cols"))
            bulk = f"bulk.ids[]={said}&bulk.do={said}&bulk.field={said}&bulk.where={said}"
            for method, path, body in (
                ("POST", "", form),
                ("PATCH", "/1", form),
                ("PATCH", "/1", f"title={said}"),
                ("POST", "/bulk", bulk),
                ("POST", "/bulk", f"{bulk}&bulk.every=1"),
                ("POST", "/views", f"name={said}&q={said}"),
                ("POST", "/1/move", f"after={said}"),
                ("POST", f"/1/call/{said}", ""),
                ("GET", f"/{said}", ""),
                ("DELETE", f"/{said}", ""),
            ):
                head = {"content-type": "application/x-www-form-urlencoded", "HX-Request": "true"}
                head["HX-Current-URL"] = f"http://[x?{said}"
                sent = server.client.request(
                    method, f"/default/things{path}", content=body, headers=head
                )
                fine(sent, f"{method} {path} {odd!r}")
        long = "x" * 5_000_000
        assert server.act("POST", "/default/things", {"title": long}).status_code == 413
        assert (
            server.act("PATCH", "/default/things/1", {"title": long[:900_000]}).status_code == 422
        )
        assert "Traceback" not in server.log


def fine(answer, about):
    assert answer.status_code < 500, (about, answer.status_code, answer.text[:300])


def test_after_a_refusal_the_next_row_that_is_taken_leaves_an_empty_form(book, visit):
    refused = visit("POST", form={"title": "", "stars": "7"})
    assert REFUSED in drawn(refused.elements)
    text = drawn(visit("POST", form={"title": "Emma", REFUSED: "1"}))
    assert 'id="add"' in text and 'hx-swap-oob="true"' in text and 'value="7"' not in text
    assert 'id="add"' not in drawn(visit("POST", form={"title": "Emma"}))


def test_a_page_open_since_yesterday_adds_a_row_with_what_its_default_makes_now(
    plugin, visit, house
):
    (app,) = plugin(DATED, "parcels").apps
    old, new = (drawn(visit("GET", app=app, partial=False)) for _ in range(2))
    numbers = [re.search(r'value="(\d+)" name="number"', text)[1] for text in (old, new)]
    assert numbers[0] != numbers[1]  # no visit is shown what another one was
    sent = dict(re.findall(r'name="(made\.\w+)" value="([^"]*)"', old)) | {"name": "Box"}
    for _ in range(2):  # the form is emptied, not drawn anew
        visit("POST", form=sent | {"number": numbers[0]}, app=app)
    refused = visit("POST", form=sent | {"number": numbers[0], "name": ""}, app=app).elements
    assert f'name="made.number" value="{numbers[0]}"' in drawn(refused)
    visit("POST", form=sent | {"number": "7000"}, app=app)
    kept = [row.number for row in app.rows(house.caller("user"))(order_by="id")]
    assert kept[2] == 7000 and len({*kept}) == 3 and int(numbers[0]) not in kept
