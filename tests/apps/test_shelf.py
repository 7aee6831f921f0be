"""The shelf: plugins come, change and go while the program runs; one broken file stays one card."""

import sys
import subprocess
import json
import asyncio
import os
import re
import time

import pytest

from pipulate.apps.house import House
from pipulate.apps.plugin import Plugin
from pipulate.core.problems import Missing, Problem, Unknown

THING = "from pipulate import CrudApp\nclass Thing(CrudApp):\n    x: str\n"
BROKEN = [
    "def f(:",
    "1 / 0",
    "import nonesuch",
    "import sys; sys.exit()",
    "raise BaseException('no')",
    "x = 1",
    "from pipulate import CrudApp\nclass A(CrudApp):\n    ü: str\n",
    "from pipulate import CrudApp\nclass A(CrudApp):\n    a: str\n    A: str\n",
]


@pytest.fixture
def apps(house):
    return house.settings.folder("apps")


def test_the_bundled_apps_are_there_in_a_new_home(house):
    named = {row["name"]: row["kind"] for row in house.shelf.listing()}
    assert named["tasks"] == "app" and named["hello"] == "pipeline" and named["links"] == "pipeline"
    assert all(row["bundled"] and row["problem"] is None for row in house.shelf.listing())


@pytest.mark.parametrize("source", BROKEN, ids=lambda s: s.splitlines()[-1].strip())
def test_given_a_broken_file_then_the_house_opens_and_says_which(settings, run, source):
    settings.make_home()
    (settings.folder("apps") / "bad.py").write_text(source)
    (settings.folder("apps") / "good.py").write_text(THING)
    house = House(settings)
    (failure,) = house.shelf.failures
    assert failure.name == "bad" and "bad.py" in failure.problem.what
    assert "things" in house.shelf.apps and "tasks" in house.shelf.apps
    (row,) = [r for r in house.shelf.listing() if r["problem"]]
    assert (row["name"], row["kind"]) == ("bad", "failed")
    run(house.close())


@pytest.mark.parametrize("kind", ["Dcimal", "bytes"])
def test_the_list_of_apps_names_the_known_type_that_is_nearest_to_an_unknown_one(house, kind):
    source = f"from pipulate import CrudApp\nclass A(CrudApp):\n    x: {kind} = 0\n"
    (house.settings.folder("apps") / "bad.py").write_text(source)
    house.shelf.scan()
    (row,) = [r for r in house.shelf.listing() if r["problem"]]
    assert kind in row["problem"] and "Decimal" in row["problem"]


def test_who_calls_what_a_broken_file_would_give_reads_what_is_wrong_with_the_file(house, call):
    (house.settings.folder("apps") / "thing.py").write_text(THING.replace("str", "strr"))
    house.shelf.scan()
    for kind, ask in (
        (Unknown, lambda: call("thing_list")),
        (Unknown, lambda: call("rows_totals", app="things")),
        (Missing, lambda: house.shelf.get("things")),
    ):
        with pytest.raises(kind, match=r"There is no .*thing\.py, line 3: .*'strr'"):
            ask()


@pytest.mark.parametrize("kind", ["folder", "dangling link", "unreadable"])
def test_given_a_name_that_is_no_readable_file_then_the_house_opens(settings, run, kind):
    settings.make_home()
    path = settings.folder("apps") / "odd.py"
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("nowhere.py")
    else:
        path.write_text(THING)
        path.chmod(0)
    house = House(settings)
    assert "tasks" in house.shelf.apps
    run(house.close())


@pytest.mark.parametrize("name", ["_draft.py", ".hidden.py", "notes.txt", "x.py.bak"])
def test_drafts_and_other_files_are_left_alone(house, apps, name):
    (apps / name).write_text(THING)
    assert not house.shelf.scan() and "things" not in house.shelf.apps


