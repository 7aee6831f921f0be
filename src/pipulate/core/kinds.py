"""The types a field may have, and all that follows from each: column, input, schema, check."""

import csv
import functools
import inspect
from json import dumps, loads
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

MISSING: Any = inspect.Parameter.empty
FLOAT_MAX = 1.7976931348623157e308
LINE, TEXT = 1_000, 1_000_000  # longest one-line and multi-line text, in characters
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
SET = "set, ends …"  # how a secret is shown, before its last four characters


class Text(str):
    """Text of several lines, shown as Markdown."""


class Url(str):
    """An http or https address."""


class Email(str):
    """An e-mail address."""


class Secret(str):
    """Text kept apart: rows show "set, ends …1234"; only `row.follow(name)` has it."""


class Moment(datetime):
    """A time as plugins get it: in this machine's zone, at ease beside `datetime.now()`."""


def _zoned(moment: datetime) -> datetime:
    try:
        return moment.astimezone()
    except OSError:  # Windows knows zones from 1970 to 3000 only
        zone = datetime(2000, 1, 1).astimezone().tzinfo
        return moment.replace(tzinfo=moment.tzinfo or zone).astimezone(zone)


def _beside_naive(self: datetime, method: Callable[..., Any], other: Any) -> Any:
    naive = self.tzinfo and isinstance(other, datetime) and not other.tzinfo
    return method(self, _zoned(other) if naive else other)


for _name in ("eq", "ne", "lt", "le", "gt", "ge", "sub", "rsub"):
    _method = functools.partialmethod(_beside_naive, getattr(datetime, f"__{_name}__"))
    setattr(Moment, f"__{_name}__", _method)


def local(value: Any) -> Any:
    """The same, a time as a Moment."""
    if not isinstance(value, datetime):
        return value
    value = _zoned(value)
    return Moment.combine(value.date(), value.timetz())


class Tags(list[str]):
    """list[str], or list[Literal[…]] for several choices: without order or repeats."""


class Ref(int):
    """The id of a row of another app: Ref["author"]; `row.follow(name)` is that row."""

    def __class_getitem__(cls, app: str) -> Any:
        return Annotated[cls, Target(app)]


class Target(str):
    """The app whose rows a Ref means, by its tools' name."""


class Renamed(str):
    """Annotated[str, Renamed("old")]: the field was called so; its values are taken along."""


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
    """Allowed values: a list, or a function bound like a step that returns one; first = default."""

    source: Callable[..., Iterable[Any]] | tuple[Any, ...]


@dataclass(frozen=True)
class Kind:
    """All that follows from a type."""

    input: str
    check: Callable[[Any], Any]  # a JSON value → the Python value
    schema: dict[str, Any]
    column: str = "TEXT"
    parse: Callable[[str], Any] = str  # text → a JSON value
    show: Callable[[Any], str] = str  # the Python value → text


def _text(
    limit: int = LINE, like: str = "", needs: str = "text", lines: bool = False
) -> Callable[[Any], str]:

    def check(value: Any) -> str:
        if like and isinstance(value, str):
            value = value.strip()
        if not isinstance(value, str) or like and not re.fullmatch(like, value):
            raise ValueError(f"needs {needs}")
        if len(value) > limit:
            raise ValueError(f"is {len(value):,} characters long; {limit:,} is the most")
        if not lines and ("\n" in value or "\r" in value):
            raise ValueError("must be one line")
        if re.search("[\0\ud800-\udfff]", value):
            raise ValueError("holds a character that cannot be stored (NUL or half a pair)")
        return value

    return check


