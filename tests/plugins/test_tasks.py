"""The bundled Tasks app: the shortest useful CRUD app, whole."""

import inspect

from pipulate.plugins import tasks


def test_it_is_at_most_twelve_lines_on_public_names_only():
    lines = [line for line in inspect.getsource(tasks).splitlines() if line.strip()]
    assert len(lines) <= 12
    assert [x for x in lines if "import" in x and "pipulate" in x] == [
        "from pipulate import CrudApp"
    ]


def test_it_has_a_title_a_date_and_a_tick(house):
    fields = house.shelf.get("tasks").fields
    assert {n: (f.kind.input, f.required) for n, f in fields.items()} == {
        "title": ("text", True),
        "due": ("date", False),
        "done": ("checkbox", False),
    }


def test_a_task_is_added_ticked_moved_found_and_deleted(call):
    for title in ("Bread", "Milk"):
        call("task_add", text={"title": title, "due": "2026-01-31"})
    assert call("task_update", id=1, done=True)["done"] is True
    call("task_move", id=1)
    assert [t["title"] for t in call("task_list")["rows"]] == ["Bread", "Milk"]
    assert call("task_list", q="mil")["count"] == 1
    assert call("task_delete", id=1)["deleted"]["title"] == "Bread"
    assert call("task_list")["count"] == 1
