"""Runs: what is fresh, stale, blocked or interrupted follows from the attempts that were kept."""

import json
import threading

import pytest

from pipulate.core import runs as core_runs
from pipulate.core.problems import Conflict, Locked, Missing, Problem, Waiting
from pipulate.core.runs import step_key

CHAIN = """
    from pipulate import Pipeline
    chain = Pipeline("Chain")

    @chain.step
    def first(name: str = "ann"):
        return name

    @chain.step
    def side(colour: str = "red"):
        return colour

    @chain.step
    def second(first):
        return first.upper()

    @chain.step
    def third(second, side):
        return [second, side]
"""


@pytest.fixture
def chain(plugin):
    return plugin(CHAIN, "chain").pipelines["chain"]


@pytest.fixture
def runs(house):
    return house.runs


@pytest.fixture
def one(runs, chain):
    """The id of a run of the chain."""
    return runs.create(1, "chain")["id"]


@pytest.fixture
def states(runs, one, chain):
    """states(): {step: state}."""
    return lambda: {n: s.state for n, s in runs.states(runs.get(1, one), chain).items()}


@pytest.fixture
def begin(runs, one, chain):
    return lambda step, **inputs: runs.begin(1, one, chain, step, inputs, "me")


@pytest.fixture
def do(runs, one, chain, begin):
    """do(step, output, **inputs): one finished attempt, as the engine keeps it."""

    def doing(step, output=None, state="done", **inputs):
        attempt, used = begin(step, **inputs)
        stored = json.dumps(step if output is None else output)
        result = {"output": stored} if state == "done" else {"error": "{}"}
        runs.settle(attempt, runs.get(1, one), state, "user", **result)
        return attempt, used

    return doing


@pytest.fixture
def finished(do):
    """A run with all its steps done."""
    do("first", "ANN", name="ann")
    do("side", "red", colour="red")
    do("second")
    do("third")


def test_given_a_new_run_then_only_steps_that_need_nothing_are_ready(states):
    assert states() == {"first": "ready", "side": "ready", "second": "blocked", "third": "blocked"}


def test_given_a_step_before_its_inputs_are_there_then_it_waits_and_says_for_what(begin, do):
    do("first")
    with pytest.raises(Waiting, match="needs second, side") as caught:
        begin("third")
    assert caught.value.exit_code == 3


def test_a_step_receives_the_outputs_it_uses_and_its_inputs(do, begin):
    do("first", {"a": [1]}, name="bob")
    attempt, used = begin("second")
    assert used == {"first": {"a": [1]}} and json.loads(attempt["inputs"]) == {}


def test_given_a_finished_run_when_a_step_is_revised_then_what_depends_on_it_is_stale(
    finished, do, states, runs, one, chain
):
    do("first", "BOB", name="bob")
    assert states() == {"first": "done", "side": "done", "second": "stale", "third": "stale"}
    second = runs.states(runs.get(1, one), chain)["second"]
    assert second.has_output and second.output == "second", "its output is kept"


def test_given_a_revision_that_gives_the_same_output_then_nothing_is_stale(finished, do, states):
    do("first", "ANN", name="Ann")
    assert set(states().values()) == {"done"}


def test_given_a_revision_back_then_all_is_fresh_again_without_running(
    finished, do, states, runs, one
):
    do("first", "BOB", name="bob")
    count = len(runs.attempts("run_id = ?", [one]))
    runs.table(1).update(id=one, inputs='{"name":"ann","colour":"red"}')
    assert set(states().values()) == {"done"}
    assert len(runs.attempts("run_id = ?", [one])) == count


def test_a_look_at_a_run_reads_one_output_of_a_step_however_often_it_was_tried(
    do, states, house, monkeypatch
):
    read, all_rows = [], house.db.all
    for n in range(5):
        do("first", f"{n}" * 1_000, name=f"{n}")

    def reading(*query):
        read.append(found := all_rows(*query))
        return found

    monkeypatch.setattr(house.db, "all", reading)
    assert states()["first"] == "done"
    assert 1_000 < len(str(read)) < 5_000


