"""`job` inside a step: what it asks of its engine, what it keeps, what a second try finds."""

import asyncio
import csv
import json
import threading
import time
from typing import Literal

import pytest

from pipulate.apps.job import AGAIN, DONE, JobHandle, fed, kept
from pipulate.core.fields import Text, make_field
from pipulate.core.jobs import question_field
from pipulate.core.kinds import File
from pipulate.core.outputs import INLINE, Large, Rows
from pipulate.core.problems import Problem


class Engine:
    """Answers as the engine does: what is kept lasts from one try of a step to the next."""

    def __init__(self, folder):
        self.folder, self.records, self.answers, self.asked, self.told = folder, {}, [], [], []

    def job(self):
        """A fresh try of the same step."""
        return JobHandle(self.told.append, self.need, self.folder, None, self.folder / ".step-key")

    def need(self, kind, *values):
        self.asked.append((kind, *values))
        if kind == "once":
            known = self.records.setdefault(values[0], {"state": "new", "value": None})
            said = {"record": values[0], **known}
            known["state"] = "unknown" if known["state"] == "new" else known["state"]
            return said
        if kind == "kept":
            key, happened, value = values
            self.records[key] = {"state": "done", "value": value}
            if not happened:
                del self.records[key]
            return None
        if kind == "ask":
            return self.answers.pop(0)
        if kind == "call" and values[0].endswith("_run"):
            return {"state": "done", "output": values[1]}
        if kind == "call":
            return {"called": values[0]}
        return None


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path)


# -- once ------------------------------------------------------------------------------------


def test_an_effect_happens_once_however_often_the_step_runs(engine):
    done = []
    for _ in range(3):
        assert engine.job().once("export", lambda: done.append(1) or {"id": 7}) == {"id": 7}
    assert done == [1]


def test_in_an_async_step_an_effect_is_awaited_and_may_be_async(engine):
    async def export():
        return {"id": 7}

    async def step():
        return await engine.job().once("export", export)

    assert asyncio.run(step()) == {"id": 7}


def test_in_an_async_step_a_tool_is_awaited(engine):
    async def step():
        return await engine.job().tool("task_list", q="x")

    assert asyncio.run(step()) == engine.job().tool("task_list") == {"called": "task_list"}


def test_in_an_async_step_the_run_of_another_pipeline_is_awaited(engine):
    async def step():
        return await engine.job().run("other", {"n": 3})

    assert asyncio.run(step()) == engine.job().run("other", {"n": 3}) == {"n": 3}


def test_given_a_lost_result_then_the_lookup_says_what_it_was(engine):
    engine.need("once", "export")  # begun; then the program ended
    never = pytest.fail
    assert engine.job().once("export", never, lookup=lambda: {"id": 7}) == {"id": 7}
    assert engine.job().once("export", never) == {"id": 7}


def test_given_a_lost_result_that_the_lookup_does_not_find_then_it_is_done(engine):
    engine.need("once", "export")
    assert engine.job().once("export", lambda: 8, lookup=lambda: None) == 8


@pytest.mark.parametrize(("said", "result"), [(DONE, None), (AGAIN, 8)])
def test_given_a_lost_result_and_no_lookup_then_the_user_is_asked(engine, said, result):
    engine.need("once", "export")
    engine.answers = [said]
    assert engine.job().once("export", lambda: 8) == result
    assert "“export” was begun" in engine.asked[-2][1]


def test_given_a_problem_then_nothing_happened_and_it_may_be_tried_again(engine):
    def refused():
        raise Problem("No credits.", "Buy some.")

    with pytest.raises(Problem, match="No credits"):
        engine.job().once("export", refused)
    assert engine.job().once("export", lambda: 8) == 8


def test_given_any_other_fault_then_what_happened_is_unknown(engine):
    def broke():
        raise ConnectionError

    with pytest.raises(ConnectionError):
        engine.job().once("export", broke)
    assert engine.records["export"]["state"] == "unknown"


def test_two_effects_of_one_name_are_two(engine):
    job = engine.job()
    assert [job.once("export", lambda: 1), job.once("export", lambda: 2)] == [1, 2]
    assert [*engine.records] == ["export", "export #2"]


# -- ask -------------------------------------------------------------------------------------