def test_with_plugins_off_only_the_bundled_ones_load(settings, run):
    settings.make_home()
    (settings.folder("apps") / "thing.py").write_text(THING)
    house = House(type(settings)(**{**vars(settings), "plugins": False}))
    assert "things" not in house.shelf.apps and "tasks" in house.shelf.apps
    run(house.close())


def test_given_a_new_file_then_it_is_there_at_once_with_its_tools(house, plugin, call):
    before = house.shelf.version
    plugin(THING)
    assert house.shelf.get("things").title == "Things" and house.shelf.version == before + 1
    assert call("thing_add", x="a")["id"] == 1


def test_given_a_broken_save_then_the_old_version_goes_on_beside_its_error(house, plugin, call):
    plugin(THING)
    call("thing_add", x="a")
    found = plugin(THING + "1 / 0")
    assert "line 4" in found.problem.what and "things" in house.shelf.apps
    assert call("thing_add", x="b")["id"] == 2
    mended = plugin(THING + "    y: int = 7\n")
    assert mended.problem is None and call("thing_get", id=1)["y"] == 7


def test_given_a_broken_save_put_back_then_the_error_is_gone(house, plugin):
    plugin(THING)
    plugin("1 / 0")
    assert plugin(THING).problem is None and house.shelf.failures == []


def test_given_a_file_removed_then_its_app_and_tools_go_and_its_rows_stay(
    house, plugin, call, apps
):
    plugin(THING)
    call("thing_add", x="a")
    (apps / "mine.py").unlink()
    assert house.shelf.scan()
    assert "things" not in house.shelf.apps and "thing_add" not in house.tools.by_name
    plugin(THING)
    assert call("thing_get", id=1)["x"] == "a"


def test_given_a_broken_file_removed_then_nothing_is_left_of_it(house, plugin, apps):
    plugin("1 / 0")
    (apps / "mine.py").unlink()
    house.shelf.scan()
    assert house.shelf.failures == []


def test_given_a_class_renamed_then_the_old_address_goes(house, plugin):
    plugin(THING)
    plugin(THING.replace("Thing", "Item"))
    assert "items" in house.shelf.apps and "things" not in house.shelf.apps
    assert "thing_add" not in house.tools.by_name


@pytest.mark.parametrize(
    "source",
    [
        THING,
        "from pipulate import Pipeline\np = Pipeline('Things')\n@p.step\ndef a(): pass\n",
        THING.replace("Thing", "Other") + "    plural = 'things'\n",
    ],
    ids=["class", "pipeline", "plural"],
)
def test_given_a_name_that_another_plugin_has_then_the_first_keeps_it(house, plugin, source):
    plugin(THING, "first")
    kept = dict(house.shelf.apps)
    assert "already taken" in plugin(source, "second").problem.what
    assert house.shelf.apps == kept


def test_an_app_stayed_away_though_the_file_that_had_its_name_was_deleted(house, plugin, apps):
    plugin(THING, "first")
    assert "already taken" in plugin(THING, "second").problem.what
    (apps / "first.py").unlink()
    house.shelf.scan()
    assert "things" in house.shelf.apps and house.shelf.failures == []


TASK = THING.replace("Thing", "Task")
OWN = [
    (TASK, "tasks"),
    (THING + "    plural = 'tasks'\n", "tasks"),
    (TASK + "    plural = 'errands'\n", "errands"),
    ("from pipulate import Pipeline\np = Pipeline('Tasks')\n@p.step\ndef a(): pass\n", "tasks"),
]


@pytest.mark.parametrize(("source", "slug"), OWN, ids=["class", "plural", "tools", "pipeline"])
def test_given_a_name_of_a_bundled_app_then_the_users_own_takes_its_place(
    house, plugin, apps, source, slug
):
    made = plugin(source)
    assert made.problem is None and house.shelf.get(slug) is made.apps[0]
    assert house.shelf.failures == [] and "task_fetch" not in house.tools.by_name
    assert [r["file"] for r in house.shelf.listing() if r["name"] == slug] == [str(made.path)]
    (apps / "mine.py").unlink()
    house.shelf.scan()
    assert "due" in house.shelf.get("tasks").fields and "task_add" in house.tools.by_name


