"""The trial of a plugin that nobody has approved yet: `python -m pipulate.apps.trial NAME`.

A child process, started in an empty home with the plugin's file in apps/. All that it defines is
used once: pages, rows, undo, tools, each step with sample input. What came of it is in report.json.
The fence keeps network, programs and other files away, and tells what reached for them. It holds
off mishaps and plain misuse, no cunning: that stands before the walls (plugins/_walls.py).
"""

import asyncio
import errno
import io
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from pipulate.apps.base import Visit
from pipulate.apps.crud import Crud
from pipulate.apps.house import House
from pipulate.apps.job import kept
from pipulate.apps.local import LocalJob, run_step
from pipulate.apps.markup import html
from pipulate.apps.outputs import Place, draw, viewed
from pipulate.apps.pipeline import Guided
from pipulate.core import fetch as fetching
from pipulate.core.fields import MISSING, Field, Ref, dumps, from_json, to_json
from pipulate.core.jobs import question_field
from pipulate.core.kinds import File
from pipulate.core.outputs import loaded
from pipulate.core.problems import Problem, Unknown
from pipulate.core.settings import Settings
from pipulate.core.store import Row
from pipulate.core.tools import CAREFUL

NETWORK = ("connect", "bind", "sendto", "sendmsg", "getaddrinfo", "gethostbyname")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.kill")
PROGRAMS += ("os.forkpty", "os.startfile", "pty.spawn", "ctypes.dlopen", "os.killpg")
CHANGES = ("remove", "rename", "rmdir", "mkdir", "link", "symlink", "chmod", "chown", "truncate")
KINDS = dict.fromkeys([f"socket.{name}" for name in NETWORK], "network")
KINDS |= dict.fromkeys(PROGRAMS, "programs") | {"sqlite3.connect": "files"}
KINDS |= {f"os.{name}": "files" for name in CHANGES}
SHOWN, LARGEST = 8, 200_000  # pages of the report, characters of one
LINES, TABLE = "First line\nSecond line", "name,value,url\nsample,1,https://www.example.org/\n"
BY_TYPE = {"string": "Sample", "boolean": True, "object": {}}  # a number: 1
PATHS = str | bytes | os.PathLike


