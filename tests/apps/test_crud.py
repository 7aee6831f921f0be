"""CRUD apps: a class is a table, tools and rules; what differs is a method."""

import json
import re
import sys
import threading
from datetime import date

import jsonschema
import pytest

from pipulate.apps.base import Visit
from pipulate.apps.markup import html
from pipulate.apps.query import State
from pipulate.core.problems import Confirm, Conflict, Invalid, Missing, NeedsApproval, Problem
from pipulate.doors import cli
from every import EVERY, ROWS
from serving import serving

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


@pytest.mark.parametrize("name", ["order", "plural", "shared", "fields", "follow", "id", "table"])
def test_a_name_of_the_base_class_is_refused_as_a_method_too(plugin, name):
    problem = plugin(app(f"x: str\n    def {name}(self): return 1")).problem
    assert f"Thing.{name}: the base class uses that name" in problem.what


def test_the_hooks_of_the_base_class_may_be_written(plugin):
    hooks = ("check(self): 1", "deleted(self): 1", "__str__(self): return 'a'")
    assert plugin(app("\n    def ".join(["x: str", *hooks]))).problem is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (app("pass"), "no fields"),
        (app("x: bytes"), "no field type 'bytes'"),
        (app("x: int = 'a'"), "whole number"),
        (app("x: int", "Order").replace("x: int", "x: int; order = 'nope'"), "nope"),
        ("x = 1", "defines no CrudApp class"),
        (
            "from pipulate import CrudApp, tool\n"
            "class Thing(CrudApp):\n    x: int\n    @tool\n    def move(self): pass\n",
            "Thing.move: every app has that tool",
        ),
    ],
    ids=["no fields", "unknown type", "wrong default", "order by nothing", "no app", "its tool"],
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


def test_the_tools_say_what_they_do_in_right_english(house, plugin):
    words = "from pipulate import CrudApp\n"
    words += "".join(f"class {n}(CrudApp):\n  'About.'\n  x: str = ''\n" for n in ("Entry", "Cats"))
    plugin(words)
    said = {name: tool.description for name, tool in house.tools.by_name.items()}
    assert said["entry_add"] == "Add an entry. About."
    assert said["cats_update"] == "Change the given fields of a row of Cats."
    assert said["task_delete"] == "Delete a task; can be undone."


def test_a_model_is_told_how_filters_and_the_order_are_written(house, book):
    told = house.tools.get("book_list").as_dict()["schema"]["properties"]
    assert '"2..5"' in told["filters"]["description"]
    assert "-field" in told["sort"]["description"]


def test_a_method_marked_as_a_tool_works_on_one_row_in_one_event(add, call, house):
    add("Emma")
    assert call("book_rate", actor="model", id=1, stars=4) == "Emma: 4"
    assert call("book_get", id=1)["done"] is True
    event = house.events.recent(1, 1)[0]
    assert (event["verb"], event["actor"]) == ("book_rate", "model")
    assert event["summary"] == "Rate book “Emma”", "the history tells which row"
    with pytest.raises(Invalid, match="needed"):
        call("book_rate", id=1)


STOCK = """
from pipulate import CrudApp, tool

class Part(CrudApp):
    name: str
    count: int = 0

    @tool
    def take(self, pieces: int):
        self.table.update(id=self.id, count=self.count - pieces)
        self.tables("taking").insert(part=self.name, pieces=pieces)
        return [part.count for part in self.table()]

    @staticmethod
    @tool(kind="read")
    def total(table, least: int = 0):
        return sum(part.count for part in table("count >= ?", [least]))

class Taking(CrudApp):
    part: str
    pieces: int

@Part.rt("/taken", methods=["GET"])
def taken(tables):
    return ", ".join(f"{one.part} {one.pieces}" for one in tables("taking")())
"""


def test_a_tool_reaches_its_table_and_those_of_other_apps_and_may_be_one_of_the_whole_list(
    plugin, call, house, run
):
    part, _ = plugin(STOCK).apps
    call("part_add", name="bolt", count=9)
    assert call("part_take", id=1, pieces=4) == [5]
    assert [event["verb"] for event in house.events.recent(1, 2)] == ["part_take", "part_add"]
    assert [row["pieces"] for row in call("taking_list")["rows"]] == [4]
    call("part_add", name="nut", count=2)
    assert (call("part_total"), call("part_total", least=3)) == (7, 5)
    caller = house.caller("user")
    assert "Take" not in part.drawn_rows(*part.find(caller, State())[:1], caller)
    route = next(r for r in part.routes if r.path == "taken")
    assert "bolt 4" in run(route.run(Visit(house, caller, part)))
    call("undo", event=house.events.recent(1, 2)[1]["id"])
    assert call("taking_list")["count"] == 0 and call("part_get", id=1)["count"] == 9


