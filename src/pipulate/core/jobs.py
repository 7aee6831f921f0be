"""Jobs: steps at work. Every step runs in a worker process that can be killed at any moment.

The worker gets one JSON line (file, hash, pipeline, step, arguments) and answers in JSON lines:
progress, checkpoint, call (a tool), done, failed. What a step prints is its live log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipulate.core.fields import dumps, to_json
from pipulate.core.problems import Problem
from pipulate.core.runs import Runs
from pipulate.core.store import Row
from pipulate.core.tools import Caller, Tools

LINE_LIMIT = 8 * 2**20  # bytes of one answer; a larger output belongs in a File
AT_ONCE = 4  # steps at work at the same time; the rest wait


@dataclass
class Job:
    """A step at work, as the page shows it; `share` is 0..1 or None when unknown."""

    run: Row
    attempt: Row
    message: str = ""
    done: float = 0
    total: float = 0
    log: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    started: float = field(default_factory=time.monotonic)
    worker: Worker | None = None
    ending: str = ""  # "cancelled" or "interrupted" once somebody stopped it
    task: asyncio.Task[None] = field(init=False)

    @property
    def share(self) -> float | None:
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        """From the mean rate so far; None before the first tenth of a percent."""
        if not self.share or self.share < 0.001:
            return None
        return (time.monotonic() - self.started) * (1 - self.share) / self.share


@dataclass
class Worker:
    """A child process that runs one step at a time; kept warm between steps."""

    process: asyncio.subprocess.Process

    @classmethod
    async def spawn(cls, module: str) -> Worker:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-m", module),  # -u: what a step prints is shown at once
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            limit=LINE_LIMIT,
            start_new_session=True,  # its own group, so that its children die with it
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def send(self, message: Row) -> None:
        assert self.process.stdin
        self.process.stdin.write(dumps(message).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    def kill(self) -> None:
        """At once, with everything it started."""
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        # What left its group (a browser, a daemon) may hold the pipes open: wait for none of them.
        self.process._transport.close()  # type: ignore[attr-defined]


class Jobs:
    """Runs steps and keeps their state. One per engine process; its lock says it is alive."""

    def __init__(self, runs: Runs, tools: Tools, home: Path, module: str):
        self.runs, self.tools, self.home, self.module = runs, tools, home, module
        self.live: dict[int, Job] = {}
        self.on_change: list[Callable[[Job], None]] = []
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = FileLock(home / "locks" / f"{self.owner}.lock")
        self._idle: list[Worker] = []
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()

    def sweep(self) -> int:
        """Interrupt what dead processes left running; owners that hold their lock are alive."""
        dead = {}
        running = self.runs.attempts("state = 'running'")
        for owner in {a["owner"] for a in running} - {self.owner}:
            path = self.home / "locks" / f"{owner}.lock"
            with contextlib.suppress(Timeout), FileLock(path, timeout=0):
                dead[owner] = path
        for path in dead.values():
            path.unlink(missing_ok=True)
        return self.runs.interrupt({*dead})

    async def start(
        self, caller: Caller, pipeline: Any, run_id: int, name: str, inputs: Row
    ) -> Job:
        """Begin a step (inputs as JSON, checked) and return while it works."""
        self._lock.acquire(timeout=0)
        profile_id = caller.profile.id
        about = (profile_id, run_id, pipeline, name, inputs, self.owner)
        attempt, used = await asyncio.to_thread(self.runs.begin, *about)
        job = Job(self.runs.get(profile_id, run_id), attempt)
        self.live[attempt["id"]] = job
        job.task = asyncio.create_task(self._work(job, caller, pipeline, used))
        self._tasks.add(job.task)
        job.task.add_done_callback(self._tasks.discard)
        return job

    async def wait(self, job: Job) -> None:
        """Until the step has settled."""
        await asyncio.shield(job.task)

    def at_work(self, run_id: int, step: str) -> Job | None:
        found = (j for j in self.live.values() if j.run["id"] == run_id)
        return next((j for j in found if j.attempt["step"] == step), None)

    def cancel(self, run_id: int, step: str) -> bool:
        """Stop a step at once, whatever it does; its checkpoint stays. False if none is at work."""
        job = self.at_work(run_id, step)
        if job:
            self._stop(job, "cancelled")
        return job is not None

    def _stop(self, job: Job, ending: str) -> None:
        job.ending = ending
        if job.worker:
            job.worker.kill()
        else:  # it still waits for its turn or its process; soon, so that its task has begun
            job.task.get_loop().call_soon(job.task.cancel)

    async def close(self) -> None:
        """Interrupt what is at work, kill the workers, give the lock back."""
        for job in list(self.live.values()):
            self._stop(job, "interrupted")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3)
        for worker in self._idle:
            worker.kill()
            await worker.process.wait()
        self._lock.release(force=True)
        Path(self._lock.lock_file).unlink(missing_ok=True)

    async def _work(self, job: Job, caller: Caller, pipeline: Any, used: Row) -> None:
        result: Row
        try:
            async with self._slots:
                result = await self._in_worker(job, caller, pipeline, used)
        except asyncio.CancelledError:
            result = {}
        except Exception as error:
            problem = error if isinstance(error, Problem) else _lost(repr(error))
            result = {"failed": problem.as_dict()}
        if "done" in result and not job.ending:
            state, kept = "done", {"output": dumps(result["done"])}
        else:
            trouble = {} if job.ending else result.get("failed") or {}
            if job.log and trouble:
                trouble["log"] = list(job.log)[-30:]
            state, kept = job.ending or "failed", {"error": dumps(trouble)}
        settle = self.runs.settle
        try:
            await asyncio.to_thread(settle, job.attempt, job.run, state, caller.actor, **kept)
        finally:  # only now: whoever looks meanwhile sees it at work, not in nobody's hands
            self.live.pop(job.attempt["id"], None)
            self._changed(job)

    def _changed(self, job: Job) -> None:
        for listener in self.on_change:
            listener(job)

    async def _worker(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
        return await Worker.spawn(self.module)

    async def _in_worker(self, job: Job, caller: Caller, pipeline: Any, used: Row) -> Row:
        if job.ending:
            return {}
        worker = job.worker = await self._worker()
        attempt = job.attempt
        folder = self.runs.files / "runs" / str(job.run["id"]) / str(attempt["id"])
        await worker.send(
            {
                "file": str(pipeline.file),
                "hash": pipeline.hash,
                "text": pipeline.text,
                "pipeline": pipeline.slug,
                "step": attempt["step"],
                "arguments": used | json.loads(attempt["inputs"]),
                "checkpoint": json.loads(attempt["checkpoint"] or "null"),
                "folder": str(folder),
            }
        )
        assert worker.process.stderr
        listening = asyncio.create_task(self._listen(job, worker.process.stderr))
        try:
            return await self._answers(job, caller, worker)
        finally:
            if worker.alive and not job.ending and not self._idle:
                self._idle.append(worker)
            else:
                worker.kill()
                await worker.process.wait()
            listening.cancel()

    async def _listen(self, job: Job, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            job.log.append(line.decode(errors="replace").rstrip()[:2_000])
            self._changed(job)

    async def _answers(self, job: Job, caller: Caller, worker: Worker) -> Row:
        assert worker.process.stdout
        while True:
            try:
                line = await worker.process.stdout.readline()
            except ValueError:
                worker.kill()
                what = f"The output is over {LINE_LIMIT // 2**20} MB."
                raise Problem(what, "Write it to a file: File(path).") from None
            if not line:
                await worker.process.wait()
                raise _lost(f"exit code {worker.process.returncode}")
            answer = json.loads(line)
            if "done" in answer or "failed" in answer:
                return answer
            await self._aside(job, caller, worker, answer)

    async def _aside(self, job: Job, caller: Caller, worker: Worker, answer: Row) -> None:
        if "progress" in answer:
            job.done, job.total, job.message = answer["progress"]
            self._changed(job)
        if "checkpoint" in answer:
            save = self.runs.checkpoint
            await asyncio.to_thread(save, job.attempt["id"], answer["checkpoint"])
            await worker.send({"reply": None})
        if "call" in answer:
            await worker.send({"reply": await self._call(caller, *answer["call"])})

    async def _call(self, caller: Caller, name: str, values: Row) -> Any:
        try:
            return {"result": to_json(await self.tools.call(name, values, caller))}
        except Problem as problem:
            return {"problem": problem.as_dict()}


def _lost(reason: str) -> Problem:
    return Problem(
        f"The step's process ended without an answer ({reason}).",
        "Finished steps are safe. Retry; if it happens again, look at the step's log.",
    )
