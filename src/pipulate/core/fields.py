"""THE one definition: an annotation becomes a column, an input, a JSON schema, an option, a check.

A class's attributes or a function's parameters are read once into `Field`s. A value comes out
exactly as meant, or is refused with a sentence.
"""

import copy
import enum
import hashlib
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pipulate.core.kinds import KINDS, MISSING, NAMED, SET, Between, Choices, File, Kind, Ref
from pipulate.core.kinds import Email as Email, Moment, Renamed, Secret, Tags, Target, Text as Text
from pipulate.core.kinds import Url as Url, local, pretty as pretty
from pipulate.core.outputs import KEPT, Large, Rows
from pipulate.core.problems import Invalid, Problem, nearest

ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# Dictionaries that from_json reads as something else.
READ = ({"$file", "name"}, {"$rows", "count"}, {"$json", "size"}, {"$dict"})
BLANK = ("text", "textarea", "url", "email", "password", "tags")  # inputs that may be empty


def makes(default: Any) -> bool:
    """Whether a default is a function that makes it."""
    return callable(default) and default is not MISSING


@dataclass(frozen=True)
class Field:
    """One named, typed value. `choices`: a tuple of values, or a function still to be bound;

    `default`: a value, or a function that makes one, such as date.today."""

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
    def computed(self) -> bool:
        """Whether its choices or its default are made when it is used."""
        return callable(self.choices) or makes(self.default)

    @property
    def initial(self) -> Any:
        """The value where none is given; MISSING where one has to be."""
        return self.check(self.default()) if makes(self.default) else copy.deepcopy(self.default)

    @property
    def many(self) -> bool:
        return self.type is Tags

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    def check(self, value: Any) -> Any:
        """The Python value of a JSON value. Raises ValueError."""
        # in a form or a CSV cell nothing, an empty text and [] look alike
        blank = value is None or isinstance(value, str) and not value.strip()
        if self.optional and blank:
            return None
        if value is None:
            raise ValueError("may not be empty")
        return self._within(self.kind.check(value))

    def parse(self, text: str) -> Any:
        """The Python value of text as typed in a form, shell or CSV cell."""
        if not isinstance(text, str):
            raise ValueError("needs text")
        if not text.strip() and (self.optional or self.kind.input not in BLANK):
            return self.check(None)
        if isinstance(self.choices, tuple) and not self.many:
            known = {said(c): c for c in self.choices for said in (self.show, str)}
            return self._within(known.get(text, text))
        return self._within(self.kind.check(self.kind.parse(text)))

    def _within(self, value: Any) -> Any:
        if self.optional and value == []:
            return None
        if self.required and isinstance(value, str | list) and not str(value or "").strip():
            raise ValueError("may not be blank")
        if isinstance(self.choices, tuple):
            if any(one not in self.choices for one in (value if self.many else [value])):
                raise ValueError(f"must be one of: {', '.join(map(str, self.choices[:20]))}")
            if self.many:
                return [one for one in self.choices if one in value]  # as a form lists them
        if self.bounds and not self.bounds.low <= value <= self.bounds.high:
            raise ValueError(f"must be from {self.bounds.low} to {self.bounds.high}")
        return value

    def show(self, value: Any) -> str:
        """Text for an input."""
        return "" if value is None or value is MISSING else self.kind.show(value)

    def text(self, value: Any) -> str:
        """The same for a CSV cell or the shell, where a moment has its offset."""
        return to_json(value) if isinstance(value, datetime) else self.show(value)

    def load(self, stored: Any) -> Any:
        """The Python value of a database column."""
        if self.type is Secret and stored:
            return Secret(SET + stored.rpartition(" ")[0])
        if stored is None or issubclass(self.type, str):
            return stored
        if self.many:
            return json.loads(stored)
        return local(self.kind.check(stored))

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        schema = {**self.kind.schema}
        empty = [None] if self.optional else []
        if isinstance(self.choices, tuple):
            one = {"enum": [*self.choices, *empty]}
            schema |= {"items": {"enum": [*self.choices]}} if self.many else one
        if self.bounds:
            schema |= {"minimum": self.bounds.low, "maximum": self.bounds.high}
        if self.optional:
            kinds = schema["type"]
            schema["type"] = [*(kinds if isinstance(kinds, list) else [kinds]), "null"]
        if self.default not in (MISSING, None) and not makes(self.default):
            schema["default"] = to_json(self.default)
        said = self.help or self.target and f"id or exact name of a row of {self.target}"
        return schema | ({"description": said} if said else {})