FEEDS = """
import asyncio
from pipulate import CrudApp, tool

class Feed(CrudApp):
    name: str
    size: int = 0

    @tool
    async def measure(self, by: int = 1):
        await asyncio.sleep(0)
        self.table.update(id=self.id, size=by)
        return self.name

    @staticmethod
    @tool(kind="read")
    async def total(table):
        await asyncio.sleep(0)
        return sum(feed.size for feed in table())

    @tool(seconds=0.1)
    async def hangs(self):
        await asyncio.Event().wait()
"""


def test_a_tool_of_a_row_that_is_async_works_as_any_other_and_has_its_limit(plugin, call, house):
    plugin(FEEDS)
    call("feed_add", name="news")
    assert (call("feed_measure", id=1, by=3), call("feed_total")) == ("news", 3)
    assert house.events.recent(1, 1)[0]["summary"] == "Measure feed “news”"
    with pytest.raises(Problem, match="took over 0.1 s"):
        call("feed_hangs", id=1)


SETS = """
from pipulate import CrudApp, tool

class Plant(CrudApp):
    name: str
    watered: bool = False

    @tool
    def water(self):
        self.watered = True
        return "watered"
"""


def test_a_field_that_is_set_on_a_row_is_refused_for_nothing_would_be_saved(plugin, call):
    plugin(SETS)
    call("plant_add", name="Fern")
    with pytest.raises(AttributeError, match=r"self.table.update\(id=self.id, watered=…\)"):
        call("plant_water", id=1)
    assert call("plant_get", id=1)["watered"] is False


DRY = """
from pipulate import CrudApp, tool

class Plant(CrudApp):
    name: str

    @property
    def long(self) -> bool:
        return len(self.name) > 4

    @staticmethod
    @tool(kind="read")
    def dry(table):
        return {"first": table[1], "all": table()}
"""


def test_a_tool_may_return_rows_as_they_come(plugin, call):
    plugin(DRY)
    row = call("plant_add", name="Fern")
    assert call("plant_dry") == {"first": row, "all": [row]} and row["long"] is False


SHEET = """
from pipulate import CrudApp, tool

class Cell(CrudApp):
    number: int = 0

    @staticmethod
    @tool
    def fill(table, upto: int):
        for n in range(upto):
            table.insert(number=n)
        return upto
"""


@pytest.mark.parametrize("actor", ["model", "mcp", "user", "shell"])
def test_a_tool_that_turns_out_to_change_over_twenty_rows_waits_for_a_yes_and_saves_nothing(
    plugin, call, house, run, actor
):
    plugin(SHEET)
    assert call("cell_fill", actor=actor, upto=20) == 20
    with pytest.raises(Confirm if actor == "shell" else NeedsApproval) as caught:
        call("cell_fill", actor=actor, upto=21)
    assert call("cell_list")["count"] == 20 and house.events.recent(1, 1)[0]["changed"] == 20
    if actor == "shell":
        assert call("cell_fill", actor=actor, confirmed=True, upto=21) == 21
    else:
        me, key = house.profiles.at(), caught.value.details["approval"]
        asked = house.tools.approval(key, me)
        assert asked["shown"] == 'cell_fill {"upto":21}'
        assert run(house.tools.decide(key, asked["hash"], True, me)) == 21
    assert call("cell_list")["count"] == 41


def test_an_undo_of_over_twenty_rows_waits_for_a_yes_as_well(plugin, call, house):
    plugin(SHEET)
    call("cell_fill", confirmed=True, upto=21)
    event = house.events.recent(1, 1)[0]["id"]
    with pytest.raises(NeedsApproval):
        call("undo", actor="model", event=event)
    assert call("cell_list")["count"] == 21
    call("undo", confirmed=True, event=event)
    assert call("cell_list")["count"] == 0


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


def test_rows_that_have_no_places_yet_are_moved_to_where_they_are_put(
    add, call, house, book, titles
):
    table = book.rows(house.caller("user"))
    for title in "abcde":  # as a class's own method adds them
        table.insert(title=title)
    call("book_move", id=4, after=1)
    assert titles() == ["a", "d", "b", "c", "e"]
    call("book_move", id=5)
    call("book_move", id=1, after=2)
    assert titles() == ["e", "d", "b", "a", "c"]
    assert call("history")[0]["changed"] == 1


def test_rows_with_a_field_called_n_are_moved_though_no_number_is_left_between_two(
    plugin, house, call
):
    plugin("from pipulate import CrudApp\nclass Part(CrudApp):\n    n: int\n")
    table = house.shelf.crud("part").rows(house.caller("user"))
    for n in range(3):
        table.insert(n=n)
    call("part_move", id=3, after=1)
    assert [row["n"] for row in call("part_list")["rows"]] == [0, 2, 1]


