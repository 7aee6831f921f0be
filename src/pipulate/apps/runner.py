"""A pipeline at work: its tool, which steps may run, and going on by itself. No pages here."""

import asyncio
import contextlib
from json import loads
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from pipulate.apps.steps import OWN, Pipeline
from pipulate.core.fields import Field, check_values, digest, dumps, foreign, from_json, make_field
from pipulate.core.fields import to_json
from pipulate.core.jobs import Job
from pipulate.core.outputs import loaded
from pipulate.core.problems import Conflict, Invalid, Missing, Problem, Waiting, require
from pipulate.core.runs import PAST, UNDONE, StepState
from pipulate.core.store import Row
from pipulate.core.tools import Caller, Tool, limited

States = dict[str, StepState]
# The run that a step has begun with these inputs.
BEGUN = """SELECT r.id, (SELECT resumes FROM attempts WHERE run_id = ? AND step = ?
    ORDER BY id DESC) AS resumes
    FROM runs r JOIN records k ON run_id = r.id AND kind = 'steps'
    WHERE profile_id = ? AND parent = ? AND pipeline = ? AND k.name = ?
    AND locked_utc IS NULL AND deleted_utc IS NULL ORDER BY r.id DESC"""


class Outputs(dict[str, Any]):
    """Outputs of steps by name, each read when it is asked for: one may be large."""

    def __init__(self, states: States):
        self.states = states

    def __missing__(self, name: str) -> Any:
        return self.setdefault(name, loaded(self.states[name].output))


