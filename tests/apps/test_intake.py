"""Imports: what a file would do is said first; then all of it is done as one event, or nothing."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings as rules, strategies as st

from every import EVERY, ROWS
from pipulate.apps import intake
from pipulate.apps.exchange import export
from pipulate.apps.house import House
from pipulate.apps.intake import Intake
from pipulate.apps.query import State
from pipulate.core.problems import Conflict, Problem
from pipulate.core.settings import Settings
from workbooks import workbook

BOOK = """
    from datetime import date
    from typing import Literal
    from pipulate import CrudApp, Invalid

    class Book(CrudApp):
        title: str
        author_name: str = ""
        stars: int = 0
        bought: date | None = None
        shelf: Literal["home", "away"] = "home"

        def check(self):
            if self.stars > 5:
                raise Invalid("Five stars are the most.", "Give fewer.")
"""
THING = """
    from datetime import date, datetime
    from decimal import Decimal
    from typing import Literal
    from pipulate import CrudApp, Text, Url

    class Thing(CrudApp):
        name: str
        note: Text = ""
        number: int = 0
        ratio: float | None = None
        price: Decimal | None = None
        done: bool = False
        day: date | None = None
        at: datetime | None = None
        shelf: Literal["a", "b, c"] = "a"
        size: Literal[1, 2] = 1
        tags: list[str] | None = None
        parts: list[Literal["x", "y"]] | None = None
        site: Url = ""
        data: dict | None = None
