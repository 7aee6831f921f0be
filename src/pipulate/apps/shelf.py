"""The shelf: finds plugin files, loads them, keeps what works and the failures to show.

Files in the home's apps/ load at once and again when saved; a broken save keeps the old version at
work beside its error.
"""

import contextlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
from filelock import FileLock

from pipulate import __version__
from pipulate.apps.base import Visit
from pipulate.apps.crud import Crud, CrudApp
from pipulate.apps.local import in_thread
from pipulate.apps.pipeline import Guided
from pipulate.apps.plain import Plain
from pipulate.apps.plugin import BUNDLED, Plugin, line_in, load_file, plugin_files
from pipulate.core.logs import log_fault, redacted
from pipulate.core.problems import Busy, Missing, Problem, Unknown, nearest
from pipulate.core.store import Row
from pipulate.core.tools import Tool, interrupt

IMPORT_SECONDS, LOOK = 10, 0.2
PAGE_WORDS = "history search approvals undo chat plugin settings call inbox quit assistant"
RECORD = {"name": "", "at": "", "state": "", "wish": "", "origin": "own file", "version": 1}


class Shelf:
    """Plugins by path, apps by slug. `version` grows with every change, for caches of the menu."""

    def __init__(self, house):
        self.house, self.version = house, 0
        self.plugins: dict[Path, Plugin] = {}  # replaced, never changed: threads go through it
        self.on_change: list[Callable[[], None]] = []
        self.back: list[tuple[str, str]] = []  # (slug, words) of what came again
        self.drafts: list[Row] = []  # {name, said, at_utc} of what waits in quarantine/ for a yes
        self._seen: dict[Path, tuple[int, ...]] = {}
        self.edition = _edition(house)

    @property
    def apps(self) -> dict[str, Any]:
        return {app.slug: app for plugin in self.plugins.values() for app in plugin.apps}

    @property
    def cruds(self) -> dict[str, Crud]:
        """{table: app}"""
        return {app.table_name: app for app in self.apps.values() if isinstance(app, Crud)}

    def scan(self) -> bool:
        """Load what is new or changed, drop what is gone; True when something changed."""
        settings = self.house.settings
        own = [settings.folder("apps")] if settings.plugins else []
        files = plugin_files(*own, *self.edition, BUNDLED)
        drafts = settings.folder("quarantine")  # whose folders change with their records
        stats = [(path, path.stat()) for path in (*files, *drafts.glob("*"))]
        before = self._seen
        self._seen = seen = {p: (s.st_mtime_ns, s.st_ctime_ns, s.st_size) for p, s in stats}
        if seen == before:
            return False
        self.drafts = _waiting(drafts.glob("*/*.json"))
        for path in self.plugins.keys() - seen.keys():
            plugins = {**self.plugins}
            self._withdraw(plugins.pop(path))
            self.plugins = plugins
        for path in files:
            if before.get(path) != seen[path] == self._seen.get(path):
                self._load(path)
            if before and path not in before and path in self.plugins:
                self.back += filter(None, map(self._kept, self.plugins[path].apps))
        self._changed()
        return True

    def _kept(self, app: Any) -> tuple[str, str] | None:
        """(address, what an app has from before)."""
        what, table = "rows", getattr(app, "table_name", "")
        if isinstance(app, Guided):
            what, table = "runs", f"runs WHERE pipeline = '{app.slug}'"
        n = self.house.db.one(f"SELECT count(*) AS n FROM {table}")["n"] if table else 0
        return (app.slug, f"{app.title} is back, with {n:,} {what}.") if n else None

    def _changed(self) -> None:
        for plugin in self.plugins.values():
            if "taken" in plugin.problem.details if plugin.problem else not plugin.apps:
                self._load(plugin.path)  # its name may be free again
        self.version += 1
        for listener in self.on_change:
            listener()

    async def watch(self, every: float = LOOK) -> None:
        """Scan for ever: a saved file is live within a second."""
        while True:
            await anyio.sleep(every)
            try:
                await anyio.to_thread.run_sync(self.scan, abandon_on_cancel=True)
            except OSError:  # a file went meanwhile
                continue
            except Exception as error:
                log_fault(error)

    def _load(self, path: Path) -> None:
        old, content, seen = self.plugins.get(path), b"", self._seen.get(path)
        try:
            content = path.read_bytes()
            if not old or old.problem or not old.apps or old.content != content:
                plugin = self._run(Plugin(path, content))
                if self._seen.get(path) == seen:
                    self._commit(plugin)
        except Exception as why:
            if self._seen.get(path) != seen:  # saved anew
                return
            if isinstance(why, Busy):
                self._seen.pop(path, None)  # the next look tries again
            problem = why if isinstance(why, Problem) else Problem(repr(why), "Mend the file.")
            if path.name not in problem.what:
                problem.what = f"{path.name}: {problem.what}"
            plugin = old or Plugin(path, content)
            plugin.problem = problem
            self.plugins = {**self.plugins, path: plugin}

    def _run(self, plugin: Plugin) -> Plugin:
        """Load a file under a mark, which one that ends the program leaves behind."""
        if plugin.bundled:  # ours does not
            plugin.module = load_file(plugin.path, plugin.content).module
            return plugin
        mark = self._mark(plugin)
        with FileLock(f"{mark}~", 30):  # another's mark says nothing
            if mark.exists():
                what = f"{plugin.path.name} may have ended the program."
                raise Problem(what, "Try again, or change it.")
            mark.touch()
            try:
                self._in_time(plugin)
            finally:
                mark.unlink()
        return plugin

    def _in_time(self, plugin: Plugin) -> None:
        thread, loaded = in_thread(lambda: load_file(plugin.path, plugin.content).module)
        thread.start()
        for _ in range(1 + int(IMPORT_SECONDS / LOOK)):
            thread.join(LOOK)
            if loaded.done():
                plugin.module = loaded.result()
                return
            self.scan()  # others go on
        interrupt(thread.ident)
        what = f"{plugin.path.name} took over {IMPORT_SECONDS} s to load."
        raise Problem(what, "Put long work in a step, then save the file.")

    def _mark(self, plugin: Plugin) -> Path:
        return self.house.settings.folder("locks") / f"loading-{plugin.hash[:16]}"

    def again(self, name: str, accept: bool = False) -> None:
        """Load a plugin file with a problem once more, or unfold it.

        `accept`: though its changed class loses values, as its problem said it would."""
        waits = (p for p in self.failures if p.name == name)
        plugin = next((p for p in waits if not accept or p.problem.details.get("accept")), None)
        if not plugin:
            raise Missing(f"Nothing of {name!r} waits for that.", "See its card in the menu.")
        if accept:
            self.house.accepted.add(plugin.problem.details["accept"])
        if plugin.folded:
            plugin.problem = plugin.faults.clear()
        self._mark(plugin).unlink(missing_ok=True)
        self._load(plugin.path)
        self._changed()
        if problem := self.plugins[plugin.path].problem:
            raise problem

    async def answer(self, visit: Visit, method: str, rest: str):
        """What the visit's app says to a request below its address. Raises Missing."""
        for route in visit.app.routes:
            if (values := route.match(method, rest)) is not None:
                visit.path = values
                with self.trying(self.of(visit.app), f"{method} {route.path}"):
                    return await route.run(visit)
        raise Missing(f"{visit.app.title} has no page {rest!r} for {method}.", "Check the address.")

    @contextlib.contextmanager
    def trying(self, plugin: Plugin | None, what: str) -> Iterator[None]:
        """Around a plugin's code outside of steps: what fails three times in a row is folded."""
        if not plugin:
            yield
            return
        if plugin.folded:
            raise plugin.problem.with_traceback(None)
        try:
            yield
            plugin.faults.pop(what, None)
        except Exception as error:
            if not isinstance(error, Problem) or error.stack and line_in(plugin.path, error):
                plugin.faults[what] += 1
                if plugin.folded:
                    self._fold(plugin, error)
            raise

    def calling(self, tool: Tool) -> contextlib.AbstractContextManager[None]:
        return self.trying(self.plugins.get(tool.owner), tool.name)

    def _fold(self, plugin: Plugin, error: Exception) -> None:
        line, named = line_in(plugin.path, error), f"{type(error).__name__}: {error}"[:300]
        why = redacted(error.what if isinstance(error, Problem) else named)
        where = f"{plugin.path.name}, line {line}" if line else plugin.path.name
        what = f"{where} failed three times in a row: {why}"
        plugin.problem = Problem(what, "It rests until you mend the file or try again.")
        self._changed()

    def of(self, app: Any) -> Plugin | None:
        return next((p for p in self.plugins.values() if app in p.apps), None)

    def _commit(self, plugin: Plugin) -> None:
        """Register what a file defines; a refusal leaves the old version in place.

        A bundled app waits while the user has one of that name."""
        if not (apps := [*_apps_in(plugin)]):
            what = f"{plugin.path.name} defines no CrudApp class and no Pipeline."
            raise Problem(what, "See “your first app” in the README.")
        others = [p for path, p in self.plugins.items() if path != plugin.path]
        rivals = [p for p in others if _names(apps) & _names(p.apps)]
        if not (plugin.bundled and rivals):
            for bundled in (p for p in rivals if p.bundled):
                self._withdraw(bundled)
            self._register(plugin, apps, [app.slug for p in others for app in p.apps])
            plugin.apps, plugin.problem = apps, None
        self.plugins = {**self.plugins, plugin.path: plugin}

    def _withdraw(self, plugin: Plugin) -> None:
        plugin.apps = []
        self.house.tools.replace(plugin.path, [])

    def _register(self, plugin: Plugin, apps: list[Any], taken: list[str]) -> None:
        slugs = [app.slug for app in apps]
        for slug in slugs:
            if (slugs + taken + PAGE_WORDS.split()).count(slug) > 1:
                what = f"The name {slug!r} is already taken."
                raise Problem(what, "Rename the class or pipeline, or set plural = …", taken=slug)
        try:
            with self.house.db.change():
                for app in apps:
                    app.define(self.house)
                tools = [tool for app in apps for tool in app.tools()]
                self.house.tools.replace(plugin.path, tools)
        finally:
            for slug in slugs:
                self.house.db.forget(f"app_{slug}")

    def get(self, slug: str, kind: type = object, word: str = "app"):
        """The app of an address. Raises Missing with the nearest name."""
        found = {s: app for s, app in self.apps.items() if isinstance(app, kind)}
        if slug not in found:
            raise Missing(f"There is no {word} {slug!r}.", self.hint(slug, found))
        return found[slug]

    def hint(self, name: str, known: Iterable[str]) -> str:
        """The nearest of the known names, and what keeps other files from giving it."""
        broken = (str(p.problem) for p in self.failures if not p.apps)
        return " ".join([nearest(name, known), *broken])

    def pipeline(self, slug: str) -> Guided:
        return self.get(slug, Guided, "pipeline")

    def menu(self) -> list[tuple[Plugin, str, Any]]:
        """(plugin, icon and title, app) of all that work, the user's own first."""
        every = [
            (p.bundled, getattr(a, "place", 50), not isinstance(a, Crud), a.slug, p, a)
            for p in self.plugins.values()
            for a in p.apps
            if getattr(a, "place", 50) is not None
        ]
        return [(p, f"{getattr(a, 'icon', '')} {a.title}".strip(), a) for *_, p, a in sorted(every)]

    def crud(self, name: str) -> Crud:
        """A CRUD app by its address (books) or its tools' name (book). Raises Unknown."""
        found = {key: app for app in self.cruds.values() for key in (app.name, app.slug)}
        if name not in found:
            raise Unknown(f"There is no app {name!r}.", self.hint(name, found))
        return found[name]

    @property
    def failures(self) -> list[Plugin]:
        return [plugin for plugin in self.plugins.values() if plugin.problem]

    def listing(self) -> list[Row]:
        """[{name, kind, title, file, hash, bundled, origin, version, problem}] for doors."""
        kinds, rows = {Guided: "pipeline", type(None): "failed"}, []
        folder = self.house.settings.folder
        for plugin in self.plugins.values():
            about = {"file": str(plugin.path), "hash": plugin.hash[:12], "bundled": plugin.bundled}
            kept = {"origin": "bundled", "version": __version__}
            if plugin.path.parent == folder("apps"):
                kept = _record(folder("quarantine") / plugin.name / f"{plugin.hash}.json")
            about |= {key: kept[key] for key in ("origin", "version")}
            about["problem"] = plugin.problem and str(plugin.problem)
            for app in plugin.apps or [None] * bool(plugin.problem):
                slug, title = (getattr(app, n, plugin.name) for n in ("slug", "title"))
                kind = kinds.get(type(app), "app")
                rows.append({"name": slug, "kind": kind, "title": title} | about)
        return rows


