"""Rows: a table in, columns chosen, rows filtered, a column added, a chart drawn, a CSV out.

Rows go from step to step one by one: a million pass in little memory. A step that was left out
gives None, and the next one takes the rows from before it. A row for which an expression fails is
left out by the filter and gets an empty new cell; the step's log tells how many, and of the first.
"""

from collections import Counter
from inspect import Parameter
from itertools import islice
from typing import Annotated, Literal

from pipulate import Choices, File, Pipeline, Problem, read_sheet
from pipulate.plugins._expressions import number, worked_out

BARS, DIFFERENT = 30, 10_000  # bars drawn; different values that a chart counts

Where = Annotated[str, 'such as price > 10 and "sale" in title, or Unit_price < 5']
Formula = Annotated[str, "such as price * 1.2, or upper(title)"]
Question = Annotated[str, "to the model, about each row; it gives one of the answers"]

rows = Pipeline("Rows", "A table in; columns, a filter, a new column, a chart; a CSV out.")


@rows.step
def table(file: File):
    """Which table? A CSV file of any size, or JSON, XLSX, ODS."""
    sheet = read_sheet(file.path)
    first = [[*map(plain, cells)] for _, cells in islice(sheet.rows, 5)]
    sample = [dict(zip(sheet.columns, cells, strict=False)) for cells in first]
    return {"file": file, "columns": sheet.columns, "sample": sample}


@table.view
def draw_table(output):
    """The first rows."""
    from pipulate import DataTable

    return DataTable(output["sample"], output["columns"])


def plain(cell):
    """A cell; None where a row of JSON has none."""
    return None if cell is Parameter.empty else cell


def names(table):
    """The columns of the table."""
    return table["columns"]


@rows.step
def columns(table, job, keep: Annotated[list[str], Choices(names)] = names):
    """Which columns stay?"""
    sheet = read_sheet(table["file"].path)
    if not keep or {*keep} - {*sheet.columns}:
        raise Problem("No such column is left.", f"Choose of: {', '.join(sheet.columns)}.")
    places = [(name, sheet.columns.index(name)) for name in keep]
    for done, (_, cells) in enumerate(sheet.rows, 1):
        job.progress(done, 0, f"{done:,} rows")
        cells += [""] * (len(sheet.columns) - len(cells))
        yield {name: plain(cells[at]) for name, at in places}


@rows.step(optional=True)
def filtered(columns, job, where: Where = ""):
    """Which rows stay? Empty: all."""
    if not where.strip():
        return None
    return (row for row, value in worked_out(where, columns, job) if value)


@rows.step(optional=True)
def derived(
    columns,
    filtered,
    job,
    column: str = "",
    formula: Formula = "",
    question: Question = "",
    answers: list[str] = [],  # noqa: B006
):
    """Which column is added? By a formula, or by what the model answers. Empty: none."""
    if not (column or formula or question):
        return None
    if not column or bool(formula) == bool(question) or len(answers) < 2 * bool(question):
        what = "A new column needs a name, and a formula or a question with its answers."
        raise Problem(what, "Give a name and one of both; at least two answers.")
    last = latest(columns, filtered)
    if question:
        return ({**row, column: asked(job, question, answers, row)} for row in last)
    return ({**row, column: value} for row, value in worked_out(formula, last, job))


def asked(job, question, answers, row):
    """One of the answers, by the model."""
    about = "\n".join(f"{name}: {value}" for name, value in row.items())
    return job.model(f"{question}\n\nAbout this row of a table:\n{about}", Literal[*answers])


def latest(*outputs):
    """The last output that there is."""
    return [output for output in outputs if output is not None][-1]


def heads(columns, derived):
    """The columns there are now."""
    return [*(next(iter(derived or ()), None) or columns[0])]


Head = Annotated[str, Choices(heads)]


@rows.step(optional=True)
def chart(columns, filtered, derived, job, by: Head | None = None, total: Head | None = None):
    """By which column are bars drawn? They count rows, or add up another column. Empty: none."""
    if by is None:
        return None
    last, sums, odd = latest(columns, filtered, derived), Counter(), 0
    for done, row in enumerate(last, 1):
        job.progress(done, len(last), f"row {done:,}")
        value = number(row[total]) if total else 1
        if not isinstance(value, int | float):
            odd, value = odd + 1, 0
        sums[str(row[by])] += value
        if len(sums) > DIFFERENT:
            raise Problem(f"{by} has over {DIFFERENT:,} different values.", "Choose another one.")
    if odd:
        print(f"{odd:,} of {len(last):,} rows have no number in {total}: they count as 0")
    bars = [[label, round(value, 6)] for label, value in sums.most_common()]
    title = f"{total or 'Rows'} by {by}"
    return {"title": title, "by": by, "different": len(bars), "bars": bars[:BARS]}


@chart.view
def draw_chart(output):
    """The bars; sums below zero only as numbers."""
    from pipulate import BarChart, DataTable

    if output is None:
        return ()
    heads = output.get("by", "value"), output["title"]
    bars = [dict(zip(heads, bar, strict=True)) for bar in output["bars"]]
    return BarChart([b for b in output["bars"] if b[1] >= 0], output["title"]), DataTable(bars)


@rows.step(auto=True)
def result(columns, filtered, derived, job):
    """Writes a CSV that a spreadsheet can open without running anything in it."""
    last = latest(columns, filtered, derived)
    return {"rows": len(last), "file": job.csv("rows.csv", last, heads(columns, derived))}
