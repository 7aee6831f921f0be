"""THE one definition: an annotation becomes a column, an input, a JSON schema, an option, a check.

A class's annotated attributes or a function's annotated parameters are read once into `Field`s;
forms, tools, MCP, shell and tables all work from those. Parsing is strict: a value either comes
out exactly as meant or is refused with a sentence that says what would do.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pipulate.core.kinds import KINDS, MISSING, Between, Choices, File, Kind, Text, Url
from pipulate.core.problems import Invalid, Problem, nearest

__all__ = ["KINDS", "MISSING", "Between", "Choices", "Field", "File", "Kind", "Text", "Url"]

_COMPACT = {"ensure_ascii": False, "separators": (",", ":")}


@dataclass(frozen=True)
class Field:
    """One named, typed value. `choices` is a tuple of values or a function still to be bound."""

    name: str
    type: Any
    kind: Kind
    default: Any = MISSING
    optional: bool = False
    choices: Any = None
    bounds: Between | None = None
    help: str = field(default="", compare=False)

    @property
    def required(self) -> bool:
        return self.default is MISSING and not self.optional

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    def check(self, value: Any) -> Any:
        """The Python value of a JSON value. Raises ValueError with the reason."""
        if value is None:
            if self.optional:
                return None
            raise ValueError("may not be empty")
        return self._within(self.kind.check(value))

    def parse(self, text: str) -> Any:
        """The Python value of text as typed in a form, shell or CSV cell. Raises ValueError."""
        if not isinstance(text, str):
            raise ValueError("needs text")
        blank = not text.strip()
        if blank and self.optional:
            return None
        if blank and self.kind.input not in ("text", "textarea", "url"):
            raise ValueError("may not be empty")
        if isinstance(self.choices, tuple):
            by_text = {str(choice): choice for choice in self.choices}
            return self._within(by_text.get(text, text))
        return self._within(self.kind.parse(text))

    def _within(self, value: Any) -> Any:
        if self.required and isinstance(value, str) and not value.strip():
            raise ValueError("may not be blank")
        if isinstance(self.choices, tuple) and value not in self.choices:
            raise ValueError(f"must be one of: {', '.join(map(str, self.choices[:20]))}")
        if self.bounds and not self.bounds.low <= value <= self.bounds.high:
            raise ValueError(f"must be from {self.bounds.low} to {self.bounds.high}")
        return value

    def show(self, value: Any) -> str:
        """Text for an input or a cell; None is the empty text."""
        return "" if value is None or value is MISSING else self.kind.show(value)

    def load(self, stored: Any) -> Any:
        """The Python value of a database column."""
        if stored is None or issubclass(self.type, str):
            return stored
        return bool(stored) if self.type is bool else self.kind.check(stored)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of this one value."""
        schema = {**self.kind.schema}
        if isinstance(self.choices, tuple):
            schema["enum"] = list(self.choices)
        if self.bounds:
            schema |= {"minimum": self.bounds.low, "maximum": self.bounds.high}
        if self.optional and "type" in schema:
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        if self.default is not MISSING:
            schema["default"] = to_json(self.default)
        if self.help:
            schema["description"] = self.help
        return schema


