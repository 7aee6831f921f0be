"""The data model: what the first start makes, and what the store itself refuses."""

import zlib

import apsw
import pytest

from pipulate.core.backups import open_store
from pipulate.core.events import Events
from pipulate.core.schema import MIGRATIONS
from pipulate.core.store import Database, now

TABLES = "approvals attempts events files images messages old_slugs profiles runs secrets store"


@pytest.fixture
def db(settings):
    settings.make_home()
    db = open_store(settings)
    yield db
    db.close()


def test_given_a_new_home_then_every_script_has_run_once(db):
    own = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    assert {r["name"] for r in db.all(own)} == {*TABLES.split(), "undone", "records"}
    assert db.all("PRAGMA user_version") == [{"user_version": len(MIGRATIONS)}]


def test_given_a_home_of_today_when_it_is_opened_again_then_nothing_is_backed_up(db, settings):
    open_store(settings).close()
    assert list(settings.folder("backups").iterdir()) == []


def attempt(db, state):
    values = ("greet", state, "k", "{}", "owner", now())
    columns = "run_id, step, state, key, inputs, owner, started_utc"
    db.execute(f"INSERT INTO attempts ({columns}) VALUES (1, ?, ?, ?, ?, ?, ?)", values)


def test_one_step_of_a_run_has_at_most_one_running_attempt(db):
    run = "INSERT INTO runs (id, profile_id, pipeline, created_utc) VALUES (1, 1, 'hello', ?)"
    db.execute(run, (now(),))
    attempt(db, "done")
    attempt(db, "running")
    with pytest.raises(Exception, match="UNIQUE"):
        attempt(db, "running")
    attempt(db, "done")


def test_an_attempt_needs_its_run(db):
    with pytest.raises(Exception, match="FOREIGN KEY"):
        attempt(db, "done")


def test_the_number_of_a_profile_is_never_given_again(db):
    add = "INSERT INTO profiles (slug, name, position) VALUES ('x', 'X', 1) RETURNING id"
    first = db.execute(add)
    db.execute("DELETE FROM profiles")
    assert db.execute(add)[0]["id"] > first[0]["id"]


OLD_EVENTS = [  # id, verb, target, images, undo_of
    (1, "task_add", "app_tasks/1", '[{"table": "app_tasks", "id": 1, "before": null}]', None),
    (2, "undo", "app_tasks/1", '[{"table": "app_tasks", "id": 1, "after": null}]', 1),
    (3, "task_delete", "app_tasks/2 +1", zlib.compress(b'[{"id": 2}, {"id": 3}]'), None),
    (4, "run_done", "runs/1/greet", None, None),
]


@pytest.fixture
def old(settings):
    """A home of schema 1 with some history."""
    settings.make_home()
    store = Database(settings.database)
    store.execute(MIGRATIONS[0])
    store.execute("PRAGMA user_version = 1")
    store.execute("INSERT INTO profiles VALUES (7, 'shop', 'Shop', 1.0, NULL, 3)")
    columns = "id, verb, target, images, undo_of, at_utc, actor, summary"
    sql = f"INSERT INTO events ({columns}) VALUES (?, ?, ?, ?, ?, '2026-01-01', 'user', 'x')"
    store.execute_many(sql, OLD_EVENTS)
    store.close()


def test_given_a_home_of_schema_1_then_its_history_keeps_images_and_undone_marks(old, db, settings):
    rows = {row["id"]: row for row in Events(db).recent(1)}
    told = [(rows[n]["undone"], rows[n]["undoable"], rows[n]["changed"]) for n in (1, 2, 3, 4)]
    assert told == [(2, False, 1), (None, True, 1), (None, True, 2), (None, False, 0)]
    assert [rows[n]["deleted"] for n in (1, 2, 3)] == [0, 0, 2]
    assert [image["id"] for image in Events(db).images(1, 3)] == [1, 2, 3]
    assert db.all("SELECT id, name FROM profiles") == [{"id": 7, "name": "Shop"}]
    assert [p.suffix for p in settings.folder("backups").iterdir()] == [".db"]


def test_the_sqlite_in_use_is_free_of_the_wal_reset_fault():
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)
