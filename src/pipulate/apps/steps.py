"""Pipelines as written: a file of step functions whose parameters say what they take.

A parameter is, in this order: `job`; an earlier step's name (its output); an annotated value asked
of the user. Everything is bound when the file loads, so mistakes show there, with their line.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipulate.apps.base import snake
from pipulate.apps.job import fed as as_input
from pipulate.apps.local import Ran, run_here, step_here
from pipulate.core.fields import MISSING, Field, Secret, digest, make_field, makes
from pipulate.core.problems import Problem, nearest, require

NEEDS = ("browser", "model")
# Words of the run itself, which no step can ask for: (type, default).
OWN = {"run": (int, None), "from_run": (int, None), "to_step": (str, None), "again": (bool, False)}


class Step:
    """One step, which may be called plainly. `uses`: earlier steps; `fields`: asked values."""

    auto, optional, retry, seconds = False, False, 0, None  # Pipeline.step says otherwise

    def __init__(self, pipeline: Pipeline, function, when=None, source: str = ""):
        self.function, self.name, self.earlier = function, function.__name__, {**pipeline.steps}
        self.when = when
        self.description = (inspect.getdoc(function) or "").split("\n")[0]
        self.source = digest(source or inspect.getsource(function))
        self.draw: Callable[[Any], Any] | None = None
        self.other: Pipeline | None = None  # whose run this step is
        self.answers: dict[str, Any] = {}  # to its questions, where it runs in this process
        self.parameters = inspect.signature(function).parameters
        self.hints = typing.get_type_hints(function, include_extras=True)
        self.uses = [name for name in self.parameters if name in self.earlier]
        self.fields = tuple(self._asked())
        self._use("its condition needs", when)

    def __call__(self, *args, **kwargs):
        given = inspect.signature(self.function).bind_partial(*args, **kwargs).arguments
        for name, parameter in self.parameters.items():
            if name not in given and makes(parameter.default):
                kwargs[name] = _of(parameter.default, given)
        return self.function(*args, **kwargs)

    def run(self, **given: Any) -> Any:
        """Its output, worked out here, for earlier outputs and asked values by name."""
        return step_here(self, given)

    def view(self, draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Decorator: a function that draws its output as elements."""
        self.draw = draw
        return draw

    def refuse(self, what: str, next_step: str = "Rename one.") -> typing.NoReturn:
        line = self.function.__code__.co_firstlineno
        raise Problem(f"Step {self.name!r}: {what}", next_step, line=line)

    def _asked(self) -> Iterator[Field]:
        for name, parameter in self.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self.refuse(f"*{name} is not possible.", "Name each parameter.")
            if name == "job" or name in self.earlier:
                continue
            if name not in self.hints:
                hint = nearest(name, [*self.earlier, "job"])
                self.refuse(f"{name!r} is no earlier step and has no type.", hint)
            if name in OWN:
                self.refuse(f"{name!r} is a word of the run itself.", "Rename it.")
            computed = makes(parameter.default)
            default = MISSING if computed else parameter.default
            field = make_field(name, self.hints[name], default, f"{self.name}.")
            yield self._field(replace(field, default=parameter.default) if computed else field)

    def _field(self, field: Field) -> Field:
        if field.type is Secret:
            what = f"{field.name!r} is a Secret, and a run keeps and shows what it is given."
            self.refuse(what, "Keep it in an app, and use it in a tool there: job.tool(…).")
        self._use(f"the choices of {field.name!r} need", field.choices)
        self._use(f"the default of {field.name!r} needs", field.default)
        for f, other in ((f, step.name) for step in self.earlier.values() for f in step.fields):
            if f.name == field.name and (f.type, f.optional) != (field.type, field.optional):
                self.refuse(f"{f.name!r} has another type in {other!r}.")
        return field

    def _use(self, what: str, function: Any) -> None:
        for used in asked_by(function):
            if used not in self.earlier:
                self.refuse(f"{what} {used!r}, no earlier step.", nearest(used, self.earlier))
            self.uses += [used] if used not in self.uses else []

    def bound(self, outputs: dict[str, Any]) -> tuple[Field, ...]:
        """The fields, choices and defaults computed; the first choice is the default."""
        return tuple(_computed(f, outputs) for f in self.fields)

    def meant(self, outputs: dict[str, Any]) -> bool:
        return self.when is None or bool(_of(self.when, outputs))


def _of(function: Callable[..., Any], outputs: typing.Mapping[str, Any]) -> Any:
    return function(**{name: outputs[name] for name in asked_by(function)})


def asked_by(function: Any) -> Iterable[str]:
    """Its parameters; none of what is no function."""
    return inspect.signature(function).parameters if inspect.isfunction(function) else ()


