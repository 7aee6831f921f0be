"""A draft at work, for a person to try, in a process that plugins/_walls.py begins.

A line of standard input is a request below the profile, {method, path, query, form, partial, here};
one is the answer: {parts: HTML texts, status, target}, {problem: its two sentences} or {go: where}.
"""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fasthtml.components import I, NotStr

from pipulate.apps.base import Download, Go, Refusal, Visit, made
from pipulate.apps.house import House
from pipulate.apps.local import in_thread
from pipulate.apps.markup import html, notice
from pipulate.apps.plugin import Plugin, line_in
from pipulate.apps.rows import AGAIN
from pipulate.apps.trial import fenced, sample
from pipulate.apps.worker import Engine, answer
from pipulate.core.jobs import Job, Jobs
from pipulate.core.problems import Problem
from pipulate.core.store import Row
from pipulate.core.tools import interrupt

WALLED = "A preview has no network, starts no programs and has no files but its own."


class Here(Jobs):
    """Steps in this process, which may begin no other; a sample stands for a model's answer."""

    async def _work(self, job: Job, request: Row) -> Row:
        loop, self.needs["model"] = asyncio.get_running_loop(), _made_up

        def need(kind: str, *values: Any) -> Any:
            asked = self.needs[kind](job, *values)
            return asyncio.run_coroutine_threadsafe(asked, loop).result()

        def tell(said: Row) -> None:
            job.done, job.total, job.message = said["progress"]

        engine = SimpleNamespace(tell=tell, need=need)
        thread, done = in_thread(lambda: answer(engine, request))
        thread.start()
        try:
            async with asyncio.timeout(None) as job.limit:
                said = await asyncio.shield(asyncio.wrap_future(done))
                if "PermissionError" in str(said.get("failed")):
                    said["failed"]["next_step"] = WALLED
                return said
        finally:
            if thread.is_alive():
                interrupt(thread.ident)


async def _made_up(job: Job, prompt: str, schema: Row) -> Any:
    job.note("A preview has no model: a made-up answer stands for it.")
    return sample(schema)


async def _drawn(visit: Visit, plugin: Plugin, method: str, path: str) -> Any:
    house, (slug, _, rest) = visit.house, path.partition("/")
    if not plugin.apps:
        raise plugin.problem
    if not slug:
        return Go(f"/{visit.caller.profile.slug}/{plugin.apps[0].slug}")
    if slug == "undo":
        said = await visit.call("undo", {"event": rest})
        word = "Undo" if said.startswith("Redid") else "Redo"
        return notice(said, visit.undo, word=word), NotStr(AGAIN)
    visit.app = house.shelf.get(slug)
    drawn = await house.shelf.answer(visit, method, rest)
    at_work = any(not job.questions for job in house.jobs.live.values())
    if at_work and getattr(drawn, "tag", "") == "section":
        return drawn(I(hx_get="", hx_trigger="every 1s"))  # no socket tells how it goes on
    if isinstance(drawn, Download):
        raise Problem("A preview gives no files.", "Approve it first.")
    return drawn


async def _answered(house: House, plugin: Plugin, method: str, path: str, **about: Any) -> Row:
    caller = house.caller("user", confirmed=True, cwd=Path.cwd())
    made.set([])
    try:
        drawn = await _drawn(Visit(house, caller, None, **about), plugin, method, path)
    except Problem as problem:
        return {"problem": [problem.what, problem.next_step]}
    except Exception as error:
        what = f"{type(error).__name__}: {error} (line {line_in(plugin.path, error)})"
        walled = isinstance(error, PermissionError)
        return {"problem": [what, WALLED if walled else "Mend it, or ask for a change."]}
    if isinstance(drawn, Go):
        return {"go": drawn.address}
    said = drawn if isinstance(drawn, Refusal) else Refusal(drawn, 200)
    parts = said.elements if isinstance(said.elements, tuple) else (said.elements,)
    return {"parts": [*map(html, parts)], "status": str(said.status), "target": said.target}


def main(name: str, fence: Any) -> None:
    """Answer until standard input ends, as it does when the parent is dead."""

    async def work(house: House, plugin: Plugin, _: list[str]) -> None:
        engine, loop, asked = Engine(), asyncio.get_running_loop(), asyncio.Queue[bytes]()

        def read() -> None:
            for line in sys.stdin.buffer:
                loop.call_soon_threadsafe(asked.put_nowait, line)
            os._exit(0)

        threading.Thread(target=read, daemon=True).start()
        while True:
            engine.tell(await _answered(house, plugin, **json.loads(await asked.get())))

    fenced(work, name, fence, Here)