def test_given_an_own_app_of_a_bundled_name_then_it_is_there_after_a_start(
    settings, plugin, open_house
):
    plugin(TASK)
    again = open_house().shelf
    assert again.failures == [] and [*again.get("tasks").fields] == ["x"]


@pytest.mark.parametrize("word", ["history", "search", "settings", "approvals", "chat", "call"])
def test_given_a_word_that_pages_use_then_it_is_refused(house, plugin, word):
    source = f"from pipulate import Pipeline\np = Pipeline('{word}')\n@p.step\ndef a(): pass\n"
    assert "already taken" in plugin(source).problem.what and word not in house.shelf.apps


def test_given_two_apps_of_one_address_in_a_file_then_it_is_refused(house, plugin):
    source = THING + "class Other(CrudApp):\n    y: str\n    plural = 'things'\n"
    assert "already taken" in plugin(source).problem.what and "things" not in house.shelf.apps


def test_given_a_tool_name_that_is_taken_then_nothing_of_the_file_is_registered(house, plugin):
    source = "from pipulate import CrudApp, tool\nclass Profile(CrudApp):\n    x: str\n"
    problem = plugin(source + "    plural = 'people'\n").problem
    assert "profile_list exists already" in problem.what or "profile_" in problem.what
    assert "people" not in house.shelf.apps
    assert house.tools.get("profile_list").owner == "core"


def test_an_app_or_pipeline_nobody_has_names_the_nearest(house):
    with pytest.raises(Missing) as caught:
        house.shelf.get("taks")
    assert caught.value.next_step == "Did you mean 'tasks'?"
    for slug in ("helo", "tasks"):
        with pytest.raises(Missing, match="no pipeline"):
            house.shelf.pipeline(slug)


def test_the_address_of_an_app_whose_file_has_a_fault_names_the_fault(house, apps):
    (apps / "reading.py").write_text(
        "from pipulate import CrudApp\n\nclass Book(CrudApp):\n    a: strr"
    )
    house.shelf.scan()
    with pytest.raises(Missing) as found:
        house.shelf.get("books")
    assert "reading.py, line 4: NameError" in found.value.next_step


@pytest.mark.alone
def test_a_file_saved_while_the_program_runs_is_live_within_a_second(house, apps, run):
    async def main():
        watching = asyncio.create_task(house.shelf.watch(0.05))
        await asyncio.sleep(0.1)
        (apps / "odd.py").mkdir()
        (apps / "thing.py").write_text(THING)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if "things" in house.shelf.apps:
                break
        assert not watching.done(), "the watch goes on"
        watching.cancel()

    run(main())
    assert "things" in house.shelf.apps


def test_a_fault_while_looking_does_not_end_the_watch(house, apps, run):
    def fault():
        house.shelf.on_change.remove(fault)
        raise ZeroDivisionError

    async def main():
        watching = asyncio.create_task(house.shelf.watch(0.01))
        for name in ("one", "two"):
            (apps / f"{name}.py").write_text(THING.replace("Thing", name.capitalize()))
            for _ in range(1_000):
                await asyncio.sleep(0.01)
                if f"{name}s" in house.shelf.apps:
                    break
        assert not watching.done()
        watching.cancel()

    house.shelf.on_change.append(fault)
    run(main())
    assert {"ones", "twos"} <= house.shelf.apps.keys()


def test_a_record_of_a_draft_that_cannot_be_read_is_left_alone(house, apps):
    folder = house.settings.folder("quarantine") / "odd"
    folder.mkdir()
    for name, text in (("a", "{"), ("b", "[1]"), ("c", '{"state": "waiting", "name": "odd"}')):
        (folder / f"{name}.json").write_text(text)
    assert house.shelf.scan() and house.shelf.drafts == []


