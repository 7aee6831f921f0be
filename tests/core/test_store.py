"""The store: scope, verbs, versions, one writer, one event per change; and the settings dictionary."""

import os
import stat
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import dataclass

import pytest

from pipulate.core import store
from pipulate.core.problems import Broken, Busy, Conflict, Missing, Problem
from pipulate.core.store import Database, DictLikeDB, Store, quote

COLUMNS = {
    "id": "INTEGER PRIMARY KEY",
    "profile_id": "INTEGER NOT NULL",
    "title": "TEXT UNIQUE",
    "done": "INTEGER DEFAULT 0",
    "version": "INTEGER NOT NULL DEFAULT 1",
}
LOG = """CREATE TABLE events (id INTEGER PRIMARY KEY, at_utc, profile_id, actor, verb, target,
    summary, images, turn, undo_of)"""
HOLD = """
import apsw, sys
db = apsw.Connection(sys.argv[1])
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def db(tmp_path):
    db = Database(tmp_path / "x.db")
    db.execute(LOG)
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


def images(event):
    import json

    packed = event["images"]
    return json.loads(zlib.decompress(packed) if isinstance(packed, bytes) else packed)


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


@pytest.mark.parametrize("name", ["a b", "1a", 'a"b', "", "ü", "a;b"])
def test_only_plain_names_become_sql(name):
    with pytest.raises(Problem):
        quote(name)


# -- changes and events ----------------------------------------------------------------------


def test_a_write_is_one_event_with_before_and_after(db, mine):
    with db.change(actor="model", verb="book_add", profile_id=1, turn="t1"):
        row = mine.insert(title="a")
    (event,) = events(db)
    told = [event[k] for k in ("actor", "verb", "profile_id", "target", "turn")]
    assert told == ["model", "book_add", 1, "app_books/1", "t1"]
    assert images(event) == [{"table": "app_books", "id": 1, "before": None, "after": row}]


def test_a_batch_is_one_event_with_its_images_packed(db, mine):
    with db.change(summary="Imported"):
        for n in range(100):
            mine.insert(title=f"book {n}")
    (event,) = events(db)
    assert isinstance(event["images"], bytes) and len(event["images"]) < 3_000
    assert len(images(event)) == 100 and event["target"] == "app_books/1 +99"


def test_given_an_exception_in_a_change_then_neither_rows_nor_event_remain(db, mine):
    with pytest.raises(ZeroDivisionError), db.change():
        mine.insert(title="a")
        with db.change(verb="inner"):
            mine.insert(title="b")
        raise ZeroDivisionError
    assert mine() == [] and events(db) == []
    assert mine.insert(title="a")["id"] == 1


def test_inside_a_change_its_own_rows_are_seen_and_outside_not_yet(db, mine):
    seen = []
    with db.change():
        mine.insert(title="a")
        outside = threading.Thread(target=lambda: seen.append(mine.count()))
        outside.start()
        outside.join()
        seen.append(mine.count())
    assert seen == [0, 1]


def test_listeners_hear_of_an_event_after_it_is_saved_and_never_of_a_failed_one(db, mine):
    heard = []
    db.on_event.append(lambda event: heard.append((event["id"], len(events(db)))))
    mine.insert(title="a")
    with pytest.raises(Conflict):
        mine.insert(title="a")
    assert heard == [(1, 1)]


def test_an_unlogged_table_leaves_no_image(db):
    db.table("app_books", logged=False).insert(title="a", profile_id=1)
    assert events(db) == []


def test_given_two_threads_writing_then_no_row_and_no_event_is_lost(db, mine):
    failed = []

    def write(name):
        try:
            for n in range(40):
                mine.insert(title=f"{name} {n}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and mine.count() == 80 == len(events(db))


@pytest.fixture
def holder(db):
    """Another process that holds the store for itself until told to let go."""
    command = [sys.executable, "-c", HOLD, str(db.path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_given_another_process_writing_for_a_moment_then_ours_waits_and_is_saved(mine, holder):
    threading.Timer(0.3, holder.stdin.close).start()
    assert mine.insert(title="a")["id"] == 1


@pytest.mark.parametrize("wait", [0.3, pytest.param(5.0, marks=pytest.mark.long)])
def test_given_another_process_that_does_not_let_go_then_busy_after_the_wait(
    db, holder, monkeypatch, wait
):
    assert store.WAIT == 5.0
    monkeypatch.setattr(store, "WAIT", wait)
    ours = Database(db.path)
    books, began = ours.table("app_books"), time.monotonic()
    with pytest.raises(Busy, match="not saved"):
        books.insert(title="a", profile_id=1)
    assert 0.8 * wait < time.monotonic() - began < wait + 1.5
    holder.communicate("\n")
    assert books.insert(title="a", profile_id=1)["id"] == 1 and len(events(db)) == 1
    ours.close()


def test_given_a_later_column_then_it_is_added_and_old_rows_have_its_default(db, mine):
    mine.insert(title="a")
    db.define("app_books", COLUMNS | {"stars": "INTEGER DEFAULT 3"})
    assert mine[1]["stars"] == 3
    assert mine.update(id=1, stars=4)["stars"] == 4


# -- the file --------------------------------------------------------------------------------


def test_under_a_usual_umask_the_store_is_private_its_wal_included(db, mine):
    mine.insert(title="a")
    files = [db.path, *(db.path.with_name(f"x.db{s}") for s in ("-wal", "-shm"))]
    assert [oct(stat.S_IMODE(f.stat().st_mode)) for f in files] == ["0o600"] * 3


@pytest.mark.parametrize(
    "content", [b"hello, world, this is text", b"SQLite format 3", b"\0" * 4096], ids=repr
)
def test_given_a_file_that_is_no_store_then_broken_and_it_stays_as_it_is(tmp_path, content):
    path = tmp_path / "y.db"
    path.write_bytes(content)
    with pytest.raises(Broken):
        Database(path)
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["y.db"]


def test_given_a_store_of_a_newer_version_then_broken_and_it_stays_as_it_is(tmp_path):
    path = tmp_path / "y.db"
    db = Database(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    content = path.read_bytes()
    with pytest.raises(Broken, match="newer") as caught:
        Database(path, latest=6)
    assert "older backup" in caught.value.next_step and path.read_bytes() == content


def test_given_the_file_is_deleted_while_open_then_no_empty_store_appears_in_its_place(db, mine):
    mine.insert(title="a")
    for path in db.path.parent.glob("x.db*"):
        path.unlink()
    caught = []

    def read():
        try:
            mine()
        except Problem as problem:
            caught.append(type(problem))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert caught == [Broken] and not db.path.exists()


# -- the settings dictionary -----------------------------------------------------------------


@pytest.fixture
def prefs(db):
    db.execute("CREATE TABLE store (scope, key, value, secret, PRIMARY KEY (scope, key))")
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
