"""The store: one writer, all or nothing, one event per change; and the file it is kept in."""

import os
import stat
import subprocess
import sys
import threading
import time

import apsw
import pytest

from pipulate.core import store
from pipulate.core.events import Events
from pipulate.core.images import unpack
from pipulate.core.problems import Broken, Busy, Conflict, Problem
from pipulate.core.schema import MIGRATIONS
from pipulate.core.store import Database
from pipulate.core.tools import TimeLimit, interrupt

COLUMNS = {
    "id": "INTEGER PRIMARY KEY",
    "profile_id": "INTEGER NOT NULL",
    "title": "TEXT UNIQUE",
    "done": "INTEGER DEFAULT 0",
    "version": "INTEGER NOT NULL DEFAULT 1",
}
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


def events(db):
    return db.all("SELECT * FROM events ORDER BY id")


def images(db):
    return [image for part in db.all("SELECT body FROM images") for image in unpack(part["body"])]


# -- changes and events ----------------------------------------------------------------------


def test_a_write_is_one_event_with_before_and_after(db, mine):
    with db.change(actor="model", verb="book_add", profile_id=1, turn="t1"):
        row = mine.insert(title="a")
    (event,) = events(db)
    told = [event[k] for k in ("actor", "verb", "profile_id", "target", "turn")]
    assert told == ["model", "book_add", 1, "app_books/1", "t1"]
    assert images(db) == [{"table": "app_books", "id": 1, "before": None, "after": row}]


def test_a_batch_is_one_event_with_its_images_packed(db, mine):
    with db.change(summary="Imported"):
        for n in range(100):
            mine.insert(title=f"book {n}")
    (event,) = events(db)
    (part,) = db.all("SELECT * FROM images")
    assert isinstance(part["body"], bytes) and len(part["body"]) < 3_000
    assert len(images(db)) == event["changed"] == 100 and event["target"] == "app_books/1 +99"


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


def test_a_query_is_not_planned_anew_each_time_it_is_asked(db):
    """SQLite did so for each new value: it took thirty times as long as what was asked."""
    reader, log = db._reader(), Events(db)

    def took():
        rounds = []
        for _ in range(5):
            began = time.process_time()
            for _ in range(50):
                log.recent(1)
            rounds.append(time.process_time() - began)
        return min(rounds)

    usual = took()
    reader.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 0)
    assert usual * 3 < took()


def test_an_unlogged_table_leaves_no_image(db):
    db.table("app_books", logged=False).insert(title="a", profile_id=1)
    assert events(db) == []


@pytest.mark.parametrize("held", [False, True])
def test_only_a_soft_change_does_not_wait_for_the_disk(db, mine, monkeypatch, held):
    def waits():
        return db._writer.pragma("synchronous") == 2

    if held:  # nor does one that could not begin leave it so
        monkeypatch.setattr(db, "_writer", Refusing(db._writer))
        with pytest.raises(RuntimeError), db.change(soft=True):
            mine.insert(title="never")
        monkeypatch.undo()
    else:
        with db.change(soft=True):
            mine.insert(title="half of it")
            assert not waits()
    assert waits()
    mine.insert(title="all of it")


class Refusing:
    """A connection that begins nothing."""

    def __init__(self, held):
        self.pragma = held.pragma

    def execute(self, sql):
        raise RuntimeError(sql)


@pytest.fixture(params=["thread", "process"])
def held(request, db):
    """held(): let go of the write lock, which another thread, or another process, has."""
    if request.param == "process":
        hold = [sys.executable, "-c", HOLD, str(db.path)]
        with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            yield process.communicate
        return
    begun, go = threading.Event(), threading.Event()

    def work():
        with db.writing():
            begun.set()
            go.wait(5)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    yield lambda: (go.set(), thread.join())


def test_given_a_thread_stopped_while_it_waits_to_write_then_others_write_on(db, mine, held, until):
    stopped = []

    def wait():
        try:
            mine.insert(title="never")
        except TimeLimit as error:
            stopped.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: sys._current_frames()[waiting.ident].f_code.co_name == "begin")
    interrupt(waiting.ident)
    held()
    waiting.join()
    mine.insert(title="after it")
    assert stopped and [row["title"] for row in mine()] == ["after it"]


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


