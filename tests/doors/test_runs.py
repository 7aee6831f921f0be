"""Runs in the shell: printed as lines, followed on a terminal, asked there; with and without a

server."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from datetime import datetime, timedelta

import pytest

from serving import NOWHERE

ALONE = pytest.mark.parametrize("home", ["no server"], indirect=True)
PLUGIN = """
import time
from pipulate import Pipeline, Problem, Secret

slow = Pipeline("Slow", "Takes its time and asks.")


@slow.step
def count(job, n: int = 3, wait: float = 0.0):
    began = time.monotonic()
    for i in range(n):  # at its time, however busy the machine is
        time.sleep(max(0, began + (i + 1) * wait - time.monotonic()))
        job.progress(i + 1, n, f"row {i}\\x1b[31m")
    return n


@slow.step
async def sheet(count, job):
    return await job.ask("Which\\x1b sheet?", ["a", "b"])


@slow.step
def end(sheet, count):
    return sheet * count


wipe = Pipeline("Wipe", "Calls what cannot simply be undone.")


@wipe.step
def gone(job, profile: str):
    return job.tool("profile_delete", profile=profile)["deleted"]


goes = Pipeline("Goes", "Goes on by itself after an answer.")


@goes.step
def first(job):
    return job.ask("Go on?", ["yes"])


@goes.step(auto=True)
def then(first):
    return first


doubts = Pipeline("Doubts", "Fails after its answer.")


@doubts.step
def order(job):
    world = job.files.parent / "world"
    world.open("a").write("o")
    said = job.ask("Which word?")
    raise Problem(f"There is no {said}: {world.read_text()}.", "Give another one.")


hush = Pipeline("Hush", "Asks for a secret.")


@hush.step
def told(job):
    key = job.ask("Which key?", Secret)
    sure = job.ask("Sure?", [True, False])
    return [len(key), sure, job.ask("A word?", str | None)]


big = Pipeline("Big", "Many rows.")


@big.step
def rows(n: int):
    for i in range(n):
        yield {"id": i, "text": "x" * 100}


@big.step
def last(rows):
    return ["one", {"long": "x" * 1_100_000}] if len(rows) > 10 else 3
