"""The house: one home folder opened, with its store, engines, tools and shelf. No server needed."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipulate.apps.base import note, so_many
from pipulate.apps.browser import ready
from pipulate.apps.card import title
from pipulate.apps.exchange import ExchangeTools, export
from pipulate.apps.files import Files
from pipulate.apps.many import RowTools
from pipulate.apps.migrate import recast
from pipulate.apps.query import State
from pipulate.apps.run_tools import RunTools
from pipulate.apps.shelf import Shelf
from pipulate.core import backups, source
from pipulate.core.events import Events
from pipulate.core.fields import Field, File, Ref
from pipulate.core.jobs import Jobs
from pipulate.core.logs import problem_of
from pipulate.core.problems import Missing, Problem, require
from pipulate.core.profiles import Profile, Profiles
from pipulate.core.runs import Runs
from pipulate.core.settings import Settings
from pipulate.core.store import DictLikeDB, Row
from pipulate.core.tools import Caller, Tools, limited, tool, tools_of
from pipulate.core.undo import OnConflict

MOST = 64_000  # characters of one file told at once
FOUND = 8  # rows of an app that a search tells


class House:
    """Everything of one home. Raises Broken when its store cannot be used."""

    def __init__(self, settings: Settings, engine: type[Jobs] = Jobs):
        settings.make_home()
        self.settings, files = settings, settings.folder("files")
        self.db = backups.open_store(settings)
        self.db.on_event.append(note)
        self.profiles, self.events = Profiles(self.db), Events(self.db, self._recast)
        self.tools, self.files = Tools(self.db), Files(self.db, files)
        self.tools.told["profile_delete"] = self._hides
        self.runs = Runs(self.db, files)
        self.jobs = engine(self.runs, self.tools, settings.home, "pipulate.apps.worker")
        # What pipelines need is there, or the check of that name raises a Problem.
        self.needs: dict[str, Any] = {"browser": lambda caller: asyncio.to_thread(ready)}
        self.accepted: set[str] = set()  # losses of a class's migration that a person agreed to
        self.tools.replace("core", tools_of(HouseTools(self)))
        self.trouble: Problem | None = None  # of the work of each day
        self.shares: Any = None  # of a server: what is given to pages of others
        self.on_close: list[Callable[[], None]] = []
        self.on_progress: list[Callable[[int, str, str], None]] = []  # profile's id, HTML, address
        self.jobs.sweep()
        self.shelf = Shelf(self)
        self.tools.trying, self.tools.hint = self.shelf.calling, self.shelf.hint
        self.runs.pipeline = lambda slug: getattr(self.shelf.apps.get(slug), "pipeline", None)
        self.shelf.scan()

    def _recast(self, table: str, row: Row) -> Row:
        app = self.shelf.cruds.get(table)
        return recast(app, row) if app else row

    def held(self, profile: Profile) -> str:
        """What a deletion of the profile would hide: "13 runs, 1 finding"."""
        told = []
        for name, count in self.profiles.holdings(profile).items():
            app = self.shelf.cruds.get(f"app_{name}")
            told.append(app.told(count) if app else so_many(count, name.removesuffix("s")))
        return ", ".join(told)

    def _hides(self, profile: str) -> str:
        held = self.held(self.profiles.at(profile))
        return held and f"It hides {held}; History can bring it back."

    def settings_of(self, scope: str | int = "") -> DictLikeDB:
        """The settings of a profile's id, or of the whole program, as a dictionary."""
        table = self.db.table("store", pk="key", scoped=True, logged=False)
        return DictLikeDB(table.xtra(scope=str(scope)))

    def caller(self, actor: str, profile: str | None = None, **options) -> Caller:
        return Caller(actor, self.profiles.at(profile), **options)

    def meant(self, field: Field, value: Any, caller: Caller) -> Any:
        """What a tool or a step takes for a value: of a Ref the row's key, of a File the file."""
        if value is None or field.type not in (Ref, File):
            return value
        if field.type is File:
            return self.files.resolve(value, caller)
        return self.shelf.crud(field.target).referred(field, value, caller)

    async def answer(self, said: Row) -> Any:
        """The result of {tool, values, text, profile, yes, cwd, actor}. Raises the tool's Problem.

        `tools` and `apps` list those, `export` is a Download of {app, form, raw, where}."""
        actor, yes = "mcp" if said.get("actor") == "mcp" else "shell", said.get("yes")
        how = {"cwd": Path(said.get("cwd") or Path.home()), "answered": said.get("answered", "")}
        how |= {"confirmed": bool(yes), "sure": yes is True}  # else of this call alone
        caller = self.caller(actor, said.get("profile"), **how)
        tool, values = said["tool"], said.get("values") or {}
        if lists := {"tools": self.tools, "apps": self.shelf}.get(tool):
            return lists.listing()
        if tool == "export" and actor == "shell":
            app = self.shelf.crud(values["app"])
            about = app.state_of(values["where"]), values["form"], values["raw"]
            return await limited(export, app, caller, *about)
        return await self.tools.call(tool, values, caller, said.get("text"))

    async def close(self) -> None:
        for listener in self.on_close:
            listener()
        await self.jobs.close()
        self.db.close()


