"""THE one definition: an annotation becomes a column, an input, a JSON schema, an option, a check.

A class's annotated attributes or a function's annotated parameters are read once into `Field`s;
forms, tools, MCP, shell and tables all work from those. Parsing is strict: a value either comes
out exactly as meant or is refused with a sentence that says what would do.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, UTC
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pipulate.core.problems import Invalid, Problem, nearest

MISSING: Any = inspect.Parameter.empty
FLOAT_MAX = 1.7976931348623157e308
LINE, TEXT = 1_000, 1_000_000  # longest one-line and multi-line text, in characters


class Text(str):
    """Text of several lines."""


class Url(str):
    """An http or https address."""


@dataclass(frozen=True)
class File:
    """A file that a step reads or writes; steps hand the path on, never the content."""

    path: Path
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "name", self.name or self.path.name)


@dataclass(frozen=True)
class Between:
    """Bounds of a number, both included: Annotated[int, Between(0, 5)]."""

    low: float
    high: float


@dataclass(frozen=True)
class Choices:
    """Allowed values: a list, or a function bound like a step that returns one (first = default)."""

    source: Callable[..., Iterable[Any]] | tuple[Any, ...]


@dataclass(frozen=True)
class Kind:
    """All that follows from a type. `parse` reads text, `check` a JSON value, `show` undoes parse."""

    column: str
    input: str
    schema: dict[str, Any]
    check: Callable[[Any], Any]
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str


def _text(limit: int, lines: bool) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("needs text")
        if len(value) > limit:
            raise ValueError(f"is {len(value):,} characters long; {limit:,} is the most")
        if not lines and ("\n" in value or "\r" in value):
            raise ValueError("must be one line")
        if "\0" in value or re.search("[\ud800-\udfff]", value):
            raise ValueError("holds a character that cannot be stored (NUL or half a pair)")
        return value

    return check


def _url(value: Any) -> str:
    value = _text(4_000, False)(value).strip()
    if value and not re.fullmatch(r"https?://[^\s/?#]+[^\s]*", value):
        raise ValueError("needs an address that starts with http:// or https://")
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError("needs a whole number")
    return value


def _parse_int(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text.strip()):
        raise ValueError("needs a whole number")
    return _int(int(text))


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= FLOAT_MAX:
        raise ValueError("needs a number")
    return float(value)


def _parse_number(text: str) -> str:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", text.strip()):
        raise ValueError("needs a number")
    return text.strip()


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("needs a decimal number, as text to stay exact")
    return value if isinstance(value, Decimal) else Decimal(_parse_number(str(value)))


def _bool(value: Any) -> bool:
    if value not in (True, False) or isinstance(value, float | str):
        raise ValueError("needs true or false")
    return bool(value)


def _parse_bool(text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True}
    words |= {"false": False, "no": False, "off": False, "0": False}
    if text.strip().lower() not in words:
        raise ValueError("needs yes or no")
    return words[text.strip().lower()]


def _date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value.strip()):
        raise ValueError("needs a date like 2026-01-31")
    return date.fromisoformat(value.strip())


def _datetime(value: Any) -> datetime:
    """A moment in UTC; a time without offset is taken in this machine's zone."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC)
    except (AttributeError, ValueError, OverflowError):
        raise ValueError("needs a date and time like 2026-01-31T14:30") from None


def _json(kind: type, word: str) -> Kind:
    def check(value: Any) -> Any:
        """A JSON value of this kind, or its text."""
        try:
            value = json.loads(value) if isinstance(value, str) else value
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"needs JSON ({str(error)[:80]})") from None
        if not isinstance(value, kind):
            raise ValueError(f"needs JSON, {word}")
        return value

    return Kind("TEXT", "textarea", {"type": word.split()[1]}, check, check, _show_json)


def _show_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _file(value: Any) -> Any:
    if not isinstance(value, File | str) or not str(value).strip():
        raise ValueError("needs a file: upload one or give its path")
    return value


def _iso_local(moment: datetime) -> str:
    exact = "auto" if moment.second or moment.microsecond else "minutes"
    return moment.astimezone().replace(tzinfo=None).isoformat(timespec=exact)


_line, _lines = _text(LINE, False), _text(TEXT, True)
_STRING = {"type": "string"}
_COMPACT = {"ensure_ascii": False, "separators": (",", ":")}
KINDS: dict[Any, Kind] = {
    str: Kind("TEXT", "text", _STRING, _line, _line),
    Text: Kind("TEXT", "textarea", _STRING, _lines, _lines),
    Url: Kind("TEXT", "url", {**_STRING, "format": "uri"}, _url, _url),
    int: Kind("INTEGER", "number", {"type": "integer"}, _int, _parse_int),
    float: Kind(
        "REAL", "number", {"type": "number"}, _float, lambda t: _float(float(_parse_number(t))), repr
    ),
    Decimal: Kind("TEXT", "number", {**_STRING, "format": "decimal"}, _decimal, _decimal),
    bool: Kind(
        "INTEGER", "checkbox", {"type": "boolean"}, _bool, _parse_bool, lambda v: str(v).lower()
    ),
    date: Kind("TEXT", "date", {**_STRING, "format": "date"}, _date, _date),
    datetime: Kind(
        "TEXT", "datetime-local", {**_STRING, "format": "date-time"}, _datetime, _datetime, _iso_local
    ),
    File: Kind("TEXT", "file", {**_STRING, "description": "a file id or path"}, _file, _file),
    dict: _json(dict, "an object"),
    list: _json(list, "an array"),
}


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
