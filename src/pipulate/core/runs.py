"""Runs: one pass of a pipeline, kept as attempts of its steps. What is stale is derived.

A step's key is its source, its inputs and the outputs it uses: an attempt whose key still matches
is fresh, even an older one; the newest finished one with another key is shown as stale.
`pipeline` is anything with `slug` and `steps` (name → step with uses, fields, source).
"""

import contextlib
from json import loads
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from pipulate.core.fields import digest, dumps, from_json
from pipulate.core.kinds import File
from pipulate.core.problems import Conflict, Locked, Missing, Problem, Waiting
from pipulate.core.store import Change, Database, Row, Table, now
from pipulate.core.tables import AMONG

UNDONE = ("failed", "interrupted", "cancelled")
STOPPED = UNDONE[:2]  # by nobody's wish: the inbox lists them
PAST = ("done", "skipped")  # later steps may go on
WAITING = "run_id = ? AND step = ? AND state = 'waiting'"  # a step's open questions
STUCK = f"""a.state IN {STOPPED} AND NOT EXISTS (
    SELECT 1 FROM attempts b WHERE b.run_id = a.run_id AND b.step = a.step AND b.id > a.id)"""
ASKED = "SELECT 1 FROM records q WHERE q.run_id = r.id AND q.state = 'waiting'"
LISTING = f"""SELECT r.*, count(DISTINCT a.step) FILTER (WHERE a.state IN {PAST}) AS done,
    CASE WHEN locked_utc IS NOT NULL THEN 'finished'
        WHEN EXISTS ({ASKED}) THEN 'waiting'
        WHEN max(a.state = 'running') THEN 'running'
        WHEN max({STUCK}) THEN 'failed'
        ELSE 'open' END AS state
    FROM runs r LEFT JOIN attempts a ON a.run_id = r.id
    WHERE profile_id = ? AND ? IN ('', pipeline) AND deleted_utc IS NULL
        AND instr(lower(r.id || ' ' || name || ' ' || r.inputs), ?)
    GROUP BY r.id ORDER BY r.id DESC LIMIT ? OFFSET ?"""
INBOX = f"""WITH waits AS (
        SELECT id, run_id, step, 'question' AS kind, name AS said, at_utc FROM records
        WHERE state = 'waiting' UNION ALL
        SELECT id, run_id, step, state, coalesce(json_extract(error, '$.problem'), ''),
            coalesce(ended_utc, started_utc) FROM attempts a WHERE {STUCK})
    SELECT w.id, profile_id, pipeline, r.id AS run, r.name, inputs, step, kind, said, at_utc
    FROM waits w JOIN runs r ON r.id = run_id JOIN profiles p ON p.id = profile_id
    WHERE r.deleted_utc IS NULL AND p.deleted_utc IS NULL AND (kind = 'question'
        OR locked_utc IS NULL AND NOT EXISTS ({ASKED} AND q.step = w.step))
    ORDER BY at_utc DESC LIMIT 200"""
LOOKED_AT = 20  # of what waits, whether it was mended: every page shows how many wait


@dataclass(frozen=True)
class StepState:
    """state: blocked, ready, running, waiting, done, skipped, stale or one of UNDONE.

    inputs: JSON. late: earlier steps it uses that are not past. question: the record that waits."""

    step: Any
    state: str
    key: str
    inputs: Row
    attempt: Row
    late: list[str] = field(default_factory=list)
    tries: list[Row] = field(default_factory=list)  # all, newest first: id, step, state, key
    question: Row = field(default_factory=dict)

    @property
    def kept(self) -> Any:
        """The output as JSON, None without one."""
        return loads(self.attempt.get("output") or "null")

    @property
    def output(self) -> Any:
        """As Python values (File, Rows included), None without one."""
        return from_json(self.kept)

    @property
    def has_output(self) -> bool:
        return self.state in ("done", "stale")

    @property
    def at_work(self) -> bool:
        return self.attempt.get("state") == "running"

    @property
    def fails(self) -> int:  # in a row
        return len([*takewhile(lambda one: one["state"] == self.state == "failed", self.tries)])

    @property
    def error(self) -> Row:
        return loads(self.attempt.get("error") or "{}")

    @property
    def why(self) -> str:  # of a stale step
        if self.attempt.get("source") not in ("", self.step.source):
            return "its code changed"
        same = loads(self.attempt.get("inputs") or "{}") == self.inputs
        return "an earlier step changed" if same else "its inputs changed"


def step_key(step: Any, inputs: Row, used: list[str]) -> str:
    """SHA-256 over its source (if any), inputs, used outputs; a file counts with size and time."""
    stamps = []
    for value in from_json(inputs).values():
        with contextlib.suppress(OSError, ValueError):  # it is gone, or JSON that looks like one
            if isinstance(value, File):
                stat = value.path.stat()
                stamps.append([stat.st_size, stat.st_mtime_ns])
    return digest(dumps([getattr(step, "source", step), inputs, stamps, used]))


