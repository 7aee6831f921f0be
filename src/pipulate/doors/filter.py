"""`pipulate step`: one step as a Unix filter. Stores nothing and never goes through a server."""

import contextlib
import json
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from pipulate.ai.slash import read_words
from pipulate.apps.local import working
from pipulate.apps.plugin import BUNDLED, load_file, plugin_files
from pipulate.apps.steps import Pipeline, Step, asked_by
from pipulate.core.fields import from_json
from pipulate.core.problems import Invalid, Problem, require
from pipulate.core.process import stay
from pipulate.core.settings import Settings
from pipulate.core.store import Row
from pipulate.doors.door import Left


@contextlib.contextmanager
def filtered(
    settings: Settings,
    name: str,
    words: Iterable[str] = (),
    source: Iterable[str] | None = None,
    as_lines: bool = False,
) -> Iterator[Any]:
    """The output of PIPELINE.STEP, rows as they come, for outputs of earlier steps and inputs.

    `words` give them, and `source`: one JSON object, or with `as_lines` the rows of the first of
    them that takes rows. Raises Unknown, Invalid; Problem when it fails."""
    slug, _, named = name.partition(".")
    steps = find(settings, slug).steps
    require(named, steps, f"{slug} has no step {named!r}.")
    step = steps[named]
    typed, given = read_words([word for word in words if word != "-"], files=True)
    given = {up: typed.pop(up) for up in step.uses if up in typed} | given
    if not as_lines:
        given = _object(source) | given
    elif slot := next((s for s in _slots(step) if s not in given and s not in typed), ""):
        rows = read_rows(source or ())
        given[slot] = [*rows] if _seen_whole(step, slot) else rows
    try:
        at_work = working(step, given, typed, _nobody, sys.stderr)
        stay()
        with _bounded(step), at_work as (result, _):
            yield result
    except (Problem, Left):
        raise
    except (Exception, SystemExit) as error:
        what = f"{name}: {type(error).__name__}: {error}"
        raise Problem(what[:1_000], "Mend the step, or what it is given.") from error


@contextlib.contextmanager
def _bounded(step: Step) -> Iterator[None]:
    def late(*_: Any) -> None:
        what = f"The step took over {step.seconds:g} s and was stopped."
        raise Problem(what, "Give it more: step(seconds=…).")

    if not step.seconds or not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, step.seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _object(source: Iterable[str] | None) -> Row:
    try:
        given = json.loads("".join(source or ()) or "{}")
    except (ValueError, RecursionError) as error:
        raise Problem(f"Standard input is no JSON ({error}).", 'Write {"name": value}.') from None
    if not isinstance(given, dict):
        raise Invalid("Standard input must be a JSON object.", 'Write {"name": value}.')
    return {key: from_json(value) for key, value in given.items()}


def read_rows(lines: Iterable[str]) -> Iterator[Any]:
    """The value of each line, one at a time. Raises Problem with the number of a bad one."""
    number = 0
    try:
        for line in lines:
            number += 1
            if not line.isspace():
                yield json.loads(line)
    except (ValueError, RecursionError) as error:
        what = f"Line {number} of standard input is no JSON ({error})."
        raise Problem(what, "Write one JSON value a line.") from None


def _slots(step: Step) -> list[str]:
    lists = [f.name for f in step.fields if f.many or f.type is list]
    return [name for name in step.parameters if name in step.uses] + lists


def _seen_whole(step: Step, slot: str) -> bool:
    asked = [step.when, *(each for f in step.fields for each in (f.choices, f.default))]
    return slot not in step.uses or any(slot in asked_by(each) for each in asked)


def _nobody(question: str) -> str:
    raise EOFError  # standard input is data


def find(settings: Settings, slug: str) -> Pipeline:
    """The first of that name; the user's own files come first. Raises Unknown."""
    known = []
    for path in plugin_files(settings.folder("apps"), BUNDLED, BUNDLED.parent / "botify/apps"):
        try:
            found = load_file(path, path.read_bytes()).pipelines
        except (Problem, OSError):
            if path.stem == slug:
                raise
            continue
        if slug in found:
            return found[slug]
        known += found
    require(slug, known, f"There is no pipeline {slug!r}.")
