"""Elements every app shares; whatever text they are given, it stays text."""

from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from typing import Annotated, Literal

import re

import pytest
from fasthtml.components import Div

from pipulate.apps.markup import (
    SHOWN_ROWS,
    bar_chart,
    data_table,
    field_input,
    html,
    labelled,
    markdown,
    notice,
    owned,
    problem_card,
)
from pipulate.core.fields import KINDS, Ref, Between, Text, make_field
from pipulate.core.problems import Problem

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<iframe src=//evil>",
    "</td></table><form action=//evil>",
    "' onfocus='alert(1)",
    "<b hx-get=/undo/1>",
    "<!--",
    "]]>",
]


class Tags(HTMLParser):
    """The (tag, attributes) of an HTML text."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def tags(*elements):
    return Tags(html(*elements)).found


def one(tag, *elements):
    (found,) = [attrs for name, attrs in tags(*elements) if name == tag]
    return found


@pytest.mark.parametrize(
    ("kind", "tag", "attrs"),
    [
        (str, "input", {"type": "text"}),
        (Text, "textarea", {"rows": "3"}),
        (int, "input", {"type": "text", "inputmode": "numeric"}),
        (float, "input", {"type": "text", "inputmode": "decimal"}),
        (Annotated[int, Between(0, 5)], "input", {"min": "0", "max": "5"}),
        (date, "input", {"type": "date"}),
        (Literal["a", "b"], "select", {}),
        (list, "textarea", {}),
    ],
    ids=str,
)
def test_each_type_has_its_input_with_name_label_and_mark(kind, tag, attrs):
    drawn = one(tag, field_input(make_field("due_by", kind), "", "is wrong"))
    assert drawn.items() >= {"name": "due_by", "aria-label": "Due by", **attrs}.items()
    assert drawn["aria-invalid"] == "true" and drawn["title"] == "is wrong"


def test_every_type_can_be_drawn():
    for kind in KINDS:
        kind = Ref["author"] if kind is Ref else kind
        assert 'name="x"' in html(labelled(make_field("x", kind), ""))


@pytest.mark.parametrize("ticked", [True, False])
def test_a_checkbox_sends_false_when_it_is_not_ticked(ticked):
    hidden, box = [a for t, a in tags(field_input(make_field("x", bool), str(ticked).lower()))][1:]
    assert hidden == {"type": "hidden", "name": "x", "value": "false"}
    assert box["value"] == "true" and ("checked" in box) is ticked


def test_a_choice_shows_what_is_chosen_and_an_optional_one_may_be_empty():
    field = make_field("x", Literal["a", "b"] | None)
    options = [attrs for tag, attrs in tags(field_input(field, "b")) if tag == "option"]
    assert [o["value"] for o in options] == ["", "a", "b"]
    assert [o["value"] for o in options if "selected" in o] == ["b"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "element",
    [
        lambda t: field_input(make_field("x", str), t, t),
        lambda t: field_input(make_field("x", Text), t),
        lambda t: labelled(make_field("x", Annotated[str, t]), t, t),
        lambda t: notice(t, "/undo/1"),
        lambda t: problem_card(Problem(t, t)),
        lambda t: data_table([{t: t}]),
        lambda t: bar_chart([(t, 1)], t),
        markdown,
    ],
    ids=[
        "input",
        "textarea",
        "label",
        "notice",
        "problem",
        "table",
        "chart",
        "markdown",
    ],
)
def test_hostile_text_makes_no_element_and_no_attribute(element, text):
    allowed = {tag for tag, _ in tags(element("harmless"))} | {"p", "blockquote", "code"}
    for tag, attrs in tags(element(text)):
        assert tag in allowed
        assert not [a for a in attrs if a.startswith(("on", "hx-get")) or a == "action"]


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>)",
        "![x](https://evil.example/?secret)",
        "<https://ok.example> <script>",
        "[x](vbscript:x)",
        "| a |\n|---|\n| <img src=x> |",
        "`<b>` **<b>**",
        '[x](https://ok.example "onclick=1")',
        "<a href=javascript:1>x</a>",
        "[x]: javascript:1\n[x]",
    ],
)
def test_markdown_leaves_no_script_no_image_and_no_odd_link(text):
    for tag, attrs in tags(markdown(text)):
        assert tag not in ("script", "img", "b", "iframe", "svg")
        assert set(attrs) <= {"href", "rel", "title"}
        assert attrs.get("href", "https://").startswith(("https://", "http://", "mailto:"))


def test_markdown_keeps_what_a_text_needs():
    text = "# A\n\n*b* **c** `d`\n\n- e\n\n[f](https://g.example)\n\n| h |\n|---|\n| i |"
    found = [tag for tag, _ in tags(markdown(text))]
    for tag in ("h1", "em", "strong", "code", "ul", "li", "a", "table", "th", "td"):
        assert tag in found
    assert one("a", markdown("[f](https://g.example)"))["rel"] == "noopener noreferrer"


def test_text_among_a_plugins_elements_is_drawn_as_markdown_and_cleaned():
    drawn = html(owned(Div("*a*", Text("*b* <script>c</script>"))))
    assert "*a*" in drawn and "<em>b</em>" in drawn and "<script>" not in drawn


def test_a_table_tells_numbers_links_and_how_many_more():
    rows = [{"page": "https://a.example", "depth": 1234, "ok": True, "none": None}]
    text = html(data_table(rows * (SHOWN_ROWS + 5)))
    assert text.count("<tr>") == SHOWN_ROWS + 1 and "5 more rows" in text
    assert ">1,234<" in text and 'data-value="1234"' in text and ">yes<" in text
    assert 'href="https://a.example"' in text and 'rel="noopener noreferrer"' in text
    assert "No rows" in html(data_table([]))


def test_a_short_table_is_shown_whole_and_does_not_scroll_by_itself():
    short, long = (html(data_table([{"n": 1}] * rows)) for rows in (20, 21))
    assert "max-height:none" in short and "style" not in long


def test_a_heading_stands_where_its_numbers_stand():
    text = html(data_table([{"page": "a", "depth": None}, {"page": "b", "depth": 2}]))
    heads = re.findall(r"<th( [^>]*)?>", text)
    assert "number" not in heads[0] and 'class="number"' in heads[1]
    assert html(data_table([{}])).count("<th") == 1, "the head of the table alone"


def test_a_cell_that_is_nearly_an_address_does_not_break_the_page():
    assert "http://[half" in html(data_table([{"page": "http://[half"}]))


def test_what_is_cut_off_in_a_table_is_read_by_pointing_at_it():
    text = html(data_table([{"short": "a", "error": "robots.txt could not be read: " * 20}]))
    assert text.count("title=") == 1
    assert 'title="robots.txt could not be read: ' in text and text.count("robots") > 25


def test_no_cent_of_a_large_number_is_lost_in_a_table():
    shown = {123456.78: "123,456.78", 1234567.5: "1,234,567.5", 0.1 + 0.2: "0.3", 5.0: "5"}
    for value, said in shown.items():
        assert f">{said}<" in html(data_table([{"n": value}]))


def test_a_table_of_uneven_rows_leaves_gaps():
    assert html(data_table([{"a": 1, "b": 2}, {"b": 3}])).count("<td") == 4


def test_a_column_that_only_a_later_row_has_is_in_the_table():
    text = html(data_table([{"a": 1}, {"a": 2, "late": "here"}]))
    assert ">late<" in text and ">here<" in text


@pytest.mark.parametrize(
    ("pairs", "shown"),
    [([], "<figure"), ([("a", 0)], "a 0"), ([("a", 3), ("b", 1.5)], "a 3, b 1.5")],
    ids=["empty", "zero", "two"],
)
def test_a_chart_tells_its_numbers_in_words_too(pairs, shown):
    text = html(bar_chart(pairs, "Depth"))
    assert shown in text and "NaN" not in text and 'aria-label="Depth' in text


def test_a_number_of_many_digits_is_not_cut_off_at_the_edge_of_a_chart():
    text = html(bar_chart([("a", 22 / 7), ("b", Decimal("2.50")), ("c", 10**12)], "Guesses"))
    assert re.findall("([0-9.,]+)</text>", text) == ["3.14286", "2.50", "1,000,000,000,000"]


def test_half_a_pair_of_a_file_name_does_not_break_the_page():
    html(problem_card(Problem("caf\udce9.py: no"))).encode()


def test_a_chart_of_very_many_bars_shows_the_first_of_them():
    assert html(bar_chart([(n, n) for n in range(5_000)])).count("<rect") == SHOWN_ROWS


def test_the_words_of_a_chart_keep_their_size_on_a_phone():
    """They shrank with the picture: what is placed in % of the width has no size of its own."""
    pairs = [("a page type of many words", 28_172), ("b", 2), ("c", 0)]
    text = html(bar_chart(pairs, "Pages"))
    assert "viewbox" not in text.lower() and 'width="100%"' in text
    ends = [float(end) for end in re.findall('x="([0-9.]+)%" dx="6"', text)]
    start = float(re.search('<rect x="([0-9.]+)%"', text)[1])
    assert ends[0] == pytest.approx(100 - 2.4 * len("28,172") - 3, abs=1) and ends[2] == start
    assert ">a page type of …<" in text, "what is cut says so"
    assert 'aria-label="Pages: a page type of many words 28,172, b 2, c 0"' in text


def test_few_beside_very_many_are_seen_where_bars_grow_by_powers_of_ten():
    def widths(log):
        text = html(bar_chart([("0", 10_000), ("1", 10), ("2", 1), ("3", 0)], "", log))
        bars = [float(width) for width in re.findall('<rect [^>]*width="([0-9.]+)%"', text)]
        return [bar / bars[0] for bar in bars], text

    assert widths(False)[0] == pytest.approx([1, 0.001, 0, 0], abs=0.001)
    grown, text = widths(True)
    assert grown == pytest.approx([1, 2 / 5, 1 / 5, 0], abs=0.001)
    assert text.count("<line") == 5 and "Lines at 1, 10, 100" in text
    assert html(bar_chart([("a", 0.5)], "", True)).count("<line") == 0
    assert "nan" not in html(bar_chart([], "", True)) + html(bar_chart([("a", 0)], "", True))