def test_pressing_run_always_runs(finished, do, states):
    first, _ = do("second")
    again, _ = do("second")
    assert again["id"] > first["id"] and set(states().values()) == {"done"}


def test_given_a_step_that_is_revised_when_its_source_changes_then_it_is_stale(
    finished, plugin, states, runs, one
):
    fresh = plugin(CHAIN.replace("first.upper()", "first.lower()"), "chain").pipelines["chain"]
    found = {n: s.state for n, s in runs.states(runs.get(1, one), fresh).items()}
    assert found == {"first": "done", "side": "done", "second": "stale", "third": "stale"}


def test_nothing_is_reused_across_runs(finished, runs, chain):
    other = runs.create(1, "chain")["id"]
    states = runs.states(runs.get(1, other), chain)
    assert [s.state for s in states.values()] == ["ready", "ready", "blocked", "blocked"]


def test_given_a_file_that_changes_under_the_same_name_then_the_step_is_another(chain, tmp_path):
    path = tmp_path / "a.csv"
    inputs = {"file": {"$file": str(path), "name": "a.csv"}}
    path.write_text("1")
    before = step_key(chain.steps["first"], inputs, [])
    assert step_key(chain.steps["first"], inputs, []) == before
    path.write_text("22")
    assert step_key(chain.steps["first"], inputs, []) != before


@pytest.mark.parametrize("state", ["failed", "cancelled", "interrupted"])
def test_given_an_attempt_that_did_not_finish_then_the_step_says_so(do, states, state):
    do("first", state=state)
    assert states()["first"] == state and states()["second"] == "blocked"


def test_given_a_failed_try_with_other_inputs_then_the_older_output_is_there_and_stale(
    finished, do, states, runs, one, chain
):
    do("first", state="failed", name="zoe")
    assert states()["first"] == "failed" and states()["second"] == "stale"


# -- one at a time, and locks ----------------------------------------------------------------


def test_given_a_step_at_work_then_it_cannot_be_begun_twice(begin, states, runs, one):
    begin("first")
    assert states()["first"] == "running"
    with pytest.raises(Problem, match="running already"):
        begin("first")
    assert runs.attempts.count("run_id = ?", [one]) == 1


def test_the_table_itself_refuses_a_second_running_attempt(begin, runs, one):
    attempt, _ = begin("first")
    twin = {k: v for k, v in attempt.items() if k != "id"}
    with pytest.raises(Conflict):
        runs.attempts.insert(twin)


def test_given_a_finished_run_then_every_step_refuses_until_it_is_reopened(
    finished, begin, runs, one, call
):
    call("run_finish", run=one)
    with pytest.raises(Locked, match="finished and locked") as caught:
        begin("second")
    assert caught.value.status == 423
    with pytest.raises(Locked):
        call("chain_run", run=one, name="bob")
    assert runs.listing(1)[0]["state"] == "finished"
    assert json.loads(runs.get(1, one)["inputs"])["name"] == "ann"
    call("run_reopen", run=one)
    begin("second")


def test_given_a_step_at_work_then_it_cannot_be_discarded_before_it_is_cancelled(begin, call, one):
    begin("first")
    with pytest.raises(Problem, match="first is at work. Cancel it first."):
        call("run_discard", run=one, step="first")


def test_given_a_run_at_work_then_it_cannot_be_deleted(begin, call, one):
    begin("first")
    with pytest.raises(Problem, match="at work"):
        call("run_delete", run=one)


def test_a_step_that_ends_while_its_run_is_looked_at_is_at_work_or_done_and_not_both(
    begin, chain, runs, one, monkeypatch
):
    attempt, _ = begin("first")
    look = core_runs._state

    def meanwhile(step, *about):
        if step.name == "first":
            runs.settle(attempt, runs.get(1, one), "done", "user", output="1")
        return look(step, *about)

    monkeypatch.setattr(core_runs, "_state", meanwhile)
    seen = runs.states(runs.get(1, one), chain)["first"]
    assert (seen.state == "running") == seen.at_work


