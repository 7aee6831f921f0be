"""The command line. Commands go through a running server of the home, else open it themselves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from pipulate import __version__
from pipulate.core.problems import Confirm, Problem, Unknown, Waiting, from_dict, nearest
from pipulate.core.settings import Settings, read_settings

HOME = click.option("--home", metavar="DIR", help="Workspace folder (else PIPULATE_HOME, ~/pipulate).")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
PROFILE = click.option("--profile", metavar="NAME", help="Whose rows; the first profile if not given.")
YES = click.option("--yes", is_flag=True, help="Do what cannot be undone without asking.")
WORDS = click.argument("words", nargs=-1)


class Commands(click.Group):
    """`pipulate` alone serves; an unknown command exits with 2 and the nearest name."""

    def parse_args(self, ctx, args: list[str]):
        if not args or args[0].startswith("--") and args[0] not in ("--help", "--version"):
            args.insert(0, "serve")
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx, args: list[str]):
        if args[0] not in self.commands:
            raise Unknown(f"There is no command {args[0]!r}.", nearest(args[0], self.commands))
        return super().resolve_command(ctx, args)


class Door:
    """Calls tools of a home, through its server when one is alive, else in this process."""

    def __init__(self, settings: Settings, profile: str | None, yes: bool, actor: str = "shell"):
        from pipulate.web.run import server_info

        self.settings, self.profile, self.yes, self.actor = settings, profile, yes, actor
        settings.make_home()
        self.server = server_info(settings)
        self.house: Any = None

    async def call(self, tool: str, text: dict[str, str], values: dict[str, Any]):
        """The tool's result. Raises its Problem."""
        if self.server:
            return await self._through_server(tool, text, values)
        if self.house is None:
            from pipulate.apps.house import House

            self.house = House(self.settings)
        if tool in ("tools", "apps"):
            return self.house.tools.listing() if tool == "tools" else self.house.shelf.listing()
        caller = self.house.caller(self.actor, self.profile, confirmed=self.yes, cwd=Path.cwd())
        return await self.house.tools.call(tool, values, caller, text)

    async def _through_server(self, tool: str, text: dict[str, str], values: dict[str, Any]):
        import httpx2

        said = {"tool": tool, "text": text, "values": values, "profile": self.profile}
        said |= {"yes": self.yes, "cwd": os.getcwd(), "actor": self.actor}
        found = self.server or {}
        key = {"Authorization": f"Bearer {found.get('shell')}"}
        try:
            async with httpx2.AsyncClient(timeout=None, headers=key) as client:
                answer = (await client.post(f"{found['url']}/shell/call", json=said)).json()
        except (httpx2.HTTPError, ValueError):
            raise Problem("The running server did not answer.", "Restart it, then try again.") from None
        if "problem" in answer:
            raise from_dict(answer["problem"])
        return answer["result"]

    async def launch_token(self) -> str:
        import httpx2

        if not self.server:
            raise Problem("No server runs on this home.", "Start one with `pipulate`.")
        key = {"Authorization": f"Bearer {self.server['shell']}"}
        async with httpx2.AsyncClient(headers=key) as client:
            return (await client.post(f"{self.server['url']}/shell/launch")).json()["token"]

    async def close(self) -> None:
        if self.house:
            await self.house.close()


def through(door: Door, work: Callable[[Door], Awaitable[Any]]):
    """Run work(door) and close what it opened, also on Ctrl-C."""

    async def run():
        try:
            return await work(door)
        finally:
            await door.close()

    return asyncio.run(run())


def show(value, as_json: bool) -> None:
    """Print a result: JSON, or text as plain as it is."""
    if as_json or not isinstance(value, str | int | float):
        value = json.dumps(value, ensure_ascii=False, indent=None if as_json else 1)
    click.echo(value)


@click.group(cls=Commands)
@click.version_option(__version__)
def cli() -> None:
    """A local workspace of apps and pipelines. Without a command it serves and opens the browser."""


