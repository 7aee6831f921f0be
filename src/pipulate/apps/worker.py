"""The worker process, `python -m pipulate.apps.worker`: runs one step at a time.

How it speaks with the engine, core/jobs.py tells; what a step prints goes to standard error.
"""

import contextlib
import itertools
import json
import os
import sys
import threading
import traceback
from concurrent.futures import Future
from errno import ENOSPC
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pipulate.apps.job import JobHandle, kept
from pipulate.apps.local import run_step
from pipulate.apps.plugin import line_in, load_file
from pipulate.core import fetch as fetching
from pipulate.core.fields import dumps, from_json, local
from pipulate.core.outputs import loaded
from pipulate.core.problems import Problem, from_dict
from pipulate.core.tables import Row

MEMORY = 0.75  # of this machine's memory that one step may take


class Engine:
    """The other end of the pipe: `tell` sends a message, `need` waits for its reply.

    What else comes waits in `requests`. It ends with its input, as when the engine dies."""

    def __init__(self) -> None:
        self._in, self._out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)  # for input(), and what a step starts
        os.dup2(2, 1)
        if hasattr(os, "register_at_fork"):  # a child would hide our end
            os.register_at_fork(after_in_child=lambda: os.dup2(nothing, self._out.fileno()))
        self._lock, self._count = threading.Lock(), itertools.count()
        self._waiting: dict[int, Future[Row]] = {}
        self.requests = SimpleQueue[Row]()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, message: Row) -> None:
        line = dumps(message).encode() + b"\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()

    def need(self, kind: str, *values: Any) -> Any:
        key = next(self._count)
        reply = self._waiting[key] = Future()
        self.tell({"need": kind, "with": values, "id": key})
        if "problem" in (said := reply.result()):
            raise from_dict(said["problem"])
        return said["result"]

    def _read(self) -> None:
        for line in self._in:
            if "reply" in (said := json.loads(line)):
                self._waiting.pop(said["reply"]).set_result(said)
            else:
                self.requests.put(said)
        try:
            os.killpg(os.getpid(), 9)  # with what the step started
        finally:  # behind walls, too
            os._exit(0)


def answer(tell: Any, need: Any, request: Row) -> Row:
    """{done: a step's output} or {failed: a Problem}."""
    file = Path(request["file"])
    try:
        pipeline = load_file(file, request["text"].encode("latin-1")).pipelines[request["pipeline"]]
        step, fetching.allowed = pipeline.steps[request["step"]], pipeline.outside
        known = {n: loaded(value) for n, value in from_json(request["arguments"]).items()}
        for field in step.fields:
            if (value := known.get(field.name)) is not None:
                known[field.name] = local(field.kind.check(value))
        folder, journal = Path(request["folder"]), Path(request["journal"])
        job = JobHandle(tell, need, folder, request["checkpoint"], journal)
        with job.held:
            output = kept(run_step(step, known | {"job": job}), folder)
        dumps(output).encode()  # what cannot be sent is a failure of the step
        return {"done": output}
    except Problem as problem:
        return {"failed": problem.as_dict()}
    except BaseException as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"[:1_000].encode(errors="replace").decode()
        if line := line_in(file, error):
            what += f" ({file.name}, line {line})"
        hint = "Mend it and run the step again; earlier steps are kept. Its log has the trace."
        if isinstance(error, OSError) and error.errno == ENOSPC:
            what, hint = "The disk is full.", "Free some space, then run the step again."
        return {"failed": Problem(what, hint).as_dict()}


def _bounded() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        Path("/proc/self/oom_score_adj").write_text("800")


def main() -> None:
    """Serve steps."""
    _bounded()
    engine = Engine()
    while True:
        said = answer(engine.tell, engine.need, engine.requests.get())
        closed = sys.stdout.closed or sys.stderr.closed or not os.path.exists(2)
        if closed or threading.active_count() > 2:
            said["last"] = True  # it shall meet no other step
        engine.tell(said)


if __name__ == "__main__":
    main()
