"""Builder: from a wish in words to a plugin file that passed its trial and waits for a yes."""

import re
from pathlib import Path

from fasthtml.common import Div, P

from pipulate import Pipeline, Problem, Text
from pipulate.plugins import _scaffold

MARKS = (r"apps/(\w+)\.py", r"class (\w+)\(CrudApp", r"Pipeline\(\s*[\"']([^\"']+)")
TRIES, CONTRACT = 4, Path(__file__).with_name("contract.md")
ASK = """{contract}

# Your task

Write one plugin file. What the user wishes: {wish}
{before}
Answer with the whole file and nothing else, as one block of Python that begins with its place:
`# apps/{name}.py`
"""
CHANGE = """
It changes this file. What the wish does not touch stays, names of fields and steps above all:
```python
{source}```
"""
AGAIN = """
In try {tried} you wrote this:
```python
{source}```
It did not pass:
{problems}
Mend all of that; write the whole file once more.
"""

ABOUT = "Makes an app or pipeline, or changes one, from a wish in words."
builder = Pipeline("Builder", ABOUT, needs="model")


@builder.step(auto=True)
def wanted(job, wish: Text, plugin: str = ""):
    """What do you wish for? To change a plugin of yours, name its file, such as plants."""
    name = plugin.strip().removesuffix(".py")
    text = job.tool("plugin_text", name=name) if name else ""
    own = [file[10:-3] for file in job.tool("source") if file.startswith("home/apps/")]
    return {"wish": wish.strip(), "plugin": name, "source": text, "taken": own}


@wanted.view
def draw_wanted(output):
    """What becomes of the wish, which itself stands above."""
    name = output["plugin"]
    return P(f"It changes {name}.py." if name else "It becomes a new file.")


@builder.step(auto=True)
def written(wanted, job):
    """The model writes, each try is tested in an empty home; what failed goes back to it."""
    name, wish = wanted["plugin"], wanted["wish"]
    before = CHANGE.format(source=wanted["source"]) if name else ""
    contract = CONTRACT.read_text("utf-8")
    asked = ASK.format(contract=contract, wish=wish, before=before, name=name or "NAME")
    said = asked + (job.checkpoint_data or "")  # resumed after the last try: it goes on from there
    for tried in range(1, TRIES + 1):
        job.progress(tried - 1, TRIES, f"try {tried}: the model writes")
        source = block(answered(job, said))
        name = name or free(source, wanted["taken"])
        job.progress(tried - 0.5, TRIES, f"try {tried}: {name}.py is tested")
        found = job.tool("plugin_draft", name=name, source=source, wish=wish)
        if not found["problems"]:
            return found | {"tries": tried}
        problems = "\n".join(f"- {problem}" for problem in found["problems"])
        print(problems)
        again = AGAIN.format(tried=tried, source=source, problems=problems)
        said = asked + again
    job.checkpoint(again)
    what = f"After {TRIES} tries it does not pass: {found['problems'][0]}"
    then = "resume it for more tries, or say the wish another way"
    raise Problem(what, f"Mend it at {found['address']}, {then}.")


@written.view
def draw(output):
    """The page of that version: look, then approve."""
    act = {"hx_trigger": "load", "hx_target": "this", "hx_swap": "outerHTML"}
    return Div("…", hx_get=output["address"], **act)


def answered(job, said):
    """What the model answers; it may say nothing."""
    try:
        return job.model(said, Text)
    except ValueError:
        return ""


def block(answer):
    """The Python in an answer: its longest block, or all of it; nothing is a file, too."""
    found = re.findall(r"```\w*\n(.*?)(?:^```|\Z)", answer, re.S | re.M) or [answer]
    return (max(found, key=len).strip() or "# Nothing was written.") + "\n"


def free(source, taken):
    """A name for a new file: where it says it belongs, or what it defines; none that is there."""
    said = [said for mark in MARKS for said in re.findall(mark, source)] or ["wish"]
    base = re.sub(r"\W+", "_", said[0].lower()).strip("_")[:30]
    base = base if re.match("[a-z]", base) else f"a_{base}"
    names = [base, *(f"{base}_{n}" for n in range(2, 100))]
    return next(name for name in names if name not in taken and not _scaffold.bundled(name))
