"""A million links measured: the steps called plainly, the whole of `pipulate run links`, and an

export of Botify from the downloaded file to the node table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.doc_links import made_links
from bench.figures import Figure, interleaved
from bench.servers import ROOT, environment

LONGEST = 60  # seconds one pass may take


def plainly(path: Path, what: str = "measure") -> dict[str, float]:
    """CPU seconds and peak MB, as bench/doc_links.py says them of its own process."""
    command = [sys.executable, str(ROOT / "bench" / "doc_links.py"), what, str(path)]
    env = environment({})
    text = subprocess.check_output(command, env=env, text=True, timeout=LONGEST)
    found = dict(re.findall(r"^(cpu_seconds|peak_mb)\s+(\S+)", text, re.MULTILINE))
    return {"cpu": float(found["cpu_seconds"]), "peak": float(found["peak_mb"])}


def by_shell(path: Path, home: Path) -> dict[str, float]:
    """The same through the command line: CPU of all its processes, peak MB of the largest."""
    words = [f"csv={path}", "origin=source", "target=target", 'start:=""']
    command = [sys.executable, "-m", "pipulate", "run", "links", *words, "--home", str(home)]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, "--json"], env=environment({}), stdout=said, stderr=said
        )
        _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            raise RuntimeError(f"pipulate run links ended with {said.read()[-500:]!r}")
    peak = spent.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    wall = time.perf_counter() - began
    return {"cpu": spent.ru_utime + spent.ru_stime, "peak": peak, "wall": wall}


def small(path: Path) -> Path:
    """A file of a hundred links beside the large one."""
    made_links(path.with_name("small.csv"), 10, 100)
    return path.with_name("small.csv")


def run(rounds: int) -> list[Figure]:
    """At most two rounds: each pass takes seconds."""
    with tempfile.TemporaryDirectory() as name:
        path, home = Path(name) / "links.csv", Path(name) / "home"
        made_links(path)
        made_links(export := Path(name) / "export.csv.gz")
        by_shell(small(path), home)  # modules compiled
        measures: dict[str, Callable[[], dict[str, float]]] = {
            "plain": lambda: plainly(path),
            "shell": lambda: by_shell(path, home),
            "export": lambda: plainly(export, "export"),
        }
        found = interleaved(min(rounds, 2), **measures)
    plain, shell, load = found["plain"], found["shell"], found["export"]
    return [
        Figure("1M links, steps alone, CPU", "s", plain["cpu"], None, 2.5, 5),
        Figure("1M links, steps alone, peak", "MB", plain["peak"], None, 250, 600),
        Figure("1M links, pipulate run, CPU", "s", shell["cpu"], None, 2.5, 5),
        Figure("1M links, pipulate run, peak", "MB", shell["peak"], None, 250, 600),
        Figure("1M links, pipulate run, wall", "s", shell["wall"]),
        Figure("1M links of an export, CPU", "s", load["cpu"], None, 3, 6),
        Figure("1M links of an export, peak", "MB", load["peak"], None, 400, 600),
    ]
