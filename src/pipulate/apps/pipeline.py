"""A pipeline at work: its tool, its list of runs, and the page of one run with steps as cards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fasthtml.components import A, Article, Button, Div, Form, H1, H2, Header, Li, Nav, NotStr, P
from fasthtml.components import Pre, Progress, Section, Small, Span, Ul, Details, Summary

from pipulate.apps.base import Go, Refusal, Route, Visit
from pipulate.apps.markup import draw, files_of, html, labelled, notice, owned, problem_card
from pipulate.apps.steps import Pipeline
from pipulate.core.fields import Field, check_values, from_json, make_field, to_json
from pipulate.core.problems import Invalid, Problem
from pipulate.core.runs import StepState
from pipulate.core.tools import Caller, Tool, limited

SAYS = {
    "blocked": "waits for earlier steps",
    "ready": "next",
    "running": "running",
    "done": "done",
    "stale": "stale: an earlier step changed",
    "failed": "failed",
    "interrupted": "interrupted",
    "cancelled": "cancelled",
}


class Guided:
    """What the shelf holds for a Pipeline."""

    def __init__(self, pipeline: Pipeline):
        self.pipeline = pipeline
        self.slug, self.title, self.description = pipeline.slug, pipeline.title, pipeline.description
        self.routes = [
            Route("GET", "", self.page),
            Route("POST", "", self.create),
            Route("GET", "{run}", self.show),
            Route("DELETE", "{run}", self.delete),
            Route("POST", "{run}/finish", self.finish),
            Route("POST", "{run}/reopen", self.reopen),
            Route("POST", "{run}/{step}", self.start),
            Route("POST", "{run}/{step}/cancel", self.cancel),
        ]

    def define(self, house) -> None:
        self.house = house

    # -- the engine's side -------------------------------------------------------------------

    def tools(self, house) -> list[Tool]:
        """hello_run: a new run (or `run`), on until it is done or an input is missing."""
        asked = [_optional(f) for f in self.pipeline.fields.values()]
        run = make_field("run", int | None, None)  # type: ignore[arg-type]
        steps = " → ".join(self.pipeline.steps)
        text = f"Run the pipeline {self.title}: {self.description} Steps: {steps}."
        return [Tool(f"{self.slug}_run", text, "write", (run, *asked), self.run_on)]

    async def run_on(self, caller: Caller, run: int | None = None, **given) -> dict[str, Any]:
        """Run step after step. Returns {run, state, output, waiting_for, address}."""
        known = {k: to_json(v) for k, v in given.items() if v is not None}
        if run is None:
            run = (await asyncio.to_thread(self._new, caller))["id"]
        result = {"run": run, "address": f"/{caller.profile.slug}/{self.slug}/{run}"}
        for name in self.pipeline.steps:
            missing = await self._advance(caller, run, name, known)
            if missing:
                return result | {"state": "waiting", "step": name, "waiting_for": missing}
            state = self._states(caller, run)[name]
            if state.state != "done":
                what = state.error.get("problem") or f"{name} was {state.state}."
                raise Problem(f"{name}: {what}", state.error.get("next_step", ""), **result)
        return result | {"state": "done", "output": to_json(state.output)}

    async def _advance(self, caller: Caller, run: int, name: str, known: dict) -> list[str]:
        """Run one step unless it is done with these values; returns what it still needs."""
        states, house = self._states(caller, run), self.house
        step = states[name].step
        if states[name].state == "done" and not known.keys() & {f.name for f in step.fields}:
            return []
        fields = await self.fields(states, name)
        stored = json.loads(self._run(caller.profile, run)["inputs"])
        values = from_json({**stored, **known})
        missing = [f.name for f in fields if f.required and values.get(f.name) is None]
        own = {f.name: values[f.name] for f in fields if values.get(f.name) is not None}
        checked = self._resolve(check_values(fields, own, partial=bool(missing)), caller)
        if missing:  # keep what was given, so that only the rest has to be said again
            await asyncio.to_thread(house.runs.keep, caller.profile.id, run, checked)
            return missing
        job = await house.jobs.start(caller, self.pipeline, run, name, checked)
        try:
            await house.jobs.wait(job)
        except asyncio.CancelledError:  # whoever waited has gone: Ctrl-C, Stop
            house.jobs.cancel(run, name)
            raise
        return []

    def _states(self, caller: Caller, run: int) -> dict[str, StepState]:
        return self.house.runs.states(self._run(caller.profile, run), self.pipeline)

    def _run(self, profile, run_id: int) -> dict[str, Any]:
        return self.house.runs.get(profile.id, run_id, self.slug)

    def _new(self, caller: Caller) -> dict[str, Any]:
        about = {"actor": caller.actor, "profile_id": caller.profile.id, "turn": caller.turn}
        with self.house.db.change(verb=f"{self.slug}_run", **about) as change:
            row = self.house.runs.create(caller.profile.id, self.slug)
            change.summary = f"Started run {row['id']} of {self.title}"
            change.images.clear()  # to take a run back is to delete it, outputs and all
            return row

    async def fields(self, states: Mapping[str, StepState], name: str) -> tuple[Field, ...]:
        """A step's fields, choices computed from the outputs there are."""
        step = self.pipeline.steps[name]
        outputs = {n: s.output for n, s in states.items() if n in step.uses}
        return await limited(step.bound, outputs) if step.fields else ()

    def _resolve(self, values: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Inputs as JSON, file references as checked paths."""
        files = {f.name for f in self.pipeline.fields.values() if f.kind.input == "file"}
        resolve = self.house.files.resolve
        return {
            k: to_json(resolve(v, caller) if k in files and v is not None else v)
            for k, v in values.items()
        }

    # -- the pages ---------------------------------------------------------------------------

    async def page(self, visit: Visit):
        """The runs of this pipeline, newest first."""
        runs = self.house.runs.listing(visit.caller.profile.id, self.slug)
        items = [self._run_item(visit, run) for run in runs]
        empty = "No runs yet. Start one: it is kept here and can be taken up again at any time."
        new = Form(Button("New run", autofocus=True), hx_post=visit.base)
        head = Header(Div(H1(self.title), P(self.description)), new, cls="head")
        listed = Ul(*items, cls="runs") if runs else P(empty, cls="hint")
        return Section(head, self._outline(), listed)

    def _outline(self):
        steps = [f"{s.name.replace('_', ' ')}" for s in self.pipeline.steps.values()]
        return P(Small(" → ".join(steps)), cls="outline")

    def _run_item(self, visit: Visit, run: dict[str, Any]):
        base = f"{visit.base}/{run['id']}"
        done = f"{run['done']} of {len(self.pipeline.steps)} steps"
        state = "done" if self.complete(run) and run["state"] == "open" else run["state"]
        erase = {"hx_delete": base, "hx_target": "closest li", "hx_swap": "outerHTML"}
        inputs = ", ".join(str(_shown(v))[:40] for v in json.loads(run["inputs"]).values())
        return Li(
            A(f"Run {run['id']}", href=base),
            Span(inputs, cls="inputs"),
            Span(f"{state} · {done} · {run['created_utc'][:16].replace('T', ' ')} UTC"),
            Button("✕", cls="link", aria_label=f"Delete run {run['id']}", **erase),
        )

    def complete(self, run: dict[str, Any]) -> bool:
        """Whether every step of a listed run has been done at least once."""
        return run["done"] >= len(self.pipeline.steps)

    async def create(self, visit: Visit):
        """A new run; its page opens."""
        row = await asyncio.to_thread(self._new, visit.caller)
        return Go(f"{visit.base}/{row['id']}")

    async def show(self, visit: Visit):
        """One run: its steps as cards."""
        return await self.draw_run(visit.caller.profile, _number(visit.path["run"]))

    async def draw_run(self, profile, run_id: int, bad=None, typed=None):
        """The whole run; `bad` is (step, Invalid) whose form comes back with `typed`."""
        run = self._run(profile, run_id)
        states = self.house.runs.states(run, self.pipeline)
        cards = [await self.card(profile, run, states, n, bad=bad, typed=typed) for n in states]
        base = f"/{profile.slug}/{self.slug}/{run_id}"
        left = any(s.state != "done" for s in states.values())
        verb, word = ("reopen", "Reopen") if run["locked_utc"] else ("finish", "Finish and lock")
        note = "Finished: steps cannot change until reopened." if run["locked_utc"] else ""
        lock = Button(word, hx_post=f"{base}/{verb}", cls="secondary", disabled=left and not note)
        head = Header(Div(H1(A(self.title, href=f"/{profile.slug}/{self.slug}"), f" · run {run_id}")), cls="head")
        foot = Nav(lock, Small(note), cls="pager")
        attrs = {"hx_ext": "morph", "hx_target": f"#run-{run_id}", "hx_swap": "morph:outerHTML"}
        return Section(head, *cards, foot, cls="run", id=f"run-{run_id}", **attrs)

    async def card(
        self, profile, run, states, name: str, bad=None, typed=None
    ):
        """One step: what it is, its state, its form, its output."""
        state, step = states[name], self.pipeline.steps[name]
        number = list(states).index(name) + 1
        head = Header(
            H2(f"{number}. {name.replace('_', ' ').capitalize()}"),
            Span(SAYS[state.state], cls="badge"),
        )
        parts: list[Any] = [head, P(step.description)]
        job = self.house.jobs.at_work(run["id"], name)
        if state.state == "running":
            parts.append(self._progress(profile, run, name, job))
        elif not run["locked_utc"] and state.state != "blocked":
            parts.append(await self._form(profile, run, states, name, bad, typed))
        if state.state in ("failed", "interrupted", "cancelled"):
            parts.append(self._trouble(state))
        if state.has_output:
            parts.append(await self._output(profile, state))
        return Article(*parts, id=f"step-{run['id']}-{name}", cls=f"step {state.state}")

    async def _form(self, profile, run, states, name: str, bad, typed):
        state = states[name]
        if any(states[up].state not in ("done", "stale") for up in state.step.uses):
            return ""
        try:
            fields = await self.fields(states, name)
        except Exception as error:
            return problem_card(error if isinstance(error, Problem) else Problem(repr(error)[:300]))
        wrong = bad[1].details.get("fields", {}) if bad and bad[0] == name else {}
        texts = typed if wrong else {}
        boxes = []
        for n, f in enumerate(fields):
            kept = _shown(state.inputs.get(f.name, f.default))
            shown = texts.get(f.name, kept if isinstance(kept, str) else f.show(_checked(f, kept)))
            focus = {"autofocus": True} if state.state == "ready" and not n else {}
            boxes.append(labelled(f, shown, wrong.get(f.name, ""), **focus))
        word = {"done": "Run again", "ready": "Run", "interrupted": "Resume"}.get(state.state, "Run again")
        focus = {"autofocus": True} if state.state == "ready" and not fields else {}
        late = state.state == "done"
        send = Button(word, type="submit", cls="secondary" if late else "", **focus)
        address = f"/{profile.slug}/{self.slug}/{run['id']}/{name}"
        return Form(*boxes, send, hx_post=address, novalidate=True)

    def _progress(self, profile, run, name: str, job):
        base = f"/{profile.slug}/{self.slug}/{run['id']}/{name}"
        stop = Button("Cancel", hx_post=f"{base}/cancel", cls="secondary")
        if job is None:
            return P("Another process is working on this step.")
        bar = Progress(value=job.share, max=1) if job.share is not None else Progress()
        left = job.seconds_left
        time = f" · about {left:.0f} s left" if left is not None and left > 1 else ""
        count = f"{job.done:,g} of {job.total:,g} · " if job.total else ""
        log = Details(Summary("Log"), Pre("\n".join(job.log))) if job.log else ""
        said = P(f"{count}{job.message}{time}", aria_live="polite")
        return Div(bar, said, log, stop, cls="progress", id=f"progress-{run['id']}-{name}")

    def live_progress(self, profile, job) -> str:
        """The progress of a job, out of band."""
        part = self._progress(profile, job.run, job.attempt["step"], job)
        return html(part(hx_swap_oob="morph"))

    @staticmethod
    def _trouble(state: StepState):
        error = state.error
        if not error.get("problem"):
            said = "The program ended while this step ran." if state.state == "interrupted" else ""
            return P(said or "You cancelled this step.", " Press the button to go on.")
        problem = Problem(error["problem"], error.get("next_step", ""))
        log = Details(Summary("Log"), Pre("\n".join(error["log"]))) if error.get("log") else ""
        return Div(problem_card(problem), log)

    async def _output(self, profile, state: StepState):
        address = self.house.files.address_maker(profile)
        output = state.output
        if state.step.draw is None:
            return Div(draw(output, address), cls="output")
        try:
            drawn = await limited(lambda: NotStr(html(owned((state.step.draw(output),)))))
        except Exception as error:
            what = f"The view of this step failed ({type(error).__name__}: {error})."[:500]
            drawn = Div(problem_card(Problem(what, "Mend it; the output is safe.")), draw(output, address))
        return Div(files_of(output, address), drawn, cls="output")

    # -- what a click does -------------------------------------------------------------------

    async def start(self, visit: Visit):
        """Check the form and begin the step; the answer shows it running."""
        run_id, name = _number(visit.path["run"]), visit.path["step"]
        caller = visit.caller
        run = self._run(caller.profile, run_id)
        self.house.runs.refuse_locked(run)
        if name not in self.pipeline.steps:
            raise Problem(f"There is no step {name!r} any more.", "Reload the page.")
        states = self.house.runs.states(run, self.pipeline)
        fields = await self.fields(states, name)
        try:
            known = {f.name for f in fields}
            typed = {k: v for k, v in visit.form.items() if k in known}
            values = self._resolve(check_values(fields, typed, text=True), caller)
        except Invalid as problem:
            drawn = await self.draw_run(caller.profile, run_id, (name, problem), visit.form)
            return Refusal(drawn)
        job = await self.house.jobs.start(caller, self.pipeline, run_id, name, values)
        drawn = await self.draw_run(caller.profile, run_id)
        if self.house.jobs.at_work(run_id, name) is not job:
            # It ended while this was drawn: its tabs may hear of that before they get this answer.
            drawn = await self.draw_run(caller.profile, run_id)
        return drawn

    async def cancel(self, visit: Visit):
        """Stop a step's process; the card changes when it is gone."""
        run_id, name = _number(visit.path["run"]), visit.path["step"]
        self._run(visit.caller.profile, run_id)  # raises Missing for a run of another profile
        job = self.house.jobs.at_work(run_id, name)
        self.house.jobs.cancel(run_id, name)
        if job:
            await self.house.jobs.wait(job)
        return await self.draw_run(visit.caller.profile, run_id)

    async def _locked(self, visit: Visit, locked: bool):
        run_id, word = _number(visit.path["run"]), "finish" if locked else "reopen"
        await visit.call(f"run_{word}", run=run_id)
        return await self.draw_run(visit.caller.profile, run_id)

    async def finish(self, visit: Visit):
        return await self._locked(visit, True)

    async def reopen(self, visit: Visit):
        return await self._locked(visit, False)

    async def delete(self, visit: Visit):
        await visit.call("run_delete", run=_number(visit.path["run"]))
        event = self.house.events.recent(visit.caller.profile.id, 1)[0]["id"]
        undo = f"/{visit.caller.profile.slug}/undo/{event}"
        return notice(f"Deleted run {visit.path['run']}.", undo)

    def live(self, house, profile, event: dict[str, Any]) -> str:
        """Runs are refreshed by their jobs; a list of runs needs nothing from the log."""
        return ""


def _optional(field: Field) -> Field:
    """For the tool: nothing is required, choices may still be unknown."""
    choices = None if callable(field.choices) else field.choices
    return replace(field, optional=True, default=None, choices=choices)


def _number(shown: str) -> int:
    return int(shown) if shown.isdecimal() and len(shown) < 19 else -1


def _shown(value):
    return value["$file"] if isinstance(value, dict) and "$file" in value else value


def _checked(field: Field, value):
    try:
        return field.kind.check(value) if value is not None else None
    except (ValueError, TypeError):
        return None