class Fence:
    """An audit hook; `reached`: what was reached for, such as "network"."""

    def __init__(self, home: Path):
        self.home, self.reached = os.path.realpath(home), list[str]()
        read = (*sys.path, sys.prefix, sys.base_prefix, "/usr", "/lib", "/etc/localtime", "/dev")
        self.read = tuple({os.path.realpath(path) for path in (*read, "/etc/mime.types")} - {"/"})

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        kind = KINDS.get(event)
        if event == "open" and isinstance(args[0], PATHS):
            writes = (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            kind = None if self._ours(args[0], () if writes else self.read) else "files"
        elif kind == "network" and sys.platform == "win32" and "127.0.0.1" in str(args):
            kind = None  # an event loop begins so, there
        elif kind == "files" and all(self._ours(at, ()) for at in args if isinstance(at, PATHS)):
            kind = None
        if kind:
            self.reached.append(kind)
            raise PermissionError(f"A trial has no {kind} ({event} {str(args[:1])[:100]}).")

    def opened(self, connection: apsw.Connection) -> None:
        """Called for each store that is opened: none elsewhere, and none beside it."""
        connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
        if (path := connection.filename) and not self._ours(path, ()):
            self.reached.append("files")
            raise PermissionError(f"A trial has no files ({path}).")

    def _ours(self, path: Any, more: tuple[str, ...]) -> bool:
        real = os.path.realpath(os.fsdecode(path))
        return real == os.devnull or any(
            real == root or real.startswith(root + os.sep) for root in (self.home, *more)
        )


def sample(field: Field) -> Any:
    """A JSON value that fits a field; its default where it has one."""
    if isinstance(field.choices, tuple):
        return [field.choices[0]] if field.many else field.choices[0]
    if field.default not in (MISSING, None, ""):
        return to_json(field.default)
    if field.bounds:
        return field.bounds.low
    now = datetime.now().replace(microsecond=0)
    said = {"email": "ann@example.org", "uri": "https://www.example.org/", "decimal": "9.99"}
    said |= {"date": now.date().isoformat(), "date-time": now.isoformat()}
    given = said.get(field.schema.get("format", ""), fitting(field.kind.schema))
    special = {"textarea": LINES, "file": str(Path("sample.csv").absolute())}
    return special.get(field.kind.input, given) if isinstance(given, str) else given


def fitting(schema: Row) -> Any:
    """A value of the (first) type that a schema names."""
    if "enum" in schema:
        return schema["enum"][0]
    kinds = schema["type"]
    if "array" in kinds:
        return [fitting(schema.get("items") or {"type": "string"})]
    return BY_TYPE.get(kinds if isinstance(kinds, str) else kinds[0], 1)


class TrialJob(LocalJob):
    """`job` in a trial: tools of the trial's house, samples for answers of people and models."""

    def __init__(self, step, call: Callable[..., Any]):
        super().__init__(step, {}, screen=io.StringIO())
        self.call = call

    def _got(self, kind: str, *values: Any) -> Any:
        match kind, values:
            case "call", [name, given]:
                return self.call(name, from_json(given))
            case "model", [_, schema]:
                return fitting(schema)
            case "ask", [_, about]:
                record = {"about": dumps(about), "step": self.step.name}
                return sample(question_field(record))
        return super()._got(kind, *values)


class Trial:
    """One plugin of a house in use."""

    def __init__(self, house: House, name: str, reached: list[str]):
        self.house, self.reached = house, reached
        self.plugin = house.shelf.plugins[house.settings.folder("apps") / f"{name}.py"]
        self.caller = house.caller("shell", confirmed=True, cwd=Path.cwd())
        lists: Row = {"problems": [], "notes": [], "apps": [], "pages": []}
        self.report, self.loop = lists, asyncio.get_running_loop()

    async def run(self) -> Row:
        """{problems, notes, apps, pages, reached}."""
        if self.plugin.problem:
            self.report["problems"].append(str(self.plugin.problem))
        for app in self.plugin.apps:
            tools = app.tools(self.house)
            about = {"slug": app.slug, "title": app.title, "tools": [t.name for t in tools]}
            self.report["apps"].append(about)
            for tool in tools:
                await self._try(tool.name, self._schema(tool))
            if isinstance(app, Guided):
                await self._steps(app)
            elif isinstance(app, Crud):
                await self._rows(app)
            await self._pages(app)
            await self._own_tools(app, tools)
        self.report["pages"] = self.report["pages"][:SHOWN]
        return self.report | {"reached": sorted({*self.reached})}

    async def _schema(self, tool) -> None:
        import jsonschema

        jsonschema.Draft202012Validator.check_schema(tool.as_dict()["schema"])

    async def call(self, name: str, values: Row) -> Any:
        return await self.house.tools.call(name, values, self.caller)

    async def _try(self, what: str, work, meant: bool = True) -> Any:
        """What some work gives; None, and a word in the report, when it fails. `meant`: a Problem

        that the plugin raises may be meant; so is what the fence kept away."""
        before = len(self.reached)
        try:
            return await work
        except BaseException as error:
            walled = isinstance(error, PermissionError | apsw.CantOpenError)
            if walled and len(self.reached) == before:  # not by the fence
                refused = getattr(error, "errno", errno.EACCES) == errno.EPERM
                self.reached.append("network" if refused else "files")
            fenced = self.reached[before:]
            frames = traceback.extract_tb(error.__traceback__)
            lines = [f.lineno for f in frames if f.filename == str(self.plugin.path)]
            at = f" (line {lines[-1]})" if lines else ""
            known = isinstance(error, Problem)
            said = str(error) if known else f"{type(error).__name__}: {error}"
            unfit = lines and re.search("is (not known here|needed)", said)  # for the tool it calls
            wrong = isinstance(error, Unknown) or unfit
            kind = "notes" if fenced or (known and meant and not wrong) else "problems"
            self.report[kind].append(f"{what}{at}: {said}"[:1_000])
            return None

    def _show(self, title: str, drawn: Any) -> None:
        text = html(*drawn) if isinstance(drawn, tuple) else html(drawn)
        self.report["pages"].append({"title": title, "html": text[:LARGEST]})

    async def _pages(self, app) -> None:
        own = getattr(getattr(app, "model", None), "extra_routes", ())
        for route in app.routes:
            plain = route.method == "GET" and "{" not in route.path
            if plain and (not route.path or route in own):
                await self._try(f"The page {app.slug}/{route.path}", self._page(app, route))

    async def _page(self, app, route) -> None:
        drawn = await route.run(Visit(self.house, self.caller, app))
        if hasattr(drawn, "tag") or isinstance(drawn, tuple):
            self._show(f"{app.title} {route.path}".strip(), drawn)

    async def values(self, fields, depth: int = 2) -> Row:
        """Samples by name; for a Ref a row is added where it leads."""
        given = {}
        for field in fields:
            if field.type is not Ref:
                given[field.name] = sample(field)
            elif depth and (to := self.house.shelf.crud(field.target)):
                row = await self.values(to.fields.values(), depth - 1)
                given[field.name] = (await self.call(f"{to.name}_add", row))["id"]
        return {name: value for name, value in given.items() if value is not None}

    async def _rows(self, app: Crud) -> None:
        """Add, change, look, delete, and take it back."""
        name, fields = app.name, app.fields.values()
        values = await self._try(f"{name}_add", self.values(fields), False)
        least = {f.name: values[f.name] for f in fields if f.required} if values else {}
        row = values and await self._try(f"{name}_add", self.call(f"{name}_add", values))
        row = row or (values and await self._try(f"{name}_add", self.call(f"{name}_add", least)))
        if not row:
            return
        some = {f.name: values[f.name] for f in fields if f.name in values and f.type is not File}
        for tool, given in (("update", some), ("get", {}), ("list", None)):
            asked = {} if given is None else {"id": row["id"], **given}
            await self._try(f"{name}_{tool}", self.call(f"{name}_{tool}", asked))
        gone = await self._try(f"{name}_delete", self.call(f"{name}_delete", {"id": row["id"]}))
        if gone:
            event = self.house.events.recent(self.caller.profile.id, 1)[0]["id"]
            await self._try("undo", self.call("undo", {"event": event}), False)
            await self._try(f"{name}_get", self.call(f"{name}_get", {"id": row["id"]}), False)

    async def _own_tools(self, app, tools) -> None:
        """Those that the plugin itself defines, but for those that need a click."""
        made = ("list", "get", "add", "update", "delete", "move", "run")
        made = {f"{getattr(app, 'name', app.slug)}_{verb}" for verb in made}
        for tool in (t for t in tools if t.name not in made and t.kind not in CAREFUL):
            values = await self._try(tool.name, self.values(tool.fields), False)
            if values is not None:
                await self._try(tool.name, self.call(tool.name, values))

    async def _steps(self, app: Guided) -> None:
        """Each step after the other with samples, as far as they come."""
        outputs, fetching.allowed = {}, app.pipeline.outside
        for name, step in app.pipeline.steps.items():
            if any(up not in outputs for up in step.uses):
                self.report["notes"].append(f"{name} was not tried: an earlier step gave nothing.")
                continue
            done = await self._try(f"Step {name}", asyncio.to_thread(self._step, step, outputs))
            if not done:
                continue
            drawn = draw(done[0], Place("", lambda path: ""))
            if step.draw:
                work = asyncio.to_thread(viewed, step.draw, done[0])
                drawn = await self._try(f"The view of {name}", work) or drawn
            outputs[name] = done[0]
            self._show(f"{app.title}: {name}", drawn)

    def _step(self, step, outputs: Row) -> list[Any]:
        """[what it gives]."""
        ups = {up: outputs[up] for up in step.uses}
        if not step.meant(ups):
            return [None]
        fields = step.bound(ups)
        given = {f.name: f.check(sample(f)) for f in fields if f.type not in (File, Ref)}
        given |= {f.name: File(Path("sample.csv").absolute()) for f in fields if f.type is File}

        def call(name: str, values: Row) -> Any:
            return asyncio.run_coroutine_threadsafe(self.call(name, values), self.loop).result()

        job = TrialJob(step, call)
        output = run_step(step, ups | given | {"job": job})
        return [loaded(from_json(kept(output, job.files)))]


def main(name: str) -> None:
    """Write report.json; end when standard input does, as it does when the parent is dead."""
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
    home = Path.cwd()
    (home / "sample.csv").write_text(TABLE)
    fence = Fence(home)

    async def work() -> Row:
        sys.addaudithook(fence.hear)
        apsw.connection_hooks.append(fence.opened)
        return await Trial(House(Settings(home, browser=False)), name, fence.reached).run()

    report = asyncio.run(work())
    Path("report.json").write_text(json.dumps(report))
    os._exit(0)  # whatever threads the plugin has left


if __name__ == "__main__":
    main(sys.argv[1])
