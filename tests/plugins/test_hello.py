"""The bundled Hello pipeline: as printed in the manual, and it runs."""

import inspect

import pytest

from pipulate.core.problems import Invalid
from pipulate.plugins import hello


def test_each_step_can_be_called_plainly():
    assert hello.person("  Ann ") == "Ann"
    assert hello.greeting("Ann", ".") == "Hello, Ann."


def test_it_asks_for_a_name_and_a_mark(house):
    pipeline = house.shelf.pipeline("hello").pipeline
    assert list(pipeline.steps) == ["person", "greeting", "letters"]
    assert list(pipeline.fields) == ["name", "mark"]
    assert pipeline.steps["greeting"].uses == ["person"]


def test_it_greets_and_counts(call):
    assert call("hello_run", name=" Ann ")["output"] == len("Hello, Ann!")


def test_each_output_is_kept(call, house):
    call("hello_run", name="Ann", mark=".")
    run = house.runs.get(1, 1)
    states = house.runs.states(run, house.shelf.pipeline("hello").pipeline)
    assert [s.output for s in states.values()] == ["Ann", "Hello, Ann.", 11]


def test_it_waits_for_a_name_and_takes_no_other_mark(call):
    assert call("hello_run")["waiting_for"] == ["name"]
    with pytest.raises(Invalid, match="must be one of: !, ."):
        call("hello_run", name="Ann", mark="?")


def test_it_is_short_and_stands_on_public_names_only():
    source = inspect.getsource(hello)
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    imports = [line for line in source.splitlines() if "import" in line and "pipulate" in line]
    assert imports == ["from pipulate import Pipeline"]