def test_new_rows_come_first(add, titles):
    for title in "abc":
        add(title)
    assert titles() == ["c", "b", "a"]


# -- further routes --------------------------------------------------------------------------


@pytest.fixture
def visit(house, book, run):
    """visit(path, **query): what the class's own route answers."""

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
    source = (
        app("x: str") + "@Thing.rt('hi', methods=['GET'])\ndef hi(name: str):\n    return name, 1\n"
    )
    (found,) = plugin(source).apps
    (route,) = [r for r in found.routes if r.path == "hi"]
    drawn = run(route.run(Visit(house, house.caller("user"), found, {}, {"name": "<b>"})))
    assert drawn == ("&lt;b&gt;", 1)


# -- every type, through every door ----------------------------------------------------------

TYPES = """
    from datetime import date, datetime
    from decimal import Decimal
    from typing import Annotated, Literal
    from pipulate import Between, CrudApp, Email, File, Ref, Secret, Text, Url

    class Author(CrudApp):
        name: str

    class Typed(CrudApp):
        x: {} = None
"""

# annotation, a value as JSON, the same as typed in a form or the shell, a wrong value, as typed
DOORS = [
    ("str", "milk", "milk", 3, "a\0"),
    ("Text", "two\nlines", "two\nlines", 3, "a\0"),
    ("int", -3, "-3", "3", "1e3"),
    ("float", 0.5, ".5", "0.5", "1,5"),
    ("Decimal", "1.10", "1.10", 1.1, "1,10"),
    ("bool", True, "yes", "yes", "perhaps"),
    ("date", "2026-01-31", "2026-01-31", "31.1.2026", "2026-02-30"),
    ("datetime", "2026-01-31T12:00:00+00:00", "2026-01-31T12:00Z", 5, "noon"),
    ("Literal['low', 'a,b']", "a,b", "a,b", "high", "high"),
    ("Literal[1, 2]", 2, "2", "2", "3"),
    ("list[Literal['red', 'a,b']]", ["red", "a,b"], '"a,b", red', ["green"], "green"),
    ("list[str]", ["x", "y, z"], 'x, "y, z"', "x", '["x", 1]'),
    ("Annotated[int, Between(0, 5)]", 5, "5", 6, "-1"),
    ("Url", "https://example.org", "https://example.org", "ftp://x", "javascript:x"),
    ("Email", "ann@example.org", "ann@example.org", "ann", "ann@"),
    ("Secret", "hunter2-9876", "hunter2-9876", 3, "set, ends …9876"),
    ("Ref['author']", 1, "Ann", "nobody", "#99"),
    ("File", "file:1", "file:1", "nothing.txt", "file:99"),
    ("dict", {"a": [1]}, '{"a": [1]}', [1], "{"),
    ("list", [1, "b"], '[1, "b"]', {"a": 1}, "[1"),
]


@pytest.fixture
def typed(plugin, call, house, run, monkeypatch, capsys):
    """typed(annotation): {door: function(tool, values or None) → row}, with rows 1 to 3 added."""
    kept = house.files.folder / "kept.txt"
    kept.write_text("x")
    house.files.record(house.profiles.at(), kept)

    def shell(tool, text, **values):
        words = [f"x={text}"] + [f"{name}={value}" for name, value in values.items()]
        home = ["--home", str(house.settings.home), "--json"]
        monkeypatch.setattr(sys, "argv", ["pipulate", "call", tool, *words, *home])
        try:
            cli.main()
        except SystemExit:
            raise Invalid(capsys.readouterr().err) from None
        return json.loads(capsys.readouterr().out)

    def made(annotation):
        found = plugin(TYPES.format(f"{annotation} | None"), "typed")
        assert found.problem is None, str(found.problem)
        call("author_add", name="Ann")
        return found.apps[1], {
            "tool": lambda tool, text, **values: call(tool, x=text, **values),
            "form": lambda tool, text, **values: call(tool, text={"x": text}, **values),
            "shell": shell,
        }

    return made


def taken(app, value):
    """A value as the schema of the tool that took it says it may be."""
    jsonschema.validate(value, app.fields["x"].schema)
    return value


