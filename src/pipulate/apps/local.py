"""Steps in this process, without a store: how a filter, a notebook and the worker run them."""

import asyncio
import builtins
import contextlib
import getpass
import hashlib
import inspect
import itertools
import re
import reprlib
import shutil
import sys
import tempfile
from threading import Thread
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from pathlib import Path
from typing import Any

from pipulate.apps.job import END, JobHandle, in_loop, kept, settled
from pipulate.core.fields import File, Secret, check_values, dumps, from_json, to_json
from pipulate.core.outputs import Large, Rows, loaded
from pipulate.core.problems import Busy, Invalid, Problem, require
from pipulate.core.runs import inputs_of
from pipulate.core.tables import Row
from pipulate.core.tools import interrupt

# What steps have kept that did not end well, by _key: {name: (state, value)}.
MEMORY: dict[str, Row] = {}


def run_step(step, known: Row) -> Any:
    """Call a step, async or not, with what it takes of these values, and again as it says.

    One that yields gives an iterator."""
    given = {name: known[name] for name in step.parameters if name in known}
    if not step.retry:
        return _called(step, given)
    import tenacity

    def tell(state) -> None:
        print(f"try {state.attempt_number} failed: {state.outcome.exception()!r}", file=sys.stderr)

    passing = tenacity.retry_if_not_exception_type(Problem) | tenacity.retry_if_exception_type(Busy)
    again = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(step.retry + 1),
        wait=tenacity.wait_random_exponential(max=60),
        retry=tenacity.retry_if_exception_type() & passing,
        before_sleep=tell,
        reraise=True,
    )
    return again(_called, step, given)


def _called(step, given: Row) -> Any:
    if job := given.get("job"):
        job._nth_.clear()
        job.checkpoint_data = job._kept_
    result = step.function(**given)
    if inspect.isasyncgen(result):
        result = _in_turn(result)
    if isinstance(result, Iterator):  # its first row, so that a fault at once is tried again
        return itertools.chain([*itertools.islice(result, 1)], result)
    return settled(result)


def _in_turn(rows: AsyncIterator[Any]) -> Iterator[Any]:
    async def following():
        return await anext(rows, END)

    with asyncio.Runner() as runner:
        while (row := runner.run(following())) is not END:
            yield row


def plain(text: str) -> str:
    """Text as a line of a terminal in which nothing acts."""
    return "".join(c if c.isprintable() else " " for c in text)


class Bar:
    """How far a step is: a line on a screen, written over until the step ends."""

    def __init__(self, screen: Any, shown: bool = False):
        self.screen, self.step = screen, ""
        self.shown = shown or screen.isatty() or hasattr(builtins, "__IPYTHON__")

    def show(self, step: str, done: float = 0, total: float = 0, message: str = "") -> None:
        if step != self.step:
            self.end()
            self.step, self.first = step, ()
        self.first = self.first or total and (time.monotonic(), done)  # what is before is no rate
        at, before = self.first or (0, done)
        spent = time.monotonic() - at if done > before else 0
        left = spent * (total - done) / (done - before) if spent > 1 else 0  # sooner, who knows
        count = f"{done:,g} of {total:,g}" if total else f"{done:,g}" if done else ""
        said = [count, message, f"about {left:.0f} s left" if left > 1 else ""]
        bar = "#" * int(20 * min(1, done / total)) if total else ""
        self._write(f"{step} [{bar:-<20}] {' · '.join(filter(None, said))}")

    def end(self, state: str = "") -> None:
        if state and self.step:
            self._write(f"{self.step}: {state}")
        if self.shown and self.step:
            print(file=self.screen)
        self.step = ""

    def _write(self, line: str) -> None:
        if self.shown:
            line = plain(line).rstrip()[: shutil.get_terminal_size().columns - 1]
            print(f"\r{line}\033[K", end="", file=self.screen, flush=True)


class LocalJob(JobHandle):
    """`job` where no engine is, without tools and model: progress goes to `screen`, questions to

    whoever is there (`read`), what it keeps stays in `memory`."""

    def __init__(self, step, memory: Row, read=None, screen=None):
        folder, self.memory = Path(tempfile.mkdtemp(prefix="pipulate-")), memory
        super().__init__(self._told, self._got, folder, memory.get("", ("", None))[1])
        self.step, self.read, self.bar = step, read, Bar(screen or sys.stdout)

    def run(self, pipeline: str, values: Row):
        return self.step.other.run(**values).output

    def _heard(self, question: str, field: Any) -> Any:
        offered = f" ({', '.join(map(str, field.choices))})" if field.choices else ""
        read = self.read or (getpass.getpass if field.type is Secret else input)
        while True:
            try:
                return to_json(field.parse(read(f"{question}{offered} ")))
            except ValueError as error:
                print(f"That {error}.")
            except (EOFError, NotImplementedError):  # the latter where a notebook runs by itself
                what = f"Nobody is here to answer: {question}"
                raise Problem(what, "Run it in a home.") from None

    def close(self) -> None:
        self.bar.end()
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _told(self, message: Row) -> None:
        self.bar.show(self.step.name, *message["progress"])

    def _got(self, kind: str, *values: Any) -> Any:
        match kind, values:
            case "checkpoint", [data]:
                self.memory[""] = ("done", data)
            case "ask", [question, _] if question in self.step.answers:
                return self.step.answers[question]
            case "ask", [question, about]:
                from pipulate.core.jobs import question_field  # the whole engine, seldom needed

                record = {"about": dumps(about), "step": self.step.name}
                return self._heard(question, question_field(record))
            case "once", [name]:
                state, value = self.memory.get(name, ("new", None))
                self.memory.setdefault(name, ("unknown", None))
                return {"record": name, "state": state, "value": value}
            case "kept", [name, True, value]:
                self.memory[name] = ("done", value)
            case "kept", [name, _, _]:
                del self.memory[name]
            case _:
                what = f"{self.step.name} needs tools or a model, and here are none."
                raise Problem(what, "Run it in a home: `pipulate run`.")


