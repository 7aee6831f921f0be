"""Rows as HTML: a cell and an editor for each type; what a form shows is what it sends back."""

import json
import re
import time
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from every import open_world
from pipulate.apps.base import Refusal, Visit
from pipulate.apps.markup import html
from pipulate.core import tools
from pipulate.core.problems import Problem


class Form(HTMLParser):
    """What a browser would send of the controls in an HTML text: `sent`; and their `types`."""

    def __init__(self, text):
        super().__init__()
        self.pairs, self.types, self.area, self.select = [], {}, None, None
        self.feed(text)

    @property
    def sent(self):
        form = dict(self.pairs)
        for name in [name for name in form if name.endswith("[]")]:
            form[name[:-2]] = json.dumps([v for n, v in self.pairs if n == name and v])
        return form

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        name, kind = attrs.get("name"), attrs.get("type", tag)
        if tag in ("input", "select", "textarea") and name and attrs.get("form") != "bulk":
            self.types[name] = kind
            ticked = kind != "checkbox" or "checked" in attrs
            if tag == "input" and ticked and kind != "file":
                self.pairs.append((name, attrs.get("value") or ""))
        if tag == "textarea":
            self.area = [name, ""]
        if tag == "select" and name and attrs.get("form") != "bulk":
            self.select, self.first = name, True
        if tag == "option" and self.select and ("selected" in attrs or self.first):
            if not self.first:
                self.pairs.pop()
            self.pairs.append((self.select, attrs.get("value") or ""))
            self.first = False

    def handle_data(self, data):
        if self.area:
            self.area[1] += data

    def handle_endtag(self, tag):
        if tag == "textarea":
            name, text = self.area
            self.pairs.append((name, text.removeprefix("\n")))
            self.area = None
        if tag == "select":
            self.select = None


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("home")) as world:
        for name in ("Ann", '<b onclick="x">"Zoe" & co</b>'):
            world.call("author_add", name=name)
        world.call("thing_add", title="first")
        world.call("thing_add", title="other")
        kept = world.house.files.folder / "a <b>.txt"
        kept.write_text("x")
        world.house.files.record(world.caller.profile, kept)
        yield world


@pytest.fixture
def ask(world):
    """ask(method, path, form, here): (status, HTML) that the page of the app answers."""

    def asking(method, path, form=None, here="", app=None):
        app = app or world.app
        route, values = next((r, v) for r in app.routes if (v := r.match(method, path)) is not None)
        visit = Visit(world.house, world.caller, app, values, {}, form or {}, True, here)
        drawn = world.run(route.run(visit))
        status = drawn.status if isinstance(drawn, Refusal) else 200
        drawn = drawn.elements if isinstance(drawn, Refusal) else drawn
        return status, html(*drawn) if isinstance(drawn, tuple) else html(drawn)

    return asking


def newest(world):
    return world.house.events.recent(world.caller.profile.id, 1)[0]["id"]


# -- what is shown is what is sent back ------------------------------------------------------

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=20)
WORDS = LINE.filter(str.strip)
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=30)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = {
    "title": WORDS,
    "note": LINES,
    "count": st.integers(-(2**63) + 1, 2**63 - 1),
    "price": st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: f"{d:f}"),
    "weight": st.floats(allow_nan=False, allow_infinity=False),
    "done": st.booleans(),
    "level": st.sampled_from(["low", "high", ">9"]),
    "stars": st.sampled_from([1, 2, 3]),
    "share": st.integers(0, 10),
    "colors": st.lists(st.sampled_from(["red", "dark blue", "a,b"]), unique=True),
    "tags": st.lists(WORDS, max_size=4),
    "url": st.sampled_from(["", "https://example.org/a?b=%20#ü", "http://x"]),
    "mail": st.sampled_from(["", "ann+x@example.org"]),
    "extra": st.dictionaries(LINE, PLAIN | st.lists(PLAIN), max_size=3),
    "items": st.lists(PLAIN | LINES, max_size=3),
    "due": st.none() | st.dates().map(str),
    "met": st.none()
    | st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.isoformat()
    ),
    "author": st.sampled_from([None, 1, 2]),
    "parent": st.sampled_from([None, 1, 2]),
    "paper": st.sampled_from([None, "file:1"]),
    "maybe": st.sampled_from([None, True, False]),
    "guess": st.none() | st.integers(-5, 5),
}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.fixed_dictionaries({}, optional=VALUES))
def test_a_form_that_is_saved_as_it_was_opened_changes_nothing(world, ask, values):
    row = world.call("thing_update", id=1, **values)
    event = newest(world)
    for path in ("1/*", *(f"1/{name}" for name in values)):
        form = Form(ask("GET", path)[1]).sent
        assert ask("PATCH", "1", form)[0] == 200
    assert world.call("thing_get", id=1) == row and newest(world) == event


