"""The worker process, `python -m pipulate.apps.worker`: runs one step at a time.

Standard input brings JSON lines, requests and replies; what was standard output takes the answers;
what a step prints goes to standard error, its live log. When the engine dies the input ends and so
does this process.
"""

import asyncio
import inspect
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pipulate.apps.plugin import load_file
from pipulate.apps.steps import Step
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

    def __init__(self, tell: Callable[[Row], Any], folder: str, checkpoint=None):
        self.checkpoint_data, self._tell = checkpoint, tell
        self._folder, self._last = Path(folder), 0.0

    @property
    def files(self) -> Path:
        """This attempt's own folder, for files the step writes; return them as File(path)."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def progress(self, done: float, total: float = 0, message: str = "") -> Now:
        """Show how far the step is. Cheap: at most twenty messages a second are sent."""
        if done >= total or time.monotonic() - self._last > EVERY:
            self._last = time.monotonic()
            self._tell({"progress": [done, total, str(message)[:500]]})
        return Now()

    def checkpoint(self, data) -> Now:
        """Save JSON data at once; after a crash `job.checkpoint_data` gives it back."""
        self._tell({"checkpoint": data})
        return Now()

    def tool(self, name: str, **values):
        """Call a tool, the only way a step changes data; returns its JSON or raises its Problem."""
        reply = self._tell({"call": [name, values]})
        if "problem" in reply:
            raise from_dict(reply["problem"])
        return reply["result"]


def run_step(step: Step, known: Row):
    """Call a step, async or not, with what it takes of the known Python values."""
    result = step(**{name: known[name] for name in step.parameters if name in known})

    async def awaited():
        return await result

    return asyncio.run(awaited()) if inspect.isawaitable(result) else result


def _answer(tell: Callable[[Row], Any], request: Row) -> None:
    try:
        plugin = load_file(Path(request["file"]), request["text"].encode("latin-1"))
        step = plugin.pipelines[request["pipeline"]].steps[request["step"]]
        known = from_json(request["arguments"])
        for field in step.fields:
            if known.get(field.name) is not None:
                known[field.name] = field.kind.check(known[field.name])
        known["job"] = JobHandle(tell, request["folder"], request["checkpoint"])
        tell({"done": run_step(step, known)})
    except Problem as problem:
        tell({"failed": problem.as_dict()})
    except BaseException as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"[:1_000].encode(errors="replace").decode()
        hint = "Mend it and run the step again; earlier steps are kept. Its log has the trace."
        tell({"failed": Problem(what, hint).as_dict()})


def main() -> None:
    """Serve steps until standard input ends. A thread reads, to notice that the engine is dead."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests, replies = SimpleQueue[Row](), SimpleQueue[Row]()

    def read() -> None:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            (requests if "step" in message else replies).put(message)
        os._exit(0)

    def tell(message: Row):
        out.write(dumps(message).encode() + b"\n")
        out.flush()
        return replies.get() if message.keys() & {"checkpoint", "call"} else None

    threading.Thread(target=read, daemon=True).start()
    while True:
        _answer(tell, requests.get())


if __name__ == "__main__":
    main()
