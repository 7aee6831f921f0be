"""The trial of a plugin that nobody has approved yet, in a process that plugins/_walls.py begins.

On an empty home with the plugin's file in apps/ it uses all that this defines once: pages, rows,
undo, tools, each step with samples. On a stage of the same kind a person tries it by hand.
"""

import asyncio
import errno
import json
import os
import re
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import apsw
from fasthtml.components import I, NotStr

from pipulate.apps.base import Download, Go, Refusal, Visit, made
from pipulate.apps.crud import Crud
from pipulate.apps.house import House
from pipulate.apps.local import LocalJob, in_thread, step_here
from pipulate.apps.markup import html, notice
from pipulate.apps.outputs import Place, draw, viewed
from pipulate.apps.pipeline import Guided
from pipulate.apps.plugin import Plugin, line_in
from pipulate.apps.rows import AGAIN
from pipulate.apps.worker import Engine, answer
from pipulate.core import fetch as fetching
from pipulate.core.fields import File, Ref, from_json
from pipulate.core.jobs import Job, Jobs
from pipulate.core.problems import Problem, Unknown
from pipulate.core.settings import Settings
from pipulate.core.store import Row
from pipulate.core.tools import CAREFUL, interrupt, limited, tools_in

WALLED = "A preview has no network, starts no programs and has no files but its own."
SHOWN, LARGEST = 8, 200_000  # pages of the report, characters of one
TABLE = "name,value,url\nsample,1,https://www.example.org/\n"
MOMENT = datetime.now().isoformat(timespec="seconds")
BY_FORMAT = {"email": "ann@example.org", "uri": "https://www.example.org/", "decimal": "9.99"}
BY_FORMAT |= {"date": MOMENT[:10], "date-time": MOMENT}


def sample(schema: Row, kind: str = "", word: str = "Sample") -> Any:
    """A JSON value that fits a field of this schema and `kind` of input; its default, if any."""
    for given in (schema.get("default"), *schema.get("enum", ()), schema.get("minimum")):
        if given not in (None, ""):
            return given
    of = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if of == "array":
        return [sample(schema.get("items") or {"type": "string"}, word=word)]
    if of != "string":
        return {"boolean": True, "object": {}}.get(of, 1)
    special = {"textarea": "First line\nSecond line", "file": str(Path("sample.csv").absolute())}
    return special.get(kind) or BY_FORMAT.get(schema.get("format"), word)


class TrialJob(LocalJob):
    """`job` in a trial: tools of the trial's house, samples as answers of people and models."""

    def __init__(self, call, *about):
        super().__init__(*about)
        self.call = call

    def browser(self, *sites: str, **options: Any) -> Any:
        raise PermissionError(errno.EPERM, "A trial has no browser.")

    def _heard(self, question: str, field: Any) -> Any:
        return sample(field.schema, field.kind.input)

    def _got(self, kind: str, *values: Any) -> Any:
        match kind, values:
            case "call", [name, given]:
                return self.call(name, from_json(given))
            case "model", [_, schema]:
                return sample(schema)
        return super()._got(kind, *values)