def test_an_answer_has_the_type_that_was_asked_for(engine):
    engine.answers = ["2026-01-31", 3, "b"]
    job = engine.job()
    from datetime import date

    assert job.ask("When?", date) == date(2026, 1, 31)
    assert job.ask("How many?", int) == 3 and job.ask("Which?", ["a", "b"]) == "b"
    assert engine.asked[-1] == ("ask", "Which?", {"choices": ["a", "b"], "type": ""})


def test_any_of_some_words_is_asked_with_the_words_to_choose_from(engine):
    engine.answers = [["b", "c"], "b"]
    assert engine.job().ask("Which ones?", list[Literal["a", "b", "c"]]) == ["b", "c"]
    kind, key, about = engine.asked[-1]
    field = question_field({"about": json.dumps(about), "step": "x"})
    assert (field.many, field.choices) == (True, ("a", "b", "c"))
    assert engine.job().ask("Which one?", Literal["a", "b"]) == "b"
    assert engine.asked[-1][2]["choices"] == ("a", "b")


def test_a_question_of_megabytes_is_asked_by_its_beginning_and_says_so(engine):
    engine.answers, job = ["a", "b"], engine.job()
    assert job.ask("x" * 3_000_000) == "a" and job.ask("x" * 3_000_000) == "b"
    first, second = (asked[1] for asked in engine.asked[-2:])
    assert first == "x" * 2_000 + "… (the first 2,000 of 3,000,000 characters)"
    assert second == f"{first} #2"


def test_a_type_nobody_knows_is_refused_when_it_is_asked(engine):
    with pytest.raises(Problem, match="no field type"):
        engine.job().ask("What?", complex)


# -- map -------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_rows(engine):
    def slow_first(n):
        time.sleep(0.05 if n == 0 else 0)
        return n * 2

    assert engine.job().map(slow_first, range(5), at_once=3) == [0, 2, 4, 6, 8]
    assert engine.told[-1] == {"progress": [5, 5, ""]}


def test_lists_and_objects_in_a_csv_of_a_step_are_json_as_in_a_download(engine):
    rows = [{"tags": ["a", "b"], "more": {"x": None, "on": True}, "on": True, "none": None}]
    with engine.job().csv("rows.csv", rows).path.open(newline="") as file:
        head, cells = csv.reader(file)
    assert head == ["tags", "more", "on", "none"]
    assert cells == ['["a","b"]', '{"x":null,"on":true}', "true", ""]


def test_rows_of_a_map_that_do_something_once_under_one_name_are_refused_not_mixed_up(engine):
    done, job = [], engine.job()

    def posts(name):
        return lambda row: job.once(name.format(row), lambda: done.append(row) or row)

    with pytest.raises(Problem, match="rows of job.map share the name “post”"):
        job.map(posts("post"), range(3), at_once=1)
    assert done == [0]
    assert job.map(posts("post {}"), range(4), at_once=2) == [0, 1, 2, 3]
    assert [job.once("last", lambda: 1), job.once("last", lambda: 2)] == [1, 2]


def test_a_map_in_a_map_keeps_what_each_row_has_done(engine):
    broken = []

    def outer(row):
        return [row, *engine_job.map(lambda n: [row, n, len(broken)], range(2))]

    def breaks(row):
        made = outer(row)
        if row == 1 and not broken:
            broken.append(row)
            raise OSError
        return made

    engine_job = engine.job()
    with pytest.raises(OSError):
        engine_job.map(breaks, range(3), at_once=1)
    engine_job = engine.job()
    kept = [[row, [row, 0, row > 1], [row, 1, row > 1]] for row in range(3)]
    assert engine_job.map(breaks, range(3), at_once=1) == kept


def test_no_more_than_so_many_are_at_work_at_once(engine):
    at_work, most, lock = 0, 0, threading.Lock()

    def one(_):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with lock:
            at_work -= 1

    engine.job().map(one, range(20), at_once=8)
    assert 4 < most <= 8


def test_in_an_async_step_async_functions_share_its_loop(engine):
    async def step():
        loop = asyncio.get_running_loop()

        async def one(row):
            return [row, asyncio.get_running_loop() is loop]

        return await engine.job().map(one, "ab")

    assert asyncio.run(step()) == [["a", True], ["b", True]]


