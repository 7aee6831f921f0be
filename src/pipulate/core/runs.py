"""Runs: one pass of a pipeline, kept as attempts of its steps. What is stale is derived.

A pipeline here is anything with `slug` and `steps` (name → step with uses, fields, source).
A step's key is its source, its inputs and the outputs it uses: an attempt whose key still matches
is fresh, even an older one; the newest finished one with another key is shown as stale.
"""

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipulate.core.fields import dumps, from_json
from pipulate.core.problems import Locked, Missing, Problem, Waiting
from pipulate.core.store import Database, Row, Table, now

UNDONE = ("failed", "interrupted", "cancelled")


@dataclass(frozen=True)
class StepState:
    """state: blocked, ready, running, done, stale or one of UNDONE; inputs: JSON."""

    step: Any
    state: str
    key: str
    inputs: Row
    attempt: Row

    @property
    def output(self) -> Any:
        """As Python values (File included), None without one."""
        return from_json(json.loads(self.attempt.get("output") or "null"))

    @property
    def has_output(self) -> bool:
        return self.state in ("done", "stale")

    @property
    def error(self) -> Row:
        return json.loads(self.attempt.get("error") or "{}")


def step_key(step: Any, inputs: Row, used: list[str]) -> str:
    """SHA-256 over source, inputs and used outputs; a file counts with its size and time."""
    files = (Path(v["$file"]) for v in inputs.values() if isinstance(v, dict) and "$file" in v)
    stats = [file.stat() for file in files if file.exists()]
    stamps = [[stat.st_size, stat.st_mtime_ns] for stat in stats]
    return _hash(dumps([step.source, inputs, stamps, used]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _state(step: Any, given: Row, tries: list[Row], before: dict[str, StepState]) -> StepState:
    """`tries`: the step's attempts, newest first; `before`: the states of earlier steps."""
    inputs = {f.name: given[f.name] for f in step.fields if f.name in given}
    ups = [before[name] for name in step.uses]
    ready = all(up.state == "done" for up in ups)
    key = step_key(step, inputs, [_hash(up.attempt.get("output") or "") for up in ups])
    done = [t for t in tries if t["state"] == "done"]
    same = [t for t in done if t["key"] == key]
    found = tries[0] if tries else {}
    state = found.get("state", "ready")
    if state == "running" or (state in UNDONE and found["key"] == key):
        pass
    elif done:
        state, found = "done" if same and ready else "stale", [*same, *done][0]
    elif not ready:
        state, found = "blocked", {}
    return StepState(step, state, key, inputs, found)


class Runs:
    """The runs in the store: the state machine. jobs.py does the work."""

    def __init__(self, db: Database, files: Path):
        self.db, self.files = db, files
        self.attempts = db.table("attempts", logged=False)

    def table(self, profile_id: int, logged: bool = False) -> Table:
        return self.db.table("runs", scoped=True, logged=logged).xtra(profile_id=profile_id)

    def create(self, profile_id: int, pipeline: str, inputs: Row | None = None) -> Row:
        """A new run. No event holds it: to take it back is to delete it, outputs and all."""
        about = {"pipeline": pipeline, "inputs": dumps(inputs or {}), "created_utc": now()}
        return self.table(profile_id).insert(about)

    def get(self, profile_id: int, run_id: int, pipeline: str = "") -> Row:
        """A run that is not deleted (of this pipeline, when named). Raises Missing."""
        where = "id = ? AND deleted_utc IS NULL AND ? IN ('', pipeline)"
        found = self.table(profile_id)(where, (run_id, pipeline))
        if not found:
            raise Missing(f"There is no run {run_id} here.", "Open the pipeline to see its runs.")
        return found[0]

    def listing(self, profile_id: int, pipeline: str = "", limit: int = 100) -> list[Row]:
        """Runs, newest first, each with `done` steps and a `state`: running, finished or open."""
        return self.db.all(
            "SELECT r.*, count(DISTINCT step) FILTER (WHERE state = 'done') AS done,"
            " CASE WHEN locked_utc IS NOT NULL THEN 'finished'"
            " WHEN max(state = 'running') THEN 'running' ELSE 'open' END AS state"
            " FROM runs r LEFT JOIN attempts a ON run_id = r.id WHERE profile_id = ?"
            " AND ? IN ('', pipeline) AND deleted_utc IS NULL"
            " GROUP BY r.id ORDER BY r.id DESC LIMIT ?",
            (profile_id, pipeline, limit),
        )

    def states(self, run: Row, pipeline: Any) -> dict[str, StepState]:
        """Every step's state, in order."""
        tries = defaultdict(list)
        for attempt in self.attempts("run_id = ?", (run["id"],), "id DESC"):
            tries[attempt["step"]].append(attempt)
        given, found = json.loads(run["inputs"]), dict[str, StepState]()
        for name, step in pipeline.steps.items():
            found[name] = _state(step, given, tries[name], found)
        return found

    def keep(self, profile_id: int, run_id: int, inputs: Row, pipeline: str = "") -> Row:
        """Add inputs to a run; returns it. No event holds them: they are undone by revising."""
        with self.db.writing():
            run = self.get(profile_id, run_id, pipeline)
            if run["locked_utc"]:
                raise Locked(f"Run {run_id} is finished and locked.", "Reopen it to change it.")
            merged = json.loads(run["inputs"]) | inputs
            return self.table(profile_id).update(id=run_id, inputs=dumps(merged))

    def begin(
        self, profile_id: int, run_id: int, pipeline: Any, name: str, inputs: Row, owner: str
    ) -> tuple[Row, Row]:
        """Keep the inputs (JSON) and open an attempt; returns (attempt, outputs it uses, as JSON).

        One that stopped with the same key passes its checkpoint on. Raises Locked, Waiting."""
        with self.db.change():
            states = self.states(self.keep(profile_id, run_id, inputs, pipeline.slug), pipeline)
            old, used = states[name], states[name].step.uses
            if old.state == "running":
                raise Problem(f"{name} is running already.", "Wait for it, or cancel it.")
            if late := [up for up in used if states[up].state != "done"]:
                raise Waiting(f"{name} needs {', '.join(late)} first.", f"Run {late[0]}.")
            resumes = old.state in UNDONE and old.attempt["key"] == old.key
            new = {"run_id": run_id, "step": name, "state": "running", "owner": owner}
            new |= {"key": old.key, "inputs": dumps(old.inputs), "started_utc": now()}
            checkpoint = old.attempt["checkpoint"] if resumes else None
            attempt = self.attempts.insert(new, checkpoint=checkpoint)
        return attempt, {up: json.loads(states[up].attempt["output"]) for up in used}

    def settle(self, attempt: Row, run: Row, state: str, actor: str, **result: Any) -> None:
        """Close an attempt: state and output (or error) in one transaction with its event."""
        said = {"done": "is done", "cancelled": "was cancelled"}.get(state, state)
        about = f"{run['pipeline']} run {run['id']}: {attempt['step']} {said}"
        with self.db.change(actor=actor, verb=f"step_{state}", profile_id=run["profile_id"]) as c:
            c.target, c.summary = f"runs/{run['id']}/{attempt['step']}", about
            self.attempts.update(id=attempt["id"], state=state, ended_utc=now(), **result)

    def mark(self, profile_id: int, run_id: int, **columns: str | None) -> Row:
        """Finish or reopen (locked_utc), or delete (deleted_utc) a run; refused while at work."""
        self.get(profile_id, run_id)
        if self.attempts.count("run_id = ? AND state = 'running'", (run_id,)):
            raise Problem("This run is at work.", "Cancel its step first.")
        return self.table(profile_id, logged=True).update(id=run_id, **columns)

    def interrupt(self, owner: str) -> None:
        """Mark what this dead owner left running."""
        sql = "UPDATE attempts SET state = 'interrupted', ended_utc = ?"
        self.db.execute(f"{sql} WHERE state = 'running' AND owner = ?", (now(), owner))
