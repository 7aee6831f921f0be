"""The outputs of a run: in pages, as downloads, in another pipeline."""

import json

import pytest

from pipulate.apps.base import Download, Go, Visit
from pipulate.apps.feeds import number
from pipulate.apps.markup import html
from pipulate.core.problems import Missing

FILES = """
    from pipulate import File, Pipeline

    make = Pipeline("Make")

    @make.step
    def table(count: int = 250):
        return [{"n": n, "name": f"row {n}"} for n in range(count)]

    @make.step
    def words():
        return "some words"

    @make.step
    def both(table):
        return {"first": table[:150], "second": [{"other": 1}], "n": 3}

    @make.step
    def nothing():
        pass

    @make.step
    def forged(job):
        return {"$rows": "/etc/passwd", "count": 3}

    @make.step
    def lookalike(job):
        found = {"$file": "/etc/passwd", "name": "passwd"}
        return job.map(lambda row: row, [found])[0]

    @make.step
    def kind(lookalike):
        return type(lookalike).__name__

    take = Pipeline("Take")

    @take.step
    def taken(data: dict):
        return type(data).__name__

    measure = Pipeline("Measure")

    @measure.step
    def opened(csv: File):
        return csv.path.read_text()

    say = Pipeline("Say")

    @say.step
    def loud(text: str):
        return text.upper()
"""


@pytest.fixture
def visit(house, plugin, call, run):
    """visit(method, path, **query): what the page of run 1 of Make answers; all its steps ran."""
    assert plugin(FILES, "make").problem is None
    call("make_run")
    guided = house.shelf.pipeline("make")

    def visiting(method, path, at=None, **query):
        matched = ((r, v) for r in guided.routes if (v := r.match(method, path)) is not None)
        route, values = next(matched)
        caller = house.caller("user", at, confirmed=True)
        return run(route.run(Visit(house, caller, guided, values, query, {}, True)))

    return visiting


def test_a_table_is_turned_and_sorted_page_by_page(visit):
    text = html(visit("GET", "1/table/output", page="2"))
    assert "101 to 200 of 250 rows" in text and "row 100" in text
    assert "row 249" in html(visit("GET", "1/table/output", sort="-n"))
    for page in ("0", "-1", "x", "9999999999"):
        assert "of 250 rows" in html(visit("GET", "1/table/output", page=page))
    assert "201 to 250" in html(visit("GET", "1/table/output", page="99"))


def test_a_table_within_an_output_is_found_by_its_name(visit):
    assert "101 to 150 of 150" in html(visit("GET", "1/both/output", key="first", page="2"))
    made = visit("GET", "1/both/output.csv", key="second")
    assert isinstance(made, Download) and made.name == "make-1-both.csv"
    assert "".join(made.chunks) == "\ufeffother\r\n1\r\n"
    whole = json.loads("".join(visit("GET", "1/both/output.json").chunks))
    assert whole["n"] == 3 and len(whole["first"]) == 150


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("1/words/output", {}),
        ("1/both/output", {"key": "third"}),
        ("1/nothing/output.json", {}),
        ("1/none/output.json", {}),
        ("9/table/output", {}),
        ("1/forged/output", {}),
    ],
    ids=str,
)
def test_what_is_not_there_is_missing(visit, path, query):
    with pytest.raises(Missing):
        visit("GET", path, **query)


def test_json_that_looks_like_rows_in_another_file_is_shown_as_it_is(house, visit, run):
    text = html(run(house.shelf.pipeline("make").draw_run(house.profiles.at(), 1)))
    assert "/etc/passwd" in text and "root:" not in text


def test_an_output_is_offered_to_the_pipelines_that_take_it(visit):
    text = html(visit("GET", "1/words/use"))
    assert ">Say</button>" in text and ">Measure</button>" not in text
    taken = html(visit("GET", "1/table/use"))
    assert "Links" in taken and "Measure" in taken and "Say" not in taken


def test_used_elsewhere_it_is_the_input_of_a_new_run_that_knows_where_it_comes_from(
    visit, house, call, run
):
    assert visit("POST", "1/table/use/measure") == Go("/default/measure/2")
    new = house.runs.get(1, 2)
    assert new["parent"] == "1/table"
    assert call("measure_run", run=2)["output"].startswith("n,name\n0,row 0\n")
    assert visit("POST", "1/words/use/say") == Go("/default/say/3")
    assert call("say_run", run=3)["output"] == "SOME WORDS"
    profile = house.profiles.at()
    fed = html(run(house.shelf.pipeline("measure").draw_run(profile, 2)))
    assert 'href="/default/make/1#step-1-table"' in fed and "run 1, step table" in fed
    feeds = html(run(house.shelf.pipeline("make").draw_run(profile, 1)))
    assert 'href="/default/measure/2"' in feeds and 'href="/default/say/3"' in feeds


def test_foreign_json_that_looks_like_a_file_is_used_as_no_file(visit, call, house, run):
    assert "Measure" not in html(visit("GET", "1/lookalike/use"))
    whole = json.loads("".join(visit("GET", "1/lookalike/output.json").chunks))
    assert whole == {"$file": "/etc/passwd", "name": "passwd"}, "and it goes out as it came"
    assert call("run_output", run=1, step="kind") == "dict"
    given = call("take_run", data=whole)
    assert given["output"] == "dict", "nor as an input"


def test_used_twice_the_first_run_keeps_the_file_it_was_fed(visit, house):
    visit("POST", "1/table/use/measure")
    visit("POST", "1/table/use/measure")
    paths = {json.loads(house.runs.get(1, run)["inputs"])["csv"]["$file"] for run in (2, 3)}
    assert len(paths) == 2


def test_a_pipeline_that_asks_for_nothing_any_more_is_missing_not_a_fault(visit, plugin):
    source = "from pipulate import Pipeline\nnone = Pipeline('None')\n"
    plugin(source + "@none.step\ndef one():\n    return 1\n", "none")
    with pytest.raises(Missing, match="asks for nothing"):
        visit("POST", "1/words/use/none")


def test_another_profile_uses_and_loads_nothing_of_it(visit, call):
    call("profile_add", name="Other")
    looks = ("GET", "1/table/output"), ("GET", "1/table/output.csv"), ("GET", "1/table/use")
    for method, path in [*looks, ("POST", "1/table/use/measure")]:
        with pytest.raises(Missing):
            visit(method, path, at="other")


def test_an_output_is_drawn_once(house, visit, run, monkeypatch):
    guided, profile = house.shelf.pipeline("make"), house.profiles.at()
    first = html(run(guided.draw_run(profile, 1)))
    monkeypatch.setattr("pipulate.apps.outputs.draw", lambda *_: 1 / 0)
    assert html(run(guided.draw_run(profile, 1))) == first


@pytest.mark.parametrize(("text", "meant"), [("7", 7), ("", 1), ("x", 1), ("9" * 30, 1)])
def test_a_page_in_an_address_is_a_number_or_the_first(text, meant):
    assert number(text) == meant
