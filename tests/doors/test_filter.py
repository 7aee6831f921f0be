"""`pipulate step`: one step between two pipes; it stores nothing and asks no server."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipulate.core.problems import Invalid, Problem, Unknown
from pipulate.doors import cli
from pipulate.doors.door import show
from pipulate.doors.filter import filtered

PLUGIN = """
from typing import Annotated
from pipulate import Choices, File, Pipeline
shout = Pipeline("Shout", "Prints and writes.")

@shout.step
def loud(text: str, job):
    "Says it."
    print("this is said aside")
    job.progress(1, 2, "half")
    job.checkpoint({"at": 1})
    (job.files / "out.txt").write_text(text)
    return {"file": File(job.files / "out.txt"), "text": text}

@shout.step
def fails(loud):
    "Fails."
    return 1 / 0

@shout.step
def leaves(how: str):
    "Ends the process it runs in."
    import os, sys
    if how == "at once":
        os._exit(3)
    sys.exit(4)

@shout.step
def asks(job):
    "Asks."
    return job.ask("Which?")

@shout.step
def changes(job):
    "Changes data."
    return job.tool("task_add", title="x")

pipe = Pipeline("Pipe", "Rows.")

@pipe.step
def rows(n: int):
    "Makes rows."
    for i in range(n):
        yield {"id": i}

@pipe.step
async def even(rows, job):
    "Every other row."
    for row in rows:
        await job.progress(row["id"])
        if row["id"] % 2 == 0:
            yield row

@pipe.step
def halves(even):
    "One over each."
    for row in even:
        yield 1 / row["id"]

@pipe.step
def many(words: list[str]):
    "How many."
    return [len(words), "end"]

@pipe.step
def one_of(rows, id: Annotated[int, Choices(lambda rows: [row["id"] for row in rows])]):
    "A row that is chosen."
    return [row for row in rows if row["id"] == id]

@pipe.step
def total(rows):
    "The sum."
    return sum(row["id"] for row in rows)

@pipe.step(seconds=0.3)
def slow():
    "Never done."
    while True:
        pass

@pipe.step
def through(rows):
    "Each row, then the most memory there was, in kB."
    yield from rows
    with open("/proc/self/status") as status:
        yield next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