def test_every_type_has_its_input(world, ask):
    world.call("thing_update", id=1, met=None)
    types = Form(ask("GET", "1/*")[1]).types
    assert types == {
        "title": "text",
        "note": "textarea",
        "count": "text",
        "price": "text",
        "weight": "text",
        "done": "checkbox",
        "level": "select",
        "stars": "select",
        "share": "range",
        "colors[]": "checkbox",
        "tags": "text",
        "url": "url",
        "mail": "email",
        "extra": "textarea",
        "items": "textarea",
        "due": "date",
        "met": "datetime-local",
        "key": "password",
        "author": "text",
        "parent": "text",
        "paper": "text",
        "maybe": "select",
        "guess": "text",
        "version": "hidden",
        "edit.whole": "hidden",
    }


def test_a_long_text_without_marks_does_not_fill_the_page_from_its_row(world, ask):
    world.call("thing_update", id=2, note="word " * 200)
    long = ask("GET", "2")[1]
    world.call("thing_update", id=2, note="a word")
    assert 'class="md"' in long, "what scrolls in its cell"
    assert 'class="md"' not in ask("GET", "2")[1]


def test_a_moment_finer_than_a_browser_knows_is_edited_as_text(world, ask):
    world.call("thing_update", id=2, met="2026-01-31T12:00:00.000005Z")
    assert Form(ask("GET", "2/met")[1]).types["met"] == "text"


def test_what_the_class_no_longer_allows_is_not_changed_by_opening_it(world, ask):
    world.house.db.execute("""UPDATE app_things SET level = 'old', colors = '["gone"]',
        stars = 9 WHERE id = 2""")
    for name, said in (("level", "old"), ("stars", "9"), ("colors", '["gone"]')):
        form = Form(ask("GET", f"2/{name}")[1]).sent
        assert form[name] == said
        assert ask("PATCH", "2", form)[0] == (422 if name == "colors" else 422)
    world.call("thing_update", id=2, level="low", stars=1, colors=[])


# -- refused input ---------------------------------------------------------------------------

WRONG = [
    ("title", " ", "may not be blank"),
    ("count", "1e3", "needs a whole number"),
    ("price", "1,5", "needs a number"),
    ("share", "11", "must be from 0 to 10"),
    ("level", "middle", "must be one of"),
    ("colors", '["green"]', "must be one of"),
    ("colors", "[broken", "JSON list"),
    ("tags", '["a", 1]', "list of texts"),
    ("url", "javascript:alert(1)", "an address that starts with"),
    ("mail", "ann", "an address like"),
    ("extra", "{", "needs JSON"),
    ("due", "2026-02-30", "day is out of range"),
    ("author", "nobody", "Authors has no"),
    ("paper", "/nothing/there", "There is no file"),
    ("key", "set, ends …1234", "the value itself"),
    ("done", "perhaps", "yes or no"),
]


@pytest.mark.parametrize(("name", "typed", "why"), WRONG, ids=[f"{n} {t}" for n, t, _ in WRONG])
def test_refused_input_stays_in_its_cell_with_the_reason(world, ask, name, typed, why):
    row = world.call("thing_get", id=2)
    status, text = ask("PATCH", "2", {name: typed, "version": str(row["version"])})
    assert status == 422 and why in text and 'role="alert"' in text
    shown = Form(text).sent
    if name not in ("key", "done", "colors"):
        assert shown[name] == typed
    assert world.call("thing_get", id=2) == row


def test_a_refused_form_keeps_all_that_was_typed(world, ask):
    form = Form(ask("GET", "2/*")[1]).sent
    typed = form | {"title": "typed", "note": "\ntwo\nlines", "count": "many", "done": "true"}
    typed |= {"tags": "x, y", "colors": '["red"]', "stars": "3", "maybe": "false"}
    status, text = ask("PATCH", "2", typed)
    again = {k: v for k, v in Form(text).sent.items() if not k.endswith("[]")}
    typed = {k: v for k, v in typed.items() if not k.endswith("[]")}
    assert status == 422 and again == typed


def test_a_change_of_somebody_else_is_shown_and_nothing_is_lost(world, ask):
    form = Form(ask("GET", "2/title")[1]).sent
    world.call("thing_update", id=2, title="theirs", count=5)
    status, text = ask("PATCH", "2", form | {"title": "mine"})
    assert status == 409 and "theirs" in text and Form(text).sent["title"] == "mine"
    assert world.call("thing_get", id=2)["title"] == "theirs"
    assert ask("PATCH", "2", Form(text).sent)[0] == 200
    row = world.call("thing_get", id=2)
    assert (row["title"], row["count"]) == ("mine", 5)


