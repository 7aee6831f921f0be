"""A million links to a node table: Links beside networkx, pandas with scipy, and duckdb.

All read the same CSV, write the same columns, and have to count the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.beside import python_with
from bench.doc_links import made_links
from bench.figures import Figure
from bench.servers import ROOT, environment

PACKAGES = ("networkx==3.6.1", "pandas==3.1.1", "scipy==1.17.1", "duckdb==2.0.1")
MEANS = ("networkx", "scipy", "duckdb")
SAME = ("pages", "links", "components", "max_depth", "unreached")


def measured(command: list[str]) -> tuple[str, dict[str, float]]:
    """(what a command says, its CPU seconds and peak MB)."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment({}), stdout=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}.")
        return said.read(), {"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}


def run(_: int) -> list[Figure]:
    """Each once, for one takes a quarter of a minute; nothing where they cannot be installed."""
    python = python_with("graphs", *PACKAGES)
    with tempfile.TemporaryDirectory() as name:
        links, nodes = Path(name) / "links.csv", Path(name) / "nodes.csv"
        made_links(links)
        own = [sys.executable, str(ROOT / "bench" / "doc_links.py"), "measure", str(links)]
        text, ours = measured(own)
        said = dict(line.split(None, 1) for line in text.splitlines())
        found = {}
        for means in MEANS if python else ():
            script = [str(python), str(ROOT / "bench" / "node_tables.py"), means]
            text, found[means] = measured([*script, str(links), str(nodes), said["start"]])
            theirs = json.loads(text)
            if wrong := [key for key in SAME if theirs[key] != int(said[key])]:
                raise RuntimeError(f"{means} counts other {', '.join(wrong)}: {theirs}, {said}")
    return [
        Figure(
            f"1M links to a table, {name} ÷ {means}", unit, ours[key], theirs[key], judge="ratio"
        )
        for means, theirs in found.items()
        for key, name, unit in (("cpu", "CPU", "s"), ("peak", "peak", "MB"))
    ]
