"""THE one definition: an annotation becomes a column, an input, a JSON schema, an option, a check.

A class's annotated attributes or a function's annotated parameters are read once into `Field`s;
forms, tools, MCP, shell and tables all work from those. Parsing is strict: a value either comes
out exactly as meant or is refused with a sentence that says what would do.
"""

import copy
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pipulate.core.kinds import KINDS, MISSING, SET, Between, Choices, File, Kind, Ref, Renamed
from pipulate.core.kinds import Email as Email, Secret, Tags, Target, Text as Text, Url as Url
from pipulate.core.problems import Invalid, Problem, nearest


BLANK = ("text", "textarea", "url", "email", "password", "tags")  # inputs that may be empty


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
    target: str = ""  # of a Ref: the app whose rows it means
    renamed: str = ""  # what it was called before

    @property
    def required(self) -> bool:
        return self.default is MISSING and not self.optional

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    def check(self, value: Any) -> Any:
        """The Python value of a JSON value. Raises ValueError with the reason."""
        empty = isinstance(value, str) and not value.strip() or self.many and value == []
        if self.optional and empty:
            value = None  # as in a form or a CSV cell, where the two look alike
        if value is None and not self.optional:
            raise ValueError("may not be empty")
        return None if value is None else self._within(self.kind.check(value))

    def parse(self, text: str) -> Any:
        """The Python value of text as typed in a form, shell or CSV cell. Raises ValueError."""
        if not isinstance(text, str):
            raise ValueError("needs text")
        blank = not text.strip()
        if blank and self.optional:
            return None
        if blank and self.kind.input not in BLANK:
            raise ValueError("may not be empty")
        if isinstance(self.choices, tuple) and not self.many:
            return self._within({str(c): c for c in self.choices}.get(text, text))
        return self._within(self.kind.check(self.kind.parse(text)))

    def _within(self, value: Any) -> Any:
        if self.required and isinstance(value, str | list) and not str(value or "").strip():
            raise ValueError("may not be blank")
        chosen = value if self.many else [value]
        if isinstance(self.choices, tuple) and any(one not in self.choices for one in chosen):
            raise ValueError(f"must be one of: {', '.join(map(str, self.choices[:20]))}")
        if self.many and isinstance(self.choices, tuple):
            return [one for one in self.choices if one in value]  # as a form lists them
        if self.bounds and not self.bounds.low <= value <= self.bounds.high:
            raise ValueError(f"must be from {self.bounds.low} to {self.bounds.high}")
        return value

    def show(self, value: Any) -> str:
        """Text for an input or a cell; None is the empty text."""
        return "" if value is None or value is MISSING else self.kind.show(value)

    def text(self, value: Any) -> str:
        """Text for a CSV cell or the shell: as `show`, but a moment has its offset."""
        return value.isoformat() if isinstance(value, datetime) else self.show(value)

    @property
    def many(self) -> bool:
        return self.type is Tags

    def load(self, stored: Any) -> Any:
        """The Python value of a database column."""
        if self.type is Secret and stored:
            return Secret(SET + stored.rpartition(" ")[0])
        if stored is None or issubclass(self.type, str):
            return stored
        if self.many:
            return json.loads(stored)
        return bool(stored) if self.type is bool else self.kind.check(stored)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of this one value."""
        schema = {**self.kind.schema}
        if isinstance(self.choices, tuple) and self.many:
            schema["items"] = {"enum": list(self.choices)}
        elif isinstance(self.choices, tuple):
            schema["enum"] = list(self.choices)
        if self.target:
            schema["description"] = f"id or exact name of a row of {self.target}"
        if self.bounds:
            schema |= {"minimum": self.bounds.low, "maximum": self.bounds.high}
        if self.optional and "type" in schema:
            types = schema["type"]
            schema["type"] = [*(types if isinstance(types, list) else [types]), "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        if self.default is not MISSING:
            schema["default"] = to_json(self.default)
        if self.help:
            schema["description"] = self.help
        return schema


def make_field(name: str, annotation: Any, default: Any = MISSING, owner: str = "") -> Field:
    """Read one annotation. Raises Problem naming the nearest type we know."""
    extras: list[Any] = []
    optional = default is None
    while origin := typing.get_origin(annotation):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        if origin is typing.Annotated:
            extras[:0] = inner[1:]
        elif origin in (typing.Union, types.UnionType) and len(inner) == 1:
            optional = True
        elif origin in (list, set) and (inner == [str] or typing.get_origin(inner[0]) is Literal):
            extras += [Choices(typing.get_args(inner[0]))] if inner != [str] else []
            annotation, origin = Tags, None
            break
        else:
            break
        annotation = inner[0]
    first = {type(extra): extra for extra in reversed(extras)}
    choices = first[Choices].source if Choices in first else None
    if origin is Literal:
        choices = tuple(c for c in typing.get_args(annotation) if c is not None)
        optional |= None in typing.get_args(annotation)
        origin = type(next(iter(choices), None))
    base = origin or annotation
    one = str if base is Tags else base
    if (origin is not None or base is Tags) and any(type(c) is not one for c in choices or ()):
        what = f"{owner}{name}: choices are all of one type; of a list, text."
        raise Problem(what, "Write them alike.")
    target = first[Target].app if Target in first else ""
    if base is Ref and not target:
        raise Problem(f"{owner}{name}: a Ref names an app.", 'Write Ref["author"].')
    if base not in KINDS:
        said = getattr(annotation, "__name__", str(annotation))
        known = nearest(said, [k.__name__ for k in KINDS])
        raise Problem(f"{owner}{name}: there is no field type {said!r}.", known)
    choices = tuple(choices) if isinstance(choices, list) else choices
    bounds, note = first.get(Between), first.get(str, "")
    if bounds and KINDS[base].input != "number":
        raise Problem(f"{owner}{name}: Between bounds numbers.", "Use int, float or Decimal.")
    renamed = first[Renamed].old if Renamed in first else ""
    shape = (optional, choices, bounds, note, target, renamed)
    made = Field(name, base, KINDS[base], default, *shape)
    if default not in (MISSING, None) and not callable(choices):
        try:
            return replace(made, default=made.check(default))
        except ValueError as error:
            what = f"{owner}{name}: the default {default!r} {error}."
            raise Problem(what, "Change one.") from None
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
    for name in dict.fromkeys([*values, *([] if partial else known)]):
        try:
            if name not in known:
                raise ValueError(f"is not known here. {nearest(name, known)}")
            f = known[name]
            if name in values:
                good[name] = f.parse(values[name]) if text else f.check(values[name])
            elif f.required:
                raise ValueError("is needed")
            else:
                good[name] = None if f.default is MISSING else copy.deepcopy(f.default)
        except (ValueError, TypeError) as error:
            bad[name] = str(error)
    if bad:
        said = "; ".join(f"{known[n].label if n in known else n} {why}" for n, why in bad.items())
        what = f"{said.rstrip('.')}."
        raise Invalid(what, "Change that and try again; nothing was saved.", fields=bad)
    return good


def schema_of(fields: Iterable[Field]) -> dict[str, Any]:
    """The JSON schema of an object with these fields and no others."""
    fields = list(fields)
    properties = {f.name: f.schema for f in fields}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [f.name for f in fields if f.required]
    return schema | ({"required": required} if required else {})


def to_json(value: Any) -> Any:
    """JSON-ready form of a field value or step output; File, dates and decimals included.

    Raises Problem for what JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem("A step returned a number that is not finite.", "Return None instead.")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(v) for v in value]
    if isinstance(value, File):
        return {"$file": str(value.path), "name": value.name}
    if isinstance(value, date):
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
        return dumps(value)
    if isinstance(value, bytes):
        return value
    return int(value) if isinstance(value, bool) else to_json(value)


def dumps(value: Any) -> str:
    """Compact JSON text of anything `to_json` takes."""
    return json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":"))