# -- cells -----------------------------------------------------------------------------------


def cells(text):
    """{label: HTML} of a row."""
    return dict(re.findall(r'<td data-label="([^"]*)"[^>]*>(.*?)</td>', text, re.S))


def test_each_type_is_shown_as_what_it_is(world, ask):
    world.call(
        "thing_update", id=1, note="**bold**", price="1.10", tags=["a,b", "<i>"], due="2026-01-31",
        url="https://example.org/?a&b", mail="ann@example.org", author=2, paper="file:1",
        key="hunter2-9876", maybe=True, extra={"a": 1}, done=True, colors=["red"], stars=3,
        met=None,
    )  # fmt: skip
    shown = cells(ask("GET", "1")[1])
    assert "<strong>bold</strong>" in shown["Note"]
    assert ">1.10<" in shown["Price"] and ">2026-01-31<" in shown["Due"]
    assert "&lt;i&gt;</span>" in shown["Tags"] and ">a,b</span>" in shown["Tags"]
    assert 'href="https://example.org/?a&amp;b"' in shown["Url"] and "noopener" in shown["Url"]
    assert 'href="mailto:ann@example.org"' in shown["Mail"]
    assert "&lt;b onclick=&quot;x&quot;&gt;" in shown["Author"] and "f.id=2" in shown["Author"]
    assert "/files/default/1" in shown["Paper"] and "a &lt;b&gt;.txt" in shown["Paper"]
    assert ">set, ends …9876<" in shown["Key"] and ">true<" in shown["Maybe"]
    assert " checked" in shown["Done"] and 'class="none"' in shown["Met"]


@pytest.mark.parametrize(
    ("here", "names"),
    [
        ("", None),
        ("?cols=count,title", ["Count", "Title"]),
        ("?cols=double,nothing,title&q=x", ["Double", "Title"]),
        ("?cols=", None),
        ("http://[broken?cols=title", ["Title"]),
    ],
)
def test_a_row_comes_back_with_the_columns_of_the_list_that_asks(world, ask, here, names):
    names = names or [f.label for f in world.app.named.values()]
    for text in (ask("GET", "1", here=here)[1], ask("PATCH", "1", {"done": "true"}, here)[1]):
        assert [*cells(text)] == names
    assert [*cells(ask("GET", "1/title", here=here)[1])] == names


def test_given_an_own_drawing_that_loops_then_no_request_waits_for_it(world, ask, monkeypatch):
    from pipulate.apps.crud import Crud, CrudApp

    class Loop(CrudApp):
        title: str

        @property
        def late(self) -> int:
            while self.title == "loop":
                pass
            return 1

    app = Crud(Loop)
    app.define(world.house)
    world.house.tools.replace("loop", app.tools())
    monkeypatch.setattr(tools.limited, "__kwdefaults__", {"seconds": 0.2})
    monkeypatch.setattr(app, "as_json", lambda row: {"id": row.id, "title": row.title})
    ask("POST", "", {"title": "fine"}, app=app)
    for method, path, form in (
        ("POST", "", {"title": "loop"}),
        ("GET", "2", None),
        ("GET", "2/title", None),
        ("PATCH", "1", {"title": "loop"}),
    ):
        with pytest.raises(Problem, match="was stopped"):
            ask(method, path, form, app=app)


# -- what has no text to send back -------------------------------------------------------------


@pytest.mark.parametrize("part", ["key", "*"])
def test_an_optional_secret_can_be_emptied_in_its_row(world, ask, part):
    key = world.call("thing_add", title="a vault", key="hunter2-9876")["id"]
    shown = ask("GET", f"{key}/{part}")[1]
    assert "kept; a space empties it" in shown
    assert ask("PATCH", str(key), Form(shown).sent)[0] == 200
    assert world.call("thing_get", id=key)["key"] == "set, ends …9876"
    assert ask("PATCH", str(key), Form(ask("GET", f"{key}/{part}")[1]).sent | {"key": " "})
    assert world.call("thing_get", id=key)["key"] is None
    assert "empties" not in html(world.app.add_form("/default/things"))


def test_a_time_in_the_hour_that_comes_twice_is_not_moved_by_saving_its_row(
    world, ask, monkeypatch
):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        later = "2026-10-25T01:30:00+00:00"  # 02:30 for the second time
        key = world.call("thing_add", title="autumn", met=later)["id"]
        form = Form(ask("GET", f"{key}/*")[1]).sent
        assert form["met"] == "2026-10-25T02:30+01:00"
        assert ask("PATCH", str(key), form | {"title": "fall"})[0] == 200
        found = world.call("thing_get", id=key)
        assert (found["title"], found["met"]) == ("fall", later)
    finally:
        monkeypatch.undo()
        time.tzset()
