"""Expressions over rows: what they say, what they cannot say, and rows for which they fail."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipulate import Problem
from pipulate.apps.job import JobHandle
from pipulate.plugins._expressions import FUNCTIONS, Expression, named, number, worked_out

ROW = {
    "title": "Big Sale",
    "price": "12.50",
    "stock": "3",
    "code": "007",
    "year": "2001",
    "none": "",
    "Unit price": "4",
    "from": "Rome",
    "2nd": "b",
}


def of(text, row=ROW):
    return Expression(text, [*row]).of(row)


@pytest.fixture
def job(tmp_path):
    return JobHandle(lambda said: None, lambda *need: None, tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("price * 2", 25.0),
        ("stock + 1", 4),
        ('price > 10 and "sale" in lower(title)', True),
        ('price > 10 and "sale" in title', False),
        ("Unit_price * stock", 12),
        ('from_ == "Rome" and _2nd == "b"', True),
        ('code == "007" and code != 7', True),
        ('year == "2001" and year == 2001 and "20" in year', True),
        ('stock in (1, "3") and stock not in [4, 5]', True),
        ("round(price / 3, 2)", 4.17),
        ("max(stock, 5) - min(stock, 5) + abs(-1)", 3),
        ('"many" if stock > 2 else "few"', "many"),
        ('upper(title[:3]) + "-" + str(stock)', "BIG-3"),
        ('int("5") + float("1.5") + len(title)', 14.5),
        ('strip("  x ") + "!"', "x!"),
        ('startswith(title, "Big") and endswith(title, "Sale")', True),
        ('startswith(year, "20")', True),
        ("1 < stock < 5", True),
        ("7 % 4 + 2 ** 3", 11.0),
        ('none == ""', True),
        ("none == None", False),
        (" price ", 12.5),
        ("'é' in 'café'", True),
    ],
)
def test_what_an_expression_gives(text, value):
    assert of(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("price >", "character 8"),
        ('"sale in title', "character 1"),
        ("price = 3", "cannot be read"),
        ("price; stock", "character 6"),
        ("(" * 300 + "1" + ")" * 300, "cannot be read"),
        ("pirce > 10", "no column 'pirce'. Did you mean 'price'?"),
        ("xyz > 10", "no column 'xyz'. Known: "),
        ("len", "no column 'len'"),
        ("size(title)", "no function 'size'"),
        ("lowre(title)", "Did you mean 'lower'?"),
        ("price(3)", "no function 'price'"),
        ("title.upper()", "Attribute is not possible (character 1)"),
        ("stock + title.__class__", "Attribute is not possible (character 9)"),
        ("[x for x in title]", "ListComp is not possible"),
        ("lambda: 1", "Lambda is not possible"),
        ('f"{price:99999999}"', "JoinedStr is not possible"),
        ("{1: 2}", "Dict is not possible"),
        ("(x := 3)", "NamedExpr is not possible"),
        ("max(*title)", "Starred is not possible"),
        ("(lambda: 1)()", "Lambda is not possible"),
        ("__import__('os')", "no function '__import__'"),
        ("open('/etc/passwd')", "no function 'open'"),
    ],
)
def test_what_an_expression_cannot_say_is_refused_before_any_row(text, said):
    with pytest.raises(Problem) as caught:
        Expression(text, [*ROW])
    assert said in str(caught.value) and caught.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        *("none > 3", "title * stock * 99999", "1 / 0", "int(title)", "9 ** 9 ** 9"),
        *("(-8) ** 0.5", "1e308 * 10", '"%999999999d" % 1', "(1, 2)", "1 << 99999999"),
        *("title[99]", "title < 3", "9" * 200 + " ** 3", "2 ** 5000", "-title"),
    ],
)  # fmt: skip
def test_a_row_for_which_it_fails_fails_soon(text):
    started = time.monotonic()
    expression = Expression(text, [*ROW])
    with pytest.raises(Exception):  # noqa: B017
        expression.of(ROW)
    assert time.monotonic() - started < 1


def test_rows_that_fail_are_counted_and_the_first_is_told_with_its_cells(job, capsys):
    rows = [{"price": cell} for cell in ("1", "n/a", "", "4")]
    found = worked_out("price * 2.5", rows, job)
    assert [value for _, value in found] == [2.5, None, None, 10.0]
    said = capsys.readouterr().out
    assert said.startswith("2 of 4 rows failed; the first: row 2: ") and "price is 'n/a'" in said


def test_given_an_expression_that_fails_for_every_row_then_it_is_a_problem(job):
    rows = [{"price": "n/a"}] * 3
    with pytest.raises(Problem, match=r"every row: row 1: .*price is 'n/a'"):
        list(worked_out("price + 1", rows, job))


def test_a_row_that_lacks_a_column_fails_alone(job, capsys):
    assert [v for _, v in worked_out("n + 1", [{"n": 1}, {}], job)] == [2, None]
    assert "row 2: 'n' (n is None)" in capsys.readouterr().out


def test_no_rows_are_no_fault(job):
    assert list(worked_out("price + 1", [], job)) == []


def test_rows_from_a_pipe_are_taken_one_by_one(job):
    taken = []
    rows = (taken.append(n) or {"n": n} for n in range(1_000_000))
    found = worked_out("n * 2", rows, job)
    assert [next(found)[1], next(found)[1]] == [0, 2] and taken == [0, 1]


# -- numbers and names -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12), (" -3 ", -3), ("+1.50", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0),
        ("3.48%", 0.0348), (" -12 % ", -0.12), ("0%", 0.0), ("1e3%", "1e3%"), ("%", "%"),
        ("0", 0), ("0.0", 0.0), ("007", "007"), ("1,5", "1,5"), ("1_000", "1_000"), ("٣", "٣"),
        ("inf", "inf"), ("nan", "nan"), ("1e999", "1e999"), ("", ""), (".", "."), ("-", "-"),
        ("9" * 30, "9" * 30), (None, None), (True, True), ([1], [1]),
    ],
)  # fmt: skip
def test_a_text_that_is_a_number_is_that_number(cell, value):
    assert number(cell) == value and type(number(cell)) is type(value)


@given(st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_is_written_as_usual_is_read(value):
    read = number(str(value))
    assert read == value


@given(st.text(min_size=1))
@example("class")
@example("ﬁ")
@example("a b-c")
@example("❶")
def test_every_column_has_a_name_in_expressions(column):
    row = {column: "3"}
    assert named(column).isidentifier()
    assert of(f"{named(column)} + 1", row) == 4 or named(column) in FUNCTIONS


PIECES = "price + ( ) [ ] 'a' 1 . , in not and lower : * ** if else lambda"


@given(st.text() | st.lists(st.sampled_from(PIECES.split())).map(" ".join))
def test_any_text_is_an_expression_or_a_problem_that_says_why(text):
    try:
        expression = Expression(text, ["price"])
    except Problem as problem:
        assert problem.what and problem.next_step
        return
    assert [*expression.columns] == ["price"]
