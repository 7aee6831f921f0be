"""The commands for who writes plugins."""

import hashlib
import json
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipulate.core import source
from pipulate.core.problems import Problem, Unknown, Waiting
from pipulate.doors.build import CONTRACT
from pipulate.doors.cli import cli
from pipulate.plugins import _drafts

ROOT = Path(__file__).resolve().parents[2]
BOOK = "from pipulate import CrudApp\n\n\nclass Book(CrudApp):\n    title: str\n"


@pytest.fixture
def pipulate(tmp_path):
    """pipulate(*words): what a command on this test's home prints; `stderr` says the sum."""
    mine = tmp_path / "mine"
    (mine / "apps").mkdir(parents=True)

    def running(*words, home=mine):
        return CliRunner().invoke(cli, [*words, "--home", str(home)], catch_exceptions=False)

    running.apps = mine / "apps"
    return running


# -- context -----------------------------------------------------------------------------------


def test_the_context_for_a_plugin_is_the_contract_within_three_thousand_tokens(pipulate):
    said = pipulate("context", "--for", "plugin")
    assert (source.PACKAGE / CONTRACT).read_text("utf-8") in said.stdout
    assert source.tokens(said.stdout) <= 3_000
    assert "1 files, about " in said.stderr


def test_the_context_for_an_app_is_its_file_and_those_it_touches(pipulate):
    (pipulate.apps / "shelf.py").write_text('class Shelf(CrudApp):\n    book: Ref["book"]\n')
    (pipulate.apps / "reading.py").write_text("class Book(CrudApp):\n    title: str\n")
    (pipulate.apps / "other.py").write_text("class Other(CrudApp):\n    title: str\n")
    said = pipulate("context", "--for", "app", "shelf").stdout
    headed = [line.split()[1] for line in said.splitlines() if line.startswith("=====[")]
    assert headed == [CONTRACT, "home/apps/shelf.py", "home/apps/reading.py"]


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("plugins", {"plugins/_desk.py", "plugins/_drafts.py", "plugins/_sharing.py"}),
        ("compare", {"plugins/links.py", "plugins/_picture.py", "plugins/_report.py"}),
        ("botify", {"botify/pace.py", "botify/account.py", "botify/slugs.py"}),
        ("shelf", {"home/apps/reading.py", "home/apps/other.py"}),
    ],
)
def test_the_context_for_an_app_left_out_most_of_what_it_imports_and_reads(pipulate, name, touched):
    (pipulate.apps / "shelf.py").write_text(
        "class Shelf(CrudApp):\n    book: Ref['book']\n    x = tables('other')\n"
    )
    (pipulate.apps / "reading.py").write_text("class Book(CrudApp):\n    title: str\n")
    (pipulate.apps / "other.py").write_text("class Other(CrudApp):\n    title: str\n")
    said = pipulate("context", "--for", "app", name).stdout
    assert touched <= {line.split()[1] for line in said.splitlines() if line[:6] == "=====["}


def test_the_context_for_all_is_the_whole_source(pipulate):
    said = pipulate("context", "--for", "all").stdout
    assert all(p.read_text("utf-8") in said for p in source.files(pipulate.apps).values())


def test_the_rules_for_coding_assistants_are_fresh():
    command = [sys.executable, str(ROOT / "scripts/rules.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- new, share, add ---------------------------------------------------------------------------


def test_new_writes_a_tested_file_once_and_refuses_the_second(pipulate):
    assert pipulate("new", "app", "book", "title:str", "stars:int=0").exit_code == 0
    assert "stars: int = 0" in (pipulate.apps / "book.py").read_text()
    with pytest.raises(Problem, match="There is a plugin 'book' already"):
        pipulate("new", "app", "book", "title:str")


def test_new_says_the_address_when_a_server_runs(serve, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    command = ["new", "pipeline", "audit", "fetch", "report", "--home", str(serve.home)]
    said = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert opened == [f"{serve.url}/default/audit"] and opened[0] in said.stdout
    assert serve.client.get(opened[0]).status_code == 200


def test_what_is_shared_waits_elsewhere_for_a_yes_and_then_brings_its_rows(pipulate, tmp_path):
    (pipulate.apps / "book.py").write_text(BOOK)
    for title in ("Emma", "Persuasion"):
        pipulate("call", "book_add", f"title={title}")
    (file := tmp_path / "book.json").write_text(pipulate("share", "book", "--data").stdout)
    other = tmp_path / "other"
    with pytest.raises(Waiting, match="book: It waits for your approval"):
        pipulate("add", str(file), home=other)
    assert not (other / "apps/book.py").exists()
    _drafts.approve(other, "book", hashlib.sha256(BOOK.encode()).hexdigest())
    assert "2 rows added" in pipulate("add", str(file), home=other).stdout
    assert "0 rows added" in pipulate("add", str(file), home=other).stdout
    row = json.loads(pipulate("apps", "books", "--json", home=other).stdout)
    assert (row["origin"], row["version"]) == ("from book.json", 1)


def test_what_is_shared_is_the_same_plugin_here_though_its_lines_end_as_on_windows(
    pipulate, tmp_path
):
    (pipulate.apps / "book.py").write_bytes(BOOK.replace("\n", "\r\n").encode())
    pipulate("call", "book_add", "title=Emma")
    (file := tmp_path / "book.json").write_text(pipulate("share", "book", "--data").stdout)
    assert "0 rows added" in pipulate("add", str(file)).stdout, "and no draft waits"


def test_a_plain_plugin_file_waits_for_a_yes_too(pipulate, tmp_path):
    (file := tmp_path / "book.py").write_text(BOOK)
    with pytest.raises(Waiting, match="book: It waits for your approval"):
        pipulate("add", str(file))
    assert not (pipulate.apps / "book.py").exists()


def test_a_shared_plugin_plants_no_rows_in_apps_that_are_not_its_own(pipulate, tmp_path):
    (pipulate.apps / "book.py").write_text(BOOK)
    package = json.loads(pipulate("share", "book", "--data").stdout)
    package["data"]["tasks"] = [{"title": "Planted"}]
    (file := tmp_path / "book.json").write_text(json.dumps(package))
    with pytest.raises(Problem, match="rows of tasks, which is no app of its own"):
        pipulate("add", str(file))
    assert "Planted" not in pipulate("call", "task_list").stdout


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": "x", "source": 5, "data": []}', "[" * 200_000], ids=len
)
def test_what_is_no_shared_plugin_is_refused(pipulate, tmp_path, text):
    (file := tmp_path / "x.json").write_text(text)
    with pytest.raises(Problem, match="no shared plugin"):
        pipulate("add", str(file))


def test_a_plugin_that_comes_along_is_not_shared(pipulate):
    with pytest.raises(Unknown, match="You have no plugin 'tasks'"):
        pipulate("share", "tasks")