def test_given_a_row_that_fails_then_the_others_at_work_are_kept_and_the_next_try_does_the_rest(
    engine,
):
    seen, broken = [], True

    def one(n):
        seen.append(n)
        if n == 3 and broken:
            raise LookupError(n)
        return n

    with pytest.raises(LookupError):
        engine.job().map(one, range(6), at_once=1)
    assert seen == [0, 1, 2, 3]
    broken = False
    assert engine.job().map(one, range(6), at_once=1) == [0, 1, 2, 3, 4, 5]
    assert seen == [0, 1, 2, 3, 3, 4, 5]


def test_given_a_line_that_was_cut_off_then_that_row_is_done_again(engine):
    engine.job().map(str, range(3))
    journal = engine.folder / ".step-key-map"
    journal.write_text(journal.read_text()[:-3])
    seen = []
    assert engine.job().map(lambda n: seen.append(n) or str(n), range(3)) == ["0", "1", "2"]
    assert len(seen) == 1
    again = engine.job().map(seen.append, range(3))
    assert again == ["0", "1", "2"] and len(seen) == 1, "what came after the cut is kept, too"


def test_progress_without_a_known_total_is_thinned_out_too(engine):
    job = engine.job()
    for n in range(10_000):
        job.progress(n)
    assert 0 < len(engine.told) < 100


# -- what a step returns ---------------------------------------------------------------------


def test_a_short_output_is_kept_as_it_is(tmp_path):
    assert kept({"a": [1]}, tmp_path) == {"a": [1]} and not [*tmp_path.iterdir()]


def test_rows_that_are_yielded_become_a_list_while_they_are_few(tmp_path):
    assert kept(({"n": n} for n in range(3)), tmp_path) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("made", [iter, list], ids=["yielded", "returned"])
def test_many_rows_lie_in_a_file(tmp_path, made):
    rows = kept(made([{"text": "x" * 100}] * (INLINE // 100)), tmp_path)
    assert rows["count"] == INLINE // 100 and rows["$rows"].endswith("rows.jsonl")


def test_any_other_long_output_lies_in_a_file(tmp_path):
    found = kept({"text": "x" * INLINE}, tmp_path)
    assert Large(found["$json"], 0).load() == {"text": "x" * INLINE}


# -- one pipeline's output as another's input --------------------------------------------------


ROWS = [{"a": 1, "b": "x,y"}, {"a": 2, "b": None}]


def test_rows_become_a_csv_where_a_file_is_wanted(tmp_path):
    made = fed(make_field("source", File), ROWS, tmp_path)
    assert made.path.read_text() == 'a,b\n1,"x,y"\n2,\n'


def test_rows_of_a_file_become_a_csv_too(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    made = fed(make_field("source", File), Rows(tmp_path / "rows.jsonl", 2), tmp_path)
    assert made.path.read_text().count("\n") == 3


def test_columns_that_only_later_rows_have_are_in_the_csv_that_is_fed(tmp_path):
    made = fed(make_field("source", File), [{"a": 1}, {"a": 2, "b": 3}], tmp_path)
    assert made.path.read_text() == "a,b\n1,\n2,3\n"


def test_a_long_list_that_is_no_table_is_fed_as_one_of_its_values(tmp_path):
    (tmp_path / "rows.jsonl").write_text('"one"\n"two"\n')
    made = fed(make_field("source", File), Rows(tmp_path / "rows.jsonl", 2), tmp_path)
    assert made.path.read_text() == "value\none\ntwo\n"


def test_the_first_file_of_an_output_is_taken(tmp_path):
    one, two = File(tmp_path / "one"), File(tmp_path / "two")
    assert fed(make_field("source", File), {"n": 1, "a": one, "b": two}, tmp_path) is one


@pytest.mark.parametrize(
    ("kind", "output"), [(str, "text"), (int, 3), (list, [1]), (dict, {"a": 1}), (Text, "a\nb")]
)
def test_any_other_output_is_taken_as_it_is(tmp_path, kind, output):
    assert fed(make_field("value", kind), output, tmp_path) == output


@pytest.mark.parametrize(("kind", "output"), [(str, 3), (int, "three"), (str, None), (File, 3)])
def test_an_output_of_another_type_is_refused(tmp_path, kind, output):
    with pytest.raises(Problem, match="Value"):
        fed(make_field("value", kind), output, tmp_path)
