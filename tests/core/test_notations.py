"""Notations: a column tells how numbers, days and words are written, or that this is unclear."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from pipulate.core.notations import agreed, plain

COMMA, POINT = "decimal comma", "decimal point"
DAY, MONTH = "day first", "month first"


@pytest.mark.parametrize(
    ("kind", "texts", "ways"),
    [
        (Decimal, ["12,50", "3", "-1.234,5"], [COMMA]),
        (Decimal, ["1,234.50", "+12"], [POINT]),
        (Decimal, ["1,234", "2"], [POINT, COMMA]),
        (Decimal, ["1 234,50", "1\u202f000"], [COMMA]),
        (int, ["1'234"], [POINT]),
        (float, ["1.234", "5"], []),
        (float, ["12,50", "n/a"], []),
        (float, ["12,50", "1.5"], []),
        (float, ["1.23,4"], []),
        (float, ["1.234'567,8"], []),
        (int, ["1.234", "2"], [COMMA]),
        (int, ["1.5", "2"], []),
        (float, ["3.45%", "100%"], [POINT]),
        (float, ["12,5 %", "1\u202f%"], [COMMA]),
        (int, ["3%"], []),
        (date, ["31.12.2026", "1.2.2026"], [DAY]),
        (date, ["03.04.2026"], [DAY]),
        (date, ["31/12/2026", "03/04/2026"], [DAY]),
        (date, ["12/31/2026", "03/04/2026"], [MONTH]),
        (date, ["03/04/2026", "05-06-2026"], [DAY, MONTH]),
        (date, ["05/05/2026"], [DAY]),
        (date, ["31/12/2026", "12/31/2026"], []),
        (date, ["31/12/2026", "2026-01-31"], []),
        (date, ["31.12.26"], []),
        (datetime, ["31.12.2026 14:30"], [DAY]),
        (bool, ["ja", "Nein"], ["words for yes and no"]),
        (bool, ["OUI", "non", "true"], ["words for yes and no"]),
        (bool, ["yes", "FALSE", "1"], []),
        (bool, ["ja", "vielleicht"], []),
        (str, ["12,50"], []),
        (date, [], []),
    ],
)
def test_a_column_is_written_as_all_of_its_texts_agree(kind, texts, ways):
    assert agreed(kind, texts) == ways


@pytest.mark.parametrize(
    ("kind", "names", "text", "meant"),
    [
        (Decimal, [COMMA], " 1.234,50 ", "1234.50"),
        (date, [MONTH], "12/31/2026", "2026-12-31"),
        (datetime, [DAY], "1.2.2026 14:30", "2026-02-01 14:30"),
        (bool, ["words for yes and no"], "Sí", "yes"),
        (Decimal, [POINT, COMMA], "5", "5"),
        (Decimal, [COMMA], "-1.234,5 %", "-12.345"),
        (float, [POINT], "0.003%", "0.00003"),
        (date, [], "as it is", "as it is"),
    ],
)
def test_a_text_is_read_in_the_notation_of_its_column(kind, names, text, meant):
    assert plain(kind, names, text) == meant


def test_a_text_of_another_notation_or_an_unclear_one_is_refused():
    with pytest.raises(ValueError, match="not written with decimal comma"):
        plain(Decimal, [COMMA], "12.50")
    with pytest.raises(ValueError, match="day first or month first: say which"):
        plain(date, [DAY, MONTH], "03/04/2026")


@given(st.decimals(-(10**9), 10**9, places=2))
def test_what_is_written_elsewhere_is_exactly_what_it_was(number):
    there = f"{number:,.2f}".translate(str.maketrans(",.", ".,"))
    assert Decimal(plain(Decimal, [COMMA], there)) == number
    assert Decimal(plain(Decimal, [POINT], f"{number:,.2f}")) == number
