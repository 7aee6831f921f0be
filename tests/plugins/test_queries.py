"""The bundled Queries app: SQL that is kept, run and downloaded by the user, and can only read."""

from itertools import islice

import pytest
from starlette.responses import RedirectResponse

from pipulate.apps.base import Visit
from pipulate.apps.markup import html
from pipulate.core.problems import Invalid, Problem, Refused

TASKS = "SELECT title, priority FROM app_tasks ORDER BY id"
SECRETIVE = """
from pipulate import CrudApp, Secret
class Account(CrudApp):
    name: str
    password: Secret = ""
"""


@pytest.fixture
def ask(house, run):
    """ask(path, at=…, method=…, **values): what that address of the app gives."""
    app = house.shelf.get("queries")

    def asking(path, at=None, method="GET", **values):
        for route in app.routes:
            found = route.match(method, path)
            if found is not None:
                caller = house.caller("user", at, confirmed=True)
                return run(route.run(Visit(house, caller, app, found, values, {}, True)))
        raise AssertionError(f"no route {method} {path}")

    return asking


def drawn(parts):
    return html(*parts) if isinstance(parts, tuple) else html(parts)


def test_a_query_is_answered_with_a_table_its_count_and_time(ask, call):
    call("task_add", title="Milk", priority="high")
    page = drawn(ask("answer", sql=TASKS))
    assert "<td>Milk</td><td>high</td>" in page and "1 rows · 0.0" in page


def test_a_kept_query_has_a_page_with_its_text_and_the_tables_beside(ask, call):
    call("query_add", title="All", sql=TASKS)
    page = drawn(ask("1/run"))
    assert TASKS in page and 'value="All"' in page and "app_tasks" in page and "priority" in page
    assert "secrets" not in page and 'hx-trigger="load"' in page


def test_a_new_query_is_kept_by_whoever_saves_it_and_can_be_undone(ask, call, house):
    gone = ask("save", method="POST", title="All", sql=TASKS)
    assert isinstance(gone, RedirectResponse) and gone.headers["location"] == "1/run"
    assert call("query_get", id=1)["sql"] == TASKS
    (event, *_) = house.events.recent(1)
    assert (event["actor"], event["verb"], event["undoable"]) == ("user", "query_save", True)
    with pytest.raises(Invalid, match="Title"):
        ask("save", method="POST", title=" ", sql=TASKS)


def test_profile_stands_for_the_one_being_looked_at(ask, call):
    call("profile_add", name="Other")
    call("task_add", title="Mine")
    call("task_add", at="other", title="Theirs")
    sql = f"{TASKS.split(' ORDER')[0]} WHERE profile_id = :profile"
    assert "Mine" in drawn(ask("answer", sql=sql)) and "Theirs" not in drawn(ask("answer", sql=sql))
    assert "Theirs" in drawn(ask("answer", at="other", sql=sql))


def test_many_rows_are_cut_on_the_page_and_whole_in_the_download(ask):
    sql = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1500) SELECT * FROM n"
    )
    assert "200 rows, more in the CSV" in drawn(ask("answer", sql=sql))
    lines = "".join(ask("answer", sql=sql, csv="yes").chunks).splitlines()
    assert lines[0] == "\ufeffi" and len(lines) == 1501


def test_a_download_is_made_while_it_is_sent_and_defuses_formulas(ask):
    sql = "SELECT '=HYPERLINK(1)' AS a UNION ALL SELECT hex(zeroblob(9)) FROM (SELECT 1)"
    sent = ask("answer", sql=sql, csv="yes")
    assert (sent.name, sent.media_type) == ("query.csv", "text/csv; charset=utf-8")
    assert "".join(islice(sent.chunks, 2)).startswith("\ufeffa\r\n'=HYPERLINK(1)\r\n")


@pytest.mark.parametrize("csv", ["", "yes"])
def test_a_fault_is_a_problem_with_its_place_before_anything_is_sent(ask, csv):
    with pytest.raises(Problem, match=r"no such column: titel \(line 1, column 8\)"):
        ask("answer", sql="SELECT titel FROM app_tasks", **({"csv": csv} if csv else {}))


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM app_tasks",
        "UPDATE profiles SET name = 'x' RETURNING id",
        "SELECT * FROM secrets",
        "SELECT value FROM store",
        "ATTACH 'x' AS y",
        "PRAGMA writable_schema = 1",
    ],
)
def test_it_cannot_write_and_sees_no_secret(ask, call, plugin, house, sql):
    plugin(SECRETIVE)
    call("account_add", name="Bank", password="hunter-2-hunter")
    house.settings_of().set("token", "hunter-2-hunter", secret=True)
    for csv in ({}, {"csv": "yes"}):
        with pytest.raises(Refused):
            ask("answer", sql=sql, **csv)
    page = drawn(ask("answer", sql="SELECT * FROM app_accounts, profiles"))
    assert "Bank" in page and "hunter-2" not in page


def test_what_a_row_holds_is_shown_as_text(ask, call):
    call("query_add", title="<b>x</b>", sql="SELECT '<script>alert(1)</script>' AS '<i>'")
    page = drawn(ask("1/run")) + drawn(ask("answer", sql=call("query_get", id=1)["sql"]))
    assert "<script>" not in page and "<b>x" not in page and "<i>" not in page


def test_no_tool_runs_sql(house):
    own = {name for name in house.tools.by_name if name.startswith("query")}
    assert own == {f"query_{verb}" for verb in ("list", "get", "add", "update", "delete", "move")}


def test_a_query_that_takes_long_is_stopped(ask):
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    with pytest.raises(Problem, match="stopped after 4 s"):
        ask("answer", sql=endless)
