"""Jobs: steps at work, each in a worker process that can be killed at any moment.

The worker gets one JSON line and answers in JSON lines: progress, done, failed, and what it needs:
{"need": "call", "with": [tool, values], "id": 3}; {"reply": 3, "result": …} answers that. What it
prints is the step's live log.
"""

from asyncio import CancelledError, Event, Semaphore, Task, Timeout, create_task
from asyncio import shield, sleep, timeout, to_thread, wait
import contextlib
from json import loads
import os
import secrets
from time import monotonic
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock

from pipulate.core.fields import Field, check_values, dumps, foreign, from_json, make_field, to_json
from pipulate.core.kinds import MISSING, NAMED, Between, Choices, Secret, Tags
from pipulate.core.logs import problem_of
from pipulate.core.problems import Confirm, Problem, short
from pipulate.core.process import kill, lost, receive, send, spawn
from pipulate.core.runs import Runs
from pipulate.core.store import Row, now
from pipulate.core.tools import Caller, Tools

AT_ONCE = 4  # steps at work at once; the rest wait
LONG = 500  # characters shown of a call to be confirmed
QUICK = ("checkpoint", "once", "kept")  # needs that wait for nobody: the step keeps its place
LATER = 2.0  # seconds to the next try of a store
LOOK = 0.05  # seconds between two looks whether a step asks: a person will answer


