"""Events: one log for everything, read back as history and taken back by undo."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from pipulate.core.events import Filter
from pipulate.core.problems import Missing, Problem


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
    """undo(): take back the newest event, or those given."""
    return lambda *events: house.events.undo(events or [last()["id"]], 1, "user")


def change(db, **about):
    return db.change(profile_id=1, **{"actor": "user", **about})


@pytest.fixture
def milk(db, tasks):
    with change(db, summary="Added milk"):
        return tasks.insert(title="milk", position=1)


@pytest.fixture
def plans(db, monkeypatch):
    """How SQLite goes about what is asked of it from now on."""
    seen, ways = [], {name: getattr(db, name) for name in ("all", "execute")}

    def explained(how, sql, args=()):
        if sql.lstrip().startswith(("SELECT", "DELETE")):
            seen.extend(r["detail"] for r in ways["all"](f"EXPLAIN QUERY PLAN {sql}", args))
        return ways[how](sql, args)

    for name in ways:
        monkeypatch.setattr(db, name, partial(explained, name))
    return seen


# -- after years ------------------------------------------------------------------------------


def test_what_a_profile_did_is_found_without_a_look_at_what_others_did(house, milk, plans):
    house.events.recent(1, 1, only=Filter(words="milk"))
    assert "MERGE (UNION ALL)" in plans and not any(p.startswith("SCAN e") for p in plans)
    assert not any("TEMP B-TREE" in step for step in plans)
    plans.clear()
    house.events.turns(1, ["t1"]), house.events.of_turn("t1", 1)
    assert sum("INDEX events_by_turn (turn=?)" in step for step in plans) == 2


def test_undo_and_pruning_look_at_no_event_older_than_the_oldest_image(house, milk, plans, undo):
    undo()
    house.events.prune()
    assert "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)" in plans
    assert not [step for step in plans if step.startswith("SCAN events")]


# -- pruning ---------------------------------------------------------------------------------


def test_when_a_row_holds_the_last_old_secret_no_image_is_looked_through(
    house, db, milk, monkeypatch
):
    told, run = db.hide("sk-secret-1234"), house.runs.create(1, "hello")
    asked = {"run_id": run["id"], "step": "s", "key": "k"}
    record, _ = house.runs.record(asked, "question", "Which?", "waiting", {})
    house.runs.close(record["id"], told)
    db.execute("UPDATE secrets SET created_utc = '2020'")
    monkeypatch.setattr(house.events, "_parts", lambda *event: pytest.fail("an image is read"))
    house.events.prune()
    assert db.reveal(told) == "sk-secret-1234"


# -- listing ---------------------------------------------------------------------------------


def test_history_is_newest_first_with_who_what_and_no_images(db, tasks, milk, house):
    with change(db, actor="model", verb="task_update", turn="t1"):
        tasks.update(id=milk["id"], title="oat milk")
        tasks.insert(title="bread")
        tasks.delete(milk["id"])
    newest, older = house.events.recent(1, 2)
    told = [newest[k] for k in ("actor", "verb", "target", "turn", "changed", "deleted")]
    assert told == ["model", "task_update", "app_tasks/1 +2", "t1", 3, 1]
    assert older["summary"] == "Added milk" and older["undoable"] and "images" not in newest


def test_history_is_paged_by_id_in_both_directions(db, tasks, house):
    for _ in range(5):
        tasks.insert(title="x", position=1)
    ids = [e["id"] for e in house.events.recent(1)]
    assert [e["id"] for e in house.events.recent(1, 2, before=ids[1])] == ids[2:4]
    assert [e["id"] for e in house.events.recent(1, 2, after=ids[4])] == ids[2:4]


def test_history_shows_no_event_of_another_profile(db, tasks, house, undo):
    with db.change(profile_id=2, summary="theirs"):
        tasks.insert(title="x")
    assert "theirs" not in [e["summary"] for e in house.events.recent(1)]
    with pytest.raises(Missing, match="in this profile"):
        undo(house.events.recent(2, 1)[0]["id"])


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (Filter(), ["Deleted milk", "Ran it", "Added milk"]),
        (Filter(actor="model"), ["Deleted milk"]),
        (Filter(table="runs"), ["Ran it"]),
        (Filter(table="app_task"), []),
        (Filter(words="MILK add"), ["Added milk"]),
        (Filter(words="%"), []),
        (Filter(deletions=True), ["Deleted milk"]),
        (Filter(since="2999"), []),
        (Filter(until="2999", actor="user"), ["Ran it", "Added milk"]),
        (Filter(words="' OR 1 --"), []),
    ],
    ids=str,
)
def test_history_is_filtered(db, tasks, milk, house, only, found):
    with change(db, summary="Ran it", target="runs/1/greet"):
        db.begin()
    with change(db, actor="model", summary="Deleted milk"):
        tasks.delete(milk["id"])
    assert [e["summary"] for e in house.events.recent(1, only=only)] == found


def test_a_soft_deletion_counts_as_one(house, call):
    call("profile_add", name="Shop")
    call("profile_delete", profile="shop", confirmed=True)
    (event,) = house.events.recent(1, only=Filter(deletions=True))
    assert event["verb"] == "profile_delete"


def test_given_a_long_log_then_its_top_is_read_without_sorting_the_rest(house, monkeypatch):
    asked, read = [], house.db.all
    monkeypatch.setattr(house.db, "all", lambda *sql: asked.append(sql) or read(*sql))
    house.events.recent(1)
    ((sql, values),) = asked
    assert "TEMP B-TREE" not in str(read(f"EXPLAIN QUERY PLAN {sql}", values))


# -- undo ------------------------------------------------------------------------------------


def test_undo_names_who_undid_and_what_and_marks_the_event(milk, undo, house):
    event = house.events.recent(1, 1)[0]["id"]
    house.events.undo([event], 1, "model")
    newest, older = house.events.recent(1, 2)
    assert (newest["actor"], newest["verb"], newest["deleted"]) == ("model", "undo", 1)
    assert older["undone"] == newest["id"] and not older["undoable"]
    with pytest.raises(Problem, match="undone already"):
        undo(event)


def test_undo_of_an_undo_is_redo_and_the_first_event_may_be_undone_again(milk, tasks, undo, house):
    first = house.events.recent(1, 1)[0]["id"]
    assert undo() == "Undid: Added milk" and tasks.count() == 0
    assert undo() == "Redid: Added milk" and tasks.count() == 1
    redone, undone, added = house.events.recent(1, 3)
    assert [e["undoable"] for e in (redone, undone, added)] == [True, False, True]
    assert [e["verb"] for e in (redone, undone)] == ["redo", "undo"]
    assert undo(first) == "Undid: Added milk" and tasks.count() == 0
    assert house.events.get(first, 1)["undone"] == house.events.recent(1, 1)[0]["id"]


def test_given_the_redo_is_undone_then_the_first_event_is_undone_too(milk, tasks, undo, house):
    first = house.events.recent(1, 1)[0]["id"]
    undo()
    undo()
    assert undo() == "Undid: Added milk" and tasks.count() == 0
    assert not house.events.get(first, 1)["undoable"]


def test_a_batch_picked_by_hand_is_taken_back_newest_first_as_one_event(db, tasks, milk, undo):
    with change(db, summary="Oat"):
        tasks.update(id=milk["id"], title="oat milk")
    with change(db, summary="Soy"):
        tasks.update(id=milk["id"], title="soy milk")
    added, oat, soy = sorted(e["id"] for e in db.all("SELECT id FROM events"))[-3:]
    assert undo(oat, soy) == "Undid 2 changes: Oat; Soy"
    assert tasks[milk["id"]]["title"] == "milk"
    with pytest.raises(Problem, match="undone already"):
        undo(added, soy)
    undo(added)
    assert tasks.count() == 0


@pytest.fixture
def turn(db, tasks, milk):
    """What the model did in turn t1: milk renamed twice, bread added; meanwhile the user: eggs."""
    with change(db, actor="model", turn="t1", summary="Oat"):
        tasks.update(id=milk["id"], title="oat milk")
    with change(db, summary="Added eggs"):
        tasks.insert(title="eggs")
    with change(db, actor="model", turn="t1", summary="Soy"):
        tasks.update(id=milk["id"], title="soy milk")
        tasks.insert(title="bread")


def titles(tasks):
    return sorted(row["title"] for row in tasks())


def test_a_turn_is_undone_and_redone_as_one(turn, tasks, house, undo):
    kept = house.events.turns(1, ["t1", "t2"])
    assert [*kept] == ["t1"] and kept["t1"]
    house.events.undo_turn("t1", 1, "user")
    assert titles(tasks) == ["eggs", "milk"] and house.events.turns(1, ["t1"]) == {"t1": ()}
    with pytest.raises(Problem, match="undone already"):
        house.events.undo_turn("t1", 1, "user")
    undo()
    assert titles(tasks) == ["bread", "eggs", "soy milk"]
    assert house.events.turns(1, ["t1"]) == kept


def test_given_a_part_of_a_turn_was_undone_then_the_rest_is(turn, tasks, house, undo):
    undo()
    assert [e["summary"] for e in house.events.of_turn("t1", 1)] == ["Oat"]
    house.events.undo_turn("t1", 1, "user")
    assert titles(tasks) == ["eggs", "milk"]


def test_given_the_model_undid_something_itself_then_undoing_its_turn_changes_nothing_there(
    db, tasks, milk, house
):
    with change(db, actor="model", turn="t1"):
        tasks.update(id=milk["id"], title="oat milk")
    with change(db, actor="model", turn="t1"):
        house.events.undo([house.events.recent(1, 1)[0]["id"]], 1, "model")
    house.events.undo_turn("t1", 1, "user")
    assert titles(tasks) == ["milk"] and house.events.turns(1, ["t1"]) == {"t1": ()}


@pytest.mark.parametrize("turn_of", ["", "t9"])
def test_given_a_turn_that_changed_nothing_then_missing(house, turn_of):
    with pytest.raises(Missing, match="changed nothing"):
        house.events.undo_turn(turn_of, 1, "user")


def test_images_are_dropped_after_thirty_days_and_the_log_is_kept(db, milk, house, undo, last):
    for age in (29, 31):
        at = (datetime.now(UTC) - timedelta(days=age)).isoformat()
        db.execute("UPDATE events SET at_utc = ? WHERE id = ?", (at, last()["id"]))
        house.events.prune()
        assert last()["undoable"] == (age == 29)
    assert last()["summary"] == "Added milk" and not list(house.events.images(last()["id"]))
    with pytest.raises(Problem, match="30 days"):
        undo()


def test_given_an_event_that_never_was_then_missing(undo):
    with pytest.raises(Missing, match="no event 999"):
        undo(999)