def _unwrap(annotation: Any, *extras: Any) -> tuple[Any, tuple[Any, ...]]:
    """(type, all that is said of it, the innermost first; None when it may be empty)."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _unwrap(args[0], *args[1:], *extras)
    inner = tuple(a for a in args if a not in (None, types.NoneType))
    if len(inner) < len(args):
        extras = (*extras, None)
    if origin is Literal and inner:
        return type(inner[0]), (Choices(inner), *extras)
    if origin in (typing.Union, types.UnionType) and len(inner) == 1:
        return _unwrap(inner[0], *extras)
    if origin in (list, set) and inner == (str,):
        return Tags, extras
    if origin in (list, set) and typing.get_origin(inner[0]) is Literal:
        return Tags, (Choices(typing.get_args(inner[0])), *extras)
    return origin or annotation, extras


def make_field(name: str, annotation: Any, default: Any = MISSING, owner: str = "") -> Field:
    """Read one annotation. Raises Problem."""
    base, extras = _unwrap(annotation)
    said = {type(extra): extra for extra in reversed(extras)}
    bounds = said.get(Between)
    choices = said[Choices].source if Choices in said else None

    def wrong(what: str, next_step: str) -> Problem:
        return Problem(f"{owner}{name}: {what}.", next_step)

    if base not in KINDS:
        kind = getattr(annotation, "__name__", str(annotation))
        known = nearest(kind, NAMED)
        if isinstance(base, enum.EnumType):
            known = f"Write Literal{[one.value for one in typing.cast(Any, base)]}."
        raise wrong(f"there is no field type {kind!r}", known)
    one = str if base is Tags else base
    if isinstance(choices, tuple) and not all(issubclass(one, type(c)) for c in choices):
        raise wrong("choices are all of one type; of a list, text", "Write them alike.")
    if base is Ref and Target not in said:
        raise wrong("a Ref names an app", 'Write Ref["author"].')
    if bounds and KINDS[base].input != "number":
        raise wrong("Between bounds numbers", "Use int, float or Decimal.")
    made = Field(
        name,
        base,
        KINDS[base],
        default,
        optional=default is None or types.NoneType in said,
        choices=tuple(choices) if isinstance(choices, list) else choices,
        bounds=bounds,
        help=said.get(str, ""),
        target=said.get(Target, ""),
        renamed=said.get(Renamed, ""),
    )
    if default in (MISSING, None) or callable(choices):
        return made
    try:
        value = made.initial if makes(default) else made.check(default)
    except (ValueError, TypeError) as error:
        raise wrong(f"the default {default!r} {error}", "Change one.") from None
    return made if makes(default) else replace(made, default=value)


def fields_of(function: Callable[..., Any], *skip: str) -> tuple[Field, ...]:
    """The parameters of a function as fields; one without annotation is text."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    asked = (p for p in parameters if p.name not in ("self", "caller", *skip))
    return tuple(make_field(p.name, hints.get(p.name, str), p.default) for p in asked)


def check_values(
    fields: Iterable[Field], values: Mapping[str, Any], text: bool = False, partial: bool = False
) -> dict[str, Any]:
    """Python values by name, with defaults unless `partial`. `text`: values are as typed.

    Raises Invalid with every message by field."""
    known, good, bad = {f.name: f for f in fields}, {}, {}
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
                good[name] = None if f.default is MISSING else f.initial
        except (ValueError, TypeError) as error:
            bad[name] = str(error)
    if not bad:
        return {name: local(value) for name, value in good.items()}
    said = "; ".join(f"{known[n].label if n in known else n} {why}" for n, why in bad.items())
    said = said.replace(".;", ";").replace("?;", "?").strip().rstrip(".")
    raise Invalid(said, "Change that and try again; nothing was saved.", fields=bad)


def schema_of(fields: Iterable[Field]) -> dict[str, Any]:
    """The JSON schema of an object with these fields and no others."""
    fields = [*fields]
    properties = {f.name: f.schema for f in fields}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [f.name for f in fields if f.required]
    return schema | ({"required": required} if required else {})


def to_json(value: Any) -> Any:
    """JSON of a field's value or a step's output. Raises Problem for what it cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem("A step returned a number that is not finite.", "Return None instead.")
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(v) for v in value]
    if isinstance(value, File):
        return {"$file": str(value.path), "name": value.name}
    if isinstance(value, Rows):
        return {"$rows": str(value.path), "count": value.count}
    if isinstance(value, Large):
        return {"$json": str(value.path), "size": value.size}
    if isinstance(value, date):
        return (value.astimezone(UTC) if isinstance(value, Moment) else value).isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    if hasattr(value, "__json__"):  # a row of an app
        return value.__json__()
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return to_json(value.tolist())
    what = f"{type(value).__name__} cannot be kept as an output."
    raise Problem(what, "Return text, numbers, lists, dicts, rows (a list of dicts) or File(path).")


def from_json(value: Any) -> Any:
    """Undo `to_json` for File, Rows and Large, but in what `foreign` marked."""
    match value:
        case {"$file": str(path), "name": str(name)} if len(value) == 2:
            return File(Path(path), name)
        case {"$rows": str(path), "count": int(count)} if len(value) == 2 and KEPT.fullmatch(path):
            return Rows(path, count)
        case {"$json": str(path), "size": int(size)} if len(value) == 2 and KEPT.fullmatch(path):
            return Large(path, size)
        case {"$dict": dict(same)} if len(value) == 1:
            value = same
    if isinstance(value, dict):
        return {k: from_json(v) for k, v in value.items()}
    return [from_json(v) for v in value] if isinstance(value, list) else value


def foreign(value: Any) -> Any:
    """The same marked so that no dictionary in it comes back as a file of ours."""
    if isinstance(value, dict):
        same = {key: foreign(one) for key, one in value.items()}
        return {"$dict": same} if same.keys() in READ else same
    return [*map(foreign, value)] if isinstance(value, list | tuple) else value


def to_column(value: Any) -> Any:
    """What SQLite stores for a Python value."""
    if isinstance(value, bytes):
        return value
    value = local(value)  # a time without a zone is of this machine's
    return dumps(value) if isinstance(value, dict | list) else to_json(value)


def dumps(value: Any) -> str:
    """Compact JSON text of anything `to_json` takes."""
    try:
        return ENCODER.encode(value)  # rows by the million hold nothing but JSON
    except (TypeError, ValueError):
        return ENCODER.encode(to_json(value))


def digest(text: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
