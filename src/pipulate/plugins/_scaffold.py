"""Small, readable plugin files from a few words: `book title:str rating:int=0`."""

import builtins
import keyword
import re
from pathlib import Path

from pipulate import CrudApp, Problem
from pipulate.plugins import _drafts

TYPES = {"str": "", "int": "", "float": "", "bool": "", "list": "", "dict": ""}
TYPES |= {"date": "datetime", "datetime": "datetime", "Decimal": "decimal"}
TYPES |= dict.fromkeys(("Text", "Url", "Email", "File", "Secret"), "pipulate")
QUOTED = ("str", "Text", "Url", "Email")
BASE = CrudApp
TAKEN = {*dir(BASE), "id", "version", "position", "table"}

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
    parts = [field(said) for said in fields or ["title:str"]]
    names, title = [part[0] for part in parts], "".join(word.title() for word in name.split("_"))
    if len({*names}) < len(names):
        raise Problem("Two fields have one name.", "Rename one.")
    imports = {("pipulate", "CrudApp"), *(pair for part in parts for pair in part[2])}
    return APP.format(
        title=name.replace("_", " ").capitalize(),
        name=title,
        base=BASE.__name__,
        fields=names,
        imports=imported(imports),
        lines="\n".join(f"    {part[1]}" for part in parts),
    )


def imported(pairs):
    """Import lines of (module, name), the standard library first."""
    modules = sorted({module for module, _ in pairs}, key=lambda m: (m == "pipulate", m))
    lines = {m: ", ".join(sorted(n for module, n in pairs if module == m)) for m in modules}
    text = "\n".join(f"from {m} import {names}" for m, names in lines.items())
    return text.replace("\nfrom pipulate", "\n\nfrom pipulate")


def field(said):
    """(name, its line, what it imports) of title:str, due:date?, state:new|done, by:Ref[author]."""
    found = re.fullmatch(r"(\w+)(?::([\w|\[\]]+)(\?)?)?(?:=(.*))?", said)
    name, kind, maybe, default = found.groups() if found else ("", "", "", None)
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name in TAKEN:
        how = "Write name:type, such as title:str, due:date? or size:S|M|L."
        raise Problem(f"{said!r} names no field.", how)
    kind, imports = kind or "str", set()
    if "|" in kind:
        choices = kind.split("|")
        kind, imports = f"Literal[{', '.join(map(repr, choices))}]", {("typing", "Literal")}
        kind, default = kind.replace("'", '"'), choices[0] if default is None else default
    elif ref := re.fullmatch(r"Ref\[(\w+)\]", kind):
        kind, imports = f'Ref["{ref[1]}"]', {("pipulate", "Ref")}
    elif kind not in TYPES:
        raise Problem(f"There is no type {kind!r}.", near(kind, TYPES))
    elif TYPES[kind]:
        imports = {(TYPES[kind], kind)}
    line = f"{name}: {kind}"
    if maybe:
        return name, f"{line} | None = None", imports
    if default is None:
        return name, line, imports
    return name, f"{line} = {written(kind, default)}", imports


def written(kind, default):
    """A default as Python."""
    if kind in QUOTED or kind.startswith("Literal"):
        return '"' + default.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if kind == "bool":
        return str(default.lower() in ("true", "yes", "on", "1"))
    if kind in ("int", "float") and re.fullmatch(r"-?\d+(\.\d+)?", default):
        return default
    how = "a number" if kind in ("int", "float") else f"{kind}? for one that may be empty"
    raise Problem(f"{default!r} is no default for {kind}.", f"Leave it out, or write {how}.")


def near(word, known):
    """A sentence with the nearest names."""
    import difflib

    found = difflib.get_close_matches(word.lower(), [k.lower() for k in known], 1, 0.5)
    best = [k for k in known if k.lower() in found]
    return f"Did you mean {best[0]!r}?" if best else f"Known: {', '.join(known)}, a|b, Ref[app]."


def pipeline(name, steps):
    """The text of a pipeline of these steps. Raises Problem."""
    steps = steps or ["begin", "report"]
    for step in steps:
        if not re.fullmatch("[a-z][a-z0-9_]*", step) or keyword.iskeyword(step):
            raise Problem(f"{step!r} is no name for a step.", "Use a word of small letters.")
        if step in (*dir(builtins), "job", "text", name) or steps.count(step) > 1:
            raise Problem(f"The name {step!r} is taken.", f"Such as {step}_it.")
    call = "text"
    for step in steps:
        call = f"{step}({call})"
    title = name.replace("_", " ").capitalize()
    shown = call.replace("(text)", '("Hello")')
    text = HEAD.format(title=title, arrows=", ".join(steps), call=shown, slug=name)
    text += FIRST.format(slug=name, name=steps[0])
    for before, step in zip(steps, steps[1:], strict=False):
        text += NEXT.format(slug=name, name=step, before=before)
    return text


def made(home, name, kind, parts):
    """The text of a new file (parts: a field or a step a line), tried. Raises Problem."""
    _drafts.named(name)
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
