"""One measured figure beside its goal, and the table of all of them. Nothing here fails a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

HEADS = ("what", "ours", "baseline", "judged", "goal", "stop", "verdict")


@dataclass
class Figure:
    """What was measured, in `unit`. `judge`: what stands against goal and stop:

    "value" ours itself, "ratio" ours ÷ baseline, "over" ours − baseline."""

    what: str
    unit: str
    ours: float
    baseline: float | None = None
    goal: float | None = None
    stop: float | None = None
    judge: str = "value"

    @property
    def judged(self) -> float | None:
        """The number that goal and stop are about; None when the baseline is not here."""
        if self.judge == "value":
            return self.ours
        if not self.baseline:
            return None
        return self.ours / self.baseline if self.judge == "ratio" else self.ours - self.baseline

    @property
    def verdict(self) -> str:
        if self.goal is None or self.stop is None or self.judged is None:
            return ""
        if self.judged > self.stop:
            return "OVER STOP"
        return "over goal" if self.judged > self.goal else "ok"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "judged": self.judged, "verdict": self.verdict}

    def cells(self) -> tuple[str, ...]:
        sign = {"ratio": " ×", "over": f" {self.unit}", "value": f" {self.unit}"}[self.judge]
        missing = "not here" if self.judge != "value" else ""
        baseline = missing if self.baseline is None else f"{shown(self.baseline)} {self.unit}"
        judged = "" if self.judged is None or self.judge == "value" else shown(self.judged) + sign
        bounds = ("" if b is None else shown(b) + sign for b in (self.goal, self.stop))
        ours = f"{shown(self.ours)} {self.unit}"
        return self.what, ours, baseline, judged, *bounds, self.verdict


def shown(number: float) -> str:
    """Three digits that matter, whole numbers whole."""
    if abs(number) >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def table(figures: list[Figure]) -> str:
    """The figures as text in columns."""
    rows = [HEADS, *(figure.cells() for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(w) if n else cell.ljust(w) for n, (cell, w) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join(line.rstrip() for line in [lines[0], "-" * len(lines[0]), *lines[1:]])


def interleaved(rounds: int, **measures: Callable[[], dict[str, float]]) -> dict[str, Any]:
    """Medians by measure, taken in turn (A B A B …) so that a noisy minute hits all alike."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: medians(each) for name, each in found.items()}


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(row[key] for row in rows) for key in rows[0]}


def used(cpu: Callable[[], float], times: int, work: Callable[[int], Any]) -> dict[str, float]:
    """Milliseconds of CPU (of what `cpu` reads, in seconds) and of wall time per work(n)."""
    before, began = cpu(), time.perf_counter()
    for n in range(times):
        work(n)
    wall = time.perf_counter() - began
    return {"cpu": (cpu() - before) * 1000 / times, "wall": wall * 1000 / times}