class Runner:
    """What the shelf holds for a Pipeline, as the engine sees it."""

    def __init__(self, pipeline: Pipeline):
        if not pipeline.steps:
            raise Problem(f"{pipeline.title} has no step.", "Write a function under @….step.")
        self.pipeline, self.slug = pipeline, pipeline.slug
        self.title, self.description = pipeline.title, pipeline.description

    def define(self, house) -> None:
        self.house, self.runs, self.jobs = house, house.runs, house.jobs

    def tools(self) -> list[Tool]:
        """hello_run: a new run (or `run`), on until it is done or an input is missing."""
        steps = self.pipeline.steps
        asked = [(s.name, f) for s in steps.values() for f in s.fields]
        often = Counter(f.name for _, f in asked)
        own = (replace(f, name=f"{s}.{f.name}") for s, f in asked if often[f.name] > 1)
        fields = [*self.pipeline.fields.values(), *own]
        # the words of OWN are told by run_get
        text = f"Run the pipeline {self.title}: {self.description} Steps: {' → '.join(steps)}."
        every = (*(make_field(word, *about) for word, about in OWN.items()), *map(_open, fields))
        kind = "outside" if self.pipeline.outside else "write"
        return [Tool(f"{self.slug}_run", text, kind, every, self.run_on)]

    async def run_on(self, caller, run=None, from_run=None, to_step="", again=False, **given):
        """Run step after step. Returns {run, address, state, step} and output, waiting_for (names

        of inputs) or question, choices, type."""
        if to_step:
            require(to_step, self.pipeline.steps, f"{self.slug} has no step {to_step!r}.")
        known = self._resolve({k: v for k, v in given.items() if v is not None}, caller)
        if run is None and from_run:
            like = self.runs.get(caller.profile.id, from_run, self.slug)
            known = loads(like["inputs"]) | known
        if run is None and caller.parent:
            about = *caller.parent.split("/"), caller.profile.id, caller.parent, self.slug
            if begun := self.house.db.one(BEGUN, (*about, digest(dumps(known)))):
                run, again, known = begun["id"], not begun["resumes"], {}
        if run is None:
            run = (await self.fresh(caller, known))["id"]
        elif known:  # kept, so that only what is missing has to be said later
            await asyncio.to_thread(self.runs.keep, caller.profile.id, run, known, self.slug)
        result = {"run": run, "address": self.at(caller.profile, run)}
        if broken := [p.problem for p in self.house.shelf.failures if self in p.apps]:
            result["note"] = f"{broken[0].what} What runs is the last version that worked."
        for name in self.pipeline.steps:
            state, waits = await self._do(caller, result, name, known, again)
            if waits:
                return result | {"state": "waiting", "step": name} | waits
            if state.state not in PAST:
                what = state.error.get("problem") or f"{name} was {state.state}."
                raise Problem(f"{name}: {what}", state.error.get("next_step", ""), **result)
            if name == to_step:
                break
        return result | {"state": "done", "step": name, "output": state.kept}

    async def _do(self, caller: Caller, result: Row, name: str, known: Row, again: bool):
        """(a step's state, what it waits for): run if it is not past, or was told anew."""
        _, states = self.open(caller.profile, run_id := result["run"])
        state, step = states[name], states[name].step
        told = known.keys() & {key for f in step.fields for key in (f.name, f"{name}.{f.name}")}
        if state.state in PAST and not told and not (again and state.state == "done"):
            return state, {}
        if (asks := _asks(state)) or (state.state in UNDONE and caller.answered == name):
            return state, asks
        if not await self.meant(states, name):
            return await self._left_out(caller, run_id, name)
        try:
            inputs, missing = await self._inputs(caller, states, name)
        except Invalid as wrong:
            then = f"Run {run_id} was begun and keeps it: go on there with another one."
            raise Invalid(wrong.what, then, **wrong.details, **result) from None
        if missing and step.optional:
            return await self._left_out(caller, run_id, name)
        if missing:
            return state, {"waiting_for": missing}
        # a file given in its stead (before_file for before) counts
        free = [f for f in step.fields if f.computed and not state.inputs.get(f"{f.name}_file")]
        if took := [f"{f.name}={inputs[f.name]}" for f in free if f.name not in state.inputs]:
            result["note"] = f"{result.get('note', '')} {name} took {', '.join(took)}.".lstrip()
        joined = None if told else self.jobs.live.get((run_id, name))  # answered a moment ago
        about = caller, self.pipeline, run_id, name, inputs
        try:
            wait = self.jobs.wait if caller.patient else self.jobs.wait_or_ask
            await wait(joined or await self.jobs.start(*about, seen=state.tries))
        except Conflict:  # somebody else began it meanwhile: once is enough
            joined = True
        except asyncio.CancelledError:  # Ctrl-C, Stop: whoever waits and goes, stops it
            self.jobs.cancel(run_id, name)
            raise
        state = self.open(caller.profile, run_id)[1][name]
        no = state.error.get("kind") == "confirm"  # said before
        if joined and (no or state.state not in UNDONE):
            return await self._do(caller, result, name, {}, False)
        return state, _asks(state)

    async def _left_out(self, caller: Caller, run_id: int, name: str):
        await asyncio.to_thread(self.skip, caller, run_id, name)
        return self.open(caller.profile, run_id)[1][name], {}

    async def _inputs(self, caller: Caller, states: States, name: str):
        fields, kept = await self.fields(states, name), from_json(states[name].inputs)
        values = {n: v for n, v in kept.items() if v is not None}
        missing = [f.name for f in fields if f.required and f.name not in values]
        known = check_values([f for f in fields if f.name not in missing], values)
        return known if missing else self._resolve(known, caller), missing

    def open(self, profile, run_id: int, step: str = "") -> tuple[Row, States]:
        """A run of this profile and its steps. Raises Missing, also without this `step`."""
        if step:
            what = f"{self.title} has no step {step!r} (any more)."
            require(step, self.pipeline.steps, what, Missing)
        run = self.runs.get(profile.id, run_id, self.slug)
        self.jobs.sweep()
        return run, self.runs.states(run, self.pipeline)

    def at(self, profile, *path) -> str:
        return "/".join(map(str, ["", profile.slug, self.slug, *path]))

    async def fresh(self, caller: Caller, inputs: Row) -> Row:
        """As `new`. Raises Problem when what the pipeline needs is missing."""
        for need in self.pipeline.needs & self.house.needs.keys():
            await self.house.needs[need](caller)
        return await asyncio.to_thread(self.new, caller, inputs)

    def new(self, caller: Caller, inputs: Row, name: str = "") -> Row:
        """A new run."""
        with self.house.db.change(verb=f"{self.slug}_run", **caller.by) as change:
            about = {"parent": caller.parent, "name": name}
            row = self.runs.create(caller.profile.id, self.slug, inputs, **about)
            attempt = {"run_id": row["id"], "step": "", "key": ""}
            about, given = {"steps": [*self.pipeline.steps]}, digest(dumps(inputs))
            self.runs.record(attempt, "steps", given, "done", about)
            change.summary = f"Started run {row['id']} of {self.title}"
            return row

    def skip(self, caller: Caller, run_id: int, name: str) -> None:
        self.open(caller.profile, run_id, name)
        self.runs.skip(caller.profile.id, run_id, self.pipeline, name, caller.actor)

    async def fields(self, states: States, name: str) -> tuple[Field, ...]:
        step = states[name].step
        return await limited(step.bound, Outputs(states)) if step.fields else ()

    async def meant(self, states: States, name: str) -> bool:
        step = states[name].step
        return not step.when or await limited(step.meant, Outputs(states))

    def _resolve(self, values: Row, caller: Caller) -> Row:
        for name, value in values.items():
            field = self.pipeline.fields[name.split(".")[-1]]
            values[name] = self.house.meant(field, value, caller)
        return to_json(foreign(values))

    # -- going on by itself

    async def begin(
        self, caller: Caller, run_id: int, name: str, inputs: Row, fresh: bool = False, seen=None
    ) -> Job:
        """Start a step (inputs as JSON) and what runs by itself after it."""
        job = await self.jobs.start(caller, self.pipeline, run_id, name, inputs, fresh, seen)
        self.follow(self.after(caller, job))
        return job

    async def after(self, caller: Caller, job: Job) -> None:
        """What runs by itself once a step has ended."""
        await self.jobs.wait(job)
        await self.advance(caller, job.run["id"])

    def follow(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Work that nobody waits for; the step's card tells of its Problem."""

        async def followed():
            with contextlib.suppress(Problem):
                return await work

        self.jobs.following.add(task := asyncio.create_task(followed()))
        task.add_done_callback(self.jobs.following.discard)
        return task

    async def advance(self, caller: Caller, run_id: int) -> None:
        """Skip the steps whose condition says so, start those that run by themselves."""
        _, states = self.open(caller.profile, run_id)
        for name, state in states.items():
            if state.state not in ("ready", "stale") or state.late:
                continue
            if not await self.meant(states, name):
                await self._left_out(caller, run_id, name)
                return await self.advance(caller, run_id)
            if not state.step.auto:
                continue
            inputs, missing = await self._inputs(caller, states, name)
            if not missing:
                await self.begin(caller, run_id, name, inputs, seen=state.tries)

    async def resume(self, caller: Caller, run_id: int, name: str, fresh: bool = False) -> Job:
        """Run a step with the inputs it has. Raises Waiting."""
        _, states = self.open(caller.profile, run_id, name)
        inputs, missing = await self._inputs(caller, states, name)
        if missing:
            raise Waiting(f"{name} needs {', '.join(missing)}.", "Give it, then run the step.")
        return await self.begin(caller, run_id, name, inputs, fresh, states[name].tries)


def _asks(state: StepState) -> Row:
    asked = state.question
    return asked and {"question": asked["name"], **loads(asked["about"])}


def _open(field: Field) -> Field:
    choices = field.choices if isinstance(field.choices, tuple) else None
    return replace(field, optional=True, default=None, choices=choices)