def _computed(field: Field, outputs: dict[str, Any]) -> Field:
    if inspect.isfunction(field.choices):
        if not (choices := tuple(_of(field.choices, outputs))):
            what = f"There is nothing to choose for {field.label}."
            raise Problem(what, "Revise an earlier step.")
        first = [choices[0]] if field.many else choices[0]
        default = first if field.required else field.default
        field = replace(field, choices=choices, default=default)
    if makes(field.default):
        default = _of(field.default, outputs)
        field = replace(field, default=None if default is None else field.check(default))
    return field


class Pipeline:
    """A title, a description and steps in order. `slug` is its address and its shell name.

    outside: it reaches the world outside, so the model has to wait for a click to run it.
    needs: what there has to be before a run is begun, "browser" or "model"."""

    def __init__(self, title: str, description: str = "", *, outside=False, needs: str = ""):
        self.title, self.description, self.slug = title, description, snake(title)
        self.outside, self.needs, self.used = outside, {*needs.split()}, False
        for name in self.needs:
            require(name, NEEDS, f"{title} needs {name!r}.", Problem)
        if not self.slug:
            raise Problem(f"The title {title!r} makes no address.", "Use some letters a-z in it.")
        self.steps: dict[str, Step] = {}
        self.file, self.content = Path(), b""  # set when the file is loaded
        self.module = sys._getframe(1).f_globals.get("__name__", "")

    def step(
        self, function=None, *, auto=False, optional=False, when=None, retry=0, seconds=None
    ) -> Any:
        """Decorator: add a function as the next step, `@p.step` or `@p.step(auto=True)`.

        auto: runs by itself on the page. optional: may be skipped. when: a function of earlier
        steps, false skips this one. retry: how often it is tried again. seconds: its limit. Raises
        Problem with the line of a mistake."""

        def add(function: Callable[..., Any]) -> Step:
            step = self._add(Step(self, function, when))
            step.auto, step.optional, step.retry, step.seconds = auto, optional, retry, seconds
            return step

        return add(function) if function else add

    def _add(self, step: Step) -> Step:
        if step.name in self.steps:
            step.refuse("there is a step of that name already.")
        if step.name in [*self.fields, *(f.name for f in step.fields)]:
            step.refuse("a step asks for a value of that name.")
        if step.name in (*dir(builtins), "job"):
            step.refuse("hides a word of Python's own.", "Choose another name.")
        self.steps[step.name] = step
        return step

    @property
    def fields(self) -> dict[str, Field]:
        """Every asked value by name; one name asked twice is one value."""
        return {f.name: f for step in self.steps.values() for f in step.fields}

    def run(self, **given: Any) -> Ran:
        """Run all steps in this process, for asked values by name, and store nothing.

        Raises Invalid, and whatever a step raises."""
        return run_here(self, given)

    def show(self, **outputs: Any) -> Ran:
        """Outputs by step name as something that a notebook draws."""
        return Ran(self, outputs)

    # -- pipelines of pipelines

    def use(self, other: Pipeline, fed: dict[str, Step] | None = None) -> Step:
        """Add another pipeline as the next step: a run of its own, whose last output is the step's.

        `fed`: {a value that it asks for: the earlier step here that gives it}; the rest is asked
        here. Choices that depend on its own steps are left to it (the first one)."""
        other.used = True
        if self.used:  # no circle
            raise Problem(f"{self.title} is used already.", "Let it use others before.")
        fed, self.outside = fed or {}, self.outside or other.outside
        self.needs |= other.needs
        for name in fed:
            require(name, other.fields, f"{other.title} asks for no {name!r}.", Problem)
        hints = {f.name: s.hints[f.name] for s in other.steps.values() for f in s.fields}
        asked = {n: h for n, h in hints.items() if n not in fed and not other.fields[n].computed}

        def run(job, **values):
            given = {n: values[n] for n in asked if n in values}
            for n, step in fed.items():
                feed = partial(as_input, other.fields[n], values[step.name], job.files)
                given[n] = job.once(f"fed {n}", feed, lambda: None)
            return job.run(other.slug, given)

        slots, one = dict.fromkeys(step.name for step in fed.values()), inspect.Parameter
        taken = dict.fromkeys(["job", *slots], MISSING)
        taken |= {n: other.fields[n].default for n in asked}
        run.__signature__ = inspect.Signature(
            one(n, one.KEYWORD_ONLY, default=default) for n, default in taken.items()
        )
        run.__name__, run.__doc__ = other.slug, f"{other.title}: {other.description}"
        run.__annotations__ = asked
        source = [other.slug, *(s.source for s in other.steps.values()), *fed, *slots]
        step = self._add(Step(self, run, source=" ".join(source)))
        step.other = other
        return step

    def then(self, other: Pipeline, title: str = "") -> Pipeline:
        """A new pipeline: this one, then the other, fed with this one's output."""
        both = Pipeline(title or f"{self.title} then {other.title}", other.description)
        both.module = sys._getframe(1).f_globals.get("__name__", "")
        if not other.fields:
            raise Problem(f"{other.title} asks for nothing that it could be fed.", "Use it first.")
        both.use(other, {next(iter(other.fields)): both.use(self)})
        return both
