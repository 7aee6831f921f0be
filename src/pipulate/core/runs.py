"""Runs: one pass of a pipeline, kept as attempts of its steps; what is stale is derived, not stored.

A pipeline here is anything with `slug` and `steps` (name → step with name, uses, fields, source).
A step's key is its source, its inputs and the outputs it uses: an attempt whose key still matches
is fresh, even an older one; the newest finished one with another key is shown as stale.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipulate.core.fields import dumps, from_json
from pipulate.core.problems import Locked, Missing, Problem, Waiting
from pipulate.core.store import Database, now

UNDONE = ("failed", "interrupted", "cancelled")


@dataclass(frozen=True)
class StepState:
    """state: blocked, ready, running, done, stale, failed, interrupted or cancelled."""

    step: Any
    state: str
    key: str
    inputs: dict[str, Any]
    attempt: dict[str, Any] | None = None

    @property
    def output(self) -> Any:
        """The step's output as Python values (File included), None without one."""
        stored = self.attempt and self.attempt["output"]
        return from_json(json.loads(stored)) if stored else None

    @property
    def has_output(self) -> bool:
        return self.state in ("done", "stale")

    @property
    def error(self) -> dict[str, Any]:
        return json.loads((self.attempt or {}).get("error") or "{}")


def step_key(step: Any, inputs: dict[str, Any], used: list[str]) -> str:
    """SHA-256 over source, inputs and used outputs; a file counts with its size and time."""
    stamps = []
    for value in inputs.values():
        if isinstance(value, dict) and "$file" in value and Path(value["$file"]).exists():
            stat = Path(value["$file"]).stat()
            stamps.append([stat.st_size, stat.st_mtime_ns])
    parts = dumps([step.source, inputs, stamps, used])
    return hashlib.sha256(parts.encode()).hexdigest()


