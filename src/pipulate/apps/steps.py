"""Pipelines as written: a file of step functions whose parameters say what they take.

A parameter is, in this order: `job`; an earlier step's name (its output); an annotated value asked
of the user. Everything is bound when the file loads, so mistakes show there, with their line.
"""

from __future__ import annotations

import hashlib
import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipulate.apps.base import refuse_builtin, snake
from pipulate.core.fields import Field, make_field
from pipulate.core.problems import Problem, nearest


class Step:
    """One step, which may be called plainly. `uses`: earlier steps; `fields`: asked values."""

    def __init__(self, pipeline: Pipeline, function: Callable[..., Any]):
        self.function, self.pipeline, self.name = function, pipeline, function.__name__
        self.line = function.__code__.co_firstlineno
        self.description = (inspect.getdoc(function) or "").split("\n")[0]
        self.draw: Callable[[Any], Any] | None = None
        self.source = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
        self.uses: list[str] = []
        self.wants_job = False
        self.fields = tuple(self._bind())

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def view(self, draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Decorator: a function that draws this step's output as elements."""
        self.draw = draw
        return draw

    def refuse(self, what: str, next_step: str) -> typing.NoReturn:
        raise Problem(f"Step {self.name!r}: {what}", next_step, line=self.line)

    def _bind(self) -> Iterator[Field]:
        """Sort the parameters: the ones asked of the user are yielded, the others noted."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self.refuse(f"*{name} is not possible.", "Name each parameter.")
            if name == "job":
                self.wants_job = True
            elif name in self.pipeline.steps:
                self.uses.append(name)
            elif name in hints:
                yield self._field(name, hints[name], parameter.default)
            else:
                known = nearest(name, [*self.pipeline.steps, "job"])
                hint = known or "Annotate it (name: str) to ask the user for it."
                self.refuse(f"{name!r} is no earlier step and has no type.", hint)

    def _field(self, name: str, hint, default) -> Field:
        field = make_field(name, hint, default, f"{self.name}.")
        if callable(field.choices):
            for used in inspect.signature(field.choices).parameters:
                if used not in self.pipeline.steps:
                    known = nearest(used, self.pipeline.steps)
                    self.refuse(f"the choices of {name!r} need {used!r}, no earlier step.", known)
                self.uses += [used] if used not in self.uses else []
        for other in self.pipeline.steps.values():
            for f in other.fields:
                if f.name == name and (f.type, f.optional) != (field.type, field.optional):
                    self.refuse(f"{name!r} has another type in {other.name!r}.", "Rename one.")
        return field

    def bound(self, outputs: dict[str, Any]) -> tuple[Field, ...]:
        """The fields with choices computed from outputs; the first choice is the default."""
        return tuple(_with_choices(f, outputs) for f in self.fields)


def _with_choices(field: Field, outputs: dict[str, Any]) -> Field:
    if not callable(field.choices):
        return field
    needs = inspect.signature(field.choices).parameters
    choices = tuple(field.choices(**{name: outputs[name] for name in needs}))
    if not choices:
        raise Problem(f"There is nothing to choose for {field.label}.", "Revise an earlier step.")
    default = choices[0] if field.required else field.default
    return replace(field, choices=choices, default=default)


class Pipeline:
    """A title, a description and steps in order. `slug` is its address and its shell name."""

    def __init__(self, title: str, description: str = ""):
        self.title, self.description = title, description
        self.slug = snake(title)
        if not self.slug:
            raise Problem(f"The title {title!r} makes no address.", "Use some letters a-z in it.")
        self.steps: dict[str, Step] = {}
        self.file, self.hash, self.text = Path(), "", ""  # set by the shelf

    def step(self, function: Callable[..., Any]) -> Step:
        """Decorator: add a function as the next step. Raises Problem with the line of a mistake."""
        step = Step(self, function)
        if step.name in self.steps:
            step.refuse("there is a step of that name already.", "Rename one.")
        if any(f.name == step.name for s in [*self.steps.values(), step] for f in s.fields):
            step.refuse("a step asks for a value of that name.", "Rename one.")
        refuse_builtin(step.name, "The step name")
        self.steps[step.name] = step
        return step

    @property
    def fields(self) -> dict[str, Field]:
        """Every asked value by name; one name asked twice is one value."""
        return {f.name: f for step in self.steps.values() for f in step.fields}
