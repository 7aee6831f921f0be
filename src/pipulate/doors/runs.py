"""The commands around runs: run a pipeline, list runs, one step as a filter, a notebook."""

import asyncio
import contextlib
import os
import sys
from datetime import datetime

from click import Abort, argument, command, echo, option, prompt

from pipulate.ai.slash import read_words
from pipulate.apps.local import Bar, plain
from pipulate.core.fields import from_json
from pipulate.core.problems import Invalid, Unknown, Waiting
from pipulate.core.store import Row, now
from pipulate.doors.door import HOME, JSON, LINES, PROFILE, WORDS, YES, Door, ask, opened, show

LOOK = 0.1  # seconds between two looks at how far a run is


@command()
@argument("pipeline")
@WORDS
@option("--to", metavar="STEP", help="No further than this step.")
@option("--from", "like", type=int, metavar="RUN", help="A new run with that one's inputs.")
@option("--follow", is_flag=True, help="Show progress, as a terminal is shown anyway.")
@LINES
@JSON
@HOME
@PROFILE
@YES
def run(pipeline, words, to, like, follow, as_lines, as_json, settings, profile, yes):
    """Run a pipeline on until an input is missing; prints the last output."""
    typed, values = read_words(words, files=True)
    further = {"to_step": to} if to else {}
    values |= further | ({"from_run": like} if like else {})
    bar, began = Bar(sys.stderr, follow), now()
    with opened(settings, profile) as (door, wait):
        try:
            door.said["yes"] = yes or "once"  # of the run; what its steps call is asked about
            while "question" in (result := wait(followed(door, bar, pipeline, values, typed))):
                _answer(door, wait, pipeline, result)
                door.said["answered"] = result["step"]
                values, typed = {"run": result["run"], **further}, {}
        except (KeyboardInterrupt, Abort):
            number = wait(_number(door, pipeline, typed | values, began))
            again = f"Run {number} keeps what its steps have done. {_again(pipeline, number)}"
            echo(f"\nStopped. {again if number else ''}", err=True)
            raise
    if result["state"] == "waiting":
        needs, number = result["waiting_for"], result["run"]
        hint = "".join(f" {name}=…" for name in needs)
        what = f"Run {number} waits for {', '.join(needs)}."
        raise Waiting(what, _again(pipeline, number) + hint)
    show(from_json(result["output"]), as_json, as_lines)


def _again(pipeline: str, run: int) -> str:
    return f"Go on with: pipulate run {pipeline} run={run}"


async def _number(door: Door, pipeline: str, given: Row, began: str) -> int | None:
    if run := given.get("run"):
        return int(run)
    listed = await door.ask("run_list", {"pipeline": pipeline})
    return next((row["id"] for row in listed if row["created_utc"] >= began), None)


async def followed(
    door: Door, bar, pipeline: str, values: Row, typed: dict[str, str] | None = None
):
    """What PIPELINE_run gives; meanwhile a bar shows how far its steps are."""
    run, about = None, (door, pipeline, (typed or {}) | values, now())

    async def look():
        nonlocal run
        run = run or await _number(*about)
        for step in (await door.ask("run_get", {"run": run}))["steps"] if run else ():
            if step["state"] == "running":
                bar.show(step["step"], *step["progress"] or ())
            elif step["step"] == bar.step:
                bar.end(step["state"])

    async def watch():
        with contextlib.suppress(Exception):  # what is wrong is told by the call itself
            while True:
                await asyncio.sleep(LOOK)
                await look()

    watching = asyncio.create_task(watch()) if bar.shown else None
    try:
        result = await door.ask(f"{pipeline}_run", values, text=typed)
        if bar.step:
            await look()
        if note := result.get("note"):
            echo(plain(note), err=True)
        return result
    except Unknown as unknown:
        if f"{pipeline}_run" not in unknown.what:
            raise
        raise Unknown(f"There is no pipeline {pipeline!r}.", "See `pipulate apps`.") from unknown
    finally:
        if watching:
            watching.cancel()
        bar.end()


def _answer(door: Door, wait, pipeline: str, result: Row):
    about, question = {k: result[k] for k in ("run", "step", "question")}, plain(result["question"])
    if choices := result["choices"]:
        question += plain(f" ({', '.join(map(str, choices))})")
    if not sys.stdin.isatty():
        run = result["run"]
        then = f"Answer: pipulate call run_answer run={run} answer=…, then: pipulate run {pipeline}"
        raise Waiting(f"Run {run} asks: {question}", f"{then} run={run}")
    while True:
        said = prompt(question, "", result.get("type") == "Secret", show_default=False, err=True)
        try:
            return wait(door.ask("run_answer", about, text={"answer": said}))
        except Invalid as wrong:
            echo(wrong, err=True)


@command()
@argument("number", metavar="[RUN]", type=int, required=False)
@JSON
@PROFILE
@HOME
def runs(number, settings, profile, as_json):
    """List the runs of a profile; with a number, the steps of that RUN."""
    tool, values = ("run_get", {"run": number}) if number else ("run_list", {})
    found = ask(settings, tool, values, profile)
    if as_json:
        return show(found, True)
    for row in found["steps"] if number else found:
        if number:
            line, said = "{step:16} {state:9} {0}", [row["question"] or row["error"] or ""]
        else:
            line = "{id:6} {pipeline:16} {state:9} {done:2} done  {0:%Y-%m-%d %H:%M} {1}"
            when = datetime.fromisoformat(row["created_utc"]).astimezone()
            said = when, row["name"] or row["inputs"]
        echo(plain(line.format(*said, **row)).rstrip())


@command()
@argument("name", metavar="PIPELINE.STEP")
@WORDS
@LINES
@HOME
def step(name, words, as_lines, settings):
    """A filter: JSON object of outputs and inputs on stdin, the step's output on stdout.

    They may also be given as key=value. With --jsonl rows come in and go out, a line each."""
    from pipulate.doors.filter import filtered

    reads = sys.stdin and ("-" in words or not sys.stdin.isatty())
    source, out = sys.stdin if reads else None, sys.stdout
    # what it or a program it starts prints is no part of its output
    if out is sys.__stdout__:
        out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
    with (
        contextlib.redirect_stdout(sys.stderr),
        filtered(settings, name, words, source, as_lines) as output,
    ):
        show(output, True, as_lines, out)


@command()
@argument("pipeline")
@option("--run", "number", type=int, metavar="RUN", help="With that run's inputs, outputs.")
@HOME
@PROFILE
def notebook(pipeline, number, settings, profile):
    """Print a pipeline as a Jupyter notebook that runs by itself."""
    from pipulate.doors.filter import find
    from pipulate.doors.notebook import notebook_of

    steps = {}
    for row in ask(settings, "run_get", {"run": number}, profile)["steps"] if number else ():
        about = {"run": number, "step": row["step"]}
        steps[row["step"]] = row | {"output": ask(settings, "run_output", about, profile)}
    show(notebook_of(find(settings, pipeline), steps), False)


COMMANDS = (run, runs, step, notebook)
