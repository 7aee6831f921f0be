"""Plugins: the two tools; its pages are in test__desk.py, its files in test__drafts.py."""

import json

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


def test_the_text_of_a_plugin_is_the_version_that_waits_else_the_one_that_runs(call, plugin):
    text = "from pipulate import CrudApp\nclass Plant(CrudApp):\n    name: str\n"
    plugin(text, "plants")
    assert call("plugin_text", name="plants") == text
    call("plugin_draft", name="plants", source=text + "    place: str = ''\n", origin="own file")
    assert "place" in call("plugin_text", name="plants")
    with pytest.raises(Problem, match="You have no plugin 'pots'. Yours: plants"):
        call("plugin_text", name="pots")


def test_a_program_gives_itself_no_origin(call, house):
    text = "from pipulate import CrudApp\nclass Plant(CrudApp):\n    name: str\n"
    for actor, origin in (("mcp", "mcp"), ("model", "the assistant"), ("shell", "own file")):
        call("plugin_draft", actor=actor, name="plants", source=text, origin="own file")
        kept = house.settings.folder("quarantine").glob("plants/*.json")
        assert [json.loads(path.read_text())["origin"] for path in kept] == [origin]
