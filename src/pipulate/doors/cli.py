"""The command line. Commands go through a running server of the home, else open it themselves."""

import asyncio
import json
import signal
import sys
from dataclasses import replace
from functools import partial

from click import Abort, Choice, ClickException, Group, IntRange, argument, confirm, echo
from click import group, option, version_option

from pipulate import __version__
from pipulate.ai.slash import read_words
from pipulate.core import backups
from pipulate.core.logs import open_log
from pipulate.core.problems import Confirm, Problem, require
from pipulate.core.process import end
from pipulate.core.store import Row
from pipulate.doors import build
from pipulate.doors.botify import botify
from pipulate.doors.door import HOME, JSON, PROFILE, WORDS, YES, Door, as_file, ask
from pipulate.doors.door import leave_quietly, show
from pipulate.doors.runs import COMMANDS


class Commands(Group):
    """`pipulate` alone serves; an unknown command exits with 2 and the nearest name."""

    def parse_args(self, ctx, args):
        if not args or args[0].startswith("--") and args[0] not in ("--help", "--version"):
            args.insert(0, "serve")
        return super().parse_args(ctx, args)

    def invoke(self, ctx):
        try:  # outside of this click ends it, with 1
            super().invoke(ctx)
            print(end="", flush=True)
        except BrokenPipeError:
            leave_quietly()

    def get_command(self, ctx, name):
        require(name, self.commands, f"There is no command {name!r}.")
        return self.commands[name]


def _agreed(question: str) -> bool:
    return sys.stdin.isatty() and confirm(question, err=True)


PORT = IntRange(0, 65_535)
WINDOW = option("--window", is_flag=True, help="In its own window (Chromium, Chrome, Edge).")


@group(cls=Commands)
@version_option(__version__)
def cli():
    """A local workspace of apps and pipelines. Without a command it serves, in the browser."""


@cli.command()
@HOME
@option("--port", default=5001, type=PORT, show_default=True, help="0 picks a free one.")
@option("--no-browser", is_flag=True)
@WINDOW
@option("--no-plugins", is_flag=True, help="Leave the files in apps/ alone.")
@option("--json", "as_json", is_flag=True, help="Print one line of JSON once ready.")
def serve(settings, port, no_browser, window, no_plugins, as_json):
    """Serve the workspace on 127.0.0.1."""
    from pipulate.doors.mcp import McpApp
    from pipulate.web import run

    if window and Door(settings).server:
        return open_.callback(settings, no_browser, window)
    settings = replace(settings, port=port, browser=not no_browser, plugins=not no_plugins)

    def ready(info: Row):
        if as_json:
            return echo(json.dumps(info))
        echo(f"Pipulate is at {info['url']}")
        echo(f"(this address opens once; later: {sys.argv[0]} open; Ctrl-C stops)")
        if settings.browser and not run.open_browser(settings, info["url"], window):
            echo("No browser could be opened; copy the address.", err=True)

    # not on uvloop, which forks: the copy waits for ever for a lock that a thread held
    asyncio.run(run.serve(settings, McpApp, ready))
    sys.stdout.flush()
    end(0)  # a thread that a plugin never gives back would keep the program from ending


@cli.command("open")
@HOME
@option("--no-browser", is_flag=True, help="Only print the address.")
@WINDOW
def open_(settings, no_browser, window):
    """A fresh address for the running server, opened in the browser."""
    from pipulate.web.run import open_browser

    door = Door(settings)
    token = asyncio.run(door.post("launch", {}))["token"]
    url = f"{door.server['url']}/?token={token}"
    if no_browser or not open_browser(settings, url, window):
        echo(url)


@cli.command()
@HOME
@JSON
def doctor(settings, as_json):
    """Check this installation and home: versions, store, assets, model server, browser."""
    import apsw

    from pipulate.apps.browser import find_browser
    from pipulate.ai.servers import find
    from pipulate.web.server import ASSETS

    server, store = Door(settings).server or {}, "ok"
    try:
        backups.open_store(settings).close()
    except Problem as problem:
        store = str(problem)
    model = asyncio.run(find(settings))
    report = {
        "pipulate": __version__,
        "python": sys.version.split()[0],
        "sqlite": apsw.sqlite_lib_version(),
        "home": str(settings.home),
        "server": server.get("url"),
        "assets": len(list(ASSETS.glob("*.js"))) >= 4,
        "backups": len(backups.listing(settings.folder("backups"))),
        "store": store,
        "model": model and model.name,
        "window": find_browser(),
    }
    lines = [f"{name:10} {value or 'none'}" for name, value in report.items()]
    echo(json.dumps(report) if as_json else "\n".join(lines))
    sys.exit(store != "ok" or not report["assets"])


def _listing(name: str, about: str, line: str):
    @cli.command(name, help=about)
    @HOME
    @argument("one", metavar="[NAME]", required=False)
    @JSON
    def command(settings, as_json, one):
        rows = ask(settings, name)
        if one:
            found = {row["name"]: row for row in reversed(rows)}
            require(one, found, f"There is no {one!r}.")
        if one or as_json:
            return show(found[one] if one else rows, as_json)
        for row in rows:
            echo(line.format(**row | {"title": row.get("problem") or row.get("title")}))


