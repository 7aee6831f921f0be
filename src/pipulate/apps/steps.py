"""Pipelines as written: a file of step functions whose parameters say what they take.

A parameter is, in this order: `job`; an earlier step's name (its output); an annotated value asked
of the user. Everything is bound when the file loads, so mistakes show there, with their line.
"""

from __future__ import annotations

import builtins
import hashlib
import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipulate.apps.base import snake
from pipulate.core.fields import Field, make_field
from pipulate.core.problems import Problem, nearest


class Step:
    """One step, which may be called plainly. `uses`: earlier steps; `fields`: asked values."""

    def __init__(self, pipeline: Pipeline, function: Callable[..., Any]):
        self.function, self.name, self.earlier = function, function.__name__, {**pipeline.steps}
        self.description = (inspect.getdoc(function) or "").split("\n")[0]
        self.source = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
        self.draw: Callable[[Any], Any] | None = None
        self.parameters = inspect.signature(function).parameters
        self.uses = [name for name in self.parameters if name in self.earlier]
        self.fields = tuple(self._asked())

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def view(self, draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Decorator: a function that draws this step's output as elements."""
        self.draw = draw
        return draw

    def refuse(self, what: str, next_step: str = "Rename one.") -> typing.NoReturn:
        line = self.function.__code__.co_firstlineno
        raise Problem(f"Step {self.name!r}: {what}", next_step, line=line)

    def _asked(self) -> Iterator[Field]:
        hints = typing.get_type_hints(self.function, include_extras=True)
        for name, parameter in self.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                self.refuse(f"*{name} is not possible.", "Name each parameter.")
            if name == "job" or name in self.earlier:
                continue
            if name not in hints:
                hint = nearest(name, [*self.earlier, "job"])
                self.refuse(f"{name!r} is no earlier step and has no type.", hint)
            yield self._field(make_field(name, hints[name], parameter.default, f"{self.name}."))

    def _field(self, field: Field) -> Field:
        for used in _needs(field):
            if used not in self.earlier:
                hint = nearest(used, self.earlier)
                self.refuse(f"the choices of {field.name!r} need {used!r}, no earlier step.", hint)
            self.uses += [used] if used not in self.uses else []
        for f, other in ((f, step.name) for step in self.earlier.values() for f in step.fields):
            if f.name == field.name and (f.type, f.optional) != (field.type, field.optional):
                self.refuse(f"{f.name!r} has another type in {other!r}.")
        return field

    def bound(self, outputs: dict[str, Any]) -> tuple[Field, ...]:
        """The fields with choices computed from outputs; the first choice is the default."""
        return tuple(_chosen(f, outputs) if callable(f.choices) else f for f in self.fields)


def _needs(field: Field) -> list[str]:
    """The steps whose outputs a field's choices are made of."""
    return [*inspect.signature(field.choices).parameters] if callable(field.choices) else []


def _chosen(field: Field, outputs: dict[str, Any]) -> Field:
    choices = tuple(field.choices(**{name: outputs[name] for name in _needs(field)}))
    if not choices:
        raise Problem(f"There is nothing to choose for {field.label}.", "Revise an earlier step.")
    return replace(field, choices=choices, default=choices[0] if field.required else field.default)


class Pipeline:
    """A title, a description and steps in order. `slug` is its address and its shell name."""

    def __init__(self, title: str, description: str = ""):
        self.title, self.description, self.slug = title, description, snake(title)
        if not self.slug:
            raise Problem(f"The title {title!r} makes no address.", "Use some letters a-z in it.")
        self.steps: dict[str, Step] = {}
        self.file, self.content = Path(), b""  # set when the file is loaded

    def step(self, function: Callable[..., Any]) -> Step:
        """Decorator: add a function as the next step. Raises Problem with the line of a mistake."""
        step = Step(self, function)
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
