"""The state of a list: what an address may say, and which rows each filter means."""

import time
from datetime import date
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from every import EVERY, ROWS, open_world
from pipulate.apps.query import State
from pipulate.core.problems import Invalid

TODAY = date.today().isoformat()
NAMES = ("title", "count", "due")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The rows of every.py, with authors, a secret and one due today."""
    with open_world(tmp_path_factory.mktemp("home")) as world:
        for name in ("Ann", "Bob 12"):
            world.call("author_add", name=name)
        for row in ROWS:
            world.call("thing_add", **row)
        world.call("thing_add", title="by Ann", author=1, key="hidden-9876", due=TODAY)
        world.call("thing_add", title="by Bob", author=2, parent=1)
        yield world


@pytest.fixture
def find(world):
    """find("field~filter"): the rows that a filter finds, as JSON."""

    def finding(text=""):
        field, _, said = text.partition("~")
        filters = {field: None if said == "None" else said} if field else {}
        return world.call("thing_list", filters=filters)["rows"]

    return finding


def lower(row):
    return row["title"].lower()


# a filter, and the rows it means said in Python
MEANS = [
    ("count~3", lambda r: r["count"] == 3),
    ("count~=3", lambda r: r["count"] == 3),
    ("double~6", lambda r: r["double"] == 6),
    ("double~!=6", lambda r: r["double"] != 6),
    ("double~-4..0", lambda r: -4 <= r["double"] <= 0),
    ("count~!=3", lambda r: r["count"] != 3),
    ("count~>-2", lambda r: r["count"] > -2),
    ("count~<=0", lambda r: r["count"] <= 0),
    ("count~-2..3", lambda r: -2 <= r["count"] <= 3),
    ("count~=", lambda r: False),
    ("guess~=", lambda r: r["guess"] is None),
    ("guess~!=", lambda r: r["guess"] is not None),
    ("guess~!=7", lambda r: r["guess"] != 7),
    ("guess~0", lambda r: r["guess"] == 0),
    ("share~>20", lambda r: False),
    ("share~5..99", lambda r: r["share"] >= 5),
    ("stars~=3", lambda r: r["stars"] == 3),
    ("stars~<3", lambda r: r["stars"] < 3),
    ("level~high", lambda r: r["level"] == "high"),
    ("level~>9", lambda r: r["level"] == ">9"),
    ("level~!=low", lambda r: r["level"] != "low"),
    ("weight~.5..2.5", lambda r: True),
    ("weight~>0.5", lambda r: r["weight"] > 0.5),
    ("price~0.3", lambda r: Decimal(r["price"]) == Decimal("0.3")),
    ("price~<0", lambda r: Decimal(r["price"]) < 0),
    ("done~yes", lambda r: r["done"]),
    ("done~=no", lambda r: not r["done"]),
    ("maybe~no", lambda r: r["maybe"] is False),
    ("maybe~=", lambda r: r["maybe"] is None),
    ("maybe~!=yes", lambda r: r["maybe"] is not True),
    ("title~apple", lambda r: "apple" in lower(r)),
    ("title~ölmühle", lambda r: "ölmühle" in lower(r)),
    ("title~ÖLMÜHLE", lambda r: "ölmühle" in lower(r)),
    ("title~=APPLE", lambda r: lower(r) == "apple"),
    ("title~!=apple", lambda r: lower(r) != "apple"),
    ("title~today", lambda r: "today" in lower(r)),
    ("title~3..5", lambda r: "3..5" in r["title"]),
    ("title~50%", lambda r: "50%" in r["title"]),
    ("title~_x_", lambda r: "_x_" in r["title"]),
    ("title~x\\y", lambda r: "x\\y" in r["title"]),
    ('title~"no"', lambda r: '"no"' in r["title"]),
    ("title~a\0pple", lambda r: "apple" in lower(r)),
    ("note~=", lambda r: not r["note"]),
    ("note~today", lambda r: "today" in r["note"]),
    ("url~example", lambda r: "example" in r["url"]),
    ("mail~!=", lambda r: bool(r["mail"])),
    ("tags~red", lambda r: "red" in r["tags"]),
    ("tags~=a,b", lambda r: "a,b" in r["tags"]),
    ("tags~!=red", lambda r: "red" not in r["tags"]),
    ("tags~=", lambda r: not r["tags"]),
    ("colors~a,b", lambda r: "a,b" in r["colors"]),
    ("items~b", lambda r: "b" in r["items"]),
    ("due~2026", lambda r: (r["due"] or "").startswith("2026")),
    ("due~2026-01", lambda r: (r["due"] or "").startswith("2026-01")),
    ("due~2026-01-31", lambda r: r["due"] == "2026-01-31"),
    ("due~today", lambda r: r["due"] == TODAY),
    ("due~>today", lambda r: (r["due"] or "") > TODAY),
    ("due~>2026-01", lambda r: (r["due"] or "") >= "2026-02-01"),
    ("due~<=2026-01", lambda r: "" < (r["due"] or "") < "2026-02-01"),
    ("due~2026-01-31..2026-02-01", lambda r: r["due"] in ("2026-01-31", "2026-02-01")),
    ("due~!=2026-01", lambda r: not (r["due"] or "").startswith("2026-01")),
    ("due~9999-12-31", lambda r: r["due"] == "9999-12-31"),
    ("due~=", lambda r: r["due"] is None),
    ("due~None", lambda r: r["due"] is None),
    ("met~2026", lambda r: r["met"] is not None),
    ("met~!=", lambda r: r["met"] is not None),
    ("met~<2026-02", lambda r: (r["met"] or "9") < "2026-02"),
    ("met~>2026-01-31T12:00Z", lambda r: (r["met"] or "") > "2026-01-31T12:00"),
    ("key~!=", lambda r: r["key"] is not None),
    ("author~ann", lambda r: r["author"] == 1),
    ("author~=Ann", lambda r: r["author"] == 1),
    ("author~=ann #1", lambda r: r["author"] == 1),
    ("author~!=Ann", lambda r: r["author"] != 1),
    ("author~12", lambda r: r["author"] == 2),
    ("author~1", lambda r: r["author"] in (1, 2)),
    ("author~#1", lambda r: r["author"] == 1),
    ("author~=1", lambda r: r["author"] == 1),
    ("author~=nobody", lambda r: False),
    ("author~=", lambda r: r["author"] is None),
    ("parent~apple pie", lambda r: r["parent"] == 1),
    ("id~2,4", lambda r: r["id"] in (2, 4)),
    ("id~>9", lambda r: r["id"] > 9),
]


@pytest.mark.parametrize(("text", "means"), MEANS, ids=[ascii(text) for text, _ in MEANS])
def test_a_filter_finds_exactly_the_rows_it_means(find, text, means):
    assert find(text) == [row for row in find() if means(row)]


def test_a_day_of_moments_is_the_day_of_this_machine(plugin, call, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        plugin(EVERY, "every")
        for hour in ("2026-03-08T04:59Z", "2026-03-08T05:00Z", "2026-03-09T03:59Z"):
            call("thing_add", title=hour, met=hour)  # the day of 23 hours
        call("thing_add", title="the day after", met="2026-03-09T04:00Z")
        found = call("thing_list", filters={"met": "2026-03-08"})["rows"]
        assert [row["title"] for row in found] == ["2026-03-09T03:59Z", "2026-03-08T05:00Z"]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("count~many", "count needs a whole number"),
        ("count~>", "count needs a whole number"),
        ("count~1..x", "count needs a whole number"),
        ("count~99999999999999999999", "count needs a whole number"),
        ("weight~1e999", "weight needs a number"),
        ("price~1e999", "price needs a decimal number"),
        ("done~maybe", "done needs yes or no"),
        ("due~2026-02-30", "due day is out of range"),
        ("due~soon", "due needs a date like 2026-01-31"),
        ("met~9999-12-31", "met needs a date"),
        ("tags~>red", "tags holds words"),
        ("key~hidden", "can only be filtered by"),
        ("double~x", "double needs a whole number"),
        ("id~x", "id needs a whole number"),
        (f"title~{'x' * 60_000}", "1,000 characters"),
    ],
    ids=lambda text: text[:20],
)
def test_a_filter_that_cannot_be_read_is_refused_with_what_would_do(find, text, why):
    with pytest.raises(Invalid) as caught:
        find(text)
    assert why in caught.value.what and ">3" in caught.value.next_step


# -- the address -----------------------------------------------------------------------------

STATES = st.builds(
    State,
    st.text().map(lambda q: q.replace("\0", "").strip()[:1000].strip()),
    st.dictionaries(
        st.sampled_from([*NAMES, "id"]),
        st.text(min_size=1).map(lambda v: v.replace("\0", "").strip()).filter(bool),
    ),
    st.sampled_from(["", "count", "-due"]),
    st.permutations(NAMES).map(lambda names: tuple(names[:2])),
    st.integers(1, 99_999_999),
)


@given(STATES)
def test_a_state_comes_back_from_its_address(state):
    address = state.query()
    if not address.isascii() or "%EF%BF%BD" in address or "\ud800" <= max(address) <= "\udfff":
        return
    assert State.of(address, dict.fromkeys(NAMES)) == state


@pytest.mark.parametrize(
    "text",
    [
        "sort=nothing&cols=nothing&page=0",
        "sort=--count",
        "page=x",
        "page=٢x",
        "page=" + "9" * 30,
        "f.count=%20",
        "&&&=",
    ],
)
def test_what_an_address_names_that_is_no_field_is_left_out(text):
    assert State.of(text, dict.fromkeys(NAMES)) == State()


def test_the_plain_list_has_the_shortest_address():
    assert State().query() == "" and State(page=3).query(page=1) == ""
    narrow = State("a b", {"count": ">3"}, "-due", ("due", "title"), 2)
    assert dict(parse_qsl(narrow.query())) == {
        "q": "a b",
        "f.count": ">3",
        "sort": "-due",
        "cols": "due,title",
        "page": "2",
    }
