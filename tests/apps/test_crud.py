"""CRUD apps: a class is a table, tools and rules; what differs is a method."""

import pytest

from pipulate.core.problems import Conflict, Invalid, Missing, Problem

BOOK = """
    from datetime import date
    from typing import Annotated
    from pipulate import Between, CrudApp, Invalid, Text, tool

    class Book(CrudApp):
        "Books to read."
        title: str
        author: str = ""
        rating: Annotated[int, Between(0, 5)] = 0
        due: date | None = None
        tags: list = []
        note: Text = "it's new"
        group: str = ""
        done: bool = False

        def check(self):
            same = [b for b in self.table() if b.title == self.title and b.id != self.id]
            if same:
                raise Invalid(f"There is a {self.title} already.", "Choose another title.")

        @tool
        def rate(self, stars: int):
            "Rate a book; five at most."
            self.table.update(id=self.id, rating=stars, done=True)
            return f"{self.title}: {stars}"

    @Book.rt("/stats", methods=["GET"])
    def stats(table, least: int = 0):
        return str(table.count("rating >= ?", [least]))
"""


@pytest.fixture
def book(plugin):
    found = plugin(BOOK, "books")
    assert found.problem is None, str(found.problem)
    return found.apps[0]


@pytest.fixture
def add(call, book):
    return lambda title, **values: call("book_add", title=title, **values)


@pytest.fixture
def titles(call, book):
    return lambda **how: [row["title"] for row in call("book_list", **how)["rows"]]


# -- the class -------------------------------------------------------------------------------


def app(body, name="Thing"):
    return f"from pipulate import CrudApp\nclass {name}(CrudApp):\n    {body}\n"


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "version",
        "position",
        "profile_id",
        "table",
        "check",
        "fields",
        "order",
        "rt",
        "shared",
    ],
)
def test_a_name_of_the_base_class_is_refused_as_a_field(plugin, name):
    problem = plugin(app(f"{name}: str")).problem
    assert f"Thing.{name}" in problem.what and "line 2" in problem.what


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (app("pass"), "no fields"),
        (app("x: bytes"), "no field type 'bytes'"),
        (app("x: int = 'a'"), "whole number"),
        (app("x: int", "Order").replace("x: int", "x: int; order = 'nope'"), "nope"),
        ("x = 1", "defines no CrudApp class"),
    ],
    ids=["no fields", "unknown type", "wrong default", "order by nothing", "no app"],
)
def test_a_class_that_cannot_work_is_refused_when_it_loads(plugin, house, source, said):
    found = plugin(source)
    assert said in str(found.problem) and found.apps == []
    assert "thing_add" not in house.tools.by_name


@pytest.mark.parametrize(
    ("source", "address", "tool"),
    [
        (app("x: str", "Book"), "books", "book_add"),
        (app("x: str", "WineBottle"), "wine_bottles", "wine_bottle_add"),
        (app("x: str", "Notes"), "notes", "notes_add"),
        (app("x: str; plural = 'shelves'", "Shelf"), "shelves", "shelf_add"),
    ],
)
def test_the_address_and_table_use_the_plural_and_tools_the_singular(
    plugin, house, call, source, address, tool
):
    (found,) = plugin(source).apps
    assert (found.slug, found.table_name) == (address, f"app_{address}")
    assert call(tool, x="a")["id"] == 1
    assert house.db.table(f"app_{address}").count() == 1


def test_unannotated_attributes_are_settings_and_no_fields(plugin):
    (found,) = plugin(app("x: str\n    plural = 'things'\n    limit = 3")).apps
    assert list(found.fields) == ["x"]


def test_a_field_added_later_has_its_default_in_the_rows_there_are(plugin, call):
    plugin(app("x: str"))
    call("thing_add", x="a")
    plugin(app("x: str\n    stars: int = 3\n    tags: list = ['a', \"it's\"]"))
    row = call("thing_get", id=1)
    assert (row["stars"], row["tags"]) == (3, ["a", "it's"])


# -- tools -----------------------------------------------------------------------------------


