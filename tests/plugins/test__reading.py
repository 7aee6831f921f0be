"""A plugin's source is read without being run."""

import pytest

from pipulate.plugins._reading import faults, powers

APP = "from pipulate import CrudApp\nclass A(CrudApp):\n    name: str\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "line 1: invalid syntax"),
        (APP + "import pydantic\n", "line 4: pydantic is not used"),
        (APP + "from sqlalchemy.orm import Session\n", "Rows are read and written through `table`"),
        (APP + "import requests\n", "Use fetch(url)"),
        (APP + "from pipulate.core.store import Database\n", "no public name"),
        (APP + "from fasthtml.common import fast_app\napp, rt = fast_app()\n", "methods="),
        (APP + "import nowhere_to_be_found\n", "not installed"),
        ("x = 1\n", "no class of CrudApp and no Pipeline"),
        (APP + "#" * 100_001, "longer than 100,000"),
        (
            APP + "if 'a' == 'b\u202e':  # \u2066 never\n    pass\n",
            "line 4: A character in it turns",
        ),
        ("-" * 90_000 + "1", "nested too deep"),
        ("a" + ".a" * 40_000, "recursion"),
    ],
)
def test_what_breaks_the_contract_is_told_with_its_line_and_our_idiom(text, said):
    assert said in "\n".join(faults(text))


def test_a_good_file_has_no_faults_and_keeps_to_its_rows():
    assert (faults(APP), powers(APP)) == ([], [])


@pytest.mark.parametrize(
    ("text", "power"),
    [
        ("import urllib.request", "network"),
        ("from pipulate import fetch", "network"),
        ("import subprocess", "other programs"),
        ("from pathlib import Path", "files"),
        ("open('x')", "files"),
        ("eval('1')", "code made while it runs"),
        ("().__class__.__bases__", "Python's own insides"),
        ("job.tool('task_add', title='x')", "the tool task_add"),
        ("job.tool(name)", "the tool of some name"),
        ("job.model('Hello')", "the model"),
        ("import numpy", "the package numpy"),
    ],
)
def test_what_a_source_reaches_for_is_named(text, power):
    assert powers(text) == [power]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import asyncio\nasyncio.create_subprocess_exec('ls')", "other programs"),
        ("import asyncio as a\nasync def f():\n    await a.open_connection('b', 1)", "network"),
        ("def f():\n    import os as o\n    o.popen('ls')", "files, other programs"),
        ("from os import system as s", "files, other programs"),
        ("from fasthtml.common import os as o", "files"),
        ("job.browser('https://a.example')", "the browser and its log-ins"),
        ("import _posixsubprocess", "the module _posixsubprocess"),
        ("from urllib.parse import quote\nimport asyncio, json, platform", ""),
    ],
)
def test_a_program_begun_through_asyncio_or_os_and_the_browser_were_not_named(text, said):
    assert ", ".join(powers(text)) == said
