"""Words to tool calls, in the chat as in the shell."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipulate.core.fields import Field, Ref, pretty
from pipulate.core.problems import Problem, Unknown, nearest
from pipulate.core.tools import Caller, Tool, Tools

OFFERED = 8  # ways to go on with a command, at most
LAST = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')*$""")  # the word that is being written


def read_words(words: list[str], files: bool = False) -> tuple[dict[str, str], dict[str, Any]]:
    """(typed, values) of words: key=text is typed, key:=JSON a value; with `files`, key=@file the

    file's text. Raises Problem."""
    typed, values = dict[str, str](), dict[str, Any]()
    for word in words:
        name, equals, text = word.partition("=")
        key = name.removesuffix(":")
        if not equals or not key.replace(".", "_").isidentifier():
            raise Problem(f"{word!r} is not a value.", "Write key=text, or key:=JSON.")
        try:
            if key != name:
                values[key] = json.loads(text)
            elif files and text.startswith("@"):
                file = Path(text[1:]).expanduser()
                said = sys.stdin.read() if text == "@-" else file.read_text("utf-8")
                typed[key] = said.removesuffix("\n") if said.count("\n") == 1 else said
            else:
                typed[key] = text
        except (OSError, ValueError, RecursionError) as error:
            wrong = "that is not JSON" if key != name else f"{text[1:]} cannot be read"
            then = "Write key=text, key:=JSON or key=@file."
            raise Problem(f"{key}: {wrong} ({error}).", then) from None
    return typed, values


def without_secrets(line: str, tools: Tools) -> str:
    """A command as the conversation keeps it."""
    names = "|".join(tools.secret_names() | {"answer"})  # a step may have asked for one
    value = r"""("[^"]*"?|'[^']*'?|\S)+"""
    return re.sub(rf"\b({names})(:?=){value}", r"\1\2…", line)


async def slash(line: str, tools: Tools, caller: Caller) -> str:
    """Run a slash command; the answer is markdown. Raises Problem."""
    try:
        words = shlex.split(line.lstrip("/")) or ["help"]
    except ValueError as error:
        raise Problem(f"That cannot be read ({error}).", "Close the quotation mark.") from None
    if words[0] == "help":
        return _help(tools, "_".join(words[1:]))
    name, *given = _named(words, tools)
    if name not in tools.by_name:
        known = ["/" + n.replace("_", " ") for n in tools.by_name]
        said = "/" + " ".join(word for word in words[:2] if "=" not in word)
        raise Unknown(f"There is no command /{name}.", f"{nearest(said, known)} Try /help.")
    typed, values = read_words(given)
    result = await tools.call(name, values, caller, typed)
    if isinstance(result, dict) and result.get("state") == "waiting":
        return _waits(name, result)
    return f"`{name}` done.\n\n```\n{pretty(result)[:4_000]}\n```"


def _waits(name: str, result: dict[str, Any]) -> str:
    run, needs = result["run"], result.get("waiting_for", [])
    link = f"[Run {run}]({result['address']})"
    said = f"{link} is waiting for {', '.join(needs)}."
    how = f"{name.replace('_', ' ')} run={run}" + "".join(f" {need}=…" for need in needs)
    if not needs:
        choices = f" ({', '.join(map(str, result['choices']))})" if result["choices"] else ""
        said = f"{link} asks:\n\n> {result['question']}{choices}"
        how = f"run answer run={run} answer=…"
    return f"{said}\n\nGo on with `/{how}`."


def _named(words: list[str], tools: Tools) -> list[str]:
    """The same with the tool's name as one word: of task add, link graph run, run hello."""
    if words[0] == "run" and "_".join(words[:2]) not in tools.by_name:
        words = [*words[1:2], "run", *words[2:]]
    for end in range(len(words), 1, -1):
        if (name := "_".join(words[:end]).lower()) in tools.by_name:
            return [name, *words[end:]]
    return words


def offers(
    line: str, tools: Tools, own: str = "", rows: Callable[[Field, str], list[str]] | None = None
) -> list[tuple[str, str]]:
    """Ways to go on with a command: (the line as it would be, what is added).

    Commands first (those of `own` before others), then fields, then the values of a field; those
    of a Ref are names of rows(field, as typed)."""
    said = line.removeprefix("/")
    head = LAST.sub("", said, count=1)
    word = said[len(head) :]
    name, *given = _named(head.split(), tools) if head.strip() else [""]
    if any(head.count(mark) % 2 for mark in "\"'"):  # within a value
        return []
    if name in tools.by_name:
        given = {said.partition("=")[0] for said in given}
        added = _fields(tools.get(name).fields, given, word, rows)
    else:
        typed, head = said.lower(), ""
        names = sorted(tools.by_name, key=lambda name: (not name.startswith(own), name))
        told = ((name.replace("_", " ", 1), _brief(tools.get(name))) for name in names)
        added = [pair for pair in told if typed in pair[0]]
        added.sort(key=lambda pair: not pair[0].startswith(typed))
    lines = ((f"/{head}{more}", about) for more, about in added)
    return [pair for pair in lines if pair[0] != line][:OFFERED]


def _fields(fields: Iterable[Field], given: set[str], word: str, rows) -> list[tuple[str, str]]:
    name, equals, start = word.partition("=")
    before = ""
    if equals:
        typed = start.strip("\"'")
        values = [v for f in fields if f.name == name for v in _values(f, typed, rows)]
        if not start or values not in ([], [typed]):
            return [(f"{name}={shlex.quote(v)}", "") for v in values]
        before = f"{word} "  # the value is whole: on with what is left
        given, name = given | {name}, ""
    left = [f for f in fields if f.name.startswith(name) and f.name not in given]
    left.sort(key=lambda f: not f.required)
    return [(f"{before}{f.name}=", _about(f)) for f in left]


def _values(field: Field, typed: str, rows) -> list[str]:
    if field.type is Ref:
        return rows(field, typed) if rows else []
    known = field.schema.get("enum", ["true", "false"] if field.type is bool else [])
    return [str(v) for v in known if v is not None and str(v).startswith(typed)]


def _about(field: Field) -> str:
    of = " or ".join(_values(field, "", None))
    said = field.type.__name__, of, "needed" if field.required else "", field.help
    return ", ".join(filter(None, said))


def _brief(tool: Tool) -> str:
    return tool.description.split(". ")[0]


def _help(tools: Tools, about: str) -> str:
    if about in tools.by_name:
        found = tools.get(about)
        fields = "\n".join(f"- `{f.name}` {_about(f)}" for f in found.fields)
        return f"**{about}** ({found.kind}): {found.description}\n\n{fields}"
    lines = ["Commands work without any model:", ""]
    for name, found in sorted(tools.by_name.items()):
        needs = "".join(f" {f.name}=…" for f in found.fields if f.required)
        lines.append(f"- `/{name.replace('_', ' ', 1)}{needs}` {_brief(found)}")
    return "\n".join(lines)
