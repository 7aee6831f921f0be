"""The shelf: finds plugin files, loads them, keeps what works and the failures to show.

Files in the home's apps/ are the user's own and trusted; they load at once and again when saved. A
broken save keeps the old version at work beside its error.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from pipulate.apps.base import AppKind
from pipulate.apps.crud import Crud, CrudApp
from pipulate.apps.pipeline import Guided
from pipulate.apps.plugin import Plugin, file_hash, load_file
from pipulate.apps.steps import Pipeline
from pipulate.core.problems import Missing, Problem, nearest
from pipulate.core.tools import interrupt

BUNDLED = Path(__file__).parents[1] / "plugins"
IMPORT_SECONDS = 10
PAGE_WORDS = "history search approvals undo chat profile plugin settings call".split()


class Shelf:
    """Apps by slug, plugins by path. `version` grows with every change, for caches of the menu."""

    def __init__(self, house):
        self.house = house
        self.plugins: dict[Path, Plugin] = {}
        self.apps: dict[str, AppKind] = {}
        self.version = 0
        self.on_change: list[Callable[[], None]] = []
        self._seen: dict[Path, tuple[int, int]] = {}

    def _files(self) -> list[Path]:
        own = self.house.settings.folder("apps") if self.house.settings.plugins else None
        folders = [BUNDLED, own] if own else [BUNDLED]
        found = [p for f in folders for p in sorted(f.glob("*.py")) if p.name[0] not in "_."]
        return [p for p in found if p.is_file()]

    def scan(self) -> bool:
        """Load new and changed files, drop removed ones; True when something changed."""
        stamps = {}
        for path in self._files():
            stat = os.stat(path)
            stamps[path] = (stat.st_mtime_ns, stat.st_size)
        changed = [p for p in stamps if self._seen.get(p) != stamps[p]]
        gone = [p for p in self._seen if p not in stamps]
        self._seen = stamps
        for path in gone:
            self._remove(path)
        for path in changed:
            self._load(path)
        if changed or gone:
            self.version += 1
            for listener in self.on_change:
                listener()
        return bool(changed or gone)

    async def watch(self, every: float = 0.4) -> None:
        """Rescan while the program runs; a file saved is live within a second."""
        while True:
            await anyio.sleep(every)
            with contextlib.suppress(OSError):
                await anyio.to_thread.run_sync(self.scan, abandon_on_cancel=True)

    def _load(self, path: Path) -> None:
        old, digest = self.plugins.get(path), ""
        try:
            digest = file_hash(path)
            if old and old.hash == digest and not old.problem:
                return
            plugin = _in_time(path, digest)
            plugin.bundled = path.parent == BUNDLED
            self._commit(plugin, old)
        except Exception as error:
            problem = error if isinstance(error, Problem) else Problem(repr(error), "Mend the file.")
            if path.name not in problem.what:
                problem.what = f"{path.name}: {problem.what}"
            kept = old or Plugin(path, digest)
            kept.problem = problem
            self.plugins[path] = kept

    def _commit(self, plugin: Plugin, old: Plugin | None) -> None:
        """Register what a file defines in one go; a refusal leaves the old version in place."""
        apps = [_kind(v) for v in vars(plugin.module).values() if _is_app(v, plugin)]
        others = {s: a for s, a in self.apps.items() if old is None or a not in old.apps}
        if not apps:
            what = f"{plugin.path.name} defines no CrudApp class and no Pipeline."
            raise Problem(what, "See “your first app” in the README.")
        slugs = [app.slug for app in apps]
        for slug in slugs:
            if slug in others or slug in PAGE_WORDS or slugs.count(slug) > 1:
                what = f"The name {slug!r} is already taken."
                raise Problem(what, "Rename the class or pipeline, or set plural = …")
        for app in apps:
            app.define(self.house)
        tools = [tool for app in apps for tool in app.tools(self.house)]
        self.house.tools.replace(str(plugin.path), tools)
        plugin.apps, plugin.problem = apps, None
        self.apps = others | {app.slug: app for app in apps}
        self.plugins[plugin.path] = plugin

    def _remove(self, path: Path) -> None:
        plugin = self.plugins.pop(path)
        self.apps = {s: a for s, a in self.apps.items() if a not in plugin.apps}
        self.house.tools.replace(str(path), [])

    def get(self, slug: str) -> AppKind:
        """The app of an address. Raises Missing with the nearest name."""
        if slug not in self.apps:
            raise Missing(f"There is no app {slug!r}.", nearest(slug, self.apps))
        return self.apps[slug]

    def pipeline(self, slug: str) -> Guided:
        found = self.apps.get(slug)
        if not isinstance(found, Guided):
            names = [s for s, a in self.apps.items() if isinstance(a, Guided)]
            raise Missing(f"There is no pipeline {slug!r}.", nearest(slug, names))
        return found

    @property
    def failures(self) -> list[Plugin]:
        return [p for p in self.plugins.values() if p.problem]

    def listing(self) -> list[dict[str, Any]]:
        """[{name, kind, title, file, hash, bundled, problem}] for doors."""
        rows = []
        for plugin in self.plugins.values():
            about = {"file": str(plugin.path), "hash": plugin.hash[:12], "bundled": plugin.bundled}
            about["problem"] = plugin.problem.what if plugin.problem else None
            kinds = {Crud: "app", Guided: "pipeline"}
            for app in plugin.apps or [None]:
                named = {"name": getattr(app, "slug", plugin.name), "kind": kinds.get(type(app), "failed")}
                rows.append(named | {"title": getattr(app, "title", plugin.name)} | about)
        return rows


def _in_time(path: Path, digest: str) -> Plugin:
    """load_file, but a file that does not come to its end keeps nobody waiting for ever."""
    loaded: list[Any] = []

    def work() -> None:
        try:
            loaded.append(load_file(path, digest))
        except Exception as error:
            loaded.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(IMPORT_SECONDS)
    if not loaded:
        interrupt(thread.ident)
        what = f"{path.name} took over {IMPORT_SECONDS} s to load."
        raise Problem(what, "Put long work in a step, then save the file.")
    if isinstance(loaded[0], Exception):
        raise loaded[0]
    return loaded[0]


def _is_app(value, plugin: Plugin) -> bool:
    if isinstance(value, Pipeline):
        return True
    own = isinstance(value, type) and issubclass(value, CrudApp) and value is not CrudApp
    return own and value.__module__ == plugin.module.__name__  # type: ignore[union-attr]


def _kind(value):
    return Guided(value) if isinstance(value, Pipeline) else Crud(value)
