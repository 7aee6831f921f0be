"""The tools for runs: what a model, a program and the shell see of them and may do."""

import pytest

from pipulate.core.problems import Locked, Missing, Waiting

WORK = """
    from pipulate import Pipeline

    work = Pipeline("Work")

    @work.step
    def first(name: str):
        return name * 3

    @work.step(optional=True)
    def second(first, word: str):
        return word

    @work.step
    def third(first, second):
        raise LookupError("no such page")
"""


@pytest.fixture
def work(plugin, call):
    assert plugin(WORK, "work").problem is None
    with pytest.raises(Exception, match="no such page"):
        call("work_run", name="ann")


def test_a_run_is_told_with_its_steps_but_without_their_outputs(work, call):
    told = call("run_get", run=1)
    assert [(s["step"], s["state"]) for s in told["steps"]] == [
        ("first", "done"),
        ("second", "skipped"),
        ("third", "failed"),
    ]
    assert told["steps"][0]["inputs"] == {"name": "ann"} and "annann" not in str(told["steps"])
    assert told["steps"][2]["error"] == "LookupError: no such page (work.py, line 16)"


def test_an_output_is_had_by_run_and_step(work, call):
    assert call("run_output", run=1, step="first") == "annannann"
    assert call("run_output", run=1, step="third") is None
    with pytest.raises(Missing, match="thrid.*third"):
        call("run_output", run=1, step="thrid")


def test_runs_are_found_by_name_inputs_and_pipeline(work, call):
    call("run_name", run=1, name="  Spring  ")
    found = [call("run_list", q=q) for q in ("spring", "ANN", "nobody")]
    assert [len(runs) for runs in found] == [1, 1, 0]
    assert found[0][0]["state"] == "failed" and found[0][0]["name"] == "Spring"
    assert call("run_list", pipeline="hello") == []


def test_a_copy_has_the_inputs_and_nothing_else(work, call, house):
    copy = call("run_copy", run=1)["run"]
    assert house.runs.get(1, copy)["inputs"] == house.runs.get(1, 1)["inputs"]
    assert house.runs.attempts.count("run_id = ?", (copy,)) == 0


def test_what_a_failed_step_left_is_discarded(work, call):
    call("run_discard", run=1, step="third")
    assert call("run_get", run=1)["steps"][2]["state"] == "ready"
    assert call("run_list")[0]["state"] == "open"


def test_what_was_discarded_comes_back(work, call, house):
    call("run_discard", run=1, step="third")
    assert house.runs.inbox() == []
    call("undo", event=house.events.recent(1)[0]["id"])
    assert call("run_get", run=1)["steps"][2]["state"] == "failed"
    assert call("run_discard_all", "shell", confirmed=True, kind="interrupted")["discarded"] == 0
    assert call("run_discard_all", "shell", confirmed=True, kind="failed")["discarded"] == 1


def test_a_run_whose_file_was_mended_is_failed_no_more_nor_discarded_with_the_others(
    work, call, plugin, house
):
    with pytest.raises(Exception, match="no such page"):
        call("work_run", name="eve")
    plugin(WORK.replace('raise LookupError("no such page")', "return first"), "work")
    assert [run["state"] for run in call("run_list")] == ["open", "open"]
    assert house.runs.inbox() == []
    assert call("run_discard_all", "shell", confirmed=True)["discarded"] == 0
    plugin(WORK, "work")
    assert [run["state"] for run in call("run_list")] == ["failed", "failed"], "as it was"
    assert call("run_discard_all", "shell", confirmed=True)["discarded"] == 2


def test_a_listed_run_counts_no_step_as_done_that_is_stale_or_gone(plugin, call):
    plugin(WORK.replace('raise LookupError("no such page")', "return first"), "work")
    call("work_run", name="ann")
    call("work_run", run=1, name="bob", to_step="first")
    assert call("run_list")[0]["done"] == 1, "the later ones are stale"
    plugin(WORK.split("@work.step(optional=True)")[0], "work")
    call("work_run", name="eve")
    plugin(WORK.split("@work.step(optional=True)")[0].replace("first(", "other("), "work")
    assert [run["done"] for run in call("run_list")] == [0, 0], "of steps there are no more"


def test_what_failed_in_a_deleted_profile_is_not_discarded_unseen(work, call, house):
    call("profile_add", name="Other")
    call("profile_delete", "user", confirmed=True, profile="default")
    assert house.runs.inbox() == []
    assert call("run_discard_all", "user", "other", confirmed=True)["discarded"] == 0


def test_a_step_is_skipped_only_in_its_turn(work, call):
    call("run_copy", run=1)
    with pytest.raises(Waiting, match="earlier steps first"):
        call("run_skip", run=2, step="second")


@pytest.mark.parametrize("tool", ["run_skip", "run_discard", "run_resume"])
def test_a_finished_run_refuses(work, call, tool):
    call("run_finish", run=1)
    with pytest.raises(Locked):
        call(tool, run=1, step="third")


def test_what_is_resumed_is_not_said_to_run_when_it_may_have_ended_or_wait(work, call, until):
    """A command without a server ends when the step does; `run_get` and `runs` tell its state."""
    assert call("run_resume", run=1, step="third") == {"run": 1, "resumed": "third"}
    until(lambda: call("run_get", run=1)["steps"][2]["state"] == "failed")


def test_naming_and_deleting_can_be_undone(work, call, house):
    call("run_name", run=1, name="Spring")
    call("run_delete", run=1)
    assert call("run_list") == []
    for verb in ("run_delete", "run_name"):
        (event,) = (e for e in house.events.recent(1) if e["verb"] == verb)
        call("undo", event=event["id"])
    assert call("run_list")[0]["name"] == ""
