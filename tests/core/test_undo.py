"""Undo: exactly what was there before, or a Conflict that changes nothing and lets one choose."""

import json
import time

import pytest
from hypothesis import example, given, settings, strategies as st

from pipulate.core.events import Events
from pipulate.core.images import PART, fold
from pipulate.core.problems import Conflict, Problem
from pipulate.core.schema import MIGRATIONS
from pipulate.core.store import Database, quote

COLUMNS = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "profile_id": "INTEGER NOT NULL",
    "position": "REAL NOT NULL DEFAULT 0",
    "version": "INTEGER NOT NULL DEFAULT 1",
    "title": "TEXT",
    "isbn": "TEXT UNIQUE",
    "rating": "INTEGER",
}


def open_books(folder):
    db = Database(folder / "x.db")
    db.execute("".join(MIGRATIONS))
    db.define("app_books", COLUMNS)
    return db


@pytest.fixture
def db(tmp_path):
    db = open_books(tmp_path)
    yield db
    db.close()


@pytest.fixture
def books(db):
    return db.table("app_books").xtra(profile_id=1)


@pytest.fixture
def dune(books):
    return books.insert(title="Dune", isbn="1", rating=3)


@pytest.fixture
def event(db):
    """event(function): run it as one event; returns the event's id."""

    def running(function):
        with db.change(actor="user", profile_id=1, summary="It"):
            function()
        return newest(db)

    return running


@pytest.fixture
def undo(db):
    """undo(event=…, on_conflict): take it back, else the newest."""

    def undoing(event=0, on_conflict="refuse"):
        return Events(db).undo([event or newest(db)], 1, "user", on_conflict)

    return undoing


def newest(db):
    return db.all("SELECT max(id) AS id FROM events")[0]["id"]


def content(table):
    """All rows as they are, but for their versions."""
    return [{k: v for k, v in row.items() if k != "version"} for row in table(order_by="id")]


# -- what was comes back ---------------------------------------------------------------------


def add(books, dune):
    books.insert(title="Emma")


def update(books, dune):
    books.update(id=dune["id"], title="Dune 2", rating=None)


def delete(books, dune):
    books.delete(dune["id"])


def several(books, dune):
    books.insert(title="Emma", isbn="2")
    books.update(id=dune["id"], title="one", isbn="3")
    books.update(id=dune["id"], title="two")
    books.delete(dune["id"])
    books.insert(title="Dune again", isbn="1")


def swap(books, dune):
    other = books.insert(title="Emma", isbn="2")
    books.update(id=dune["id"], isbn="0")
    books.update(id=other["id"], isbn="1")


def import_many(books, dune):
    many = ({"title": f"book {n}", "isbn": f"i{n}", "rating": None} for n in range(2 * PART + 1))
    books.insert_many([*many])


def clear_all(books, dune):
    import_many(books, dune)
    books.delete_many("1")


VERBS = [add, update, delete, several, swap, import_many, clear_all]


@pytest.mark.parametrize("verb", VERBS, ids=lambda v: v.__name__)
def test_undo_puts_back_what_was_and_redo_does_it_again(books, dune, event, undo, verb):
    before = content(books)
    event(lambda: verb(books, dune))
    after = content(books)
    for wanted in (before, after, before, after):
        undo()
        assert content(books) == wanted


def test_an_undo_is_one_event_however_many_rows(db, books, dune, event, undo):
    first = event(lambda: import_many(books, dune))
    undo()
    row = db.one("SELECT * FROM events ORDER BY id DESC")
    assert (newest(db), row["deleted"]) == (first + 1, 2 * PART + 1)


@pytest.mark.long
def test_a_hundred_thousand_rows_are_undone_and_redone_in_five_seconds_each(books, undo):
    books.insert_many([{"title": f"book {n}", "isbn": f"{n}"} for n in range(100_000)])
    for count in (0, 100_000, 0, 100_000):
        start = time.process_time()
        undo()
        assert time.process_time() - start < 5 and books.count() == count


# -- later changes ---------------------------------------------------------------------------


def clash(dune, field, mine, theirs, why):
    about = {"table": "app_books", "id": dune["id"], "why": why}
    return {**about, "field": field, "mine": mine, "theirs": theirs}


