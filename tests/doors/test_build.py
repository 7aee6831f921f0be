"""The commands for who writes plugins."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipulate.core import source
from pipulate.doors.build import CONTRACT
from pipulate.doors.cli import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pipulate(tmp_path):
    """pipulate(*words): what a command on this test's home prints; `stderr` says the sum."""
    (tmp_path / "apps").mkdir()

    def running(*words):
        return CliRunner().invoke(cli, [*words, "--home", str(tmp_path)], catch_exceptions=False)

    running.apps = tmp_path / "apps"
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


def test_the_context_for_all_is_the_whole_source(pipulate):
    said = pipulate("context", "--for", "all").stdout
    assert all(p.read_text("utf-8") in said for p in source.files(pipulate.apps).values())


def test_the_rules_for_coding_assistants_are_fresh():
    command = [sys.executable, str(ROOT / "scripts/rules.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
