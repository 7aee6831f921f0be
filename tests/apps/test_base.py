"""What every kind of app has: names, routes as data, and the visit."""

import threading

import pytest

from pipulate.apps.base import Route, Visit, line_of, made, snake, so_many


@pytest.mark.parametrize(
    ("path", "asked", "found"),
    [
        ("", "", {}),
        ("stats", "stats", {}),
        ("stats", "stats/", None),
        ("{id}", "12", {"id": "12"}),
        ("{id}", "12/x", None),
        ("{id}", "", None),
        ("{id}/{field}", "12/title", {"id": "12", "field": "title"}),
        ("{run}/finish", "3/finish", {"run": "3"}),
        ("{id}", "1\n", {"id": "1\n"}),
    ],
)
def test_a_route_matches_whole_addresses_and_names_their_parts(path, asked, found):
    route = Route("GET", path, lambda visit: None)
    assert route.match("GET", asked) == found
    assert route.match("POST", asked) is None


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("WineBottle", "wine_bottle"),
        ("Wine bottle", "wine_bottle"),
        ("wine_bottle", "wine_bottle"),
        ("  A--B  ", "a_b"),
        ("H2O", "h2_o"),
        ("../x", "x"),
    ],
)
def test_names_become_addresses(name, plain):
    assert snake(name) == plain


def test_one_is_told_as_one_and_many_are_readable():
    assert [so_many(n, "row") for n in (0, 1, 1_200)] == ["0 rows", "1 row", "1,200 rows"]


def test_the_line_of_a_definition_is_found():
    source = "x = 1\n\nclass A:\n    pass\n\nasync def b(): pass\n"
    assert (line_of(source, "A"), line_of(source, "b"), line_of(source, "c")) == (3, 6, None)


def test_a_visit_calls_tools_as_its_visitor(house, run):
    app = house.shelf.get("tasks")
    visit = Visit(house, house.caller("user"), app)
    assert visit.base == "/default/tasks"
    assert run(visit.call("task_add", text={"title": "x"}))["title"] == "x"
    assert house.events.recent(1, 1)[0]["actor"] == "user"


def test_the_undo_of_a_visit_takes_back_what_it_did_whoever_did_something_since(house, run):
    visit, theirs = Visit(house, house.caller("user"), None), {"title": "theirs", "profile_id": 1}

    async def visiting():
        made.set([])
        await visit.call("task_add", title="mine")
        other = threading.Thread(target=house.db.table("app_tasks").insert, args=[theirs])
        other.start()
        other.join()
        return visit.undo

    assert (run(visiting()), visit.undo) == ("/default/undo/1", "/default/undo/2")