def test_the_tools_of_an_app(house, book):
    words = ["list", "get", "add", "update", "delete", "move", "rate"]
    tools = {f"book_{w}": house.tools.by_name[f"book_{w}"] for w in words}
    assert [t.kind for t in tools.values()] == ["read", "read", *["write"] * 5]
    assert tools["book_rate"].description == "Rate a book; five at most."
    assert tools["book_update"].as_dict()["schema"]["required"] == ["id"]
    assert tools["book_add"].as_dict()["schema"]["required"] == ["title"]


def test_a_row_comes_back_with_every_default_and_type(add):
    row = add("Emma", due="2026-01-31", tags=["a"])
    assert row == {
        "id": 1,
        "title": "Emma",
        "author": "",
        "rating": 0,
        "due": "2026-01-31",
        "tags": ["a"],
        "note": "it's new",
        "group": "",
        "done": False,
        "version": 1,
    }


def test_an_update_touches_only_the_fields_present(add, call):
    add("Emma", author="Austen", rating=4, due="2026-01-31")
    row = call("book_update", id=1, rating=5)
    assert (row["title"], row["author"], row["rating"]) == ("Emma", "Austen", 5)
    assert call("book_update", id=1, text={"due": ""})["due"] is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rating": 6}, "from 0 to 5"),
        ({"title": " "}, "blank"),
        ({"rating": None}, "empty"),
        ({"nonsense": 1}, "not known"),
    ],
    ids=str,
)
def test_a_wrong_update_leaves_the_row_as_it_was(add, call, values, said):
    before = add("Emma")
    with pytest.raises(Invalid, match=said):
        call("book_update", id=1, **values)
    assert call("book_get", id=1) == before


def test_an_update_needs_the_row(add, call):
    with pytest.raises(Invalid, match="needs the id"):
        call("book_update", title="x")
    with pytest.raises(Missing):
        call("book_update", id=9, title="x")


def test_given_a_row_changed_meanwhile_then_the_later_save_meets_a_conflict(add, call):
    add("Emma")
    call("book_update", id=1, version=1, title="theirs")
    with pytest.raises(Conflict) as caught:
        call("book_update", id=1, version=1, title="mine")
    assert caught.value.details["theirs"] == {"title": "theirs"}


def test_the_classes_own_check_refuses_what_it_will_and_lets_a_row_be_itself(add, call):
    add("Emma")
    with pytest.raises(Invalid, match="There is a Emma already"):
        add("Emma")
    assert call("book_update", id=1, title="Emma", rating=3)["rating"] == 3
    assert call("book_list")["count"] == 1


def test_a_method_marked_as_a_tool_works_on_one_row_in_one_event(add, call, house):
    add("Emma")
    assert call("book_rate", actor="model", id=1, stars=4) == "Emma: 4"
    assert call("book_get", id=1)["done"] is True
    event = house.events.recent(1, 1)[0]
    assert (event["verb"], event["actor"]) == ("book_rate", "model")
    with pytest.raises(Invalid, match="needed"):
        call("book_rate", id=1)


def test_every_profile_has_its_own_rows(add, call, titles):
    add("mine")
    call("profile_add", name="Shop")
    assert titles(at="shop") == []
    for tool in ("book_get", "book_delete", "book_rate", "book_move"):
        with pytest.raises(Missing):
            call(tool, at="shop", id=1, **({"stars": 1} if tool == "book_rate" else {}))
    assert titles() == ["mine"]


def test_a_shared_app_has_one_shelf_for_all(plugin, call):
    plugin(app("x: str\n    shared = True"))
    call("profile_add", name="Shop")
    call("thing_add", x="a")
    assert call("thing_list", at="shop")["count"] == 1


# -- lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("50%", ["50% off"]),
        ("%", ["50% off"]),
        ("a_b", ["a_b"]),
        ("_", ["a_b"]),
        ("\\", ["back\\slash"]),
        ("AUSTEN", ["Emma"]),
        ("' OR 1=1 --", []),
        ("", ["back\\slash", "a_b", "50% off", "Emma"]),
    ],
)
def test_a_search_means_its_letters_exactly_in_every_field(add, titles, q, found):
    add("Emma", author="Austen")
    for title in ("50% off", "a_b", "back\\slash"):
        add(title)
    assert titles(q=q) == found


