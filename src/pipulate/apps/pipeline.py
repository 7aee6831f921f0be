"""A pipeline on the page: its runs, one run with its steps as cards, and what a click does."""

import asyncio
import json
from dataclasses import replace
from urllib.parse import urlencode

from fasthtml.components import H1, H2, A, Article, Button, Div, Form, Header, Input, Li, Nav
from fasthtml.components import P, Section, Small, Span, Ul

from pipulate.apps.base import Go, Refusal, Route, Visit
from pipulate.apps.card import brief, heading, kept_log, local, press, progress, question_form
from pipulate.apps.card import step_form, title, trouble, words
from pipulate.apps.feeds import Feeds
from pipulate.apps.listing import TURN, offered
from pipulate.apps.markup import notice, problem_card
from pipulate.apps.query import number
from pipulate.apps.runner import States
from pipulate.apps.steps import Pipeline
from pipulate.core.fields import File, check_values, from_json
from pipulate.core.problems import Invalid, Problem, short
from pipulate.core.runs import PAST, UNDONE, StepState
from pipulate.core.store import Row

LISTED = 50
EMPTY = "No runs yet. Start one: it is kept here and can be taken up again at any time."
SURE = "Run every step again, with the inputs there are?"


class Guided(Feeds):
    """What the shelf holds for a Pipeline."""

    def __init__(self, pipeline: Pipeline):
        super().__init__(pipeline)
        self.routes += [
            Route("GET", "", self.page),
            Route("POST", "", self.create),
            Route("GET", "options/{field}", lambda visit: offered(visit, self.pipeline.fields)),
            Route("GET", "{run}", self.show),
            Route("POST", "{run}/-/again", self.run_all),
            Route("POST", "{run}/-/{verb}", self.tell),
            Route("POST", "{run}/{step}", self.start),
            Route("POST", "{run}/{step}/cancel", self.cancel),
        ]

    # -- the list of runs

    async def page(self, visit: Visit):
        """The runs of this pipeline, newest first: ?q= words, ?page=."""
        q, page, base = visit.query.get("q", ""), number(visit.query.get("page", "")), visit.base
        first = (page - 1) * LISTED
        about = (visit.profile.id, self.slug, LISTED + 1, q, first)
        found = await asyncio.to_thread(self.runs.listing, *about)
        turn = [("← Newer", page - 1)] if first else []
        turn += [("Older →", page + 1)] if len(found) > LISTED else []
        links = (A(w, href=f"{base}?{urlencode({'q': q, 'page': n})}") for w, n in turn)
        items = [self._item(f"{base}/{run['id']}", run) for run in found[:LISTED]]
        empty = P(f"No run matches “{q}”." if q else EMPTY, cls="empty")
        listed = (Ul(*items, cls="runs"), Nav(*links, cls="pager")) if items else (empty,)
        drawn = Div(*listed, id="listing", hx_swap="none")
        if visit.partial:
            return drawn
        new = Form(Button("New run", autofocus=True), hx_post=base)
        said = {"type": "search", "placeholder": "Search", "aria_label": "Search runs"}
        act = {"hx_get": base, "hx_trigger": "submit, input delay:200ms", **TURN}
        find = Form(Input(name="q", value=q, **said), id="state", **act)
        head = Header(Div(H1(self.title), P(self.description)), new, cls="head")
        outline = P(Small(words(" → ".join(self.pipeline.steps))), cls="outline")
        return Section(head, outline, find, drawn)

    def _item(self, at: str, run: Row):
        name, state = run["name"] or f"Run {run['id']}", run["state"]
        number = Small(f" · run {run['id']}") if run["name"] else ""
        copy = press(at, "copy", "Duplicate", "link")(aria_label=f"Duplicate {name}")
        erase = press(at, "delete", "✕", "link")(title="Delete", aria_label=f"Delete {name}")
        return Li(
            Span(A(name, href=at), number, cls="named"),
            Span(short(brief(json.loads(run["inputs"])), 200), cls="inputs"),
            Span(state, cls=f"state {state}"),
            Small(f"{run['done']} of {len(self.pipeline.steps)} steps"),
            Small(local(run["created_utc"])),
            Span(copy, erase),
        )

    async def create(self, visit: Visit):
        """A new run; what a form gives is kept as its inputs."""
        given = check_values(self.pipeline.fields.values(), visit.form, text=True, partial=True)
        row = await self.fresh(visit.caller, self._resolve(given, visit.caller))
        await self.advance(visit.caller, row["id"])
        return Go(f"{visit.base}/{row['id']}")

    # -- a run

    async def show(self, visit: Visit):
        profile, run = visit.profile, visit.number("run")
        visit.title = title(self.runs.get(profile.id, run, self.slug))
        return await self.draw_run(profile, run)

    async def draw_run(self, profile, run_id: int):
        seen = self.house.events.newest()  # which of two is the newer one
        run, states = self.open(profile, run_id)
        at = self.at(profile, run_id)
        cards = [await self._card(profile, run, states, name) for name in states]
        cards += [await self._gone_card(profile, old) for old in self._gone(run)]
        early = any(s.state not in PAST for s in states.values())
        foot = (press(at, "finish", "Finish and lock")(disabled=early),)
        if run["locked_utc"]:
            note = Small("Finished: steps cannot change until reopened.")
            foot = press(at, "reopen", "Reopen"), note
        parts = self._head(profile, run, states), self._changed(run, states), *cards
        # out of band: what was clicked may be gone when the answer comes
        about = {"hx_ext": "morph", "hx_swap": "none", "hx_swap_oob": "morph", "data_seen": seen}
        return Section(*parts, Nav(*foot, cls="pager"), cls="run", id=f"run-{run_id}", **about)

    def gone(self, profile, run_id: int):
        """What stands where a run was that is deleted."""
        told = P(f"Run {run_id} was deleted. ", A("To the other runs", href=self.at(profile)))
        return Section(told, id=f"run-{run_id}", hx_ext="morph", hx_swap_oob="morph")

    def _head(self, profile, run: Row, states: States):
        at, every = self.at(profile, run["id"]), states.values()
        about = {"maxlength": 100, "placeholder": "Name this run", "aria_label": "Title of the run"}
        box = Input(name="name", value=run["name"], **about)
        form = Form(box, hx_post=f"{at}/-/name", hx_trigger="change, submit", cls="name")
        locked = " · finished and locked" if run["locked_utc"] else ""
        head = H1(A(self.title, href=self.at(profile)), f" · run {run['id']}{locked}")
        left = Div(head, form, self._lineage(profile, run))
        does = [press(at, "copy", "Duplicate", "link"), press(at, "delete", "Delete", "link")]
        busy = run["locked_utc"] or any(s.at_work for s in every)
        if not busy and any(s.state in PAST for s in every):
            does.insert(0, press(at, "again", "Run all again", "link")(hx_confirm=SURE))
        return Header(left, Div(*does, cls="bar"), cls="head")

    def _lineage(self, profile, run: Row):
        table, base, links = self.runs.table(profile.id), f"/{profile.slug}", []
        old, _, step = run["parent"].partition("/")
        for up in table("id = ?", (old,)):
            href = f"{base}/{up['pipeline']}/{old}#step-{old}-{step}"
            links += ["fed by ", A(f"run {old}, step {words(step)}", href=href), " · "]
        fed = "parent GLOB ? AND deleted_utc IS NULL", (f"{run['id']}/*",), "id", 20
        for down in table(*fed):
            name, key = down["pipeline"], down["id"]
            links += ["feeds ", A(f"run {key} of {name}", href=f"{base}/{name}/{key}"), " · "]
        return P(Small(*links[:-1])) if links else ""

    def _changed(self, run: Row, states: States):
        kept = self.runs.records("run_id = ? AND kind = 'steps'", (run["id"],))
        was = json.loads(kept[0]["about"])["steps"] if kept else [*states]
        said = [f"{words(n)} is gone" for n in was if n not in states]
        said += [f"{words(n)} is new" for n in states if n not in was]
        if [n for n in states if n in was] != [n for n in was if n in states]:
            said.append("the order is another")
        if not said:
            return ""
        holds = ", ".join(words(n) for n, s in states.items() if s.state == "done")
        what = f"The file was changed since this run was begun: {', '.join(said)}."
        return problem_card(Problem(what, f"Still done: {holds or 'nothing'}."))

    async def _card(self, profile, run: Row, states: States, name: str, *refused: Row):
        state, at = states[name], self.at(profile, run["id"], name)
        job, key = self.jobs.live.get((run["id"], name)), f"progress-{run['id']}-{name}"
        may, here = not run["locked_utc"] and not state.late, self.at(profile, run["id"])
        parts = [heading([*states].index(name) + 1, state), P(state.step.description)]
        if may and state.state == "waiting":
            parts.append(question_form(state.question, here, data_next=True))
            parts += [] if state.at_work else [press(here, "discard", "Discard", step=name)]
        parts.append(progress(at, key, job) if state.at_work else Div(id=key))
        if state.state in UNDONE:
            parts.append(trouble(state))
        file = self.pipeline.file
        if state.fails > 2 and file.parent == self.house.settings.folder("apps"):
            parts.append(A("Edit the plugin", href=f"/{profile.slug}/plugins/{file.stem}"))
        if may and not state.at_work and state.state != "waiting":
            parts.append(await self._form(at, states, name, *refused or ({}, {})))
        elif state.inputs:
            parts.append(P(Small(brief(state.inputs))))
        parts.append("" if state.at_work else kept_log(state.attempt))
        if state.has_output:
            parts.append(await self._output(profile, state.attempt, state.step.draw))
        return Article(*parts, id=f"step-{run['id']}-{name}", cls=f"step {state.state}")

    async def _gone_card(self, profile, attempt: Row):
        head = Header(H2(words(attempt["step"]).capitalize()), Span("gone", cls="badge"))
        said = P(Small(brief(json.loads(attempt["inputs"]))))
        return Article(head, said, await self._output(profile, attempt), cls="step lost")

    async def _form(self, at: str, states: States, name: str, wrong: Row, typed: Row):
        state, shelf = states[name], self.house.shelf
        try:
            with shelf.trying(shelf.of(self), f"the form of {name}"):
                fields = await self.fields(states, name)
        except Exception as error:
            return problem_card(error if isinstance(error, Problem) else Problem(repr(error)[:300]))
        typed = {n: file.name for n, file in self._files(state).items()} | typed
        first = next((n for n, s in states.items() if s.state not in (*PAST, "blocked")), "")
        return step_form(at, state, fields, wrong, typed, self._kept(state), name == first)

    def _files(self, state: StepState) -> dict[str, File]:
        folder, inputs = self.house.files.folder, from_json(state.inputs).items()
        return {n: v for n, v in inputs if isinstance(v, File) and v.path.is_relative_to(folder)}

    def _kept(self, state: StepState) -> bool:
        if state.state not in UNDONE:
            return False
        last, where = state.attempt, "run_id = ? AND step = ? AND (key = ? OR kind = 'effect')"
        kept = self.runs.records.count(where, (last["run_id"], last["step"], last["key"]))
        return bool(kept or last["checkpoint"] or self.runs.journals(last))

    # -- what a click does

    async def start(self, visit: Visit):
        """Check the form and begin the step (?fresh: from its start; ?rest: and all after it)."""
        caller, run_id, name = visit.caller, visit.number("run"), visit.path["step"]
        run, states = self.open(caller.profile, run_id, name)
        fields = await self.fields(states, name)
        typed = {f.name: visit.form[f.name] for f in fields if f.name in visit.form}
        kept = self._files(states[name])
        same = {n: str(f.path) for n, f in kept.items() if typed.get(n) == f.name}
        try:
            values = self._resolve(check_values(fields, typed | same, text=True), caller)
        except Invalid as problem:
            shown = (caller.profile, run, states, name, problem.details["fields"], typed)
            return Refusal(await self._card(*shown), target=f"#step-{run_id}-{name}")
        if "rest" in visit.query:
            await asyncio.to_thread(self.runs.keep, caller.profile.id, run_id, values, self.slug)
            return await self.run_all(visit, False)
        fresh = "fresh" in visit.query
        await self.begin(caller, run_id, name, values, fresh, states[name].tries)
        return await self.show(visit)

    async def run_all(self, visit: Visit, again: bool = True):
        """Every step (`again`: what is done, too) while inputs allow, be anybody there or not.

        What stops it at once is told."""
        self.open(visit.profile, run := visit.number("run"))
        task = self.follow(self.run_on(replace(visit.caller, patient=True), run, again=again))
        await asyncio.wait([task], timeout=0.3)
        waits = task.done() and task.result() or {}
        if not waits.get("waiting_for"):
            return await self.show(visit)
        needs = ", ".join(words(name) for name in waits["waiting_for"])
        return await self.show(visit), notice(f"{words(waits['step']).capitalize()} needs {needs}.")

    async def cancel(self, visit: Visit):
        self.open(visit.profile, run := visit.number("run"))
        if job := self.jobs.cancel(run, visit.path["step"]):
            await self.jobs.wait(job)
        return await self.show(visit)

    async def tell(self, visit: Visit):
        """A tool for runs by its name without run_: the run as it is then, or where it leads."""
        run, verb, caller = visit.number("run"), visit.path["verb"], visit.caller
        self.open(caller.profile, run)
        try:
            said = await visit.call(f"run_{verb}", visit.form, run=run)
        except Invalid as problem:
            if verb != "answer":
                raise
            step, question, answer = (visit.form.get(n, "") for n in ("step", "question", "answer"))
            asked = self.runs.question(visit.profile.id, run, step, question)
            why = problem.details.get("fields", {}).get("answer", problem.what)
            form = question_form(asked, f"{visit.base}/{run}", answer, why)
            return Refusal(form, target=f"#question-{asked['id']}")
        if "/inbox" in visit.here:  # which hears of it
            return ""
        listed = visit.here.split("?")[0].rstrip("/").endswith(visit.base)
        if verb == "delete":
            undo = notice(f"Deleted run {run}.", visit.undo)
            return undo if listed else (self.gone(caller.profile, run), undo)
        if verb == "copy":
            new = f"{visit.base}/{said['run']}"
            link = A(f"Run {said['run']}", href=new), f" has the inputs of run {run}."
            return notice(link, f"{new}/-/delete") if listed else Go(new)
        if verb == "skip":
            await self.advance(caller, run)
        return await self.show(visit)
