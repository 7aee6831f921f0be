"""What commands share: their options, how they ask a home, how they print what they got."""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from pipulate.core.fields import dumps, to_json
from pipulate.core.outputs import Rows, loaded
from pipulate.core.settings import read_settings
from pipulate.core.store import Row
from pipulate.doors.door import Door

HOME = click.option(
    "--home",
    "settings",
    metavar="DIR",
    callback=lambda context, option, home: read_settings(home),
    help="Workspace folder (else PIPULATE_HOME, ~/pipulate).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
LINES = click.option("--jsonl", "as_lines", is_flag=True, help="Rows as JSON Lines, one by one.")
PROFILE = click.option(
    "--profile", metavar="NAME", help="Whose rows; the first profile if not given."
)
YES = click.option("--yes", is_flag=True, help="Do what cannot be undone without asking.")
WORDS = click.argument("words", nargs=-1)


def show(value, as_json: bool, as_lines: bool = False, out=None):
    """Print a result: JSON, or text as plain as it is; rows as they come, one in memory at a time.

    Ends the program when whoever reads has enough."""
    out = out or sys.stdout
    for text in itertools.chain(_pieces(value, as_json, as_lines), [""]):
        try:
            out.write(text) if text else out.flush()
        except BrokenPipeError:
            leave_quietly(out)


def _pieces(value, as_json: bool, as_lines: bool) -> Iterator[str]:
    value = loaded(value)
    streamed = isinstance(value, Iterator | Rows)
    if as_lines:
        rows = value if streamed or isinstance(value, list | tuple) else [value]
        yield from (dumps(row) + "\n" for row in rows)
    elif streamed:
        between = "," if as_json else ",\n"
        yield from (f"{between if n else '['}{dumps(row)}" for n, row in enumerate(value))
        yield "]\n"
    elif as_json or not isinstance(value, str | int | float):
        indent = None if as_json else 1
        yield json.dumps(to_json(value), ensure_ascii=False, indent=indent) + "\n"
    else:
        yield f"{value}\n"


class Left(SystemExit):
    """Whoever reads has enough."""


def leave_quietly(out=sys.stdout):
    """End as `head` ends what it reads from."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    raise Left(141)


def ask(settings, tool: str, values: Row | None = None, profile: str | None = None, **more):
    """The result of one tool of a home; more: text, yes, write."""
    return asyncio.run(Door(settings, profile).call(tool, values, **more))


@contextlib.contextmanager
def as_file(name: str, chunks: Iterable[bytes]) -> Iterator[str]:
    """The path of a file that holds these, for a while; closed, as Windows wants it to be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        with path.open("wb") as file:
            file.writelines(chunks)
        yield str(path)