_line = _text()
_url = r"(https?://[^\s/?#]+\S*)?", "an address that starts with http:// or https://"
_email = r"([^\s@<>,;]{1,64}@[^\s@<>,;]{1,250})?", "an address like ann@example.org"
_digits = _text(LINE, r"[+-]?[0-9]{1,19}", "a whole number")
_number = _text(LINE, r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", "a number")
_day = _text(LINE, r"[0-9]{4}(-[0-9]{2}){2}", "a date like 2026-01-31")


def _secret(value: Any) -> str:
    if isinstance(value, str) and value.startswith(SET):
        raise ValueError("is only how the kept one is shown: give the value itself")
    return Secret(_text(4_000)(value).rstrip(" ") and value)


def _tags(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ValueError("needs a list of texts")
    return [*dict.fromkeys(_line(tag) for tag in value if tag.strip())]


def _parse_tags(text: str) -> list[Any]:
    try:
        if text.lstrip().startswith("["):
            return list(loads(text))
        if not text.strip(' ,"'):
            return []
        (tags,) = csv.reader([text], skipinitialspace=True, strict=True)
        return [tag.strip() for tag in tags]
    except (ValueError, RecursionError, csv.Error):
        raise ValueError("needs words between commas, or a JSON list") from None


def _show_tags(tags: list[str]) -> str:
    odd = any(tag != tag.strip() or tag[0] in '["' or "," in tag for tag in tags)
    return dumps(tags, ensure_ascii=False) if odd else ", ".join(tags)


def _ref(value: Any) -> int | str:
    """An id; or a name, which the app looks up ("Ann Leckie", "Ann Leckie #12", "1984")."""
    if not isinstance(value, str):
        return _int(value)
    marked = re.fullmatch(r"#([0-9]{1,18})", value.strip())
    return int(marked[1]) if marked else _text(TEXT + LINE, lines=True)(value.strip())


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError("needs a whole number")
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= FLOAT_MAX:
        raise ValueError("needs a number")
    return float(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("needs a decimal number, as text to stay exact")
    number = value if isinstance(value, Decimal) else Decimal(_number(str(value)))
    plain = f"{number:f}"
    if not number.is_finite() or len(plain) > 100:
        raise ValueError("needs a decimal number of at most 100 digits")
    return Decimal(plain)  # 1E+3 is 1000, as it is shown


def _bool(value: Any) -> bool:
    if value not in (True, False) or isinstance(value, float | str):
        raise ValueError("needs true or false")
    return bool(value)


def _parse_bool(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*YES, *NO):
        raise ValueError("needs yes or no")
    return word in YES


def _date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    return date.fromisoformat(_day(value))


def _datetime(value: Any) -> datetime:
    """In UTC; a time without offset is taken in this machine's zone."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
        return _zoned(moment).astimezone(UTC)  # here, too, it has to be a time
    except (AttributeError, ValueError, OverflowError):
        raise ValueError("needs a date and time like 2026-01-31T14:30") from None


def _local(moment: datetime) -> str:
    exact = "auto" if moment.second or moment.microsecond else "minutes"
    here = _zoned(moment)
    plain = here.replace(tzinfo=None)
    told = plain if _zoned(plain) == here else here  # an hour that comes twice
    return told.isoformat(timespec=exact)


def _file(value: Any) -> Any:
    if not isinstance(value, File | str) or not str(value).strip():
        raise ValueError("needs a file: upload one or give its path")
    return value


pretty = functools.partial(dumps, indent=1, ensure_ascii=False)


def _json(kind: type, word: str, **more: Any) -> Kind:
    def check(value: Any) -> Any:
        try:  # the value, or its text
            value = loads(value) if isinstance(value, str) else value
            dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"needs JSON ({str(error)[:80]})") from None
        if not isinstance(value, kind):
            raise ValueError(f"needs JSON, an {word}")
        return value

    return Kind("textarea", check, {"type": word, **more}, show=pretty)


def _string(form: str) -> dict[str, Any]:
    return {"type": "string", "format": form}


_STRING = {"type": "string"}
_WORDS = {"type": "array", "items": _STRING}
_NAMED = {"type": ["integer", "string"]}
KINDS: dict[Any, Kind] = {
    str: Kind("text", _line, _STRING),
    Text: Kind("textarea", _text(TEXT, lines=True), _STRING),
    Url: Kind("url", _text(4_000, *_url), _string("uri")),
    Email: Kind("email", _text(LINE, *_email), _string("email")),
    Secret: Kind("password", _secret, _STRING | {"writeOnly": True}),
    Tags: Kind("tags", _tags, _WORDS, parse=_parse_tags, show=_show_tags),
    Ref: Kind("ref", _ref, _NAMED, "INTEGER", show=lambda r: r if isinstance(r, str) else f"#{r}"),
    int: Kind("number", _int, {"type": "integer"}, "INTEGER", lambda t: int(_digits(t))),
    float: Kind("number", _float, {"type": "number"}, "REAL", lambda t: float(_number(t)), repr),
    Decimal: Kind("number", _decimal, _string("decimal"), show="{:f}".format),
    bool: Kind("checkbox", _bool, {"type": "boolean"}, "INTEGER", _parse_bool, dumps),
    date: Kind("date", _date, _string("date")),
    datetime: Kind("datetime-local", _datetime, _string("date-time"), show=_local),
    File: Kind("file", _file, _STRING | {"description": "a file id or path"}),
    dict: _json(dict, "object"),
    list: _json(list, "array", items={}),
}
NAMED = {kind.__name__: kind for kind in KINDS}
