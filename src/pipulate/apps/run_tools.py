"""Tools for the runs of every pipeline: list, look, answer, skip, name, finish, delete."""

import asyncio
import json
from typing import Any, Literal

from pipulate.core.fields import File, Text
from pipulate.core.jobs import question_field
from pipulate.core.runs import STOPPED
from pipulate.core.store import now
from pipulate.core.tools import Caller, tool


class RunTools:
    """Part of HouseTools, which has `house`."""

    house: Any

    def said(self, text: str) -> None:
        """What the history says of this call."""
        self.house.db.current.summary = text

    def _mark(self, caller: Caller, run: int, verb: str, **marks):
        self.said(f"{verb} run {run}")
        return self.house.runs.mark(caller.profile.id, run, **marks)

    def _pipeline(self, caller: Caller, run: int):
        return self.house.shelf.pipeline(self.house.runs.get(caller.profile.id, run)["pipeline"])

    @tool(kind="read")
    def run_list(self, caller: Caller, pipeline: str = "", q: str = ""):
        """List the runs of all pipelines (or one), newest first; q: words in name or inputs."""
        return self.house.runs.listing(caller.profile.id, pipeline, q=q)

    @tool(kind="read")
    def run_get(self, caller: Caller, run: int):
        """A run with its steps: state, inputs, progress, question, answers, error; outputs by

        their size. In each pipeline's …_run, run: go on with that one; from_run: a new one with
        that one's inputs; to_step: no further; again: what is done, too."""
        row, states = self._pipeline(caller, run).open(caller.profile, run)
        said, steps = self.house.runs.answers(run), []
        for name, state in states.items():
            job = self.house.jobs.live.get((run, name))
            about = {
                "step": name,
                "state": state.state,
                "inputs": state.inputs,
                "output_bytes": len(state.attempt.get("output") or ""),
                "question": state.question.get("name"),
                "answers": said[name, state.attempt.get("key")],
                "error": state.error.get("problem"),
                "progress": job and [job.done, job.total, job.message],
            }
            steps.append(about)
        return row | {"steps": steps}

    @tool(kind="read")
    def run_output(self, caller: Caller, run: int, step: str):
        """The output of a step of a run, as JSON; None when it has none."""
        return self._pipeline(caller, run).open(caller.profile, run, step)[1][step].kept

    def _going_on(self, tool: str, caller: Caller, run: int, careful: bool = False, **given):
        """What reaches outside, or is for a person to say, waits for a click, as its tool does."""
        guided, tools = self._pipeline(caller, run), self.house.tools
        careful = careful or guided.pipeline.outside
        if careful and caller.actor in ("model", "mcp") and not caller.confirmed:
            tools.hold(tools.get(tool), {"run": run, **given}, caller)
        return guided

    @tool
    async def run_answer(
        self, caller: Caller, run: int, answer: Text = "", step: str = "", question: str = ""
    ):
        """Answer the question that a run (or this step of it) waits with; question: its words, so

        that no other one is answered."""
        asked = self.house.runs.question(caller.profile.id, run, step, question)
        told = {"step": asked["step"], "question": asked["name"]}
        careful = "person" in json.loads(asked["about"])
        guided = self._going_on("run_answer", caller, run, careful, answer=answer, **told)
        is_file = question_field(asked).type is File
        said = self.house.files.resolve(answer, caller) if is_file and answer else answer
        await asyncio.to_thread(self.house.jobs.keep_answer, asked, said)
        if job := self.house.jobs.wake(asked):
            job.caller = caller  # what was asked for is done in the name of who said yes to it
            if caller.actor == "user":  # who began it may be gone
                guided.follow(guided.after(caller, job))
        else:
            await guided.resume(caller, run, asked["step"])
        return {"run": run, "step": asked["step"], "answered": asked["name"]}

    @tool
    async def run_resume(self, caller: Caller, run: int, step: str, fresh: bool = False):
        """Go on with a step that failed or was stopped; fresh: from its beginning."""
        guided = self._going_on("run_resume", caller, run, step=step, fresh=fresh)
        await guided.resume(caller, run, step, fresh)
        return {"run": run, "resumed": step}

    @tool
    def run_skip(self, caller: Caller, run: int, step: str):
        """Leave a step out; later steps get None for its output."""
        self._pipeline(caller, run).skip(caller, run, step)
        return {"run": run, "skipped": step}

    @tool
    def run_discard(self, caller: Caller, run: int, step: str):
        """Forget what a step left that failed or was stopped."""
        self.house.runs.discard(caller.profile.id, run, step)
        self.said(f"Discarded what {step} of run {run} had left")
        return {"run": run, "discarded": step}

    @tool(kind="bulk")
    def run_discard_all(self, caller: Caller, kind: Literal["failed", "interrupted"] | None = None):
        """Forget what the inbox lists of steps that failed or were interrupted, or of one kind."""
        where = None if caller.actor == "user" else caller.profile.id  # the inbox shows all of them
        self.house.db.current.profile_id = where
        count = self.house.runs.discard_all((kind,) if kind else STOPPED, where)
        self.said(f"Discarded what {count:,} {kind or 'stopped'} steps had left")
        return {"discarded": count}

    @tool
    def run_name(self, caller: Caller, run: int, name: str):
        """Give a run a name."""
        return self._mark(caller, run, "Named", name=name.strip()[:100])

    @tool
    def run_copy(self, caller: Caller, run: int):
        """A new run with the inputs and the name of another one."""
        old, guided = self.house.runs.get(caller.profile.id, run), self._pipeline(caller, run)
        return {"run": guided.new(caller, json.loads(old["inputs"]), old["name"])["id"]}

    @tool
    def run_finish(self, caller: Caller, run: int):
        """Finish (lock) a run."""
        return self._mark(caller, run, "Finished", locked_utc=now())

    @tool
    def run_reopen(self, caller: Caller, run: int):
        """Reopen a finished run."""
        return self._mark(caller, run, "Reopened", locked_utc=None)

    @tool
    def run_delete(self, caller: Caller, run: int):
        """Delete a run; can be undone."""
        self._mark(caller, run, "Deleted", deleted_utc=now())
        return {"deleted": run}
