"""Steps as a pipe: a million rows through `pipulate step --jsonl`, beside plain Python and jq; what

an empty step costs on the page and in the shell; a thousand runs listed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.figures import Figure, interleaved, medians
from bench.servers import Server, environment, ours

ROWS, RUNS, STEPS = 1_000_000, 1_000, 101
PIPELINES = """
from pipulate import Pipeline

pipe, one, many = Pipeline("Pipe"), Pipeline("One"), Pipeline("Many")


@pipe.step
def rows(n: int):
    for i in range(n):
        yield {"id": i, "name": f"row {i}", "price": i / 2, "tags": ["a", "b"]}


@pipe.step
def cheap(rows, most: float):
    for row in rows:
        if row["price"] <= most:
            yield {"id": row["id"], "total": row["price"] * 2}


@one.step
def empty():
    return 1


for number in range(101):
    def step():
        return 1
    step.__name__ = f"step{number}"
    many.step(step)
"""
PLAIN = """
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    if row["price"] <= 1e9:
        kept = {"id": row["id"], "total": row["price"] * 2}
        print(json.dumps(kept, ensure_ascii=False, separators=(",", ":")))
"""
JQ = "select(.price <= 1e9) | {id, total: (.price * 2)}"
PIPULATE = [sys.executable, "-m", "pipulate"]


def row(i: int) -> str:
    return json.dumps({"id": i, "name": f"row {i}", "price": i / 2, "tags": ["a", "b"]}) + "\n"


def spent(command: list[str], source: Path | None = None) -> dict[str, float]:
    """CPU and wall seconds and peak MB of a command that reads a file and whose output goes."""
    began = time.perf_counter()
    with open(source or os.devnull) as stdin, tempfile.TemporaryFile() as said:
        quiet = {"stdin": stdin, "stdout": subprocess.DEVNULL, "stderr": said}
        process = subprocess.Popen(command, env=environment({}), **quiet)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            raise RuntimeError(f"{command} ended with {said.read()[-500:]!r}")
    wall = time.perf_counter() - began
    return {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "peak": used.ru_maxrss / 1024}


def by_page(server: Server, number: int) -> dict[str, float]:
    """Wall milliseconds from the click on Run until the page of the run shows the step done."""
    began = time.perf_counter()
    server.post(f"/default/one/{number}/empty", "")
    while b'class="step done"' not in server.ask(f"/default/one/{number}"):
        if time.perf_counter() - began > 10:
            raise RuntimeError("The step was not done within 10 s.")
    return {"wall": (time.perf_counter() - began) * 1000}


def listed(server: Server, home: Path) -> list[Figure]:
    """The figures that need a server; a thousand runs are made first."""
    for _ in range(RUNS):
        server.post("/default/one", "")
    command = [*PIPULATE, "runs", "--json", "--home", str(home)]
    last = json.loads(subprocess.check_output(command, env=environment({})))[0]["id"]
    page = medians([by_page(server, number) for number in range(last - 20, last)])
    began, cpu = time.perf_counter(), server.cpu()
    for _ in range(10):
        server.ask("/default/one")
    walls, cpus = (time.perf_counter() - began) * 100, (server.cpu() - cpu) * 100
    shell = spent(command)
    return [
        Figure("an empty step by the page, wall", "ms", page["wall"]),
        Figure(f"first page of {RUNS:,} runs, CPU", "ms", cpus),
        Figure(f"first page of {RUNS:,} runs, wall", "ms", walls),
        Figure(f"pipulate runs, of {RUNS:,}, wall", "ms", shell["wall"] * 1000),
    ]


def run(rounds: int) -> list[Figure]:
    """At most two rounds of the million rows: each takes seconds."""
    with tempfile.TemporaryDirectory() as name:
        home, rows = Path(name) / "home", Path(name) / "rows.jsonl"
        (home / "apps").mkdir(parents=True)
        (home / "apps" / "pipelines.py").write_text(PIPELINES)
        with rows.open("w") as file:  # row by row: a child's peak begins with ours
            file.writelines(map(row, range(ROWS)))
        at = ["--home", str(home)]
        step = [*PIPULATE, "step", "pipe.cheap", "most=1e9", "--jsonl", *at]
        spent(step)  # modules compiled
        measures: dict[str, Callable[[], dict[str, float]]] = {
            "ours": partial(spent, step, rows),
            "plain": partial(spent, [sys.executable, "-c", PLAIN], rows),
        }
        if shutil.which("jq"):
            measures["jq"] = partial(spent, ["jq", "-c", JQ], rows)
        found = interleaved(min(rounds, 2), **measures)
        shell = {n: partial(spent, [*PIPULATE, "run", n, *at]) for n in ("one", "many")}
        interleaved(1, **shell)
        runs = interleaved(rounds, **shell)
        with ours(home) as server:
            more = listed(server, home)
    mine, plain, jq = found["ours"], found["plain"], found.get("jq", {})
    steps = STEPS - 1
    each = {key: (runs["many"][key] - runs["one"][key]) * 1000 / steps for key in ("cpu", "wall")}
    return [
        Figure("1M rows through step, CPU ÷ Python", "s", mine["cpu"], plain["cpu"], judge="ratio"),
        Figure("1M rows through step, CPU ÷ jq", "s", mine["cpu"], jq.get("cpu"), judge="ratio"),
        Figure("1M rows through step, rows/s", "", ROWS / mine["wall"], ROWS / plain["wall"]),
        Figure("1M rows through jq, rows/s", "", ROWS / jq["wall"] if jq else 0),
        Figure("1M rows through step, peak", "MB", mine["peak"], plain["peak"]),
        Figure("an empty step by the shell, CPU", "ms", each["cpu"]),
        Figure("an empty step by the shell, wall", "ms", each["wall"]),
        *more,
    ]
