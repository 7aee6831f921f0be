"""What can go wrong, said so that somebody can act on it.

Problem           400 exit 1
├── Invalid       422 exit 1
├── Missing       404 exit 1
├── Unknown       404 exit 2
├── Conflict      409 exit 1
├── Locked        423 exit 1
├── Refused       403 exit 1
├── Busy          503 exit 1
├── Broken        503 exit 1
├── Confirm       409 exit 3
├── NeedsApproval 202 exit 3
└── Waiting       202 exit 3
"""

import difflib
import traceback
from collections.abc import Collection, Iterable
from typing import Any


class Problem(Exception):
    """What happened, and what to do next. `status` is the HTTP code, `exit_code` the shell's."""

    status, exit_code = 400, 1
    stack: list[traceback.FrameSummary] = []  # of what was stopped, innermost last

    def __init_subclass__(cls, status: int, exit_code: int = 1) -> None:
        cls.status, cls.exit_code = status, exit_code

    def __init__(self, what: str, next_step: str = "", **details: Any):
        self.what = what if what[-1:] in ".!?…:)" else f"{what}."
        self.next_step, self.details = next_step, details

    def __str__(self) -> str:
        stop = "." if self.what.endswith(")") and self.next_step else ""
        return f"{self.what}{stop} {self.next_step}".strip()

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # all that a notebook shows of it

    def as_dict(self) -> dict[str, Any]:
        """{"problem", "next_step", "kind", **details}"""
        kind = type(self).__name__.lower()
        return {"problem": self.what, "next_step": self.next_step, "kind": kind, **self.details}


class Invalid(Problem, status=422):
    """Values that do not fit; details["fields"] = {name: why}."""


class Missing(Problem, status=404):
    """A row, run, file or page is not there."""


class Unknown(Problem, status=404, exit_code=2):
    """A tool, option, app or pipeline nobody has."""


class Conflict(Problem, status=409):
    """Somebody else changed it; details hold "mine" and "theirs"."""


class Locked(Problem, status=423):
    """A finished run refuses changes."""


class Refused(Problem, status=403):
    """Not allowed through this door."""


class Busy(Problem, status=503):
    """The store or a limit says not now; nothing was saved."""


class Broken(Problem, status=503):
    """The store cannot be used as it is; see backups."""


class Confirm(Problem, status=409, exit_code=3):
    """A person has to say yes first."""


class NeedsApproval(Problem, status=202, exit_code=3):
    """Stored with its exact arguments; a click runs it."""


class Waiting(Problem, status=202, exit_code=3):
    """A run needs input."""


def from_dict(data: dict[str, Any]) -> Problem:
    """The Problem that `as_dict` described."""
    kinds = {kind.__name__.lower(): kind for kind in Problem.__subclasses__()}
    details = {"kind": "", **data}
    kind = kinds.get(details.pop("kind"), Problem)
    return kind(details.pop("problem"), **details)


def short(text: str, most: int = 80) -> str:
    """Its first characters, and a mark if there are more."""
    return text[:most] + "…" * (len(text) > most)


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence with the most similar known name, or a few."""
    names = list(names)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names[:12])}." if names else ""


def require(name: str, names: Collection[str], what: str, kind: type[Problem] = Unknown) -> None:
    """Raise that kind of Problem, with the nearest name, for one that is not among the names."""
    if name not in names:
        raise kind(what, nearest(name, names))