_listing(
    "tools",
    "List the tools; with a NAME show one whole: its fields, as a schema.",
    "{name:20} {class:12} {description}",
)
_listing(
    "apps",
    "List the apps and pipelines: kind, origin, version, hash of the file.",
    "{name:20} {kind:9} {origin:16.16} {version!s:6} {hash} {title}",
)
for each in (*COMMANDS, *build.COMMANDS, botify):
    cli.add_command(each)


@cli.command()
@argument("tool")
@WORDS
@HOME
@PROFILE
@YES
@JSON
def call(tool, words, settings, profile, yes, as_json):
    """Call a tool: key=text as in its form, key:=JSON, key=@file."""
    text, values = read_words(words, files=True)
    asked = partial(ask, settings, tool, values, profile, text=text)
    try:
        result = asked(yes=yes)
    except Confirm as confirm:
        if not _agreed(f"{confirm.what} Go on?"):
            raise
        result = asked(yes=True)
    show(result, as_json)


@cli.command("export")
@argument("app")
@option("--format", "form", type=Choice(["csv", "json"]), default="csv")
@option("--raw", is_flag=True, help="Put no ' before what a spreadsheet would run.")
@option("--where", default="", help='As in a list\'s address: "f.done=no&sort=-due".')
@HOME
@PROFILE
def export_(settings, profile, **asked):
    """Print the rows of an app, such as tasks."""
    ask(settings, "export", asked, profile, write=sys.stdout.buffer.write)


PAIRS = {
    "multiple": True,
    "callback": lambda context, option, given: dict(pair.rpartition("=")[::2] for pair in given),
}


@cli.command("import")
@argument("app")
@argument("file")
@option("--match", multiple=True, metavar="FIELD", help="Update rows equal in this field.")
@option("--map", "columns", metavar='"COLUMN=FIELD"', help="Which is which.", **PAIRS)
@option(
    *("--notation", "notations"), metavar='"FIELD=day first"', help="How it is written.", **PAIRS
)
@option("--sheet", default="", help="Which sheet of a workbook.")
@option("--no-header", is_flag=True, help="The first row is data.")
@option("--raw", is_flag=True, help="Keep a ' before a formula.")
@option("--dry-run", is_flag=True, help="Only say what would be done.")
@HOME
@PROFILE
@YES
@JSON
def import_(file, match, no_header, settings, profile, yes, as_json, **said):
    """Add the rows of a FILE (CSV, JSON, XLSX; - is standard input) to an app, as one change."""
    from pipulate.apps.intake import counted

    said |= {"match": [*match], "header": not no_header}
    with as_file(file, "rows.txt") as path:
        report = ask(settings, "rows_import", said | {"file": path}, profile, yes=True)
    if as_json:
        return show(report, True)
    echo(counted(report, all=True))
    for row in report["skipped"]:
        why = "; ".join(f"{name} {why}".strip() for name, why in row["why"].items())
        echo(f"row {row['row']}: {why}")
    for field, how in report["notations"].items():
        echo(f"{field}: {how}")
    if report["ignored"]:
        echo(f"columns left out: {', '.join(report['ignored'])}")


@cli.command()
@HOME
def backup(settings):
    """Back the store up now; prints the file."""
    settings.make_home()
    db = backups.open_store(settings)
    echo(backups.backup(db, settings.folder("backups")))
    db.close()


@cli.command()
@argument("name", required=False)
@HOME
@YES
def restore(name, settings, yes):
    """Put a copy of a backup in the store's place (kept beside the backups); no name: list them."""
    if not name:
        return show(backups.listing(settings.folder("backups")), False)
    if not yes and not _agreed(f"Restore {name}?"):
        raise Confirm("It replaces the present store.", "Answer y, or add --yes.")
    if Door(settings).server:  # it may have been started meanwhile
        raise Problem("A server is running on this home.", "Stop it first.")
    echo(f"The store that was there is kept as {backups.restore(settings, name)}")


@cli.command()
@HOME
@PROFILE
def mcp(settings, profile):
    """Speak MCP on standard input and output; holds no lock between calls."""
    from pipulate.doors.mcp import serve_stdio

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else it would wait for one more line
    settings.make_home()
    open_log(settings.folder("logs"))
    asyncio.run(serve_stdio(lambda request, *asked: Door(settings, profile, "mcp").call(*asked)))


def main():
    """The `pipulate` command. Exit: 0 done, 1 a Problem, 2 unknown, 3 waits for somebody."""
    try:
        for stream in (sys.stdin, sys.stdout):
            if hasattr(stream, "reconfigure"):  # else closed
                stream.reconfigure(encoding="utf-8")
        cli(standalone_mode=False)
    except Problem as problem:
        echo(problem, err=True)
        sys.exit(problem.exit_code)
    except ClickException as error:
        echo(f"{error.format_message()} See `pipulate --help`.", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, Abort):
        sys.exit(130)
    except Exception as error:
        echo(f"Something went wrong here: {type(error).__name__}: {error}", err=True)
        sys.exit(1)
