"""The commands of the Botify edition; a home in which one of them was used has its apps."""

import sys
from dataclasses import replace

import click

from pipulate.core.problems import Problem, Unknown
from pipulate.doors.door import HOME, JSON, opened, show
from pipulate.doors.runs import followed

EDITION = "pipulate.botify.apps"
PROFILE = "Botify demo"


@click.group()
def botify():
    """Connect with Botify, or take the tour without an account."""


def _edition(settings):
    return opened(replace(settings, edition=EDITION), None)


def _known(wait, door, tool: str, values=None):
    try:
        return wait(door.ask(tool, values))
    except Unknown:
        then = "Stop the server, run this command again, then start it."
        raise Problem("The running server knows no Botify.", then) from None


@botify.command()
@HOME
@JSON
def token(settings, as_json):
    """Read an API token from standard input, check it and keep it."""
    if sys.stdin.isatty():
        given = click.prompt("API token", hide_input=True, err=True)
    else:
        given = sys.stdin.readline()
    with _edition(settings) as (door, wait):
        kept = _known(wait, door, "botify_connect", {"token": given.strip()})
    show(kept if as_json else f"Welcome, {kept['user']}. The token is {kept['token']}.", as_json)


@botify.command()
@HOME
@JSON
def demo(settings, as_json):
    """Walk through the link graph of a made-up site: demo data, in a profile of its own."""
    from pipulate.apps.local import Bar

    with _edition(settings) as (door, wait):
        slugs = {p["name"]: p["slug"] for p in wait(door.ask("profile_list"))}
        slug = slugs.get(PROFILE) or wait(door.ask("profile_add", {"name": PROFILE}))["slug"]
        door.said |= {"profile": slug, "yes": True}
        click.echo(_known(wait, door, "botify_demo")["note"], err=True)
        asked = {"credits": 1_000_000}  # of the stand-in: nothing is spent
        done = wait(followed(door, Bar(sys.stderr), "link_graph", asked))
        report = {"data": "demo", "run": done["run"], "address": done["address"]}
        for step in ("depths", "load"):
            report[step] = wait(door.ask("run_output", {"run": done["run"], "step": step}))
        report["measured"] = done["output"]
    if as_json:
        return show(report, True)
    for row in report["depths"]["table"]:
        click.echo("depth {depth:2}  {links:6,} links  {total:6,} in all  {note}".format(**row))
    counts = {**report["load"], **report["measured"]}.items()
    click.echo(" · ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in counts if type(v) is int))
    click.echo(f"Look at it: {report['address']}, when Pipulate is started (demo data).")
