"""Pages of rows and a row added: CPU of the server process per request, and wall time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from bench.figures import Figure, interleaved, used
from bench.servers import Server, baseline, baseline_file, ours
from pipulate.apps.house import House
from pipulate.core.settings import read_settings

ROWS = 1_000
TASKS = "/default/tasks"


def fill(home: Path, rows: int = ROWS) -> None:
    """Tasks with the titles the baseline gives its own."""

    async def add() -> None:
        house = House(read_settings(str(home)))
        caller = house.caller("system")
        for n in range(rows):
            values = {"title": f"Seeded todo item number {n}", "done": n % 3 == 0}
            await house.tools.call("task_add", values, caller)
        await house.close()

    asyncio.run(add())


def every_page(server: Server, _: int) -> None:
    """A thousand rows the way each gives them: ours 20 pages."""
    for page in range(1, ROWS // 50 + 1):
        server.visit(f"{TASKS}?page={page}")


def works(server: Server, paged: bool) -> dict[str, tuple[int, Callable[[int], Any]]]:
    """name → (times, work) of one round."""
    address = TASKS if paged else "/list?n=50"
    many = partial(every_page, server) if paged else lambda _: server.visit(f"/list?n={ROWS}")
    add = TASKS if paged else "/"
    return {
        "50 rows": (20, lambda _: server.visit(address)),
        "50 rows, not compressed": (20, lambda _: server.ask(address)),
        f"{ROWS:,} rows": (1, many),
        "a row added": (50, lambda n: server.post(add, f"title=Added+row+{n}")),
    }


def round_of(server: Server, paged: bool) -> dict[str, float]:
    """All works of a server; milliseconds as "name, CPU" and "name, wall"."""
    found = {}
    for name, (times, work) in works(server, paged).items():
        spent = used(server.cpu, times, work)
        found |= {f"{name}, CPU": spent["cpu"], f"{name}, wall": spent["wall"]}
    return found


def run(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        fill(folder / "home")
        measures = {"ours": partial(round_of, stack.enter_context(ours(folder / "home")), True)}
        if baseline_file("fasthtml_todo.py"):
            server = stack.enter_context(baseline("fasthtml_todo.py", folder))
            measures["baseline"] = partial(round_of, server, False)
        interleaved(1, **measures)  # warm
        found = interleaved(rounds, **measures)
    base = found.get("baseline", {})
    bounds = {"50 rows, CPU": (0.5, 1.0), "a row added, CPU": (1.0, 1.5)}
    return [
        Figure(what, "ms", value, base.get(what), *bounds.get(what, (None, None)), judge="ratio")
        for what, value in found["ours"].items()
    ]