@dataclass
class Job:
    """A step at work: `work` may be cancelled; `task` keeps how it ended."""

    run: Row
    attempt: Row
    step: Any
    caller: Caller
    used: Row  # what earlier steps gave
    done: float = 0
    total: float = 0
    message: str = ""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    started: float = field(default_factory=monotonic)  # later by all the time it stood still
    ending: str = ""  # "cancelled" or "interrupted" once somebody stopped it
    waits: int = 0  # for how many things it waits now
    placed: bool = False  # among those that work; not while it waits
    questions: dict[int, Event] = field(default_factory=dict)  # by record
    limit: Timeout = field(init=False)
    pauses: int = 0  # for how many things its time stands still
    halted: float = 0  # since when
    work: Task[Row] = field(init=False)
    task: Task[None] = field(init=False)

    @property
    def share(self) -> float | None:
        """0..1, None when unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def seconds_left(self) -> float:
        """By the mean rate so far; 0 before the first tenth of a percent."""
        share = self.share or 0
        return (monotonic() - self.started) * (1 / share - 1) if share >= 0.001 else 0

    def note(self, line: str) -> None:
        self.log.append(line.rstrip()[:2_000])

    def stop(self, ending: str) -> None:
        if not self.ending and self.work.cancel():  # once: a second one would not see it gone
            self.ending = ending

    def result(self) -> tuple[str, Row]:
        """(state, columns) of the attempt, now that its work has ended."""
        try:
            answer = self.work.result()
        except CancelledError:
            return self.ending or "interrupted", {"error": "{}"}
        except Exception as error:
            problem = error if isinstance(error, Problem) else lost(repr(error))
            answer = {"failed": problem.as_dict()}
        if "done" in answer:
            return "done", {"output": dumps(answer["done"])}
        return "failed", {"error": dumps(answer["failed"])}


class Jobs:
    """Runs steps and keeps their state. One per engine process; its lock says it is alive.

    `needs`: what a step may ask of it: needs[name](job, *values) → JSON."""

    def __init__(self, runs: Runs, tools: Tools, home: Path, module: str):
        self.runs, self.tools, self.locks, self.module = runs, tools, home / "locks", module
        self.live: dict[tuple[int, str], Job] = {}  # by run and step
        self.following = set[Task[Any]]()
        self.on_change = list[Callable[[Job], None]]()
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.needs: dict[str, Callable[..., Awaitable[Any]]] = {
            name: getattr(self, f"_{name}") for name in ("call", "ask", *QUICK)
        }
        self._lock = FileLock(self.locks / f"{self.owner}.lock")
        self._warm: Process | None = None
        self._places = Semaphore(AT_ONCE)

    def sweep(self) -> None:
        """Interrupt what dead processes left running; owners that hold their lock are alive."""
        for owner in {a["owner"] for a in self.runs.attempts("state = 'running'")} - {self.owner}:
            path = self.locks / f"{owner}.lock"
            with contextlib.suppress(OSError), FileLock(path, timeout=0):
                self.runs.interrupt(owner)
                path.unlink(missing_ok=True)  # Windows does it itself, later

    async def start(
        self,
        caller: Caller,
        pipeline: Any,
        run_id: int,
        name: str,
        inputs: Row,
        fresh: bool = False,
        seen: list[Row] | None = None,
    ) -> Job:
        """Begin a step (inputs: checked JSON) and return while it works; see Runs.begin."""
        self._lock.acquire(timeout=0)
        about = (caller.profile.id, run_id, pipeline, name, inputs, self.owner)
        run = self.runs.get(caller.profile.id, run_id)
        begin = to_thread(self.runs.begin, *about, fresh, caller.actor, seen)
        beginning = create_task(begin)

        async def end() -> None:
            attempt, _ = await beginning
            await to_thread(self.runs.settle, attempt, run, "cancelled", caller.actor)

        try:
            attempt, used = await shield(beginning)
        except CancelledError:  # whoever asked is gone: it would go on
            await shield(end())
            raise
        job = self.live[run_id, name] = Job(run, attempt, pipeline.steps[name], caller, used)
        job.work = create_task(self._work(job, self._request(job, pipeline)))
        job.task = create_task(self._settle(job))
        return job

    async def wait(self, job: Job) -> None:
        await shield(job.task)

    async def wait_or_ask(self, job: Job) -> None:
        while not job.questions and not job.task.done():
            await wait([job.task], timeout=LOOK)

    def cancel(self, run_id: int, step: str) -> Job | None:
        """Stop a step at once; its checkpoint stays. None if it is not at work."""
        if job := self.live.get((run_id, step)):
            job.stop("cancelled")
        return job

    def keep_answer(self, record: Row, said: Any) -> None:
        """To what a step asks. Raises Invalid."""
        asked = question_field(record)
        checked = check_values([asked], {"answer": said}, text=isinstance(said, str))
        value = to_json(foreign(checked["answer"]))
        if value and asked.type is Secret:
            value = self.runs.db.hide(value)
        self.runs.close(record["id"], value)

    def wake(self, record: Row) -> Job | None:
        """Let the step go on that waits for it; None if it is not at work any more."""
        job = self.live.get((record["run_id"], record["step"]))
        if job and (answered := job.questions.pop(record["id"], None)):
            answered.set()
        return job

    async def rest(self) -> None:
        """Begin no step by itself any more."""
        await sleep(0)  # each of them has to have begun
        for task in self.following:
            task.cancel()
        if self.following:
            await wait(self.following, timeout=2)

    async def close(self) -> None:
        for job in self.live.values():
            job.stop("interrupted")
        await self.rest()
        if tasks := [job.task for job in self.live.values()]:
            await wait(tasks, timeout=3)
        if self._warm:
            await kill(self._warm)
        self._lock.release(force=True)
        Path(self._lock.lock_file).unlink(missing_ok=True)

    async def _settle(self, job: Job) -> None:
        await wait([job.work])
        state, kept = job.result()
        kept["log"] = "\n".join(job.log)[-20_000:]
        kept["started_utc"] = now(job.started - monotonic())
        about = (job.attempt, job.run, state, job.caller.actor)
        try:
            while True:
                try:
                    return await to_thread(self.runs.settle, *about, **kept)
                except Problem as error:
                    job.message = str(error)
                self.changed(job)
                await sleep(LATER)
        finally:  # only now: until then it is seen at work
            at = job.run["id"], job.attempt["step"]
            if self.live.get(at) is job:  # else it was begun anew meanwhile
                del self.live[at]
            self.changed(job)

    def changed(self, job: Job) -> None:
        for listener in self.on_change:
            listener(job)

    def _request(self, job: Job, pipeline: Any) -> Row:
        attempt, journal = job.attempt, self.runs.journal(job.attempt)
        return {
            "file": pipeline.file,
            "text": pipeline.content.decode("latin-1"),  # any bytes, there and back
            "pipeline": pipeline.slug,
            "step": attempt["step"],
            "arguments": job.used | loads(attempt["inputs"]),
            "checkpoint": loads(attempt["checkpoint"] or "null"),
            "folder": journal.parent / str(attempt["id"]),
            "journal": journal,
        }

    async def _work(self, job: Job, request: Row) -> Row:
        await self._places.acquire()
        job.placed, listening = True, None
        process, self._warm = self._warm, None
        try:
            if not process or process.returncode is not None:
                process = await spawn(self.module)
            listening = create_task(self._listen(job, process))
            await send(process, request)
            answer = await self._answer(job, process)
            if "last" not in answer:
                self._warm = self._warm or process
            return answer
        finally:
            if job.placed:
                self._places.release()
            if process and process is not self._warm:
                await kill(process)
            if listening:
                listening.cancel()

    async def _listen(self, job: Job, process: Process) -> None:
        assert process.stderr
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:  # too long; a full pipe halts the step
                line = b"(A line of over 8 MB.)"
            if not line:
                return
            job.note(line.decode(errors="replace"))
            self.changed(job)

    async def _answer(self, job: Job, process: Process) -> Row:
        needs, job.started = set[Task[None]](), monotonic()
        try:
            async with timeout(job.step.seconds) as job.limit:
                while True:
                    match await receive(process):
                        case {"progress": said}:
                            job.done, job.total, job.message = said
                            self.changed(job)
                        case {"need": _} as message:
                            need = create_task(self._need(job, process, message))
                            needs.add(need)
                            need.add_done_callback(needs.discard)
                        case answer:
                            return answer
        except TimeoutError:
            what = f"The step took over {job.step.seconds:g} s and was stopped."
            raise Problem(what, "Retry, or give it more: step(seconds=…).") from None
        finally:
            for need in [*needs]:
                need.cancel()

    async def _need(self, job: Job, process: Process, message: Row) -> None:
        slow = message["need"] not in QUICK
        job.waits += slow
        if slow and job.placed:  # while a step waits for somebody, another may have its place
            job.placed = False
            self._places.release()
        try:
            reply = {"result": await self.needs[message["need"]](job, *message["with"])}
        except Exception as error:
            reply = {"problem": problem_of(error).as_dict()}
        job.waits -= slow
        if slow and not job.waits:  # unless cancelled: the step is over, nobody would give it back
            with _paused(job):
                await self._places.acquire()
            if job.placed or job.waits:  # meanwhile another need of it ended, or came
                self._places.release()
            else:
                job.placed = True
        await send(process, reply | {"reply": message["id"]})

    async def _checkpoint(self, job: Job, data: Any) -> None:
        new = {"id": job.attempt["id"], "checkpoint": dumps(data)}
        await to_thread(self.runs.attempts.update, new)

    async def _call(self, job: Job, name: str, values: Row) -> Any:
        step, given = f"{job.run['id']}/{job.attempt['step']}", from_json(values)
        caller, tool = replace(job.caller, parent=step, patient=False), self.tools.by_name.get(name)
        meant = tool and tool.kind == "outside"  # such as the run itself that was asked for
        sure = caller.confirmed and bool(caller.sure or caller.actor != "shell" or meant)
        try:
            return await self.tools.call(name, given, replace(caller, confirmed=sure))
        except Confirm as needed:
            shown = short(self.tools.shown(name, dumps(values)), LONG)
            asks = f"{needed.what.replace(name, shown, 1)} Go on?"
            if await self._ask(job, asks, {"choices": ["no", "yes"], "person": True}) == "no":
                raise
        # in the name of who said yes
        return await self.tools.call(name, given, replace(job.caller, parent=step, confirmed=True))

    async def _ask(self, job: Job, question: str, about: Row) -> Any:
        said = job.run, job.attempt, question, about, job.caller.actor
        record = await to_thread(self.runs.ask, *said)
        secret = question_field(record).type is Secret  # or refused: now, not by who answers
        while (record := self.runs.records[record["id"]])["state"] == "waiting":
            await self._answered(job, record["id"])
        value = loads(record["value"])
        value = self.runs.db.reveal(value) if secret and value else value
        if "person" in about:  # who says yes says it to this time alone
            self.runs.records.delete(record["id"])
        return value

    async def _answered(self, job: Job, record: int) -> None:
        answered = job.questions.setdefault(record, Event())
        self.changed(job)
        try:
            with _paused(job):
                await answered.wait()
        finally:
            job.questions.pop(record, None)
            self.changed(job)

    async def _once(self, job: Job, name: str) -> Row:
        record, fresh = await to_thread(self.runs.effect, job.attempt, job.used, name)
        state = "new" if fresh else "done" if record["state"] == "done" else "unknown"
        value = loads(record["value"] or "null")
        return {"record": record["id"], "state": state, "value": value}

    async def _kept(self, job: Job, record: int, happened: bool, value: Any) -> None:
        done = (self.runs.close, record, value) if happened else (self.runs.records.delete, record)
        await to_thread(*done)


@contextlib.contextmanager
def _paused(job: Job) -> Iterator[None]:
    if not job.pauses:
        job.halted = monotonic()
        job.limit.reschedule(None)
    job.pauses += 1
    yield
    job.pauses -= 1
    if not job.pauses:
        job.started += monotonic() - job.halted
        job.limit.reschedule(job.step.seconds and job.started + job.step.seconds)


def question_field(record: Row) -> Field:
    """The field that answers a question: of the type or choices it was asked with."""
    about = loads(record["about"])
    kind = NAMED.get(about.get("type", ""), str)
    if choices := about.get("choices"):
        one = list[str] if kind is Tags else type(choices[0])
        kind = Annotated[one, Choices(tuple(choices))]
    if bounds := about.get("bounds"):
        kind = Annotated[kind, Between(**bounds)]
    default = None if about.get("optional") else MISSING
    return make_field("answer", kind, default, f"{record['step']}: ")