@cli.command()
@HOME
@click.option("--port", default=5001, show_default=True, help="0 picks a free one.")
@click.option("--no-browser", is_flag=True)
@click.option("--no-plugins", is_flag=True, help="Leave the files in apps/ alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON once ready.")
def serve(home: str | None, port: int, no_browser: bool, no_plugins: bool, as_json: bool) -> None:
    """Serve the workspace on 127.0.0.1."""
    from pipulate.doors.mcp import McpApp
    from pipulate.web import run

    settings = read_settings(home, port=port, browser=not no_browser, plugins=not no_plugins)

    def ready(info: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps(info))
        else:
            click.echo(f"Pipulate is at {info['url']}\n(this address opens once; later: {sys.argv[0]} open; Ctrl-C stops)")
        if settings.browser and not as_json and not run.open_browser(settings, info["url"]):
            click.echo("No browser could be opened; copy the address.", err=True)

    asyncio.run(run.serve(settings, McpApp, ready))
    sys.stdout.flush()
    os._exit(0)  # a thread that a plugin never gives back would keep the program from ending


@cli.command("open")
@HOME
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def open_(home: str | None, no_browser: bool) -> None:
    """A fresh address for the running server, opened in the browser."""
    from pipulate.web.run import open_browser

    door = Door(read_settings(home), None, False)
    token = through(door, lambda d: d.launch_token())
    url = f"{door.server['url']}/?token={token}"  # type: ignore[index]
    if no_browser or not open_browser(door.settings, url):
        click.echo(url)


@cli.command()
@HOME
@JSON
def doctor(home: str | None, as_json: bool) -> None:
    """Check this installation and home: versions, rights, store, browser assets, model server."""
    import apsw

    from pipulate.ai.models import find
    from pipulate.core import backups
    from pipulate.web.run import server_info
    from pipulate.web.server import ASSETS

    settings = read_settings(home)
    settings.make_home()
    running = server_info(settings)
    report: dict[str, Any] = {
        "pipulate": __version__,
        "python": sys.version.split()[0],
        "sqlite": apsw.sqlite_lib_version(),
        "home": str(settings.home),
        "server": (running or {}).get("url"),
        "assets": len(list(ASSETS.glob("*.js"))) >= 4,
        "backups": len(backups.listing(settings.folder("backups"))),
    }
    try:
        backups.open_store(settings).close()
        report["store"] = "ok"
    except Problem as problem:
        report["store"] = str(problem)
    model = asyncio.run(find(settings))
    report["model"] = model.name if model else None
    lines = [f"{name:10} {value}" for name, value in report.items()]
    click.echo(json.dumps(report) if as_json else "\n".join(lines))
    if report["store"] != "ok" or not report["assets"]:
        sys.exit(1)


def _listing(name: str) -> None:
    @cli.command(name, help=f"List the {name}; with a NAME show that one whole.")
    @click.argument("one", metavar="[NAME]", required=False)
    @HOME
    @JSON
    def command(one: str | None, home: str | None, as_json: bool) -> None:
        rows = through(Door(read_settings(home), None, False), lambda d: d.call(name, {}, {}))
        if one:
            found = [row for row in rows if row["name"] == one]
            if not found:
                raise Unknown(f"There is no {one!r}.", nearest(one, [r["name"] for r in rows]))
            return show(found[0], as_json)
        if as_json:
            return show(rows, True)
        for row in rows:
            state = row.get("problem") or row.get("description") or row["title"]
            click.echo(f"{row['name']:20} {row.get('class') or row['kind']:12} {state}")


_listing("tools")
_listing("apps")


@cli.command()
@HOME
@PROFILE
@JSON
def runs(home: str | None, profile: str | None, as_json: bool) -> None:
    """List the runs of a profile."""
    rows = through(Door(read_settings(home), profile, False), lambda d: d.call("run_list", {}, {}))
    if as_json:
        return show(rows, True)
    for row in rows:
        click.echo(f"{row['id']:6} {row['pipeline']:16} {row['state']:9} {row['created_utc'][:16]}")


@cli.command()
@click.argument("tool")
@WORDS
@HOME
@PROFILE
@YES
@JSON
def call(tool: str, words: tuple[str, ...], home: str | None, profile: str | None, yes: bool, as_json: bool) -> None:
    """Call a tool: key=text as in its form, key:=JSON, key=@file."""
    show(_call(tool, words, read_settings(home), profile, yes), as_json)


