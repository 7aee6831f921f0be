"""Jobs: steps at work. Every step runs in a worker process that can be killed at any moment.

The worker gets one JSON line (file, text, pipeline, step, arguments …) and answers in JSON lines:
progress, checkpoint, call (a tool), done, failed. What a step prints is its live log.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipulate.core.fields import dumps
from pipulate.core.problems import Problem
from pipulate.core.runs import Runs
from pipulate.core.store import Row
from pipulate.core.tools import Caller, Tools

LINE_LIMIT = 8 * 2**20  # bytes of one answer; a larger output belongs in a File
AT_ONCE = 4  # steps at work at the same time; the rest wait


@dataclass
class Job:
    """A step at work. `work` may be cancelled at any time; `task` keeps how it ended."""

    run: Row
    attempt: Row
    done: float = 0
    total: float = 0
    message: str = ""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    started: float = field(default_factory=time.monotonic)
    ending: str = ""  # "cancelled" or "interrupted" once somebody stopped it
    work: asyncio.Task[Row] = field(init=False)
    task: asyncio.Task[None] = field(init=False)

    @property
    def share(self) -> float | None:
        """0..1, None when unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def seconds_left(self) -> float:
        """From the mean rate so far; 0 before the first tenth of a percent."""
        share = self.share or 0
        return (time.monotonic() - self.started) * (1 / share - 1) if share >= 0.001 else 0

    def stop(self, ending: str) -> None:
        if not self.ending and self.work.cancel():  # once: a second one would not see it gone
            self.ending = ending

    def result(self) -> tuple[str, Row]:
        """(state, columns) of the attempt, when its work has ended."""
        try:
            answer = self.work.result()
        except asyncio.CancelledError:
            return self.ending or "interrupted", {"error": "{}"}
        except Problem as problem:
            answer = {"failed": problem.as_dict()}
        except Exception as error:
            answer = {"failed": _lost(repr(error)).as_dict()}
        if "done" in answer:
            return "done", {"output": dumps(answer["done"])}
        log = {"log": list(self.log)[-30:]} if self.log else {}
        return "failed", {"error": dumps(answer["failed"] | log)}


