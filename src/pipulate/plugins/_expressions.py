"""Expressions over the rows of a table, for pipelines: price > 10 and "sale" in title.

They call the columns by name (what no name can hold is _: "Unit price" is Unit_price), and text
that is a number counts as one, but for 007. They hold no dots, loops or text with holes, so that
none reaches beyond its row.
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
    r"\s*[-+]?((0|[1-9][0-9]{0,17})(\.[0-9]{0,30})?|\.[0-9]{1,30})(e[-+]?[0-9]{1,3}|\s?%)?\s*", re.I
)


def number(cell):
    """The number that a text is, else what it is; 3.48% is 0.0348."""
    if not isinstance(cell, str) or not NUMBER.fullmatch(cell):
        return cell
    cell = re.sub(r"\s?%", "e-2", cell)
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


def of_text(method):
    """A method of str that takes anything for text."""
    return lambda *given: method(*map(str, given))


COMPARED = {"Eq": "eq", "NotEq": "ne", "Lt": "lt", "LtE": "le", "Gt": "gt", "GtE": "ge"}
OPERATORS = {getattr(ast, n): compared(getattr(operator, o)) for n, o in COMPARED.items()} | {
    ast.In: within,
    ast.NotIn: lambda one, many: not within(one, many),
    ast.Mod: lambda a, b: divmod(a, b)[1],  # no text: "%999999999d" % 1 is a gigabyte
    ast.Pow: lambda a, b: float(a) ** b,
}
FUNCTIONS = {f.__name__: f for f in (abs, float, int, len, max, min, round, str)}
FUNCTIONS |= {f.__name__: of_text(f) for f in (str.lower, str.upper, str.strip)}
FUNCTIONS |= {f.__name__: of_text(f) for f in (str.startswith, str.endswith)}
PARTS = (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call, ast.Constant)
PARTS += (ast.Name, ast.Subscript, ast.Slice, ast.Tuple, ast.List)


def named(column):
    """The name of a column in expressions."""
    name = re.sub(r"\W+", "_", normalize("NFKC", column))
    name = "".join(c if f"_{c}".isidentifier() else "_" for c in name)  # ❶ is a word for re
    return f"{name}_" if iskeyword(name) else name if name.isidentifier() else f"_{name}"


class Expression:
    """An expression over the columns of a table: parsed once, worked out for each row."""

    def __init__(self, text, columns):
        from simpleeval import DEFAULT_OPERATORS, EvalWithCompoundTypes

        self.columns, self.tree = {named(c): c for c in reversed(columns)}, parsed(text)
        nodes = [*ast.walk(self.tree)]
        called = {node.func for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            check(node, FUNCTIONS if node in called else self.columns)
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
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
        done, faults, first = 0, 0, ""
        for done, row in enumerate(rows, 1):
            job.progress(done, total, f"row {done:,}")
            try:
                value = self.of(row)
            except Exception as error:
                value, faults = None, faults + 1
                cells = ", ".join(f"{c} is {row.get(c)!r:.40}" for c in self.used.values())
                first = first or f"row {done:,}: {error} ({cells})"
            yield row, value
        if faults:
            print(f"{faults:,} of {done:,} rows failed; the first: {first}")
        if faults == done > 0:
            raise Problem(f"It fails for every row: {first}", "Change the expression.")


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
    """Refuse what an expression cannot hold, and names that nobody has. Raises Problem."""
    if isinstance(node, ast.expr) and not isinstance(node, PARTS):
        what = f"{type(node).__name__} is not possible (character {node.col_offset + 1})."
        raise Problem(what, "Use columns, numbers, text, + - * / and the functions.")
    if isinstance(node, ast.Name) and node.id not in known:
        kind = "function" if known is FUNCTIONS else "column"
        near = [f"Did you mean {one!r}?" for one in get_close_matches(node.id, known, 1)]
        advice = (near or [f"Known: {', '.join(known)}."[:300]])[0]
        raise Problem(f"There is no {kind} {node.id!r}.", advice)