def test_a_list_has_pages_of_fifty(call, book, titles, house):
    with house.db.change():
        for n in range(120):
            book.rows(house.caller("user")).insert(title=f"{n:03}", position=n)
    assert titles()[0] == "000" and len(titles()) == 50
    assert titles(page=3)[-1] == "119" and titles(page=4) == [] == titles(page=2**62)
    assert call("book_list")["count"] == 120
    assert titles(page=-5) == titles()


@pytest.mark.parametrize(
    ("moved", "after", "order"),
    [(3, None, "3124"), (1, 4, "2341"), (1, 2, "2134"), (4, 1, "1423"), (2, 1, "1234")],
)
def test_a_row_moves_behind_another_or_first(add, call, titles, moved, after, order):
    for title in "4321":
        add(title)
    ids = {row["title"]: row["id"] for row in call("book_list")["rows"]}
    call("book_move", id=ids[str(moved)], after=ids.get(str(after)))
    assert "".join(titles()) == order


def test_rows_keep_their_order_however_often_they_are_moved(add, call, titles):
    for title in "cba":
        add(title)
    for _ in range(120):
        last = titles()[-1]
        ids = {row["title"]: row["id"] for row in call("book_list")["rows"]}
        first, second = titles()[:2]
        call("book_move", id=ids[last], after=ids[first])
        assert titles() == [first, last, second]


def test_new_rows_come_first(add, titles):
    for title in "abc":
        add(title)
    assert titles() == ["c", "b", "a"]


# -- further routes --------------------------------------------------------------------------


@pytest.fixture
def visit(house, book, run):
    """visit(path, **query): what the class's own route answers."""
    from pipulate.apps.base import Visit

    def visiting(path, method="GET", **query):
        route, values = next(
            (r, v) for r in book.routes if (v := r.match(method, path)) is not None
        )
        return run(route.run(Visit(house, house.caller("user"), book, values, query)))

    return visiting


def test_a_route_of_the_class_gets_its_table_and_typed_values(add, visit):
    add("a", rating=3)
    add("b", rating=5)
    assert visit("stats") == "2" and visit("stats", least="4") == "1"
    with pytest.raises(Invalid, match="whole number"):
        visit("stats", least="many")


def test_a_route_of_the_class_answers_only_to_its_method(book):
    assert [r.method for r in book.routes if r.path == "stats"] == ["GET"]


def test_a_route_that_returns_text_is_shown_as_text(house, plugin, run):
    from pipulate.apps.base import Visit

    source = (
        app("x: str") + "@Thing.rt('hi', methods=['GET'])\ndef hi(name: str):\n    return name\n"
    )
    (found,) = plugin(source).apps
    (route,) = [r for r in found.routes if r.path == "hi"]
    drawn = run(route.run(Visit(house, house.caller("user"), found, {}, {"name": "<b>"})))
    assert drawn == "&lt;b&gt;"


def test_a_hook_that_fails_says_which_and_saves_nothing(plugin, call):
    plugin(app("x: str\n    def check(self):\n        raise KeyError('oh')"))
    with pytest.raises((KeyError, Problem)):
        call("thing_add", x="a")
    assert call("thing_list")["count"] == 0


def test_a_route_that_returns_text_among_elements_cannot_bring_in_markup(house, plugin, run):
    from pipulate.apps.base import Visit

    source = (
        app("x: str") + "@Thing.rt('hi', methods=['GET'])\ndef hi(name: str):\n    return name, 1\n"
    )
    (found,) = plugin(source).apps
    (route,) = [r for r in found.routes if r.path == "hi"]
    drawn = run(route.run(Visit(house, house.caller("user"), found, {}, {"name": "<b>"})))
    assert drawn == ("&lt;b&gt;", 1)
