"""The data model: what the first start makes, and what the store itself refuses."""

import apsw
import pytest

from pipulate.core.backups import open_store
from pipulate.core.schema import MIGRATIONS
from pipulate.core.store import now

TABLES = ["approvals", "attempts", "events", "files", "messages", "old_slugs", "profiles", "runs"]


@pytest.fixture
def db(settings):
    settings.make_home()
    db = open_store(settings)
    yield db
    db.close()


def test_given_a_new_home_then_every_script_has_run_once(db):
    names = [r["name"] for r in db.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert sorted(names) == sorted([*TABLES, "store"])
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


def test_one_event_is_undone_at_most_once(db):
    columns = "at_utc, actor, verb, target, summary, undo_of"
    sql = f"INSERT INTO events ({columns}) VALUES ('', 'user', 'undo', '', '', 1)"
    db.execute(sql)
    with pytest.raises(Exception, match="UNIQUE"):
        db.execute(sql)


def test_the_sqlite_in_use_is_free_of_the_wal_reset_fault():
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)
