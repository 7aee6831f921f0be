"""The state of a list, as its address carries it: words, filters, order, columns, page; as SQL.

    ?q=dune&f.rating=>3&f.author=Ann&sort=-rating&cols=title,rating&page=2

A filter is text: `3` or `=3`, `>3`, `<=3`, `!=3`, `2..5`, `=` (empty), `!=` (not empty); words mean
"contains", a day may be short (`2026-01`) or `today`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pipulate.core.fields import Field, Secret, Tags, make_field, to_column
from pipulate.core.kinds import LINE
from pipulate.core.tables import AMONG, quote

PAGE = 50  # rows of one page
ID, NAME = make_field("id", int), make_field("name", str)  # of a row, of a file
EMPTY = {Tags: "[]", list: "[]", dict: "{}"}
BACKSLASH = r"'\'"
Sql = tuple[str, list[Any]]


@dataclass(frozen=True)
class State:
    """Which rows of an app are meant, and how they are shown."""

    q: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""  # a field's name, with "-" in front when the largest comes first
    columns: tuple[str, ...] = ()  # those shown, in order; none: all
    page: int = 1

    def __hash__(self) -> int:
        return hash(self.query())

    @classmethod
    def read(cls, query: Mapping[str, str], names: Mapping[str, Any]) -> "State":
        """From an address; an order or column that is none (any more) is left out, but no filter:

        rows that nobody meant must not be shown as if they were."""
        sort = query.get("sort", "")
        query = {k: v.replace("\0", "") for k, v in query.items()}  # it ends a text for SQLite
        filters = {k[2:]: v for k, v in query.items() if k[:2] == "f." and v.strip()}
        return cls(
            query.get("q", "").strip()[:LINE],
            filters,
            sort if sort.removeprefix("-") in names else "",
            tuple(n for n in dict.fromkeys(query.get("cols", "").split(",")) if n in names),
            number(query.get("page", "")),
        )

    @classmethod
    def of(cls, text: str, names: Mapping[str, Any]) -> "State":
        """From the text after an address's "?"."""
        return cls.read(dict(parse_qsl(text)), names)

    def query(self, **changes: Any) -> str:
        """The text after "?" that means this state, with some changes; "" for the plain list."""
        state = replace(self, **changes)
        said = {"q": state.q, **{f"f.{k}": v for k, v in state.filters.items()}}
        said |= {"sort": state.sort, "cols": ",".join(state.columns)}
        said["page"] = state.page if state.page > 1 else ""
        return urlencode({k: v for k, v in said.items() if v})

    @property
    def narrow(self) -> bool:
        """Whether rows are left out."""
        return bool(self.q or self.filters)

    @property
    def plain(self) -> bool:
        """Whether this is the list as it stands, from its beginning."""
        return not (self.narrow or self.sort) and self.page == 1


def number(text: str) -> int:
    """A number in an address; 1 for what is none."""
    return max(1, int(text)) if text.isdecimal() and len(text) < 9 else 1


def order_sql(field: Field) -> str:
    """What a column is ordered and compared by."""
    column = quote(field.name)
    if field.type is Decimal:
        return f"CAST({column} AS REAL)"
    if field.kind.column != "TEXT":
        return column
    empty = EMPTY.get(field.type, "")  # is sorted to the end, as NULL is
    return f"nullif({column}, '{empty}') COLLATE NOCASE"


def condition(field: Field, text: str) -> Sql:
    """One filter as SQL and its values. Raises ValueError with the reason."""
    column = quote(field.name)
    if text in ("=", "!="):
        empty = f"coalesce({column}, '') IN ('', '[]', '{{}}')"
        return (empty if text == "=" else f"NOT {empty}"), []
    if field.type is Secret:
        raise ValueError("can only be filtered by = (empty) or != (set)")
    if len(text) > LINE:
        raise ValueError(f"may be {LINE:,} characters long")
    if field is ID and re.fullmatch(r"[0-9]+(,[0-9]+)+", text):
        return f'"id" {AMONG}', [f"[{text}]"]
    found = re.match(r"(<=|>=|!=|<|>|=)?(.*)", text, re.DOTALL)
    chosen = isinstance(field.choices, tuple) and text in map(str, field.choices)
    sign, said = ("=", text) if chosen else (found[1] or "", found[2].strip())
    if field.many:
        return _tagged(column, sign, said)
    known = field.choices or field.type in (date, datetime, Decimal)
    if not sign and field.kind.column == "TEXT" and not known:
        return contains(column, said)
    low, dots, high = said.partition("..")
    if dots and not sign and low and high:
        one, two = condition(field, f">={low}"), condition(field, f"<={high}")
        return f"{one[0]} AND {two[0]}", [*one[1], *two[1]]
    return _compared(field, sign or "=", said)


def _tagged(column: str, sign: str, said: str) -> Sql:
    if sign not in ("", "=", "!="):
        raise ValueError("holds words: give one of them")
    inside = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = ?)"
    return (f"NOT {inside}" if sign == "!=" else inside), [said]


def _compared(field: Field, sign: str, said: str) -> Sql:
    expression, dated = order_sql(field), field.type in (date, datetime)
    said = date.today().isoformat() if dated and said == "today" else said
    if not dated or not (span := _span(field, said)):
        value = field.kind.check(field.kind.parse(said))  # whatever the field may hold by now
        values = [float(value) if isinstance(value, Decimal) else to_column(value)]
        test = f"{expression} {sign} ?"
    elif sign in ("=", "!="):
        values, no = span, "NOT " * (sign == "!=")
        test = f"{no}({expression} >= ? AND {expression} < ?)"
    else:  # after a month is after its last day
        values = [span[sign in ("<=", ">")]]
        test = f"{expression} {'<' if '<' in sign else '>='} ?"
    return (f"({test} OR {expression} IS NULL)" if sign == "!=" else test), values


def _span(field: Field, said: str) -> list[Any]:
    """The stored beginning of a year, month (of moments: a day) and of the next; [] if none."""
    found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?", said)
    if not found or (found[3] and field.type is date):
        return []
    year, month, day = (int(part or 1) for part in found.groups())
    try:
        start = date(year, month, day)
        after = start + timedelta(days=1 if found[3] else 31 if found[2] else 366)
    except (ValueError, OverflowError):
        raise ValueError("needs a date like 2026-01-31") from None
    if not found[3]:
        after = after.replace(day=1, month=after.month if found[2] else 1)
    return [to_column(field.kind.check(day.isoformat())) for day in (start, after)]


def contains(column: str, text: str) -> Sql:
    """Where a column holds this text, in whatever case."""
    ways = ["%" + re.sub(r"([\\%_])", r"\\\1", way) + "%" for way in spellings(text)]
    return f"({' OR '.join([f'{column} LIKE ? ESCAPE {BACKSLASH}'] * len(ways))})", ways


def spellings(text: str) -> list[str]:
    """A word as it is written, and in the cases that LIKE does not know of."""
    cases = (text,) if text.isascii() else (text, text.lower(), text.upper(), text.capitalize())
    return [*dict.fromkeys(cases)]


def joined(word: str, parts: list[Sql]) -> Sql:
    """Conditions with AND or OR between them."""
    return word.join(f"({sql})" for sql, _ in parts), [v for _, values in parts for v in values]
