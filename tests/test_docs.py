"""The manual holds: every example runs, and nothing public is missing from it.

Each page is read from top to bottom in one fresh home. A `python` block that defines an app or a
pipeline starts with `# apps/NAME.py`, is loaded alone in a home of its own, and then put into the
page's home for the `sh` blocks below it. Other `python` blocks are run. In `sh` blocks the lines
that start with `pipulate` (or pipe into it, or make a file for it) run for real; `# exit 3` behind
a line says how it ends, `# prints TEXT` what it prints. The name of a backup stands for the
newest one.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

import pipulate
from pipulate.apps.base import snake
from pipulate.ai.complete import connect
from pipulate.apps.house import House
from pipulate.apps.job import JobHandle
from pipulate.core.fields import KINDS
from pipulate.core.settings import Settings, read_settings
from pipulate.doors.cli import cli

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / "src/pipulate/plugins/contract.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), CONTRACT]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MADE = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)
BACKUP = re.compile(r"pipulate-\d{8}-\d{6}\.db")
VERBS = ("list", "get", "add", "update", "delete", "move")
PLUGIN = re.compile(r"\(CrudApp\):|= Pipeline\(")
BUNDLED = {p.read_text("utf-8"): p for p in (ROOT / "src/pipulate/plugins").glob("[!_]*.py")}


@dataclass(frozen=True)
class Block:
    """One fenced block: the page's name, the line it starts on, its language and its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def label(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def plugin(self) -> bool:
        return self.language == "python" and bool(PLUGIN.search(self.text))


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    name = str(page.relative_to(ROOT))
    found = ((m, text[: m.start()].count("\n") + 1) for m in BLOCK.finditer(text))
    return [Block(name, line, m[1], m[2]) for m, line in found]


def every(language: str) -> list[Any]:
    found = (b for page in PAGES for b in blocks(page) if b.language == language)
    return [pytest.param(b, id=b.label) for b in found]


def plugin_path(block: Block, home: Path) -> Path:
    """Where the block says that it belongs: `# apps/NAME.py` is its first line."""
    named = re.match(r"# (apps/\w+\.py)\n", block.text)
    assert named, f"{block.label}: an app or pipeline starts with its place, such as # apps/x.py"
    return home / named[1]


