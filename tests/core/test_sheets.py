"""Tables read whatever their kind, and written so that they come back the same."""

import codecs
import itertools
import json
import tempfile
import tracemalloc
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from pipulate.core import sheets
from pipulate.core.kinds import MISSING
from pipulate.core.problems import Problem
from pipulate.core.sheets import read_sheet, write_csv, write_json
from workbooks import workbook


@pytest.fixture
def saved(tmp_path):
    """saved(content, name): a file of that content."""

    def saving(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return saving


def cells(sheet):
    return [row for _, row in sheet.rows]


def read_text(text, **options):
    """The sheet of a file with this text, such as one that was pasted."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        sheet = read_sheet(Path(file.name), **options)
        sheet.rows = iter([*sheet.rows])
        return sheet


# -- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(saved, mark):
    sheet = read_sheet(saved(f"title{mark}price\nDune{mark}1.5\nEmma{mark}2\n"))
    assert sheet.columns == ["title", "price"]
    assert cells(sheet) == [["Dune", "1.5"], ["Emma", "2"]]


def test_the_path_may_be_plain_text(saved):
    assert cells(read_sheet(str(saved("a,b\n1,2\n")))) == [["1", "2"]]


@pytest.mark.parametrize("mark", [";", "|", ","])
def test_a_first_line_that_tells_excel_the_delimiter_is_no_row(saved, mark):
    sheet = read_sheet(saved(f"sep={mark}\r\ntitle{mark}n\r\nx{mark}1\r\n"))
    assert (sheet.columns, [*sheet.rows]) == (["title", "n"], [(3, ["x", "1"])])
    plain = read_sheet(saved("sep=x\na,b\n"), header=False)
    assert len([*plain.rows]) == 2, "what parts no columns is a value"


def test_decimal_commas_do_not_count_as_delimiters(saved):
    assert cells(read_sheet(saved("title;price\nDune;1,5\nEmma;2,5\n")))[0] == ["Dune", "1,5"]


def test_given_decimal_commas_in_every_row_then_semicolons_still_part_them():
    assert cells(read_text("Dune;12,50\nEmma;3,00", header=False))[0] == ["Dune", "12,50"]


def test_one_value_a_line_may_hold_commas():
    assert cells(read_text("title\nMilk, eggs\nBread")) == [["Milk, eggs"], ["Bread"]]
    assert cells(read_text("Milk, eggs\nBread", header=False)) == [["Milk, eggs"], ["Bread"]]
    assert cells(read_text("title, author\nDune, Herbert")) == [["Dune", " Herbert"]]


@pytest.mark.parametrize(
    "content",
    [
        "né,ß\nö,ü\n".encode(),
        codecs.BOM_UTF8 + "né,ß\nö,ü\n".encode(),
        "né,ß\nö,ü\n".encode("cp1252"),
        "né,ß\nö,ü\n".encode("utf-16"),
    ],
    ids=["utf-8", "with a mark", "from Windows", "utf-16"],
)
def test_the_encoding_is_found(saved, content):
    sheet = read_sheet(saved(content))
    assert (sheet.columns, cells(sheet)) == (["né", "ß"], [["ö", "ü"]])


def test_rows_are_numbered_as_a_spreadsheet_shows_them(saved):
    sheet = read_sheet(saved('a,b\n"two\nlines",1\n\n,\nlast,2\n'))
    assert list(sheet.rows) == [(2, ["two\nlines", "1"]), (5, ["last", "2"])]


def test_ragged_rows_come_as_they_are(saved):
    sheet = read_sheet(saved("a,b,\n1\n1,2,3\n1,2,,,\n"))
    assert sheet.columns == ["a", "b"]
    assert cells(sheet) == [["1"], ["1", "2", "3"], ["1", "2"]]


def test_headings_are_told_apart():
    sheet = read_text("title,title,,x\n1,2,3,4")
    assert sheet.columns == ["title", "title 2", "Column 3", "x"]


def test_without_a_heading_the_first_row_is_data():
    sheet = read_text("Dune\t1\nEmma\t2", header=False)
    assert sheet.columns == ["Column 1", "Column 2"]
    assert list(sheet.rows)[0] == (1, ["Dune", "1"])


def test_cells_pasted_from_a_spreadsheet_keep_their_line_breaks():
    sheet = read_text('title\tnote\r\nDune\t"two\nlines, ""quoted"""\r\n')
    assert cells(sheet) == [["Dune", 'two\nlines, "quoted"']]


def test_a_large_file_needs_little_memory(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("title,note\n")
        file.writelines(f"row {n},{'x' * 100}\n" for n in range(50_000))
    tracemalloc.start()
    assert sum(1 for _ in read_sheet(path).rows) == 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 5_000_000 > 2 * peak


# -- JSON --------------------------------------------------------------------------------------


def test_json_objects_are_rows_and_a_key_that_is_not_there_is_not_empty():
    sheet = read_text('[{"a": 1}, {"b": "x"}]')
    assert sheet.columns == ["a", "b"] and sheet.typed
    assert list(sheet.rows) == [(1, [1, MISSING]), (2, [MISSING, "x"])]


def test_csv_that_begins_with_a_bracket_is_csv():
    assert read_text("[a],b\n1,2").columns == ["[a]", "b"]


# -- workbooks ---------------------------------------------------------------------------------


def test_a_workbook_has_typed_cells(tmp_path):
    moment = datetime(2026, 1, 31, 14, 30)
    row = ["Dune", 3, 1.5, True, date(2026, 1, 31), moment, None]
    path = workbook(tmp_path / "t.xlsx", {"Books": [list("abcdefg"), row]})
    expected = ["Dune", 3, 1.5, True, "2026-01-31", "2026-01-31T14:30:00", ""]
    [(number, found)] = read_sheet(path).rows
    assert (number, found) == (2, expected)
    assert type(found[1]) is int


def test_of_several_sheets_the_first_with_rows_is_taken_or_the_one_named(tmp_path):
    rows = {"Empty": [], "Books": [["a"], ["1"]], "Films": [["b"], ["2"]]}
    path = workbook(tmp_path / "t.xlsx", rows)
    assert read_sheet(path).columns == ["a"]
    assert read_sheet(path).sheets == ["Empty", "Books", "Films"]
    assert read_sheet(path, "Films").columns == ["b"]
    with pytest.raises(Problem, match="no sheet 'Plays'.*Books, Films"):
        read_sheet(path, "Plays")


def test_a_workbook_that_unpacks_to_too_much_ends_its_own_process_only(tmp_path):
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c>'
    path = workbook(tmp_path / "far.xlsx", {"One": []}, sheet1=f"{far}</row>")
    assert path.stat().st_size < 5_000
    with pytest.raises(Problem, match="1 GB of memory"):
        read_sheet(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "UNPACKED", 1_000_000)
    path = workbook(tmp_path / "bomb.xlsx", {"One": []}, sheet1="<row/>" * 200_000)
    assert path.stat().st_size < 10_000
    with pytest.raises(Problem, match="1 GB of memory"):
        read_sheet(path)


# -- what cannot be read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "nothing in it"),
        (b"\n\n,,\n", "nothing in it"),
        (b"title,done\n", "heading but no rows"),
        (b"%PDF-1.4 \n1,2", "no table"),
        (b"<html><table>", "no table"),
        (b"a,b\n\0\0,1\n", "no table"),
        (b"PK\x03\x04broken", "cannot be read"),
        (b"x," * 1_000_000 + b"\n1\n", "1,000,000 columns"),
        (b'a,b\n1,"never closed' + b"\n2,3" * 3_000_000, "Row 2 cannot be read"),
        (b"a,b\n1," + b"x" * 11_000_000, "longer than"),
        (b"\xff\xfea", "no readable text"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_table_is_a_problem(saved, content, says):
    with pytest.raises(Problem, match=says):
        list(read_sheet(saved(content)).rows)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"a": 1}', "no JSON"),
        ("[1, 2]", "list of objects"),
        ("[]", "0 columns"),
        ('{"a": 1}', "list of objects"),
        ("[" * 100_000, "no JSON"),
        (r'[{"\ud800": 1}]', "cannot be shown"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_json_is_a_problem(saved, content, says):
    with pytest.raises(Problem, match=says):
        read_sheet(saved(content, "t.json"))


# -- out, and in again -------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [*"=+-@\t\r\n＝＋－＠", "'=", "''@"])
def test_what_a_spreadsheet_would_run_gets_a_quote_and_loses_it_again(lead):
    text = "".join(write_csv(["a", "b"], [[f"{lead}1+1", "x"]]))
    [[shown, _]] = cells(read_text(text, raw=True))
    assert shown == f"'{lead}1+1".replace("\r\n", "\n")
    assert cells(read_text(text)) == [[f"{lead}1+1", "x"]]
    [[plain, _]] = cells(
        read_text("".join(write_csv("ab", [[f"{lead}1+1", "x"]], raw=True)), raw=True)
    )
    assert plain == f"{lead}1+1"


def test_a_sum_in_a_workbook_is_the_amount_that_the_spreadsheet_shows(tmp_path):
    row = [0.1 + 0.2, 119.00000000000001, -1234.56, 1e-7]
    path = workbook(tmp_path / "t.xlsx", {"Sums": [list("abcd"), row]})
    assert [*map(repr, cells(read_sheet(path))[0])] == ["0.3", "119", "-1234.56", "1e-07"]


def test_numbers_stay_numbers():
    assert list(write_csv(["n"], [[-5], [1.5], [True], [None], ["'tis"]])) == [
        'n\r\n-5\r\n1.5\r\ntrue\r\n""\r\n\'tis\r\n'
    ]


def test_writing_streams():
    rows = ([n] for n in itertools.count())
    chunks = write_csv(["n"], rows)
    assert next(chunks).startswith("n\r\n0\r\n")
    assert next(rows) == [sheets.BATCH - 1]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
leads = st.sampled_from(["", "'", "''", "=", "'=", "\t", '"', "'\r", "＠"])
cell = st.builds("{}{}".format, leads, texts)
names = st.lists(st.text("abcdef_", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)


@st.composite
def tables(draw):
    """(columns, rows), none of them without any text."""
    columns = draw(names)
    row = st.lists(cell, min_size=len(columns), max_size=len(columns)).filter(any)
    return columns, draw(st.lists(row, min_size=1, max_size=40))


@given(tables(), st.booleans())
def test_csv_comes_back_the_same(tmp_path_factory, table, raw):
    columns, rows = table
    path = tmp_path_factory.getbasetemp() / "same.csv"
    path.write_bytes("".join(write_csv(columns, rows, raw)).encode())
    sheet = read_sheet(path, raw=raw)
    assert (sheet.columns, cells(sheet)) == (columns, rows)


json_cell = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
json_rows = st.lists(st.dictionaries(texts, json_cell, min_size=1), min_size=1)


@given(json_rows)
def test_json_comes_back_the_same(rows):
    rows = json.loads(json.dumps(rows).replace("Infinity", "0"))
    sheet = read_text("".join(write_json(rows)))
    found = [dict(zip(sheet.columns, row, strict=True)) for row in cells(sheet)]
    assert [{k: v for k, v in row.items() if v is not MISSING} for row in found] == rows


def test_no_rows_are_json_and_csv_too():
    assert json.loads("".join(write_json([]))) == []
    assert "".join(write_csv(["a"], [])) == "a\r\n"


def test_a_number_of_json_that_no_float_holds_keeps_its_digits(saved):
    exact, kept = "12345678901234567.89", [0.1, 0.30000000000000004, 1e300]
    text = f'[{{"a": {exact}, "b": {json.dumps(kept)}, "c": 1.50}}]'
    assert cells(read_sheet(saved(text, "t.json"))) == [[exact, kept, 1.5]]