class Trial:
    """One plugin of a house in use."""

    def __init__(self, house: House, plugin: Plugin, reached: list[str]):
        self.house, self.plugin, self.reached = house, plugin, reached
        self.caller = house.caller("shell", confirmed=True, cwd=Path.cwd())
        told = [str(plugin.problem)] * bool(plugin.problem)
        self.report: Row = {"problems": told, "notes": [], "apps": [], "pages": []}
        self.loop = asyncio.get_running_loop()

    async def run(self) -> Row:
        """{problems, notes, apps, pages, reached}."""
        from jsonschema import Draft202012Validator

        for app in self.plugin.apps:
            tools = {tool.name: tool.as_dict()["schema"] for tool in app.tools()}
            self.report["apps"].append({"slug": app.slug, "title": app.title, "tools": [*tools]})
            for name, schema in tools.items():
                await self._try(name, asyncio.to_thread(Draft202012Validator.check_schema, schema))
            if isinstance(app, Guided):
                await self._steps(app)
            elif isinstance(app, Crud):
                await self._rows(app)
            await self._pages(app)
            await self._own_tools(app)
        self.report["pages"] = self.report["pages"][:SHOWN]
        return self.report | {"reached": sorted({*self.reached})}

    async def call(self, name: str, values: Row) -> Any:
        return await self.house.tools.call(name, values, self.caller)

    async def _try(self, what: str, work, meant: bool = True) -> Any:
        """What some work gives; None, and a word in the report, when it fails.

        `meant`: a Problem that the plugin raises may be; so may what the fence kept away."""
        before = len(self.reached)
        try:
            return await work
        except BaseException as error:
            line = line_in(self.plugin.path, error)
            walled = isinstance(error, PermissionError | apsw.CantOpenError)
            if walled and not self.reached[before:]:  # not by the fence
                refused = getattr(error, "errno", 0) == errno.EPERM
                self.reached.append("network" if refused else "files")
                error = PermissionError("A trial has no network and no files but its own.")
            known = isinstance(error, Problem)
            said = str(error) if known else f"{type(error).__name__}: {error}"
            unfit = line and re.search("is (not known here|needed)", said)  # for the tool it calls
            unfit = unfit or re.search("cannot be kept as an output|was stopped", said)
            meant &= known and not (unfit or isinstance(error, Unknown))
            kind = "notes" if meant or self.reached[before:] else "problems"
            at = f" (line {line})" if line else ""
            if (told := f"{what}{at}: {said}"[:1_000]) not in self.report[kind]:
                self.report[kind].append(told)

    def _show(self, title: str, drawn: Any) -> None:
        self.report["pages"].append({"title": title, "html": html(drawn)[:LARGEST]})

    async def _pages(self, app) -> None:
        own = getattr(getattr(app, "model", None), "extra_routes", ())
        for route in app.routes:
            if route.method == "GET" and (not route.path or route in own and "{" not in route.path):
                visit = Visit(self.house, self.caller, app)
                drawn = await self._try(f"The page {app.slug}/{route.path}", route.run(visit))
                if hasattr(drawn, "tag") or isinstance(drawn, tuple):
                    self._show(f"{app.title} {route.path}".strip(), drawn)

    async def values(self, fields, depth: int = 2) -> Row:
        """Samples by name; for a Ref a row is added where it leads."""
        given = {f.name: sample(f.schema, f.kind.input) for f in fields if f.type is not Ref}
        for field in fields:
            if field.type is Ref and depth:
                to = self.house.shelf.crud(field.target)
                row = await self.values(to.fields.values(), depth - 1)
                given[field.name] = (await self.call(f"{to.name}_add", row))["id"]
        return given

    async def _rows(self, app: Crud) -> None:
        name, add, fields = app.name, f"{app.name}_add", app.fields.values()
        if not (values := await self._try(add, self.values(fields))):
            return
        least = {f.name: values[f.name] for f in fields if f.required}
        row, bare = await self._used(add, values), await self._used(add, least)
        if not (row := row or bare):
            return
        key = {"id": row["id"]}
        some = {f.name: values[f.name] for f in fields if f.type is not File}
        for column in app.model.computed:
            for one in app.rows(self.caller)():
                await self._try(column, limited(getattr, one, column))
        for verb, given in (("update", key | some), ("get", key), ("list", {})):
            await self._used(f"{name}_{verb}", given)
        if await self._used(f"{name}_delete", key):
            event = self.house.events.recent(self.caller.profile.id, 1)[0]["id"]
            await self._used("undo", {"event": event}, False)
            await self._used(f"{name}_get", key, False)

    async def _used(self, tool: str, values: Row, meant: bool = True) -> Any:
        return await self._try(tool, self.call(tool, values), meant)

    async def _own_tools(self, app) -> None:
        for own, _ in tools_in(getattr(app, "model", None)):
            tool = self.house.tools.get(f"{app.name}_{own}")
            if tool.kind in CAREFUL:
                continue
            if (values := await self._try(tool.name, self.values(tool.fields))) is not None:
                await self._used(tool.name, values)

    async def _steps(self, app: Guided) -> None:
        outputs, fetching.allowed = {}, app.pipeline.outside
        for name, step in app.pipeline.steps.items():
            if any(up not in outputs for up in step.uses):
                self.report["notes"].append(f"{name} was not tried: an earlier step gave nothing.")
                continue
            for least in (False, True):  # a text or a file, but not both
                work = asyncio.to_thread(self._step, step, outputs, least)
                done = await self._try(f"Step {name}", work)
                if done or all(f.required for f in step.fields):
                    break
            if not done:
                continue
            outputs[name] = output = done[0]
            drawn = draw(output, Place())
            if step.draw:
                work = asyncio.to_thread(viewed, step.draw, output)
                drawn = await self._try(f"The view of {name}", work) or drawn
            self._show(f"{app.title}: {name}", drawn)

    def _step(self, step, outputs: Row, least: bool) -> list[Any]:
        ups = {up: outputs[up] for up in step.uses}
        there = asyncio.run_coroutine_threadsafe
        asked = [f for f in step.bound(ups) if f.required or not least] if step.meant(ups) else []
        kind = partial(TrialJob, lambda *said: there(self.call(*said), self.loop).result())
        return [step_here(step, ups | there(self.values(asked), self.loop).result(), kind)]


