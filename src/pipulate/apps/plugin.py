"""One plugin file: read, compiled and run as a module; the apps and pipelines it defines."""

import functools
import hashlib
import importlib.util
import linecache
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pipulate.apps.base import line_of
from pipulate.apps.steps import Pipeline
from pipulate.core.fields import KINDS
from pipulate.core.problems import Missing, Problem, nearest


@dataclass
class Plugin:
    """A loaded file, or the failure that its card shows. `name` is the file's stem."""

    path: Path
    hash: str
    module: ModuleType | None = None
    problem: Problem | None = None
    bundled: bool = False
    apps: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def pipelines(self) -> list[Pipeline]:
        return [v for v in vars(self.module or object).values() if isinstance(v, Pipeline)]

    def pipeline(self, slug: str) -> Pipeline:
        for found in self.pipelines:
            if found.slug == slug:
                return found
        raise Missing(f"{self.path.name} has no pipeline {slug!r} any more.", "Reload the page.")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=16)
def load_file(path: Path, digest: str, text: str = "") -> Plugin:
    """Run a plugin file whose content has this hash. Raises Problem with the line of the fault.

    `text` (bytes as Latin-1) stands for a version that is no longer on disk."""
    content = text.encode("latin-1") if text else path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise Problem(f"{path.name} changed on disk meanwhile.", "Try again in a second.")
    name = f"pipulate_plugin_{path.stem}_{digest[:12]}"
    if path.parent == Path(__file__).parents[1] / "plugins":
        name = f"pipulate.plugins.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    lines = content.decode(errors="replace").splitlines(True)
    linecache.cache[str(path)] = (len(content), None, lines, str(path))
    sys.modules[name] = module  # dataclasses and type hints look it up there
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _load_problem(path, error) from error
    plugin = Plugin(path, digest, module)
    for pipeline in plugin.pipelines:
        pipeline.file, pipeline.hash, pipeline.text = path, digest, content.decode("latin-1")
    return plugin


def _load_problem(path: Path, error: BaseException) -> Problem:
    frames = reversed(traceback.extract_tb(error.__traceback__))
    line = next((f.lineno for f in frames if f.filename == str(path)), None)
    if isinstance(error, SyntaxError):
        line, error = error.lineno, SyntaxError(error.msg)
    step = "Mend the file; it loads again when saved."
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, Problem):
        what, step = error.what, error.next_step or step
        line = error.details.get("line") or line
        owner = what.split(".")[0].split(":")[0]
        line = line_of(path.read_text(), owner) or line if owner.isidentifier() else line
    if isinstance(error, NameError):
        step = nearest(error.name, [getattr(kind, "__name__", "Any") for kind in KINDS])
    if isinstance(error, ModuleNotFoundError):
        step = f"Install it into Pipulate's environment: pip install {error.name}"
    return Problem(f"{path.name}, line {line}: {what}", step, line=line)
