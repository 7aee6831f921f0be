"""Measure: `python -m bench [name …] [--json FILE] [--rounds N]`; names: see MEASURES.

Baselines are read from the folder PIPULATE_BASELINES; without them their columns say "not here".
CPU time decides, wall time is told beside it. Linux only. Everything takes three minutes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from bench.figures import Figure, table

MEASURES = ("start", "pages", "rows", "memory", "bytes", "tokens", "prompt", "links", "pipe")
MEASURES += ("graphs",)
LATEST = Path(__file__).parent / "results" / "latest.json"
BUDGET = 180  # seconds after which no further measure begins


def measure(names: list[str], rounds: int) -> list[Figure]:
    """All figures of the named measures, one measure after another."""
    figures, began = [], time.monotonic()
    for name in names:
        if time.monotonic() - began > BUDGET:
            print(f"{name} is left out: {BUDGET} s are over.", file=sys.stderr)
            continue
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"bench.{name}").run(rounds)
    return figures


def save(path: Path, figures: list[Figure], rounds: int) -> None:
    """The figures as JSON, with what they were measured on."""
    about = {"at_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rounds": rounds}
    about |= {"python": platform.python_version(), "system": platform.platform()}
    about |= {"cpus": os.cpu_count(), "figures": [figure.as_dict() for figure in figures]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(MEASURES))
    parser.add_argument("--json", type=Path, default=LATEST, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()
    if unknown := set(said.names) - set(MEASURES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if sys.platform != "linux":
        parser.error("CPU and memory of another process are read the Linux way only.")
    figures = measure(said.names or list(MEASURES), max(1, said.rounds))
    save(said.json, figures, said.rounds)
    print(table(figures))


if __name__ == "__main__":
    main()
