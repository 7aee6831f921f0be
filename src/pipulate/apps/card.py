"""A step of a run as a card: what it waits for, its form, how it went. Its output: outputs.py."""

import contextlib
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from fasthtml.components import H2, Button, Details, Div, Form, Header, P, Pre, Progress
from fasthtml.components import Small, Span, Strong, Summary

from pipulate.apps.markup import field_input, figure, labelled, problem_card
from pipulate.core.fields import Field, File, Ref, dumps, from_json
from pipulate.core.jobs import Job, question_field
from pipulate.core.problems import Problem, short
from pipulate.core.runs import PAST, UNDONE, StepState
from pipulate.core.store import Row

SAYS = {"blocked": "waits for earlier steps", "ready": "next", "waiting": "waits for your answer"}
LINES, LINE = 60, 300  # of a log while it grows; the whole of it is kept with the attempt
MANY = 1_000  # more choices than this are typed, not picked


def words(name: str) -> str:
    """A name as it is read."""
    return name.replace("_", " ")


def title(run: Row) -> str:
    """What a run is called among others (in Runs.inbox its number is `run`)."""
    number = run.get("run", run.get("id"))
    return run["name"] or f"{words(run['pipeline']).capitalize()} run {number}"


def local(moment: str) -> str:
    """A kept moment in this machine's time: the hour, and the day unless it is today."""
    then = datetime.fromisoformat(moment).astimezone()
    return f"{then:%H:%M}" if then.date() == datetime.now().date() else f"{then:%Y-%m-%d %H:%M}"


def brief(inputs: Row) -> str:
    """Inputs on one line, without those that are empty."""
    given = from_json(inputs).items()
    said = (f"{words(n)}: {_told(v)[:60]}" for n, v in given if v not in (None, "", []))
    return " · ".join(said)


def _told(value: Any) -> str:
    if isinstance(value, list):
        return short(", ".join(map(str, value)), 59)
    if isinstance(value, str) and value.endswith("+00:00"):
        with contextlib.suppress(ValueError):  # it only looks like a time
            return local(value)
    value = dumps(value) if isinstance(value, dict) else value
    return ("no", "yes")[value] if isinstance(value, bool) else str(getattr(value, "name", value))


def span(seconds: float) -> str:
    """A length of time as one says it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min {seconds} s"


def press(at: str, verb: str, word: str, look: str = "outline secondary", **values: Any):
    """A button that calls a tool for runs: `at` is the run's address, `verb` what follows run_."""
    given = {"hx_vals": values, "hx_params": ",".join(values) or "none"}  # no form's
    return Button(word, hx_post=f"{at}/-/{verb}", cls=look, type="button", **given)


def heading(number: int, state: StepState):
    """A step's number and name, and how it stands."""
    said, attempt = SAYS.get(state.state, state.state), state.attempt
    if state.fails > 2:
        said = f"failed {state.fails} times in a row"
    if state.state == "stale":
        said = f"stale: {state.why}"
    if state.state == "done":
        ended, began = (datetime.fromisoformat(attempt[f"{n}_utc"]) for n in ("ended", "started"))
        said = f"done · {span((ended - began).total_seconds())} · {local(attempt['ended_utc'])}"
    return Header(H2(f"{number}. {words(state.step.name).capitalize()}"), Span(said, cls="badge"))


def question_form(record: Row, at: str, said: str = "", wrong: str = "", **attrs: Any):
    """What a step asks, with the input that fits. `wrong`: why the answer is not so."""
    box = field_input(question_field(record), said, wrong)
    name, key = record["name"], f"question-{record['id']}"
    about = {"step": record["step"], "question": name}  # a second click answers no other one
    given = {"hx_post": f"{at}/-/answer", "hx_vals": about}
    note = Small(wrong, cls="error", role="alert") if wrong else ""
    parts = P(Strong(name)), box, note, Button("Answer")
    return Form(*parts, aria_label=name, id=key, cls="question", **given, **attrs)