def test_many_drafts_are_not_looked_at_one_by_one_while_nothing_happens(house, monkeypatch):
    about = {"name": "odd", "at": "2026-01-01", "state": "waiting", "wish": "", "version": 1}
    folder = house.settings.folder("quarantine") / "odd"
    folder.mkdir()
    for n in range(20):
        (folder / f"{n}.json").write_text(json.dumps(about))
    assert house.shelf.scan() and len(house.shelf.drafts) == 1
    looked, stat = [], type(folder).stat
    monkeypatch.setattr(type(folder), "stat", lambda path: looked.append(path) or stat(path))
    assert not house.shelf.scan()
    assert folder in looked and not [path for path in looked if path.suffix == ".json"]


def test_a_file_that_vanishes_between_two_looks_does_not_end_the_watch(house, apps, run):
    async def main():
        watching = asyncio.create_task(house.shelf.watch(0.001))
        for n in range(300):
            path = apps / f"temp{n % 3}.py"
            path.write_text(THING.replace("Thing", f"Thing{n % 3}"))
            await asyncio.sleep(0.001)
            os.unlink(path)
        assert not watching.done()
        watching.cancel()

    run(main())


def test_a_record_of_a_draft_with_odd_values_does_not_keep_the_house_from_opening(settings, run):
    settings.make_home()
    folder = settings.folder("quarantine") / "odd"
    folder.mkdir()
    about = {"name": "odd", "at": "2026-01-01", "state": "waiting", "wish": "", "version": 1}
    for n, odd in enumerate(({}, {"at": 5}, {"name": ["x"]}, {"version": {}}, {"wish": 7})):
        (folder / f"{n}.json").write_text(json.dumps(about | odd))
    house = House(settings)
    assert [draft["name"] for draft in house.shelf.drafts] == ["odd"]
    run(house.close())


def test_a_file_that_raises_what_ctrl_c_raises_does_not_end_the_program(settings, run):
    settings.make_home()
    (settings.folder("apps") / "bad.py").write_text("raise KeyboardInterrupt")
    house = House(settings)
    (failure,) = house.shelf.failures
    assert "bad.py, line 1: KeyboardInterrupt" in failure.problem.what
    run(house.close())


@pytest.mark.parametrize("source", ["import time; time.sleep(9)", "while True: pass"])
def test_given_a_file_that_never_ends_loading_then_the_house_opens_and_says_which(
    settings, run, source, monkeypatch
):
    from pipulate.apps import shelf

    monkeypatch.setattr(shelf, "IMPORT_SECONDS", 0.3)
    settings.make_home()
    (settings.folder("apps") / "bad.py").write_text(source)
    (settings.folder("apps") / "good.py").write_text(THING)
    house = House(settings)
    (failure,) = house.shelf.failures
    assert "bad.py took over 0.3 s" in failure.problem.what and "things" in house.shelf.apps
    run(house.close())


def test_while_one_file_hangs_as_it_is_loaded_others_are_live_and_its_mended_self_too(
    house, apps, run
):
    async def live(slug, source, name):
        began = time.monotonic()
        (apps / f"{name}.py").write_text(source)
        while slug not in house.shelf.apps and time.monotonic() < began + 5:
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def main():
        watching = asyncio.create_task(house.shelf.watch(0.05))
        (apps / "bad.py").write_text("import time\ntime.sleep(4)\n")
        await asyncio.sleep(0.2)
        taken = [await live("things", THING, "good")]
        taken.append(await live("mendeds", THING.replace("Thing", "Mended"), "bad"))
        await asyncio.sleep(5 - sum(taken))
        watching.cancel()
        return taken

    assert max(run(main())) < 2, "of the 4 s that it hangs"
    assert {"things", "mendeds"} <= house.shelf.apps.keys() and house.shelf.failures == []