"""


@pytest.fixture
def home(settings):
    settings.make_home()
    (settings.folder("apps") / "shout.py").write_text(PLUGIN)
    return settings


def output(settings, name, text=None, words=()):
    with filtered(settings, name, words, None if text is None else io.StringIO(text)) as found:
        return found


def piped(home, *words, stdin="", **options):
    """`pipulate step …` as a process of its own: (exit code, stdout, stderr)."""
    command = [sys.executable, "-m", "pipulate", "step", *words, "--home", str(home.home)]
    pipes = {"input": stdin, "capture_output": True, "text": True, "timeout": 20}
    done = subprocess.run(command, **{**pipes, **options})
    return done.returncode, done.stdout, done.stderr


def test_a_step_reads_outputs_and_inputs_and_prints_its_output(settings):
    assert output(settings, "hello.person", '{"name": "  Ada "}') == "Ada"
    assert output(settings, "hello.greeting", '{"person": "Ada", "mark": "."}') == "Hello, Ada."
    assert output(settings, "hello.letters", '{"greeting": "Hi!"}') == 3


def test_what_a_program_prints_that_a_step_starts_is_no_part_of_its_output(home):
    (home.folder("apps") / "noisy.py").write_text(
        "import subprocess\nfrom pipulate import Pipeline\nnoisy = Pipeline('Noisy', 'Loud.')\n"
        "@noisy.step\ndef started():\n    'Starts one.'\n"
        "    subprocess.run(['echo', 'noise'])\n    return 1\n"
    )
    assert piped(home, "noisy.started") == (0, "1\n", "noise\n")


def test_output_is_utf_8_whatever_the_system_calls_its_own(home):
    ascii = {"env": {**os.environ, "PYTHONIOENCODING": "ascii"}, "encoding": "utf-8"}
    assert piped(home, "hello.person", "name=日本", **ascii) == (0, '"日本"\n', "")


def test_a_step_without_a_row_prints_an_empty_list_and_no_lone_bracket(capsys):
    show(iter(()), True)
    show(iter(()), False, as_lines=True)
    assert capsys.readouterr().out == "[]\n"


def test_words_of_the_command_line_give_what_standard_input_need_not(settings):
    assert output(settings, "hello.person", words=["name=Ada"]) == "Ada"
    assert output(settings, "hello.greeting", '{"mark": "."}', ["person=Ada"]) == "Hello, Ada."
    assert output(settings, "hello.greeting", '{"person": "A"}', ["person=B"]) == "Hello, B!"
    assert output(settings, "hello.letters", words=['greeting:=["a", "b"]']) == 2


WRONG = {
    "no JSON": ("hello.person", "{name", Problem, "no JSON"),
    "a list": ("hello.person", "[1]", Invalid, "JSON object"),
    "deep": ("hello.person", "[" * 10_000, Problem, "JSON"),
    "an input is missing": ("hello.person", "{}", Invalid, "Name"),
    "an output is missing": ("hello.greeting", "{}", Invalid, "needs person"),
    "not a choice": ("hello.greeting", '{"person": "A", "mark": "?"}', Invalid, "Mark"),
    "unknown": ("hello.person", '{"name": "A", "nmae": "B"}', Invalid, "nmae"),
    "no step": ("hello.persn", "{}", Unknown, "no step"),
    "no pipeline": ("helo.person", "{}", Unknown, "hello"),
    "no name": ("", "{}", Unknown, "pipeline"),
}


@pytest.mark.parametrize("name, text, kind, said", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_before_the_step_runs(settings, name, text, kind, said):
    with pytest.raises(kind) as raised:
        output(settings, name, text)
    assert said in f"{raised.value} {raised.value.details}"


def test_nothing_is_stored(settings):
    output(settings, "hello.person", '{"name": "Ada"}')
    assert not settings.database.exists()


@pytest.mark.parametrize("step, says", [("asks", "Nobody is here"), ("changes", "needs tools")])
def test_a_filter_asks_nobody_and_changes_no_data(home, step, says):
    with pytest.raises(Problem, match=says):
        output(home, f"shout.{step}")


def test_what_a_step_prints_does_not_mix_with_its_output(home):
    code, out, err = piped(home, "shout.loud", stdin='{"text": "hey"}')
    assert code == 0 and err == "this is said aside\n", "and no progress: it is no terminal"
    assert Path(json.loads(out)["file"]["$file"]).read_text() == "hey"


def test_a_step_that_fails_is_one_line_and_exit_1(home, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pipulate", "step", "shout.fails", "--home", str(home.home)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"loud": 1}')))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert ended.value.code == 1 and out == ""
    assert "ZeroDivisionError" in err and len(err.strip().splitlines()) == 1


def test_a_step_that_ends_its_process_is_one_line_and_exit_1_and_not_its_own_code(home):
    code, out, err = piped(home, "shout.leaves", "how=at once")
    assert (code, out) == (1, "") and len(err.splitlines()) == 1
    assert "shout.leaves" in err and "os._exit(3)" in err and "Mend the step" in err
    with pytest.raises(Problem, match="SystemExit: 4"):
        output(home, "shout.leaves", words=["how=slowly"])


# -- rows, a line each --------------------------------------------------------------------------


def test_rows_stream_through_steps_as_json_lines(home):
    code, made, err = piped(home, "pipe.rows", "n=5", "--jsonl")
    assert (code, err) == (0, "") and made.splitlines() == [f'{{"id":{i}}}' for i in range(5)]
    code, out, err = piped(home, "pipe.even", "--jsonl", stdin=made + "\n")
    assert (code, out, err) == (0, '{"id":0}\n{"id":2}\n{"id":4}\n', "")
    assert piped(home, "pipe.total", "--jsonl", stdin=made)[1] == "10\n"
    assert piped(home, "pipe.rows", "n=2")[1] == '[{"id":0},{"id":1}]\n', "else it is one value"


def test_lines_go_to_the_first_list_that_is_asked_when_no_earlier_output_is_used(home):
    assert piped(home, "pipe.many", "--jsonl", stdin='"a"\n"b"\n')[1] == '2\n"end"\n'


def test_rows_that_choices_are_made_of_are_there_for_the_step_too(home):
    out = piped(home, "pipe.one_of", "id=1", "--jsonl", stdin='{"id":0}\n{"id":1}\n')[1]
    assert out == '{"id":1}\n'


@pytest.mark.parametrize(
    ("text", "out", "says"),
    [
        ('{"id":1}\n{"id":', "1.0\n", "Line 2 of standard input is no JSON"),
        ('{"id":1}\n{"id":0}\n{"id":2}\n', "1.0\n", "ZeroDivisionError"),
    ],
)
def test_rows_before_a_bad_one_are_there_and_the_reason_is_one_line(home, text, out, says):
    code, found, err = piped(home, "pipe.halves", "--jsonl", stdin=text)
    assert (code, found) == (1, out) and says in err and len(err.splitlines()) == 1


def test_who_has_enough_rows_ends_the_step_without_a_word(home):
    step = f"{sys.executable} -m pipulate step --home {home.home}"
    line = f"({step} pipe.rows n=100000000 --jsonl; echo $? >&2) | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ('{"id":0}\n', "141\n")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_rows(home):
    peaks = []
    for count in (1_000, 100_000):
        rows = "".join(f'{{"id":{i}}}\n' for i in range(count))
        code, out, err = piped(home, "pipe.through", "--jsonl", stdin=rows)
        assert (code, err, out.count("\n")) == (0, "", count + 1)
        peaks.append(int(out.splitlines()[-1]))
    assert peaks[1] < 1.05 * peaks[0], peaks


def test_a_closed_standard_input_is_an_empty_one(home):
    step = f"{sys.executable} -m pipulate step --home {home.home} hello.person name=Ada <&-"
    done = subprocess.run(step, shell=True, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, '"Ada"\n', "")


def test_a_step_past_its_time_limit_ends_the_filter(home):
    with pytest.raises(Problem, match="took over 0.3 s"):
        output(home, "pipe.slow")


def test_a_file_with_a_fault_says_so_instead_of_being_unknown(home):
    (home.folder("apps") / "broken.py").write_text("from pipulate import Pipeline\ndef oops(:\n")
    with pytest.raises(Problem, match="broken.py, line 2: SyntaxError"):
        output(home, "broken.oops")
