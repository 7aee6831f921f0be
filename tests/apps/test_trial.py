"""The trial of a plugin in a child process: all of it is used, and nothing gets out."""

import re
from typing import Annotated

import pytest

from pipulate.apps.trial import Trial, sample
from pipulate.core.fields import KINDS, File, Ref, make_field
from pipulate.core.kinds import MISSING, Between, Choices
from pipulate.core.source import PACKAGE
from pipulate.core.tools import limited
from pipulate.plugins import _drafts

CONTRACT = (PACKAGE / "plugins/contract.md").read_text("utf-8")
GOOD = re.findall(r"```python\n# apps/(\w+)\.py\n(.*?)```", CONTRACT, re.DOTALL)
BAD = '''
"""What can go wrong, once each."""
import os
import socket
import subprocess
from pathlib import Path
from typing import Literal
from fasthtml.common import P
from pipulate import CrudApp, Invalid, Pipeline, tool

class Egg(CrudApp):
    """Eggs."""
    name: str
    def __ft__(self):
        return P(self.no_such_field)
    @tool
    def crack(self):
        """Crack it."""
        return 1 / 0
    @tool
    def boil(self):
        """Boil it."""
        raise Invalid("No water.", "Get some.")

odd = Pipeline("Odd", "Steps that reach out.")

@odd.step
def first(name: str):
    """Who?"""
    return {"name": name}["nobody"]

@odd.step
def written(job):
    """Writes elsewhere."""
    Path(OUTSIDE).write_text("here")

@odd.step
def moved(job):
    """Moves a file out."""
    (job.files / "x").write_text("here")
    (job.files / "x").rename(OUTSIDE)

@odd.step
def read():
    """Reads elsewhere."""
    return Path(OUTSIDE).with_name("secret.txt").read_text()

@odd.step
def attached(job):
    """Opens another store."""
    import apsw
    apsw.Connection(OUTSIDE.replace("written.txt", "secret.db"))

@odd.step
def called():
    """Calls somebody."""
    socket.create_connection(("127.0.0.1", 9))

@odd.step
def begun():
    """Begins a program."""
    subprocess.run(["true"])

@odd.step
def asked(job):
    """A tool that nobody has."""
    return job.tool("tsak_add", title="x")

@odd.step
def fine(job, kind: str):
    """Asks people and the model, adds a task, looks."""
    job.ask("How many?", int)
    job.model("How many?", int | None)
    job.model("Good?", Literal["yes", "no"])
    job.model("Which words?", list[str])
    job.tool("task_add", title=kind)
    return job.tool("task_list")["count"]

@odd.step
def later(first):
    """Has nothing to go on."""
    return first
'''


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in (Ref, File)], ids=str)
def test_a_sample_fits_its_field_and_an_empty_default_is_none(kind):
    for default in (None, MISSING):
        field = make_field("x", kind, default)
        assert field.check(sample(field.schema, field.kind.input)) is not None
        assert field.check(sample(field.schema)) is not None, "as a model answers"
    bounded = make_field("x", Annotated[int, Between(5, 9)], None)
    assert sample(bounded.schema) == 5
    chosen = make_field("x", Annotated[str, Choices(("key", "title"))], "title")
    assert sample(chosen.schema) == "title", "two questions with the same choices differ"


