"""One plugin file: compiled and run as a module; the apps and pipelines it defines."""

import functools
import hashlib
import linecache
import re
import sys
import threading
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pipulate.apps.base import line_of
from pipulate.apps.steps import Pipeline
from pipulate.core.kinds import NAMED
from pipulate.core.problems import Problem, nearest

BUNDLED = Path(__file__).parents[1] / "plugins"
FAULTS = 3  # in a row: then a plugin rests


@dataclass(eq=False)
class Plugin:
    """A loaded file, or the failure that its card shows. `name` is the file's stem."""

    path: Path
    content: bytes
    module: ModuleType | None = None
    problem: Problem | None = None
    apps: list[Any] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)  # in a row, by what of it failed

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def bundled(self) -> bool:
        return self.path.parent == BUNDLED

    @property
    def folded(self) -> bool:
        return max(self.faults.values(), default=0) >= FAULTS

    @property
    def hash(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pipelines(self) -> dict[str, Pipeline]:
        """Those it defines itself; an imported one belongs to another file."""
        found = (v for v in vars(self.module).values() if isinstance(v, Pipeline))
        return {v.slug: v for v in found if v.module == self.module.__name__}


def plugin_files(*folders: Path) -> list[Path]:
    """The plugin files of folders, but no drafts (_x.py, .x.py)."""
    found = (path for folder in folders for path in sorted(folder.glob("[!_.]*.py")))
    return [path for path in found if path.is_file()]


@functools.lru_cache(maxsize=16)
def load_file(path: Path, content: bytes) -> Plugin:
    """Run this content of a plugin file, once. Raises Problem with the line of the fault."""
    plugin = Plugin(path, content)
    name = ("pipulate.plugins." if plugin.bundled else "pipulate_plugin_") + plugin.name
    before, module = sys.modules.get(name), ModuleType(name)
    plugin.module = module
    module.__file__ = str(path)
    lines = content.decode(errors="replace").splitlines(True)
    linecache.cache[str(path)] = (len(content), None, lines, str(path))
    sys.modules[name] = module  # dataclasses and type hints look it up there
    try:
        exec(compile(content, str(path), "exec"), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if before:
            sys.modules[name] = before
        ours = threading.current_thread() is threading.main_thread()  # where Ctrl-C comes
        if isinstance(error, KeyboardInterrupt) and ours:
            raise
        raise _load_problem(plugin, error) from error
    for pipeline in plugin.pipelines.values():
        pipeline.file, pipeline.content = path, content
    return plugin


def line_in(path: Path, error: BaseException) -> int | None:
    """The line of a file in which an error came up, or was stopped."""
    frames = traceback.extract_tb(error.__traceback__)
    frames += error.stack if isinstance(error, Problem) else []
    return next((line for file, line, *_ in frames[::-1] if file == str(path)), None)


def _load_problem(plugin: Plugin, error: BaseException) -> Problem:
    path, line = plugin.path, line_in(plugin.path, error)
    what, step = f"{type(error).__name__}: {error}", "Mend the file; it loads again when saved."
    match error:
        case SyntaxError():
            line, what = error.lineno, f"SyntaxError: {error.msg}"
        case Problem():
            what, step = error.what, error.next_step or step
            owner = re.split("[.:]", what)[0]  # such as Book in "Book.title: …"
            line = line_of(plugin.content, owner) or error.details.get("line") or line
        case NameError():
            step = nearest(error.name, NAMED)
        case TypeError() if "for |" in what:
            step = "A field hides a type of its name: rename it, such as day: date."
        case ModuleNotFoundError():
            step = f"Install it into Pipulate's environment: pip install {error.name}"
    return Problem(f"{path.name}, line {line or 1}: {what}", step, line=line)
