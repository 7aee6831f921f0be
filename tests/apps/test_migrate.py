"""A table follows its class: nothing is lost unasked, a backup is there, one process does it."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys

import pytest

from pipulate.apps.house import House
from pipulate.core.problems import Problem
from pipulate.core.store import Database
from serving import serving

HEAD = """
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from pipulate import Between, CrudApp, Email, File, Ref, Renamed, Secret, Text, Url

class Author(CrudApp):
    name: str

class Maker(CrudApp):
    name: str

class Book(CrudApp):
    title: str
"""


def source(*lines):
    return HEAD + "".join(f"    {line}\n" for line in lines)


@pytest.fixture
def book(plugin, call):
    """book(*lines): the class with these lines of fields and settings; returns its Plugin."""
    return lambda *lines: plugin(source(*lines), "books")


@pytest.fixture
def rows(call):
    return lambda: call("book_list", sort="title")["rows"]


@pytest.fixture
def kept(house):
    """kept(): the stores of the backups that migrations made, as row dictionaries by title."""

    def reading():
        found = sorted(house.settings.folder("backups").glob("*before-books.db"))
        stores = [Database(path) for path in found]
        held = [{r["title"]: r for r in db.all("SELECT * FROM app_books")} for db in stores]
        for db in stores:
            db.close()
        return held

    return reading


# -- what fits is taken along ----------------------------------------------------------------

FITS = [
    ("added", "", None, "stars: int = 3", 3),
    ("added, a list", "", None, "stars: list[str] = ['a', \"it's\"]", ["a", "it's"]),
    ("added, optional", "", None, "stars: date | None = None", None),
    ("added, required", "", None, "stars: str", None),
    ("renamed", "old: int", 5, "stars: Annotated[int, Renamed('old')] = 0", 5),
    ("renamed and retyped", "old: str", "5", "stars: Annotated[int, Renamed('old')] = 0", 5),
    ("removed while empty", "stars: str = ''", "", "", None),
    ("removed, an empty list", "stars: list[str] = []", [], "", None),
    ("another default", "stars: int = 1", 1, "stars: int = 2", 1),
    ("int to str", "stars: int", 12, "stars: str", "12"),
    ("str to int", "stars: str", "12", "stars: int", 12),
    ("blank to int", "stars: str = ''", "", "stars: int = 7", 7),
    ("blank to optional", "stars: str = ''", "", "stars: int | None = None", None),
    ("float to int", "stars: float", 5.0, "stars: int", 5),
    ("int to float", "stars: int", 5, "stars: float", 5.0),
    ("str to decimal", "stars: str", "1.10", "stars: Decimal", "1.10"),
    ("int to bool", "stars: int", 1, "stars: bool", True),
    ("bool to choice", "stars: bool", True, "stars: Literal['true', 'false']", "true"),
    ("bool to str", "stars: bool", False, "stars: str", "false"),
    ("text to date", "stars: Text", "2026-01-31", "stars: date", "2026-01-31"),
    ("str to list", "stars: str", 'a, "b, c"', "stars: list[str]", ["a", "b, c"]),
    ("list to str", "stars: list[str]", ["a", "b"], "stars: str", "a, b"),
    ("str to url", "stars: str", "https://x.org", "stars: Url", "https://x.org"),
    ("name to reference", "stars: str", "Ann", "stars: Ref['author']", 1),
    ("reference to name", "stars: Ref['author']", 1, "stars: str", "Ann"),
    ("to another app", "stars: Ref['author']", 1, "stars: Ref['maker']", 2),
    ("number to reference", "stars: int", 1, "stars: Ref['author']", 1),
    ("str to secret", "stars: str", "hunter2-9876", "stars: Secret", "set, ends …9876"),
]


@pytest.mark.parametrize(
    ("before", "value", "after", "now"), [c[1:] for c in FITS], ids=[c[0] for c in FITS]
)
def test_what_fits_the_new_class_is_taken_along_after_a_backup(
    book, call, rows, kept, house, before, value, after, now
):
    book(before)
    call("author_add", name="Ann")
    for name in ("Bob", "Ann"):
        call("maker_add", name=name)
    name = before.split(":")[0]
    for title in "ab":
        call("book_add", title=title, **({name: value} if name else {}))
    call("book_add", title="of another type", **({name: value} if name else {}))
    assert book(after).problem is None
    assert [row.get("stars") for row in rows()] == [now] * 3
    assert call("book_update", id=1, title="a")["title"] == "a"
    if before.split(":")[0] != after.split(":")[0] or before.split("=")[0] != after.split("=")[0]:
        assert [row["title"] for row in kept()[0].values()] == ["a", "b", "of another type"]
        assert "Books follows its class" in call("history")[0]["summary"]
    else:
        assert kept() == []
    assert "hunter2" not in str(house.db.all("SELECT * FROM app_books"))


def test_what_a_function_makes_for_an_added_field_it_makes_for_each_row(book, call, rows):
    book()
    for title in "abc":
        call("book_add", title=title)
    plugin = book("code: int = __import__('itertools').count(1).__next__")
    assert plugin.problem is None
    assert len({row["code"] for row in rows()}) == 3


def test_a_class_that_is_as_it_was_is_not_looked_at_again(book, call, house, kept):
    book("stars: int = 0")
    call("book_add", title="a")
    events = len(call("history"))
    book("stars: int = 0", "plural = 'books'")
    book("# only a comment", "stars: int = 0")
    assert kept() == [] and len(call("history")) == events
    assert not house.db.all("SELECT 1 FROM events WHERE verb = 'migrate'")


def test_an_empty_table_needs_no_backup(book, kept):
    book("stars: int = 0")
    assert book("rating: str = ''").problem is None
    assert kept() == []


# -- what would be lost is asked about -------------------------------------------------------

LOSES = [
    ("removed", "stars: int", [1, 2, 3], "", "3 of stars", None),
    ("removed list", "stars: list[str]", [["a"], ["b"], ["c"]], "", "3 of stars", None),
    ("str to int", "stars: str", ["1", "many", "3"], "stars: int = 0", "1 of stars", [1, 0, 3]),
    ("bool to choice", "stars: bool", [True, False, True], "stars: Literal['yes', 'no'] = 'no'",
     "3 of stars", ["no"] * 3),
    ("lines to a line", "stars: Text", ["a\nb", "c", "d"], "stars: str = ''", "1 of stars",
     ["", "c", "d"]),
    ("text to date", "stars: str", ["soon", "2026-01-31", "31.1.26"],
     "stars: date | None = None", "2 of stars", [None, "2026-01-31", None]),
    ("float to int", "stars: float", [0.5, 1.0, 2.0], "stars: int = 0", "1 of stars", [0, 1, 2]),
    ("secret to text", "stars: Secret", ["hunter2-hunter2"] * 3, "stars: str = ''",
     "3 of stars", [""] * 3),
    ("nobody of that name", "stars: str", ["Ann", "Zoe", "Ann"],
     "stars: Ref['author'] | None = None", "1 of stars", [1, None, 1]),
    ("a path is no file of the home", "stars: str", ["/etc/passwd"] * 3,
     "stars: File | None = None", "3 of stars", [None] * 3),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "values", "after", "lost", "now"), [c[1:] for c in LOSES], ids=[c[0] for c in LOSES]
)
def test_what_would_be_lost_is_counted_and_stays_until_somebody_accepts_that(
    book, call, rows, kept, house, before, values, after, lost, now
):
    book(before)
    call("author_add", name="Ann")
    for title, value in zip("abc", values, strict=True):
        call("book_add", title=title, stars=value)
    as_it_was = rows()
    found = book(after)
    assert f"would lose values: {lost}." in found.problem.what and kept() == []
    assert rows() == as_it_was  # the last version that worked is at work
    assert call("book_update", id=1, title="a") == as_it_was[0]
    call("plugin_accept", confirmed=True, plugin="books")
    assert found.problem is None or house.shelf.plugins[found.path].problem is None
    assert [row.get("stars") for row in rows()] == (now or [None] * 3)
    assert [row["title"] for row in kept()[0].values()] == ["a", "b", "c"]
    assert all(row["stars"] for row in kept()[0].values() if before != "stars: bool")
    with pytest.raises(Problem, match="Nothing of 'books' waits"):
        call("plugin_accept", confirmed=True, plugin="books")


def test_to_accept_means_that_loss_and_no_other(book, call, house):
    book("stars: str")
    call("book_add", title="a", stars="many")
    book("stars: int = 0")
    call("book_add", title="b", stars="a few")
    with pytest.raises(Problem, match="2 of stars"):  # it was 1 when it was shown
        call("plugin_accept", confirmed=True, plugin="books")
    assert book("stars: float = 0").problem.details["accept"] not in house.accepted


def test_a_model_may_only_ask_for_it(book, call):
    from pipulate.core.problems import Confirm, NeedsApproval

    book("stars: int")
    call("book_add", title="a", stars=1)
    book()
    for actor, refused in (("model", NeedsApproval), ("mcp", NeedsApproval), ("shell", Confirm)):
        with pytest.raises(refused):
            call("plugin_accept", actor=actor, plugin="books")


def test_the_shell_accepts_with_yes(book, call, rows, settings, house):
    book("stars: int")
    call("book_add", title="a", stars=1)
    book()
    command = [sys.executable, "-m", "pipulate", "call", "plugin_accept", "plugin=books", "--yes"]
    done = subprocess.run(
        [*command, "--home", str(settings.home)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    house.shelf._seen = {}
    house.shelf.scan()
    assert rows() == [{"id": 1, "title": "a", "version": 1}]


def test_the_button_beside_the_problem_accepts_the_loss(tmp_path, until):
    file = tmp_path / "home" / "apps" / "books.py"
    file.parent.mkdir(parents=True)
    file.write_text(source("stars: int"))
    with serving(tmp_path / "home") as server:
        server.call("book_add", title="a", stars=1)
        file.write_text(source())
        until(lambda: "would lose values" in server.client.get("/default/plugin/books").text)
        card = server.page("/default/plugin/books")
        press = re.search(r'hx-post="([^"]*plugin_accept)"[^>]*hx-vals=\'([^\']*)\'', card)
        done = server.act("POST", press[1], json.loads(press[2]))
        assert (
            done.status_code == 200
            and server.client.get("/default/plugin/books").status_code == 404
        )
        assert server.call("book_get", id=1) == {"id": 1, "title": "a", "version": 1}
        assert "follows its class: removed stars" in server.page("/default/history")


# -- one file, all or nothing ----------------------------------------------------------------


def test_given_one_class_of_a_file_refused_then_no_class_of_it_was_changed(plugin, call, house):
    two = "from pipulate import CrudApp, Renamed\nfrom typing import Annotated\n"
    two += "class One(CrudApp):\n    {}\nclass Two(CrudApp):\n    {}\n"
    plugin(two.format("a: str", "b: str"))
    call("one_add", a="x")
    call("two_add", b="x")
    renamed = "c: Annotated[str, Renamed('a')]"
    assert "1 of b" in plugin(two.format(renamed, "c: str = 'new'")).problem.what
    assert call("one_add", a="y")["a"] == "y" and call("one_list")["count"] == 2
    call("plugin_accept", confirmed=True, plugin="mine")
    assert call("one_get", id=1)["c"] == "x" and call("two_get", id=1)["c"] == "new"
    events = house.db.all("SELECT target FROM events WHERE verb = 'migrate'")
    assert [event["target"] for event in events] == ["app_ones app_twos"]
    call("undo", event=2)
    assert call("two_list")["count"] == 0


@pytest.mark.parametrize(
    "order", ["stars", "-stars", "stars DESC", "nothing; DROP TABLE app_books"]
)
def test_an_order_that_names_a_removed_field_is_refused_before_anything_changes(
    book, call, rows, order
):
    book("stars: int = 0")
    call("book_add", title="a")
    as_it_was = rows()
    problem = book("pages: int = 0", f"order = {order!r}").problem
    assert "Book: the rows cannot be in the order" in problem.what or "1 of stars" in problem.what
    call("book_update", id=1, stars=0)
    assert rows() == as_it_was


def test_given_a_tool_of_a_taken_name_then_the_table_is_as_it_was(book, call, rows, plugin):
    book("stars: str = ''")
    call("book_add", title="a")
    taken = source("pages: int = 0") + "\nclass Rows(CrudApp):\n    x: str\n"
    assert "exists already (core)" in plugin(taken, "books").problem.what
    assert rows() == [{"id": 1, "title": "a", "stars": "", "version": 1}]
    assert call("book_add", title="b", stars="x")["stars"] == "x"


# -- whose rows ------------------------------------------------------------------------------


def test_rows_become_shared_and_their_own_again(book, call, house):
    call("profile_add", name="Shop")
    book()
    call("book_add", title="mine")
    call("book_add", title="theirs", at="shop")
    call("book_add", title="gone")
    call("book_delete", id=3)
    book("shared = True")
    for at in ("default", "shop"):
        assert call("book_list", at=at)["count"] == 2
    event = next(e["id"] for e in call("history") if e["verb"] == "book_delete")
    call("undo", event=event)
    assert call("book_list", at="shop")["count"] == 3
    call("book_delete", id=3)
    book()
    assert (call("book_list")["count"], call("book_list", at="shop")["count"]) == (2, 0)
    call("undo", event=next(e["id"] for e in call("history") if e["verb"] == "book_delete"))
    assert call("book_list")["count"] == 3


# -- what is around the table ----------------------------------------------------------------


def test_search_and_order_work_on_through_every_change(book, call, monkeypatch, house):
    monkeypatch.setattr("pipulate.apps.data.LARGE", 2)
    book("stars: str", "note: str = ''")
    for title in ("Dune", "Emma", "Persuasion"):
        call("book_add", title=title, stars="many words", note="5")

    def found(q):
        return [row["title"] for row in call("book_list", q=q, sort="-title")["rows"]]

    assert found("words") == ["Persuasion", "Emma", "Dune"] and found("emm") == ["Emma"]
    made = "SELECT name FROM sqlite_master WHERE name LIKE 'app_books%' ORDER BY name"
    before = house.db.all(made)
    assert {"app_books_fts", "app_books_by_title"} <= {row["name"] for row in before}
    book("body: Annotated[Text, Renamed('stars')] = ''", "note: int = 0", "more: str = 'added one'")
    assert found("added words") == ["Persuasion", "Emma", "Dune"]
    call("book_add", title="Sanditon", body="unfinished")
    call("book_update", id=2, body="other things")
    call("book_delete", id=1)
    assert found("words") == ["Persuasion"] and found("unfinish") == ["Sanditon"]
    assert found("other") == ["Emma"] and house.db.all(made) == before
    assert house.db.all("SELECT * FROM pragma_integrity_check")[0]["integrity_check"] == "ok"


def test_a_home_of_the_last_release_is_taken_over(house, plugin, call, kept):
    """It kept no record of the fields; the table is made as that release made it."""
    house.db.define(
        "app_books",
        {
            "id": "INTEGER PRIMARY KEY",
            "profile_id": "INTEGER NOT NULL",
            "position": "REAL NOT NULL DEFAULT 0",
            "version": "INTEGER NOT NULL DEFAULT 1",
            "title": "TEXT",
            "stars": "INTEGER DEFAULT 0",
            "done": "INTEGER DEFAULT 0",
            "gone": "TEXT DEFAULT ''",
        },
    )
    with house.db.change(summary="Added"):
        table = house.db.table("app_books")
        table.insert(profile_id=1, title="Dune", stars=4, done=1)
    plugin(source("stars: str = ''", "done: bool = False", "due: date | None = None"), "books")
    row = {"id": 1, "title": "Dune", "stars": "4", "done": True, "due": None, "version": 1}
    assert call("book_get", id=1) == row and kept()[0]["Dune"]["stars"] == 4
    call("undo", event=1)
    assert call("book_list")["count"] == 0
    call("undo", event=call("history")[0]["id"])
    assert call("book_get", id=1) == row


# -- several processes, and those that die ---------------------------------------------------


def open_home(settings, ready, said):
    try:
        ready.wait(20)
        house = House(settings)
        app = house.shelf.crud("book")
        said.put(sorted((r.title, r.stars) for r in app.rows(house.caller("user"))()))
    except Exception as error:
        said.put(repr(error))


def test_two_processes_that_load_a_changed_class_at_once_change_it_once(
    book, call, house, settings, kept
):
    book("old: str")
    with house.db.change():
        table = house.shelf.crud("book").rows(house.caller("user"))
        table.insert_many([{"title": f"{n:03}", "old": str(n)} for n in range(300)])
    (settings.folder("apps") / "books.py").write_text(
        source("stars: Annotated[int, Renamed('old')] = 0")
    )
    spawn = multiprocessing.get_context("spawn")
    ready, said = spawn.Barrier(2), spawn.Queue()
    children = [spawn.Process(target=open_home, args=(settings, ready, said)) for _ in range(2)]
    for child in children:
        child.start()
    wanted = [(f"{n:03}", n) for n in range(300)]
    assert [said.get(timeout=30) for _ in children] == [wanted, wanted]
    for child in children:
        child.join(10)
    assert len(house.db.all("SELECT 1 FROM events WHERE verb = 'migrate'")) == 1
    house.shelf.scan()  # this process knew the old class all the while
    assert call("book_update", id=1, stars=7)["stars"] == 7
    assert len(kept()) == 1


def die_at(settings, number):
    """Load the apps of a home; kill this process at its nth statement that writes."""
    begin, count = Database.execute, iter(range(number))

    def execute(self, sql, args=()):
        if "app_books" in sql and next(count, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return begin(self, sql, args)

    Database.execute = execute
    House(settings)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_given_a_process_killed_within_the_change_then_the_table_is_as_it_was_and_follows_later(
    open_house, plugin_file, settings, run, number
):
    plugin_file(source("old: str", "gone: str = ''"))
    first = open_house()
    caller = first.caller("user")
    run(first.tools.call("book_add", {"title": "a", "old": "5"}, caller))
    plugin_file(source("stars: Annotated[int, Renamed('old')] = 0", "more: int = 1"))
    spawn = multiprocessing.get_context("spawn")
    child = spawn.Process(target=die_at, args=(settings, number))
    child.start()
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    assert first.db.all("SELECT title, old, gone FROM app_books") == [
        {"title": "a", "old": "5", "gone": ""}
    ]
    second = open_house()
    row = run(second.tools.call("book_get", {"id": 1}, second.caller("user")))
    assert row == {"id": 1, "title": "a", "stars": 5, "more": 1, "version": 1}


@pytest.fixture
def plugin_file(settings):
    settings.make_home()
    return lambda text: (settings.folder("apps") / "books.py").write_text(text)


def test_a_saved_view_follows_a_renamed_field(book, call, house):
    book("old: int = 0")
    where = "f.old=%3E3&sort=-old&cols=title%2Cold"
    call("view_save", app="books", name="good", where=where)
    book("stars: Annotated[int, Renamed('old')] = 0")
    views = house.shelf.crud("books").views(house.caller("user"))
    assert views == {"good": where.replace("old", "stars")}


def test_a_filter_on_a_field_that_is_gone_is_said_instead_of_showing_all(book, house):
    book("stars: int = 0")
    app = house.shelf.crud("books")
    with pytest.raises(Problem, match="gone is no field here"):
        app.where(house.caller("user"), app.state({"f.gone": "1"}))


def test_an_added_row_can_be_undone_after_its_class_lost_a_field_and_got_it_back(book, call, house):
    book("notes: str = ''")
    call("book_add", title="a", notes="x")
    added = house.events.recent(1, 1)[0]["id"]
    book()
    call("plugin_accept", confirmed=True, plugin="books")
    book("notes: str = ''")
    call("undo", event=added)
    assert call("book_list")["count"] == 0