class Jobs:
    """Runs steps and keeps their state. One per engine process; its lock says it is alive."""

    def __init__(self, runs: Runs, tools: Tools, home: Path, module: str):
        self.runs, self.tools, self.locks, self.module = runs, tools, home / "locks", module
        self.live: dict[tuple[int, str], Job] = {}  # by run and step
        self.on_change: list[Callable[[Job], None]] = []
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = FileLock(self.locks / f"{self.owner}.lock")
        self._warm: list[Process] = []
        self._slots = asyncio.Semaphore(AT_ONCE)

    def sweep(self) -> None:
        """Interrupt what dead processes left running; owners that hold their lock are alive."""
        running = self.runs.attempts("state = 'running'")
        for owner in {a["owner"] for a in running} - {self.owner}:
            path = self.locks / f"{owner}.lock"
            with contextlib.suppress(Timeout), FileLock(path, timeout=0):
                self.runs.interrupt(owner)
                path.unlink(missing_ok=True)

    async def start(
        self, caller: Caller, pipeline: Any, run_id: int, name: str, inputs: Row
    ) -> Job:
        """Begin a step (inputs as JSON, checked) and return while it works."""
        self._lock.acquire(timeout=0)
        about = (caller.profile.id, run_id, pipeline, name, inputs, self.owner)
        attempt, used = await asyncio.to_thread(self.runs.begin, *about)
        job = self.live[run_id, name] = Job(self.runs.get(caller.profile.id, run_id), attempt)
        job.work = asyncio.create_task(self._work(job, caller, pipeline, used))
        job.task = asyncio.create_task(self._settle(job, caller.actor))
        return job

    async def wait(self, job: Job) -> None:
        """Until the step has settled."""
        await asyncio.shield(job.task)

    def cancel(self, run_id: int, step: str) -> Job | None:
        """Stop a step at once, whatever it does; its checkpoint stays. None if none is at work."""
        job = self.live.get((run_id, step))
        if job:
            job.stop("cancelled")
        return job

    async def close(self) -> None:
        """Interrupt what is at work, kill the workers, give the lock back."""
        tasks = [job.task for job in self.live.values()]
        for job in self.live.values():
            job.stop("interrupted")
        if tasks:
            await asyncio.wait(tasks, timeout=3)
        for process in self._warm:
            await _kill(process)
        self._lock.release(force=True)
        Path(self._lock.lock_file).unlink(missing_ok=True)

    async def _settle(self, job: Job, actor: str) -> None:
        await asyncio.wait([job.work])
        state, kept = job.result()
        settle = self.runs.settle
        try:
            await asyncio.to_thread(settle, job.attempt, job.run, state, actor, **kept)
        finally:  # only now: whoever looks meanwhile sees it at work, not in nobody's hands
            del self.live[job.run["id"], job.attempt["step"]]
            self._changed(job)

    def _changed(self, job: Job) -> None:
        for listener in self.on_change:
            listener(job)

    async def _work(self, job: Job, caller: Caller, pipeline: Any, used: Row) -> Row:
        """The worker's last answer: {"done": output} or {"failed": a problem}."""
        async with self._slots:
            process = self._warm.pop() if self._warm else await _spawn(self.module)
            if process.returncode is not None:
                process = await _spawn(self.module)
            listening = asyncio.create_task(self._listen(job, process))
            try:
                await _send(process, self._request(job, pipeline, used))
                answer = await self._answer(job, caller, process)
                self._warm += [] if self._warm else [process]
                return answer
            finally:
                if process not in self._warm:
                    await _kill(process)
                listening.cancel()

    def _request(self, job: Job, pipeline: Any, used: Row) -> Row:
        run, attempt = job.run, job.attempt
        return {
            "file": pipeline.file,
            "text": pipeline.content.decode("latin-1"),  # any bytes, there and back
            "pipeline": pipeline.slug,
            "step": attempt["step"],
            "arguments": used | json.loads(attempt["inputs"]),
            "checkpoint": json.loads(attempt["checkpoint"] or "null"),
            "folder": self.runs.files / f"runs/{run['id']}/{attempt['id']}",
        }

    async def _listen(self, job: Job, process: Process) -> None:
        assert process.stderr
        while line := await process.stderr.readline():
            job.log.append(line.decode(errors="replace").rstrip()[:2_000])
            self._changed(job)

    async def _answer(self, job: Job, caller: Caller, process: Process) -> Row:
        while True:
            match await _receive(process):
                case {"progress": said}:
                    job.done, job.total, job.message = said
                    self._changed(job)
                case {"checkpoint": data}:
                    new = {"id": job.attempt["id"], "checkpoint": dumps(data)}
                    await asyncio.to_thread(self.runs.attempts.update, new)
                    await _send(process, {})
                case {"call": [name, values]}:
                    try:
                        reply = {"result": await self.tools.call(name, values, caller)}
                    except Problem as problem:
                        reply = {"problem": problem.as_dict()}
                    await _send(process, reply)
                case answer:
                    return answer


async def _spawn(module: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", module),  # -u: what a step prints is shown at once
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=LINE_LIMIT,
        start_new_session=True,  # its own group, so that its children die with it
    )


async def _receive(process: Process) -> Row:
    assert process.stdout
    try:
        return json.loads(await process.stdout.readuntil())
    except asyncio.LimitOverrunError:
        what = f"The output is over {LINE_LIMIT // 2**20} MB."
        raise Problem(what, "Write it to a file: File(path).") from None
    except asyncio.IncompleteReadError:
        await process.wait()
        raise _lost(f"exit code {process.returncode}") from None


async def _send(process: Process, message: Row) -> None:
    assert process.stdin
    process.stdin.write(dumps(message).encode() + b"\n")
    with contextlib.suppress(ConnectionError):
        await process.stdin.drain()


async def _kill(process: Process) -> None:
    """At once, with everything it started."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    # What left its group (a browser, a daemon) may hold the pipes open: wait for none of them.
    process._transport.close()  # type: ignore[attr-defined]
    await process.wait()


def _lost(reason: str) -> Problem:
    return Problem(
        f"The step's process ended without an answer ({reason}).",
        "Finished steps are safe. Retry; if it happens again, look at the step's log.",
    )