def run(home: Path, command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command, or a line of the shell, with this home and no model and no browser."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("PIPULATE_")}
    nothing = {"OLLAMA_HOST": "127.0.0.1:1", "BROWSER": "true", "PIPULATE_HOME": str(home)}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=keep | nothing | path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A fresh home folder; the mask that opening a home sets is put back."""
    mask = os.umask(0o077)
    folder = tmp_path / "home"
    (folder / "apps").mkdir(parents=True)
    yield folder
    os.umask(mask)


def opened(home: Path) -> tuple[list[str], list[str], set[str]]:
    """(failures, what the user's own files define, names of all tools) of a home."""
    house = House(read_settings(str(home)))
    try:
        failures = [str(p.problem) for p in house.shelf.failures]
        own = [row["name"] for row in house.shelf.listing() if not row["bundled"]]
        return failures, own, set(house.tools.by_name)
    finally:
        asyncio.run(house.close())


def expected_tools(block: Block) -> set[str]:
    """The tools that the classes, pipelines and @tool methods of a block must give."""
    names = [snake(name) for name in re.findall(r"class (\w+)\(CrudApp", block.text)]
    found = {f"{name}_{verb}" for name in names for verb in VERBS}
    marked = re.findall(r"@tool(?:\(.*?\))?\n\s+def (\w+)", block.text)
    found |= {f"{names[0]}_{method}" for method in marked}
    return found | {f"{snake(t)}_run" for t in re.findall(r'Pipeline\("([\w ]+)"', block.text)}


@pytest.mark.parametrize("block", every("python"))
def test_every_python_example_runs(block: Block, home: Path) -> None:
    if block.text in BUNDLED:  # printed whole; a copy of it would only find its name taken
        slug = BUNDLED[block.text].stem
        done = run(home, ["pipulate", "run", slug, "name=Ada"], home)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == len("Hello, Ada!")
    elif block.plugin:
        plugin_path(block, home).write_text(block.text)
        failures, own, tools = opened(home)
        assert not failures, f"{block.label}: {failures}"
        assert own, f"{block.label} defines nothing"
        assert expected_tools(block) <= tools
    else:
        done = run(home, [sys.executable, "-c", block.text], home)
        assert done.returncode == 0, f"{block.label}:\n{done.stderr}"


def commands(block: Block) -> Iterator[tuple[str, int]]:
    """(line, exit code) of the lines of a shell block that are to run."""
    for line in block.text.splitlines():
        line = line.removeprefix("$ ")
        if re.match(r"pipulate |printf .* > \w+", line) or "| pipulate " in line:
            says = re.search(r"# exit (\d+)", line)
            yield line, int(says[1]) if says else 0


@pytest.mark.parametrize("page", [pytest.param(p, id=p.name) for p in PAGES])
def test_every_command_of_a_page_ends_as_it_says(page: Path, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for block in blocks(page):
        if block.plugin and block.text not in BUNDLED:
            plugin_path(block, home).write_text(block.text)
        for line, code in commands(block) if block.language == "sh" else ():
            kept = sorted(p.name for p in home.glob("backups/*.db"))
            line = BACKUP.sub(kept[-1], line) if kept else line
            done = run(home, line, folder)
            assert done.returncode == code, f"{block.label}: {line}\n{done.stdout}{done.stderr}"
            assert "Traceback" not in done.stderr, f"{block.label}: {line}\n{done.stderr}"
            if says := re.search(r"# prints (.+)$", line):
                assert done.stdout.strip() == says[1], f"{block.label}: {line}"


def manual(generated: bool = True) -> str:
    """All pages as one text; without what scripts/reference.py writes if asked."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    return text if generated else MADE.sub("", text)


def test_every_public_name_is_explained() -> None:
    text = manual(generated=False)
    unused = {"DictLikeDB"}  # of no use in an app yet: its line in the reference says all
    names = set(pipulate.__all__) - unused
    assert [n for n in names if not re.search(rf"`@?{n}\b|import .*\b{n}\b", text)] == []
    assert [n for n in pipulate.__all__ if f"| `{n}` |" not in manual()] == []


def test_everything_that_a_step_can_ask_of_its_job_is_explained() -> None:
    """The methods that pipelines of pipelines are made of are not for those who write steps."""
    inner = {"fed", "held", "run"}
    names = {name for name in dir(JobHandle(print, print, Path())) if name[0] != "_"} - inner
    text = manual()
    assert "browser" in names
    assert [name for name in sorted(names) if f"`job.{name}" not in text] == []


def test_every_app_and_pipeline_that_comes_along_is_in_the_manual(home: Path) -> None:
    house = House(read_settings(str(home)))
    titles = {app.title for app in house.shelf.apps.values()}
    asyncio.run(house.close())
    text = manual()
    assert "Capture" in titles
    assert [title for title in sorted(titles) if not re.search(rf"\b{title}\b", text)] == []


def test_apps_are_about_as_long_as_the_manual_says() -> None:
    text = (ROOT / "docs/apps.md").read_text("utf-8")
    said = re.findall(r"^\| \[?(\w+)(?:\]\(\S+\))? \| (\d+) \|", text, re.MULTILINE)
    lengths = {path.stem.capitalize(): text.count("\n") for text, path in BUNDLED.items()}
    assert len(said) >= 11
    assert [name for name, n in said if abs(int(n) - lengths[name]) > lengths[name] / 10] == []


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "docs/dependencies.md").read_text("utf-8")
    assert [n for n in project["optional-dependencies"] if f"| `{n}` |" not in text] == []


def test_every_json_example_is_json() -> None:
    for example in every("json"):
        json.loads(example.values[0].text)


def test_every_field_type_is_explained() -> None:
    text = (ROOT / "docs/first-app.md").read_text("utf-8")
    names = [kind.__name__ for kind in KINDS]
    assert [n for n in names if f"`{n}`" not in text] == []


def test_every_command_is_in_the_manual() -> None:
    text = manual()
    assert [n for n in cli.commands if not re.search(rf"`pipulate {n}\b", text)] == []
    options = {o for command in cli.commands.values() for p in command.params for o in p.opts}
    assert [o for o in options if o.startswith("--") and o not in text] == []


def test_every_core_tool_is_in_the_manual(home: Path) -> None:
    house = House(read_settings(str(home)))
    core = [tool.name for tool in house.tools.by_name.values() if tool.owner == "core"]
    asyncio.run(house.close())
    assert core
    assert [name for name in core if f"`{name}`" not in manual()] == []


def test_the_tools_of_the_assistant_and_those_that_apps_add_are_in_the_manual_too(
    home: Path,
) -> None:
    house = House(read_settings(str(home)))
    connect(house)
    names = sorted(house.tools.by_name)
    asyncio.run(house.close())
    usual = re.compile("_(list|get|add|update|delete|move|run)$")
    text = manual()
    assert "remember" in names and "bookmark_fetch_title" in names
    assert [n for n in names if f"`{n}`" not in text and not usual.search(n)] == []


def test_every_setting_and_environment_variable_is_in_the_manual() -> None:
    text = (ROOT / "docs/reference.md").read_text("utf-8")
    assert [f.name for f in fields(Settings) if f"| {f.name} |" not in text] == []
    source = "\n".join(p.read_text("utf-8") for p in (ROOT / "src").rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", source))
    assert "PIPULATE_HOME" in read
    assert [name for name in sorted(read) if f"`{name}`" not in text] == []


def test_the_generated_tables_are_fresh() -> None:
    command = [sys.executable, str(ROOT / "scripts/reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if "://" in target or target.endswith(".png"):
                continue
            name, _, anchor = target.partition("#")
            found = page.parent / name if name else page
            assert found.exists(), f"{page.name} links to {target}"
            heads = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads}
            assert not anchor or anchor in slugs, f"{page.name} links to {target}"