@pytest.fixture
def searched(db, mine):
    """Twenty books with a search index, as apps/data.py makes it."""
    db.execute("CREATE VIRTUAL TABLE app_books_fts USING fts5 (title)")
    body = "BEGIN INSERT INTO app_books_fts (rowid, title) VALUES (new.id, new.title); END"
    db.execute(f"CREATE TRIGGER app_books_fts_i AFTER INSERT ON app_books {body}")
    mine.insert_many([{"title": f"book {n}"} for n in range(20)])


@pytest.mark.parametrize(("rows", "kept"), [(2, True), (3, False)])
def test_a_search_index_goes_before_a_change_of_much_of_a_table_and_never_else(
    db, mine, searched, monkeypatch, rows, kept
):
    monkeypatch.setattr(store, "MANY", 2)
    mine.delete_many("id <= ?", [rows])
    assert bool(db.columns("app_books_fts")) == kept
    mine.insert(title="after")
    monkeypatch.setattr(store, "MANY", 5_000)
    mine.delete_many("1")
    assert bool(db.columns("app_books_fts")) == kept


def test_many_rows_that_are_added_wait_for_the_next_search_to_enter_them_into_its_index(
    db, mine, searched, monkeypatch
):
    def entered():
        return {row["rowid"] for row in db.all("SELECT rowid FROM app_books_fts")}

    def mark():
        return db.all("SELECT value FROM store WHERE key = 'filled:app_books_fts'")[0]["value"]

    db.execute("INSERT INTO store (key, value) VALUES ('filled:app_books_fts', '-1')")
    monkeypatch.setattr(store, "MANY", 2)
    mine.insert_many([{"title": "one"}])
    assert (mark(), len(entered())) == ("-1", 21)
    mine.insert_many([{"title": "two"}, {"title": "three"}])
    assert (mark(), len(entered())) == ("21", 21)
    mine.insert_many([{"title": "four"}, {"title": "five"}])
    assert mark() == "21", "rows that still wait are not forgotten"
    with pytest.raises(Conflict):
        mine.insert_many([{"title": "six"}, {"title": "two"}])
    assert mine.insert(title="seven")["id"] in entered()


# -- the file --------------------------------------------------------------------------------


def test_after_a_large_change_the_wal_does_not_keep_its_size(tmp_path, monkeypatch):
    monkeypatch.setitem(store.PRAGMAS, "journal_size_limit", 100_000)
    db = Database(tmp_path / "z.db")
    wal = tmp_path / "z.db-wal"
    db.execute("CREATE TABLE big AS SELECT zeroblob(8_000_000) AS body")
    assert wal.stat().st_size > 8_000_000
    for n in range(2):  # it is checkpointed, then begun anew
        db.execute(f"CREATE TABLE small{n} (x)")
    assert wal.stat().st_size < 200_000
    db.close()


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


def test_given_a_full_disk_then_the_store_that_does_not_open_is_not_called_broken(
    tmp_path, monkeypatch
):
    """No room for the files beside the store: the advice is to free some, not to restore."""
    path = tmp_path / "full.db"
    Database(path).close()

    def refuse(self):
        raise apsw.IOError("disk I/O error")

    monkeypatch.setattr(Database, "_connect", refuse)
    monkeypatch.setattr("pipulate.core.store.ROOM", 2**62)
    with pytest.raises(Busy, match="disk is full"):
        Database(path)


def test_given_a_change_at_work_in_another_thread_then_closing_waits_for_it(db):
    begun = threading.Event()

    def slow():
        begun.set()
        time.sleep(0.3)

    db._writer.create_scalar_function("slow", slow, 0)
    thread = threading.Thread(target=db.execute, args=("SELECT slow()",))
    thread.start()
    begun.wait(10)
    db.close()
    thread.join()