@pytest.mark.parametrize(
    ("annotation", "value", "text", "bad", "typo"), DOORS, ids=lambda v: str(v)[:20]
)
def test_a_value_means_the_same_through_every_door_and_can_be_cleared(
    typed, call, annotation, value, text, bad, typo
):
    app, doors = typed(annotation)
    shown = "set, ends …9876" if annotation == "Secret" else value
    for key, (door, said) in enumerate(zip(doors, (taken(app, value), text, text), strict=True), 1):
        row = doors[door]("typed_add", said)
        assert (row["id"], row["x"]) == (key, shown), door
        jsonschema.validate(row["x"], app.fields["x"].schema)
        row = doors[door]("typed_update", None if door == "tool" else "", id=key)
        assert row["x"] is None is call("typed_get", id=key)["x"], door
        assert doors[door]("typed_update", said, id=key)["x"] == shown, door
    for door, said in zip(doors, (bad, typo, typo), strict=True):
        if "\0" in str(said) and door == "shell":
            continue  # no program can be given one
        with pytest.raises(Invalid):
            doors[door]("typed_update", said, id=1)
    assert call("typed_list")["count"] == 3 and call("typed_get", id=1)["x"] == shown


def test_what_the_tools_return_fits_the_schemas_of_what_they_take(plugin, call, house):
    thing = plugin(EVERY, "every").apps[1]
    schema = house.tools.by_name["thing_add"].as_dict()["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    for row in ROWS:
        jsonschema.validate(row, schema)
        back = call("thing_add", **row)
        jsonschema.validate({name: back[name] for name in thing.fields}, schema)
        row |= {"met": row["met"].replace("Z", "+00:00")} if "met" in row else {}
        assert {name: back[name] for name in row} == row


def test_lists_of_defaults_are_not_shared_between_rows_or_with_the_class(plugin, call):
    plugin(
        app("tags: list[str] = ['a']\n    more: dict = {'b': []}\n")
        + "    def check(self):\n        self.tags.append('c'); self.more['b'].append('d')"
    )
    for _ in range(2):
        row = call("thing_add")
        assert (row["tags"], row["more"]) == (["a", "c"], {"b": ["d"]})


GROWS = """
from datetime import date, datetime
from itertools import count
from pipulate import CrudApp, Pipeline, tool

made = count(1)

class Plant(CrudApp):
    name: str
    number: int = lambda: next(made)
    bought: date = date.today

    @tool
    def watered(self, on: date = date.today):
        return on

    @tool
    def twin(self):
        return self.table.insert(name="twin").number

water = Pipeline("Water")

@water.step
def when(on: date = date.today):
    return on.isoformat()
"""


def test_a_default_that_is_a_function_is_made_anew_for_each_row_form_and_call(plugin, call, house):
    pipeline, app = plugin(GROWS).apps
    today = date.today().isoformat()
    one, two = (call("plant_add", name=name) for name in ("Fern", "Moss"))
    assert two["number"] == one["number"] + 1 and one["bought"] == today
    assert call("plant_twin", id=1) == two["number"] + 1
    assert call("plant_watered", id=1) == today
    assert call("water_run")["output"] == today == pipeline.pipeline.steps["when"]()
    assert f'value="{today}"' in html(app.add_form("/default/plants"))
    assert "default" not in app.fields["number"].schema


def test_an_update_that_changes_nothing_is_not_in_the_history(add, call):
    add("Emma")
    before = call("history")
    assert call("book_update", id=1, title="Emma", due=None)["version"] == 1
    assert call("history") == before


# -- several at once -------------------------------------------------------------------------

TEXTS = """
from pipulate import CrudApp

class Text(CrudApp):
    a: str = ""
    b: str = ""
    note: str = ""
"""


def test_given_tabs_and_a_model_at_one_row_then_no_change_of_theirs_is_lost(tmp_path):
    """Two tabs write into one field and try again when told of another; a third and the model

    write into fields of their own, and are told of none."""
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    (home / "apps" / "texts.py").write_text(TEXTS)
    rounds, conflicts = 25, []
    with serving(home) as server:
        server.call("text_add")

        def tab(name, letter):
            for _ in range(rounds):
                while True:
                    drawn = server.act("GET", f"/default/texts/1/{name}").text
                    found = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]*)"', drawn))
                    form = {name: found[name] + letter, "version": found["version"]}
                    if server.act("PATCH", "/default/texts/1", form).status_code == 200:
                        break
                    conflicts.append(name)

        def model():
            for n in range(rounds):
                server.call("text_update", id=1, note=str(n))

        work = [threading.Thread(target=tab, args=each) for each in ("ax", "ay", "bz")]
        work.append(threading.Thread(target=model))
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        row = server.call("text_get", id=1)
    assert (sorted(row["a"]), row["b"]) == (["x"] * rounds + ["y"] * rounds, "z" * rounds)
    assert (row["note"], row["version"]) == (str(rounds - 1), 1 + 4 * rounds)
    assert set(conflicts) == {"a"}
