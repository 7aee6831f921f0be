"""A pipeline at work: its tool, its list of runs, and the page of one run with steps as cards."""

import asyncio
import json
from functools import partial

from fasthtml.components import H1, H2, A, Article, Button, Details, Div, Form, Header, Li, Nav
from fasthtml.components import NotStr, P, Pre, Progress, Section, Small, Span, Summary, Ul

from pipulate.apps.base import Go, Refusal, Route, Visit
from pipulate.apps.markup import draw, files_of, html, labelled, notice, owned, problem_card
from pipulate.apps.runner import Runner
from pipulate.apps.steps import Pipeline
from pipulate.core.fields import Field, File, check_values, from_json
from pipulate.core.problems import Invalid, Problem
from pipulate.core.runs import UNDONE, StepState
from pipulate.core.store import Row
from pipulate.core.tools import limited

SAYS = {
    "blocked": "waits for earlier steps",
    "ready": "next",
    "stale": "stale: an earlier step changed",
}
BUTTONS = {"ready": "Run", "interrupted": "Resume"}
MORPH = {"hx_ext": "morph", "hx_swap": "morph:outerHTML"}


class Guided(Runner):
    """What the shelf holds for a Pipeline."""

    def __init__(self, pipeline: Pipeline):
        super().__init__(pipeline)
        self.routes = [
            Route("GET", "", self.page),
            Route("POST", "", self.create),
            Route("GET", "{run}", self.show),
            Route("DELETE", "{run}", self.delete),
            Route("POST", "{run}/finish", partial(self.lock, "finish")),
            Route("POST", "{run}/reopen", partial(self.lock, "reopen")),
            Route("POST", "{run}/{step}", self.start),
            Route("POST", "{run}/{step}/cancel", self.cancel),
        ]

    # -- the pages

    async def page(self, visit: Visit):
        """The runs of this pipeline, newest first."""
        runs = self.runs.listing(visit.caller.profile.id, self.slug)
        empty = "No runs yet. Start one: it is kept here and can be taken up again at any time."
        new = Form(Button("New run", autofocus=True), hx_post=visit.base)
        head = Header(Div(H1(self.title), P(self.description)), new, cls="head")
        outline = P(Small(_words(" → ".join(self.pipeline.steps))), cls="outline")
        items = [self._run_item(f"{visit.base}/{run['id']}", run) for run in runs]
        return Section(head, outline, Ul(*items, cls="runs") if runs else P(empty, cls="hint"))

    def _run_item(self, at: str, run: Row):
        name, made = f"run {run['id']}", run["created_utc"][:16].replace("T", " ")
        state = "done" if self.complete(run) and run["state"] == "open" else run["state"]
        done = f"{state} · {run['done']} of {len(self.pipeline.steps)} steps · {made} UTC"
        inputs = from_json(json.loads(run["inputs"])).values()
        inputs = ", ".join(str(getattr(v, "name", v))[:40] for v in inputs)
        erase = {"hx_delete": at, "hx_target": "closest li", "hx_swap": "outerHTML"}
        button = Button("✕", cls="link", aria_label=f"Delete {name}", **erase)
        return Li(A(name.capitalize(), href=at), Span(inputs, cls="inputs"), Span(done), button)

    def complete(self, run: Row) -> bool:
        """Whether every step of a listed run has been done at least once."""
        return run["done"] >= len(self.pipeline.steps)

    async def create(self, visit: Visit):
        row = await asyncio.to_thread(self.new, visit.caller, {})
        return Go(f"{visit.base}/{row['id']}")

    async def show(self, visit: Visit):
        return await self.draw_run(visit.caller.profile, visit.number("run"))

    async def draw_run(self, profile, run_id: int):
        run, states = self.open(profile, run_id)
        cards = [await self._card(profile, run, states, name) for name in states]
        verb, word, note = "finish", "Finish and lock", ""
        if run["locked_utc"]:
            verb, word, note = "reopen", "Reopen", "Finished: steps cannot change until reopened."
        early = not note and any(s.state != "done" for s in states.values())
        post = {"hx_post": self.at(profile, run_id, verb), "disabled": early}
        foot = Nav(Button(word, cls="secondary", **post), Small(note), cls="pager")
        title = H1(A(self.title, href=self.at(profile)), f" · run {run_id}")
        key, head = f"run-{run_id}", Header(Div(title), cls="head")
        return Section(head, *cards, foot, cls="run", id=key, hx_target=f"#{key}", **MORPH)

    async def _card(self, profile, run: Row, states, name: str, *refused: Row):
        state, at = states[name], self.at(profile, run["id"], name)
        title = H2(f"{[*states].index(name) + 1}. {_words(name).capitalize()}")
        badge = Span(SAYS.get(state.state, state.state), cls="badge")
        parts = [Header(title, badge), P(state.step.description)]
        if state.at_work:
            parts.append(_progress(at, self.jobs.live.get((run["id"], name))))
        elif not run["locked_utc"] and all(states[up].has_output for up in state.step.uses):
            parts.append(await self._form(at, states, name, *refused or ({}, {})))
        if state.state in UNDONE:
            parts.append(_trouble(state))
        if state.has_output:
            parts.append(await self._output(profile, state))
        return Article(*parts, id=f"step-{run['id']}-{name}", cls=f"step {state.state}")

    async def _form(self, at: str, states, name: str, wrong: Row, typed: Row):
        try:
            fields = await self.fields(states, name)
        except Exception as error:
            return problem_card(error if isinstance(error, Problem) else Problem(repr(error)[:300]))
        boxes, state = [], states[name]
        for f in fields:
            shown = typed.get(f.name, _shown(f, state.inputs.get(f.name, f.default)))
            first = {"autofocus": state.state == "ready" and not boxes}
            boxes.append(labelled(f, shown, wrong.get(f.name, ""), **first))
        first = {"autofocus": state.state == "ready" and not boxes}
        look = "secondary" if state.state == "done" else None
        send = Button(BUTTONS.get(state.state, "Run again"), cls=look, **first)
        return Form(*boxes, send, hx_post=at, novalidate=True)

    def live_progress(self, profile, job) -> str:
        at = self.at(profile, job.run["id"], job.attempt["step"])
        return html(_progress(at, job)(hx_swap_oob="morph"))

    async def _output(self, profile, state: StepState):
        output, address = state.output, partial(self.house.files.address, profile)
        if state.step.draw is None:
            return Div(draw(output, address), cls="output")
        try:
            drawn = await limited(lambda: NotStr(html(owned((state.step.draw(output),)))))
        except Exception as error:
            what = f"The view of this step failed ({type(error).__name__}: {error})."[:500]
            fault = problem_card(Problem(what, "Mend it; the output is safe."))
            drawn = Div(fault, draw(output, address))
        return Div(files_of(output, address), drawn, cls="output")

    # -- what a click does

    async def start(self, visit: Visit):
        """Check the form and begin the step; the answer shows it running."""
        caller, run_id, name = visit.caller, visit.number("run"), visit.path["step"]
        run, states = self.open(caller.profile, run_id)
        if name not in states:
            raise Problem(f"There is no step {name!r} any more.", "Reload the page.")
        fields = await self.fields(states, name)
        typed = {f.name: visit.form[f.name] for f in fields if f.name in visit.form}
        try:
            values = self._resolve(check_values(fields, typed, text=True), caller)
        except Invalid as problem:
            shown = (caller.profile, run, states, name, problem.details["fields"], typed)
            return Refusal(await self._card(*shown), target=f"#step-{run_id}-{name}")
        job = await self.begin(caller, run_id, name, values)
        drawn = await self.show(visit)
        if job.task.done():  # meanwhile: its tabs may hear of that before they get this answer
            drawn = await self.show(visit)
        return drawn

    async def cancel(self, visit: Visit):
        """Stop a step's process; the card changes when it is gone."""
        run_id = visit.number("run")
        self.open(visit.caller.profile, run_id)
        if job := self.jobs.cancel(run_id, visit.path["step"]):
            await self.jobs.wait(job)
        return await self.show(visit)

    async def lock(self, verb: str, visit: Visit):
        await visit.call(f"run_{verb}", run=visit.number("run"))
        return await self.show(visit)

    async def delete(self, visit: Visit):
        await visit.call("run_delete", run=visit.number("run"))
        return notice(f"Deleted run {visit.path['run']}.", visit.undo)


