"""Questions in SQL over a connection that cannot write, for the user and never for a model.

Four locks, each enough alone against a write: the file is opened read-only, query_only is set, the
authorizer lets through reading and functions without effects, and only one statement is run. It
also keeps secrets back: the table `secrets`, the values of `store`.
"""

import functools
import itertools
import re
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from pipulate.core.problems import Problem, Refused

STEPS = 10_000  # of SQLite's machine, between two looks at the clock
INNOCUOUS = 0x200000  # SQLite's own mark of functions without effects beyond their answer
SEARCH = {"match", "bm25", "highlight", "snippet", "median", "percentile"}  # are so, without it
PRAGMAS = {"data_version", "foreign_key_list", "index_info", "index_list", "table_info"}
PRAGMAS |= {"table_list", "table_xinfo"}
HIDDEN = ("secrets", "sqlite_stat1", "sqlite_stat4")  # statistics keep samples of values
REMARK = re.compile(r"--[^\n]*|/\*.*?(\*/|\Z)", re.DOTALL)
LIMITS = {
    apsw.SQLITE_LIMIT_LENGTH: 50_000_000,  # bytes of one value
    apsw.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,  # long ones hold SQLite where no clock is looked at
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 200,
}


@dataclass(frozen=True)
class Answer:
    """Rows by column name (a repeated one is numbered); `more`: than were asked for."""

    columns: list[str]
    rows: list[dict[str, Any]]
    more: bool
    seconds: float


def ask(path: Path, sql: str, limit: int = 1_000, **how: Any) -> Answer:
    """The first rows that one SELECT gives; otherwise as `answer`."""
    started = time.monotonic()
    with closing(answer(path, sql, **how)) as lines:
        columns = unlike(next(lines))
        rows = [dict(zip(columns, line, strict=True)) for line in itertools.islice(lines, limit)]
        more = next(lines, None) is not None
    return Answer(columns, rows, more, time.monotonic() - started)


def answer(
    path: Path, sql: str, seconds: float = 5, values: Mapping[str, Any] | None = None
) -> Generator[tuple[Any, ...]]:
    """All that one SELECT gives, as it comes: the column names, then each row's values.

    `values` stand for :name in it. Raises Problem with SQLite's words and the place, Refused."""
    end = time.monotonic() + seconds
    heads: list[tuple[str, ...]] = []

    def once(cursor: apsw.Cursor, statement: str, _: Any) -> bool:
        if cursor.has_vdbe and not heads:
            if REMARK.sub("", sql[len(statement) :]).strip("; \t\r\n"):
                raise Problem("That is more than one statement.", "Run one at a time.")
            heads.append(tuple(column[0] for column in cursor.get_description()))
        return True

    db = _connect(path)
    try:
        db.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        db.exec_trace = once
        rows = db.execute(sql, values or {})
        if not heads:
            raise Problem("There is no query.", "Write one, such as SELECT * FROM profiles.")
        yield heads[0]
        yield from rows
    except (apsw.Error, KeyError, UnicodeError, ValueError) as error:
        raise _problem(error, sql, seconds) from None
    finally:
        db.close(force=True)


def _problem(error: Exception, sql: str, seconds: float) -> Problem:
    match error:
        case apsw.InterruptError():
            what = f"The query was stopped after {seconds:g} s."
            return Problem(what, "Ask for less: a WHERE, a LIMIT, an index.")
        case apsw.AuthError() | apsw.ReadOnlyError():
            what = f"That is not let through here ({error})."
            return Refused(what, "A query only reads, and no secrets.")
        case apsw.BindingsError() | KeyError():
            return Problem("A value is missing.", "Write it in place of the ? or :name.")
    place, at = "", getattr(error, "error_offset", -1)
    if at >= 0:
        lines = sql.encode()[:at].decode(errors="ignore").split("\n")
        place = f" (line {len(lines)}, column {len(lines[-1]) + 1})"
    return Problem(f"SQLite: {error}{place}.", "Change the query.")


def _connect(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(1_000)
    db.pragma("query_only", 1)
    db.pragma("trusted_schema", 0)
    for what, most in LIMITS.items():
        db.limit(what, most)
    db.authorizer = _judge
    return db


def _judge(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    match action:
        case apsw.SQLITE_SELECT | apsw.SQLITE_RECURSIVE:
            fine = True
        case apsw.SQLITE_FUNCTION:
            fine = second in _functions()
        case apsw.SQLITE_PRAGMA:
            fine = first in PRAGMAS
        case apsw.SQLITE_READ:
            fine = first not in HIDDEN and (first, second) != ("store", "value")
        case _:
            fine = False
    return apsw.SQLITE_OK if fine else apsw.SQLITE_DENY


@functools.cache
def _functions() -> set[str]:
    with closing(apsw.Connection(":memory:")) as db:
        sql = "SELECT name FROM pragma_function_list WHERE flags & ?"
        return {name for (name,) in db.execute(sql, [INNOCUOUS])} | SEARCH


def unlike(names: Iterable[str]) -> list[str]:
    """The names, a repeated one with its number: id, name, id 2."""
    made: list[str] = []
    for name in names:
        fresh = itertools.chain([name], (f"{name} {n}" for n in itertools.count(2)))
        made.append(next(f for f in fresh if f not in made))
    return made
