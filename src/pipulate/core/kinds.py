"""The types a field may have, and all that follows from each: column, input, schema, check, parse."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

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