def test_a_file_that_is_slow_to_load_comes_when_it_is_ready(house, apps, run):
    async def main():
        watching = asyncio.create_task(house.shelf.watch(0.05))
        (apps / "slow.py").write_text("import time\ntime.sleep(1)\n" + THING)
        for _ in range(200):
            await asyncio.sleep(0.02)
            if "things" in house.shelf.apps:
                break
        await asyncio.sleep(0.2)
        watching.cancel()

    before = house.shelf.version
    run(main())
    assert "things" in house.shelf.apps and house.shelf.version >= before + 1


def test_given_a_file_that_ends_the_program_then_the_next_start_leaves_it_out(settings, tmp_path):
    settings.make_home()
    path = settings.folder("apps") / "gone.py"
    path.write_text("import os\nos._exit(9)\n")
    start = [sys.executable, "-m", "pipulate", "apps", "--json", "--home", str(settings.home)]
    assert subprocess.run(start, capture_output=True, timeout=60).returncode == 9
    again = subprocess.run(start, capture_output=True, timeout=60)
    rows = {row["name"]: row for row in json.loads(again.stdout)}
    assert "ended the program" in rows["gone"]["problem"] and rows["tasks"]["problem"] is None
    path.write_text("from pipulate import CrudApp\n\nclass Back(CrudApp):\n    title: str\n")
    rows = json.loads(subprocess.run(start, capture_output=True, timeout=60).stdout)
    assert "backs" in [row["name"] for row in rows]


def test_given_a_start_that_was_killed_while_a_file_was_loaded_then_it_can_be_tried_again(
    settings, open_house
):
    settings.make_home()
    path = settings.folder("apps") / "good.py"
    path.write_text(THING)
    mark = settings.folder("locks") / f"loading-{Plugin(path, path.read_bytes()).hash[:16]}"
    mark.touch()
    shelf = open_house().shelf
    assert "may have ended the program" in shelf.failures[0].problem.what
    shelf.again("good")
    assert "things" in shelf.apps and not mark.exists()


@pytest.mark.skipif(os.name == "nt", reason="there it is when a file was made")
def test_a_save_that_keeps_size_and_time_is_seen(house, plugin):
    saved = plugin(THING, "thing")
    old = saved.path.stat()
    saved.path.write_text(THING.replace("Thing", "Thong"))
    os.utime(saved.path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert saved.path.stat().st_size == old.st_size and house.shelf.scan()
    assert "thongs" in house.shelf.apps


SPINS = """
from pipulate import CrudApp, tool

class Thing(CrudApp):
    x: str

    @tool(seconds=0.2)
    def spin(self):
        while True:
            pass
"""


def test_given_code_that_loops_three_times_then_it_rests_and_the_reason_names_the_line(
    house, plugin, call
):
    own = plugin(SPINS)
    call("thing_add", x="a")
    for _ in range(3):
        assert own.problem is None
        with pytest.raises(Problem, match="took over 0.2 s"):
            call("thing_spin", id=1)
    said = r"mine.py, line (9|10) failed three times in a row: This took over 0.2 s"
    assert re.match(said, own.problem.what)
    for tool in ("thing_get", "thing_spin"):
        with pytest.raises(Problem, match=said):
            call(tool, id=1)
    assert call("task_list")["count"] == 0, "the others work"
    call("plugin_retry", plugin="mine")
    assert call("thing_get", id=1)["x"] == "a" and house.shelf.failures == []


def test_what_is_late_elsewhere_and_what_a_plugin_refuses_is_no_fault_of_it(house, plugin):
    own = plugin(SPINS)
    late = Problem("This took over 5 s and was stopped.")
    late.stack = [("somewhere/else.py", 3)]
    for error in 3 * [late, Problem("No.")]:
        with pytest.raises(Problem), house.shelf.trying(own, "a page"):
            raise error
    assert not own.folded and own.problem is None
