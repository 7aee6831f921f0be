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
    [(-1, False, 1), (-9, False, 9), (0, False, None), (3, False, None), (-9, True, None)],
    ids=["yesterday", "long ago", "today", "later", "done"],
)
def test_a_task_says_by_how_many_days_it_is_overdue(call, days, done, late):
    due = date.today() + timedelta(days)
    made = call("task_add", title="Tax", due=due.isoformat(), done=done)
    assert made["days_overdue"] == late


def test_tasks_are_sorted_by_how_late_they_are_with_those_in_time_last(call):
    for days in (-2, 5, -10, None, -3):
        due = (date.today() + timedelta(days)).isoformat() if days else None
        call("task_add", title=f"{days}", due=due)
    listed = [row["title"] for row in call("task_list", sort="-days_overdue")["rows"]]
    assert listed[:3] == ["-10", "-3", "-2"] and {*listed[3:]} == {"5", "None"}
