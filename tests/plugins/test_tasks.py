"""The bundled Tasks app: what to do, how urgent, until when."""

from datetime import date, timedelta

import pytest


def test_it_has_a_title_a_priority_a_date_and_a_tick(house):
    fields = house.shelf.get("tasks").fields
    assert {n: (f.kind.input, f.required) for n, f in fields.items()} == {
        "title": ("text", True),
        "priority": ("text", False),
        "due": ("date", False),
        "done": ("checkbox", False),
    }
    assert fields["priority"].choices == ("high", "normal", "low")


def test_a_task_is_added_ticked_moved_found_and_deleted(call):
    for title in ("Bread", "Milk"):
        call("task_add", text={"title": title, "due": "2026-01-31", "priority": "high"})
    assert call("task_update", id=1, done=True)["done"] is True
    call("task_move", id=1)
    assert [t["title"] for t in call("task_list")["rows"]] == ["Bread", "Milk"]
    assert call("task_list", q="mil")["count"] == 1
    assert call("task_delete", id=1)["deleted"]["title"] == "Bread"
    assert call("task_list")["count"] == 1


@pytest.mark.parametrize(
    ("days", "done", "late"),
    [(-1, False, "1 day overdue"), (-9, False, "9 days overdue"), (0, False, ""), (-9, True, "")],
    ids=["yesterday", "long ago", "today", "done"],
)
def test_a_task_says_how_long_it_is_overdue(call, days, done, late):
    due = date.today() + timedelta(days)
    assert call("task_add", title="Tax", due=due.isoformat(), done=done)["late"] == late


def test_a_task_without_a_date_is_never_late(call):
    assert call("task_add", title="Some day")["late"] == ""
