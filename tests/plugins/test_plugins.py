"""Plugins: the two tools; its pages are in test__desk.py, its files in test__drafts.py."""

import pytest

from pipulate import Problem


def test_a_program_may_draft_and_learns_where_a_person_approves(call, house):
    text = "from pipulate import CrudApp\nclass Plant(CrudApp):\n    name: str\n"
    made = call("plugin_draft", actor="mcp", name="plants", source=text)
    assert (made["problems"], made["state"], made["powers"]) == ([], "waiting", [])
    assert made["address"] == f"/default/plugins/plants/{made['hash']}"
    assert [app["slug"] for app in made["apps"]] == ["plants"]
    assert not any(house.settings.folder("apps").iterdir())


def test_a_scaffold_is_only_told_and_a_bad_name_is_refused(call, house):
    assert "title: str" in call("plugin_scaffold", name="book", parts="title:str")
    with pytest.raises(Problem, match="no name for a plugin"):
        call("plugin_draft", name="../../evil", source="x = 1")
    assert not any(house.settings.folder("apps").iterdir())
