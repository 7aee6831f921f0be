"""`pipulate step`: one step as a Unix filter. Stores nothing and never goes through a server."""

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipulate.apps.plugin import Plugin, file_hash, load_file
from pipulate.apps.shelf import BUNDLED
from pipulate.apps.steps import Pipeline
from pipulate.apps.worker import JobHandle, run_step
from pipulate.core.fields import File, check_values, from_json, to_json
from pipulate.core.problems import Invalid, Problem, Unknown, nearest
from pipulate.core.settings import Settings


class Terminal:
    """The other end of `job` outside of a run: progress goes to standard error alone."""

    def send(self, message: dict[str, Any]):
        if "progress" in message and sys.stderr.isatty():
            done, total, said = message["progress"]
            print(f"\r{done:,g}/{total:,g} {said[:60]}\033[K", end="", file=sys.stderr)

    def ask(self, message: dict[str, Any]):
        """A checkpoint is not kept; a tool would change data, which a filter does not."""
        if "call" in message:
            raise Problem("A filter changes no data.", "Use `pipulate run` for this step.")


def filter_step(settings: Settings, name: str, text: str):
    """The output (JSON) of PIPELINE.STEP for a JSON object of upstream outputs and inputs.

    Raises Unknown, Invalid, or Problem when the step itself fails."""
    slug, _, step_name = name.partition(".")
    pipeline = _pipeline(settings, slug)
    if step_name not in pipeline.steps:
        raise Unknown(f"{slug} has no step {step_name!r}.", nearest(step_name, pipeline.steps))
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise Problem(f"Standard input is no JSON ({error}).", 'Write {"name": value}.') from None
    if not isinstance(given, dict):
        raise Invalid("Standard input must be a JSON object.", 'Write {"name": value}.')
    step = pipeline.steps[step_name]
    outputs = {up: from_json(given.pop(up)) for up in step.uses if up in given}
    missing = [up for up in step.uses if up not in outputs]
    if missing:
        raise Invalid(f"{name} needs {', '.join(missing)}.", "Put those outputs into the object.")
    inputs = check_values(step.bound(outputs), given)
    for field in step.fields:
        path = inputs.get(field.name)
        if field.kind.input == "file" and field.name in inputs and not isinstance(path, File):
            inputs[field.name] = File(Path(str(path)))
    folder = tempfile.mkdtemp(prefix="pipulate-") if step.wants_job else ""
    job = JobHandle(Terminal(), {"checkpoint": None, "folder": folder})
    with contextlib.redirect_stdout(sys.stderr):
        return to_json(run_step(pipeline, step_name, outputs | inputs, job))


def _pipeline(settings: Settings, slug: str) -> Pipeline:
    known = []
    for path in [*BUNDLED.glob("[!_]*.py"), *settings.folder("apps").glob("[!_]*.py")]:
        with contextlib.suppress(Problem):
            plugin: Plugin = load_file(path, file_hash(path))
            known += [p.slug for p in vars(plugin.module).values() if isinstance(p, Pipeline)]
            with contextlib.suppress(Problem):
                return plugin.pipeline(slug)
    raise Unknown(f"There is no pipeline {slug!r}.", nearest(slug, known))
