"""Cold start to the first page: from the new process to the last byte of what `/` leads to."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.figures import Figure, interleaved
from bench.servers import Server, baseline, baseline_file, ours


def first_page(start: Callable[[], Server]) -> dict[str, float]:
    """CPU and wall milliseconds of one start."""
    with start() as server:
        server.visit()
        return {"cpu": server.cpu() * 1000, "wall": (time.perf_counter() - server.began) * 1000}


def run(rounds: int) -> list[Figure]:
    """Starts on a home that exists, all modules compiled; one start more warms each up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measures = {"ours": partial(first_page, partial(ours, folder / "home"))}
        if baseline_file("fasthtml_todo.py"):
            start = partial(baseline, "fasthtml_todo.py", folder)
            measures["baseline"] = partial(first_page, start)
        interleaved(1, **measures)
        found = interleaved(rounds, **measures)
    base = found.get("baseline", {})
    return [
        Figure("cold start, CPU", "ms", found["ours"]["cpu"], base.get("cpu"), 1.3, 1.8, "ratio"),
        Figure("cold start, wall", "ms", found["ours"]["wall"], base.get("wall"), judge="ratio"),
    ]
