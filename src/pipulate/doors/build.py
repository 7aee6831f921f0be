"""The commands for who writes plugins: what to read first, a new file, one shared or taken in."""

import contextlib
import hashlib
import json
import re
import time
import webbrowser
from pathlib import Path

import click

from pipulate import __version__
from pipulate.apps.base import snake, so_many
from pipulate.core import source
from pipulate.core.problems import Problem, Unknown, Waiting, nearest
from pipulate.doors.door import HOME, PROFILE, Door, as_file, ask

CONTRACT = "plugins/contract.md"
SOON = 10  # seconds within which a saved file is in the menu
DEFINES = re.compile(r"class (\w+)\(CrudApp|Pipeline\(\s*\"([^\"]+)\"")
TOUCHES = re.compile(r"Ref\[\"(\w+)\"|tool\(\s*\"(\w+)_|import (_\w+)|plugins\.(\w+)")


@click.command()
@click.option("--for", "about", type=click.Choice(["plugin", "app", "all"]), default="plugin")
@click.argument("name", required=False)
@HOME
def context(about, name, settings):
    """Print what a reader needs, in reading order: for plugin, for app NAME, for all.

    Each file is headed by its name and its tokens; the sum goes to standard error."""
    texts = {n: p.read_text("utf-8") for n, p in source.files(settings.folder("apps")).items()}
    chosen = {CONTRACT: texts.pop(CONTRACT)}
    if about != "plugin":
        chosen |= texts if about == "all" else _touched(name or "", texts)
    for file, text in chosen.items():
        click.echo(f"=====[ {file} · {source.tokens(text):,} tokens ]=====\n{text}")
    total = sum(map(source.tokens, chosen.values()))
    click.echo(f"{len(chosen)} files, about {total:,} tokens", err=True)


def _touched(name: str, texts: dict[str, str]) -> dict[str, str]:
    """The plugin file of that name, or that defines it; then those it uses."""
    folders = ("plugins/", "botify/", "home/")
    plugins = {n: text for n, text in texts.items() if n.startswith(folders)}
    words = {n: _found(DEFINES, text) | {_bare(Path(n).stem)} for n, text in plugins.items()}
    asked = {_bare(name), _bare(name).removesuffix("s")}
    first = [n for n, known in words.items() if asked & known]
    if not first:
        raise Unknown(f"There is no plugin {name!r}.", nearest(name, set().union(*words.values())))
    own = {first[-1]: plugins[first[-1]]}
    used = _found(TOUCHES, plugins[first[-1]])
    return own | {n: text for n, text in plugins.items() if used & words[n]}


def _found(pattern: re.Pattern[str], text: str) -> set[str]:
    return {_bare(part) for found in pattern.findall(text) for part in found if part}


def _bare(name: str) -> str:
    """WineBottle, wine_bottle or "Wine bottle" → winebottle."""
    return re.sub(r"[\W_]", "", name).lower()


@click.command()
@click.argument("kind", type=click.Choice(["app", "pipeline"]))
@click.argument("name")
@click.argument("parts", nargs=-1)
@click.option("--no-browser", is_flag=True, help="Only print where it is.")
@HOME
def new(kind, name, parts, no_browser, settings):
    """Write a small, tested plugin file: fields (title:str rating:int=0), or names of steps."""
    name = snake(name) if re.fullmatch(r"[A-Za-z0-9_]+", name) else name
    given = {"name": name, "kind": kind, "parts": "\n".join(parts)}
    text, path = ask(settings, "plugin_scaffold", given), settings.folder("apps") / f"{name}.py"
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    click.echo(path)
    if not (server := Door(settings).server):
        return click.echo("It is in the menu when you start `pipulate`.")
    until, here = time.monotonic() + SOON, []
    while not here and time.monotonic() < until:
        time.sleep(0.05)
        here = [row["name"] for row in ask(settings, "apps") if row["file"] == str(path)]
    at = f"{server['url']}/{ask(settings, 'profile_list')[0]['slug']}/{''.join(here[:1])}"
    click.echo(at)
    if not no_browser:
        webbrowser.open(at)


@click.command()
@click.argument("name")
@click.option("--data", is_flag=True, help="With the rows of its apps.")
@HOME
@PROFILE
def share(name, data, settings, profile):
    """Print a plugin of yours as one file that `pipulate add` takes in elsewhere."""
    own = [row for row in ask(settings, "apps") if row["origin"] != "bundled"]
    rows = [row for row in own if name in (row["name"], Path(row["file"]).stem)]
    if not rows:
        raise Unknown(f"You have no plugin {name!r}.", nearest(name, [r["name"] for r in own]))
    path = Path(rows[0]["file"])
    package = {"pipulate": __version__, "name": path.stem, "source": path.read_text("utf-8")}
    package |= {"origin": rows[0]["origin"], "version": rows[0]["version"], "data": {}}
    for app in [row["name"] for row in own if row["file"] == str(path)] if data else ():
        chunks, asked = [], {"app": app, "form": "json", "raw": True, "where": ""}
        with contextlib.suppress(Unknown):  # it has no rows
            ask(settings, "export", asked, profile, write=chunks.append)
            package["data"][app] = json.loads(b"".join(chunks))
    click.echo(json.dumps(package, ensure_ascii=False, indent=1))


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@HOME
@PROFILE
def add(file, settings, profile):
    """Take in a shared plugin or a .py: it waits for your approval; run again, rows are added."""
    path = Path(file.name)
    try:
        plain = {"name": path.stem, "data": {}}
        package = plain | {"source": file.read()} if path.suffix == ".py" else json.load(file)
        name, text, data = (package[key] for key in ("name", "source", "data"))
        short = hashlib.sha256(text.encode()).hexdigest()[:12]
        columns = {app: {key for row in rows for key in row} for app, rows in data.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Problem(
            "That is no shared plugin.", "Make one with `pipulate share`, or name a .py."
        ) from None
    live = [r for r in ask(settings, "apps") if r["origin"] != "bundled" and r["hash"] == short]
    if not live:
        given = {"name": name, "source": text, "origin": f"from {path.name}"}
        found = ask(settings, "plugin_draft", given, profile)
        url = (Door(settings).server or {}).get("url", "")
        then = " Then run this again for its rows." if data else ""
        state = found["problems"][0] if found["problems"] else "It waits for your approval."
        raise Waiting(f"{name}: {state}", f"Open {url}{found['address']}.{then}")
    if other := data.keys() - {r["name"] for r in live}:
        what = f"It holds rows of {', '.join(sorted(other))}, which is no app of its own."
        raise Problem(what, "Nothing was added; add them yourself: pipulate import.")
    for app, rows in data.items():
        match = sorted(columns[app] - {"id"})  # what is there already is not added again
        with as_file("rows.json", [json.dumps(rows).encode()]) as path:
            given = {"app": app, "file": path, "match": match}
            report = ask(settings, "rows_import", given, profile, yes=True)
        click.echo(f"{app}: {so_many(report['add'], 'row')} added")
    if not data:
        click.echo(f"{name} is there.")


COMMANDS = (context, new, share, add)
