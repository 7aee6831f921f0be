"""Words to tool calls: slash commands and the shell's arguments are read the same way."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

from pipulate.core.problems import Problem, Unknown, nearest
from pipulate.core.tools import Caller, Tools


def read_words(words: list[str], files: bool = False) -> tuple[dict[str, str], dict[str, Any]]:
    """(typed, values) of words: key=text is typed, key:=JSON a value, key=@file the file's text.

    Raises Problem for a word of no such form. `files`: whether @file is allowed (the shell)."""
    typed: dict[str, str] = {}
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        key = name.removesuffix(":")
        if not equals or not key.isidentifier():
            raise Problem(f"{word!r} is not a value.", "Write key=text, or key:=JSON.")
        try:
            if key != name:
                values[key] = json.loads(text)
            elif files and text.startswith("@"):
                typed[key] = Path(text[1:]).expanduser().read_text()
            else:
                typed[key] = text
        except (OSError, ValueError, RecursionError) as error:
            wrong = "that is not JSON" if key != name else f"{text[1:]} cannot be read"
            raise Problem(
                f"{key}: {wrong} ({error}).", "Write key=text, or name a text file."
            ) from None
    return typed, values


def without_secrets(line: str, tools: Tools) -> str:
    """A command as the conversation keeps it, and the model reads it: secrets are not in it."""
    names = "|".join(tools.secret_names())
    value = r"""("[^"]*"?|'[^']*'?|\S)+"""
    return re.sub(rf"\b({names})(:?=){value}", r"\1\2…", line) if names else line


async def slash(line: str, tools: Tools, caller: Caller) -> str:
    """Run a slash command; the answer is markdown. Raises Problem."""
    try:
        words = shlex.split(line.lstrip("/")) or ["help"]
    except ValueError as error:
        raise Problem(f"That cannot be read ({error}).", "Close the quotation mark.") from None
    if words[0] == "help":
        return _help(tools, "_".join(words[1:]))
    if words[0] == "run":
        words[:2] = [*words[1:2], "run"]
    two = "_".join(words[:2])
    name, *given = [two, *words[2:]] if two in tools.by_name else words
    if name not in tools.by_name:
        known = [n.replace("_", " ") for n in tools.by_name]
        said = " ".join(word for word in words[:2] if "=" not in word)
        raise Unknown(f"There is no command /{name}.", f"{nearest(said, known)} Try /help.")
    typed, values = read_words(given)
    result = await tools.call(name, values, caller, typed)
    return f"`{name}` done.\n\n```\n{json.dumps(result, indent=1, ensure_ascii=False)[:4_000]}\n```"


def _help(tools: Tools, about: str) -> str:
    if about in tools.by_name:
        found = tools.get(about)
        fields = "\n".join(f"- `{f.name}` {f.type.__name__}" for f in found.fields)
        return f"**{about}** ({found.kind}): {found.description}\n\n{fields}"
    lines = ["Commands work without any model:", ""]
    for name, found in sorted(tools.by_name.items()):
        needs = "".join(f" {f.name}=…" for f in found.fields if f.required)
        about = found.description.split(". ")[0]
        lines.append(f"- `/{name.replace('_', ' ', 1)}{needs}` {about}")
    return "\n".join(lines)
