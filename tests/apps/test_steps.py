"""Pipelines as written: what parameters mean, and mistakes that show when the file loads."""

import textwrap
from datetime import date

import pytest

from pipulate.core.problems import Problem

HEAD = """
from datetime import date
from typing import Annotated
from pipulate import Choices, Pipeline

flow = Pipeline("Flow")

@flow.step
def first(name: str, when: date | None = None):
    '''Who?

    More about it.'''
    return name
"""


@pytest.fixture
def flow(plugin):
    """flow(text): the pipeline of a file that goes on like this."""

    def loading(text=""):
        found = plugin(HEAD + textwrap.dedent(text), "flow")
        if found.problem:
            raise found.problem
        return found.pipelines["flow"]

    return loading


STEP = "\n@flow.step\ndef {}: pass\n"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (STEP.format("second(frist)"), "'frist' is no earlier step", "'first'"),
        (STEP.format("second(x=3)"), "'x' is no earlier step and has no type", "job"),
        (STEP.format("second(third)") + STEP.format("third(first)"), "'third' is no", "first"),
        (STEP.format("first()"), "a step of that name already", "Rename"),
        (STEP.format("name()"), "asks for a value of that name", "Rename"),
        (STEP.format("second(second: str)"), "asks for a value of that name", "Rename"),
        (STEP.format("list()"), "word of Python's own", "another name"),
        (STEP.format("job()"), "word of Python's own", "another name"),
        (STEP.format("second(*args)"), "*args is not possible", "Name each"),
        (STEP.format("second(**kw)"), "*kw is not possible", "Name each"),
        (STEP.format("second(name: int)"), "another type in 'first'", "Rename"),
        (STEP.format("second(when: date)"), "another type in 'first'", "Rename"),
        (STEP.format("second(x: complex)"), "no field type 'complex'", ""),
        (STEP.format("second(x: dat)"), "'dat' is not defined", "date"),
        (STEP.format("second(x: int = 'a')"), "whole number", ""),
        (
            "\ndef some(frist): return []\n"
            + STEP.format("second(x: Annotated[str, Choices(some)])"),
            "the choices of 'x' need 'frist'",
            "'first'",
        ),
    ],
    ids=lambda v: v.strip().splitlines()[-1][:40] if "\n" in v else None,
)
def test_a_mistake_shows_when_the_file_loads_with_its_line(flow, text, said, hint):
    with pytest.raises(Problem) as caught:
        flow(text)
    assert said in caught.value.what and hint in caught.value.next_step
    source = HEAD + text
    line = caught.value.details["line"]
    assert f"flow.py, line {line}:" in caught.value.what
    assert source.splitlines()[line - 1].startswith(("@flow.step", "def "))
    assert line >= len(HEAD.splitlines())


def test_a_parameter_is_the_job_then_an_earlier_step_then_asked(flow):
    step = flow("""
        @flow.step
        def second(job, first: str, mark: str = "!"):
            return first + mark
    """).steps["second"]
    assert "job" in step.parameters and step.uses == ["first"]
    assert [f.name for f in step.fields] == ["mark"]


def test_the_same_name_and_type_in_two_steps_is_one_value(flow):
    pipeline = flow("""
        @flow.step
        def second(first, name: str):
            return name
    """)
    assert list(pipeline.fields) == ["name", "when"]
    assert pipeline.steps["second"].fields[0] == pipeline.steps["first"].fields[0]


def test_the_first_line_of_the_docstring_is_what_the_user_reads(flow):
    assert flow().steps["first"].description == "Who?"


def test_a_step_can_be_called_and_tested_plainly(flow):
    step = flow().steps["first"]
    assert step("ann") == "ann" and step(name="bob", when=date(2026, 1, 31)) == "bob"


def test_choices_may_depend_on_earlier_outputs(flow):
    step = flow("""
        def analyses(first):
            return [f"{first} {n}" for n in (1, 2)]

        @flow.step
        def second(slug: Annotated[str, Choices(analyses)]):
            return slug
    """).steps["second"]
    assert step.uses == ["first"]
    (field,) = step.bound({"first": "ann"})
    assert field.choices == ("ann 1", "ann 2") and field.default == "ann 1"
    with pytest.raises(ValueError, match="must be one of"):
        field.check("bob 1")


def test_given_no_choices_then_the_problem_leads_back(flow):
    step = flow("""
        @flow.step
        def second(slug: Annotated[str, Choices(lambda first: [])]):
            return slug
    """).steps["second"]
    with pytest.raises(Problem, match="nothing to choose for Slug"):
        step.bound({"first": "ann"})


def test_a_view_draws_and_stays_callable(flow):
    step = flow("""
        @first.view
        def shout(output):
            return output.upper()
    """).steps["first"]
    assert step.draw("ann") == "ANN"


def test_the_source_of_a_step_is_its_own(flow):
    text = "\n@flow.step\ndef second(first):\n    return {}\n"
    one, two = flow(text.format(1)), flow(text.format(2))
    assert one.steps["first"].source == two.steps["first"].source
    assert one.steps["second"].source != two.steps["second"].source


def test_a_pipeline_without_steps_says_so_when_it_loads_not_when_it_runs(plugin):
    found = plugin("from pipulate import Pipeline\np = Pipeline('Empty')\n")
    assert "Empty has no step" in found.problem.what and found.apps == []


def test_a_pipeline_that_asks_for_nothing_cannot_follow_another(plugin):
    text = "from pipulate import Pipeline\np = Pipeline('P')\n@p.step\ndef a():\n    return 1\n"
    assert "P asks for nothing" in plugin(text + "both = p.then(p)\n").problem.what
    fed = "q = Pipeline('Q')\nq.use(p, {'wrod': p.steps['a']})\n"
    assert "P asks for no 'wrod'" in plugin(text + fed).problem.what, "not when it runs"


@pytest.mark.parametrize("uses", ["a.use(a)", "a.use(b); b.use(a)", "a.use(b); b.use(c); c.use(a)"])
def test_pipelines_that_use_each_other_in_a_circle_began_runs_without_end(plugin, uses):
    text = "from pipulate import Pipeline\n"
    for name in "abc":
        text += f"{name} = Pipeline('Is {name}')\n"
        text += f"@{name}.step\ndef {name}{name}(n{name}: int):\n    return 1\n"
    found = plugin(text + uses.replace("; ", "\n"))
    assert "is used already" in found.problem.what and found.apps == []


def test_a_need_that_nobody_knows_is_refused(plugin):
    text = "from pipulate import Pipeline\np = Pipeline('Odd', needs='camera')\n"
    assert "Odd needs 'camera'. Known: browser, model." in str(plugin(text).problem)


@pytest.mark.parametrize("title", ["", "!!!", "日本"])
def test_a_pipeline_needs_a_title_that_makes_an_address(plugin, title):
    text = f"from pipulate import Pipeline\np = Pipeline({title!r})\n@p.step\ndef a(): pass\n"
    assert "title" in plugin(text).problem.what
