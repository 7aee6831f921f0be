"""The Memory app: the user's view of what the assistant has noted."""

import pytest

from pipulate.core.problems import Invalid


def test_notes_are_rows_as_any_other(call, house):
    row = call("memory_add", note="Likes tea")
    call("memory_update", id=row["id"], note="Likes green tea")
    assert [r["note"] for r in call("memory_list", q="green")["rows"]] == ["Likes green tea"]
    call("memory_delete", id=row["id"])
    assert call("memory_list")["count"] == 0
    assert house.shelf.apps["memories"].title == "Memories"


def test_the_assistant_and_the_page_see_the_same_notes(call, house):
    from pipulate.ai.complete import connect

    connect(house)
    call("remember", actor="model", note="Likes tea")
    (row,) = call("memory_list")["rows"]
    call("memory_update", id=row["id"], note="Likes coffee")
    assert [note["note"] for note in call("recall", words="likes coffee")] == ["Likes coffee"]


@pytest.mark.parametrize("tool", ["memory_add", "memory_update"])
@pytest.mark.parametrize("actor", ["user", "model", "mcp"])
def test_a_secret_comes_in_by_no_way(call, tool, actor):
    row = call("memory_add", note="Likes tea")
    values = {"id": row["id"]} if tool == "memory_update" else {}
    with pytest.raises(Invalid, match="secret"):
        call(tool, actor=actor, **values, note="The password is swordfish")
    assert [r["note"] for r in call("memory_list")["rows"]] == ["Likes tea"]
