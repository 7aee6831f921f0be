"""Small, readable plugin files from a few words: `book title:str rating:int=0`."""

import builtins
import re
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from pipulate import CrudApp, Problem
from pipulate.plugins import _drafts

TYPES = dict.fromkeys(("str", "int", "float", "bool", "list", "dict"), "")  # and their module
TYPES |= {"date": "datetime", "datetime": "datetime", "Decimal": "decimal"}
TYPES |= dict.fromkeys(("Text", "Url", "Email", "File", "Secret"), "pipulate")
QUOTED = ("str", "Text", "Url", "Email")
BOOLS = ("true", "yes", "on", "1", "false", "no", "off", "0", "")
TAKEN = {*CrudApp.__dict__, "id", "version", "position", "table"}

APP = '''"""{title}.

>>> [*{name}.fields]
{fields}
"""

{imports}


class {name}({base}):
    """{title}s, a list for each profile."""

{lines}
'''
HEAD = '''"""{title}: {arrows}.

>>> {call}
'Hello'
"""

from pipulate import Pipeline, Text

{slug} = Pipeline("{title}", "What it does, in a line.")
'''
FIRST = '''

@{slug}.step
def {name}(text: Text):
    """What to begin with?"""
    return text
'''
NEXT = '''

@{slug}.step(auto=True)
def {name}({before}):
    """What this step does."""
    return {before}
'''


def app(name, fields):
    """The text of an app with these fields, such as title:str or rating:int=0. Raises Problem."""
    names, lines, needs = zip(*map(field, fields or ["title:str"]), strict=True)
    if len({*names}) < len(names):
        raise Problem("Two fields have one name.", "Rename one.")
    return APP.format(
        title=name.replace("_", " ").capitalize(),
        name="".join(word.title() for word in name.split("_")),
        base=CrudApp.__name__,
        fields=[*names],
        imports=imported({("pipulate", "CrudApp"), *needs}),
        lines="\n".join(f"    {line}" for line in lines),
    )


def imported(pairs):
    """Import lines of (module, name), the standard library first; "" needs none."""
    modules = sorted({module for module, _ in pairs if module}, key=lambda m: (m == "pipulate", m))
    lines = {m: ", ".join(sorted(n for module, n in pairs if module == m)) for m in modules}
    text = "\n".join(f"from {m} import {names}" for m, names in lines.items())
    return text.replace("\nfrom pipulate", "\n\nfrom pipulate")


def field(said):
    """(name, its line, (module, name) to import) of title:str, due:date?, state:new|done."""
    found = re.fullmatch(r"(\w+)(?::([\w|\[\]]+)(\?)?)?(?:=(.*))?", said)
    name, kind, maybe, default = found.groups() if found else ("", "", "", None)
    if not _drafts.word(name) or name in TAKEN:
        taken = f"The name {name!r} is taken. Such as {name}_it."
        how = "Write name:type in small letters, such as title:str, due:date? or size:S|M|L."
        spelled_well = re.fullmatch("[a-z][a-z0-9_]*", name)
        raise Problem(f"{said!r} names no field.", taken if spelled_well else how)
    kind = kind or "str"
    choices = kind.split("|")
    if len(choices) > 1:
        needs, default = ("typing", "Literal"), default or (None if maybe else choices[0])
        kind = "Literal[{}]".format(", ".join(f'"{one}"' for one in choices))
    elif ref := re.fullmatch(r"Ref\[(\w+)\]", kind):
        needs, kind = ("pipulate", "Ref"), f'Ref["{ref[1]}"]'
    elif kind in TYPES:
        needs = TYPES[kind], kind
    else:
        best = [f"Did you mean {one!r}?" for one in get_close_matches(kind, TYPES, 1)]
        known = f"Known: {', '.join(TYPES)}, a|b, Ref[app]."
        raise Problem(f"There is no type {kind!r}.", (best or [known])[0])
    value = f" = {written(kind, default)}" if default is not None else " = None" if maybe else ""
    return name, f"{name}: {kind}{' | None' if maybe else ''}{value}", needs


def written(kind, default):
    """A default as Python."""
    if kind in QUOTED or kind.startswith("Literal"):
        return '"' + default.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if kind == "bool" and default.lower() in BOOLS:
        return str(default.lower() in BOOLS[:4])
    number = kind in ("int", "float")
    if number and re.fullmatch(r"-?\d+(\.\d+)?", default):
        return default
    how = "a number" if number else f"{kind}? for one that may be empty"
    how = "yes or no" if kind == "bool" else how
    raise Problem(f"{default!r} is no default for {kind}.", f"Leave it out, or write {how}.")


def pipeline(name, steps):
    """The text of a pipeline of these steps. Raises Problem."""
    steps, call = steps or ["begin", "report"], '"Hello"'
    for step in steps:
        if not _drafts.word(step):
            raise Problem(f"{step!r} is no name for a step.", "Use a word of small letters.")
        if step in (*dir(builtins), "job", "text", name) or steps.count(step) > 1:
            raise Problem(f"The name {step!r} is taken.", f"Such as {step}_it.")
        call = f"{step}({call})"
    title = name.replace("_", " ").capitalize()
    text = HEAD.format(title=title, arrows=", ".join(steps), call=call, slug=name)
    text += FIRST.format(slug=name, name=steps[0])
    return text + "".join(
        NEXT.format(slug=name, name=step, before=before) for before, step in pairwise(steps)
    )


def spelled(name):
    """The name of the file of a class: WineBottle is in wine_bottle.py."""
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def made(home, name, kind, parts):
    """The text of a new file (parts: a field or a step a line), tried. Raises Problem."""
    name = _drafts.named(spelled(name))
    if bundled(name) or _drafts.live(home, name):
        raise Problem(f"There is a plugin {name!r} already.", "Choose another name.")
    if kind not in ("app", "pipeline"):
        raise Problem(f"There is no kind {kind!r}.", "Say app or pipeline.")
    lines = [line.strip() for line in parts.splitlines() if line.strip()]
    text = (app if kind == "app" else pipeline)(name, lines)
    if problems := _drafts.tried(home, name, text)["problems"]:
        raise Problem(problems[0], "Choose other names or types.")
    return text


def bundled(name):
    """Whether a plugin that comes along has that name, or that plural."""
    stems = {path.stem for path in Path(__file__).parent.glob("*.py")}
    return bool({name, f"{name}s"} & stems)