def inputs_of(step: Any, given: Row) -> Row:
    """What a step is given: `step.name` is for it alone, `name` for all."""
    keys = ((f.name, key) for f in step.fields for key in (f.name, f"{step.name}.{f.name}"))
    return {name: given[key] for name, key in keys if key in given}


def _state(
    step: Any, given: Row, tries: list[Row], before: dict[str, StepState], asked: Row, table: Table
) -> StepState:
    inputs, ups = inputs_of(step, given), [before[name] for name in step.uses]
    late = [up.step.name for up in ups if up.state not in PAST]
    key = step_key(step, inputs, [digest(up.attempt.get("output") or "") for up in ups])
    past = [t for t in tries if t["state"] in PAST]
    same = [t for t in past if t["key"] == key]
    found = tries[0] if tries else {}
    state = found.get("state", "ready")
    if state == "running" or (state in UNDONE and found["key"] == key):
        state = "waiting" if asked and state in ("running", "interrupted") else state
    elif same and not late:
        state, found = same[0]["state"], same[0]
    elif done := [t for t in past if t["state"] == "done"]:
        state, found = "stale", done[0]
    else:
        state, found = "blocked" if late else "ready", {}
    found = table.raw(found["id"]) | found if found else {}  # its state as it was above
    asked = asked if state == "waiting" else {}
    return StepState(step, state, key, inputs, found, late, tries, asked)


class Late(Conflict, status=400):
    """Of two clicks the second."""


