"""A hundred thousand rows: pages beside Datasette on the same file, writes beside the hand-written

to-do with as many rows. CPU of the server process for each request, and wall time."""

from __future__ import annotations

import csv
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from bench.datasette import datasette, program
from bench.figures import Figure, interleaved, used
from bench.servers import Server, baseline, baseline_file, environment, ours

ROWS = 100_000
TIMES = 50  # requests of a round
APPS = '''
from datetime import date
from pipulate import CrudApp

class Sale(CrudApp):
    """What was sold."""
    title: str
    customer: str = ""
    amount: int = 0
    day: date | None = None
    paid: bool = False

class Todo(CrudApp):
    """As the baseline has it."""
    title: str
    done: bool = False
'''
EXPORT = "all rows exported"  # once a round
SALES, THEIRS = "/default/sales", "/pipulate/app_sales?_size=50"
PAGES = {  # name → (ours, Datasette)
    "first": ("", ""),
    "last": (f"?page={ROWS // 50}", f"&_next={ROWS - 50}"),
    "searched": ("?q=kettle+777", "&_search=kettle+777"),
    "filtered": ("?f.amount=%3E900", "&amount__gt=900"),
    "sorted": ("?sort=-amount", "&_sort_desc=amount"),
}


def sales() -> Iterator[tuple[Any, ...]]:
    """The rows: words repeat, as they do in life."""
    things = ("kettle", "lamp", "chair", "clock", "mirror")
    for n in range(1, ROWS + 1):
        day = f"20{n % 20 + 10}-{n % 12 + 1:02}-{n % 28 + 1:02}"
        paid = "true" if n % 3 else "false"
        yield f"Order {n} of a {things[n % 5]}", f"Customer {n % 997}", n * 7919 % 1000, day, paid


def write_csv(path: Path, head: str, rows: Iterator[tuple[Any, ...]]) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(head.split())
        out.writerows(rows)
    return path


def command(home: Path, *words: str) -> dict[str, float]:
    """Seconds of a `pipulate` command from start to end, its children included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    line = [sys.executable, "-m", "pipulate", *words, "--home", str(home)]
    with open(home / "said.txt", "w") as said:
        subprocess.run(line, check=True, env=environment({}), stdout=said)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return {"cpu": user + system, "wall": wall}


def fill(home: Path) -> dict[str, dict[str, float]]:
    """Both apps, filled and read by the shell; what an import and an export of sales took."""
    (home / "apps").mkdir(parents=True)
    (home / "apps" / "shop.py").write_text(APPS)
    todos = ((f"Seeded todo item number {n}", str(n % 3 == 0).lower()) for n in range(ROWS))
    file = write_csv(home / "todos.csv", "title done", todos)
    command(home, "import", "todos", str(file))
    file = write_csv(home / "sales.csv", "title customer amount day paid", sales())
    taken = command(home, "import", "sales", str(file))
    return {"import": taken, "export": command(home, "export", "sales")}


def for_datasette(home: Path, file: Path) -> Path:
    """A copy of the store, with the search table that Datasette's own manual advises."""
    db = sqlite3.connect(home / "pipulate.db")
    db.execute("VACUUM INTO ?", [str(file)])
    db.close()
    db = sqlite3.connect(file)
    options = "title, customer, content='app_sales', content_rowid='id'"
    db.execute(f"CREATE VIRTUAL TABLE advised_fts USING fts5({options})")
    db.execute("INSERT INTO advised_fts (advised_fts) VALUES ('rebuild')")
    db.commit()
    db.close()
    return file


def for_baseline(folder: Path) -> None:
    db = sqlite3.connect(folder / "todos.db")
    db.execute("CREATE TABLE todo (id INTEGER PRIMARY KEY, title TEXT, done INTEGER)")
    rows = ((f"Seeded todo item number {n}", n % 3 == 0) for n in range(ROWS))
    db.executemany("INSERT INTO todo (title, done) VALUES (?, ?)", rows)
    db.commit()
    db.close()


def patch(server: Server, n: int) -> None:
    """The boolean of a row turned over, as the page does it."""
    kind, done = "application/x-www-form-urlencoded", "true" if n % 2 else "false"
    more = {"content_type": kind, "hx_request": "true", "origin": server.url}
    server.ask("/default/todos/500", "PATCH", f"done={done}", **more)


Works = dict[str, Callable[[int], Any]]


def our_works(server: Server) -> Works:
    pages = {name: partial(server.ask, SALES + at) for name, (at, _) in PAGES.items()}
    reads: Works = {f"{name} page": lambda _, page=page: page() for name, page in pages.items()}
    export = {EXPORT: lambda _: server.ask(f"{SALES}/export?all=1&format=csv")}
    add = {"a row added": lambda n: server.post("/default/todos", f"title=Row+{n}")}
    return reads | export | add | {"a boolean turned": partial(patch, server)}


def datasette_works(server: Server) -> Works:
    pages = {name: partial(server.ask, THEIRS + at) for name, (_, at) in PAGES.items()}
    reads: Works = {f"{name} page": lambda _, page=page: page() for name, page in pages.items()}
    return reads | {EXPORT: lambda _: server.ask("/pipulate/app_sales.csv?_stream=on")}


def todo_works(server: Server) -> Works:
    return {
        "a row added": lambda n: server.post("/", f"title=Row+{n}"),
        "a boolean turned": lambda _: server.ask("/toggle/500"),
    }


def round_of(server: Server, works: Works) -> dict[str, float]:
    """Milliseconds as "name, CPU" and "name, wall"."""
    server.connection.close()  # the others' turn was long: it opens again by itself
    found = {}
    for name, work in works.items():
        spent = used(server.cpu, 1 if name == EXPORT else TIMES, work)
        found |= {f"{name}, CPU": spent["cpu"], f"{name}, wall": spent["wall"]}
    return found


def servers(stack: ExitStack, folder: Path) -> dict[str, Callable[[], dict[str, float]]]:
    """A round of each server that is here, by name."""
    mine = stack.enter_context(ours(folder / "home"))
    found = {"ours": partial(round_of, mine, our_works(mine))}
    if program():
        file = for_datasette(folder / "home", folder / "pipulate.db")
        server = stack.enter_context(datasette(file))
        found["datasette"] = partial(round_of, server, datasette_works(server))
    if baseline_file("fasthtml_todo.py"):
        for_baseline(folder)
        server = stack.enter_context(baseline("fasthtml_todo.py", folder))
        found["todo"] = partial(round_of, server, todo_works(server))
    return found


def run(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        taken = fill(folder / "home")
        measures = servers(stack, folder)
        interleaved(1, **measures)  # warm
        found = interleaved(rounds, **measures)
    base = found.get("datasette", {}) | found.get("todo", {})
    seconds = [
        Figure(f"{what} of {ROWS:,} rows, {kind}", "s", spent, None, *goal)
        for what, both in taken.items()
        for kind, spent in both.items()
        for goal in [(5.0, 10.0) if (what, kind) == ("import", "cpu") else ()]
    ]
    return [*(_figure(what, ms, base.get(what)) for what, ms in found["ours"].items()), *seconds]


def _figure(what: str, ours: float, theirs: float | None) -> Figure:
    bounds = (0.5, 1.0) if "page" in what else (1.0, 1.5)
    goal = bounds if "CPU" in what else ()
    return Figure(f"of {ROWS:,}: {what}", "ms", ours, theirs, *goal, judge="ratio")
