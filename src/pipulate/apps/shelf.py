"""The shelf: finds plugin files, loads them, keeps what works and the failures to show.

Files in the home's apps/ are the user's own and trusted; they load at once and again when saved. A
broken save keeps the old version at work beside its error.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

import anyio.to_thread
from filelock import FileLock, Timeout

from pipulate.apps.base import AppKind
from pipulate.apps.crud import Crud, CrudApp
from pipulate.apps.pipeline import Guided
from pipulate.apps.plugin import Plugin, file_hash, load_file
from pipulate.apps.steps import Pipeline
from pipulate.core.problems import Missing, Problem, Unknown, nearest
from pipulate.core.store import Row
from pipulate.core.tools import interrupt

BUNDLED = Path(__file__).parents[1] / "plugins"
IMPORT_SECONDS = 10
PAGE_WORDS = ["history", "search", "approvals", "undo", "chat", "profile", "plugin"]
PAGE_WORDS += ["settings", "call"]


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
        settings = self.house.settings
        folders = [*([settings.folder("apps")] if settings.plugins else []), BUNDLED]
        found = (p for folder in folders for p in sorted(folder.glob("*.py")))
        return [p for p in found if p.name[0] not in "_." and p.is_file()]

    def scan(self) -> bool:
        """Load new and changed files, drop removed ones; True when something changed."""
        stats = [(path, path.stat()) for path in self._files()]
        stamps = {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats}
        if stamps == self._seen:
            return False
        before, self._seen = self._seen, stamps
        for path in before.keys() - stamps:
            self._remove(path)
        for path, stamp in stamps.items():
            if before.get(path) != stamp:
                self._load(path)
        for plugin in list(self.plugins.values()):
            if plugin.bundled and not plugin.apps and not plugin.problem:
                self._commit(plugin, None)  # its name may be free again
        self.changed()
        return True

    def changed(self) -> None:
        self.version += 1
        for listener in self.on_change:
            listener()

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
            with self._marked(path, digest):
                plugin = _in_time(path, digest)
            plugin.bundled = path.parent == BUNDLED
            self._commit(plugin, old)
        except Exception as error:
            ours = isinstance(error, Problem)
            problem = error if ours else Problem(repr(error), "Mend the file.")
            if path.name not in problem.what:
                problem.what = f"{path.name}: {problem.what}"
            self.plugins.setdefault(path, Plugin(path, digest)).problem = problem

    @contextlib.contextmanager
    def _marked(self, path: Path, digest: str) -> Iterator[None]:
        """A mark for as long as a file of the user's loads: one that ends the whole program

        leaves it behind, and is not loaded again before it is changed."""
        locks = self.house.settings.folder("locks")
        mark = locks / f"loading-{digest[:16]}"
        try:
            lock = FileLock(locks / "loading").acquire(timeout=0)
        except Timeout:  # another process loads right now: its mark says nothing
            yield
            return
        with lock:
            if mark.exists():
                what = f"{path.name} ended the program when it was last loaded."
                raise Problem(what, "Change the file; then it is loaded again.")
            mark.touch()
            try:
                yield
            finally:
                mark.unlink()

    def accept(self, name: str) -> None:
        """Load a plugin file whose class would lose values, as its problem said it would."""
        for path, plugin in self.plugins.items():
            loss = plugin.problem.details.get("accept") if plugin.problem else None
            if plugin.name == name and loss:
                self.house.accepted.add(loss)
                self._load(path)
                self.changed()
                if problem := self.plugins[path].problem:
                    raise problem
                return
        raise Missing(f"Nothing of {name!r} waits to be accepted.", "See its card in the menu.")

    def _commit(self, plugin: Plugin, old: Plugin | None) -> None:
        """Register what a file defines in one go; a refusal leaves the old version in place.

        An app of the user's own takes the place of a bundled one of that name."""
        apps = _apps_in(plugin)
        others = self._without(old)
        if not apps:
            what = f"{plugin.path.name} defines no CrudApp class and no Pipeline."
            raise Problem(what, "See “your first app” in the README.")
        slugs = [app.slug for app in apps]
        names = _names(apps)
        if plugin.bundled and not names.isdisjoint(_names(others.values())):
            self.plugins[plugin.path] = plugin
            return
        yielding = [p for p in self.plugins.values() if p.bundled and p.path != plugin.path]
        yielding = [p for p in yielding if not names.isdisjoint(_names(p.apps))]
        for bundled in yielding:
            others = {s: a for s, a in others.items() if a not in bundled.apps}
        for slug in slugs:
            if slugs.count(slug) > 1 or slug in (*others, *PAGE_WORDS):
                what = f"The name {slug!r} is already taken."
                raise Problem(what, "Rename the class or pipeline, or set plural = …")
        try:
            with self.house.db.change():  # all of it or nothing
                for app in apps:
                    app.define(self.house)
                tools = [tool for app in apps for tool in app.tools(self.house)]
                for bundled in yielding:
                    self.house.tools.replace(str(bundled.path), [])
                    bundled.apps = []
                self.house.tools.replace(str(plugin.path), tools)
        finally:
            for slug in slugs:
                self.house.db.forget(f"app_{slug}")
        plugin.apps, plugin.problem = apps, None
        self.apps = others | {app.slug: app for app in apps}
        self.plugins[plugin.path] = plugin

    def _without(self, plugin: Plugin | None) -> dict[str, AppKind]:
        return {s: a for s, a in self.apps.items() if not plugin or a not in plugin.apps}

    def _remove(self, path: Path) -> None:
        self.apps = self._without(self.plugins.pop(path))
        self.house.tools.replace(str(path), [])

    def get(self, slug: str) -> AppKind:
        """The app of an address. Raises Missing with the nearest name."""
        if slug not in self.apps:
            raise Missing(f"There is no app {slug!r}.", nearest(slug, self.apps))
        return self.apps[slug]

    def crud(self, name: str) -> Crud:
        """A CRUD app by its address (books) or its tools' name (book). Raises Unknown."""
        apps = [a for a in self.apps.values() if isinstance(a, Crud)]
        for app in apps:
            if name in (app.slug, app.name):
                return app
        raise Unknown(f"There is no app {name!r}.", nearest(name, [a.slug for a in apps]))

    def pipeline(self, slug: str) -> Guided:
        found = self.apps.get(slug)
        if not isinstance(found, Guided):
            names = [s for s, a in self.apps.items() if isinstance(a, Guided)]
            raise Missing(f"There is no pipeline {slug!r}.", nearest(slug, names))
        return found

    @property
    def failures(self) -> list[Plugin]:
        return [p for p in self.plugins.values() if p.problem]

    def listing(self) -> list[Row]:
        """[{name, kind, title, file, hash, bundled, problem}] for doors."""
        kinds = {Crud: "app", Guided: "pipeline"}
        return [
            {
                "name": getattr(app, "slug", plugin.name),
                "kind": kinds.get(type(app), "failed"),
                "title": getattr(app, "title", plugin.name),
                "file": str(plugin.path),
                "hash": plugin.hash[:12],
                "bundled": plugin.bundled,
                "problem": plugin.problem.what if plugin.problem else None,
            }
            for plugin in self.plugins.values()
            for app in plugin.apps or ([None] if plugin.problem else [])
        ]


def _in_time(path: Path, digest: str) -> Plugin:
    """load_file, but a file that does not come to its end keeps nobody waiting for ever."""
    loaded: Future[Plugin] = Future()

    def work() -> None:
        try:
            loaded.set_result(load_file(path, digest))
        except Exception as error:
            loaded.set_exception(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        return loaded.result(IMPORT_SECONDS)
    except TimeoutError:
        interrupt(thread.ident)
        what = f"{path.name} took over {IMPORT_SECONDS} s to load."
        raise Problem(what, "Put long work in a step, then save the file.") from None


def _names(apps: Iterable[AppKind]) -> set[str]:
    """By what addresses and tools are named; an app may have two of them (books, book)."""
    return {getattr(app, at, app.slug) for app in apps for at in ("slug", "name")}


def _apps_in(plugin: Plugin) -> list[AppKind]:
    """What a plugin's file defines itself; an imported class belongs to another file."""
    module = plugin.module

    def own(value) -> bool:
        model = isinstance(value, type) and issubclass(value, CrudApp)
        return model and value.__module__ == module.__name__

    found = (v for v in vars(module).values() if isinstance(v, Pipeline) or own(v))
    return [Guided(v) if isinstance(v, Pipeline) else Crud(v) for v in found]