def _call(tool: str, words: tuple[str, ...], settings: Settings, profile: str | None, yes: bool):
    from pipulate.ai.slash import read_words

    text, values = read_words(list(words), files=True)
    try:
        return through(Door(settings, profile, yes), lambda d: d.call(tool, text, values))
    except Confirm as asked:
        if not sys.stdin.isatty() or not click.confirm(asked.what + " Go on?", err=True):
            raise
        return through(Door(settings, profile, True), lambda d: d.call(tool, text, values))


@cli.command()
@click.argument("pipeline")
@WORDS
@HOME
@PROFILE
@JSON
def run(pipeline: str, words: tuple[str, ...], home: str | None, profile: str | None, as_json: bool) -> None:
    """Run a pipeline on until an input is missing; prints the last output."""
    try:
        result = _call(f"{pipeline}_run", words, read_settings(home), profile, False)
    except Unknown as unknown:
        raise Unknown(f"There is no pipeline {pipeline!r}.", "See `pipulate apps`.") from unknown
    if result["state"] == "waiting":
        needs = ", ".join(result["waiting_for"])
        hint = " ".join(f"{name}=…" for name in result["waiting_for"])
        again = f"Go on with: pipulate run {pipeline} run={result['run']} {hint}"
        raise Waiting(f"Run {result['run']} waits for {needs}.", again)
    show(result["output"], as_json)


@cli.command()
@click.argument("name", metavar="PIPELINE.STEP")
@HOME
def step(name: str, home: str | None) -> None:
    """A filter: JSON object of outputs and inputs on stdin, the step's output on stdout."""
    from pipulate.doors.filter import filter_step

    text = sys.stdin.read()
    click.echo(json.dumps(filter_step(read_settings(home), name, text), ensure_ascii=False))


@cli.command()
@HOME
def backup(home: str | None) -> None:
    """Back the store up now; prints the file."""
    from pipulate.core import backups

    settings = read_settings(home)
    settings.make_home()
    db = backups.open_store(settings)
    click.echo(backups.backup(db, settings.folder("backups")))
    db.close()


@cli.command()
@click.argument("name", required=False)
@HOME
@YES
def restore(name: str | None, home: str | None, yes: bool) -> None:
    """Put a copy of a backup in the store's place (kept beside the backups); no name: list them."""
    from pipulate.core import backups
    from pipulate.web.run import server_info

    settings = read_settings(home)
    settings.make_home()
    if not name:
        return show(backups.listing(settings.folder("backups")), False)
    if server_info(settings):
        raise Problem("A server is running on this home.", "Stop it first.")
    if not yes and not (sys.stdin.isatty() and click.confirm(f"Restore {name}?", err=True)):
        raise Confirm("Restoring replaces the present store.", "Answer y, or add --yes.")
    click.echo(f"The store that was there is kept as {backups.restore(settings, name)}")


@cli.command()
@HOME
@PROFILE
def mcp(home: str | None, profile: str | None) -> None:
    """Speak MCP on standard input and output; holds no lock between calls."""
    from pipulate.doors.mcp import serve_stdio

    settings = read_settings(home)

    async def once(tool: str, values: dict[str, Any]):
        door = Door(settings, profile, False, "mcp")
        try:
            return await door.call(tool, {}, values)
        finally:
            await door.close()

    asyncio.run(serve_stdio(lambda: once("tools", {}), once))


def main() -> None:
    """The `pipulate` command. Exit: 0 done, 1 a Problem, 2 unknown, 3 waits for somebody."""
    try:
        cli(standalone_mode=False)
    except Problem as problem:
        click.echo(f"{problem.what} {problem.next_step}".strip(), err=True)
        sys.exit(problem.exit_code)
    except click.ClickException as error:
        click.echo(f"{error.format_message()} See `pipulate --help`.", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except Exception as error:
        click.echo(f"Something went wrong here: {type(error).__name__}: {error}", err=True)
        sys.exit(1)