def test_a_step_that_begins_while_its_run_is_being_finished_is_refused(
    begin, runs, one, monkeypatch
):
    said = []

    def beginning():
        try:
            said.append(begin("first"))
        except Locked as locked:
            said.append(locked)

    other = threading.Thread(target=beginning)

    def meanwhile(*_):
        other.start()
        other.join(0.3)

    monkeypatch.setattr(runs, "_refuse_at_work", meanwhile)
    runs.mark(1, one, locked_utc="now")
    other.join()
    assert isinstance(said[0], Locked) and not runs.attempts.count()


def test_a_deleted_run_is_gone_and_undo_brings_it_back(finished, call, runs, one, house, states):
    call("run_delete", run=one)
    assert runs.listing(1) == []
    with pytest.raises(Missing, match=f"no run {one}"):
        runs.get(1, one)
    call("undo", event=house.events.recent(1, 1)[0]["id"])
    assert set(states().values()) == {"done"}


@pytest.mark.parametrize("path", [5, None, "a" * 5_000, "x\0y"])
def test_an_input_that_looks_like_a_file_and_is_none_breaks_no_run(chain, path):
    assert step_key(chain.steps["first"], {"text": {"$file": path, "name": "x"}}, [])


def test_a_run_belongs_to_its_profile_and_its_pipeline(runs, one, call, chain):
    call("profile_add", name="Shop")
    with pytest.raises(Missing):
        runs.get(2, one)
    with pytest.raises(Missing):
        runs.get(1, one, "hello")
    with pytest.raises(Missing):
        runs.begin(2, one, chain, "first", {}, "me")
    assert runs.listing(2) == []


def test_the_listing_is_newest_first_with_what_is_done(finished, runs, one, begin):
    other = runs.create(1, "hello")["id"]
    begin("first")
    told = [(r["id"], r["done"], r["state"]) for r in runs.listing(1)]
    assert told == [(other, 0, "open"), (one, 4, "running")]
    assert [r["id"] for r in runs.listing(1, "chain")] == [one]


@pytest.mark.parametrize("q", ["Ärger", "ärg", "ÄRGER", "łódź"])
def test_a_run_is_found_by_words_of_its_name_and_inputs_whatever_their_letters_and_case(runs, q):
    runs.create(1, "chain", {"city": "ŁÓDŹ"}, name="Ärger")
    assert [r["name"] for r in runs.listing(1, q=q)] == ["Ärger"]
    assert not runs.listing(1, q="Öl")


def test_the_end_of_a_step_is_one_event_with_its_output_saved(do, house):
    do("first")
    event = house.events.recent(1, 1)[0]
    assert (event["verb"], event["target"]) == ("step_done", "runs/1/first")
    assert event["summary"] == "chain run 1: first is done"


# -- after a crash ---------------------------------------------------------------------------


def test_given_owners_that_died_then_only_their_steps_are_interrupted(begin, runs, one, states):
    begin("first")
    runs.interrupt("somebody")
    assert states()["first"] == "running"
    runs.interrupt("me")
    assert states()["first"] == "interrupted"


@pytest.mark.parametrize(
    ("inputs", "kept"),
    [({"name": "ann"}, {"row": 7}), ({"name": "bob"}, None)],
    ids=["same inputs", "other inputs"],
)
def test_given_an_interrupted_step_then_its_checkpoint_goes_on_to_the_same_work_only(
    begin, runs, inputs, kept
):
    attempt, _ = begin("first", name="ann")
    runs.attempts.update(id=attempt["id"], checkpoint='{"row":7}')
    runs.interrupt("me")
    again, _ = begin("first", **inputs)
    assert json.loads(again["checkpoint"] or "null") == kept


def test_given_a_finished_step_then_its_checkpoint_is_not_used_again(begin, do, runs, one):
    attempt, _ = begin("first")
    runs.attempts.update(id=attempt["id"], checkpoint='{"row":7}')
    runs.settle(attempt, runs.get(1, one), "done", "user", output="1")
    again, _ = begin("first")
    assert again["checkpoint"] is None
