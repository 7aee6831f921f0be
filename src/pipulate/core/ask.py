"""Questions in SQL over a connection that cannot write, for the user and never for a model.

Four locks, each enough alone against a write: the file is opened read-only, query_only is set, the
authorizer lets through reading and functions without effects, and only one statement is run.
Secrets are behind the authorizer: the table `secrets`, the values of `store`.
"""

import functools
import itertools
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from pipulate.core.problems import Problem, Refused

ROWS, SECONDS = 1_000, 5.0
NONE: Mapping[str, Any] = {}
STEPS = 10_000  # of SQLite's machine, between two looks at the clock
LARGEST = 50_000_000  # bytes of one value
INNOCUOUS = 0x200000  # SQLite's own mark of functions without effects beyond their answer
SEARCH = {"match", "bm25", "highlight", "snippet", "median", "percentile"}  # are so, without it
PRAGMAS = {"data_version", "foreign_key_list", "index_info", "index_list", "table_info"}
PRAGMAS |= {"table_list", "table_xinfo"}
HIDDEN = ("secrets", "sqlite_stat1", "sqlite_stat4")  # statistics keep samples of values
REMARK = re.compile(r"--[^\n]*|/\*.*?(\*/|\Z)", re.DOTALL)
LIMITS = {
    apsw.SQLITE_LIMIT_LENGTH: LARGEST,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,  # long ones hold SQLite where no clock is looked at
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 200,
}


@dataclass(frozen=True)
class Answer:
    """Rows by column name (a repeated one is numbered); `more`: there were more than asked for."""

    columns: list[str]
    rows: list[dict[str, Any]]
    more: bool
    seconds: float


def ask(
    path: Path,
    sql: str,
    limit: int = ROWS,
    seconds: float = SECONDS,
    values: Mapping[str, Any] = NONE,
    stopped: Callable[[], bool] = lambda: False,
) -> Answer:
    """The first rows that one SELECT gives. `values` stand for :name in it; `stopped` is looked at

    often and ends it.

    Raises Problem with SQLite's own words and, in details, the line and column of the fault."""
    started = time.monotonic()
    with closing(answer(path, sql, seconds, values, stopped)) as lines:
        columns = _unlike(next(lines))
        rows = [dict(zip(columns, line, strict=True)) for line in itertools.islice(lines, limit)]
        more = next(lines, None) is not None
    return Answer(columns, rows, more, time.monotonic() - started)


def answer(
    path: Path,
    sql: str,
    seconds: float = SECONDS,
    values: Mapping[str, Any] = NONE,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[tuple[Any, ...]]:
    """All that one SELECT gives, as it comes: first the column names, then each row's values."""
    end = time.monotonic() + seconds
    heads: list[tuple[str, ...]] = []

    def once(cursor: apsw.Cursor, statement: str, bindings: Any) -> bool:
        if cursor.has_vdbe and not heads:
            if REMARK.sub("", sql[len(statement) :]).strip("; \t\r\n"):
                raise Problem("That is more than one statement.", "Run one at a time.")
            heads.append(tuple(column[0] for column in cursor.get_description()))
        return True

    db = _connect(path)
    try:
        db.set_progress_handler(lambda: stopped() or time.monotonic() > end, STEPS)
        db.exec_trace = once
        rows = db.execute(sql, values)
        if not heads:
            raise Problem("There is no query.", "Write one, such as SELECT * FROM profiles.")
        yield heads[0]
        yield from rows
    except apsw.InterruptError:
        what = "The query was stopped" + ("" if stopped() else f" after {seconds:g} s")
        raise Problem(f"{what}.", "Ask for less: a WHERE, a LIMIT, an index.") from None
    except (apsw.AuthError, apsw.ReadOnlyError) as error:
        what = f"That is not let through here ({error})."
        raise Refused(what, "A query only reads, and no secrets.") from None
    except (apsw.BindingsError, KeyError):
        raise Problem("A value is missing.", "Write it in place of the ? or :name.") from None
    except (apsw.Error, UnicodeError, ValueError) as error:
        raise _problem(error, sql) from None
    finally:
        db.close(force=True)


def _connect(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(1_000)
    functions = _functions()
    for name, value in (("query_only", 1), ("trusted_schema", 0)):
        db.pragma(name, value)
    for what, most in LIMITS.items():
        db.limit(what, most)

    def judge(action: int, first: str | None, second: str | None, *where: str | None) -> int:
        fine = action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE)
        if action == apsw.SQLITE_FUNCTION:
            fine = second in functions
        elif action == apsw.SQLITE_PRAGMA:
            fine = first in PRAGMAS
        elif action == apsw.SQLITE_READ:
            fine = first not in HIDDEN and (first, second) != ("store", "value")
        return apsw.SQLITE_OK if fine else apsw.SQLITE_DENY

    db.authorizer = judge
    return db


@functools.cache
def _functions() -> set[str]:
    with closing(apsw.Connection(":memory:")) as db:
        sql = "SELECT name FROM pragma_function_list WHERE flags & ?"
        return {name for (name,) in db.execute(sql, [INNOCUOUS])} | SEARCH


def _problem(error: Exception, sql: str) -> Problem:
    """SQLite's words and, where it tells, the place in the text."""
    at = getattr(error, "error_offset", -1)
    if at is None or at < 0:
        return Problem(f"SQLite: {error}.", "Change the query.")
    before = sql.encode()[:at].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    what = f"SQLite: {error} (line {line}, column {column})."
    return Problem(what, "Change the query there.", line=line, column=column)


def _unlike(names: tuple[str, ...]) -> list[str]:
    """The names, a repeated one with its number: id, name, id 2."""
    made: dict[str, None] = {}
    for name in names:
        fresh = (f"{name} {n}" if n > 1 else name for n in itertools.count(1))
        made[next(f for f in fresh if f not in made)] = None
    return list(made)