def retitled(books, dune):
    books.update(id=dune["id"], title="Later")


def put_back(books, dune):
    books.insert({**dune, "title": "Later"})


LATER = {  # what was done, what was done later, which fields clash (mine, theirs, why)
    "the same field was changed": (update, retitled, {"title": ("Dune", "Later", "changed")}),
    "the row was deleted": (
        update,
        delete,
        {"title": ("Dune", None, "deleted"), "rating": (3, None, "deleted")},
    ),
    "the row was put back": (delete, put_back, {"title": ("Dune", "Later", "put back")}),
}


@pytest.fixture(params=LATER.values(), ids=LATER)
def met(request, books, dune, event):
    """(the event to undo, the clashes it meets)"""
    verb, later, fields = request.param
    done = event(lambda: verb(books, dune))
    later(books, dune)
    return done, [clash(dune, field, *told) for field, told in fields.items()]


def test_given_a_later_change_then_undo_refuses_and_lists_both_values(db, books, met, undo):
    done, clashes = met
    before, last = content(books), newest(db)
    with pytest.raises(Conflict, match="since") as caught:
        undo(done)
    assert caught.value.details == {"clashes": clashes, "count": len(clashes)}
    assert content(books) == before and newest(db) == last


def test_given_a_later_change_when_undone_all_the_same_then_it_is_overwritten(
    books, met, dune, undo
):
    undo(met[0], "overwrite")
    assert content(books) == [{k: v for k, v in dune.items() if k != "version"}]


def test_given_an_empty_field_of_a_row_that_was_put_back_was_filled_then_that_is_a_later_change(
    books, event, undo
):
    emma = books.insert(title="Emma", isbn="2")
    done = event(lambda: books.delete(emma["id"]))
    books.insert({**emma, "rating": 5})
    with pytest.raises(Conflict) as caught:
        undo(done)
    assert caught.value.details["clashes"] == [clash(emma, "rating", None, 5, "put back")]
    undo(done, "overwrite")
    assert books[emma["id"]]["rating"] is None


def test_given_a_later_change_when_the_rest_is_undone_then_it_is_kept(books, dune, event, undo):
    done = event(lambda: update(books, dune))
    retitled(books, dune)
    assert undo(done, "skip") == "Undid: It (1 later change kept)"
    row = books[dune["id"]]
    assert (row["title"], row["rating"], row["version"]) == ("Later", 3, 4)


@pytest.mark.parametrize("later", [delete, put_back], ids=lambda v: v.__name__)
def test_given_nothing_but_later_changes_when_the_rest_is_undone_then_a_problem_says_so(
    books, dune, event, undo, later
):
    done = event(lambda: (update if later is delete else delete)(books, dune))
    later(books, dune)
    before = content(books)
    with pytest.raises(Problem, match=r"nothing left to take back \(\d later change"):
        undo(done, "skip")
    assert content(books) == before


def test_given_a_row_that_was_added_and_filled_later_then_undo_of_the_add_refuses(
    books, event, undo
):
    done = event(lambda: books.insert(title="Emma"))
    (row,) = books()
    books.update(id=row["id"], rating=5)
    with pytest.raises(Conflict, match="rating of books/1 was changed since"):
        undo(done)
    undo(done, "overwrite")
    assert content(books) == []


def test_given_a_row_that_was_added_and_moved_later_then_it_is_no_conflict(books, event, undo):
    done = event(lambda: books.insert(title="Emma"))
    books.update(id=1, position=9)
    undo(done)
    assert content(books) == []


@pytest.mark.parametrize("more", [add, import_many], ids=lambda v: v.__name__)
def test_given_the_last_row_was_deleted_and_others_added_then_it_comes_back_beside_them(
    books, dune, event, undo, more
):
    done = event(lambda: delete(books, dune))
    more(books, dune)
    count = books.count()
    undo(done)
    assert books.count() == count + 1 and books[dune["id"]]["title"] == "Dune"


def test_given_another_field_changed_later_then_undo_leaves_that_alone(books, dune, event, undo):
    done = event(lambda: retitled(books, dune))
    books.update(id=dune["id"], rating=5)
    undo(done)
    row = books[dune["id"]]
    assert (row["title"], row["rating"], row["version"]) == ("Dune", 5, 4)


