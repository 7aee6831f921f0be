"""An app that has a field of every type, and rows of it, for the tests of all that apps do."""

import asyncio
import contextlib

from pipulate.apps.house import House
from pipulate.core.settings import Settings

EVERY = '''
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from pipulate import Between, CrudApp, Email, File, Ref, Secret, Text, Url


class Author(CrudApp):
    name: str


class Thing(CrudApp):
    """Has a field of every type."""

    title: str
    note: Text = ""
    count: int = 0
    price: Decimal = Decimal("0")
    weight: float = 0.5
    done: bool = False
    level: Literal["low", "high", ">9"] = "low"
    stars: Literal[1, 2, 3] = 1
    share: Annotated[int, Between(0, 10)] = 5
    colors: list[Literal["red", "dark blue", "a,b"]] = []
    tags: list[str] = []
    url: Url = ""
    mail: Email = ""
    extra: dict = {}
    items: list = []
    due: date | None = None
    met: datetime | None = None
    key: Secret | None = None
    author: Ref["author"] | None = None
    parent: Ref["thing"] | None = None
    paper: File | None = None
    maybe: bool | None = None
    guess: int | None = None

    @property
    def double(self) -> int:
        return self.count * 2
'''

# rows in which every column has several values, empty ones among them
ROWS = [
    {"title": "Apple pie", "count": 3, "price": "1.10", "due": "2026-01-31", "done": True},
    {"title": "apple", "count": -2, "price": "0.3", "met": "2026-01-31T12:30:00Z", "maybe": True},
    {"title": "Ölmühle", "tags": ["red", "a,b"], "weight": 2.5, "due": "2026-02-01", "stars": 3},
    {"title": "today 50% _x_", "tags": ["Red"], "level": "high", "guess": 0, "maybe": False},
    {"title": 'say "no"', "colors": ["red", "a,b"], "url": "https://example.org", "guess": 7},
    {"title": "x\\y", "level": ">9", "mail": "ann@example.org", "met": "2026-03-01T00:00:00Z"},
    {"title": "long note", "note": "two\nlines: today", "extra": {"a": 1}, "items": [1, "b"]},
    {"title": "3..5", "share": 10, "price": "-12345678901234567890.5", "due": "9999-12-31"},
]


@contextlib.contextmanager
def open_world(home):
    """A house with this app, for the tests of a module that only look: it has house, app, call."""
    settings = Settings(home=home, browser=False, ollama_url="http://127.0.0.1:9")
    settings.make_home()
    (settings.folder("apps") / "every.py").write_text(EVERY)
    world = World(House(settings))
    yield world
    world.run(world.house.close())
    world.runner.close()


class World:
    def __init__(self, house):
        self.house, self.runner = house, asyncio.Runner()
        self.run, self.app = self.runner.run, house.shelf.crud("thing")

    @property
    def caller(self):
        return self.house.caller("user", confirmed=True)

    def call(self, tool, **values):
        """A tool's result, by the user."""
        return self.run(self.house.tools.call(tool, values, self.caller))