class Here(Jobs):
    """Steps in this process, which may begin no other; a sample stands for a model's answer."""

    async def _work(self, job: Job, request: Row) -> Row:
        loop, self.needs["model"] = asyncio.get_running_loop(), _made_up

        def need(kind: str, *values: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(self.needs[kind](job, *values), loop).result()

        def tell(said: Row) -> None:
            job.done, job.total, job.message = said["progress"]

        thread, done = in_thread(lambda: answer(tell, need, request))
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


async def _drawn(visit: Visit, method: str, path: str) -> Any:
    house, (slug, _, rest) = visit.house, path.partition("/")
    if slug == "undo":
        return notice(await visit.call("undo", {"event": rest}), visit.undo), NotStr(AGAIN)
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
        drawn = await _drawn(Visit(house, caller, None, **about), method, path)
        if isinstance(drawn, Go):
            return {"go": drawn.address}
        said = drawn if isinstance(drawn, Refusal) else Refusal(drawn, 200)
        parts = said.elements if isinstance(said.elements, tuple) else (said.elements,)
        return {"parts": [*map(html, parts)], "status": str(said.status), "target": said.target}
    except Problem as problem:
        return {"problem": [problem.what, problem.next_step]}
    except Exception as error:
        line, walled = line_in(plugin.path, error), isinstance(error, PermissionError)
        what = f"{type(error).__name__}: {error}" + f" (line {line})" * bool(line)
        return {"problem": [what, WALLED if walled else "Mend it, or ask for a change."]}


def begin(kind: str, name: str, fence: Any) -> None:
    """Use this plugin on this folder as a home, and end: a "trial" leaves report.json.

    On a "stage" a person tries it: a line of standard input is a request below the profile,
    {method, path, query, form, partial, here}, one of standard output its answer: {parts: HTML
    texts, status, target}, {problem: its two sentences} or {go: where}."""
    engine, home = Engine(), Path.cwd()
    Path("sample.csv").write_text(TABLE)

    def opened(connection: apsw.Connection) -> None:
        connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
        fence.opened(connection.filename)

    async def within() -> None:
        sys.addaudithook(fence.hear)
        apsw.connection_hooks.append(opened)
        house = House(Settings(home, browser=False), Here)
        plugin = house.shelf.plugins[home / f"apps/{name}.py"]
        if kind == "trial":
            report = await Trial(house, plugin, fence.reached).run()
            Path("report.json").write_text(json.dumps(report))
        while kind == "stage":
            asked = await asyncio.to_thread(engine.requests.get)
            engine.tell(await _answered(house, plugin, **asked))

    asyncio.run(within())
    os._exit(0)  # whatever threads the plugin has left
