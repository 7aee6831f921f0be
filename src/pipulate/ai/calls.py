"""Tool calls as models write them: natively in pieces, or printed as text by small models."""

import json
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipulate.core.problems import Problem
from pipulate.core.store import Row

# A reply that is nothing but one of these is a call: in a tag, in a fence, or bare.
TAGGED = re.compile(r"(?s)<(tool_call|function_call|tool|function)>(.*?)</\1>")
FENCED = re.compile(r"(?s)```(?:json|tool_call|tool_code)?\s*\n(.*?)```")
NAMES, ARGUMENTS = (
    ("name", "tool", "function", "action"),
    ("arguments", "parameters", "args", "input"),
)


@dataclass
class Call:
    """A tool call as the model wrote it: arguments are JSON text until parsed."""

    name: str = ""
    arguments: str = ""
    id: str = field(default_factory=lambda: f"call-{secrets.token_hex(6)}")

    def values(self) -> Row:
        """The arguments. Raises Problem when they are no JSON object."""
        try:
            values = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise Problem(f"The arguments are not JSON ({error}).", "Call it again.") from None
        if not isinstance(values, dict):
            raise Problem("The arguments must be a JSON object.", "Call it again.")
        return values

    def join(self, piece: Row) -> None:
        """Take in the next piece of a stream."""
        function = piece.get("function") or {}
        arguments = function.get("arguments") or ""
        self.id = piece.get("id") or self.id
        self.name += function.get("name") or ""
        self.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)


def printed(text: str, known: Collection[str]) -> list[Call]:
    """The calls that a whole reply consists of, printed as JSON, one or several; [] when it says

    anything else, too. A call quoted in the middle of prose is not meant."""
    for form, group in ((TAGGED, 2), (FENCED, 1)):
        if found := [match[group] for match in form.finditer(text)]:
            rest = form.sub("", text).strip()
            return [] if rest else [*_read("\n".join(found), known)]
    return [*_read(text, known)]


def _read(text: str, known: Collection[str]) -> Iterator[Call]:
    """Calls of known tools from JSON values that follow one another, or from a list of them."""
    decoder, at, said = json.JSONDecoder(), 0, text.strip()
    values: list[Any] = []
    try:
        while at < len(said):
            value, at = decoder.raw_decode(said, at)
            values += value if isinstance(value, list) else [value]
            at += len(said[at:]) - len(said[at:].lstrip(" \n\r\t,"))
    except (ValueError, RecursionError):
        return
    calls = [_call(value) for value in values]
    if all(call and call.name in known for call in calls):
        yield from filter(None, calls)


def _call(value: Any) -> Call | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    value = inner if isinstance(inner, dict) else value
    name = next((value[key] for key in NAMES if isinstance(value.get(key), str)), "")
    given = next((value[key] for key in ARGUMENTS if key in value), {})
    return Call(name, given if isinstance(given, str) else json.dumps(given)) if name else None
