"""Tables: a handle sees and changes only its scope; and the settings as a dictionary."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import pytest

from pipulate.core.problems import Conflict, Missing, Problem
from pipulate.core.schema import MIGRATIONS
from pipulate.core.store import Database
from pipulate.core.tables import DictLikeDB, Store, quote

COLUMNS = {
    "id": "INTEGER PRIMARY KEY",
    "profile_id": "INTEGER NOT NULL",
    "title": "TEXT UNIQUE",
    "done": "INTEGER DEFAULT 0",
    "version": "INTEGER NOT NULL DEFAULT 1",
}


@pytest.fixture
def db(tmp_path):
    db = Database(tmp_path / "x.db")
    db.execute("".join(MIGRATIONS))
    db.define("app_books", COLUMNS)
    yield db
    db.close()


@pytest.fixture
def books(db):
    return db.table("app_books", scoped=True)


@pytest.fixture
def mine(books):
    return books.xtra(profile_id=1)


@pytest.fixture
def yours(books):
    return books.xtra(profile_id=2)


def events(db):
    return db.all("SELECT * FROM events ORDER BY id")


# -- scope -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb",
    [
        lambda t: t(),
        lambda t: t.count(),
        lambda t: t[1],
        lambda t: 1 in t,
        lambda t: t.insert(title="x", profile_id=1),
        lambda t: t.update(id=1, title="x"),
        lambda t: t.upsert(id=1, title="x", profile_id=1),
        lambda t: t.delete(1),
    ],
    ids=["rows", "count", "row", "in", "insert", "update", "upsert", "delete"],
)
def test_given_a_handle_without_scope_then_every_verb_refuses(books, mine, verb):
    mine.insert(title="there")
    with pytest.raises(Problem, match="per profile") as caught:
        verb(books)
    assert "xtra" in caught.value.next_step
    assert [r["title"] for r in mine()] == ["there"]


def test_given_rows_of_two_profiles_then_neither_sees_or_touches_the_others(mine, yours):
    key = mine.insert(title="mine")["id"]
    yours.insert(title="yours")
    assert [r["title"] for r in mine()] == ["mine"]
    assert mine.count() == 1 and key not in yours
    for touch in (yours.__getitem__, yours.delete, lambda k: yours.update(id=k, title="stolen")):
        with pytest.raises(Missing):
            touch(key)
    with pytest.raises(Conflict):
        yours.upsert(id=key, title="stolen")
    assert mine[key]["title"] == "mine"


@pytest.mark.parametrize("where", ["1=1 OR 1=1", "1 OR 1"])
def test_given_an_or_in_the_condition_then_the_scope_still_holds(mine, yours, where):
    yours.insert(title="yours")
    assert mine(where) == [] and mine.count(where) == 0


@pytest.mark.parametrize("value", ["1 OR 1=1", "1; DROP TABLE app_books", "'", None], ids=repr)
def test_given_sql_as_the_value_of_a_scope_then_it_is_only_a_value(books, mine, value):
    mine.insert(title="mine")
    assert books.xtra(profile_id=value)() == []
    assert mine.count() == 1


@pytest.mark.parametrize("name", ["nonsense", "id=1 OR 1", 'x"; --'])
def test_given_a_scope_on_a_column_that_is_not_there_then_it_is_refused(books, name):
    with pytest.raises(Problem, match="no column"):
        books.xtra(**{name: 1})


def test_xtra_returns_a_new_handle_and_leaves_the_old_one_as_it_was(books, mine):
    mine.insert(title="a", done=True)
    assert mine.xtra(done=0)() == []
    assert mine.count() == 1 and books.scope == {}


def test_a_row_can_neither_be_made_in_nor_moved_to_another_scope(mine, yours):
    key = mine.insert(title="a")["id"]
    with pytest.raises(Problem, match="leave its scope"):
        mine.update(id=key, profile_id=2)
    with pytest.raises(Problem, match="leave its scope"):
        mine.insert(title="b", profile_id=2)
    assert yours.count() == 0 and mine.count() == 1


# -- verbs -----------------------------------------------------------------------------------


@dataclass
class Book:
    title: str
    done: bool = False


@pytest.mark.parametrize(
    "record", [{"title": "a", "done": True}, Book("a", True)], ids=["dict", "dataclass"]
)
def test_insert_takes_a_dict_or_an_object_and_returns_the_row_as_stored(mine, record):
    row = mine.insert(record)
    assert row == {"id": 1, "profile_id": 1, "title": "a", "done": 1, "version": 1} == mine[1]


def test_rows_come_filtered_ordered_and_paged(mine):
    for title in "cab":
        mine.insert(title=title)
    titles = [r["title"] for r in mine("title > ?", ["a"], "title DESC", 1, 1)]
    assert titles == ["b"]
    assert mine.count("title > ?", ["a"]) == 2


def test_values_of_a_condition_may_be_those_a_field_has(mine):
    mine.insert(title="2026-11-28", done=True)
    for value in (date(2026, 11, 28), "2026-11-28"):
        assert mine.count("title = ? AND done = ?", [value, True]) == 1


def test_an_update_touches_only_the_columns_given(mine):
    key = mine.insert(title="a", done=True)["id"]
    row = mine.update(id=key, title="b")
    assert (row["title"], row["done"], row["version"]) == ("b", 1, 2)


def test_an_update_that_changes_nothing_is_no_change(db, mine):
    row = mine.insert(title="a")
    assert mine.update(id=row["id"], title="a") == row
    assert len(events(db)) == 1


def test_upsert_updates_what_is_there_and_inserts_what_is_not(mine):
    row = mine.upsert(title="a")
    mine.upsert(id=row["id"], title="b")
    assert [r["title"] for r in mine()] == ["b"]


def test_delete_returns_the_row_and_it_is_gone(mine):
    row = mine.insert(title="a")
    assert mine.delete(row["id"]) == row
    with pytest.raises(Missing, match="no row 1"):
        mine.delete(row["id"])


def test_given_a_column_nobody_has_then_the_nearest_is_named(mine):
    with pytest.raises(Problem) as caught:
        mine.insert(titel="x")
    assert caught.value.next_step == "Did you mean 'title'?"


def test_given_a_stale_version_then_both_versions_come_back_and_nothing_is_saved(mine):
    row = mine.insert(title="a")
    mine.update(id=row["id"], version=1, title="theirs")
    with pytest.raises(Conflict) as caught:
        mine.update(id=row["id"], version=1, title="mine")
    details = caught.value.details
    assert (details["mine"], details["theirs"]) == ({"title": "mine"}, {"title": "theirs"})
    assert mine[row["id"]]["title"] == "theirs"
    mine.update(id=row["id"], version=details["version"], title="mine")


def test_given_a_value_the_table_refuses_then_a_conflict_and_nothing_is_saved(mine):
    mine.insert(title="a")
    with pytest.raises(Conflict, match="UNIQUE"):
        mine.insert(title="a")
    assert mine.count() == 1


def test_many_rows_change_each_to_its_own_values_or_none_does(db, mine, yours):
    one, two = (mine.insert(title=title) for title in ("one", "two"))
    mine.update_each([(one, {"title": "1"}), (two, {"done": 1})])
    assert [(r["title"], r["done"], r["version"]) for r in mine()] == [("1", 0, 2), ("two", 1, 2)]
    fresh, theirs = mine[two["id"]], yours.insert(title="yours")
    for stale in (one, theirs):
        with pytest.raises(Conflict, match="changed meanwhile"):
            mine.update_each([(fresh, {"title": "2"}), (stale, {"title": "x"})])
    assert mine.keys(order_by="id DESC") == [two["id"], one["id"]]
    assert (mine[two["id"]]["title"], yours[theirs["id"]]["title"]) == ("two", "yours")


@pytest.mark.parametrize("name", ["a b", "1a", 'a"b', "", "ü", "a;b"])
def test_only_plain_names_become_sql(name):
    with pytest.raises(Problem):
        quote(name)


# -- the settings dictionary -----------------------------------------------------------------


@pytest.fixture
def prefs(db):
    table = db.table("store", pk="key", scoped=True, logged=False)
    return DictLikeDB(table.xtra(scope="1"), Store)


@pytest.mark.parametrize("value", ["x", 1, 1.5, None, True, [1, {"a": None}], {}], ids=repr)
def test_a_setting_is_any_json_value(prefs, value):
    prefs["k"] = value
    assert prefs["k"] == value and type(prefs["k"]) is type(value)


def test_it_is_a_dictionary(prefs):
    prefs["b"], prefs["a"] = 2, 1
    assert "a" in prefs and "z" not in prefs
    assert list(prefs) == list(prefs.keys()) == ["a", "b"] and len(prefs) == 2
    assert prefs.values() == [1, 2] and prefs.items() == [("a", 1), ("b", 2)]
    assert prefs.get("z") is None and prefs.get("z", 3) == 3 and prefs.get("a") == 1
    prefs["a"] = 9
    del prefs["b"]
    assert prefs.items() == [("a", 9)]
    for ask in (lambda: prefs["z"], lambda: prefs.__delitem__("z")):
        with pytest.raises(KeyError, match="z"):
            ask()


def test_given_one_name_in_two_scopes_then_each_keeps_its_own_value(db, prefs):
    other = DictLikeDB(db.table("store", pk="key", scoped=True).xtra(scope="2"))
    prefs["model"], other["model"] = "mine", "yours"
    prefs["model"] = "another"
    assert (prefs["model"], other["model"]) == ("another", "yours")
    del prefs["model"]
    assert "model" not in prefs and other["model"] == "yours"


def test_scopes_do_not_see_each_other(db, prefs):
    other = DictLikeDB(db.table("store", pk="key", scoped=True).xtra(scope="2"))
    prefs["k"], other["k"] = 1, 2
    assert (prefs["k"], other["k"], len(prefs)) == (1, 2, 1)


def test_a_secret_is_given_only_to_who_asks_by_name_and_stays_secret(prefs, db):
    prefs.set("token", "abcdefgh1234", secret=True)
    prefs["token"] = "abcdefgh5678"
    assert prefs["token"] == prefs.get("token") == "abcdefgh5678"
    assert prefs.items() == [("token", "set, ends …5678")]
    assert "abcdefgh" not in f"{prefs.values()} {prefs.items()} {prefs!r}"
    assert events(db) == []


def test_a_short_secret_is_not_shown_whole(prefs):
    prefs.set("pin", "1234", secret=True)
    assert "1234" not in str(prefs.items())


def test_given_none_for_conditions_values_or_order_then_they_are_left_out(mine):
    for title in ("B", "A"):
        mine.insert(title=title)
    assert [row["title"] for row in mine(None, None, "title")] == ["A", "B"]
    assert len(mine(None, None, None)) == 2


def test_given_two_threads_that_set_a_new_key_at_once_then_neither_is_refused(prefs):
    start = threading.Barrier(2)

    def setting(value):
        for key in "abcdefgh":
            start.wait(5)
            prefs[key] = value

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(setting, n) for n in (1, 2)]:
            done.result()
    assert len(prefs) == 8


def test_rows_are_found_by_their_keys_without_a_walk_through_all_of_the_profile(db, monkeypatch):
    db.define("app_notes", COLUMNS | {"position": "REAL"})
    notes, plain, plans = db.table("app_notes", scoped=True).xtra(profile_id=1), db.all, []
    made = [notes.insert(title=f"{n}") for n in range(3)]

    def explained(sql, args=()):
        plans.extend(row["detail"] for row in plain(f"EXPLAIN QUERY PLAN {sql}", args))
        return plain(sql, args)

    monkeypatch.setattr(db, "all", explained)
    assert [row["title"] for row in notes.these([1, 3])] == ["0", "2"]
    assert 2 in notes and 4 not in notes
    notes.update_each([(row, {"done": 1}) for row in made])
    searches = [step for step in plans if "app_notes" in step]
    assert len(searches) == 4
    assert {*searches} == {"SEARCH app_notes USING INTEGER PRIMARY KEY (rowid=?)"}