@pytest.fixture
def home(tmp_path):
    for name in ("apps", "quarantine"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(("name", "text"), GOOD, ids=[name for name, _ in GOOD])
def test_the_examples_of_the_contract_pass(home, name, text):
    found = _drafts.tried(home, name, text)
    assert (found["problems"], found["notes"], found["reached"]) == ([], [], [])
    titles = {"library": "Library", "audit": "Audit: counted"}
    assert titles[name] in [page["title"] for page in found["pages"]]
    assert not any((home / "apps").iterdir())


CHOOSY = """
from pipulate import CrudApp, Invalid, Pipeline, Ref

class Bill(CrudApp):
    number: str

    def check(self):
        if not self.number.startswith("R-"):
            raise Invalid("A number begins with R-.", "Write R-1.")

class Line(CrudApp):
    bill: Ref["bill"]

class Plant(CrudApp):
    name: str

look = Pipeline("Look")

@look.step
async def at(job, plant: Ref["plant"]):
    return (await job.tool("plant_get", id=plant))["name"]
"""


OPENS = """
from pipulate import Pipeline, Url

look = Pipeline("Look", outside=True)

@look.step
def titles(job, address: Url):
    return job.browser(address).title()
"""


EITHER = """
from pipulate import File, Pipeline, Problem, Text

either = Pipeline("Either", "Takes a text or a file.")

@either.step
def source(text: Text = "", file: File | None = None):
    if text and file:
        raise Problem("There are both.", "Give one.")
    return "some"

@either.step(auto=True)
def after(source):
    return source["no"]
"""


def test_a_step_that_takes_one_thing_or_another_is_tried_with_less_and_so_are_those_behind_it(home):
    found = _drafts.tried(home, "either", EITHER)
    assert found["problems"] == [
        "Step after (line 14): TypeError: string indices must be integers, not 'str'"
    ]
    assert found["notes"] == ["Step source (line 9): There are both. Give one."]


def test_a_step_that_opens_a_browser_is_no_fault_but_reaches_the_network(home):
    found = _drafts.tried(home, "opens", OPENS)
    assert (found["problems"], found["reached"]) == ([], ["network"])
    assert "A trial has no network" in found["notes"][0] and "(line 8)" in found["notes"][0]


def test_an_app_that_refuses_every_sample_is_no_fault_nor_is_one_that_refers_to_it(home):
    found = _drafts.tried(home, "choosy", CHOOSY)
    assert found["problems"] == []
    refused = "(line 9): A number begins with R-. Write R-1."
    assert found["notes"] == [f"bill_add {refused}", f"line_add {refused}"]
    assert "Sample" in next(p["html"] for p in found["pages"] if p["title"] == "Look: at")


def test_what_fails_is_told_with_its_line_and_what_reaches_out_is_kept_in(home):
    (home / "secret.txt").write_text("a secret")
    outside = home / "written.txt"
    (home / "secret.db").touch()
    text = BAD.replace("OUTSIDE", repr(str(outside)))
    found = _drafts.tried(home, "odd", text)
    told = "\n".join(found["problems"])
    line = {said: n for n, said in enumerate(text.splitlines(), 1)}
    for where, what in (
        ("        return P(self.no_such_field)", "no_such_field"),
        ("        return 1 / 0", "ZeroDivisionError"),
        ('    return {"name": name}["nobody"]', "Step first"),
    ):
        assert re.search(rf"{what}.*\(line {line[where]}\)|\(line {line[where]}\).*{what}", told)
    assert "tsak_add" in told and "task_add" in told  # the nearest name, for who mends it
    assert len(found["problems"]) == 4, told
    notes = "\n".join(found["notes"])
    assert "No water." in notes and "later was not tried" in notes and "fine" not in notes
    assert found["reached"] == ["files", "network", "programs"]
    assert not outside.exists() and "a secret" not in str(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nos._exit(3)", "ended the program (3)"),
        ("from pipulate import CrudApp\nclass A(CrudApp):\n    name: strr", "Did you mean 'str'"),
    ],
    ids=["ends the process", "does not load"],
)
def test_a_file_that_ends_the_process_or_does_not_load_is_told(home, text, said):
    assert said in _drafts.tried(home, "bad", text)["problems"][0]


FAULTY_COLUMN = """
from pipulate import CrudApp

class Plant(CrudApp):
    name: str
    every: int = 7

    @property
    def due(self) -> int:
        return self.every + self.name
"""


def test_an_app_with_a_column_that_fails_in_every_row_passed_its_trial(home):
    told = _drafts.tried(home, "plants", FAULTY_COLUMN)["problems"]
    assert len(told) == 1 and told[0].startswith("due (line 10): TypeError: unsupported operand")


def test_an_app_that_fails_where_an_optional_field_is_empty_passed_its_trial(home):
    text = FAULTY_COLUMN.replace("every: int = 7", "every: int | None = None")
    told = _drafts.tried(home, "plants", text.replace("+ self.name", "+ 1"))["problems"]
    assert len(told) == 1 and "due (line 10): TypeError: unsupported operand" in told[0]


def test_an_app_whose_name_a_later_file_has_passed_its_trial_and_could_not_live(home):
    (home / "apps/plants.py").write_text(
        "from pipulate import CrudApp\nclass Plant(CrudApp):\n    x: str"
    )
    told = _drafts.tried(home, "garden", FAULTY_COLUMN)["problems"]
    assert told[0].startswith("garden.py: The name 'plants' is already taken.")


def test_an_app_whose_code_never_ends_passed_its_trial(house, plugin, run):
    loops = FAULTY_COLUMN.replace("return self.every + self.name", "while True: pass")

    async def on_trial():
        trial = Trial(house, plugin(loops, "plants"), [])
        row = trial.house.shelf.crud("plant").model.due.fget
        await trial._try("due", limited(row, None, seconds=0.1))
        return trial.report

    told = run(on_trial())["problems"]
    assert len(told) == 1 and told[0].startswith("due (line 10): This took over 0.1 s")


def test_what_only_the_walls_keep_away_is_told_with_its_line(home):
    text = """
from pipulate import Pipeline

look = Pipeline("Look")

@look.step
def at():
    raise PermissionError(13, "as the walls say it")
"""
    found = _drafts.tried(home, "look", text)
    assert found["notes"][0].startswith("Step at (line 8): ") and found["reached"] == ["files"]


def test_a_file_that_never_ends_is_stopped(home, monkeypatch):
    monkeypatch.setattr(_drafts, "SECONDS", 2)
    assert (
        "did not end within 2 s" in _drafts.tried(home, "slow", "while True: pass")["problems"][0]
    )
