"""`pipulate step`: one step as a Unix filter. Stores nothing and never goes through a server."""

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipulate.apps.plugin import BUNDLED, load_file, plugin_files
from pipulate.apps.steps import Pipeline, Step
from pipulate.apps.worker import JobHandle, run_step
from pipulate.core.fields import File, check_values, from_json, to_json
from pipulate.core.problems import Invalid, Problem, Unknown, nearest
from pipulate.core.settings import Settings


def filter_step(settings: Settings, name: str, text: str):
    """The output (JSON) of PIPELINE.STEP for a JSON object of upstream outputs and inputs.

    Raises Unknown, Invalid, or Problem when the step itself fails."""
    step = _step(settings, name)
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise Problem(f"Standard input is no JSON ({error}).", 'Write {"name": value}.') from None
    if not isinstance(given, dict):
        raise Invalid("Standard input must be a JSON object.", 'Write {"name": value}.')
    if missing := [up for up in step.uses if up not in given]:
        raise Invalid(f"{name} needs {', '.join(missing)}.", "Put those outputs into the object.")
    known = {up: from_json(given.pop(up)) for up in step.uses}
    inputs = check_values(step.bound(known), given)
    for field in step.fields:
        if field.type is File and isinstance(inputs[field.name], str):
            inputs[field.name] = File(Path(inputs[field.name]))
    folder = tempfile.mkdtemp(prefix="pipulate-") if "job" in step.parameters else ""
    with contextlib.redirect_stdout(sys.stderr):
        job = JobHandle(_tell, _need, Path(folder))
        return to_json(run_step(step, known | inputs | {"job": job}))


def _tell(message: dict[str, Any]) -> None:
    """What `job` says outside of a run: progress to a terminal."""
    if sys.stderr.isatty():
        done, total, said = message["progress"]
        print(f"\r{done:,g}/{total:,g} {said[:60]}\033[K", end="", file=sys.stderr)


def _need(kind: str, *values: Any) -> Any:
    """What `job` gets outside of a run: nothing is kept, nobody is asked."""
    if kind in ("call", "ask", "model"):
        raise Problem("A filter changes no data and asks nobody.", "Use `pipulate run` for it.")
    return {"record": 0, "state": "new", "value": None} if kind == "once" else None


def _step(settings: Settings, name: str) -> Step:
    slug, _, step = name.partition(".")
    steps = _pipeline(settings, slug).steps
    if step not in steps:
        raise Unknown(f"{slug} has no step {step!r}.", nearest(step, steps))
    return steps[step]


def _pipeline(settings: Settings, slug: str) -> Pipeline:
    """The first of that name; the user's own files come before the bundled ones."""
    known = []
    for path in plugin_files(settings.folder("apps"), BUNDLED):
        with contextlib.suppress(Problem, OSError):
            found = load_file(path, path.read_bytes()).pipelines
            if slug in found:
                return found[slug]
            known += found
    raise Unknown(f"There is no pipeline {slug!r}.", nearest(slug, known))