def make_field(name: str, annotation: Any, default: Any = MISSING, owner: str = "") -> Field:
    """Read one annotation. Raises Problem naming the nearest type we know."""
    extras: tuple[Any, ...] = ()
    optional = False
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *rest = typing.get_args(annotation)
        extras = tuple(rest)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(annotation) if a is not type(None)]
        optional = len(members) < len(typing.get_args(annotation))
        if len(members) == 1:
            member = typing.Annotated[(members[0], *extras)] if extras else members[0]
            return replace(make_field(name, member, default, owner), optional=optional)
    choices: Any = next((e.source for e in extras if isinstance(e, Choices)), None)
    if typing.get_origin(annotation) is Literal:
        choices = typing.get_args(annotation)
        annotation = type(choices[0])
    kind = KINDS.get(typing.get_origin(annotation) or annotation)
    if kind is None:
        said = getattr(annotation, "__name__", str(annotation))
        known = nearest(said, [k.__name__ for k in KINDS])
        raise Problem(f"{owner}{name}: there is no field type {said!r}.", known)
    bounds = next((e for e in extras if isinstance(e, Between)), None)
    note = next((e for e in extras if isinstance(e, str)), "")
    choices = tuple(choices) if isinstance(choices, list) else choices
    base = typing.get_origin(annotation) or annotation
    made = Field(name, base, kind, default, optional or default is None, choices, bounds, note)
    if default is not MISSING and default is not None and not callable(choices):
        try:
            made.check(default)
        except ValueError as error:
            raise Problem(f"{owner}{name}: the default {default!r} {error}.", "Change one.") from None
    return made


def fields_of(function: Callable[..., Any], *skip: str) -> tuple[Field, ...]:
    """The parameters of a function as fields; one without annotation is text."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    asked = (p for p in parameters if p.name not in ("self", "caller", *skip))
    return tuple(make_field(p.name, hints.get(p.name, str), p.default) for p in asked)


def check_values(
    fields: Iterable[Field], values: Mapping[str, Any], text: bool = False, partial: bool = False
) -> dict[str, Any]:
    """Python values by name, defaults filled in (unless `partial`). `text`: values are as typed.

    Raises Invalid with every message by field; unknown names are refused with the nearest one."""
    known = {f.name: f for f in fields}
    good: dict[str, Any] = {}
    bad: dict[str, str] = {}
    for name, value in values.items():
        if name not in known:
            bad[name] = f"is not known here. {nearest(name, known)}"
            continue
        try:
            good[name] = known[name].parse(value) if text else known[name].check(value)
        except (ValueError, TypeError) as error:
            bad[name] = str(error)
    for name, f in known.items():
        if name in good or name in bad or partial:
            continue
        if f.required:
            bad[name] = "is needed"
        else:
            good[name] = None if f.default is MISSING else f.default
    if bad:
        said = "; ".join(f"{known[n].label if n in known else n} {why}" for n, why in bad.items())
        raise Invalid(f"{said}.", "Change that and try again; nothing was saved.", fields=bad)
    return good


def schema_of(fields: Iterable[Field]) -> dict[str, Any]:
    """The JSON schema of an object with these fields and no others."""
    fields = list(fields)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {f.name: f.schema for f in fields},
        "additionalProperties": False,
    }
    required = [f.name for f in fields if f.required]
    return schema | ({"required": required} if required else {})


def to_json(value: Any) -> Any:
    """JSON-ready form of a field value or step output; File, dates and decimals included.

    Raises Problem for what JSON cannot hold."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if value - value != 0:
            raise Problem("A step returned a number that is not finite.", "Return None instead.")
        return value
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(v) for v in value]
    if isinstance(value, File):
        return {"$file": str(value.path), "name": value.name}
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return to_json(value.tolist())
    raise Problem(
        f"{type(value).__name__} cannot be kept as an output.",
        "Return text, numbers, lists, dicts, rows (a list of dicts) or File(path).",
    )


def from_json(value: Any) -> Any:
    """Undo `to_json` for File, at any depth."""
    if isinstance(value, dict):
        if value.keys() == {"$file", "name"}:
            return File(Path(value["$file"]), value["name"])
        return {k: from_json(v) for k, v in value.items()}
    return [from_json(v) for v in value] if isinstance(value, list) else value


def to_column(value: Any) -> Any:
    """What SQLite stores for a Python value."""
    if isinstance(value, dict | list):
        return json.dumps(to_json(value), **_COMPACT)  # type: ignore[arg-type]
    return int(value) if isinstance(value, bool) else to_json(value)


def dumps(value: Any) -> str:
    """Compact JSON text of anything `to_json` takes."""
    return json.dumps(to_json(value), **_COMPACT)  # type: ignore[arg-type]
