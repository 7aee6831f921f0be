"""The house: a home opened, with its engines and its own tools; no server needed."""

import sys
import subprocess
import pytest

from pipulate.apps.house import House
from pipulate.core.problems import Broken, Missing, NeedsApproval

CORE = {
    "profile_list": "read",
    "profile_add": "write",
    "profile_rename": "write",
    "profile_move": "write",
    "profile_delete": "destructive",
    "history": "read",
    "undo": "write",
    "undo_turn": "write",
    "run_list": "read",
    "run_finish": "write",
    "run_reopen": "write",
    "run_delete": "write",
    "approval_result": "read",
}


def test_the_tools_of_the_house_and_their_classes(house):
    own = {name: tool.kind for name, tool in house.tools.by_name.items() if tool.owner == "core"}
    assert own.items() >= CORE.items()


def test_a_new_home_has_every_folder_of_the_contract(house):
    names = {p.name for p in house.settings.home.iterdir()}
    assert names >= {
        "pipulate.db", "apps", "quarantine", "files", "models", "backups", "logs"
    }  # fmt: skip


def test_given_a_home_opened_twice_then_both_see_what_is_saved(house, open_house, call, run):
    other = open_house()
    call("task_add", title="x")
    tool = other.tools.call("task_list", {}, other.caller("shell"))
    assert run(tool)["count"] == 1


def test_given_a_store_that_cannot_be_used_then_nothing_is_started_and_the_file_stays(settings):
    settings.make_home()
    settings.database.write_bytes(b"not a store at all")
    with pytest.raises(Broken):
        House(settings)
    assert settings.database.read_bytes() == b"not a store at all"
    assert list(settings.folder("locks").iterdir()) == []


def test_settings_are_kept_per_scope_and_not_in_the_history(house):
    house.settings_of()["theme"] = "dark"
    house.settings_of("1")["theme"] = "light"
    assert (house.settings_of()["theme"], house.settings_of("1")["theme"]) == ("dark", "light")
    assert "dark" not in str(house.db.all("SELECT * FROM events"))


def test_a_caller_is_somebody_in_the_first_profile_unless_told_otherwise(house, call):
    call("profile_add", name="Shop")
    assert house.caller("mcp").profile.slug == "default"
    assert house.caller("shell", "shop").profile.slug == "shop"
    with pytest.raises(Missing):
        house.caller("shell", "nope")


def test_undo_and_history_are_tools_as_well(call):
    call("task_add", title="x")
    (event, *_) = call("history")
    assert event["summary"] == "Added task “x”" and event["undoable"]
    assert call("undo", event=event["id"]) == "Undid: Added task “x”"
    assert call("task_list")["count"] == 0


def test_undo_without_an_event_takes_back_the_last_change_then_the_one_before(call):
    for title in ("a", "b"):
        call("task_add", title=title)
    assert [call("undo"), call("undo")] == ["Undid: Added task “b”", "Undid: Added task “a”"]
    with pytest.raises(Missing, match="nothing to undo"):
        call("undo")


def test_an_approval_of_a_profiles_deletion_tells_what_it_would_hide(house, call):
    call("profile_add", name="Shop")
    profile = house.profiles.at("shop")
    call("task_add", at="shop", title="x")
    with pytest.raises(NeedsApproval) as asked:
        call("profile_delete", actor="model", profile="shop")
    told = house.tools.approval(asked.value.details["approval"], house.profiles.at())
    assert told["shown"].endswith("It hides 1 task; History can bring it back.")
    call("note_add", at="shop", title="y")
    call("task_add", at="shop", title="z")
    house.files.record(profile, house.files.folder)
    assert {*house.held(profile).split(", ")} == {"2 tasks", "1 note"}, "files stay where they are"


def test_given_six_first_commands_at_once_on_a_new_home_then_each_finds_it_whole(tmp_path):
    listing = [sys.executable, "-m", "pipulate", "apps", "--home", str(tmp_path / "new")]
    started = [subprocess.Popen(listing, stderr=subprocess.PIPE) for _ in range(6)]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 6, said


def test_the_source_tool_lists_the_files_and_gives_one_from_a_line_on(call, plugin):
    plugin('"""Mine."""\nfrom pipulate import CrudApp\n\nclass Thing(CrudApp):\n    title: str\n')
    assert {"core/tools.py", "home/apps/mine.py"} <= {*call("source")}
    said = call("source", file="home/apps/mine.py", line=4)
    assert said["text"] == "class Thing(CrudApp):\n    title: str\n" and said["lines"] == 5
    for outside in ("../pyproject.toml", "/etc/passwd", "home/apps/../pipulate.db"):
        with pytest.raises(Missing):
            call("source", file=outside)


def test_apps_rows_and_runs_are_found_with_the_addresses_that_open_them(call):
    call("task_add", title="Buy hello kitty")
    call("hello_run", name="Kitty")
    found = {app["title"]: app for app in call("search", actor="model", q="kitty")}
    assert found["Tasks"]["rows"] == [
        {"name": "Buy hello kitty", "address": "/default/tasks?f.id=1"}
    ]
    assert found["Hello"]["rows"] == [{"name": "Hello run 1", "address": "/default/hello/1"}]
    assert [app["title"] for app in call("search", q="bookmark")] == ["Bookmarks"]
    assert call("search", q="nothing of the kind") == []
