"""The tool registry: what every door may call, checked, classed and approved in one place.

Classes: read · write (undoable) · outside, destructive, bulk. The last three wait for approval
when a model or an MCP client asks, for a yes in the shell; the page asks by itself. What a model
reads may be a stranger's, so each of its turns counts as misled.
"""

import asyncio
from contextlib import nullcontext, suppress
import ctypes
import inspect
from json import loads
import secrets
import sys
from threading import Lock, get_ident, local
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import anyio.to_thread

from pipulate.core.fields import Field, check_values, digest, dumps, fields_of, foreign, from_json
from pipulate.core.fields import schema_of, to_json
from pipulate.core.kinds import Secret
from pipulate.core.logs import problem_of
from pipulate.core.problems import Confirm, Invalid, NeedsApproval, Problem, Unknown, nearest
from pipulate.core.profiles import Profile
from pipulate.core.store import LATE, Database, Row, now

EXPIRES = 600.0  # seconds
HOOK_SECONDS = 5.0  # for a plugin's own code outside of a step
WAIT_SECONDS = 120.0  # for a coroutine of it, which may wait for others
BULK = 20  # more rows than this in one call is bulk
CAREFUL = ("outside", "destructive")
BEGUN = local()  # tasks of a thread that may have to be stopped


@dataclass(frozen=True)
class Caller:
    """Who calls: actor is user, model, mcp, shell or system; cwd resolves file paths."""

    actor: str
    profile: Profile
    confirmed: bool = False
    turn: str | None = None
    cwd: Path | None = None
    parent: str = ""  # the step that calls, such as 12/measure
    sure: bool = False  # confirmed are also the calls of steps (--yes in the shell)
    answered: str = ""  # a step, just now: it is not run again if it fails
    patient: bool = False  # waits while a step asks

    @property
    def by(self) -> Row:
        """What Database.change asks of it."""
        return {"actor": self.actor, "profile_id": self.profile.id, "turn": self.turn}


@dataclass(frozen=True)
class Tool:
    """`run(caller, **values)` is async, or sync: in a thread, in one change."""

    name: str
    description: str
    kind: str
    fields: tuple[Field, ...]
    run: Callable[..., Any]
    owner: str | Path = "core"  # the plugin file it came from
    partial: bool = False  # an update: of all fields only `id` is needed
    seconds: float = HOOK_SECONDS
    size: Callable[..., int] | None = None  # size(caller, **values): how many rows it would change
    counted: bool = False  # the rows it did change are counted, too

    def as_dict(self) -> Row:
        """{name, description, class, schema}."""
        schema = schema_of(self.fields) | ({"required": ["id"]} if self.partial else {})
        said = {"name": self.name, "description": self.description}
        return {**said, "class": self.kind, "schema": schema}


def tool(
    function: Any = None, kind: str = "write", seconds: float = HOOK_SECONDS, size: Any = None
) -> Any:
    """Mark a method as a tool: its parameters are the fields, its docstring the help."""

    def mark(method: Any) -> Any:
        method.tool_options = {"kind": kind, "seconds": seconds, "size": size}
        return method

    return mark(function) if function else mark


def tool_of(run: Callable[..., Any], name: str = "", about: str = "", **options: Any) -> Tool:
    """The Tool of a function run(caller, …); its options are those of @tool."""
    said = " ".join((about or inspect.getdoc(run) or "").split())
    options = {"kind": "write", "counted": True} | getattr(run, "tool_options", {}) | options
    return Tool(name or run.__name__, said, fields=fields_of(run), run=run, **options)


def tools_in(owner: Any) -> list[tuple[str, Any]]:
    """(name, method) of what is marked @tool in a class or an object."""
    return inspect.getmembers(owner, lambda m: hasattr(m, "tool_options"))


def tools_of(owner: Any) -> list[Tool]:
    """The tools of an object; a `size` is a method of it, too."""
    made = [tool_of(method) for _, method in tools_in(owner)]
    return [replace(one, size=one.size and one.size.__get__(owner)) for one in made]


class TimeLimit(BaseException):
    """Raised inside plugin code that outlived its limit."""


class TooMany(Exception):
    """Raised inside a change of more rows than its caller may change unasked."""


def interrupt(thread: int | None) -> None:
    """Raise TimeLimit in another thread, at its next step of Python."""
    ident, error = ctypes.c_ulong(thread or 0), ctypes.py_object(TimeLimit)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)


def soon(loop: asyncio.AbstractEventLoop, work: Callable[..., Any], *args: Any) -> None:
    """Do this in the loop. From any thread."""
    with suppress(RuntimeError):  # the loop is closed: nobody is looking
        loop.call_soon_threadsafe(work, *args)


