"""Tool calls as models write them: in pieces, or printed as text."""

import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pipulate.core.problems import Invalid
from pipulate.core.store import Row

# What models put around and between the calls that they print.
AROUND = re.compile(
    r"(?:[\s,;]|</?(?:tools?|tool_?calls?|function(?:_calls?)?|s)>|<\|/?\w+\|>"
    r"|```(?:json|tool_calls?|tool_code)?|\[/?TOOL_CALLS\]|\{\s*.tool_calls.:|\})*"
)
NAMES = "name", "tool", "function", "action"
ARGUMENTS = "arguments", "parameters", "args", "input", "tool_input", "action_input"


@dataclass
class Call:
    """A tool call; `arguments` is JSON text."""

    name: str = ""
    arguments: str = ""
    id: str = field(default_factory=lambda: f"call-{secrets.token_hex(6)}")

    def values(self) -> Row:
        """The arguments. Raises Invalid."""
        try:
            values = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise Invalid(f"The arguments are not JSON ({error}).", "Call it again.") from None
        if not isinstance(values, dict):
            raise Invalid("The arguments must be a JSON object.", "Call it again.")
        return values

    def join(self, piece: Row) -> None:
        """Take in the next piece of a stream."""
        function = piece.get("function") or {}
        self.id = piece.get("id") or self.id
        self.name = whole(function.get("name") or self.name)
        self.arguments += _text(function.get("arguments") or "")


def whole(text: str) -> str:
    """A text without half pairs, which can be neither kept nor shown."""
    return text.encode(errors="replace").decode()


def printed(text: str, known: Collection[str]) -> list[Call]:
    """The calls that a whole reply consists of, printed as JSON, bare, fenced or in tags.

    [] if it says anything else, too: a call quoted in prose is not meant."""
    decoder, calls, at = json.JSONDecoder(), list[Call](), 0
    try:
        while (at := AROUND.match(text, at).end()) < len(text):  # type: ignore[union-attr]
            value, at = decoder.raw_decode(text, at)
            found = [*map(_call, value if isinstance(value, list) else [value])]
            if any(call.name not in known for call in found):
                return []
            calls += found
    except (ValueError, RecursionError):
        return []
    return calls


def _call(value: Any) -> Call:
    inner = value.get("function") if isinstance(value, dict) else {}
    value = inner if isinstance(inner, dict) else value
    name = next((value[key] for key in NAMES if isinstance(value.get(key), str)), "")
    return Call(name, _text(next((value[key] for key in ARGUMENTS if key in value), {})))


def _text(given: Any) -> str:
    return whole(given) if isinstance(given, str) else json.dumps(given)
