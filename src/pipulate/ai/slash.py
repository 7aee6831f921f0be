"""Words to tool calls: slash commands and the shell's arguments are read the same way."""

import json
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
        if not equals or not name.rstrip(":").isidentifier():
            raise Problem(f"{word!r} is not a value.", "Write key=text, or key:=JSON.")
        if name.endswith(":"):
            try:
                values[name[:-1]] = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise Problem(f"{name[:-1]}: that is not JSON ({error}).", "Or use =.") from None
        elif files and text.startswith("@"):
            try:
                typed[name] = Path(text[1:]).expanduser().read_text()
            except (OSError, ValueError) as error:
                what = f"{name}: {text[1:]} cannot be read ({error})."
                raise Problem(what, "Name a text file.") from None
        else:
            typed[name] = text
    return typed, values


async def slash(line: str, tools: Tools, caller: Caller) -> str:
    """Run a slash command; the answer is markdown. Raises Problem."""
    try:
        words = shlex.split(line.lstrip("/"))
    except ValueError as error:
        raise Problem(f"That cannot be read ({error}).", "Close the quotation mark.") from None
    if not words or words[0] == "help":
        return _help(tools, "_".join(words[1:]))
    if words[0] == "run" and len(words) > 1:
        words[:2] = [f"{words[1]}_run"]
    if "_".join(words[:2]) in tools.by_name:
        words[:2] = ["_".join(words[:2])]
    name = words[0]
    if name not in tools.by_name:
        known = [n.replace("_", " ") for n in tools.by_name]
        said = " ".join(word for word in words[:2] if "=" not in word)
        raise Unknown(f"There is no command /{name}.", f"{nearest(said, known)} Try /help.")
    typed, values = read_words(words[1:])
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