def step_form(at: str, state: StepState, fields, wrong: Row, typed: Row, kept: bool, first: bool):
    """The asked values (fields) of a step and what can be done with it.

    `kept`: a try left something to go on from; `first`: it is the next one."""
    name, over, boxes = state.step.name, state.state in PAST, []
    for f in fields:
        shown = typed.get(f.name, _shown(f, state.inputs.get(f.name, f.default)))
        if isinstance(f.choices, tuple) and len(f.choices) > MANY and not f.many:
            f = replace(f, choices=None, help=f"one of {len(f.choices):,}")
        ask = {"data_options": f"{at.rsplit('/', 2)[0]}/options/{f.name}"} if f.type is Ref else {}
        boxes.append(labelled(f, shown, wrong.get(f.name, ""), **ask))
    run, quiet = at.rpartition("/")[0], {"cls": "outline", "type": "button"}
    look = ("secondary" if boxes else "link") if over else None
    sends = [Button("Run again" if over or state.state == "stale" else "Run", cls=look)]
    if state.state in UNDONE:
        sends = [Button("Resume" if kept else "Retry")]
        sends += [Button("Retry from its start", hx_post=f"{at}?fresh=1", **quiet)] if kept else []
        sends += [press(run, "discard", "Discard", step=name)]
    if first:
        sends += [Button("Run the rest", id="rest", hx_post=f"{at}?rest=1", **quiet)]
    if state.step.optional and not over:
        sends += [press(run, "skip", "Skip", step=name)]
    word = "Run it after all" if state.state == "skipped" else "Revise"
    said = Summary(word, " ", Small(brief(state.inputs)))
    if boxes and state.fails > 2:
        boxes = [Details(said, *boxes, open=bool(wrong))]
    boxes.append(Div(*sends, cls="sends"))
    form = Form(*boxes, id=at, hx_post=at, novalidate=True, data_next=first or None)
    if not over or not (boxes[1:] or state.state == "skipped"):
        return form
    return Details(said, form, cls="revise", open=bool(wrong))


def progress(at: str, key: str, job: Job | None):
    """How far a step at work is; `key`: where it is replaced."""
    if job is None:
        return Div("Another process is working on this step.", id=key)
    said = [f"{figure(job.done)} of {figure(job.total)}"] if job.total else []
    if job.seconds_left > 1:
        rate = figure(float(f"{(job.total - job.done) / job.seconds_left:.3g}"))
        said += [f"{rate} a second", f"about {span(job.seconds_left)} left"]
    log = "\n".join(line[:LINE] for line in [*job.log][-LINES:])
    ask = Button("Tell me when it ends", data_allow=True, cls="link", type="button")
    bar = Progress() if job.share is None else Progress(value=job.share, max=1)
    return Div(
        "" if job.questions else bar,
        P(" · ".join(filter(None, [job.message, *said])), aria_live="polite"),
        Details(Summary("Log"), Pre(log, cls="live"), open=True) if log else "",
        Div(Button("Cancel", hx_post=f"{at}/cancel", cls="outline secondary"), ask, cls="sends"),
        cls="progress",
        id=key,
    )


def trouble(state: StepState):
    """Why a step has no output."""
    if (error := state.error).get("problem"):
        return problem_card(Problem(error["problem"], error["next_step"]))
    ended = state.state == "interrupted"
    return P("The program ended while this step ran." if ended else "You cancelled this step.")


def kept_log(attempt: Row):
    """What a step has printed, folded."""
    text = attempt.get("log") or "\n".join(json.loads(attempt.get("error") or "{}").get("log", []))
    said = Summary("Log ", Small(f"{text.count(chr(10)) + 1:,}"))
    return Details(said, Pre(f"\n{text}")) if text else ""


def _shown(field: Field, value: Any) -> str:
    value = from_json(value)
    try:
        return str(value.path) if isinstance(value, File) else field.show(field.kind.check(value))
    except (ValueError, TypeError):
        return ""
