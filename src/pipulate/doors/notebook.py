"""A pipeline as a Jupyter notebook (nbformat 4.5): a cell with its file, then one for each step.

Inputs and what steps give are variables, handed on by name.
"""

import sys
import types
from collections.abc import Iterable
from inspect import getdoc

from pipulate.apps.steps import Pipeline, Step
from pipulate.apps.trial import sample
from pipulate.core.fields import File, Field, from_json, to_json
from pipulate.core.store import Row

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def notebook_of(pipeline: Pipeline, steps: dict[str, Row]) -> Row:
    """The notebook as JSON. `steps`: of a run, {name: {state, inputs, output}}, or empty."""
    writer = Writer(pipeline)
    head = f"# {pipeline.title}\n\n{pipeline.description}"
    cells = [_cell(head), _cell(pipeline.content.decode("utf-8-sig", errors="replace"), [])]
    for number, (name, step) in enumerate(pipeline.steps.items(), 1):
        about, told = getdoc(step.function) or "", steps.get(name, {})
        cells.append(_cell(f"## {number}. {name.replace('_', ' ').capitalize()}\n\n{about}"))
        cells.append(_cell("\n".join(writer.lines(step, told)), [*writer.output(step, told)]))
    cells = [cell | {"id": f"cell-{n}"} for n, cell in enumerate(cells)]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": KERNEL}, "cells": cells}


def _cell(source: str, outputs: list[Row] | None = None) -> Row:
    cell = {"cell_type": "markdown", "metadata": {}, "source": source.strip()}
    if outputs is None:
        return cell
    return cell | {"cell_type": "code", "execution_count": None, "outputs": outputs}


class Writer:
    """Writes the cells of steps. Its variables hide nothing that the file's functions use."""

    def __init__(self, pipeline: Pipeline):
        self.pipeline, self.given = pipeline, dict[str, str]()
        known = vars(sys.modules[pipeline.module])
        self.own = next(name for name, value in known.items() if value is pipeline)
        self.taken = {self.own, *_looked_up(compile(pipeline.content, "", "exec"))}

    def lines(self, step: Step, told: Row) -> Iterable[str]:
        values, name = {up: self.variable(up) for up in step.uses}, self.variable(step.name)
        if told.get("state") == "skipped":
            return [f"{name} = None  # was skipped"]
        lines = []
        for field in step.fields:
            text, why = self._value(step, field, told.get("inputs") or {})
            variable = self.variable(field.name)
            if text and self.given.get(variable) != text:
                lines.append(f"{variable} = {text}{why}")
                self.given[variable] = text
            elif not text:
                lines.append(f"# {variable} = …{why}")
            values |= {field.name: variable} if text else {}
        call = ", ".join(f"{key}={variable}" for key, variable in values.items())
        here = f'{self.own}.steps["{step.name}"]'
        if said := told.get("answers"):
            lines.append(f"{here}.answers = {said!r}")
        return [*lines, f"{name} = {here}.run({call})", f"{self.own}.show({step.name}={name})"]

    def _value(self, step: Step, field: Field, inputs: Row) -> tuple[str, str]:
        if field.name in inputs:
            value = from_json(inputs[field.name])
            return repr(str(value.path) if isinstance(value, File) else value), ""
        if field.computed:
            return "", "  # unless it is given here and in the call: computed"
        if field.required and step.optional:
            return "", "  # give it, else this step is left out; in the call too"
        if not field.required:
            return repr(to_json(field.default)), ""
        return repr(sample(field.schema, word=field.name)), "  # say which"

    def variable(self, name: str) -> str:
        return f"{name}_" if name in self.taken else name

    def output(self, step: Step, told: Row) -> Iterable[Row]:
        if told.get("state") in ("done", "stale"):
            shown = self.pipeline.show(**{step.name: from_json(told["output"])})
            data = {"text/plain": repr(shown), "text/html": shown._repr_html_()}
            about = {"output_type": "execute_result", "execution_count": None}
            yield about | {"metadata": {}, "data": data}


def _looked_up(code: types.CodeType) -> Iterable[str]:
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from inner.co_names
            yield from _looked_up(inner)
