"""Expressions over the rows of a table, for pipelines: price > 10 and "sale" in title.

They call the columns by name (what no name can hold is _: "Unit price" is Unit_price), and text
that is a number counts as one, but for 007. They hold no dots, loops or text with holes, so that
none reaches beyond its row. Parsed once, worked out by simpleeval.
"""

import ast
import math
import operator
import re
from difflib import get_close_matches
from itertools import chain, islice
from keyword import iskeyword
from unicodedata import normalize

from pipulate import Problem

NUMBER = re.compile(
    r"\s*[-+]?((0|[1-9][0-9]{0,17})(\.[0-9]{0,30})?|\.[0-9]{1,30})(e[-+]?[0-9]{1,3})?\s*", re.I
)


def number(cell):
    """The number that a text is, else the cell as it is."""
    if not isinstance(cell, str) or not NUMBER.fullmatch(cell):
        return cell
    value = float(cell) if re.search("[.eE]", cell) else int(cell)
    return value if math.isfinite(value) else cell


def within(one, many):
    """Whether one is among many, or its text is part of another."""
    if isinstance(many, list | tuple | set):
        return number(one) in [number(each) for each in many]
    return str(one) in str(many)


def compared(compare):
    """A comparison for which "12" is 12."""
    return lambda a, b: compare(number(a), number(b))


OPERATORS = {getattr(ast, n): compared(getattr(operator, n.lower())) for n in ("Eq", "Lt", "Gt")}
OPERATORS |= {ast.NotEq: compared(operator.ne), ast.In: within}
OPERATORS |= {ast.LtE: compared(operator.le), ast.GtE: compared(operator.ge)}
OPERATORS |= {
    ast.NotIn: lambda one, many: not within(one, many),
    ast.Mod: lambda a, b: divmod(a, b)[1],  # no text: "%999999999d" % 1 is a gigabyte
    ast.Pow: lambda a, b: float(a) ** b,
}
FUNCTIONS = {f.__name__: f for f in (abs, float, int, len, max, min, round, str)} | {
    "lower": lambda text: str(text).lower(),
    "upper": lambda text: str(text).upper(),
    "strip": lambda text: str(text).strip(),
    "startswith": lambda text, start: str(text).startswith(str(start)),
    "endswith": lambda text, end: str(text).endswith(str(end)),
}
# What an expression is made of: no dots, no text with holes, no loops.
PARTS = (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call, ast.Constant)
PARTS += (ast.Name, ast.Subscript, ast.Slice, ast.Tuple, ast.List)


def named(column):
    """How an expression calls a column."""
    name = re.sub(r"\W+", "_", normalize("NFKC", column))
    return f"{name}_" if iskeyword(name) else name if name.isidentifier() else f"_{name}"


class Expression:
    """An expression over the columns of a table: parsed once, worked out for each row."""

    def __init__(self, text, columns):
        from simpleeval import DEFAULT_OPERATORS, EvalWithCompoundTypes

        self.columns = {named(c): c for c in reversed(columns)}
        self.tree, self.rows, self.failed, self.first = parsed(text), 0, 0, ""
        called = {node.func for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        for node in ast.walk(self.tree):
            check(node, FUNCTIONS if node in called else self.columns)
        names = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        self.used = {n: self.columns[n] for n in names if n in self.columns}
        about = {"operators": DEFAULT_OPERATORS | OPERATORS, "functions": {**FUNCTIONS}}
        self.work = EvalWithCompoundTypes(**about)

    def of(self, row):
        """The value for one row. Raises whatever goes wrong."""
        self.work.names = {name: number(row[column]) for name, column in self.used.items()}
        value = self.work.eval("", self.tree)
        if isinstance(value, int | float) and not abs(value) < 1e300:
            raise ValueError("the number is too large")
        if not isinstance(value, str | int | float | None):
            raise TypeError(f"it gives a {type(value).__name__}")
        return value

    def over(self, rows, job, total):
        """(row, value) for each; None for a value that there is not. Says how many failed."""
        for row in rows:
            self.rows += 1
            job.progress(self.rows, total, f"row {self.rows:,}")
            try:
                value = self.of(row)
            except Exception as error:
                value = self.fail(row, error)
            yield row, value
        if self.failed:
            print(f"{self.failed:,} of {self.rows:,} rows failed; the first: {self.first}")
        if self.failed == self.rows > 0:
            raise Problem(f"It fails for every row: {self.first}", "Change the expression.")

    def fail(self, row, error):
        """Count it, and keep the words of the first."""
        self.failed += 1
        cells = ", ".join(f"{column} is {row.get(column)!r:.40}" for column in self.used.values())
        self.first = self.first or f"row {self.rows:,}: {error} ({cells})"


def worked_out(text, rows, job):
    """(row, value of the expression) for each row, which may come from a pipe, one by one."""
    total, rows = len(rows) if hasattr(rows, "__len__") else 0, iter(rows)
    first = [*islice(rows, 1)]
    return Expression(text, [*first[0]]).over(chain(first, rows), job, total) if first else iter(())


def parsed(text):
    """The tree of an expression. Raises Problem with the place."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = getattr(error, "offset", 0) or len(text) + 1  # 0: at its end something is missing
        place = f"{getattr(error, 'msg', error)}, character {at}"
        advice = 'Write one such as: price > 10 and "sale" in title'
        raise Problem(f"The expression cannot be read ({place}).", advice) from None


def check(node, known):
    """Refuse what an expression cannot hold, and names that nobody has."""
    if isinstance(node, ast.expr) and not isinstance(node, PARTS):
        what = f"{type(node).__name__} is not possible (character {node.col_offset + 1})."
        raise Problem(what, "Use columns, numbers, text, + - * / and the functions.")
    if isinstance(node, ast.Name) and node.id not in known:
        kind = "function" if known is FUNCTIONS else "column"
        near = get_close_matches(node.id, known, 1)
        advice = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."[:300]
        raise Problem(f"There is no {kind} {node.id!r}.", advice)