class Runs:
    """The state machine in the store; jobs.py does the work."""

    def __init__(self, db: Database, files: Path):
        self.db, self.files = db, files
        self.pipeline: Callable[[str], Any] = lambda slug: None  # the one of that name now, if any
        self.attempts = db.table("attempts", logged=False)
        self.records = db.table("records", logged=False)

    def table(self, profile_id: int, logged: bool = False) -> Table:
        return self.db.table("runs", scoped=True, logged=logged).xtra(profile_id=profile_id)

    def create(self, profile_id: int, pipeline: str, inputs: Row | None = None, **more: str) -> Row:
        """A new run (more: name, parent). No event: it is taken back by deleting it."""
        about = {"pipeline": pipeline, "inputs": inputs or {}, "created_utc": now()}
        return self.table(profile_id).insert(about, **more)

    def get(self, profile_id: int, run_id: int, pipeline: str = "") -> Row:
        """A run that is not deleted (of this pipeline, when named). Raises Missing."""
        where = "id = ? AND deleted_utc IS NULL AND ? IN ('', pipeline)"
        if not (found := self.table(profile_id)(where, (run_id, pipeline))):
            raise Missing(f"There is no run {run_id} here.", "Open the pipeline to see its runs.")
        return found[0]

    def listing(
        self, profile_id: int, pipeline: str = "", limit: int = 100, q: str = "", skip: int = 0
    ) -> list[Row]:
        """Newest first, each with its count of `done` steps and its `state` (LISTING, or done);

        with `q` those whose number, name or inputs hold it."""
        rows = self.db.all(LISTING, (profile_id, pipeline, q.lower(), limit, skip))
        for run in rows:
            if run["state"] in ("finished", "running") or not (found := self._by_now(run)):
                continue
            run["done"] = sum(state in PAST for state in found.values())
            told = {*found.values()}
            left = "open" if told - {*PAST} else "done"
            left = "failed" if told & {*STOPPED} else left
            run["state"] = "waiting" if "waiting" in told else left
        return rows

    def _by_now(self, run: Row) -> dict[str, str]:
        pipeline = self.pipeline(run["pipeline"])
        return {n: s.state for n, s in self.states(run, pipeline).items()} if pipeline else {}

    def inbox(self) -> list[Row]:
        """What waits for somebody in all runs of all profiles, newest first.

        {id, profile_id, pipeline, run, name, inputs, step, kind: question or of STOPPED, said,
        at_utc}; of the newest no step that was mended."""

        def waits(row: Row) -> bool:
            states = self._by_now(row | {"id": row["run"]})
            state = states.get(row["step"], row["kind"] == "question")  # of a step that is gone
            return not states or state in (*STOPPED, "waiting", True)

        rows = self.db.all(INBOX)
        return [*filter(waits, rows[:LOOKED_AT]), *rows[LOOKED_AT:]]

    def states(self, run: Row, pipeline: Any) -> dict[str, StepState]:
        tries, asked = defaultdict(list), dict[str, Row]()
        tell, newest = "id, step, state, key", " ORDER BY id DESC"
        for attempt in self.attempts.select(tell, "run_id = ?", (run["id"],), newest):
            tries[attempt["step"]].append(attempt)
        for record in self.records("run_id = ? AND state = 'waiting'", (run["id"],), "id"):
            asked.setdefault(record["step"], record)
        given, found = loads(run["inputs"]), dict[str, StepState]()
        for name, step in pipeline.steps.items():
            known = (tries[name], found, asked.get(name, {}))
            found[name] = _state(step, given, *known, self.attempts)
        return found

    def keep(self, profile_id: int, run_id: int, inputs: Row, pipeline: str = "") -> Row:
        """Add inputs to a run; returns it. No event: they are undone by revising."""
        with self.db.writing():
            run = self.get(profile_id, run_id, pipeline)
            if run["locked_utc"]:
                raise Locked(f"Run {run_id} is finished and locked.", "Reopen it to change it.")
            merged = loads(run["inputs"]) | inputs
            return self.table(profile_id).update(id=run_id, inputs=dumps(merged))

    def begin(
        self,
        profile_id: int,
        run_id: int,
        pipeline: Any,
        name: str,
        inputs: Row,
        owner: str,
        fresh: bool = False,
        actor: str = "system",
        seen: list[Row] | None = None,
    ) -> tuple[Row, Row]:
        """Keep the inputs and open an attempt; returns (attempt, outputs it uses), all JSON.

        One that stopped passes on what it kept, unless `fresh`; effects stay done. `seen`: its
        tries when this was decided. Raises Locked, Waiting, Conflict: it was run since."""
        run = self.get(profile_id, run_id)
        with self._told(run, name, actor, "opened", "began"):
            given = loads(run["inputs"])
            inputs = {f"{name}.{n}" if f"{name}.{n}" in given else n: inputs[n] for n in inputs}
            states = self.states(self.keep(profile_id, run_id, inputs, pipeline.slug), pipeline)
            old = states[name]
            if seen not in (None, old.tries):
                raise Late(f"{name} was run meanwhile.", "See how it went.")
            if old.at_work:
                raise Problem(f"{name} is running already.", "Wait for it, or cancel it.")
            if old.late:
                raise Waiting(f"{name} needs {', '.join(old.late)} first.", f"Run {old.late[0]}.")
            resumes = not fresh and old.attempt.get("state") in UNDONE  # its key is the same
            checkpoint = old.attempt["checkpoint"] if resumes else None
            about = {"owner": owner, "checkpoint": checkpoint, "resumes": resumes}
            attempt = self._attempt(run_id, old, "running", **about)
            where = "run_id = ? AND step = ? AND kind != 'effect' AND (key != ? OR NOT ?)"
            self.records.delete_many(where, (run_id, name, old.key, resumes))
            if not resumes:
                self._tidy(attempt)
        return attempt, {up: loads(states[up].attempt["output"]) for up in old.step.uses}

    def _attempt(self, run_id: int, old: StepState, state: str, **more: Any) -> Row:
        new = {"run_id": run_id, "step": old.step.name, "state": state, "started_utc": now()}
        new |= {"key": old.key, "inputs": old.inputs, "source": old.step.source}
        return self.attempts.insert(new, **more)

    def skip(self, profile_id: int, run_id: int, pipeline: Any, name: str, actor: str) -> None:
        """Later steps get None for its output. Raises Locked, Waiting."""
        with self._told(self.get(profile_id, run_id), name, actor, "skipped", "was skipped"):
            old = self.states(self.keep(profile_id, run_id, {}, pipeline.slug), pipeline)[name]
            if old.at_work or old.late:
                raise Waiting(f"{name} cannot be skipped now.", "Run earlier steps first.")
            self.records.delete_many(WAITING, (run_id, name))
            self._attempt(run_id, old, "skipped", owner="", output="null", ended_utc=now())

    def settle(self, attempt: Row, run: Row, state: str, actor: str, **result: Any) -> None:
        """Close an attempt: state and output (or error) in one transaction with its event."""
        said = {"done": "is done", "cancelled": "was cancelled"}.get(state, state)
        with self._told(run, attempt["step"], actor, state, said):
            self.attempts.update(id=attempt["id"], state=state, ended_utc=now(), **result)
            if state != "interrupted":  # what it asked is of no use any more
                self.records.delete_many(WAITING, (run["id"], attempt["step"]))
        if state == "done":
            self._tidy(attempt)

    def journal(self, attempt: Row) -> Path:
        """How the names of the files of job.map begin, by key."""
        return self.files / "runs/{run_id}/.{step}-{key:.16}".format(**attempt)

    def journals(self, attempt: Row) -> list[Path]:
        path = self.journal(attempt)
        return [*path.parent.glob(f"{path.name}-*")]

    def _tidy(self, attempt: Row) -> None:
        for path in self.journals(attempt):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self, run: Row, step: str, actor: str, verb: str, said: str) -> Iterator[Change]:
        about = {"actor": actor, "profile_id": run["profile_id"], "verb": f"step_{verb}"}
        with self.db.change(target=f"runs/{run['id']}/{step}", **about) as change:
            change.summary = f"{run['pipeline']} run {run['id']}: {step} {said}"[:300]
            yield change

    def record(
        self, attempt: Row, kind: str, name: str, state: str, about: Row, *older: str
    ) -> tuple[Row, bool]:
        """The record of that name under the attempt's key (or an older one); whether it is new."""
        key = {n: attempt[n] for n in ("run_id", "step", "key")} | {"kind": kind, "name": name}
        with self.db.writing():
            for one in (key["key"], *older):
                if found := self.records.xtra(**key | {"key": one})():
                    return found[0], False
            return self.records.insert(key, state=state, about=about, at_utc=now()), True

    def effect(self, attempt: Row, used: Row, name: str) -> tuple[Row, bool]:
        """Its record, whatever the step's source: who mends the file pays nothing again."""
        inputs, ups = loads(attempt["inputs"]), [digest(dumps(up)) for up in used.values()]
        tries = self.attempts.xtra(run_id=attempt["run_id"], step=attempt["step"])
        # in homes of before 28 November it lies under the key of its try
        older = [step_key(one["source"], inputs, ups) for one in tries.select("DISTINCT source")]
        key = {"key": step_key(None, inputs, [dumps(used)])}
        return self.record(attempt | key, "effect", name, "intent", {}, *older)

    def ask(self, run: Row, attempt: Row, question: str, about: Row, actor: str) -> Row:
        """The record of a question; one that is new is an event."""
        with self._told(run, attempt["step"], actor, "waiting", f"asks: {question}") as change:
            record, fresh = self.record(attempt, "question", question, "waiting", about)
            if not fresh:
                change.summary = ""
        return record

    def answers(self, run_id: int) -> dict[tuple[str, str], Row]:
        """{(step, key): {question: answer as JSON}}, without secrets."""
        said = defaultdict[tuple[str, str], Row](dict)
        told = "kind = 'question' AND state = 'done' AND about ->> 'type' IS NOT 'Secret'"
        for record in self.records(f"run_id = ? AND {told}", (run_id,)):
            said[record["step"], record["key"]][record["name"]] = loads(record["value"])
        return said

    def close(self, record_id: int, value: Any) -> None:
        """Keep the answer or the result of a record."""
        self.records.update(id=record_id, state="done", value=dumps(value))

    def question(self, profile_id: int, run_id: int, step: str = "", said: str = "") -> Row:
        """The first question that a run (or this step of it) waits with, or the one so `said`.

        Raises Missing."""
        self.get(profile_id, run_id)
        where = "run_id = ? AND ? IN ('', step) AND ? IN ('', name) AND state = 'waiting'"
        if found := self.records(where, (run_id, step, said), "id", 1):
            return found[0]
        what = f"Run {run_id} asks {'that no more' if said else 'nothing now'}."
        raise Missing(what, "See its steps.")

    def mark(self, profile_id: int, run_id: int, **columns: str | None) -> Row:
        """Finish or reopen (locked_utc), name or delete (deleted_utc) a run. Raises Problem."""
        with self.db.writing():
            self.get(profile_id, run_id)
            self._refuse_at_work(run_id)
            return self.table(profile_id, logged=True).update(id=run_id, **columns)

    def _refuse_at_work(self, run_id: int, step: str = "") -> None:
        running = "run_id = ? AND ? IN ('', step) AND state = 'running'"
        if self.attempts.count(running, (run_id, step)):
            raise Problem(f"{step or 'This run'} is at work.", "Cancel it first.")

    def discard(self, profile_id: int, run_id: int, step: str) -> None:
        """Forget what a stopped step left, its question too."""
        self.keep(profile_id, run_id, {})
        self._refuse_at_work(run_id, step)
        where = f"run_id = ? AND step = ? AND state IN {UNDONE}"
        self.db.table("attempts").update_many(where, (run_id, step), state="discarded")
        self.db.table("records").delete_many(WAITING, (run_id, step))

    def discard_all(self, kinds: tuple[str, ...], profile_id: int | None) -> int:
        """Forget what the inbox lists of these kinds (STOPPED); None: in all profiles."""
        rows = [row for row in self.inbox() if row["kind"] in kinds]
        keys = dumps([row["id"] for row in rows if profile_id in (None, row["profile_id"])])
        return self.db.table("attempts").update_many(f"id {AMONG}", (keys,), state="discarded")

    def interrupt(self, owner: str) -> None:
        """Mark what this dead owner left running."""
        ours = "state = 'running' AND owner = ?"
        self.attempts.update_many(ours, (owner,), state="interrupted", ended_utc=now())