def _record(path: Path) -> Row:
    kept: Row = {}
    with contextlib.suppress(OSError, ValueError, TypeError):
        kept = {**json.loads(path.read_text("utf-8"))}
    fits = {n: kept[n] for n, blank in RECORD.items() if isinstance(kept.get(n), type(blank))}
    return RECORD | fits


def _waiting(records: Iterable[Path]) -> list[Row]:
    kept = sorted(map(_record, records), key=lambda r: (r["at"], r["version"]))
    told = (r for r in kept if r["name"] and r["at"] and r["state"] != "faulty")
    waits = (r for r in {r["name"]: r for r in told}.values() if r["state"] == "waiting")
    return [{"name": r["name"], "said": r["wish"], "at_utc": r["at"]} for r in waits]


def _edition(house) -> list[Path]:
    """Where plugin files come along, too, from another package; the home remembers which."""
    kept = house.settings_of()
    named = house.settings.edition or kept.get("edition")
    if named != kept.get("edition"):
        kept["edition"] = named
    try:
        found = named and importlib.util.find_spec(named)
    except ImportError:  # the package it lies in is gone
        found = None
    return [*map(Path, found.submodule_search_locations or ())] if found else []


def _names(apps: Iterable[Any]) -> set[str]:
    return {getattr(app, at, app.slug) for app in apps for at in ("slug", "name")}


def _apps_in(plugin: Plugin) -> Iterator[Any]:
    """What a file defines itself; an imported class belongs to another one."""
    yield from map(Guided, plugin.pipelines.values())
    for value in vars(plugin.module).values():
        own = getattr(value, "__module__", "") == plugin.module.__name__
        if own and isinstance(value, type) and issubclass(value, CrudApp):
            yield (Crud if value.fields else Plain)(value)
