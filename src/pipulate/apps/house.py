"""The house: one home folder opened, with its store, engines, tools and shelf. No server needed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipulate.apps.files import Files
from pipulate.apps.shelf import Shelf
from pipulate.core import backups
from pipulate.core.events import Events
from pipulate.core.fields import make_field
from pipulate.core.jobs import Jobs
from pipulate.core.profiles import Profiles
from pipulate.core.runs import Runs
from pipulate.core.settings import Settings
from pipulate.core.store import DictLikeDB, Store
from pipulate.core.tools import Caller, Tool, Tools

NAME, RUN, EVENT = make_field("name", str), make_field("run", int), make_field("event", int)
PROFILE = make_field("profile", str)
AFTER = make_field("after", str, "")
NEW_NAME = make_field("new_name", str)


class House:
    """Everything of one home. Raises Broken when its store cannot be used."""

    def __init__(self, settings: Settings):
        settings.make_home()
        self.settings = settings
        self.db = backups.open_store(settings)
        self.profiles = Profiles(self.db)
        self.events = Events(self.db)
        self.tools = Tools(self.db)
        self.files = Files(self.db, settings.folder("files"))
        self.runs = Runs(self.db, settings.folder("files"))
        self.jobs = Jobs(self.runs, self.tools, settings.home, "pipulate.apps.worker")
        self.tools.replace("core", _core_tools(self))
        self.jobs.sweep()
        self.shelf = Shelf(self)
        self.shelf.scan()

    def settings_of(self, scope: str = "") -> DictLikeDB:
        """The settings of a scope ('' for the whole program) as a dictionary."""
        table = self.db.table("store", pk="key", scoped=True, logged=False)
        return DictLikeDB(table.xtra(scope=scope), Store)

    def caller(self, actor: str, profile: str | None = None, **options: Any) -> Caller:
        return Caller(actor, self.profiles.at(profile), **options)

    async def close(self) -> None:
        await self.jobs.close()
        self.db.close()


def _core_tools(house: House) -> list[Tool]:
    """Tools of the house itself: profiles, history, undo, runs, approvals."""
    profiles, runs, events = house.profiles, house.runs, house.events

    def said(text: str) -> None:
        if house.db.current:
            house.db.current.summary = text

    def profile_list(caller: Caller) -> list[dict[str, Any]]:
        return [asdict(p) for p in profiles.all()]

    def profile_add(caller: Caller, name: str) -> dict[str, Any]:
        made = profiles.add(name)
        said(f"Added profile “{made.name}”")
        return asdict(made)

    def profile_rename(caller: Caller, profile: str, new_name: str) -> dict[str, Any]:
        said(f"Renamed profile “{profile}” to “{new_name}”")
        return asdict(profiles.rename(profiles.at(profile), new_name))

    def profile_move(caller: Caller, profile: str, after: str) -> str:
        said(f"Moved profile “{profile}”")
        profiles.move(profiles.at(profile), profiles.at(after) if after else None)
        return profile

    def profile_delete(caller: Caller, profile: str) -> dict[str, Any]:
        found = profiles.at(profile)
        held = profiles.holdings(found)
        profiles.delete(found)
        said(f"Deleted profile “{found.name}” with {sum(held.values())} rows")
        return {"deleted": found.slug, "hidden": held}

    def history(caller: Caller) -> list[dict[str, Any]]:
        return events.recent(caller.profile.id, 30)

    def undo(caller: Caller, event: int) -> str:
        return events.undo(event, caller.profile.id, caller.actor)

    def run_list(caller: Caller) -> list[dict[str, Any]]:
        return runs.listing(caller.profile.id)

    def run_finish(caller: Caller, run: int) -> dict[str, Any]:
        said(f"Finished run {run}")
        return runs.set_locked(caller.profile.id, run, True)

    def run_reopen(caller: Caller, run: int) -> dict[str, Any]:
        said(f"Reopened run {run}")
        return runs.set_locked(caller.profile.id, run, False)

    def run_delete(caller: Caller, run: int) -> dict[str, Any]:
        runs.delete(caller.profile.id, run)
        said(f"Deleted run {run}")
        return {"deleted": run}

    def approval_result(caller: Caller, approval: str) -> dict[str, Any]:
        return house.tools.approval_result(approval, caller.profile)

    return [
        Tool("profile_list", "List the profiles.", "read", (), profile_list),
        Tool("profile_add", "Add a profile.", "write", (NAME,), profile_add),
        Tool("profile_rename", "Rename a profile.", "write", (PROFILE, NEW_NAME), profile_rename),
        Tool("profile_move", "Reorder the profiles.", "write", (PROFILE, AFTER), profile_move),
        Tool("profile_delete", "Delete a profile and its rows.", "destructive", (PROFILE,), profile_delete),
        Tool("history", "What was done last, newest first, with event ids.", "read", (), history),
        Tool("undo", "Take back one event of the history.", "write", (EVENT,), undo),
        Tool("run_list", "List the runs of all pipelines.", "read", (), run_list),
        Tool("run_finish", "Finish (lock) a run.", "write", (RUN,), run_finish),
        Tool("run_reopen", "Reopen a finished run.", "write", (RUN,), run_reopen),
        Tool("run_delete", "Delete a run; can be undone.", "write", (RUN,), run_delete),
        Tool(
            "approval_result",
            "The state and result of an approval asked for earlier.",
            "read",
            (make_field("approval", str),),
            approval_result,
        ),
    ]