def _progress(at: str, job):
    if job is None:
        return P("Another process is working on this step.")
    left = f" · about {job.seconds_left:.0f} s left" if job.seconds_left > 1 else ""
    count = f"{job.done:,g} of {job.total:,g} · " if job.total else ""
    return Div(
        Progress() if job.share is None else Progress(value=job.share, max=1),
        P(f"{count}{job.message}{left}", aria_live="polite"),
        _log(job.log),
        Button("Cancel", hx_post=f"{at}/cancel", cls="secondary"),
        cls="progress",
        id=f"progress-{job.run['id']}-{job.attempt['step']}",
    )


def _trouble(state: StepState):
    error = state.error
    if error.get("problem"):
        problem = Problem(error["problem"], error["next_step"])
        return Div(problem_card(problem), _log(error.get("log")))
    ended = state.state == "interrupted"
    said = "The program ended while this step ran." if ended else "You cancelled this step."
    return P(said, " Press the button to go on.")


def _log(lines):
    return Details(Summary("Log"), Pre("\n".join(lines))) if lines else ""


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(field: Field, value) -> str:
    """An input, as kept or by default, as text for its box."""
    value = from_json(value)
    try:
        return str(value.path) if isinstance(value, File) else field.show(field.kind.check(value))
    except (ValueError, TypeError):
        return ""
