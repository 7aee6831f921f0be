"""What every kind of app has (names, routes as data), and the visit it gets."""

import ast
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pipulate.core.problems import Missing
from pipulate.core.sheets import write_csv
from pipulate.core.tools import Caller

# The tab a change came from: it has its answer and is left out of the live refresh.
origin_tab: ContextVar[str] = ContextVar("origin_tab", default="")
# What the visit at work has changed, newest last; others may change something meanwhile.
made: ContextVar[list[int] | None] = ContextVar("made", default=None)


def note(event: dict[str, Any]) -> None:
    """Listens to the store."""
    if event["changed"] and (own := made.get()) is not None:
        own.append(event["id"])


@dataclass(frozen=True)
class Route:
    """method and path below the app's address, such as "{id}/{field}" or "try/{rest:path}" (all

    that follows); run(visit) → elements."""

    method: str
    path: str
    run: Callable[..., Any]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        found = method.replace("HEAD", "GET") == self.method and self._pattern.fullmatch(path)
        return found.groupdict() if found else None

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        path = re.sub(r"{(\w+):path}", r"(?P<\1>.*)", self.path)
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))


@dataclass
class Visit:
    """One request to an app, free of HTTP: who, where, and the values as typed."""

    house: Any
    caller: Caller
    app: Any
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False  # only a part of the page is wanted (htmx)
    here: str = ""  # the address of the page that asks (htmx)
    title: str = ""  # of the page, where it is another one than its app's

    @property
    def profile(self):
        return self.caller.profile

    @property
    def base(self) -> str:
        return f"/{self.profile.slug}/{self.app.slug}"

    @property
    def undo(self) -> str:
        events = [self.house.events.newest()] if made.get() is None else made.get()
        return f"/{self.profile.slug}/undo/{events[-1]}" if events else ""

    def number(self, name: str) -> int:
        """Raises Missing for what is no number of a row."""
        shown = self.path[name]
        if not shown.isdecimal() or len(shown) > 18:
            raise Missing(f"There is no {shown[:40]!r} in {self.app.title}.", "Check the address.")
        return int(shown)

    async def call(self, tool: str, text: Mapping[str, str] | None = None, also=None, **values):
        """The page has asked for a yes where one is due."""
        return await self.house.tools.call(tool, values, self.caller, text, also)


@dataclass(frozen=True)
class Go:
    """An answer that leads elsewhere."""

    address: str


@dataclass(frozen=True)
class Download:
    """A file made while it is sent, from texts."""

    name: str
    media_type: str
    chunks: Iterable[str]
    rows: int = 0


def csv_file(name: str, columns: Iterable[str], rows: Iterable[Iterable[Any]], raw: bool = False):
    """A CSV download that a route returns: its rows are read while it is sent.

    UTF-8 is marked, and cells that a spreadsheet would run are defused, unless `raw`."""
    chunks = chain([] if raw else ["\ufeff"], write_csv(columns, rows, raw))
    return Download(name, "text/csv; charset=utf-8", chunks)


@dataclass(frozen=True)
class Refusal:
    """Elements with a status other than 200, such as a form that came back.

    `target`: the selector of what they replace, where the request named something else."""

    elements: Any
    status: int = 422
    target: str = ""


def snake(name: str) -> str:
    """WineBottle or "Wine bottle" → wine_bottle."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def line_of(source: bytes, name: str) -> int | None:
    """The line on which a class or function of this name is defined."""
    named = (n for n in ast.walk(ast.parse(source)) if getattr(n, "name", None) == name)
    return next((n.lineno for n in named if isinstance(n, ast.stmt)), None)


def so_many(count: int, what: str) -> str:
    """A count in words: "1 row", "1,200 rows"."""
    return f"{count:,} {what}{'s' * (count != 1)}"