@contextlib.contextmanager
def working(
    step, given: Row, typed: dict[str, str] | None = None, read=None, screen=None, kind=LocalJob
):
    """(what a step gives, its job) for earlier outputs and inputs by name; `typed`: as typed.

    Closed at the end. Raises Invalid, and whatever the step raises."""
    if missing := [up for up in step.uses if up not in given]:
        what = f"{step.name} needs {', '.join(missing)}."
        raise Invalid(what, "Give the outputs of those steps, too.")
    ups = {up: given[up] for up in step.uses}
    given = {name: value for name, value in given.items() if name not in ups}
    fields = step.bound(ups)
    given |= check_values(fields, typed or {}, text=True, partial=True)
    inputs = check_values(fields, given)
    paths = [f.name for f in fields if f.type is File and isinstance(inputs[f.name], str)]
    inputs |= {name: File(Path(inputs[name])) for name in paths}
    key = _key(step, inputs, ups)
    job = kind(step, MEMORY.setdefault(key, {}), read, screen)
    try:
        with job.held:
            result = run_step(step, ups | inputs | {"job": job})
            job.bar.end()
            yield result, job
        MEMORY.pop(key, None)
    finally:
        job.close()


def _key(step, inputs: Row, ups: Row) -> str:
    """What one try of a step shares with the next; only the folders of files have new names."""
    known = {up: value for up, value in ups.items() if not isinstance(value, Iterator)}
    try:
        text = dumps([inputs, known])
    except Problem:  # a notebook may give what JSON cannot hold
        text = dumps(inputs)
    seen = hashlib.sha256(re.sub(r"pipulate-\w+", "", text).encode())
    for value in known.values():
        if isinstance(value, Rows | Large):
            with contextlib.suppress(OSError), value.path.open("rb") as file:
                seen.update(hashlib.file_digest(file, "sha256").digest())
    return step.source + seen.hexdigest()


def step_here(step, given: Row, kind=LocalJob) -> Any:
    """A step's output as a run keeps it; None: it is left out."""
    ups = {up: given[up] for up in step.uses if up in given}
    left_out = step.optional and any(name not in given for name in _needed(step))
    if left_out or (len(ups) == len(step.uses) and not step.meant(ups)):
        return None

    def work():
        with working(step, given, kind=kind) as (result, job):
            return loaded(from_json(kept(result, job.files)))

    return aside(work)


def _needed(step) -> list[str]:
    return [f.name for f in step.fields if f.required and not inspect.isfunction(f.choices)]


def run_here(pipeline, values: Row) -> "Ran":
    """Every step after the other, for inputs by name (or step.name). Raises Invalid."""
    fields, steps = pipeline.fields, pipeline.steps.values()
    for name in values:
        require(name.split(".")[-1], fields, f"{pipeline.title} asks for no {name}.", Invalid)
    given = {step.name: inputs_of(step, values) for step in steps}
    sure = [step for step in steps if not step.optional and not step.when]
    if missing := [n for step in sure for n in _needed(step) if n not in given[step.name]]:
        what = f"{pipeline.title} needs {', '.join(dict.fromkeys(missing))}."
        raise Invalid(what, f"Write run({missing[0]}=…).")

    def work():
        ran = Ran(pipeline)
        for step in steps:
            ran[step.name] = step_here(step, {up: ran[up] for up in step.uses} | given[step.name])
        return ran

    return aside(work)


def in_thread(work: Callable[[], Any]) -> tuple[Thread, Future[Any]]:
    """A thread to be started, which no end of the program waits for, and what comes of its work."""
    done = Future[Any]()

    def working() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    return Thread(target=working, daemon=True), done


def aside(work: Callable[[], Any]) -> Any:
    """The result of some work; in a notebook, whose Interrupt stops it, in a thread of its own."""
    if not in_loop():
        return work()
    context = copy_context()  # it says which cell it prints in
    thread, done = in_thread(lambda: context.run(work))
    try:
        thread.start()
        while thread.is_alive():
            thread.join(0.2)  # short: an Interrupt just before a wait is seen after it
        return done.result()
    except KeyboardInterrupt:
        interrupt(thread.ident)
        raise


class Ran(dict):
    """Outputs by step name; `output` is the last. A notebook draws it."""

    def __init__(self, pipeline, outputs: Row | None = None):
        super().__init__(outputs or {})
        self.pipeline = pipeline

    @property
    def output(self) -> Any:
        return next(reversed(self.values()), None)

    def __repr__(self) -> str:
        said = ", ".join(f"{name}: {reprlib.repr(value)}" for name, value in self.items())
        return f"<{self.pipeline.title} {said}>"

    def _repr_html_(self) -> str:
        from fasthtml.components import H4

        from pipulate.apps import markup, outputs

        drawn = []
        for name, value in self.items():
            view, shown = self.pipeline.steps[name].draw, ""
            drawn.append(H4(name.replace("_", " ").capitalize()))
            try:
                shown = view and outputs.viewed(view, value)
            except Exception as error:
                drawn.append(outputs.view_failed(error))
            drawn.append(shown or outputs.draw(value, outputs.Place()))
        return markup.html(*drawn)