class Runs:
    """The runs in the store. Changes here are the state machine; jobs.py does the work."""

    def __init__(self, db: Database, files: Path):
        self.db, self.files = db, files
        self.attempts = db.table("attempts", logged=False)

    def table(self, profile_id: int) -> Any:
        return self.db.table("runs", scoped=True).xtra(profile_id=profile_id)

    def create(self, profile_id: int, pipeline: str, name: str = "") -> dict[str, Any]:
        return self.table(profile_id).insert(pipeline=pipeline, name=name, created_utc=now())

    def get(self, profile_id: int, run_id: int, pipeline: str = "") -> dict[str, Any]:
        """A run that is not deleted (of this pipeline, when named). Raises Missing."""
        table = self.table(profile_id)
        run = table[run_id] if run_id in table else {"deleted_utc": "never made"}
        if run["deleted_utc"] or pipeline not in ("", run["pipeline"]):
            raise Missing(f"There is no run {run_id} here.", "Open the pipeline to see its runs.")
        return run

    def listing(self, profile_id: int, pipeline: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Runs, newest first, each with `done` steps and a `state`: running, finished or open."""
        return self.db.all(
            "SELECT r.*, (SELECT count(DISTINCT step) FROM attempts a WHERE a.run_id = r.id"
            " AND a.state = 'done') AS done, CASE WHEN r.locked_utc IS NOT NULL THEN 'finished'"
            " WHEN EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = r.id AND a.state = 'running')"
            " THEN 'running' ELSE 'open' END AS state FROM runs r WHERE r.profile_id = ?"
            " AND (? IN ('', r.pipeline)) AND r.deleted_utc IS NULL ORDER BY r.id DESC LIMIT ?",
            (profile_id, pipeline, limit),
        )

    def states(self, run: dict[str, Any], pipeline: Any) -> dict[str, StepState]:
        """Every step's state, in order."""
        tries: dict[str, list[dict[str, Any]]] = {}
        sql = "SELECT * FROM attempts WHERE run_id = ? ORDER BY id DESC"
        for attempt in self.db.all(sql, (run["id"],)):
            tries.setdefault(attempt["step"], []).append(attempt)
        given = json.loads(run["inputs"])
        found: dict[str, StepState] = {}
        for step in pipeline.steps.values():
            found[step.name] = self._state(step, given, tries.get(step.name, []), found)
        return found

    def _state(self, step: Any, given: dict, tries: list[dict], before: dict) -> StepState:
        inputs = {f.name: given[f.name] for f in step.fields if f.name in given}
        ups = [before[name] for name in step.uses]
        key = step_key(step, inputs, [_hash(up.attempt) for up in ups])
        ready = all(up.state == "done" for up in ups)
        newest = tries[0] if tries else None
        if newest and newest["state"] == "running":
            return StepState(step, "running", key, inputs, newest)
        done = [t for t in tries if t["state"] == "done"]
        same = next((t for t in done if t["key"] == key), None)
        failed = newest if newest and newest["state"] in UNDONE else None
        if failed and failed["key"] == key and (not same or failed["id"] > same["id"]):
            return StepState(step, failed["state"], key, inputs, failed)
        if same and ready:
            return StepState(step, "done", key, inputs, same)
        if done:
            return StepState(step, "stale", key, inputs, same or done[0])
        if failed and ready:
            return StepState(step, failed["state"], key, inputs, failed)
        return StepState(step, "ready" if ready else "blocked", key, inputs)

    def begin(
        self, profile_id: int, run_id: int, pipeline: Any, name: str, inputs: dict, owner: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Keep the inputs (JSON) and open an attempt; returns (attempt, outputs it uses, as JSON).

        An attempt that stopped with the same key passes its checkpoint on. Raises Locked, Waiting."""
        with self.db.change():
            self.db._begin()
            run = self.get(profile_id, run_id, pipeline.slug)
            self.refuse_locked(run)
            merged = {**json.loads(run["inputs"]), **inputs}
            self.table(profile_id).update(id=run_id, inputs=dumps(merged))
            if self.db.current:
                self.db.current.images.clear()  # inputs are undone by revising, not by undo
            states = self.states(self.get(profile_id, run_id), pipeline)
            state = states[name]
            if state.state == "running":
                raise Problem(f"{name} is running already.", "Wait for it, or cancel it.")
            late = [up for up in state.step.uses if states[up].state != "done"]
            if late:
                raise Waiting(f"{name} needs {', '.join(late)} first.", f"Run {late[0]}.")
            old = state.attempt or {}
            keep = old.get("checkpoint") if old.get("state") in UNDONE else None
            attempt = self.attempts.insert(
                run_id=run_id,
                step=name,
                state="running",
                key=state.key,
                inputs=dumps(state.inputs),
                checkpoint=keep if old.get("key") == state.key else None,
                owner=owner,
                started_utc=now(),
            )
            used = {up: json.loads(states[up].attempt["output"]) for up in state.step.uses}  # type: ignore[index]
            return attempt, used

    def settle(self, attempt: dict, run: dict, state: str, actor: str, **result: Any) -> None:
        """Close an attempt: state and output (or error) in one transaction with its event."""
        said = {"done": "is done", "failed": "failed", "cancelled": "was cancelled"}
        about = f"{run['pipeline']} run {run['id']}: {attempt['step']} {said.get(state, state)}"
        with self.db.change(actor=actor, verb=f"step_{state}", profile_id=run["profile_id"]) as c:
            c.target, c.summary = f"runs/{run['id']}/{attempt['step']}", about
            self.attempts.update(id=attempt["id"], state=state, ended_utc=now(), **result)

    def checkpoint(self, attempt_id: int, data: Any) -> None:
        self.attempts.update(id=attempt_id, checkpoint=dumps(data))

    @staticmethod
    def refuse_locked(run: dict[str, Any]) -> None:
        if run["locked_utc"]:
            raise Locked(f"Run {run['id']} is finished and locked.", "Reopen it to change it.")

    def set_locked(self, profile_id: int, run_id: int, locked: bool) -> dict[str, Any]:
        """Finish (lock) or reopen a run."""
        self.get(profile_id, run_id)
        return self.table(profile_id).update(id=run_id, locked_utc=now() if locked else None)

    def delete(self, profile_id: int, run_id: int) -> None:
        """Out of sight, undoable; its outputs stay in the store."""
        if any(a["state"] == "running" for a in self.attempts("run_id = ?", (run_id,))):
            raise Problem("This run is at work.", "Cancel its step first.")
        self.get(profile_id, run_id)
        self.table(profile_id).update(id=run_id, deleted_utc=now())

    def interrupt(self, owners: set[str]) -> int:
        """Mark what these dead owners left running; returns how many."""
        running = self.attempts("state = 'running'")
        mine = [a for a in running if a["owner"] in owners]
        for attempt in mine:
            self.attempts.update(id=attempt["id"], state="interrupted", ended_utc=now())
        return len(mine)


def _hash(attempt: dict[str, Any] | None) -> str:
    return hashlib.sha256(((attempt or {}).get("output") or "").encode()).hexdigest()
