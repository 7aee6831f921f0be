"""Jobs: every step in a process of its own that tells how far it is and can always be stopped."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from pipulate.core import jobs
from pipulate.core.problems import Broken, Busy
from pipulate.core.process import kill, spawn

STEPS = """
    import ctypes, os, signal, subprocess, sys, time
    from pathlib import Path
    from pipulate import File, Pipeline

    work = Pipeline("Work")

    def here(job):
        (job.files / "pid").write_text(str(os.getpid()))
        job.progress(1, 4, "begun")

    @work.step
    def quick(job, name: str = "ann"):
        print("hello from", name)
        return {"name": name, "pid": os.getpid()}

    @work.step
    def sleeps(job):
        here(job)
        print("at work")
        time.sleep(60)

    @work.step
    async def awaits(job):
        import asyncio
        here(job)
        await asyncio.sleep(60)

    @work.step
    def loops(job):
        here(job)
        while True:
            pass

    @work.step
    def blocks(job):
        here(job)
        ctypes.PyDLL(None).usleep(60_000_000)

    @work.step
    def ignores(job):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        here(job)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass

    @work.step
    def spawns(job):
        child = subprocess.Popen(["sleep", "60"])
        here(job)
        (job.files / "pid").write_text(str(child.pid))
        time.sleep(60)

    @work.step
    def leaves(job):
        subprocess.Popen(["sleep", "8"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            time.sleep(8)
            os._exit(0)
        here(job)
        time.sleep(60)

    @work.step
    def forks(job):
        if os.fork() == 0:
            time.sleep(300)
        os._exit(7)

    @work.step
    def exits(job):
        print("last words")
        os._exit(7)

    @work.step
    def ends(job):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    @work.step
    def odd():
        return {"a": [object()]}

    @work.step
    def half():
        return "half a pair \\ud800"

    @work.step
    def circle():
        rows = []
        rows.append(rows)
        return rows

    @work.step
    def drones():
        print("x" * 40_000_000, end="")
        return "through"

    @work.step
    def raises(reason: str = "no such page"):
        print("about to fail")
        raise LookupError(reason)

    @work.step
    def quits():
        sys.exit("enough")

    @work.step
    def shouts():
        os.write(1, b'{"done": "forged"}\\n')
        print('{"done": "forged"}', flush=True)
        subprocess.run(["echo", "from a child"])
        return "real"

    @work.step
    def counts(job):
        start = job.checkpoint_data or 0
        for n in range(start, 3):
            job.checkpoint(n + 1)
            job.progress(n + 1, 3)
            if start == 0 and n == 1:
                os._exit(1)
        return [start, n + 1]

    @work.step
    def writes(job):
        path = job.files / "out.csv"
        path.write_text("a,b")
        return File(path)

    @work.step
    def adds(job, title: str = "from a step"):
        row = job.tool("task_add", title=title)
        try:
            job.tool("task_add", titel="x")
        except Exception as error:
            return [row["title"], type(error).__name__]

    @work.step
    def deletes(job):
        return job.tool("profile_delete", profile="default")
"""


@pytest.fixture
def work(house, plugin):
    found = plugin(STEPS, "work")
    assert found.problem is None, found.problem
    return found.pipelines["work"]


class Engine:
    """Steps of one run, begun and waited for."""

    def __init__(self, house, pipeline, run):
        self.house, self.pipeline, self.run = house, pipeline, run
        self.run_id = house.runs.create(1, pipeline.slug)["id"]

    async def start(self, step, actor="user", **inputs):
        caller = self.house.caller(actor)
        return await self.house.jobs.start(caller, self.pipeline, self.run_id, step, inputs)

    async def finish(self, step, **inputs):
        job = await self.start(step, **inputs)
        await self.house.jobs.wait(job)
        return self.state(step)

    def __call__(self, step, **inputs):
        return self.run(self.finish(step, **inputs))

    def state(self, step):
        run = self.house.runs.get(1, self.run_id)
        return self.house.runs.states(run, self.pipeline)[step]


@pytest.fixture
def engine(house, work, run):
    return Engine(house, work, run)


async def begun(job, seconds=5):
    end = time.monotonic() + seconds
    while job.message != "begun":
        assert time.monotonic() < end, "the step did not begin"
        await asyncio.sleep(0.01)


def pid_of(engine, job):
    path = engine.house.runs.files / "runs" / str(engine.run_id) / str(job.attempt["id"]) / "pid"
    return int(path.read_text())


# -- what a step gives back ------------------------------------------------------------------


def test_a_step_runs_in_another_process_that_is_kept_warm(engine):
    first, second = engine("quick"), engine("quick", name="bob")
    assert first.state == second.state == "done"
    assert first.output["name"] == "ann" and second.output["name"] == "bob"
    assert first.output["pid"] == second.output["pid"] != os.getpid()


def test_given_a_step_that_writes_a_file_then_the_file_is_its_output(engine):
    output = engine("writes").output
    assert output.path.read_text() == "a,b" and output.name == "out.csv"
    assert output.path.is_relative_to(engine.house.runs.files)


def test_whatever_a_step_prints_is_its_log_and_never_its_output(engine, run):
    async def main():
        job = await engine.start("shouts")
        await engine.house.jobs.wait(job)
        return list(job.log)

    log = run(main())
    assert engine.state("shouts").output == "real"
    assert log.count('{"done": "forged"}') == 2 and "from a child" in log


def test_a_step_prints_any_character_where_the_machine_speaks_no_utf_8(engine, monkeypatch):
    """As on Windows."""
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)
    state = engine("quick", name="→ Zoë")
    assert state.state == "done", state.error
    assert "hello from → Zoë" in state.attempt["log"]


def test_a_step_that_prints_an_endless_line_is_not_halted_by_its_full_pipe(engine, run):
    state = run(asyncio.wait_for(engine.finish("drones"), 20))
    assert state.output == "through"


def test_the_log_of_one_step_does_not_run_into_the_next(engine, run):
    async def main():
        first = await engine.start("quick", name="ann")
        await engine.house.jobs.wait(first)
        second = await engine.start("quick", name="bob")
        await engine.house.jobs.wait(second)
        return list(first.log), list(second.log)

    for _ in range(5):
        assert run(main()) == (["hello from ann"], ["hello from bob"])


def test_what_a_step_prints_is_seen_while_it_works(engine, run):
    async def main():
        job = await engine.start("sleeps")
        await begun(job)
        end = time.monotonic() + 2
        while "at work" not in job.log and time.monotonic() < end:
            await asyncio.sleep(0.01)
        engine.house.jobs.cancel(engine.run_id, "sleeps")
        await engine.house.jobs.wait(job)
        return list(job.log)

    assert run(main()) == ["at work"]


def test_progress_is_told_while_the_step_works(engine, run):
    heard = []
    engine.house.jobs.on_change.append(lambda job: heard.append((job.done, job.total, job.share)))

    async def main():
        job = await engine.start("sleeps")
        await begun(job)
        engine.house.jobs.cancel(engine.run_id, "sleeps")
        await engine.house.jobs.wait(job)

    run(main())
    assert (1, 4, 0.25) in heard


# -- what can go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("raises", "LookupError: no such page"),
        ("quits", "SystemExit: enough"),
        ("odd", "object cannot be kept as an output"),
        ("half", "surrogates"),
        ("circle", "RecursionError"),
        ("exits", "exit code 7"),
    ],
)
def test_given_a_step_that_fails_then_the_reason_is_kept_and_the_next_step_runs(engine, step, said):
    found = engine(step)
    assert found.state == "failed" and said in found.error["problem"]
    assert found.error["next_step"]
    assert engine("quick").state == "done"


def test_a_step_whose_process_has_ended_fails_though_a_child_of_it_lives_on(engine):
    began = time.monotonic()
    assert "exit code 7" in engine("forks").error["problem"]
    assert time.monotonic() - began < 150, "it waited for the child"
    assert engine("quick").state == "done"


def test_given_a_worker_that_is_told_to_end_as_at_a_logout_then_its_step_is_interrupted(engine):
    assert engine("ends").state == "interrupted"
    assert engine("quick").state == "done"


@pytest.mark.parametrize(
    ("step", "lines"),
    [("raises", ["about to fail", "LookupError: no such page"]), ("exits", ["last words"])],
)
def test_given_a_step_that_fails_then_its_log_is_kept_with_the_error(engine, step, lines):
    log = engine(step).attempt["log"]
    assert all(line in log for line in lines), log


@pytest.mark.parametrize(
    "step", ["sleeps", "awaits", "loops", "blocks", "ignores", "spawns", "leaves"]
)
def test_given_any_step_then_it_is_cancelled_within_two_seconds_with_all_it_started(
    engine, run, alive, until, step
):
    async def main():
        job = await engine.start(step)
        await begun(job)
        began = time.monotonic()
        assert engine.house.jobs.cancel(engine.run_id, step)
        await engine.house.jobs.wait(job)
        return job, time.monotonic() - began

    job, took = run(main())
    assert took < 2
    until(lambda: not alive(pid_of(engine, job)), 2)
    assert engine.state(step).state == "cancelled"
    assert "problem" not in engine.state(step).error, "to cancel is no fault"


@pytest.fixture
def held(engine, monkeypatch):
    """(it waits to begin, go on): each step is held right before its beginning."""
    begin, inside, go_on = engine.house.runs.begin, threading.Event(), threading.Event()

    def slow(*about):
        inside.set()
        go_on.wait(10)
        return begin(*about)

    monkeypatch.setattr(engine.house.runs, "begin", slow)
    return inside, go_on


def test_a_step_whose_caller_goes_while_it_is_begun_is_cancelled_and_runs_again(engine, run, held):
    inside, go_on = held

    async def main():
        starting = asyncio.create_task(engine.start("quick"))
        await asyncio.to_thread(inside.wait)
        starting.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        while not engine.house.runs.attempts.count():
            await asyncio.sleep(0.01)

    run(main())
    assert engine.state("quick").state == "cancelled"
    assert engine("quick").state == "done"


@pytest.mark.parametrize("pause", [0, 0.001, 0.02], ids=str)
def test_given_a_cancel_right_after_the_start_then_the_step_does_not_run_on(engine, run, pause):
    async def main():
        job = await engine.start("sleeps")
        await asyncio.sleep(pause)
        assert engine.house.jobs.cancel(engine.run_id, "sleeps")
        await asyncio.wait_for(engine.house.jobs.wait(job), 2)

    run(main())
    assert engine.state("sleeps").state == "cancelled"


def test_given_more_steps_than_may_work_at_once_then_one_that_waits_is_cancelled_too(engine, run):
    async def main():
        names = ["sleeps", "awaits", "loops", "blocks"]
        jobs = [await engine.start(name) for name in names]
        for job in jobs:
            await begun(job)
        late = await engine.start("quick")
        await asyncio.sleep(0.05)
        engine.house.jobs.cancel(engine.run_id, "quick")
        await asyncio.wait_for(engine.house.jobs.wait(late), 2)
        for name in names:
            engine.house.jobs.cancel(engine.run_id, name)

    run(main())
    assert engine.state("quick").state == "cancelled"


TWO = """
    import time
    from pipulate import Pipeline
    two = Pipeline("Two")

    @two.step(seconds=20)
    def keeps(job):
        for n in range(20):
            job.checkpoint(n)
            job.once(f"n{n}", int)
        return n

    @two.step
    def sleeps(job):
        time.sleep(60)
"""


def test_a_step_that_keeps_a_checkpoint_does_not_wait_for_those_behind_it(house, plugin, run):
    house.jobs._places = asyncio.Semaphore(1)
    engine = Engine(house, plugin(TWO, "two").pipelines["two"], run)

    async def main():
        first, second = [await engine.start(step) for step in ("keeps", "sleeps")]
        await asyncio.wait_for(house.jobs.wait(first), 15)
        house.jobs.cancel(engine.run_id, "sleeps")
        await house.jobs.wait(second)

    run(main())
    assert engine.state("keeps").output == 19


ASKS = """
    import asyncio
    from pipulate import Pipeline
    asks = Pipeline("Asks")

    @asks.step(seconds=20)
    async def both(job):
        return await asyncio.gather(job.ask("One?"), job.ask("Two?"))
"""


def test_of_two_questions_at_once_the_answer_to_one_does_not_let_the_time_run_on(
    house, plugin, run
):
    engine = Engine(house, plugin(ASKS, "asks").pipelines["asks"], run)

    async def main():
        job = await engine.start("both")
        for left in (2, 1):
            async with asyncio.timeout(15):
                while (len(job.questions), job.waits) != (left, left):
                    await asyncio.sleep(0.01)
            assert job.limit.when() is None
            record = house.runs.records("state = 'waiting'", order_by="id", limit=1)[0]
            house.jobs.keep_answer(record, "yes")
            house.jobs.wake(record)
        await house.jobs.wait(job)

    run(main())
    assert engine.state("both").output == ["yes", "yes"]


def test_the_time_in_which_an_answer_is_thought_of_is_no_work_of_the_step(house, plugin, run):
    engine = Engine(house, plugin(ASKS, "asks").pipelines["asks"], run)
    whole, thought = time.monotonic(), 0.5

    async def main():
        job = await engine.start("both")
        async with asyncio.timeout(15):
            while len(job.questions) < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(thought)
        for record in house.runs.records("state = 'waiting'"):
            house.jobs.keep_answer(record, "yes")
            house.jobs.wake(record)
        await house.jobs.wait(job)

    run(main())
    whole, attempt = time.monotonic() - whole, engine.state("both").attempt
    ended, began = (datetime.fromisoformat(attempt[f"{n}_utc"]) for n in ("ended", "started"))
    assert 0 < (ended - began).total_seconds() < whole - thought


def test_a_step_that_ends_while_the_disk_is_full_is_settled_when_there_is_room(
    engine, run, monkeypatch
):
    monkeypatch.setattr(jobs, "LATER", 0.05)
    settle, refused = engine.house.runs.settle, []

    def full(*about, **kept):
        if len(refused) < 3:
            refused.append(job.message)
            raise Busy("The disk is full; this was not saved.", "Free some space, try again.")
        settle(*about, **kept)

    monkeypatch.setattr(engine.house.runs, "settle", full)
    job = run(engine.start("quick"))
    run(engine.house.jobs.wait(job))
    assert len(refused) == 3 and "disk is full" in refused[-1]
    assert engine.state("quick").output["name"] == "ann" and not engine.house.jobs.live


def test_given_ctrl_c_twice_while_a_step_waits_to_begin_then_it_is_cancelled_once_it_has(
    engine, run, held
):
    inside, go_on = held

    async def twice():
        starting = asyncio.create_task(engine.start("quick"))
        await asyncio.to_thread(inside.wait)
        for _ in "ab":
            starting.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.wait([starting])
        go_on.set()
        while engine.state("quick").state != "cancelled":
            await asyncio.sleep(0.01)

    run(asyncio.wait_for(twice(), 10))


def test_a_step_that_ends_while_the_home_cannot_be_written_is_at_work_no_longer_once_it_can(
    engine, run, monkeypatch
):
    monkeypatch.setattr(jobs, "LATER", 0.05)
    settle, refused = engine.house.runs.settle, []

    def shut(*about, **kept):
        if not refused:
            refused.append(about)
            raise Broken("The home folder cannot be written.", "Make it writable, try again.")
        settle(*about, **kept)

    monkeypatch.setattr(engine.house.runs, "settle", shut)
    job = run(engine.start("quick"))
    run(engine.house.jobs.wait(job))
    assert engine.state("quick").state == "done" and not engine.house.jobs.live


def test_a_deletion_of_its_profile_cancels_a_step_at_work_and_no_other_and_undo_shows_it_so(
    engine, house, work, call, run
):
    call("profile_add", name="Other")

    async def deleted():
        job = await engine.start("sleeps")
        await begun(job)
        there = house.caller("user", "other", confirmed=True)
        kept = house.runs.create(there.profile.id, work.slug)["id"]
        stays = await house.jobs.start(there, work, kept, "sleeps", {})
        await house.tools.call("profile_delete", {"profile": "default"}, there)
        await asyncio.wait_for(house.jobs.wait(job), 5)
        assert not stays.ending and not stays.task.done()
        house.jobs.cancel(kept, "sleeps")
        await house.jobs.wait(stays)

    run(deleted())
    event = next(e for e in house.events.recent(2) if e["verb"] == "profile_delete")
    call("undo", at="other", event=event["id"])
    state = engine.state("sleeps")
    assert state.state == "cancelled" and state.attempt["log"] == "at work"


def test_given_a_step_that_is_not_at_work_then_there_is_nothing_to_cancel(engine):
    assert engine.house.jobs.cancel(engine.run_id, "quick") is None


def test_given_a_lost_process_when_the_step_is_resumed_then_it_goes_on_from_its_checkpoint(engine):
    assert engine("counts").state == "failed"
    assert engine("counts").output == [2, 3]


# -- data only through tools -----------------------------------------------------------------


def test_a_step_changes_data_through_tools_and_meets_their_problems(engine, call):
    assert engine("adds").output == ["from a step", "Invalid"]
    assert call("task_list")["rows"][0]["title"] == "from a step"


def test_given_a_step_that_a_model_began_then_what_it_destroys_waits_for_approval(engine, run):
    async def main():
        job = await engine.start("deletes", actor="model")
        await engine.house.jobs.wait(job)

    run(main())
    state = engine.state("deletes")
    assert state.state == "failed" and "approval" in state.error["problem"]


# -- the end of the engine -------------------------------------------------------------------


def test_given_the_engine_closes_then_its_steps_are_interrupted_and_nothing_is_left_running(
    open_house, plugin, run, alive, until, work, engine
):
    async def main():
        job = await engine.start("sleeps")
        await begun(job)
        await engine.house.jobs.close()
        return job

    job = run(main())
    until(lambda: not alive(pid_of(engine, job)), 2)
    assert engine.state("sleeps").state == "interrupted"
    assert list((engine.house.settings.home / "locks").glob("*.lock")) == []


def test_a_second_engine_on_the_home_leaves_the_steps_of_a_living_one_alone(
    engine, run, open_house
):
    job = run(engine.start("sleeps"))
    open_house()
    assert engine.state("sleeps").state == "running"
    engine.house.jobs.cancel(engine.run_id, "sleeps")
    run(engine.house.jobs.wait(job))


def test_given_a_lock_left_by_a_dead_engine_then_its_steps_are_interrupted_at_the_next_start(
    house, work, open_house
):
    one = house.runs.create(1, "work")["id"]
    house.runs.begin(1, one, work, "sleeps", {}, "12345-dead")
    (house.settings.home / "locks" / "12345-dead.lock").touch()
    again = open_house()
    found = again.runs.states(again.runs.get(1, one), again.shelf.pipeline("work").pipeline)
    assert found["sleeps"].state == "interrupted"


def test_a_lock_that_is_not_removed_while_it_is_held_keeps_no_home_from_opening(
    house, work, open_house, monkeypatch
):
    """As on Windows."""

    def unlink(path, missing_ok=False):
        if path.suffix == ".lock":
            raise PermissionError(13, "Sharing violation", str(path))
        at_once(path, missing_ok)

    at_once = Path.unlink
    one = house.runs.create(1, "work")["id"]
    house.runs.begin(1, one, work, "sleeps", {}, "12345-dead")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        again = open_house()
    found = again.runs.states(again.runs.get(1, one), again.shelf.pipeline("work").pipeline)
    assert found["sleeps"].state == "interrupted"


ENGINE = """
import asyncio, sys
from pathlib import Path
from pipulate.apps.house import House
from pipulate.core.settings import Settings

async def main():
    house = House(Settings(home=Path(sys.argv[1])))
    run = house.runs.create(1, "work")["id"]
    work = house.shelf.pipeline("work").pipeline
    for step in sys.argv[2:]:
        await house.jobs.start(house.caller("user"), work, run, step, {})
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("steps", [["sleeps"], ["loops", "ignores"], ["spawns"]], ids="+".join)
def test_given_a_killed_engine_then_no_worker_is_left_and_the_next_start_says_interrupted(
    settings, work, run, open_house, alive, until, steps
):
    """kill -9 while steps are at work."""
    command = [sys.executable, "-c", ENGINE, str(settings.home), *steps]
    with subprocess.Popen(command) as process:
        folder = settings.folder("files") / "runs"
        count = len(steps)
        until(lambda: sum(bool(p.read_text()) for p in folder.glob("*/*/pid")) == count, 10)
        process.kill()
    for path in folder.glob("*/*/pid"):
        until(lambda path=path: not alive(int(path.read_text())), 3)
    house = open_house()
    states = house.runs.states(house.runs.get(1, 1), house.shelf.pipeline("work").pipeline)
    assert [states[step].state for step in steps] == ["interrupted"] * count
    assert house.db.all("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_given_an_output_of_many_megabytes_then_it_lies_in_a_file_and_the_next_step_has_it_whole(
    house, plugin, run
):
    big = plugin(
        """
        from pipulate import Pipeline
        big = Pipeline("Big")

        @big.step
        def much():
            return "x" * 20_000_000

        @big.step
        def rows():
            yield from ({"n": n} for n in range(200_000))

        @big.step
        def look(much, rows):
            return [len(much), len(rows), sum(row["n"] for row in rows), rows[-1], rows[1:3]]
        """,
        "big",
    ).pipelines["big"]
    engine = Engine(house, big, run)
    assert engine("much").output.size == 20_000_002
    assert len(engine("rows").output) == 200_000
    last = [{"n": 1}, {"n": 2}]
    assert engine("look").output == [20_000_000, 200_000, 19_999_900_000, {"n": 199_999}, last]


def test_given_a_file_that_changed_meanwhile_then_the_step_runs_the_version_that_was_loaded(
    engine, house, run
):
    path = house.settings.folder("apps") / "work.py"
    path.write_text(path.read_text().replace("hello from", "changed"))
    state = engine("quick")
    assert state.state == "done" and "changed" not in json.dumps(state.output)


def test_an_end_of_workers_is_no_unknown_child_in_the_log(run, caplog, monkeypatch):
    at_once = os.killpg

    def dead(*said):
        at_once(*said)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, said[0], os.WEXITED | os.WNOWAIT)

    async def killed():
        for _ in range(25):
            process = await spawn("this")
            await kill(process)
            assert process.returncode == -signal.SIGKILL

    monkeypatch.setattr(os, "killpg", dead)
    run(killed())
    assert [record.message for record in caplog.records] == []


def test_a_step_that_is_begun_again_the_moment_it_ends_can_be_waited_for_and_cancelled(
    engine, run, monkeypatch
):
    jobs, settle, begun_again = engine.house.jobs, engine.house.runs.settle, []

    def settled(*about, **kept):
        settle(*about, **kept)  # from here on it may be begun; who settled has not come back yet
        monkeypatch.setattr(engine.house.runs, "settle", settle)
        starting = asyncio.run_coroutine_threadsafe(engine.start("sleeps"), loop)
        begun_again.append(starting.result(5))

    async def main():
        nonlocal loop
        loop = asyncio.get_running_loop()
        first = await engine.start("sleeps")
        await begun(first)
        jobs.cancel(engine.run_id, "sleeps")
        await jobs.wait(first)
        assert jobs.cancel(engine.run_id, "sleeps") is begun_again[0]
        await asyncio.wait_for(jobs.wait(begun_again[0]), 5)

    loop = None
    monkeypatch.setattr(engine.house.runs, "settle", settled)
    run(main())
    assert engine.state("sleeps").state == "cancelled" and not jobs.live


def test_a_step_of_a_process_that_was_killed_is_interrupted_when_its_run_is_looked_at(house, work):
    one = house.runs.create(1, "work")["id"]
    house.runs.begin(1, one, work, "sleeps", {}, "12345-dead")
    states = house.shelf.pipeline("work").open(house.profiles.at(), one)[1]
    assert states["sleeps"].state == "interrupted"


LEFT = """
    import threading, time
    from pipulate import Pipeline

    left = Pipeline("Left")

    @left.step
    def one(job):
        def late():
            time.sleep(0.3)
            job.checkpoint("of one")
        threading.Thread(target=late, daemon=True).start()

    @left.step
    def two(job):
        time.sleep(0.8)
"""


def test_what_a_step_left_at_work_when_it_ended_says_nothing_to_the_next_one(house, plugin, run):
    engine = Engine(house, plugin(LEFT, "left").pipelines["left"], run)
    assert engine("one").state == "done"
    assert engine("two").attempt["checkpoint"] is None