"""


@pytest.fixture
def book(plugin):
    return plugin(BOOK, "books").apps[0]


@pytest.fixture
def bring(house, book, tmp_path):
    """bring(text or path, …): the report of an import of that file."""

    def bringing(given, app=book, dry_run=False, at=None, **asked):
        path = given
        if not isinstance(given, Path):
            path = tmp_path / "t.txt"
            path.write_text(given, newline="")
        intake = Intake(app, house.caller("user", at), path, **asked)
        report = intake.read()
        return report if dry_run else intake.write("t.txt")

    return bringing


@pytest.fixture
def rows(house, book):
    """rows(app, at): what is in the table, without what the house adds."""

    def reading(app=book, at=None):
        kept = app.plain(house.caller("user", at))(order_by="position")
        return [{n: row[n] for n in app.fields} for row in kept]

    return reading


def numbers(report):
    return tuple(report[key] for key in ("add", "update", "unchanged", "skip"))


def why(report):
    return {skip["row"]: skip["why"] for skip in report["skipped"]}


# -- columns -----------------------------------------------------------------------------------


def test_columns_are_known_by_name_or_label_whatever_the_case_and_spaces(bring, rows):
    report = bring("TITLE,Author name,author_name,Pages\nDune,Herbert,x,412\n")
    assert report["columns"] == {"TITLE": "title", "Author name": "author_name"}
    assert report["ignored"] == ["author_name", "Pages"]
    assert rows()[0] | {"title": "Dune", "author_name": "Herbert", "shelf": "home"} == rows()[0]


def test_somebody_may_say_which_column_is_which(bring, rows):
    bring("A,B\nDune,Herbert\n", columns={"A": "title", "B": "author_name"})
    assert rows()[0]["author_name"] == "Herbert"


def test_without_a_heading_columns_are_taken_in_the_order_of_the_fields(bring, rows):
    assert numbers(bring("Dune,Herbert,5\nEmma,Austen,4\n", header=False)) == (2, 0, 0, 0)
    assert [row["stars"] for row in rows()] == [5, 4]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"columns": {"Titel": "title"}}, "no column 'Titel'.*'Title'"),
        ({"columns": {"Title": "titel"}}, "no field 'titel'.*'title'"),
        ({"columns": {"Author": "title"}}, "2 columns of the file are to become 'title'"),
        ({"match": ("isbn",)}, "no field 'isbn'"),
        ({"match": ("shelf",)}, "No column of the file is 'shelf'"),
        ({"columns": {"Title": "", "Author": ""}}, "No column of the file is a field"),
        ({"given": "Buchtitel,Autor\nDune,Herbert\n"}, "No column of the file is a field"),
    ],
    ids=str,
)
def test_a_name_that_nobody_has_is_a_problem(bring, asked, says):
    with pytest.raises(Problem, match=says):
        bring(**({"given": "Title,Author\nDune,Herbert\n"} | asked))


# -- rows --------------------------------------------------------------------------------------


def test_rows_keep_their_order_and_come_before_those_that_were_there(bring, rows):
    bring("title\nold\n")
    bring("title\none\ntwo\n")
    assert [row["title"] for row in rows()] == ["one", "two", "old"]


def test_rows_that_do_not_fit_are_left_out_with_their_number_and_every_reason(bring, rows):
    report = bring(
        "title,stars,bought,shelf\n"
        "Dune,3,2026-01-31,home\n"
        ",x,,home\n"
        "Emma,9,,away\n"
        "Ulysses,1,31.1.2026,attic,more,cells\n"
        "Cosmos\n"
    )
    assert numbers(report) == (2, 0, 0, 3)
    found = why(report)
    assert found[3] == {"title": "may not be blank", "stars": "needs a whole number"}
    assert found[4] == {"": "Five stars are the most."}
    assert found[5].keys() == {"", "bought", "shelf"} and "6 cells" in found[5][""]
    assert [row["title"] for row in rows()] == ["Dune", "Cosmos"]


def test_an_empty_cell_where_nothing_may_be_empty_is_the_default(bring, rows):
    assert numbers(bring("title,stars,shelf\nDune,,\n")) == (1, 0, 0, 0)
    assert (rows()[0]["stars"], rows()[0]["shelf"]) == (0, "home")


def test_what_a_function_makes_for_a_new_row_it_makes_for_each_that_is_brought(
    bring, plugin, house
):
    made = """
        from itertools import count
        from pipulate import CrudApp

        class Coupon(CrudApp):
            title: str
            number: int = count(1).__next__
    """
    coupon = plugin(made, "coupons").apps[0]
    bring("title,number\na,\nb,70\nc,\n", app=coupon)
    found = {row.title: row.number for row in coupon.rows(house.caller("user"))()}
    assert found["b"] == 70 and len({*found.values()}) == 3


def test_a_row_that_lacks_a_needed_value_is_left_out(bring):
    assert why(bring("stars\n3\n")) == {2: {"title": "is needed"}}


def test_cells_of_a_workbook_become_what_their_field_is(bring, rows, tmp_path):
    table = [["title", "stars", "bought"], [1984, 4, None], ["Dune", "5", "2026-01-31"]]
    report = bring(workbook(tmp_path / "t.xlsx", {"Books": table}))
    assert numbers(report) == (2, 0, 0, 0)
    assert [(r["title"], r["stars"]) for r in rows()] == [("1984", 4), ("Dune", 5)]


def test_json_tells_absent_empty_and_a_value_apart(bring, rows):
    data = [
        {"title": "a", "stars": 3},
        {"title": "b", "bought": None},
        {"title": "c", "stars": None},
    ]
    report = bring(json.dumps(data))
    assert why(report) == {3: {"stars": "may not be empty"}}
    assert [(r["title"], r["stars"]) for r in rows()] == [("a", 3), ("b", 0)]


def test_references_are_found_by_name_once_for_all_rows(bring, rows, plugin, call):
    apps = plugin(
        """
        from pipulate import CrudApp, Ref

        class Author(CrudApp):
            name: str

        class Play(CrudApp):
            title: str
            author: Ref["author"] | None = None
        """,
        "plays",
    ).apps
    play = next(app for app in apps if app.name == "play")
    key = call("author_add", name="Ann")["id"]
    report = bring(f"title,author\na,Ann\nb,ann\nc,Ann #{key}\nd,Bob\ne,\n", app=play)
    assert numbers(report) == (4, 0, 0, 1) and "no 'Bob'" in why(report)[5]["author"]
    assert [row["author"] for row in rows(play)] == [key, key, key, None]


def test_a_reference_in_a_file_from_another_home_does_not_mean_whoever_has_that_number_here(
    bring, rows, plugin, call
):
    app = plugin(
        """
        from pipulate import CrudApp, Ref

        class Person(CrudApp):
            name: str
            boss: Ref["person"] | None = None
        """,
        "people",
    ).apps[0]
    for name in ("Ann", "Bob"):
        call("person_add", name=name)
    bring("name,boss\nCy,Bob #1\nDee,Ann #1\nEve,Renamed since #1\nFay,Bob #99\n", app=app)
    bosses = {row["name"]: row["boss"] for row in rows(app)}
    assert [bosses[name] for name in ("Cy", "Dee", "Eve", "Fay")] == [2, 1, 1, 2]


def test_rows_that_refer_to_a_long_list_are_read_without_going_through_it_for_each(
    bring, rows, plugin, house, monkeypatch
):
    monkeypatch.setattr("pipulate.apps.data.LARGE", 5)
    play, author = plugin(
        """
        from pipulate import CrudApp, Ref

        class Play(CrudApp):
            title: str
            author: Ref["author"] | None = None

        class Author(CrudApp):
            name: str
        """,
        "plays",
    ).apps
    author.plain(house.caller("user")).insert_many([{"name": f"Ann {n}"} for n in range(9)])
    asked, ask = [], house.db.all
    monkeypatch.setattr(house.db, "all", lambda sql, args=(): asked.append(sql) or ask(sql, args))
    text = "".join(f"{n},ann {n % 9}\n" for n in range(5_000))
    assert numbers(bring(f"title,author\n{text}", app=play)) == (5_000, 0, 0, 0)
    looked = [sql for sql in asked if sql.startswith("SELECT id FROM app_authors WHERE")]
    assert len(looked) == 9, "each name is looked up once"
    plan = ask(f"EXPLAIN QUERY PLAN {looked[0]}", [1, "ann 1", None])
    assert "app_authors_by_name (profile_id=? AND <expr>=?)" in plan[0]["detail"]
    assert [row["author"] for row in rows(play)][:10] == [*range(1, 10), 1]


# -- what is written as elsewhere --------------------------------------------------------------


@pytest.fixture
def sale(plugin):
    return plugin(
        """
        from datetime import date
        from decimal import Decimal
        from pipulate import CrudApp

        class Sale(CrudApp):
            name: str
            price: Decimal | None = None
            day: date | None = None
            paid: bool = False
        """,
        "sales",
    ).apps[0]


def test_a_decimal_comma_days_with_points_and_ja_nein_are_understood_and_said(bring, rows, sale):
    report = bring("name;price;day;paid\na;1.212,50;31.12.2026;ja\nb;3;;Nein\n", app=sale)
    notations = {"price": "decimal comma", "day": "day first", "paid": "words for yes and no"}
    assert (numbers(report), report["notations"]) == ((2, 0, 0, 0), notations)
    assert [[*row.values()] for row in rows(sale)] == [
        ["a", "1212.50", "2026-12-31", 1],
        ["b", "3", None, 0],
    ]


def test_the_export_of_a_search_console_is_not_left_out_for_its_percent_signs(bring, rows, sale):
    report = bring("Name,Clicks,Price\nshoes,12,3.48%\nboots,3,0%\nhats,9,100%\n", app=sale)
    assert numbers(report) == (3, 0, 0, 0) and report["notations"] == {"price": "decimal point"}
    assert [row["price"] for row in rows(sale)] == ["0.0348", "0", "1"]


def test_days_that_may_be_meant_either_way_are_left_out_until_somebody_says(bring, rows, sale):
    text = "name,price,day\na,,03/04/2026\nb,2.5,05/05/2026\n"
    report = bring(text, app=sale, dry_run=True)
    assert why(report) == {2: {"day": "may be meant with day first or month first: say which"}}
    assert report["notations"] == {} and report["add"] == 1
    for notation, day in (("day first", "2026-04-03"), ("month first", "2026-03-04")):
        report = bring(text, app=sale, notations={"day": notation})
        assert numbers(report) == (2, 0, 0, 0) and report["notations"] == {"day": notation}
        assert rows(sale)[0]["day"] == day


def test_one_odd_value_keeps_a_column_from_being_guessed_but_not_from_being_said(bring, rows, sale):
    text = "name;price\na;12,50\nb;n/a\nc;2.5\n"
    assert why(bring(text, app=sale, dry_run=True))[2] == {"price": "needs a number"}
    report = bring(text, app=sale, notations={"price": "decimal comma"})
    assert {*why(report)} == {3, 4} and rows(sale)[0]["price"] == "12.50"


@pytest.mark.parametrize(
    ("notations", "says"),
    [
        ({"cost": "decimal comma"}, "no field 'cost'"),
        ({"price": "comma"}, "price cannot be written with 'comma'.*'decimal comma'"),
        ({"name": "day first"}, "name cannot be written with 'day first'"),
    ],
)
def test_a_notation_that_nobody_has_is_a_problem(bring, sale, notations, says):
    with pytest.raises(Problem, match=says):
        bring("name,price\na,1\n", app=sale, notations=notations)


# -- rows that are there already ---------------------------------------------------------------


def test_rows_that_match_are_updated_only_where_the_file_says_something(bring, rows):
    bring("title,author_name,stars\nDune,Herbert,5\nEmma,Austen,4\n")
    report = bring("title,stars\nDune,1\nEmma,4\nNew,2\n", match=("title",))
    assert numbers(report) == (1, 1, 1, 0)
    found = {r["title"]: (r["author_name"], r["stars"]) for r in rows()}
    assert found == {"New": ("", 2), "Dune": ("Herbert", 1), "Emma": ("Austen", 4)}


def test_a_row_that_would_not_pass_as_a_whole_is_not_updated(bring):
    bring("title,stars\nDune,1\n")
    assert (
        why(bring("title,stars\nDune,7\n", match=("title",)))[2][""] == "Five stars are the most."
    )


def test_when_two_rows_match_or_come_twice_nothing_is_guessed(bring):
    bring("title\nDune\nDune\nEmma\n")
    report = bring("title,stars\nDune,1\nEmma,2\nEmma,3\n", match=("title",))
    assert numbers(report) == (0, 1, 0, 2)
    assert "2 rows have this title (id 1, 2)" in why(report)[2][""]
    assert "row 3 of the file has the same title" in why(report)[4][""]


def test_numbers_of_rows_count_only_when_somebody_asks(bring, rows):
    bring("title\nDune\n")
    text = "id,title\n1,Changed\n,New\n"
    assert numbers(bring(text, dry_run=True)) == (2, 0, 0, 0)
    assert bring(text, dry_run=True)["ignored"] == ["id"]
    assert numbers(bring(text, match=("id",))) == (1, 1, 0, 0)
    assert [row["title"] for row in rows()] == ["New", "Changed"]


def test_a_profile_neither_sees_nor_changes_rows_of_another(bring, call, rows):
    call("profile_add", name="Shop")
    bring("title\nDune\n")
    assert numbers(bring("id,title\n1,Mine\n", at="shop", match=("id",))) == (1, 0, 0, 0)
    assert [row["title"] for row in rows()] == ["Dune"]


# -- one change, or none -----------------------------------------------------------------------


def test_a_dry_run_says_the_same_and_changes_nothing(bring, rows, house):
    before = house.events.recent(1)
    text = "title,stars\nDune,1\n,2\n"
    report = bring(text, dry_run=True)
    assert not report["done"] and rows() == [] and house.events.recent(1) == before
    assert bring(text) == report | {"done": True}


def test_an_import_is_one_event_and_one_undo_takes_it_back(bring, rows, house, call):
    bring("title,stars\nDune,1\nEmma,1\n")
    kept = rows()
    bring("title,stars\nDune,2\nNew,2\n", match=("title",))
    event = house.events.recent(1)[0]
    assert event["summary"] == "Imported books from t.txt: 1 added, 1 changed"
    assert event["verb"] == "rows_import" and len([*house.events.images(event["id"])]) == 2
    call("undo", event=event["id"])
    assert rows() == kept


def test_nothing_to_do_leaves_no_trace(bring, house):
    bring("title\nDune\n")
    before = house.events.recent(1)
    assert numbers(bring("title\nDune\n", match=("title",))) == (0, 0, 1, 0)
    assert house.events.recent(1) == before


def test_what_is_matched_is_looked_up_and_not_all_that_there_is(house, book, bring, tmp_path):
    bring("title,stars\n" + "".join(f"Book {n},1\n" for n in range(300)))
    (tmp_path / "few.csv").write_text("title,stars\nBook 7,2\nNew,1\n")
    few = Intake(book, house.caller("user"), tmp_path / "few.csv", match=("title",))
    assert numbers(few.read()) == (1, 1, 0, 0) and sum(map(len, few.known.values())) == 1


@pytest.mark.parametrize("name", ["number", "ratio", "price", "done", "day", "at", "size", "tags"])
def test_rows_are_found_by_a_value_of_any_type_or_by_none(plugin, bring, name):
    thing = plugin(THING, "thing").apps[0]
    head = "name,number,ratio,price,done,day,at,size,tags\n"
    text = head + "a,-3,0.1,1.10,true,2026-01-31,2026-01-31T12:00:00+01:00,2,x\nb,4,,,false,,,1,\n"
    assert numbers(bring(text, thing)) == (2, 0, 0, 0)
    assert numbers(bring(text, thing, match=(name, "name"))) == (0, 0, 2, 0)


@pytest.mark.parametrize("match", [("price",), ("day", "price")])
def test_a_price_that_is_written_with_fewer_zeros_finds_its_row(bring, rows, sale, match):
    bring("name,price,day\na,1.50,2026-01-31\nb,20,2026-01-31\n", app=sale)
    again = "name,price,day\nA,1.5,2026-01-31\nB,20.00,2026-01-31\nc,20.0,2026-01-31\n"
    assert numbers(bring(again, sale, match=match)) == (0, 2, 0, 1)
    assert sorted(row["name"] for row in rows(sale)) == ["A", "B"]


def test_given_a_row_changed_since_it_was_read_then_nothing_is_imported(
    bring, book, house, call, rows, tmp_path
):
    bring("title\nDune\nEmma\n")
    path = tmp_path / "t.csv"
    path.write_text("title,stars\nDune,1\nNew,1\n")
    intake = Intake(book, house.caller("user"), path, ["title"])
    intake.read()
    call("book_update", id=1, stars=4)
    with pytest.raises(Conflict, match="changed meanwhile"):
        intake.write("t.csv")
    assert [row["title"] for row in rows()] == ["Dune", "Emma"]


def test_more_rows_than_can_be_held_are_refused_with_the_number(bring, rows, monkeypatch):
    monkeypatch.setattr(intake, "MOST", 2)
    with pytest.raises(Problem, match="more than 2 rows"):
        bring("title\na\nb\nc\n")
    assert rows() == []


def test_a_secret_is_put_away_as_it_comes_in(bring, plugin, house):
    site = plugin(
        """
        from pipulate import CrudApp, Secret

        class Site(CrudApp):
            name: str
            key: Secret | None = None
        """,
        "sites",
    ).apps[0]
    bring("name,key\nshop,hunter2hunter2\n", app=site)
    row = site.rows(house.caller("user"))[1]
    assert row.follow("key") == "hunter2hunter2" and "hunter2h" not in str(vars(row)["key"])
    assert "hunter2h" not in str([*house.events.images(house.events.recent(1)[0]["id"])])


def test_given_a_secret_as_what_rows_are_found_by_then_they_do_not_come_a_second_time(
    bring, plugin, rows
):
    site = plugin(
        "from pipulate import CrudApp, Secret\n\nclass Site(CrudApp):\n    name: str\n"
        "    key: Secret | None = None\n",
        "sites",
    ).apps[0]
    bring("name,key\nshop,hunter2hunter2\n", app=site)
    with pytest.raises(Problem, match="No row is found by its 'key'"):
        bring("name,key\nshop,hunter2hunter2\n", site, match=("key",))
    assert len(rows(site)) == 1


# -- what goes out comes back ------------------------------------------------------------------

plain = st.characters(codec="utf-8", exclude_characters="\0\r\n")
line = st.text(plain, max_size=12)
lead = st.sampled_from(["", "=", "'", "'=", "@", "-", '"', ";", ","])
texts = st.builds("{}{}".format, lead, line)
name = texts.filter(str.strip)
early, late = datetime(2, 1, 1), datetime(9998, 1, 1)
moments = st.datetimes(early, late, timezones=st.timezones())
things = st.lists(
    st.fixed_dictionaries(
        {
            "name": name,
            "note": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
            "number": st.integers(-(2**63) + 1, 2**63 - 1),
            "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "price": st.none() | st.decimals(-9999, 9999, places=3).map(str),
            "done": st.booleans(),
            "day": st.none() | st.dates().map(str),
            "at": st.none() | moments.map(str),
            "shelf": st.sampled_from(["a", "b, c"]),
            "size": st.sampled_from([1, 2]),
            "tags": st.none() | st.lists(name, max_size=3, unique=True),
            "parts": st.none() | st.lists(st.sampled_from("xy"), unique=True),
            "site": st.sampled_from(["", "https://example.org/?a=1,2"]),
            "data": st.none() | st.dictionaries(line, st.integers() | line, max_size=2),
        }
    ),
    min_size=1,
    max_size=8,
)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
fields = st.sampled_from(["name", "note", "number", "price", "at", "tags", "parts", "data", "x"])


def test_whatever_a_file_holds_it_is_taken_or_refused_with_a_reason(plugin, bring):
    app = plugin(THING, "things").apps[0]

    @given(st.lists(st.dictionaries(fields, junk, min_size=1), min_size=1, max_size=5))
    @rules(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
    def taken_or_refused(given_rows):
        try:
            report = bring(json.dumps(given_rows), app=app)
        except Problem as problem:
            assert problem.next_step
            return
        assert report["add"] + report["skip"] == len(given_rows)
        assert all(reason for reasons in why(report).values() for reason in reasons.values())
        json.dumps(report).encode()

    taken_or_refused()


@pytest.mark.parametrize(
    "value",
    ["\0", "\u202eevil", "👩‍👩‍👧", "x" * 5_000_000, "\r", "a\tb"],
    ids=lambda v: repr(v)[:20],
)
def test_odd_text_in_a_cell_is_kept_exactly_or_refused_at_its_field(bring, rows, value):
    first = ",".join(["x" * 900] * 80)  # what a file is, is told from its beginning
    report = bring(f'title,author_name,{first}\nplain,x\n"{value}",y\n')
    assert report["add"] == 2 or why(report)[3].keys() == {"title"}
    assert report["add"] == 1 or rows()[1]["title"] == value


@pytest.mark.parametrize("form", ["csv", "json"])
def test_what_goes_out_comes_back_the_same(plugin, house, bring, rows, call, tmp_path, form):
    app, path = plugin(THING, "things").apps[0], tmp_path / f"out.{form}"
    call("profile_add", name="Copy")

    @given(things, st.booleans())
    @rules(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
    def same(given_rows, raw):
        house.db.execute(f"DELETE FROM {app.table_name}")
        assert why(bring(json.dumps(given_rows), app=app)) == {}
        made = export(app, house.caller("user"), State(), form, raw)
        path.write_text("".join(made.chunks), newline="")
        again = bring(path, app=app, match=("id",), raw=raw)
        assert (numbers(again), why(again)) == ((0, 0, len(given_rows), 0), {})
        bring(path, app=app, raw=raw, at="copy")
        assert rows(app, "copy") == rows(app)

    same()


@pytest.fixture
def elsewhere(tmp_path, run):
    """A house of another home, with the app of every type; other rows have the numbers there."""
    settings = Settings(home=tmp_path / "other", browser=False)
    settings.make_home()
    (settings.folder("apps") / "every.py").write_text(EVERY)
    opened = House(settings)
    caller = opened.caller("user")
    for name in ("Zed", "Zoe"):
        run(opened.tools.call("author_add", {"name": name}, caller))
        run(opened.tools.call("thing_add", {"title": name}, caller))
    yield opened
    run(opened.close())


def named(app, caller):
    """Its rows in their order, with names for the numbers of what they refer to."""
    table = app.rows(caller)(order_by="position")
    known = {(n, str(key)): name for (n, key), name in app.labels(caller, table).items()}
    said = [{n: getattr(row, n) for n in app.fields if n != "key"} for row in table]
    return [{n: known.get((n, str(v)), v) for n, v in row.items()} for row in said]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_every_type_comes_back_in_the_same_app_and_the_same_in_another_home(
    house, plugin, call, bring, elsewhere, tmp_path, form
):
    plugin(EVERY, "every")
    call("author_add", name="= Ann, the 1st #7")
    for row in ROWS:
        call("thing_add", **row, author=1, key="a secret")
    for name in ("author", "thing"):
        app, path = house.shelf.crud(name), tmp_path / f"{name}.{form}"
        made = "".join(export(app, house.caller("user"), State(), form).chunks)
        assert "secret" not in made and "key" not in made
        path.write_text(made, newline="")
        count = len(named(app, house.caller("user")))
        assert numbers(bring(path, app=app, match=("id",))) == (0, 0, count, 0)
        other, caller = elsewhere.shelf.crud(name), elsewhere.caller("user")
        intake = Intake(other, caller, path)
        assert intake.read()["skipped"] == []
        intake.write(path.name)
        assert named(other, caller)[:count] == named(app, house.caller("user"))


def test_a_file_of_another_home_is_not_mistaken_for_the_one_that_has_its_number_here(
    house, plugin, call, bring, elsewhere, tmp_path, run
):
    plugin(EVERY, "every")
    for name, home in (("mine.txt", house), ("yours.txt", elsewhere)):
        (tmp_path / name).write_text(name)
        values = {"title": "x", "paper": str(tmp_path / name)}
        run(home.tools.call("thing_add", values, home.caller("user")))
    app, path = house.shelf.crud("thing"), tmp_path / "out.csv"
    path.write_text("".join(export(app, house.caller("user"), State()).chunks), newline="")
    assert numbers(bring(path, app=app, match=("id",))) == (0, 0, 1, 0)
    intake = Intake(elsewhere.shelf.crud("thing"), elsewhere.caller("user"), path)
    assert "There is no file 'file:1 mine.txt'" in intake.read()["skipped"][0]["why"]["paper"]
