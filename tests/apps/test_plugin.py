"""One plugin file: loaded by its hash, or a problem with the line to mend."""

import sys

import pytest

from pipulate.apps.plugin import load_file
from pipulate.core.problems import Problem

GOOD = "from pipulate import CrudApp, Pipeline\np = Pipeline('P')\n@p.step\ndef a(): return 1\n"


@pytest.fixture
def load(tmp_path):
    def loading(content):
        path = tmp_path / "mine.py"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_file(path, path.read_bytes())

    return loading


@pytest.mark.parametrize(
    ("source", "line", "said", "hint"),
    [
        ("x = 1\ndef f(:\n", 2, "SyntaxError", "Mend"),
        ("x = 1\nif x:\nprint(x)\n", 3, "expected an indented block", "Mend"),
        ("\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero", "Mend"),
        ("def f():\n    raise KeyError('k')\n\nf()\n", 2, "KeyError: 'k'", "Mend"),
        ("import nonesuch.part\n", 1, "No module named 'nonesuch'", "pip install nonesuch"),
        ("x: int\ny = dat\n", 2, "'dat' is not defined", "date"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit", "Mend"),
        ("from pipulate import CrudAp\n", 1, "CrudAp", ""),
        ("from pipulate import CrudApp\n\nclass A(CrudApp):\n    x: bytes\n", 3, "bytes", ""),
        (
            "from datetime import date\nfrom pipulate import CrudApp\nclass A(CrudApp):\n"
            "    date: date | None = None\n",
            *(4, "TypeError", "A field hides a type of its name"),
        ),
    ],
    ids=["syntax", "indentation", "top level", "in a function", "dependency", "name", "exit",
         "import", "field", "hidden type"],
)  # fmt: skip
def test_a_file_that_fails_to_load_says_where_why_and_what_to_do(load, source, line, said, hint):
    before = set(sys.modules)
    with pytest.raises(Problem) as caught:
        load(source)
    assert caught.value.what.startswith(f"mine.py, line {line}: ")
    assert said in caught.value.what and hint in caught.value.next_step
    assert caught.value.details["line"] == line
    left = set(sys.modules) - before
    assert not [name for name in left if name.startswith("pipulate_plugin")]


def test_a_file_saved_again_and_again_for_weeks_leaves_one_module_behind(load):
    def ours():
        return [module for name, module in sys.modules.items() if name == "pipulate_plugin_mine"]

    for n in range(3):
        plugin = load(f"x = {n}\n")
    with pytest.raises(Problem):
        load("x = \n")
    assert ours() == [plugin.module] and not [
        n for n in sys.modules if n.endswith(plugin.hash[:12])
    ]


@pytest.mark.parametrize("content", [b"x = '\xff'", b"x = 1\0", b"\xff\xfe"], ids=repr)
def test_a_file_that_is_no_text_is_a_problem_too(load, content):
    with pytest.raises(Problem, match="mine.py"):
        load(content)


def test_a_fault_without_a_line_is_not_said_to_be_in_line_none(load):
    with pytest.raises(Problem, match="mine.py, line 1: SyntaxError"):
        load(b"x = 1\0")


def test_an_error_with_a_stack_of_its_own_as_a_browsers_has_is_told_with_its_line(load):
    source = "class Error(Exception):\n    stack = 'Error: at page.js'\n\nraise Error('hid')\n"
    with pytest.raises(Problem, match="mine.py, line 4: Error: hid"):
        load(source)


def test_a_file_is_run_once_per_content(load, capsys):
    source = GOOD + "print('loaded')\n"
    assert load(source) is load(source)
    assert load(source + "\n") is not load(source)
    assert capsys.readouterr().out == "loaded\n" * 2


def test_a_pipeline_knows_its_file_and_content(load, tmp_path):
    plugin = load(GOOD)
    found = plugin.pipelines["p"]
    assert (found.file, found.content) == (tmp_path / "mine.py", GOOD.encode())
    assert plugin.name == "mine"


def test_a_plugin_may_use_dataclasses_and_late_annotations(load):
    plugin = load(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from typing import ClassVar\nfrom pipulate import CrudApp\n"
        "@dataclass\nclass A:\n    y: ClassVar[int] = 2\n    x: int = 1\n"
        "class Thing(CrudApp):\n    x: str\n"
    )
    assert plugin.module.A().x == 1 and list(plugin.module.Thing.fields) == ["x"]
