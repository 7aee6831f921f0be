"""The worker: one process, one step at a time, JSON lines; it dies with its engine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
import os, subprocess, time
from datetime import date
from decimal import Decimal
from pipulate import File, Pipeline

work = Pipeline("Work")

@work.step
def first(name: str, when: date | None = None, price: Decimal = Decimal("0.10")):
    return [name, type(when).__name__, type(price).__name__]

@work.step
async def second(first, job):
    for n in range(1000):
        await job.progress(n + 1, 1000, f"row {n}")
    await job.checkpoint({"row": 1000})
    return [first, job.checkpoint_data]

@work.step
def third(table: File):
    return [type(table).__name__, table.path.read_text()]

@work.step
def reads(by: str):
    return input() if by == "input()" else subprocess.check_output("cat", text=True)

@work.step
def closes(what: str):
    import sys
    os.close(2) if what == "2" else getattr(sys, what).close()

@work.step
def fills():
    with open("/dev/full", "w") as disk:
        disk.write("x")

@work.step
def asks(job):
    try:
        return job.tool("task_add", title="x")
    except Exception as error:
        return [type(error).__name__, str(error)]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "work.py"
    path.write_text(STEPS)
    return path


@pytest.fixture
def worker():
    command = [sys.executable, "-m", "pipulate.apps.worker"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        yield process
        process.kill()


@pytest.fixture
def ask(worker, file, tmp_path):
    """ask(step, **arguments): every answer up to the last; `replies` answers what it asks."""

    def asking(step, replies=(), checkpoint=None, **arguments):
        replies = list(replies)
        request = {
            "file": str(file),
            "text": file.read_bytes().decode("latin-1"),
            "pipeline": "work",
            "step": step,
            "arguments": arguments,
            "checkpoint": checkpoint,
            "folder": str(tmp_path / "out"),
            "journal": str(tmp_path / ".journal"),
        }
        say(request)
        answers = []
        while not answers or not answers[-1].keys() & {"done", "failed"}:
            answers.append(json.loads(worker.stdout.readline()))
            if "need" in answers[-1]:
                say(replies.pop(0) | {"reply": answers[-1]["id"]})
        return answers

    def say(message):
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()

    return asking


def test_a_step_receives_python_values_of_its_types(ask):
    (answer,) = ask("first", name="ann", when="2026-01-31", price="1.50")
    assert answer == {"done": ["ann", "date", "Decimal"]}


def test_what_is_not_given_takes_the_default_of_the_function(ask):
    assert ask("first", name="ann") == [{"done": ["ann", "NoneType", "Decimal"]}]


def test_a_file_arrives_as_a_file(ask, tmp_path):
    (tmp_path / "a.csv").write_text("a,b")
    reference = {"$file": str(tmp_path / "a.csv"), "name": "a.csv"}
    assert ask("third", table=reference)[-1] == {"done": ["File", "a,b"]}


def test_progress_is_thinned_out_and_its_last_word_always_comes(ask):
    answers = ask("second", replies=[{"result": None}], checkpoint={"row": 3}, first=1)
    progress = [a["progress"] for a in answers if "progress" in a]
    assert len(progress) < 100 and progress[-1] == [1000, 1000, "row 999"]
    assert {"need": "checkpoint", "with": [{"row": 1000}], "id": 0} in answers
    assert answers[-1] == {"done": [1, {"row": 3}]}


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ({"result": {"id": 7}}, {"id": 7}),
        (
            {"problem": {"problem": "No.", "next_step": "Ask.", "kind": "invalid"}},
            ["Invalid", "No. Ask."],
        ),
    ],
    ids=["result", "problem"],
)
def test_a_tool_is_called_in_the_engine_and_answers_or_raises_here(ask, reply, result):
    call, answer = ask("asks", replies=[reply])
    assert call == {"need": "call", "with": ["task_add", {"title": "x"}], "id": 0}
    assert answer == {"done": result}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": "nope"}, "nope"),
        ({"step": "first"}, "name"),
        ({"step": "first", "name": "x", "when": "soon"}, "2026-01-31"),
    ],
    ids=["no such step", "missing input", "bad input"],
)
def test_given_a_request_that_cannot_be_done_then_it_says_why_and_takes_the_next(ask, change, said):
    answer = ask(**change)[-1]["failed"]
    assert said in answer["problem"]
    assert ask("first", name="ann")[-1]["done"][0] == "ann"


def test_given_the_engine_is_gone_then_so_is_the_worker(worker, ask):
    ask("first", name="ann")
    worker.stdin.close()
    assert worker.wait(3) == 0


def test_a_worker_starts_without_web_model_or_numbers(file):
    """It has to be quick: nothing of the page, of models or of numpy is loaded."""
    code = (
        "import sys, pipulate.apps.worker as w; from pathlib import Path;"
        f"w.load_file(Path({str(file)!r}), Path({str(file)!r}).read_bytes());"
        "heavy = {'numpy', 'starlette', 'uvicorn', 'mcp', 'fasthtml', 'httpx2'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("[]\n", "")


def test_given_a_step_or_a_program_it_starts_reads_input_then_there_is_none_and_all_goes_on(ask):
    *_, failed = ask("reads", by="input()")
    assert "EOFError" in failed["failed"]["problem"]
    assert ask("reads", by="child")[-1] == {"done": ""}
    assert ask("first", name="x")[-1]["done"][0] == "x"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_step_that_fills_the_disk_is_not_told_to_be_mended(ask):
    failed = ask("fills")[-1]["failed"]
    assert failed["problem"] == "The disk is full."
    assert failed["next_step"] == "Free some space, then run the step again."


@pytest.mark.parametrize("what", ["2", "stderr"])
def test_a_worker_whose_step_closed_its_output_took_another_that_failed_without_a_reason(ask, what):
    assert ask("closes", what=what)[-1] == {"done": None, "last": True}


def test_a_worker_whose_step_closed_its_standard_output_took_another_that_could_not_print(ask):
    assert ask("closes", what="stdout")[-1] == {"done": None, "last": True}


def test_a_worker_is_kept_after_a_step_like_any_other(ask):
    assert "last" not in ask("first", name="Ann")[-1]
