"""`pipulate step`: one step between two pipes; it stores nothing and asks no server."""

import io
import json
import sys
from pathlib import Path

import pytest

from pipulate.core.problems import Invalid, Problem, Unknown
from pipulate.doors import cli
from pipulate.doors.filter import filter_step


def test_a_step_reads_outputs_and_inputs_and_prints_its_output(settings):
    assert filter_step(settings, "hello.person", '{"name": "  Ada "}') == "Ada"
    assert (
        filter_step(settings, "hello.greeting", '{"person": "Ada", "mark": "."}') == "Hello, Ada."
    )
    assert filter_step(settings, "hello.letters", '{"greeting": "Hi!"}') == 3


def test_the_output_of_one_step_is_the_input_of_the_next(settings):
    value = filter_step(settings, "hello.person", '{"name": "Ada"}')
    value = filter_step(settings, "hello.greeting", json.dumps({"person": value}))
    assert filter_step(settings, "hello.letters", json.dumps({"greeting": value})) == 11


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
        filter_step(settings, name, text)
    assert said in f"{raised.value} {raised.value.details}"


def test_nothing_is_stored(settings):
    filter_step(settings, "hello.person", '{"name": "Ada"}')
    assert not settings.database.exists()


PLUGIN = """
from pipulate import File, Pipeline
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
"""


@pytest.fixture
def shouting(settings):
    settings.make_home()
    (settings.folder("apps") / "shout.py").write_text(PLUGIN)
    return settings


def test_what_a_step_prints_does_not_mix_with_its_output(shouting, capsys):
    made = filter_step(shouting, "shout.loud", '{"text": "hey"}')
    out, err = capsys.readouterr()
    assert out == "" and "said aside" in err
    assert Path(made["file"]["$file"]).read_text() == "hey"


def test_a_step_that_fails_is_one_line_and_exit_1(shouting, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["pipulate", "step", "shout.fails", "--home", str(shouting.home)]
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"loud": 1}'))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert ended.value.code == 1 and out == ""
    assert "ZeroDivisionError" in err and len(err.strip().splitlines()) == 1
