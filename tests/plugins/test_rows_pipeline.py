"""The bundled Rows pipeline: from a table to a CSV, each step with and without something to do."""

import csv
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server import ModelServer
from pipulate import File, Problem
from pipulate.ai.complete import connect
from pipulate.apps.job import JobHandle
from pipulate.core.outputs import Rows
from pipulate.plugins import rows

TABLE = "title,price,city\nsale A,12,Rome\nB,n/a,Oslo\nsale C,30.5,Rome\nsale D,4,\n"


@pytest.fixture
def job(tmp_path):
    return JobHandle(lambda said: None, lambda *need: None, tmp_path / "files")


@pytest.fixture
def table(tmp_path):
    """table(text, name): the output of the first step."""

    def writing(text=TABLE, name="table.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return rows.table(File(tmp_path / name))

    return writing


@pytest.fixture
def columns(table, job):
    return [*rows.columns(table(), job)]


def read(output):
    with output["file"].path.open(encoding="utf-8", newline="") as text:
        return [*csv.DictReader(text)]


# -- a table in ------------------------------------------------------------------------------


def test_the_columns_of_the_file_are_offered_and_all_are_kept_unless_told(table, job):
    found = table()
    (field,) = rows.columns.bound({"table": found})
    assert field.choices == ("title", "price", "city") and field.default == [*field.choices]
    assert found["sample"][0] == {"title": "sale A", "price": "12", "city": "Rome"}
    assert [*rows.columns(found, job, ["city", "title"])][0] == {"city": "Rome", "title": "sale A"}


def test_json_is_a_table_too_and_what_it_lacks_is_none(table, job):
    found = table('[{"a": 1, "b": [2]}, {"a": null}]', "t.json")
    assert [*rows.columns(found, job)] == [{"a": 1, "b": [2]}, {"a": None, "b": None}]
    assert found["sample"][1] == {"a": None, "b": None}


def test_short_rows_are_filled_and_long_ones_cut(table, job):
    found = table("a,b\n1\n1,2,3\n")
    assert [*rows.columns(found, job)] == [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("text", "said"), [("", "nothing in it"), ("a,b\n", "heading but no rows"), ("\0", "no table")]
)
def test_a_file_without_rows_is_a_problem(table, text, said):
    with pytest.raises(Problem, match=said) as caught:
        table(text)
    assert caught.value.next_step


@pytest.mark.parametrize("keep", [[], ["nope"]])
def test_no_column_and_one_that_is_gone_are_refused_with_those_there_are(table, job, keep):
    with pytest.raises(Problem, match="Choose of: title, price, city"):
        next(rows.columns(table(), job, keep))


# -- rows and columns ------------------------------------------------------------------------


def test_rows_that_fulfil_the_condition_stay_as_they_are(columns, job, capsys):
    found = [*rows.filtered(columns, job, 'price > 10 and "sale" in title')]
    assert [row["title"] for row in found] == ["sale A", "sale C"] and found[0]["price"] == "12"
    assert "1 of 4 rows failed; the first: row 2" in capsys.readouterr().out


def test_a_column_is_worked_out(columns, job):
    found = [*rows.derived(columns, None, job, column="gross", formula="round(price * 1.2, 2)")]
    assert [row["gross"] for row in found] == [14.4, None, 36.6, 4.8]
    filtered = [columns[0]]
    found = [*rows.derived(columns, filtered, job, column="title", formula="upper(title)")]
    assert found == [{"title": "SALE A", "price": "12", "city": "Rome"}]


def test_a_column_is_asked_of_the_model_with_nothing_but_the_answers_it_may_give(columns, tmp_path):
    asked = []

    def need(kind, prompt, schema):
        asked.append((kind, prompt, schema))
        return "yes" if "sale" in prompt else "no"

    job = JobHandle(None, need, tmp_path)
    about = {"column": "sale", "question": "Is it on offer?", "answers": ["yes", "no"]}
    found = [*rows.derived(columns, None, job, **about)]
    assert [row["sale"] for row in found] == ["yes", "no", "yes", "yes"]
    kind, prompt, schema = asked[1]
    assert kind == "model" and schema["enum"] == ["yes", "no"]
    assert (
        prompt == "Is it on offer?\n\nAbout this row of a table:\ntitle: B\nprice: n/a\ncity: Oslo"
    )


@pytest.mark.parametrize(
    "said",
    [
        {"formula": "price"},
        {"column": "x"},
        {"column": "x", "formula": "price", "question": "Why?"},
        {"column": "x", "question": "Why?"},
        {"column": "x", "question": "Why?", "answers": ["a"]},
    ],
    ids=str,
)
def test_half_a_column_is_refused_with_what_is_missing(columns, job, said):
    with pytest.raises(Problem, match="needs a name, and a formula or a question"):
        rows.derived(columns, None, job, **said)


def test_a_wrong_name_is_told_before_any_row_is_read(columns, job):
    with pytest.raises(Problem, match="no column 'prize'. Did you mean 'price'?"):
        rows.filtered(columns, job, "prize > 3")
    with pytest.raises(Problem, match="character 8"):
        rows.derived(columns, None, job, column="x", formula="price +")


def test_a_step_that_has_nothing_to_do_gives_none(columns, job):
    assert rows.filtered(columns, job, " ") is None
    assert rows.derived(columns, None, job) is None
    assert rows.chart(columns, None, None, job) is None


# -- a chart, a CSV --------------------------------------------------------------------------


def test_bars_count_rows_or_add_up_a_column(columns, job, capsys):
    counted = rows.chart(columns, None, None, job, "city")
    assert counted["bars"] == [["Rome", 2], ["Oslo", 1], ["", 1]]
    summed = rows.chart(columns, columns[:3], None, job, "city", "price")
    assert (summed["title"], summed["bars"]) == ("price by city", [["Rome", 42.5], ["Oslo", 0]])
    assert "1 of 3 rows have no number in price" in capsys.readouterr().out


def test_a_chart_offers_the_new_column_too(columns):
    derived = [columns[0] | {"gross": 14.4}]
    by = rows.chart.bound({"columns": columns, "derived": derived})[0]
    assert by.choices == ("title", "price", "city", "gross") and by.default is None
    for none in (None, []):
        by = rows.chart.bound({"columns": columns, "derived": none})[0]
        assert by.choices == ("title", "price", "city")


def test_a_column_with_too_many_different_values_makes_no_chart(job):
    many = [{"id": n} for n in range(10_001)]
    with pytest.raises(Problem, match="id has over 10,000 different values"):
        rows.chart(many, None, None, job, "id")


def test_the_numbers_below_a_chart_are_headed_by_the_column_they_are_of(columns, job):
    from pipulate.apps.markup import html

    drawn = html(*rows.chart.draw(rows.chart(columns, None, None, job, "city", "price")))
    assert ">city</button>" in drawn and ">price by city</button>" in drawn


def test_views_draw_what_there_is(columns, table, job):
    from pipulate.apps.markup import html

    drawn = html(*rows.chart.draw(rows.chart(columns, None, None, job, "city")))
    assert "<svg" in drawn and "<table" in drawn
    assert rows.chart.draw(None) == ()
    assert "sale A" in html(rows.table.draw(table()))


def test_the_csv_has_the_last_rows_and_no_formulas(columns, job):
    odd = [{"a": '=HYPERLINK("x")', "b": None}, {"a": "x,\n", "b": 1.5}]
    assert read(rows.result(columns, None, odd, job)) == [
        {"a": '\'=HYPERLINK("x")', "b": ""},
        {"a": "x,\n", "b": "1.5"},
    ]
    assert len(read(rows.result(columns, columns[:1], None, job))) == 1
    nothing = rows.result(columns, [], None, job)
    assert nothing["rows"] == 0 and nothing["file"].path.read_text() == "title,price,city\n"


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(cells=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_odd_cells_come_out_as_they_went_in(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("odd")
    job = JobHandle(lambda said: None, lambda *need: None, folder / "out")
    odd = [{"a": a, "b": b} for a, b in [("first", "row"), *cells]]
    out = rows.result(odd, None, None, job)["file"]
    again = [*rows.columns(rows.table(out), job)]
    assert again == [row for row in odd if any(row.values())]


# -- in the engine ---------------------------------------------------------------------------


def test_it_runs_from_end_to_end_by_one_call(call, tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    told = call(
        "rows_run",
        file=str(tmp_path / "t.csv"),
        keep=["title", "price"],
        where="price > 10",
        column="double",
        formula="price * 2",
        by="title",
    )
    assert told["state"] == "done" and told["output"]["rows"] == 2
    path = told["output"]["file"]["$file"]
    with open(path, encoding="utf-8") as text:
        assert text.read().splitlines() == [
            "title,price,double",
            "sale A,12,24",
            "sale C,30.5,61.0",
        ]


def test_with_a_file_alone_it_gives_that_table(call, tmp_path, house):
    (tmp_path / "t.csv").write_text(TABLE)
    told = call("rows_run", file=str(tmp_path / "t.csv"))
    assert told["output"]["rows"] == 4
    states = house.runs.states(house.runs.get(1, 1), house.shelf.pipeline("rows").pipeline)
    assert [s.output for n, s in states.items() if n in ("filtered", "derived", "chart")] == [
        None
    ] * 3


def test_many_rows_lie_in_files_and_are_read_from_there(call, tmp_path, house):
    text = "id,text\n" + "".join(f"{n},{'x' * 100}\n" for n in range(24_000))
    (tmp_path / "t.csv").write_text(text)
    told = call("rows_run", file=str(tmp_path / "t.csv"), where="id % 2 == 0", by="text")
    assert told["output"]["rows"] == 12_000
    states = house.runs.states(house.runs.get(1, 1), house.shelf.pipeline("rows").pipeline)
    assert isinstance(states["columns"].output, Rows) and len(states["columns"].output) == 24_000
    with states["filtered"].output.path.open() as lines:
        assert json.loads(next(lines)) == {"id": "0", "text": "x" * 100}


def test_answers_of_the_model_are_kept_when_it_goes_away_in_between(call, tmp_path, house):
    (tmp_path / "t.csv").write_text(TABLE)
    said = {"column": "sale", "question": "On offer?", "answers": ["yes", "no"]}

    def answered(*replies, **more):
        with ModelServer(*replies) as server:
            house.settings = replace(house.settings, model_url=server.url, model="stand-in")
            connect(house)
            try:
                return call("rows_run", **more), len(server.requests)
            except Problem as problem:
                return problem, len(server.requests)

    yes, no = (json.dumps({"answer": word}) for word in ("yes", "no"))
    broken, asked = answered(yes, no, "?", "?", "?", file=str(tmp_path / "t.csv"), **said)
    assert "no answer that fits" in str(broken) and asked == 5
    told, asked = answered(no, yes, run=1)
    assert asked == 2, "the first two are not asked again"
    with open(told["output"]["file"]["$file"], encoding="utf-8") as text:
        assert [row["sale"] for row in csv.DictReader(text)] == ["yes", "no", "no", "yes"]
