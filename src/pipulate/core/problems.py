"""What can go wrong, said so that somebody can act on it.

Problem             400  exit 1  what happened, what to do next
├── Invalid         422  exit 1  values that do not fit; .details["fields"] = {name: message}
├── Missing         404  exit 1  a row, run, file or page that is not there
├── Unknown         404  exit 2  a tool, option, app or pipeline nobody has
├── Conflict        409  exit 1  somebody else changed it; details hold "mine" and "theirs"
├── Locked          423  exit 1  a finished run refuses changes
├── Refused         403  exit 1  not allowed through this door
├── Busy            503  exit 1  the store or a limit says not now; nothing was saved
├── Broken          503  exit 1  the store cannot be used as it is; see backups
├── Confirm         409  exit 3  a person has to say yes first
├── NeedsApproval   202  exit 3  stored with its exact arguments; a click runs it
└── Waiting         202  exit 3  a run that needs input

Anything that is not a Problem is a fault of the program: it is logged under a short id.
"""

import difflib
from collections.abc import Iterable
from typing import Any


class Problem(Exception):
    """Something the user can act on. `status` is the HTTP code, `exit_code` the shell's."""

    status, exit_code = 400, 1
    stack: list[tuple[str, int]] = []  # of what was stopped: (file, line), innermost first

    def __init_subclass__(cls, status: int, exit_code: int = 1) -> None:
        cls.status, cls.exit_code = status, exit_code

    def __init__(self, what: str, next_step: str = "", **details: Any):
        self.what = what if what[-1:] in ".!?…:)" else f"{what}."
        self.next_step, self.details = next_step, details

    def __str__(self) -> str:
        return f"{self.what} {self.next_step}".strip()

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # all that a notebook shows of it

    def as_dict(self) -> dict[str, Any]:
        """For a tool's result: {"problem", "next_step", "kind", **details}."""
        kind = type(self).__name__.lower()
        return {"problem": self.what, "next_step": self.next_step, "kind": kind, **self.details}


class Invalid(Problem, status=422):
    """Values that do not fit; details["fields"] says why, by name."""


class Missing(Problem, status=404): ...


class Unknown(Problem, status=404, exit_code=2): ...


class Conflict(Problem, status=409): ...


class Locked(Problem, status=423): ...


class Refused(Problem, status=403): ...


class Busy(Problem, status=503): ...


class Broken(Problem, status=503): ...


class Confirm(Problem, status=409, exit_code=3): ...


class NeedsApproval(Problem, status=202, exit_code=3): ...


class Waiting(Problem, status=202, exit_code=3): ...


def from_dict(data: dict[str, Any]) -> Problem:
    """The Problem that `as_dict` described, for doors that speak to a server."""
    kinds = {kind.__name__.lower(): kind for kind in Problem.__subclasses__()}
    details = {"next_step": "", "kind": "", **data}
    kind = kinds.get(details.pop("kind"), Problem)
    return kind(details.pop("problem"), **details)


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence that names the most similar known name, or lists a few."""
    names = list(names)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names[:12])}." if names else ""
