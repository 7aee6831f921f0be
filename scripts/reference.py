"""What is generated in docs/: the tables of reference.md, the figures of introduction.md.

    python scripts/reference.py             write them between their markers
    python scripts/reference.py --check     exit 1 when a page is not what would be written

Each table stands between `<!-- generated: NAME -->` and `<!-- end -->`, each figure between
`<!-- figure: NAME -->` and `<!-- end -->`. Sizes are rounded, so that they are not stale at once.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import inspect
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

import pipulate
from pipulate.ai.complete import connect
from pipulate.apps.house import House
from pipulate.core.fields import KINDS
from pipulate.core.settings import Settings, read_settings
from pipulate.core.tools import Tool
from pipulate.doors.cli import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/reference.md", ROOT / "docs/introduction.md"
SOURCE = ROOT / "src/pipulate"
FIGURE = re.compile(r"(<!-- figure: (\w+) -->)[^<]*(<!-- end -->)")
USUAL = re.compile("_(list|get|add|update|delete|move|run)$")
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# Settings: field of the dataclass → (option, environment variable, what it says).
SETTINGS = {
    "home": ("--home DIR", "PIPULATE_HOME", "the folder that holds everything; `~/pipulate`"),
    "port": ("--port N", "", "the port on 127.0.0.1; 0 picks a free one"),
    "browser": ("--no-browser", "", "whether the browser is opened"),
    "plugins": ("--no-plugins", "", "whether the files in `apps/` are loaded"),
    "model_url": ("", "PIPULATE_MODEL_URL", "an OpenAI-compatible server; none means: use Ollama"),
    "model": ("", "PIPULATE_MODEL", "the model's name; else the first one the server lists"),
    "ollama_url": ("", "OLLAMA_HOST", "where Ollama is"),
    "ollama_named": ("", "OLLAMA_HOST", "whether that was said; else usual ports are tried, too"),
    "edition": ("", "PIPULATE_EDITION", "a package whose plugin files come along, too"),
}


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    safe = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in safe)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def first_line(value: Any) -> str:
    """The first line of a docstring, with its full stop."""
    return (inspect.getdoc(value) or "").split("\n")[0]


def names() -> str:
    """Everything `from pipulate import …` offers."""
    rows = ((code(n), first_line(getattr(pipulate, n))) for n in sorted(pipulate.__all__))
    return table(["name", "what it is"], rows)


def commands() -> str:
    """Every command of the shell with its arguments and options, as click knows them."""
    context = click.Context(cli)
    rows, found = [], dict(cli.commands)
    for name, command in cli.commands.items():
        parts = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {part}": inner for part, inner in parts.items()}
    for name, command in sorted(found.items()):
        words = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
        options = [_option(p) for p in command.params if isinstance(p, click.Option)]
        usage = " ".join(["pipulate", name, *words])
        rows.append((code(usage), " ".join(map(code, options)), command.get_short_help_str(200)))
    return table(["command", "options", "does"], rows)


def _option(option: click.Option) -> str:
    taken = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    return option.opts[-1] + taken


def with_house(work: Callable[[House], str]) -> str:
    """work(house) of an empty home."""
    mask = os.umask(0)
    with tempfile.TemporaryDirectory() as folder:
        house = House(read_settings(folder))
        try:
            return work(house)
        finally:
            asyncio.run(house.close())
            os.umask(mask)


def tools(of_apps: bool = False) -> str:
    """The tools of the house itself, or what the apps that come along have beside the usual."""

    def listed(house: House) -> str:
        connect(house)
        found = (tool for _, tool in sorted(house.tools.by_name.items()))
        own = (tool for tool in found if isinstance(tool.owner, Path) == of_apps)
        rows = (_tool(tool) for tool in own if not (of_apps and USUAL.search(tool.name)))
        return table(["tool", "class", "fields", "does"], rows)

    return with_house(listed)


def _tool(tool: Tool) -> tuple[str, ...]:
    return code(tool.name), tool.kind, " ".join(code(f.name) for f in tool.fields), tool.description


def fields() -> str:
    """Every type an annotation may have."""
    rows = []
    for kind_of, kind in KINDS.items():
        types = kind.schema.get("type", "any")
        schema = types if isinstance(types, str) else " or ".join(types)
        if "format" in kind.schema:
            schema += f", {kind.schema['format']}"
        rows.append((code(kind_of.__name__), kind.input, schema, kind.column))
    return table(["type", "input", "JSON", "column"], rows)


def settings() -> str:
    """Every setting, its option, its environment variable and its default."""
    rows = []
    for field in dataclasses.fields(Settings):
        option, variable, says = SETTINGS[field.name]
        default = "" if field.default is dataclasses.MISSING else str(field.default)
        rows.append((field.name, code(option), code(variable), code(default), says))
    return table(["setting", "option of `serve`", "environment", "default", "says"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "names": names,
    "commands": commands,
    "tools": tools,
    "of_apps": lambda: tools(of_apps=True),
    "fields": fields,
    "settings": settings,
}


def tokens(*folders: str) -> str:
    """Of the Python in folders of the package, characters ÷ 4, to the nearest ten thousand."""
    files = (path for folder in folders for path in (SOURCE / folder).rglob("*.py"))
    return f"{round(sum(len(path.read_text('utf-8')) for path in files) / 4, -4):,.0f}"


def lines(path: str) -> str:
    return str(len((SOURCE / path).read_text("utf-8").splitlines()))


def kinds(pipelines: bool) -> str:
    """How many apps, or pipelines, come along."""

    def count(house: House) -> str:
        return str(sum(hasattr(app, "pipeline") == pipelines for app in house.shelf.apps.values()))

    return with_house(count)


def tests() -> str:
    """How many test functions there are, to the nearest hundred."""
    files = (ROOT / "tests").rglob("test_*.py")
    found = sum(len(re.findall(r"(?m)^(?:async )?def test_", f.read_text("utf-8"))) for f in files)
    return f"{round(found, -2):,}"


FIGURES: dict[str, Callable[[], str]] = {
    "framework": lambda: tokens("core", "apps", "ai", "web", "doors"),
    "source": lambda: tokens(""),
    "names": lambda: str(len(pipulate.__all__)),
    "apps": lambda: kinds(False),
    "pipelines": lambda: kinds(True),
    "hello": lambda: lines("plugins/hello.py"),
    "tasks": lambda: lines("plugins/tasks.py"),
    "tests": tests,
}


def fill(text: str) -> str:
    """The page with every marked part made anew. KeyError for a marker nobody makes."""
    text = FIGURE.sub(lambda found: f"{found[1]}{FIGURES[found[2]]()}{found[3]}", text)
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    check = parser.parse_args().check
    for page in PAGES:
        old = page.read_text("utf-8")
        new = fill(old)
        if check and new != old:
            sys.exit(f"docs/{page.name} is stale: run python scripts/reference.py")
        if not check:
            page.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
