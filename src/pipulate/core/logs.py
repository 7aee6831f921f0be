"""The log file: rotated in the home, secrets redacted, a short id for every fault of ours."""

import logging
import re
import secrets
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pipulate.core.problems import Problem

NAMES = r"token|authorization|cookie|api[_-]?key|secret"
HIDDEN = re.compile(rf"(?i)((?:{NAMES})\W{{1,4}}(?:\w+ )?)[^\s&\"',;]+")


def redacted(text: str) -> str:
    """A text without the values that are named like secrets."""
    return HIDDEN.sub(r"\1…", text)


class Redacted(logging.Formatter):
    """The same of messages and of traces."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def open_log(folder: Path) -> None:
    """Send the program's log to folder/pipulate.log: 10 MB, five old ones kept."""
    handler = RotatingFileHandler(
        folder / "pipulate.log", maxBytes=10_000_000, backupCount=5, encoding="utf-8", delay=True
    )  # Windows moves no open file
    handler.setFormatter(Redacted("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for quiet in ("httpx2", "httpcore2", "mcp"):
        logging.getLogger(quiet).setLevel(logging.WARNING)


def log_fault(error: BaseException) -> str:
    """Log a fault with its trace; returns the id that the page shows."""
    reference = secrets.token_hex(3)
    logging.getLogger("pipulate").error("fault %s", reference, exc_info=error)
    return reference


def problem_of(error: BaseException) -> Problem:
    """What went wrong, as it may be told; a fault of ours is in the log."""
    if isinstance(error, Problem):
        return error
    what = f"Something went wrong here; reference {log_fault(error)} in the log."
    problem = Problem(what, "Look whether it was saved, then try again.")
    problem.status = 500
    return problem
