"""Outputs as elements: each by its type, bounded, and whatever text is in them stays text."""

import json
import re
import time
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Literal

import pytest

from pipulate.apps.markup import html
from pipulate.apps.outputs import PAGE, WIDE, Place, download, draw, table, takes, tools
from pipulate.core.fields import Between, File, Text, make_field
from pipulate.core.outputs import Large, Rows, write_lines

HERE = Place("/default/p/1/step/output", lambda path: "/files/default/7")
NOWHERE = Place("/default/p/1/step/output", lambda path: "")
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "' onfocus='alert(1)",
    "]]>",
]


@pytest.fixture
def rows(tmp_path):
    """rows(count): so many rows in a file."""

    def writing(count):
        path = tmp_path / "rows.jsonl"
        write_lines(path, (json.dumps({"n": n, "name": f"row {n}"}) for n in range(count)))
        return Rows(path, count)

    return writing


class Tags(HTMLParser):
    """The (tag, attributes) of an HTML text."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "without output"),
        ("a", "<p>a</p>"),
        ("a\nb", "<pre>a\nb</pre>"),
        ("# Title\n\n- **one**", "<h1>Title</h1>"),
        (1234, "1,234"),
        (True, "true"),
        ([{"a": 1}], "<table"),
        ([], "[]"),
        ({}, "{}"),
        ({"a": 1}, ">a<"),
        ({"a": [*range(9)]}, "<summary><b>a</b>"),
        ({"found": [{"page": "/"}], "n": 3}, "<h3>Found</h3>"),
        (File(Path("/nowhere/a.csv")), "a.csv"),
        ([File(Path("/nowhere/a.csv"))], "a.csv"),
        ({"report": File(Path("/nowhere/a.csv")), "n": 3}, "a.csv"),
    ],
    ids=repr,
)
def test_any_output_is_drawn_by_its_type(value, shown):
    text = html(draw(value, HERE))
    assert shown in text
    assert ('href="/files/default/7"' in text) is ("a.csv" in shown)


def test_a_picture_is_shown_as_such_and_leads_to_its_download():
    text = html(draw(File(Path("/nowhere/a.png")), HERE))
    assert '<img src="/files/default/7/view"' in text and 'href="/files/default/7"' in text


def test_a_file_outside_of_the_home_has_no_link():
    text = html(draw(File(Path("/etc/passwd")), NOWHERE))
    assert "passwd" in text and "href" not in text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "value",
    [
        lambda t: t,
        lambda t: t + "\n" + t,
        lambda t: "# " + t,
        lambda t: {t: t},
        lambda t: {"a": [t], t: {t: t}},
        lambda t: [{t: t}],
        lambda t: {t: [{t: t}]},
        lambda t: File(Path("/a"), t),
    ],
)
def test_hostile_text_makes_no_element_and_no_attribute(value, text):
    def drawn(said):
        return Tags(html(draw(value(said), HERE))).found

    allowed = {tag for tag, _ in drawn("harmless")} | {"p", "blockquote", "code"}
    for tag, attrs in drawn(text):
        assert tag in allowed
        assert not [a for a in attrs if a.startswith("on") or a == "action"]


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1_000_000,
        "# x\n" * 250_000,
        list(range(200_000)),
        {str(n): n for n in range(50_000)},
        {"deep": {str(n): {str(m): "y" * 500 for m in range(30)} for n in range(60)}},
        [{str(n): n for n in range(5_000)}] * 20,
        [{"n": n} for n in range(50_000)],
        [File(Path("/nowhere/a.csv"))] * 5_000,
        {f"t{n}": [{"a": 1}] for n in range(3_000)},
    ],
    ids=["text", "markdown", "list", "flat", "tree", "wide", "long", "files", "tables"],
)
def test_no_output_makes_the_page_slow_or_long(value):
    started = time.process_time()
    assert len(html(draw(value, HERE))) < 400_000
    assert time.process_time() - started < 2


def test_a_value_nested_deeper_than_python_goes_is_cut():
    value = json.loads("[" * 500 + "]" * 500)
    assert len(html(draw(value, HERE))) < 20_000


def test_what_lies_in_a_file_of_its_own_is_never_read_into_the_page(tmp_path):
    path = tmp_path / "output.json"
    path.write_text("not read")
    text = html(draw(Large(path, 300_000_000), HERE))
    assert "Too large" in text and "8 bytes" in text and "not read" not in text


def test_rows_whose_file_is_gone_say_so(rows):
    assert "is gone" in html(draw(rows(3), NOWHERE))


# -- tables


def test_a_large_table_is_paged_and_says_where_it_is(rows):
    text = html(draw(rows(1_234), HERE))
    assert "1 to 100 of 1,234 rows" in text and "row 99" in text and "row 100" not in text
    assert "page=2" in text and "Before" not in text
    last = html(table(rows(1_234), HERE, page=13))
    assert "1,201 to 1,234" in last and "row 1233" in last and "Next" not in last


@pytest.mark.parametrize("kept", [True, False], ids=["in a file", "in the store"])
def test_headings_sort_all_rows_and_not_only_the_page(rows, kept):
    value = rows(500) if kept else [*rows(500)]
    down = html(table(value, HERE, sort="-n"))
    assert "row 499" in down and "row 0<" not in down and 'aria-sort="descending"' in down
    assert "sort=n" in down, "a second click sorts upwards"
    assert "row 150" in html(table(value, HERE, page=2, sort="n"))


@pytest.mark.parametrize(
    ("sort", "order"),
    [("v", ["yes", "1.5", "3", "a", "b"]), ("-v", ["{'a': 1}", "b", "a", "3", "1.5"])],
)
def test_values_of_several_kinds_are_sorted_with_the_empty_ones_last(sort, order):
    rows = [{"v": value} for value in (3, None, "b", 1.5, True, {"a": 1}, "a")] * 20
    cells = re.findall("<td[^>]*>([^<]*)", html(table(rows, HERE, sort=sort)))
    assert [*dict.fromkeys(map(unescape, cells))] == order


def test_a_very_wide_table_shows_its_first_columns():
    text = html(draw([{f"c{n}": n for n in range(300)}], HERE))
    assert text.count("<th") == WIDE + 1 and f"{WIDE} of 300 columns" in text


def test_ten_thousand_pages_on_the_rows_before_are_not_parsed(rows):
    many = rows(20 * PAGE)
    many.path.write_text("{broken\n" * 10 * PAGE + '{"n": 1}\n' * 10 * PAGE)
    assert len(many[10 * PAGE : 11 * PAGE]) == PAGE


# -- elsewhere


def text_of(value, form):
    return "".join(download(value, "p-1-step", form).chunks)


def test_the_first_page_of_a_large_table_does_not_read_what_lies_behind_it(rows):
    large = rows(PAGE + 1)
    lines = large.path.read_text().splitlines()
    large.path.write_text("\n".join([*lines[:PAGE], "no JSON"]))
    assert f"row {PAGE - 1}" in html(table(large, HERE))


def test_a_table_goes_out_as_csv_with_every_column_any_row_has(rows):
    value = [{"a": 1}, {"a": "=1+1", "b": [1, 2]}, {"c": None}]
    assert text_of(value, "csv") == '\ufeffa,b,c\r\n1,,\r\n\'=1+1,"[1,2]",\r\n,,\r\n'
    assert text_of(rows(3), "csv").splitlines()[-1] == "2,row 2"


@pytest.mark.parametrize("value", [[{"a": 1}], {"a": [1, "é"]}, [1, 2], 5], ids=str)
def test_json_comes_back_the_same(value):
    assert json.loads(text_of(value, "json")) == value


def test_text_is_downloaded_whole():
    assert text_of("x" * 100_000, "txt") == "x" * 100_000


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a", ["Copy", "TXT", "Use in"]),
        ({"a": [1]}, ["Copy", "JSON", "Use in"]),
        (3, ["JSON", "Use in"]),
        (File(Path("/a")), ["Use in"]),
        (None, []),
    ],
    ids=str,
)
def test_what_may_be_done_with_an_output(value, words):
    text = html(tools(value, HERE))
    known = ("Copy", "TXT", "JSON", "Use in")
    assert [word for word in known if word in text] == [w for w in known if w in words]


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        (File, File(Path("/a.csv")), True),
        (File, {"table": File(Path("/a.csv")), "n": 1}, True),
        (File, [{"a": 1}], True),
        (File, "text", False),
        (File, {"n": 1}, False),
        (str, "text", True),
        (str, "two\nlines", False),
        (Text, "two\nlines", True),
        (str, None, False),
        (Literal["a", "b"], "c", False),
        (Annotated[int, Between(1, 3)], 3, True),
        (Annotated[int, Between(1, 3)], 9, False),
        (list, [1], True),
        (list, {"a": 1}, False),
        (dict, {"a": 1}, True),
        (list, Large("/a", 1), False),
    ],
    ids=lambda value: re.sub(" at 0x.*", "", str(value)),
)
def test_an_output_may_be_used_where_the_first_value_takes_it(kind, value, fits):
    assert takes(make_field("first", kind), value) is fits


def test_a_dictionary_of_one_is_one_name():
    shown = html(draw({"a": {"b": [1, 2, 3, 4, 5]}}, HERE))
    assert "1 name<" in shown and "5 values<" in shown and "1 names" not in shown
