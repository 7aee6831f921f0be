"""`job` inside a step: progress, checkpoints, questions, effects, rows, tools, the model.

In an async step what asks the engine is awaited (not csv, files); in a plain one it is at hand.
"""

import asyncio
import contextlib
import inspect
from itertools import chain, islice
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

from pipulate.apps.browser import browsing
from pipulate.core.fields import Field, File, Text, dumps, foreign, from_json, make_field, to_json
from pipulate.core.outputs import INLINE, Large, Rows, as_row, columns_of, is_rows, write_lines
from pipulate.core.problems import Problem
from pipulate.core.sheets import write_csv
from pipulate.core.tables import Row

LONG = 2_000  # characters of a question that are asked
EVERY = 0.05  # seconds between two progress messages; the last one always goes out
DONE, AGAIN = "It happened: go on", "It did not happen: do it"
END = object()
ROW = ContextVar("row", default="")  # at which job.map is


class Now:
    """The result of a job call: done already, and may be awaited all the same."""

    def __await__(self):
        return asyncio.sleep(0).__await__()


class JobHandle:
    """What a step's parameter `job` is: tell(message) sends, need(name, *values) waits for JSON."""

    def __init__(self, tell, need, folder: Path, checkpoint=None, journal: Path | None = None):
        self.checkpoint_data = self._kept_ = checkpoint
        self._tell, self._need_ = tell, need
        self._folder, self._journal, self._last = folder, journal, 0.0
        self._nth_ = dict[str, tuple[str, int]]()  # row and count of a name, in this try
        self.held = contextlib.ExitStack()  # what is open until the step ends

    @property
    def files(self) -> Path:
        """The folder for files that the step writes; return them as File(path)."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def browser(self, *sites: str, profile: str = "", headless: bool | None = None):
        """A page (Playwright's) in a window of the user's browser, until the (plain) step ends.

        It reaches `sites` only: "https://example.com", "https://*.example.com", "*". `profile`: a
        folder; else the home's own, which stays logged in. Downloads land in `files`."""
        if in_loop():
            raise Problem("A browser is for plain steps.", "Write def, not async def.")
        self.held.close()  # that of an earlier try
        return self.held.enter_context(browsing(sites, self._folder, profile, headless))

    def csv(self, name: str, rows: Iterable[Row], columns: Iterable[str] = ()) -> File:
        """Rows as a CSV file in `files`: these columns or those of the first row, defused."""
        return File(write_rows(self.files / name, rows, [*columns]))

    def progress(self, done: float, total: float = 0, message: str = "") -> Now:
        """Show how far the step is; of many calls twenty a second are sent."""
        if 0 < total <= done or time.monotonic() - self._last > EVERY:
            self._last = time.monotonic()
            self._tell({"progress": [done, total, str(message)[:500]]})
        return Now()

    def checkpoint(self, data) -> Now:
        """Save JSON data; after a crash `job.checkpoint_data` gives it back."""
        self._kept_ = to_json(data)
        self._need_("checkpoint", self._kept_)
        return Now()

    def tool(self, name: str, /, **values):
        """Call a tool, the only way a step changes data; returns its JSON or raises its Problem."""
        return self._either(lambda: self._need_("call", name, to_json(foreign(values))))

    def run(self, pipeline: str, values: Row):
        """Run another pipeline to its end; returns its last output."""

        def work():
            result = self.tool(f"{pipeline}_run", **values)  # plain here: no loop runs this
            if result["state"] == "done":
                return from_json(result["output"])
            needs = ", ".join(result.get("waiting_for") or [result["question"].rstrip(".?")])
            what = f"Run {result['run']} of {pipeline} waits for {needs}."
            raise Problem(what, f"Go on there ({result['address']}), then run this step again.")

        return self._either(work)

    def ask(self, question: str, answer: Any = str):
        """Ask whoever is there. `answer`: a list of choices, or a field's type.

        Answers are kept: a step that runs again after a restart asks nothing twice."""
        choices = [*answer] if isinstance(answer, list | tuple) else None
        shown, size = str(question)[:LONG], len(str(question))
        shown += f"… (the first {LONG:,} of {size:,} characters)" if size > LONG else ""
        kind, key = make_field("answer", answer if choices is None else str), self._named(shown)
        if choices == []:
            raise Problem(f"There is nothing to choose from: {shown}", "Revise an earlier step.")
        typed = "" if choices or kind.target else kind.type.__name__
        about = {"choices": choices or kind.choices, "type": typed}
        about |= {"optional": True} if kind.optional else {}
        about |= {"bounds": vars(kind.bounds)} if kind.bounds else {}

        def work():
            said = from_json(self._need_("ask", key, about))
            return said if choices or said is None else kind.check(said)

        return self._either(work)

    def once(self, name: str, function: Callable[[], Any], lookup: Callable[[], Any] | None = None):
        """Do what must not happen twice, such as starting a paid export; returns its JSON result.

        When it was begun and its result was lost, `lookup()` (None: it did not happen) or the user
        says what happened. A Problem that `function` raises means that nothing happened."""
        key = self._named(name)

        def work():
            seen = self._need_("once", key)
            if seen["state"] == "done":
                return from_json(seen["value"])
            result = self._settled(key, lookup) if seen["state"] == "unknown" else END
            try:
                result = settled(function()) if result is END else result
            except Problem:
                self._need_("kept", seen["record"], False, None)
                raise
            self._need_("kept", seen["record"], True, to_json(foreign(result)))
            return result

        return self._either(work)

    def _settled(self, name: str, lookup: Callable[[], Any] | None) -> Any:
        if lookup:
            found = settled(lookup())
            return END if found is None else found
        what = f"“{name}” was begun, but the program ended before its result was known."
        said = self._need_("ask", self._named(what), {"choices": [DONE, AGAIN], "person": True})
        return END if said == AGAIN else None

    def model(self, prompt: str, schema: Any = Text):
        """What the language model says: text, or a checked value of a type: Literal, int, list …

        Kept: the same question under the same inputs is asked once."""
        field = make_field("answer", Text if schema is str else schema)
        return self._either(lambda: field.check(self._need_("model", str(prompt), field.schema)))

    def map(self, function: Callable[[Any], Any], rows: Iterable[Any], at_once: int = 4):
        """[function(row) for row in rows], `at_once` at a time, with progress.

        Results (JSON) are kept: tried again, only what is missing is done. One that fails ends the
        step when those at work are through."""
        key = self._named(f"map{ROW.get()}")
        journal = self._journal and self._journal.with_name(f"{self._journal.name}-{key}")
        work = _mapped(self, function, [*rows], at_once, journal)
        return work if in_loop() else settled(work)

    def _named(self, name: str) -> str:
        row, count = self._nth_.get(name, (ROW.get(), 0))
        if row != ROW.get():  # a next try, which does only what is missing, would mix them up
            raise Problem(f"The rows of job.map share the name “{name}”.", 'Write f"… {row}".')
        self._nth_[name] = row, count + 1
        return f"{name} #{count + 1}" if count else name

    def _either(self, work: Callable[[], Any]) -> Any:
        return asyncio.to_thread(work) if in_loop() else work()


def in_loop() -> bool:
    """Whether an async step runs this; the loop of an open browser has no task of ours."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def settled(result: Any) -> Any:
    """What a function gave, be it async or not; for use in plain code."""

    async def awaited():
        return await result

    if not inspect.isawaitable(result):
        return result
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    with ThreadPoolExecutor(1) as aside:  # a browser is open: its loop is this thread's
        return aside.submit(asyncio.run, awaited()).result()


async def _mapped(job: JobHandle, function, rows: list[Any], at_once: int, journal: Path | None):
    known = dict[int, Any]()
    for line in journal.read_text("utf-8").split("\n") if journal and journal.exists() else ():
        with contextlib.suppress(ValueError):  # a line that was cut off
            known.update([json.loads(line)])
    places, faults = asyncio.Semaphore(at_once), list[BaseException]()
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor(at_once)
    plain = not inspect.iscoroutinefunction(function)

    async def one(n: int, file) -> None:
        async with places:
            if faults:
                return
            try:
                ROW.set(f"{ROW.get()}-{n}")
                call = copy_context().run, function, rows[n]
                made = loop.run_in_executor(threads, *call) if plain else function(rows[n])
                known[n] = to_json(foreign(await made))
            except Exception as error:
                return faults.append(error)
            file.write(dumps([n, known[n]]) + "\n")
            file.flush()
            job.progress(len(known), len(rows))

    if journal:
        journal.parent.mkdir(parents=True, exist_ok=True)
    with open(journal or os.devnull, "a", encoding="utf-8") as file, threads:
        file.write("\n")  # after a line that was cut off
        await asyncio.gather(*(one(n, file) for n in range(len(rows)) if n not in known))
    if faults:
        raise faults[0]
    return [from_json(known[n]) for n in range(len(rows))]


def files_in(output: Any) -> list[File]:
    """The files of an output."""
    every = output.values() if isinstance(output, dict) else [output]
    return [file for file in every if isinstance(file, File)]


def fed(field: Field, output: Any, folder: Path) -> Any:
    """An output as a field of another pipeline takes it; rows become a CSV in `folder` for a File.

    Raises Problem."""
    if field.type is File and is_rows(output):
        return File(write_rows(folder / "rows.csv", output, columns_of(output)))
    if field.type is File:
        output = next(iter(files_in(output)), output)
    try:
        return field.kind.check(output)
    except (ValueError, TypeError) as error:
        raise Problem(f"{field.label} {error}.", "Feed it from another step.") from None


def write_rows(path: Path, rows: Iterable[Row], columns: list[str]) -> Path:
    """Rows as a CSV file, defused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    several = map(as_row, rows)
    first = [*islice(several, 1)]
    columns = columns or [*chain.from_iterable(first)]
    lines = ([row.get(c) for c in columns] for row in chain(first, several))
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(write_csv(columns, lines))
    return path


def kept(output: Any, folder: Path) -> Any:
    """An output as JSON; one that is long, or made row by row, is written to `folder` and named."""
    made = isinstance(output, Iterator)
    if not made:
        value = to_json(output)
        if len(text := dumps(value)) <= INLINE:
            return to_json(foreign(output)) if '"$' in text else value
        if not isinstance(value, list):
            write_lines(path := folder / "output.json", [text])
            return to_json(Large(path, len(text)))
        output = iter(value)
    path = folder / "rows.jsonl"
    rows = Rows(path, write_lines(path, map(dumps, output)))
    if made and path.stat().st_size <= INLINE:
        small = [*rows]
        path.unlink()
        return foreign(small)
    return to_json(rows)
