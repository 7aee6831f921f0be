"""The commands for who writes plugins: what to read first, a new file, one shared or taken in."""

import re
import time
import webbrowser
from pathlib import Path

from click import Choice, argument, command, echo, option

from pipulate.apps.base import snake, so_many
from pipulate.core import source
from pipulate.core.problems import Unknown, Waiting, nearest, require
from pipulate.doors.door import HOME, PROFILE, Door, as_file, ask, show

CONTRACT = "plugins/contract.md"
DEFINES = re.compile(r"class (\w+)\(CrudApp|Pipeline\(\s*.([^\"']+)")
TOUCHES = re.compile(
    r"(?:Ref\[|tables\().(\w+)|tool\(\s*.(\w+)_|pipulate\.\w+(?:\.(\w+)| import (.+))"
)


@command()
@option("--for", "about", type=Choice(["plugin", "app", "all"]), default="plugin")
@argument("name", default="")
@HOME
def context(about, name, settings):
    """Print what a reader needs, in reading order: for plugin, for app NAME, for all.

    Each file is headed by its name and its tokens; the sum goes to standard error."""
    texts = {n: p.read_text("utf-8") for n, p in source.files(settings.folder("apps")).items()}
    chosen = {CONTRACT: texts.pop(CONTRACT)}
    if about != "plugin":
        chosen |= texts if about == "all" else _touched(name, texts)
    for file, text in chosen.items():
        echo(f"=====[ {file} · {source.tokens(text):,} tokens ]=====\n{text}")
    total = sum(map(source.tokens, chosen.values()))
    echo(f"{len(chosen)} files, about {total:,} tokens", err=True)


def _touched(name: str, texts: dict[str, str]) -> dict[str, str]:
    plugins = {n: t for n, t in texts.items() if n.startswith(("plugins/", "botify/", "home/"))}
    words = {n: _found(DEFINES, text) | {_bare(Path(n).stem)} for n, text in plugins.items()}
    asked = {_bare(name), _bare(name).removesuffix("s")}
    if not (first := [n for n, known in words.items() if asked & known]):
        raise Unknown(f"There is no plugin {name!r}.", nearest(name, set().union(*words.values())))
    used = _found(TOUCHES, plugins[first[-1]])
    return {n: plugins[n] for n in (first[-1], *(n for n in plugins if used & words[n]))}


def _found(pattern: re.Pattern[str], text: str) -> set[str]:
    found = ",".join(map(",".join, pattern.findall(text)))
    return {*map(_bare, found.split(","))} - {""}


def _bare(name: str) -> str:
    """WineBottle, wine_bottle or "Wine bottle" → winebottle."""
    return re.sub(r"[\W_]", "", name).lower()


@command()
@argument("kind", type=Choice(["app", "pipeline"]))
@argument("name")
@argument("parts", nargs=-1)
@option("--no-browser", is_flag=True, help="Only print where it is.")
@HOME
def new(kind, name, parts, no_browser, settings):
    """Write a small, tested plugin file: fields (title:str rating:int=0), or names of steps."""
    name = snake(name) if re.fullmatch(r"[A-Za-z0-9_]+", name) else name
    given = {"name": name, "kind": kind, "parts": "\n".join(parts)}
    text, path = ask(settings, "plugin_scaffold", given), settings.folder("apps") / f"{name}.py"
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    echo(path)
    if not (server := Door(settings).server):
        return echo("It is in the menu when you start `pipulate`.")
    for _ in range(200):
        time.sleep(0.05)
        if here := [row["name"] for row in ask(settings, "apps") if row["file"] == str(path)]:
            break
    at = f"{server['url']}/{ask(settings, 'profile_list')[0]['slug']}/{''.join(here[:1])}"
    echo(at)
    if not no_browser:
        webbrowser.open(at)


@command()
@argument("name")
@option("--data", is_flag=True, help="With the rows of its apps.")
@HOME
@PROFILE
def share(name, data, settings, profile):
    """Print a plugin of yours as one file that `pipulate add` takes in elsewhere."""
    own = [row for row in ask(settings, "apps") if row["origin"] != "bundled"]
    known = {key for row in own for key in (row["name"], Path(row["file"]).stem)}
    require(name, known, f"You have no plugin {name!r}.")
    show(ask(settings, "plugin_share", {"name": name, "data": data}, profile), False)


@command()
@argument("file")
@HOME
@PROFILE
def add(file, settings, profile):
    """Take in a shared plugin or a .py: it waits for your approval; run again, rows are added."""
    with as_file(file, "plugin.json") as path:
        found = ask(settings, "plugin_take", {"file": path}, profile, yes=True)
    if "problems" in found:
        url = (Door(settings).server or {}).get("url", "")
        then = " Then run this again for its rows." if found["rows"] else ""
        state, *_ = *found["problems"], "It waits for your approval."
        raise Waiting(f"{found['name']}: {state}", f"Open {url}{found['address']}.{then}")
    for app, count in found["added"].items():
        echo(f"{app}: {so_many(count, 'row')} added")
    if not found["added"]:
        echo(f"{found['name']} is there.")


COMMANDS = (context, new, share, add)
