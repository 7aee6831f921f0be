"""What commands share: how they reach the tools of a home, their options, how they print.

What a call needs is imported late, so that they start fast.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from click import argument, option

from pipulate.core.fields import dumps, to_json
from pipulate.core.outputs import Rows, loaded
from pipulate.core.problems import Problem, from_dict
from pipulate.core.process import server_info
from pipulate.core.settings import Settings, read_settings
from pipulate.core.store import Row

HOME = option(
    "--home",
    "settings",
    metavar="DIR",
    callback=lambda context, option, home: read_settings(home),
    help="Workspace folder (else PIPULATE_HOME, ~/pipulate).",
)
JSON = option("--json", "as_json", is_flag=True, help="Print JSON.")
LINES = option("--jsonl", "as_lines", is_flag=True, help="Rows as JSON Lines, one by one.")
PROFILE = option("--profile", metavar="NAME", help="Whose rows; else the first's.")
YES = option("--yes", is_flag=True, help="Do what cannot be undone without asking.")
WORDS = argument("words", nargs=-1)


class Door:
    """Calls tools of a home, through its server when one is alive, else in this process."""

    def __init__(self, settings: Settings, profile: str | None = None, actor: str = "shell"):
        settings.make_home()
        self.settings, self.server, self.house = settings, server_info(settings), None
        self.said = {"profile": profile, "actor": actor, "cwd": os.getcwd()}

    async def call(self, tool: str, values: Row | None = None, write=None, **more):
        """As `ask`, for one call alone: steps that it began end before the home is closed."""
        try:
            result = await self.ask(tool, values, write, **more)
            if jobs := self.house and self.house.jobs:
                await jobs.rest()
                for job in [*jobs.live.values()]:
                    await jobs.wait_or_ask(job)
            return result
        finally:
            await self.close()

    async def ask(self, tool: str, values: Row | None = None, write=None, **more):
        """The tool's result; a download goes to `write`, piece by piece. The home stays open.

        more: text (values as typed), yes. Raises its Problem."""
        said = {**self.said, "tool": tool, "values": values, **more}
        if self.server:
            return (await self.post("call", said, write))["result"]
        if not self.house:
            from pipulate.ai.complete import connect
            from pipulate.apps.house import House

            self.house = House(self.settings)
            connect(self.house)  # steps may ask a model here, too
        result = await self.house.answer(said)
        for chunk in getattr(result, "chunks", ()):
            write(chunk.encode())
        return result

    async def close(self):
        if self.house:
            await self.house.close()

    async def post(self, path: str, said: Row, write=None) -> Row:
        """What the server answers at /shell/{path}: JSON, or a download. Raises its Problem."""
        import httpx2

        if not self.server:
            raise Problem("No server runs on this home.", "Start one with `pipulate`.")
        key = {"Authorization": f"Bearer {self.server.get('shell')}"}
        at, text = f"{self.server['url']}/shell/{path}", json.dumps(said)  # odd bytes as ASCII
        try:
            async with (
                httpx2.AsyncClient(timeout=None, headers=key, trust_env=False) as client,
                client.stream("POST", at, content=text) as answer,
            ):
                if "content-disposition" in answer.headers:
                    async for chunk in answer.aiter_bytes():
                        write(chunk)
                    return {"result": None}
                data = json.loads(await answer.aread())
        except (httpx2.HTTPError, ValueError):
            what = "The running server did not answer."
            raise Problem(what, "Try again; see `pipulate doctor`.") from None
        if "problem" in data:
            raise from_dict(data["problem"])
        return data


@contextlib.contextmanager
def opened(settings: Settings, profile: str | None):
    """(a Door whose home stays open, a function that waits for what it does)."""
    with asyncio.Runner() as runner:
        door = Door(settings, profile)
        try:
            yield door, runner.run
        finally:
            runner.run(door.close())


def ask(settings, tool: str, values: Row | None = None, profile: str | None = None, **more):
    """Door.call for one tool of a home; more: text, yes, write."""
    return asyncio.run(Door(settings, profile).call(tool, values, **more))


def show(value, as_json: bool, as_lines: bool = False, out=None):
    """Print a result: JSON or plain text, rows as they come. Ends the program when nobody reads."""
    out = out or sys.stdout
    for text in itertools.chain(_pieces(value, as_json, as_lines), [""]):  # the end
        try:
            print(text, end="", file=out, flush=not text)
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
        yield "["
        yield from (f"{between if n else ''}{dumps(row)}" for n, row in enumerate(value))
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


@contextlib.contextmanager
def as_file(file: str, name: str) -> Iterator[str]:
    """The path of a file; of - one so called with standard input."""
    if file != "-":
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        with path.open("wb") as copy:
            copy.writelines(sys.stdin.buffer)
        yield str(path)  # closed: Windows reads no open one