def test_given_the_field_is_as_it_was_again_then_that_is_no_conflict(books, dune, event, undo):
    done = event(lambda: update(books, dune))
    books.update(id=dune["id"], title="Dune")
    undo(done)
    assert books[dune["id"]]["rating"] == 3
    again = event(lambda: retitled(books, dune))
    books.update(id=dune["id"], title="Dune")
    with pytest.raises(Problem, match="all is as it was"):
        undo(again)


def test_given_a_row_that_a_batch_left_as_it_was_and_that_was_deleted_later_then_it_stays_deleted(
    books, dune, event, undo
):
    emma = books.insert(title="Emma", rating=5)
    done = event(lambda: books.update_many("1", rating=5))
    books.delete(emma["id"])
    assert undo(done) == "Undid: It"
    assert [row["title"] for row in content(books)] == ["Dune"]
    assert books[dune["id"]]["rating"] == 3


def test_given_one_row_of_a_batch_in_the_way_then_nothing_of_it_is_undone(
    db, books, dune, event, undo
):
    done = event(lambda: (import_many(books, dune), retitled(books, dune)))
    books.update(id=dune["id"], title="Mine")
    last, count = newest(db), books.count()
    with pytest.raises(Conflict):
        undo(done)
    assert (newest(db), books.count()) == (last, count)


def test_given_thousands_of_clashes_then_all_are_counted_and_twenty_listed(
    books, dune, event, undo
):
    done = event(lambda: import_many(books, dune))
    books.update_many("1", rating=1)
    with pytest.raises(Conflict, match="and 2,000 more") as caught:
        undo(done)
    assert len(caught.value.details["clashes"]) == 20


def test_given_a_field_changed_twice_and_once_later_then_the_clash_is_one_with_its_first_value(
    books, dune, event, undo
):
    def twice():
        books.update(id=dune["id"], title="Two")
        books.update(id=dune["id"], title="Three")

    done = event(twice)
    retitled(books, dune)
    with pytest.raises(Conflict) as caught:
        undo(done)
    assert caught.value.details["clashes"] == [clash(dune, "title", "Dune", "Later", "changed")]


def test_given_a_unique_value_taken_meanwhile_then_undo_refuses_and_takes_nobodys_row(
    books, dune, event, undo
):
    done = event(lambda: books.update(id=dune["id"], isbn="2"))
    books.insert(title="Emma", isbn="1")
    before = content(books)
    with pytest.raises(Conflict):
        undo(done, "overwrite")
    assert content(books) == before


# -- a class that changed --------------------------------------------------------------------


def drop(db, column):
    db.execute(f"ALTER TABLE app_books DROP COLUMN {quote(column)}")
    db._columns.clear()


def rename(db, old, new, **renamed):
    db.execute(f"ALTER TABLE app_books RENAME COLUMN {old} TO {new}")
    db._columns.clear()
    value = json.dumps(renamed | {old: new})
    sql = "INSERT OR REPLACE INTO store (key, value) VALUES ('renamed:app_books', ?)"
    db.execute(sql, [value])


@pytest.mark.parametrize("verb", [update, delete], ids=lambda v: v.__name__)
def test_given_a_field_that_is_gone_then_the_rest_comes_back_and_the_summary_says_so(
    db, books, dune, event, undo, verb
):
    done = event(lambda: verb(books, dune))
    drop(db, "rating")
    assert undo(done) == "Undid: It (without rating, which is no field any more)"
    assert books[dune["id"]]["title"] == "Dune"
    assert undo() == "Redid: It"


def test_given_nothing_but_a_gone_field_then_a_problem_says_so(db, books, dune, event, undo):
    done = event(lambda: books.update(id=dune["id"], rating=1))
    drop(db, "rating")
    with pytest.raises(Problem, match="without rating, which is no field any more"):
        undo(done)


@pytest.mark.parametrize("verb", [update, delete], ids=lambda v: v.__name__)
def test_given_a_field_renamed_twice_then_old_values_come_back_under_the_new_name(
    db, books, dune, event, undo, verb
):
    done = event(lambda: verb(books, dune))
    rename(db, "rating", "stars")
    rename(db, "stars", "points", rating="stars")
    undo(done)
    assert books[dune["id"]]["points"] == 3
    undo()
    assert dune["id"] not in books or books[dune["id"]]["points"] is None


