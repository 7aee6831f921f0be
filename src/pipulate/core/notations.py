"""Notations: numbers, days, yes and no as they are written elsewhere, told from a whole column.

No text is read by itself alone: 1,234 is one number with a decimal comma and another without.
"""

import contextlib
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal

from pipulate.core.kinds import NO, YES

Notation = Callable[[str], str]  # a text as a field reads it; "" where it is not so written

SPACES = " \u00a0\u202f'’"  # what sets thousands apart, besides the comma or the point
WORDS = dict.fromkeys(("ja", "j", "wahr", "oui", "vrai", "sí", "sì", "si", "sim", "y", "t"), "yes")
WORDS |= dict.fromkeys(("nein", "n", "falsch", "non", "faux", "não", "f"), "no")


def _number(group: str, point: str) -> Notation:
    groups = rf"[0-9]{{1,3}}(?P<mark>[{group}{SPACES}])[0-9]{{3}}((?P=mark)[0-9]{{3}})*"
    form = re.compile(rf"[+-]?({groups}|[0-9]+)([{point}][0-9]+)?")

    def read(text: str) -> str:
        number = text.removesuffix("%").rstrip()
        plain = re.sub(f"[{group}{SPACES}]", "", number).replace(point, ".")
        if not form.fullmatch(number):
            return ""
        return plain if number == text else f"{Decimal(plain) / 100:f}"  # as a spreadsheet has it

    return read


def _day(first: str, second: str, marks: str) -> Notation:
    form = re.compile(
        rf"(?P<{first}>[0-9]{{1,2}})(?P<mark>[{marks}])(?P<{second}>[0-9]{{1,2}})(?P=mark)"
        r"(?P<year>[0-9]{4})(?P<time>|\D.*)"
    )

    def read(text: str) -> str:
        with contextlib.suppress(ValueError):
            if found := form.fullmatch(text):
                day = date(*(int(found[part]) for part in ("year", "month", "day")))
                return f"{day}{found['time']}"
        return ""

    return read


def _word(text: str) -> str:
    return text if text.lower() in (*YES, *NO) else WORDS.get(text.lower(), "")


_NUMBERS = {"decimal point": _number(",", "."), "decimal comma": _number(".", ",")}
_DAYS = {"day first": _day("day", "month", "./-"), "month first": _day("month", "day", "/-")}
NOTATIONS: dict[type, dict[str, Notation]] = {
    **dict.fromkeys((int, float, Decimal), _NUMBERS),
    **dict.fromkeys((date, datetime), _DAYS),
    bool: {"words for yes and no": _word},
}


def agreed(kind: type, texts: Iterable[str]) -> list[str]:
    """The notations in which all of these texts are written, one for each way to read them.

    [] where they are plain already, or agree on none."""
    texts = [text.strip() for text in texts]
    found: dict[str, list[str]] = {}
    for name, read in NOTATIONS.get(kind, {}).items():
        values = [*map(read, texts)]
        odd = kind is int and "." in "".join(values)  # 1.234 is no whole number so read
        if all(values) and not odd and values not in found.values():
            found[name] = values
    return [] if texts in found.values() else [*found]


def plain(kind: type, names: Iterable[str], text: str) -> str:
    """A text of these notations as a field reads it. Raises ValueError when they differ on it."""
    values = {NOTATIONS[kind][name](text.strip()) for name in names}
    if len(values) > 1:
        raise ValueError(f"may be meant with {' or '.join(names)}: say which")
    if "" in values:
        raise ValueError(f"is not written with {' or '.join(names)}")
    return values.pop() if values else text