def awaited(result: Any) -> Any:
    """The result of plugin code, a coroutine or not."""

    async def within() -> Any:
        BEGUN.tasks.append(asyncio.current_task())
        return await result

    return asyncio.run(within()) if inspect.iscoroutine(result) else result


async def limited(function: Callable[..., Any], *args: Any, seconds: float = HOOK_SECONDS) -> Any:
    """Run plugin code in a thread; past the limit it is interrupted: Problem.

    A coroutine has its own loop there: one that blocks holds up nobody else."""
    thread: list[int] = []  # while it is at work in there
    ending = Lock()  # else an interrupt might meet what the thread does next
    tasks: list[asyncio.Task[Any]] = []

    def call() -> Any:
        thread.append(get_ident())
        BEGUN.tasks = tasks
        try:
            return awaited(function(*args))
        except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
            raise RuntimeError(f"it ended with {error!r}") from error
        finally:
            with ending:
                thread.clear()
                LATE.discard(get_ident())

    try:
        with anyio.move_on_after(seconds):
            return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
    finally:
        for task in tasks:
            soon(task.get_loop(), task.cancel)
    late = Problem(f"This took over {seconds:g} s and was stopped.", "Put long work in a step.")
    with ending:
        for ident in thread:
            late.stack = traceback.extract_stack(sys._current_frames()[ident])
            LATE.add(ident)
            interrupt(ident)
    raise late