def test_given_a_field_renamed_and_another_of_the_old_name_then_newer_events_keep_theirs(
    db, books, dune, event, undo
):
    rename(db, "rating", "stars")
    db.define("app_books", {**COLUMNS, "stars": "INTEGER"})
    done = event(lambda: books.update(id=dune["id"], rating=7))
    undo(done)
    assert (books[dune["id"]]["rating"], books[dune["id"]]["stars"]) == (None, 3)


def test_given_the_table_is_gone_then_a_problem_says_so(db, books, event, undo):
    done = event(lambda: books.insert(title="Emma"))
    db.execute("DROP TABLE app_books")
    db._columns.clear()
    with pytest.raises(Problem, match="without books, which is no field any more"):
        undo(done)


# -- any order of anything -------------------------------------------------------------------

PLACE = st.integers(0, 5)
START = [("insert", "a"), ("insert", "b"), ("update", 0, "title", "c")]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.sampled_from("abc")),
        st.tuples(st.just("update"), PLACE, st.just("title"), st.sampled_from("abc")),
        st.tuples(st.just("update"), PLACE, st.just("rating"), PLACE),
        st.tuples(st.just("delete"), PLACE),
        st.tuples(st.just("undo"), PLACE, st.just("refuse")),
        st.tuples(st.just("undo"), PLACE, st.sampled_from(["skip", "overwrite"])),
        st.tuples(st.just("undo both"), PLACE, PLACE),
    ),
    min_size=2,
    max_size=16,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    db = open_books(tmp_path_factory.mktemp("store"))
    db._writer.pragma("synchronous", 0)
    yield db
    db.close()


def do(db, books, step):
    """One step; returns the ids of the events it tries to take back."""
    keys = [row["id"] for row in books(order_by="id")]
    events = [e["id"] for e in Events(db).recent(1) if e["kept"]]
    verb, place, *rest = step
    if verb == "insert":
        books.insert(title=place)
    elif verb.startswith("undo"):
        both = place, *(rest if verb == "undo both" else ())
        chosen = [events[n % len(events)] for n in both] if events else [0]
        Events(db).undo(chosen, 1, "user", *(rest if verb == "undo" else ()))
        return chosen
    elif keys and verb == "update":
        books.update({"id": keys[place % len(keys)], rest[0]: rest[1]})
    elif keys:
        books.delete(keys[place % len(keys)])
    return []


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
@example(  # a change to what an undo had had on its way was lost without a word
    steps=[
        *(("insert", "a"), ("update", 0, "title", "a"), ("undo both", 0, 2), ("delete", 0)),
        *(("undo", 1, "overwrite"), ("update", 0, "title", "c"), ("undo", 1, "refuse")),
    ]
)
def test_any_sequence_brings_back_exactly_what_was_or_changes_nothing(store, steps):
    for table in ("app_books", "events", "images", "undone"):
        store.execute(f"DELETE FROM {table}")
    books = store.table("app_books").xtra(profile_id=1)
    was = {}  # event → the content before it
    for step in START + steps:
        before, last = content(books), newest(store) or 0
        try:
            taken = do(store, books, step)
        except Problem:
            assert (content(books), newest(store) or 0) == (before, last)
            continue
        now = content(books)
        assert (newest(store) or 0) - last == 1 or now == before, "a change is one event"
        was[newest(store)] = was.get(newest(store), before)
        if taken and max(taken) == last and step[-1] != "skip" and step[0] == "undo":
            assert now == was[last], "the newest event taken back: all is as before it"
        if taken and step[-1] in ("refuse", *range(9)):
            cells_are_as_before(store, taken, before, now)


def cells_are_as_before(db, taken, then, now):
    """Every cell that the events changed holds what was there before the first of them; and what

    one event left there was not changed by a later one that nobody agreed to lose."""
    old, new = ({row["id"]: row for row in rows} for rows in (then, now))
    for image in fold(Events(db).images(*sorted(taken))):
        for name, ends in image["fields"].items():
            key = image["id"]
            assert new.get(key, {}).get(name) == ends[0]
            assert len(taken) > 1 or old.get(key, {}).get(name) in ends
