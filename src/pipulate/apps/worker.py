"""The worker process: loads a plugin file, runs one step at a time, answers in JSON lines.

Started as `python -m pipulate.apps.worker`. Standard input carries requests and replies, what was
standard output carries answers; what a step prints goes to standard error, its live log. When the
engine dies the input ends and so does this process.
"""

import asyncio
import inspect
import json
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from pipulate.apps.plugin import load_file
from pipulate.apps.steps import Pipeline
from pipulate.core.fields import dumps, from_json
from pipulate.core.problems import Problem, from_dict
from pipulate.core.tables import Row

EVERY = 0.05  # seconds between two progress messages; the last one always goes out


class Now:
    """The result of a job call: done already, and may be awaited all the same."""

    def __await__(self):
        return asyncio.sleep(0).__await__()


class JobHandle:
    """`job` inside a step: progress, checkpoint, files, tool. Works in sync and async steps."""

    def __init__(self, wire, request: Row):
        self._wire, self._last = wire, 0.0
        self.checkpoint_data = request["checkpoint"]
        self._folder = Path(request["folder"])

    @property
    def files(self) -> Path:
        """This attempt's own folder, for files the step writes; return them as File(path)."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def progress(self, done: float, total: float = 0, message: str = "") -> Now:
        """Show how far the step is. Cheap: at most twenty messages a second are sent."""
        if done >= total or time.monotonic() - self._last > EVERY:
            self._last = time.monotonic()
            self._wire.send({"progress": [done, total, str(message)[:500]]})
        return Now()

    def checkpoint(self, data) -> Now:
        """Save JSON data at once; after a crash `job.checkpoint_data` gives it back."""
        self._wire.ask({"checkpoint": data})
        return Now()

    def tool(self, name: str, **values):
        """Call a tool, the only way a step changes data; returns its JSON or raises its Problem."""
        reply = self._wire.ask({"call": [name, values]})
        if "problem" in reply:
            raise from_dict(reply["problem"])
        return reply["result"]


class Wire:
    """JSON lines to and from the engine; a thread reads so that a dead engine is noticed."""

    def __init__(self, out: BinaryIO, into: BinaryIO):
        self._out, self._into = out, into
        self.requests: queue.Queue[Row] = queue.Queue()
        self._replies: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: Row) -> None:
        self._out.write(dumps(message).encode() + b"\n")
        self._out.flush()

    def ask(self, message: Row):
        self.send(message)
        return self._replies.get()

    def _read(self) -> None:
        for line in self._into:
            message = json.loads(line)
            if "reply" in message:
                self._replies.put(message["reply"])
            else:
                self.requests.put(message)
        os._exit(0)


def run_step(pipeline: Pipeline, name: str, arguments: Row, job):
    """Call one step with the outputs and inputs it takes (Python values), async or not."""
    step = pipeline.steps[name]
    known = arguments | {"job": job}
    values = {n: known[n] for n in inspect.signature(step.function).parameters if n in known}
    result = step(**values)

    async def awaited():
        return await result

    return asyncio.run(awaited()) if inspect.isawaitable(result) else result


def _answer(wire: Wire, request: Row) -> None:
    try:
        loaded = load_file(Path(request["file"]), request["hash"], request.get("text", ""))
        pipeline = loaded.pipeline(request["pipeline"])
        given = from_json(request["arguments"])
        for field in pipeline.steps[request["step"]].fields:
            if isinstance(value := given.get(field.name), str | list | dict):
                given[field.name] = field.kind.check(value)
        wire.send({"done": run_step(pipeline, request["step"], given, JobHandle(wire, request))})
    except Problem as problem:
        wire.send({"failed": problem.as_dict()})
    except BaseException as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"[:1_000].encode(errors="replace").decode()
        step = "Mend it and run the step again; earlier steps are kept. Its log has the trace."
        wire.send({"failed": Problem(what, step).as_dict()})


def main() -> None:
    """Serve steps until standard input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    wire = Wire(out, sys.stdin.buffer)
    while True:
        _answer(wire, wire.requests.get())


if __name__ == "__main__":
    main()
