"""The commands for who writes plugins: what to read first."""

import re
from pathlib import Path

import click

from pipulate.apps.base import snake
from pipulate.core import source
from pipulate.core.problems import Unknown, nearest
from pipulate.doors.options import HOME

CONTRACT = "plugins/contract.md"
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
    names = [CONTRACT]
    if about == "app":
        names += _touched(name or "", texts)
    elif about == "all":
        names += [n for n in texts if n != CONTRACT]
    for one in names:
        click.echo(f"=====[ {one} · {source.tokens(texts[one]):,} tokens ]=====\n{texts[one]}")
    total = sum(source.tokens(texts[one]) for one in names)
    click.echo(f"{len(names)} files, about {total:,} tokens", err=True)


def _touched(name: str, texts: dict[str, str]) -> list[str]:
    """The plugin file of that name, or that defines it; then those it uses."""
    folders = ("plugins/", "botify/", "home/")
    plugins = {n: text for n, text in texts.items() if n.startswith(folders) and n != CONTRACT}
    words = {n: _found(DEFINES, text) | {snake(Path(n).stem)} for n, text in plugins.items()}
    first = [n for n, known in words.items() if name in known or name.removesuffix("s") in known]
    if not first:
        raise Unknown(f"There is no plugin {name!r}.", nearest(name, set().union(*words.values())))
    used = _found(TOUCHES, plugins[first[-1]])
    return [first[-1], *(n for n in plugins if n != first[-1] and used & words[n])]


def _found(pattern: re.Pattern[str], text: str) -> set[str]:
    """What a pattern finds, named as tools are."""
    return {snake(part) for found in pattern.findall(text) for part in found if part}


COMMANDS = (context,)
