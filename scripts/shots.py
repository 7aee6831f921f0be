"""Pictures of the pages, taken from a real server with made-up data by a real browser.

    python scripts/shots.py                 docs/images/tasks.png and links.png, the two kept here
    python scripts/shots.py --to FOLDER     all of them, to look at

The browser is PIPULATE_BROWSER, else Chromium, Chrome or Edge where it is found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from model_server import ModelServer, Reply  # noqa: E402
from pipulate.apps.browser import find_browser  # noqa: E402

KEPT = {"tasks", "links"}  # the pictures that are part of the manual
DESKTOP = ViewportSize(width=1200, height=720)
PHONE = ViewportSize(width=390, height=780)
TASKS = [
    ("Water the plants", "2026-11-21", True),
    ("Renew the library card", "2026-12-01", False),
    ("Check the broken links of the shop", "", False),
    ("Write to Ada", "", False),
    ("Buy milk", "2026-11-20", False),
]
IMPORT = "from pipulate import CrudApp\n\n\n"
BROKEN = f"{IMPORT}class Recipe(CrudApp):\n    title: str\n    minutes: number = 10\n"
EMPTY = f'{IMPORT}class Book(CrudApp):\n    """Books to read."""\n\n    title: str\n'
ANSWER = (
    "You have **four** open tasks. The next one is *Buy milk*, due on 20 November.\n\n"
    "I added “Call the plumber” to the list; Undo in History takes it back."
)


@dataclass(frozen=True)
class Look:
    """Light or dark, desktop or phone; `suffix` ends the names of its pictures."""

    folder: Path
    suffix: str
    scheme: Literal["light", "dark"]
    size: ViewportSize


def answer(body: dict[str, Any]) -> Reply:
    """What the scripted model says: a tool call first, the sentence once it has the result."""
    if body["messages"][-1]["role"] == "tool":
        return Reply(ANSWER)
    return Reply(tools=[("task_add", {"title": "Call the plumber"})])


@contextlib.contextmanager
def serving(home: Path, model: str) -> Iterator[dict[str, Any]]:
    """A server on this home; gives its JSON line."""
    command = [sys.executable, "-m", "pipulate", "serve", "--home", str(home)]
    command += ["--port", "0", "--no-browser", "--json"]
    env = os.environ | {"PIPULATE_MODEL_URL": model, "PIPULATE_MODEL": ""}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def shell(home: Path, *words: str) -> None:
    """Run a command of the shell on this home; it goes through the server."""
    command = [sys.executable, "-m", "pipulate", *words, "--home", str(home)]
    subprocess.run(command, check=True, capture_output=True)


def write_links(path: Path, pages: int = 400) -> None:
    """A made-up site: a tree of pages with links to the top and some across."""
    chance = random.Random(7)
    names = ["https://shop.example/"]
    names += [f"https://shop.example/{'abcdefgh'[n % 8]}/page-{n}" for n in range(1, pages)]
    rows = [f"{names[(n - 1) // 5]},{names[n]}\n" for n in range(1, pages)]
    rows += [f"{name},{names[0]}\n" for name in names]
    rows += [f"{chance.choice(names)},{chance.choice(names[:60])}\n" for _ in range(pages * 3)]
    path.write_text("source,target\n" + "".join(rows))


def fill(home: Path) -> None:
    """Tasks, a run of links, a run of hello that stands at its second step."""
    for title, due, done in TASKS:
        due_words = [f"due={due}"] if due else []
        shell(home, "call", "task_add", f"title={title}", *due_words, f"done={str(done).lower()}")
    table = home / "links.csv"
    write_links(table)
    shell(home, "run", "links", f"csv={table}")
    shell(home, "run", "hello", "name=Ada")


def open_page(page: Page, address: str) -> None:
    """Go there, and wait until the page's socket is open too."""
    page.goto(address)
    page.wait_for_load_state("networkidle")


def chat(page: Page, address: str) -> None:
    """Ask the scripted model, and wait for the end of its answer."""
    open_page(page, address)
    if not page.is_visible("#say"):  # folded away on a phone
        page.click("#fold")
    page.fill("#say textarea", "What is open? And please note that I have to call the plumber.")
    page.click("#say button")
    page.locator(".msg.assistant", has_text="takes it back").last.wait_for()
    page.wait_for_timeout(300)


def views(page: Page, base: str, home: Path) -> dict[str, Callable[[], None]]:
    """Name → how to get there, in the order in which they are taken."""

    def go(path: str) -> Callable[[], None]:
        return lambda: open_page(page, base + path)

    def links() -> None:
        open_page(page, f"{base}/links/1")
        picture = page.locator("canvas").first
        picture.evaluate("canvas => canvas.scrollIntoView({block: 'center'})")
        page.wait_for_timeout(6_000)  # until its pages have found their places

    def broken() -> None:
        (home / "apps/recipes.py").write_text(BROKEN)
        page.wait_for_timeout(2_500)
        open_page(page, f"{base}/plugin/recipes")

    return {
        "overview": go(""),
        "tasks": go("/tasks"),
        "empty": go("/books"),
        "hello": go("/hello/2"),
        "runs": go("/hello"),
        "links": links,
        "chat": lambda: chat(page, base + "/tasks"),
        "history": go("/history"),
        "settings": go("/settings"),
        "broken": broken,
    }


def take(browser: Browser, info: dict[str, Any], home: Path, look: Look, names: set[str]) -> None:
    """Take the named pictures of this home in one look; no names: all of them."""
    base = info["url"].split("/?")[0] + "/default"
    page = browser.new_page(color_scheme=look.scheme, viewport=look.size)
    page.goto(info["url"])
    page.wait_for_url(base)
    for name, arrive in views(page, base, home).items():
        if not names or name in names:
            arrive()
            path = look.folder / f"{name}{look.suffix}.png"
            page.screenshot(path=path)
            print(path)
    page.close()


def take_all(browser: Browser, look: Look, names: set[str]) -> None:
    """The pictures of one look, from a server and a home of their own."""
    with tempfile.TemporaryDirectory() as place, ModelServer(answer, repeat=True) as model:
        home = Path(place) / "pipulate"
        (home / "apps").mkdir(parents=True)
        (home / "apps/reading.py").write_text(EMPTY)
        with serving(home, model.url) as info:
            fill(home)
            take(browser, info, home, look, names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where all pictures go")
    to = parser.parse_args().to
    folder = to or ROOT / "docs/images"
    folder.mkdir(parents=True, exist_ok=True)
    looks = [Look(folder, "", "light", DESKTOP)]
    if to:
        looks += [Look(folder, "-dark", "dark", DESKTOP), Look(folder, "-phone", "light", PHONE)]
    if not (path := find_browser()):
        sys.exit("No Chromium, Chrome or Edge was found: name one by PIPULATE_BROWSER=/its/path.")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    options = ["--no-sandbox"] if root else []  # Chromium refuses its sandbox to root
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=options)
        for look in looks:
            take_all(browser, look, set() if to else KEPT)
        browser.close()


if __name__ == "__main__":
    main()