class HouseTools(ExchangeTools, RowTools, RunTools):
    """Tools of the house itself: profiles, history, undo, runs, approvals, rows in and out."""

    def __init__(self, house: House):
        self.house, self.profiles = house, house.profiles

    @tool(kind="read")
    def profile_list(self, caller: Caller):
        """List the profiles."""
        return [asdict(p) for p in self.profiles.all()]

    @tool
    def profile_add(self, caller: Caller, name: str):
        """Add a profile."""
        made = self.profiles.add(name)
        self.said(f"Added profile “{made.name}”")
        return asdict(made)

    @tool
    def profile_rename(self, caller: Caller, profile: str, new_name: str):
        """Rename a profile; its old address redirects."""
        self.said(f"Renamed profile “{profile}” to “{new_name}”")
        return asdict(self.profiles.rename(self.profiles.at(profile), new_name))

    @tool
    def profile_move(self, caller: Caller, profile: str, after: str = ""):
        """Put a profile behind another, or first."""
        self.said(f"Moved profile “{profile}”")
        self.profiles.move(self.profiles.at(profile), self.profiles.at(after) if after else None)
        return profile

    @tool(kind="destructive")
    def profile_delete(self, caller: Caller, profile: str):
        """Delete a profile with all its rows; History can bring it back."""
        found = self.profiles.at(profile)
        held = self.profiles.holdings(found)
        self.profiles.delete(found)
        for job in [*self.house.jobs.live.values()]:
            if job.run["profile_id"] == found.id:
                job.work.get_loop().call_soon_threadsafe(job.stop, "cancelled")
        self.said(f"Deleted profile “{found.name}” with {so_many(sum(held.values()), 'row')}")
        return {"deleted": found.slug, "hidden": held}

    @tool(kind="read")
    def history(self, caller: Caller):
        """What was done last, newest first: with event ids, turns, and what can be undone."""
        without = "target", "deleted", "kept"
        events = self.house.events.recent(caller.profile.id, 30)
        return [{n: event[n] for n in event if n not in without} for event in events]

    @tool(seconds=60.0)
    def undo(
        self,
        caller: Caller,
        event: int | None = None,
        on_conflict: OnConflict = "refuse",
        more: list | None = None,
    ):
        """Take back an event of the history (else the last change), `more` ids with it, as one.

        Undo an undo to redo."""
        events, profile = self.house.events, caller.profile.id
        first = events.last(profile) if event is None else event
        keys = [first, *(int(key) for key in more or [] if str(key).isdecimal())]
        return self._unused(caller, events.undo(keys, profile, caller.actor, on_conflict))

    @tool(seconds=60.0)
    def undo_turn(self, caller: Caller, turn: str, on_conflict: OnConflict = "refuse"):
        """Take back all that the assistant changed in one turn."""
        undo = self.house.events.undo_turn
        return self._unused(caller, undo(turn, caller.profile.id, caller.actor, on_conflict))

    def _unused(self, caller: Caller, said: str) -> str:
        """What an undo says; Conflict when rows are left that refer to what is gone."""
        images = self.house.db.current.images
        for table, app in self.house.shelf.cruds.items():
            if own := [image for image in images if image["table"] == table]:
                last = {image["id"]: image["after"] for image in own}
                app.refuse_used(caller, [key for key, after in last.items() if after is None])
                app.refuse_lost([image for image in own if image["after"]])
        return said

    @tool(kind="destructive", seconds=60.0)
    def plugin_accept(self, caller: Caller, plugin: str):
        """Load a plugin although its changed fields lose values; a backup is made first."""
        self.house.shelf.again(plugin, accept=True)
        return {"loaded": plugin}

    @tool
    def plugin_retry(self, caller: Caller, plugin: str):
        """Load a plugin file that failed once more, or let a folded one work again."""
        self.house.shelf.again(plugin)
        return {"loaded": plugin}

    @tool(kind="read")
    def source(self, caller: Caller, file: str = "", line: int = 1):
        """Pipulate's own source and the user's plugins: the list, or one file from a line on."""
        known = source.files(self.house.settings.folder("apps"))
        if not file:
            return [*known]
        require(file, known, f"There is no file {file!r}.", Missing)
        lines = known[file].read_text("utf-8", errors="replace").splitlines(True)
        text = "".join(lines[max(0, line - 1) :])[:MOST]
        return {"file": file, "lines": len(lines), "text": text}

    @tool(kind="read")
    async def search(self, caller: Caller, q: str):
        """Find apps and pipelines by title, and their rows and runs by words: [{title, address,

        rows: [{name, address}]}]. Give the user an address as a link of Markdown."""
        found, base = [], f"/{caller.profile.slug}/"
        for slug, app in sorted(self.house.shelf.apps.items()):
            rows = await self._named(caller, app, q)
            if rows or q.lower() in app.title.lower():
                found.append({"title": app.title, "address": base + slug, "rows": rows})
        return found

    async def _named(self, caller: Caller, app: Any, q: str) -> list[Row]:
        at, shelf = f"/{caller.profile.slug}/{app.slug}", self.house.shelf

        def named() -> list[Row]:
            if app in shelf.cruds.values():
                rows = app.find(caller, State(q=q))[0][:FOUND]
                return [{"name": str(row), "address": f"{at}?f.id={row.id}"} for row in rows]
            runs = self.house.runs.listing(caller.profile.id, app.slug, FOUND, q)
            return [{"name": title(run), "address": f"{at}/{run['id']}"} for run in runs]

        try:
            with shelf.trying(shelf.of(app), "search"):
                return await limited(named)
        except Exception as error:
            problem_of(error)  # what is a fault is in the log
        return []

    @tool(kind="read")
    def approval_result(self, caller: Caller, approval: str):
        """The state and result of an approval asked for earlier."""
        found = self.house.tools.approval(approval, caller.profile)
        return {"state": found["state"], "result": json.loads(found["result"] or "null")}
