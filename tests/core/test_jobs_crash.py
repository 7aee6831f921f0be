"""Killed at any moment, a run ends as an unbroken one does, and no outside effect happens twice.

The pipeline of these tests has all that is kept on the way: rows, a map, a checkpoint, an effect
outside (lines of a file, counted), a question. Short here; `make test-long` kills far more often.
"""

import json
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import apsw
import pytest

from serving import serving

PIPELINE = """
    import time
    from pathlib import Path
    from pipulate import Pipeline

    crash = Pipeline("Crash")
    WORLD = Path(__file__).parent.parent / "world"  # stands for a service that spends credits

    @crash.step
    def rows(n: int):
        for i in range(n):
            time.sleep(0.002)
            yield {"i": i}

    @crash.step
    def squares(rows, job):
        def one(row):
            time.sleep(0.01)
            return row["i"] ** 2
        return job.map(one, rows, at_once=2)

    @crash.step
    def total(squares, job):
        at, sum_ = job.checkpoint_data or (0, 0)
        for n, value in enumerate(squares[at:], at):
            sum_ += value
            job.checkpoint([n + 1, sum_])
        return sum_

    def exported():
        lines = WORLD.read_text().split() if WORLD.exists() else []
        return {"id": lines[0]} if lines else None

    def export():
        with WORLD.open("a") as world:
            world.write("job-1\\n")
        time.sleep(0.03)
        return {"id": "job-1"}

    @crash.step
    def paid(total, job):
        return job.once("export", export, lookup=exported)["id"]

    @crash.step
    def named(paid, job):
        return job.ask("Which name?") + "-" + paid

    @crash.step
    def done(named, total, rows):
        return {"named": named, "total": total, "rows": len(rows)}
"""
ROWS = 60
WANTED = {"named": "ann-job-1", "total": sum(i * i for i in range(ROWS)), "rows": ROWS}


@pytest.fixture
def home(tmp_path):
    apps = tmp_path / "home" / "apps"
    apps.mkdir(parents=True)
    (apps / "crash.py").write_text(textwrap.dedent(PIPELINE))
    return tmp_path / "home"


def whole(home):
    """SQLite's own check of the store."""
    db = apsw.Connection(str(home / "pipulate.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return db.pragma("integrity_check")
    finally:
        db.close()


def effects(home):
    return (home / "world").read_text().split()


# -- a server that is killed while it works --------------------------------------------------


def go_on(server):
    """Run on as far as it goes; answers the question. Returns the last output, None without one."""
    runs = server.call("run_list", pipeline="crash")
    told = server.call("crash_run", **({"run": runs[0]["id"]} if runs else {"n": ROWS}))
    if told.get("question"):
        server.call("run_answer", run=told["run"], answer="ann")
        told = server.call("crash_run", run=told["run"])
    return told.get("output")


def trying(server, found):
    try:
        while not found:
            if output := go_on(server):
                found.append(output)
    except Exception:  # the server is gone, or the step is at work still
        time.sleep(0.05)


def killed_at_random(home, kills, seed):
    """(the output, kills that met a server at work)."""
    moments, found, met = random.Random(seed), [], 0
    while not found:
        with serving(home) as server:
            work = threading.Thread(target=trying, args=(server, found))
            work.start()
            if met < kills:
                time.sleep(moments.uniform(0.02, 0.4))
                met += not found
                server.process.send_signal(signal.SIGKILL)
                server.process.wait(10)
            work.join(30)
        assert whole(home) == "ok"
    return found[0], met


@pytest.mark.parametrize(
    ("kills", "seeds"),
    [(5, range(1)), pytest.param(6, range(1, 13), marks=pytest.mark.long)],
    ids=["five kills", "seventy kills"],
)
def test_given_kills_at_random_then_the_output_is_that_of_an_unbroken_run(home, kills, seeds):
    for seed in seeds:
        output, met = killed_at_random(home, kills, seed)
        assert output == WANTED and effects(home) == ["job-1"] and met > 0
        for path in [home / "world", *home.glob("pipulate.db*")]:
            path.unlink(missing_ok=True)


# -- an engine that is killed at one of its commits ------------------------------------------

ENGINE = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from pipulate.apps.house import House
    from pipulate.core.settings import Settings
    from pipulate.core.store import Database

    home, last, before = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "before"
    count, end = 0, Database._end

    def counted(self, change, word):
        global count
        if change.writer and word == "COMMIT":
            count += 1
            if count == last and before:
                os.kill(os.getpid(), signal.SIGKILL)
        end(self, change, word)
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        house = House(Settings(home))
        caller = house.caller("user")
        Database._end = counted
        runs = house.runs.listing(1, "crash")
        values = {"run": runs[0]["id"]} if runs else {"n": 4}
        told = await house.tools.call("crash_run", values, caller)
        if told.get("question"):
            await house.tools.call("run_answer", {"run": told["run"], "answer": "ann"}, caller)
            for job in [*house.jobs.live.values()]:
                await house.jobs.wait(job)
            told = await house.tools.call("crash_run", {"run": told["run"]}, caller)
        print(__import__("json").dumps(told["output"]))
        await house.close()

    asyncio.run(main())
"""


def engine(home, last=0, when="before"):
    """(exit code, the output) of an engine that dies at that commit of its own; 0: it does not."""
    script = home / "engine.txt"
    script.write_text(textwrap.dedent(ENGINE))
    words = [sys.executable, str(script), str(home), str(last), when]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, json.loads(done.stdout or "null")


def at_every_commit(home, when, step):
    """Kill a fresh run at its commits one by one; how many there were."""
    last = 1
    while True:
        for path in [home / "world", *home.glob("pipulate.db*")]:
            path.unlink(missing_ok=True)
        code, output = engine(home, last, when)
        if code == 0:
            break
        assert whole(home) == "ok"
        _, output = engine(home)
        assert output == {"named": "ann-job-1", "total": 14, "rows": 4}, f"killed {when} {last}"
        assert effects(home) == ["job-1"], f"killed {when} commit {last}"
        last += step
    return last


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "step", [9, pytest.param(1, marks=pytest.mark.long)], ids=["some commits", "every commit"]
)
def test_given_a_kill_at_a_commit_then_the_next_engine_ends_the_run_as_if_nothing_was(
    home, when, step
):
    assert at_every_commit(home, when, step) > 20


def test_given_two_engines_on_one_home_then_no_step_is_at_work_twice(home):
    words = [sys.executable, "-m", "pipulate", "run", "crash", "n=20", "--home", str(home)]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.1)
    second = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for process in (first, second):
        said = process.communicate(timeout=60)
        assert process.returncode == 3, said
    db = apsw.Connection(str(home / "pipulate.db"))
    done = db.execute("SELECT run_id, step, count(*) FROM attempts GROUP BY 1, 2").fetchall()
    db.close()
    assert len(done) == 10 and {count for *_, count in done} == {1}
