"""Events: one log for everything, read back as history and taken back by undo."""

from datetime import UTC, datetime, timedelta

import pytest

from pipulate.core.problems import Conflict, Missing, Problem
from pipulate.core.store import quote


@pytest.fixture
def db(house):
    return house.db


@pytest.fixture
def tasks(house):
    return house.db.table("app_tasks", scoped=True).xtra(profile_id=1)


@pytest.fixture
def last(house):
    """last(): the newest event of the first profile."""
    return lambda: house.events.recent(1, 1)[0]


@pytest.fixture
def undo(house, last):
    """undo(): take back the newest event, or the one given."""
    return lambda event=None: house.events.undo(event or last()["id"], 1, "user")


def change(db, **about):
    return db.change(profile_id=1, **{"actor": "user", **about})


@pytest.fixture
def milk(db, tasks):
    with change(db, summary="Added milk"):
        return tasks.insert(title="milk", position=1)


def test_history_is_newest_first_with_who_what_and_no_images(db, tasks, milk, house):
    with change(db, actor="model", verb="task_update", turn="t1"):
        tasks.update(id=milk["id"], title="oat milk")
        first = tasks.insert(title="bread")
    newest, older = house.events.recent(1, 2)
    told = (newest["actor"], newest["verb"], newest["target"], newest["turn"])
    assert told == ("model", "task_update", "app_tasks/1 +1", "t1")
    assert (
        first["id"] == 2
        and older["summary"] == "Added milk"
        and older["undoable"]
        and "images" not in newest
    )
    assert house.events.recent(1, 9, before=newest["id"])[0] == older


def test_history_shows_no_event_of_another_profile(db, tasks, house):
    with db.change(profile_id=2, summary="theirs"):
        tasks.insert(title="x")
    assert "theirs" not in [e["summary"] for e in house.events.recent(1)]
    event = house.events.recent(2, 1)[0]["id"]
    with pytest.raises(Missing, match="in this profile"):
        house.events.undo(event, 1, "user")


def add(tasks, milk):
    tasks.insert(title="bread")


def update(tasks, milk):
    tasks.update(id=milk["id"], title="oat milk", done=True)


def delete(tasks, milk):
    tasks.delete(milk["id"])


def batch(tasks, milk):
    for n in range(60):
        tasks.insert(title=f"row {n} {'x' * 50}")
    tasks.update(id=milk["id"], title="one")
    tasks.update(id=milk["id"], title="two")
    tasks.delete(milk["id"])


@pytest.mark.parametrize("verb", [add, update, delete, batch], ids=lambda v: v.__name__)
def test_undo_puts_back_what_was_and_undoing_that_does_it_again(db, tasks, milk, verb, undo, last):
    def rows():
        return [{k: v for k, v in row.items() if k != "version"} for row in tasks(order_by="id")]

    before = rows()
    with change(db, summary="It"):
        verb(tasks, milk)
    after = rows()
    assert undo() == "Undid: It" and rows() == before
    assert last()["summary"] == "Undid: It"
    assert undo() == "Undid: Undid: It" and rows() == after
    undo()
    assert rows() == before


def test_undo_names_who_undid_and_what_and_marks_the_event(db, milk, undo, house):
    event = house.events.recent(1, 1)[0]["id"]
    house.events.undo(event, 1, "model")
    newest, older = house.events.recent(1, 2)
    assert (newest["actor"], newest["verb"], newest["undo_of"]) == ("model", "undo", event)
    assert older["undone"] == newest["id"] and not older["undoable"]
    with pytest.raises(Problem, match="undone already"):
        undo(event)


def test_given_the_same_field_changed_later_then_undo_refuses_and_shows_theirs(
    db, tasks, milk, undo, last
):
    with change(db):
        tasks.update(id=milk["id"], title="oat milk")
    event = last()["id"]
    tasks.update(id=milk["id"], title="soy milk")
    with pytest.raises(Conflict, match="title of app_tasks/1") as caught:
        undo(event)
    assert caught.value.details["theirs"] == {"title": "soy milk"}
    assert tasks[milk["id"]]["title"] == "soy milk"


def test_given_another_field_changed_later_then_undo_leaves_that_alone(db, tasks, milk, undo, last):
    with change(db):
        tasks.update(id=milk["id"], title="oat milk")
    event = last()["id"]
    tasks.update(id=milk["id"], done=True)
    undo(event)
    row = tasks[milk["id"]]
    assert (row["title"], row["done"], row["version"]) == ("milk", 1, 4)


@pytest.mark.parametrize("word", ["deleted", "put back"])
def test_given_the_row_went_or_came_since_then_undo_says_which(db, tasks, milk, undo, last, word):
    with change(db):
        if word == "deleted":
            tasks.update(id=milk["id"], title="oat")
        else:
            tasks.delete(milk["id"])
    event = last()["id"]
    if word == "deleted":
        tasks.delete(milk["id"])
    else:
        tasks.insert(milk)
    with pytest.raises(Conflict, match=word):
        undo(event)


def test_given_one_row_of_a_batch_in_the_way_then_nothing_of_it_is_undone(
    db, tasks, milk, undo, last
):
    with change(db):
        tasks.update(id=milk["id"], title="oat")
        bread = tasks.insert(title="bread")
    event = last()["id"]
    tasks.update(id=milk["id"], title="soy")
    with pytest.raises(Conflict):
        undo(event)
    assert bread["id"] in tasks and last()["verb"] == "write"


def test_given_a_field_that_is_gone_from_the_table_then_the_rest_comes_back(
    db, tasks, milk, undo, last
):
    with change(db):
        tasks.delete(milk["id"])
    db.execute(f"ALTER TABLE {quote('app_tasks')} DROP COLUMN due")
    db._columns.clear()
    undo()
    assert tasks[milk["id"]]["title"] == "milk"


def test_given_a_unique_value_taken_meanwhile_then_undo_refuses_and_takes_nobodys_row(house, undo):
    with change(house.db):
        renamed = house.profiles.rename(house.profiles.at("default"), "Other")
    event = house.events.recent(1, 1)[0]["id"]
    taken = house.db.table("profiles").insert(slug="default", name="New", position=2)
    with pytest.raises(Conflict):
        undo(event)
    assert {p.id for p in house.profiles.all()} == {renamed.id, taken["id"]}


def test_images_are_dropped_after_thirty_days_and_the_log_is_kept(db, milk, house, undo, last):
    days = [29, 31]
    for age in days:
        at = (datetime.now(UTC) - timedelta(days=age)).isoformat()
        db.execute("UPDATE events SET at_utc = ? WHERE id = ?", (at, last()["id"]))
        house.events.prune()
        assert last()["undoable"] == (age == 29)
    assert last()["summary"] == "Added milk"
    with pytest.raises(Problem, match="30 days"):
        undo()


@pytest.mark.parametrize("ask", ["images", "undo"])
def test_given_an_event_that_never_was_then_missing(house, ask):
    with pytest.raises(Missing, match="no event 999"):
        house.events.images(999) if ask == "images" else house.events.undo(999, 1, "user")