"""


@pytest.fixture(autouse=True)
def pipelines(home, shell, until):
    """The file above is in the home, and known."""
    (home / "apps").mkdir(parents=True, exist_ok=True)
    if not (home / "apps" / "slow.py").exists():
        (home / "apps" / "slow.py").write_text(PLUGIN)
    until(lambda: "slow" in shell("apps")[1])


@pytest.fixture
def terminal(home):
    """terminal(words, {what is seen: what is typed}): (exit code, all that was on the screen)."""

    def typing(words, typed=None):
        typed, seen, end = dict(typed or {}), "", time.monotonic() + 20
        command = [sys.executable, "-m", "pipulate", *words, "--home", str(home)]
        process, screen = pty.fork()
        if not process:
            os.execvpe(command[0], command, {**os.environ, "OLLAMA_HOST": NOWHERE})
        try:
            while time.monotonic() < end and (piece := read(screen)) is not None:
                seen += piece
                for wanted in [w for w in typed if w in seen]:
                    os.write(screen, typed.pop(wanted).encode())
        finally:
            os.close(screen)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), seen

    return typing


def read(screen):
    """What comes within a moment; None at the end."""
    if not select.select([screen], [], [], 0.05)[0]:
        return ""
    try:
        return os.read(screen, 65_536).decode(errors="replace") or None
    except OSError:
        return None


def newest(shell):
    return json.loads(shell("runs", "--json")[1])[0]["id"]


def states(shell, run):
    return [s["state"] for s in json.loads(shell("runs", str(run), "--json")[1])["steps"]]


@pytest.mark.parametrize("n", [3, 12_000], ids=["kept in the store", "kept in a file"])
def test_rows_are_printed_as_what_they_stand_for(shell, n):
    words = ["run", "big", f"n={n}", "--to", "rows"]
    wanted = [{"id": i, "text": "x" * 100} for i in range(n)]
    code, out, err = shell(*words, "--jsonl")
    assert (code, err) == (0, "") and [*map(json.loads, out.splitlines())] == wanted
    out = shell(*words, "--json")[1]
    assert json.loads(out) == wanted and len(out.splitlines()) == 1
    out = shell(*words)[1]
    assert json.loads(out) == wanted and len(out.splitlines()) >= n


def test_a_long_output_of_another_kind_is_printed_too(shell):
    code, out, _ = shell("run", "big", "n=11", "--jsonl")
    assert code == 0 and [len(line) > 1_000_000 for line in out.splitlines()] == [False, True]
    assert shell("run", "big", "n=1", "--jsonl")[1] == "3\n"
    assert json.loads(shell("run", "big", "n=11")[1])[0] == "one"


def test_a_run_goes_up_to_a_step_and_takes_the_inputs_of_another(shell):
    assert shell("run", "hello", "name=Ada", "mark=.", "--to", "greeting")[1] == "Hello, Ada.\n"
    first = newest(shell)
    assert states(shell, first) == ["done", "done", "ready"]
    assert shell("run", "hello", "--from", str(first), "--to", "greeting")[1] == "Hello, Ada.\n"
    assert newest(shell) > first
    code, _, err = shell("run", "hello", "--to", "greting")
    assert code == 2 and "no step 'greting'" in err and "greeting" in err
    assert shell("run", "hello", "--from", "99999")[0] == 1


def test_the_list_shows_names_and_states_and_one_run_its_steps(shell):
    shell("run", "hello", "name=Ada", "--to", "person")
    run = newest(shell)
    shell("call", "run_name", f"run={run}", 'name:="Red\\u001b[31m one"')
    line = next(x for x in shell("runs")[1].splitlines() if x.split()[0] == str(run))
    assert line.split()[1:3] == ["hello", "open"] and line.endswith("Red [31m one")
    assert [x.split() for x in shell("runs", str(run))[1].splitlines()] == [
        ["person", "done"], ["greeting", "ready"], ["letters", "blocked"],
    ]  # fmt: skip
    assert shell("runs", "99999")[0] == 1


def test_columns_that_were_guessed_are_named(shell, tmp_path):
    (tmp_path / "l.csv").write_text("to,from\n/a,/b\n")
    words = ["run", "links", f"csv={tmp_path / 'l.csv'}", "--to", "columns"]
    code, out, err = shell(*words)
    assert (code, err) == (0, "columns took origin=from, target=to.\n")
    assert json.loads(out) == {"origin": "from", "target": "to"}
    assert shell(*words, "target=to")[2] == "columns took origin=from.\n"
    assert shell(*words, "target=to", "origin=from")[2] == "", "what is said is no guess"


def test_the_time_of_a_run_is_that_of_this_machine(shell, monkeypatch):
    shell("run", "hello", "name=Ada", "--to", "person")
    made = json.loads(shell("runs", "--json")[1])[0]["created_utc"]
    monkeypatch.setenv("TZ", "Etc/GMT+11")
    time.tzset()
    try:
        line = shell("runs")[1].splitlines()[0]
    finally:
        monkeypatch.undo()
        time.tzset()
    wanted = datetime.fromisoformat(made) - timedelta(hours=11)
    assert f"{wanted:%Y-%m-%d %H:%M}" in line


def test_without_a_terminal_a_question_ends_with_3_and_how_to_answer_it(shell, home):
    code, out, err = shell("run", "slow")
    run = newest(shell)
    assert code == 3 and out == "" and len(err.splitlines()) == 1, "and no bar"
    assert f"run_answer run={run} answer=…" in err and f"pipulate run slow run={run}" in err
    assert "Which  sheet?" in shell("runs", str(run))[1]
    code, _, err = shell("call", "run_answer", f"run={run}", "answer=c")
    assert code == 1 and "one of: a, b" in err
    assert shell("call", "run_answer", f"run={run}", "answer=b")[0] == 0
    assert shell("run", "slow", f"run={run}")[1] == "bbb\n"
    assert states(shell, run) == ["done", "done", "done"]


def test_an_answer_in_the_shell_ends_though_a_step_would_go_on_by_itself(shell):
    assert shell("run", "goes")[0] == 3
    run = newest(shell)
    assert shell("call", "run_answer", f"run={run}", "answer=yes")[0] == 0
    assert states(shell, run) == ["done", "ready"], "not interrupted, with a process that hangs"
    assert shell("run", "goes", f"run={run}")[:2] == (0, "yes\n")


def test_what_a_step_calls_and_cannot_simply_be_undone_is_asked_in_the_shell(shell):
    def there(slug="doomed"):
        return slug in [p["slug"] for p in json.loads(shell("call", "profile_list", "--json")[1])]

    for name in ("Doomed", "Lost"):
        shell("call", "profile_add", f"name={name}")
    code, _, err = shell("run", "wipe", "profile=doomed")
    run = newest(shell)
    assert code == 3 and 'profile_delete {"profile":"doomed"} cannot simply be undone.' in err
    assert shell("call", "run_answer", f"run={run}", "answer=no")[0] == 0
    assert shell("run", "wipe", f"run={run}")[0] == 3 and there(), "and it is asked anew"
    assert shell("call", "run_answer", f"run={run}", "answer=yes")[0] == 0
    assert shell("run", "wipe", f"run={run}")[:2] == (0, "doomed\n") and not there()
    assert shell("run", "wipe", "profile=lost", "--yes")[:2] == (0, "lost\n") and not there("lost")


def test_a_terminal_shows_a_bar_asks_and_goes_on(terminal):
    typed = {"(a, b): ": "c\n", "must be one of": "a\n"}
    code, seen = terminal(["run", "slow", "n=8", "wait=0.05"], typed)
    assert code == 0 and seen.endswith("aaaaaaaa\r\n"), seen
    assert "\rcount [" in seen and " of 8 · row " in seen and "count: done" in seen
    assert seen.count("Which  sheet? (a, b): ") == 2
    assert "\x1b[31m" not in seen and "\x1b " not in seen, "text of a step does nothing there"


def test_a_step_that_fails_after_an_answer_on_the_terminal_is_not_tried_again_unasked(terminal):
    code, seen = terminal(["run", "doubts"], {"Which word?: ": "owl\n"})
    assert code == 1 and "order: There is no owl: o." in seen, seen


def test_a_secret_was_shown_while_it_was_typed_and_nothing_could_not_be_answered(terminal):
    typed = {"Which key?: ": "hunter2\n", "(True, False): ": "true\n", "A word?: ": "\n"}
    code, seen = terminal(["run", "hush"], typed)
    assert code == 0 and "hunter2" not in seen, seen
    assert seen.split()[-5:] == ["[", "7,", "true,", "null", "]"], seen


def test_without_a_terminal_it_was_not_said_among_what_to_choose(shell):
    assert "Which  sheet? (a, b)" in shell("run", "slow")[2]


def test_a_no_on_the_terminal_ends_the_run(terminal, shell):
    shell("call", "profile_add", "name=Kept")
    code, seen = terminal(["run", "wipe", "profile=kept"], {"(no, yes): ": "no\n"})
    assert code == 1 and seen.count("(no, yes): ") == 1, seen


@pytest.mark.alone
def test_ctrl_c_on_the_terminal_cancels_the_step_and_says_how_to_go_on(terminal, shell, until):
    code, seen = terminal(["run", "slow", "n=50", "wait=0.1"], {"s left": "\x03"})
    assert 3 <= int(re.search(r"about (\d+) s left", seen)[1]) <= 8
    assert code == 130 and "Traceback" not in seen
    run = newest(shell)
    assert f"Stopped. Run {run} keeps what its steps have done. Go on with:" in seen
    assert f"pipulate run slow run={run}\r\n" in seen
    until(lambda: states(shell, run) == ["cancelled", "blocked", "blocked"])


@ALONE
def test_progress_is_shown_in_a_pipe_only_when_asked_for(home):
    command = [sys.executable, "-m", "pipulate", "run", "slow", "n=5", "wait=0.1", "--to", "count"]
    pipes = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 20}
    done = subprocess.run([*command, "--home", str(home)], **pipes)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")
    done = subprocess.run([*command, "--follow", "--home", str(home)], **pipes)
    assert done.stdout == "5\n" and "count [" in done.stderr and "count: done" in done.stderr


@ALONE
def test_a_step_on_a_terminal_needs_no_standard_input_and_shows_a_bar(terminal):
    code, seen = terminal(["step", "slow.count", "n=3"])
    assert code == 0 and "count [####################] 3 of 3 · row 2" in seen
    assert seen.endswith("\r\n3\r\n")
    code, seen = terminal(["step", "hello.person"])
    assert code == 1 and "Name is needed" in seen, "and it waits for nothing"
    code, seen = terminal(["step", "hello.person", "-"], {"": '{"name": "Ada"}\n\x04'})
    assert code == 0 and seen.endswith('"Ada"\r\n')


def test_a_notebook_of_a_run_comes_from_the_home(shell):
    shell("run", "hello", "name=<Ada>")
    code, out, _ = shell("notebook", "hello", "--run", str(newest(shell)))
    cells = json.loads(out)["cells"]
    assert code == 0 and "name = '<Ada>'" in cells[3]["source"]
    assert "&lt;Ada&gt;" in cells[3]["outputs"][0]["data"]["text/html"]
    code, out, _ = shell("notebook", "hello")
    assert code == 0 and all(not cell.get("outputs") for cell in json.loads(out)["cells"])
    code, _, err = shell("notebook", "helo")
    assert code == 2 and "hello" in err
    assert shell("notebook", "hello", "--run", "99999")[0] == 1
