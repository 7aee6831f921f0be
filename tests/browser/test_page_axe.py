"""axe-core finds nothing serious on any page, light, dark or on a phone."""

import os
import sys
from pathlib import Path

import pytest

from serving import serving

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from axe import GRAVE, NotHere, axe, findings  # noqa: E402

LOOKS = {  # (how the window is, the rules that it is asked; none: all)
    "light": ({"color_scheme": "light"}, ()),
    "dark": ({"color_scheme": "dark"}, ("color-contrast",)),
    "phone": ({"viewport": {"width": 390, "height": 780}}, ()),
}
BROKEN = "from pipulate import CrudApp\nclass Recipe(CrudApp):\n    minutes: number = 10\n"
EVERYTHING = """
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from pipulate import Between, CrudApp, Email, File, Ref, Secret, Text, Url

class Thing(CrudApp):
    "One of each."
    name: str
    about: Text = "Some *words*, and a [link](https://example.org)."
    kind: Literal["new", "used"] = "new"
    tags: list[str] = ["red", "green"]
    stars: Annotated[int, Between(0, 5)] = 3
    price: Decimal = Decimal("1.50")
    seen: bool = True
    due: date | None = date(2026, 1, 31)
    at: datetime | None = None
    site: Url = "https://example.org/"
    mail: Email = "ada@example.org"
    key: Secret = ""
    file: File | None = None
    part_of: Ref["thing"] | None = None
"""
OUTPUTS = """
from pipulate import BarChart, Pipeline

outputs = Pipeline("Outputs", "One of each.")

@outputs.step
def rows(count: int = 300):
    return [{"page": f"https://example.org/{n}", "words": n, "ok": True} for n in range(count)]

@outputs.step
def text(rows):
    return "# Head\\n\\n- **one**\\n- two"

@outputs.step
def tree(text):
    return {"deep": {str(n): list(range(n)) for n in range(9)}, "none": None}

@outputs.step
def drawn(tree):
    return [["a", 1], ["b", 2]]

@drawn.view
def chart(output):
    return BarChart(output, "Letters")

@outputs.step(optional=True)
def left_out(tree, word: str):
    return word

@outputs.step
def fails(tree, by: int = 0):
    print("dividing")
    return 1 / by

@outputs.step
def asks(tree, job):
    return job.ask("Which one?", ["one", "two"])
"""


@pytest.fixture(scope="module")
def checker():
    try:
        return axe()
    except NotHere as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"axe-core is not here: {why}")


@pytest.fixture(scope="module")
def server(tmp_path_factory, checker):
    home = tmp_path_factory.mktemp("home")
    (home / "apps").mkdir()
    (home / "apps" / "recipes.py").write_text(BROKEN)
    (home / "apps" / "things.py").write_text(EVERYTHING)
    (home / "apps" / "outputs.py").write_text(OUTPUTS)
    with serving(home) as started:
        for n in range(5):
            started.call("task_add", title=f"Task {n}", done=n % 2 == 0, due="2020-01-01")
        for n in range(51):
            started.call("bookmark_add", url=f"https://example.org/{n}")
        started.call("thing_add", name="One of each")
        started.call("thing_add", name="A part", part_of=1, key="s3cret-word-1234")
        started.call("note_add", title="A note", body="# Head\n\n- one\n- two\n\n`code`")
        started.call("profile_add", name="Other")
        yield started


def go(path):
    return lambda page: page.goto(path)


def edit(page):
    page.goto("/default/tasks")
    page.locator("#rows button.cell").first.click()
    page.locator("#rows form.edit").wait_for()


def edit_whole(page):
    page.goto("/default/things")
    page.get_by_label("Edit", exact=True).last.click()
    page.locator("form.edit").wait_for()


def refused(page):
    page.goto("/default/tasks")
    page.locator("#add button[type=submit]").click()
    page.locator("#add [aria-invalid=true]").wait_for()


def ticked(page):
    page.goto("/default/tasks")
    page.locator("#rows").get_by_label("Select", exact=True).first.check()
    page.locator("#bulk").wait_for()


def menus(page):
    page.goto("/default/tasks")
    page.evaluate("document.querySelectorAll('details').forEach(menu => menu.open = true)")


def keys(page):
    page.goto("/default/tasks")
    page.locator("h1").click()
    page.keyboard.press("?")
    page.locator("dialog[open]").wait_for()


def deleted(page):
    page.goto("/default/tasks")
    page.get_by_label("Delete", exact=True).last.click()
    page.locator(".notice").wait_for()


def sql(page):
    page.goto("/default/queries/run?sql=SELECT+id,title+FROM+app_tasks")
    page.locator("#answer table").wait_for()


def run(page):
    page.goto("/default/hello")
    page.get_by_role("button", name="New run").click()
    page.wait_for_url("**/hello/*")


def settings(page):
    page.goto("/default/settings")
    page.get_by_role("button", name="Add server").wait_for()


def commands(page):
    """The chat with a message, its answer, and a list of commands to choose from."""
    page.goto("/default/tasks")
    page.locator("h1").click()
    page.keyboard.press("c")
    box = page.get_by_label("Message", exact=True)
    box.fill("/task list")
    box.press("Enter")
    page.locator(".msg .code").last.wait_for()
    box.press_sequentially("/task ")
    page.locator("#offers li").first.wait_for()
    box.press("ArrowDown")


def states(page):
    """A run with a step in every state that lasts, and the inbox that it fills."""
    page.goto("/default/outputs")
    page.get_by_role("button", name="New run").click()
    page.wait_for_url("**/outputs/*")
    page.get_by_role("button", name="Run the rest").click()
    page.locator(".step.failed").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Answer").wait_for()


SCENES = {
    "overview": go("/default"),
    "list": go("/default/tasks"),
    "every type": go("/default/things"),
    "last page": go("/default/bookmarks?page=2"),
    "empty list": go("/other/tasks"),
    "nothing found": go("/default/tasks?q=nothing+like+it"),
    "cell edited": edit,
    "row edited": edit_whole,
    "add form refused": refused,
    "filters": go("/default/tasks?f.done=yes&sort=-title"),
    "rows ticked": ticked,
    "menus": menus,
    "keys": keys,
    "notice": deleted,
    "import": go("/default/tasks/import"),
    "drawn rows": go("/default/notes"),
    "files": go("/default/files"),
    "history": go("/default/history"),
    "settings": settings,
    "commands": commands,
    "search": go("/default/search?q=task"),
    "sql": sql,
    "pipeline": go("/default/hello"),
    "run": run,
    "run in all states": states,
    "inbox": go("/default/inbox"),
    "runs": go("/default/outputs"),
    "plugin failure": go("/default/plugin/recipes"),
    "manual": go("/default/docs/reference.md"),
    "not found": go("/nobody"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_serious_stands_in_anybodys_way(look, window, checker):
    (how, rules), wrong = LOOKS[look], []
    page = window(**how, reduced_motion="reduce")  # what moves is looked at where it ends
    page.add_init_script(checker)
    for name, arrive in SCENES.items():
        arrive(page)
        wrong += [f"{name}: {said}" for impact, said in findings(page, *rules) if impact in GRAVE]
    assert not wrong, "\n".join(wrong)