class Tools:
    """Tools by name, and what waits for approval."""

    def __init__(self, db: Database):
        self.db, self.approvals = db, db.table("approvals", logged=False)
        self.by_name: dict[str, Tool] = {}
        # By a tool's name: told(**values) says what a call would do, for whoever approves it.
        self.told: dict[str, Callable[..., str]] = {}
        self.url = "`pipulate` and there "  # or of the server, where one runs
        self.on_approval: list[Callable[[Row], None]] = []
        self.trying: Callable[[Tool], Any] = nullcontext  # around its code
        self.hint: Callable[[str, Iterable[str]], str] = nearest  # where there is none of a name

    def replace(self, owner: str | Path, tools: Iterable[Tool]) -> None:
        """Register tools in place of all the owner had. Raises Problem on a taken name."""
        fresh = {tool.name: replace(tool, owner=owner) for tool in tools}
        kept = {name: t for name, t in self.by_name.items() if t.owner != owner}
        for name in fresh.keys() & kept.keys():
            raise Problem(f"The tool {name} exists already ({kept[name].owner}).", "Rename one.")
        self.by_name = kept | fresh

    def get(self, name: str) -> Tool:
        if name not in self.by_name:
            raise Unknown(f"There is no tool {name!r}.", self.hint(name, self.by_name))
        return self.by_name[name]

    def listing(self) -> list[Row]:
        return [tool.as_dict() for _, tool in sorted(self.by_name.items())]

    async def call(
        self,
        name: str,
        values: Row,
        caller: Caller,
        text: dict[str, str] | None = None,
        also: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Check and run one tool; returns JSON. `values` are JSON, those of `text` as typed.

        `also(result)` runs in the same change and stands for the result; a function that it
        returns is called in the same thread once all is saved.
        Raises Unknown, Invalid, NeedsApproval (model, MCP), Confirm (shell), the tool's Problem."""
        tool, text = self.get(name), text or {}
        known = {f.name: text[f.name] for f in tool.fields if f.name in text}
        given = {**text, **check_values(tool.fields, known, text=True, partial=True), **values}
        also = also or (lambda result: result)
        with self.trying(tool):
            if inspect.iscoroutinefunction(tool.run):
                checked = await limited(self._checked, tool, given, caller)
                return also(to_json(await tool.run(caller, **checked)))
            try:
                return await limited(self._run, tool, caller, given, also, seconds=tool.seconds)
            except TooMany:
                await limited(self.hold, tool, given, caller)

    def _run(self, tool: Tool, caller: Caller, given: Row, also: Callable[[Any], Any]) -> Any:
        values = self._checked(tool, given, caller)
        if tool.kind == "read":
            return also(to_json(tool.run(caller, **values)))
        with self.db.change(verb=tool.name, **caller.by) as change:
            result = also(to_json(tool.run(caller, **values)))
            if tool.counted and not caller.confirmed and len(change.images) > BULK:
                raise TooMany  # all is as it was
        return result() if callable(result) else result

    def _checked(self, tool: Tool, given: Row, caller: Caller) -> Row:
        checked = check_values(tool.fields, given, partial=tool.partial)
        if tool.partial and "id" not in checked:
            raise Invalid(f"{tool.name} needs the id of the row.", "Give id=….")
        if caller.confirmed:
            return checked
        long = any(isinstance(v, list) and len(v) > BULK for v in checked.values())
        many = tool.size(caller, **checked) > BULK if tool.size else tool.kind == "bulk"
        if long or many or tool.kind in CAREFUL:
            self.hold(tool, given, caller)
        return checked

    def hold(self, tool: Tool, given: Row, caller: Caller) -> NoReturn:
        """Let a call wait for a click (NeedsApproval), in the shell for a yes (Confirm)."""
        if caller.actor == "shell":
            many = f"may change more than {BULK} rows"
            why = "cannot simply be undone" if tool.kind in CAREFUL else many
            raise Confirm(f"{tool.name} {why}.", "Answer y, or add --yes.")
        record = self.request(tool, given, caller)
        key, address = record["id"], record["address"]
        what = f"{tool.name} waits for the user's approval ({key})."
        next_step = f"Ask the user to open {self.url}{address}; then call approval_result."
        raise NeedsApproval(what, next_step, approval=key, address=address)

    def request(self, tool: Tool, given: Row, caller: Caller) -> Row:
        """Store the exact call; only a click on its address runs it, once, within EXPIRES."""
        arguments = dumps(foreign(given))
        record = self.approvals.insert(
            id=secrets.token_urlsafe(9),
            tool=tool.name,
            arguments=arguments,
            hash=digest(self.shown(tool.name, arguments)),
            expires_utc=now(EXPIRES),
            **caller.by,
        )
        record["address"] = f"/{caller.profile.slug}/approvals/{record['id']}"
        for listener in self.on_approval:
            listener(record)
        return record

    async def decide(self, approval: str, digest: str, yes: bool, profile: Profile) -> Any:
        """The user's click: run what was asked, as it was stored, or refuse it. Raises Problem.

        Several calls give a list of {tool, result}."""
        asked = await asyncio.to_thread(self._taken, approval, digest, yes, profile)
        if not yes:
            return {"rejected": approval}
        done = [await self._approved(record, profile) for record in asked["calls"]]
        return done if asked["turn"] == approval else done[0]["result"]

    def _taken(self, approval: str, digest: str, yes: bool, profile: Profile) -> Row:
        with self.db.writing():
            asked = self.approval(approval, profile)
            over = "is over ten minutes old" if asked["expires_utc"] < now() else ""
            if asked["state"] != "waiting" or asked["hash"] != digest:
                over = "was used or replaced"
            if over:
                raise Problem(f"This approval {over}.", "Ask the assistant again.")
            state = "approved" if yes else "rejected"
            for record in asked["calls"]:
                self.approvals.update(id=record["id"], state=state, arguments="")
        return asked

    async def _approved(self, record: Row, profile: Profile) -> Row:
        caller, tool = Caller(record["actor"], profile, True, record["turn"]), record["tool"]
        try:
            result = await self.call(tool, from_json(loads(record["arguments"])), caller)
        except Exception as error:  # the calls approved with it are made all the same
            result = problem_of(error).as_dict()
        told = {"id": record["id"], "state": "done", "result": dumps(result)}
        await asyncio.to_thread(self.approvals.update, told)
        return {"tool": tool, "result": result}

    def expire(self) -> None:
        """Forget the arguments of calls that were not approved in time."""
        old = "UPDATE approvals SET arguments = '', state = 'expired'"
        old += " WHERE expires_utc < ? AND state = 'waiting'"
        self.db.execute(old, (now(),))

    def secret_names(self) -> set[str]:
        fields = (field for tool in self.by_name.values() for field in tool.fields)
        return {field.name for field in fields if field.type is Secret}

    def shown(self, name: str, arguments: str) -> str:
        """A call as it may be shown: of a secret, however deep, only that it is given."""
        if not arguments or name not in self.by_name:
            return name
        plain = {f.name for f in self.get(name).fields if f.type is not Secret}
        hidden = self.secret_names() - plain

        def mask(part: Row) -> Row:
            return {key: value and "…" if key in hidden else value for key, value in part.items()}

        text = f"{name} {dumps(loads(arguments, object_hook=mask))}"
        # what turns, hides or breaks a line would show another call
        return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)

    def approval(self, key: str, profile: Profile) -> Row:
        """An approval with its `calls`, and as it may be `shown`; a turn's name stands for all

        its calls that wait: one more, or less, changes its hash. Raises Missing."""
        table = self.approvals.xtra(profile_id=profile.id)
        where = "turn = ? AND state = 'waiting' AND expires_utc > ?"
        several = table(where, (key, now()), "expires_utc")
        calls = several or [table[key]]
        record: Row = calls[0] | {"id": key, "calls": calls}
        if several:
            record["hash"] = digest(dumps([(call["id"], call["hash"]) for call in calls]))
        return record | {"shown": "\n".join(map(self._told, calls))}

    def _told(self, call: Row) -> str:
        name, said = call["tool"], self.shown(call["tool"], call["arguments"])
        with suppress(Problem):
            if call["arguments"] and name in self.told:
                said += "\n" + self.told[name](**loads(call["arguments"]))
        return said.rstrip()
