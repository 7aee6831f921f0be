"""Tools: the same check, class and approval for every door."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jsonschema
import pytest

from pipulate.core import tools as tools_module
from pipulate.core.fields import Between, File, make_field
from pipulate.core.problems import (
    Busy,
    Confirm,
    Invalid,
    Missing,
    NeedsApproval,
    Problem,
    Unknown,
)
from pipulate.core.tools import Caller, Tool, limited

STARS = make_field("stars", Annotated[int, Between(0, 5)], 0)


@pytest.fixture
def ask(house, run, call):
    """ask(actor): that actor wants profile "shop" deleted; returns the approval's record."""
    call("profile_add", name="Shop")

    def asking(actor="model", **values):
        with pytest.raises(NeedsApproval) as caught:
            call("profile_delete", actor=actor, **(values or {"profile": "shop"}))
        key = caught.value.details["approval"]
        return house.db.table("approvals", logged=False)[key]

    return asking


@pytest.fixture
def decide(house, run):
    """decide(record): the user's click on Approve, with the hash that the page showed."""

    def deciding(record, yes=True, digest=None, profile=None):
        who = house.profiles.at(profile)
        return run(house.tools.decide(record["id"], digest or record["hash"], yes, who))

    return deciding


def slugs(house):
    return [p.slug for p in house.profiles.all()]


# -- the registry ----------------------------------------------------------------------------


def test_every_tool_is_listed_with_name_description_class_and_schema(house):
    listed = house.tools.listing()
    assert [t["name"] for t in listed] == sorted(house.tools.by_name)
    for tool in listed:
        assert tool["description"] and set(tool) == {"name", "description", "class", "schema"}
        assert tool["class"] in ("read", "write", "bulk", *tools_module.CAREFUL)
        jsonschema.Draft202012Validator.check_schema(tool["schema"])
        assert tool["schema"]["additionalProperties"] is False


def test_given_a_tool_nobody_has_then_the_nearest_is_named(call):
    with pytest.raises(Unknown) as caught:
        call("tsak_add", title="x")
    assert caught.value.next_step == "Did you mean 'task_add'?" and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"title": "x", "titel": "y"}, "titel", "Did you mean 'title'?"),
        ({"title": 5}, "title", "needs text"),
        ({"title": "x", "done": "true"}, "done", "true or false"),
        ({"title": "x", "due": "soon"}, "due", "2026-01-31"),
        ({}, "title", "is needed"),
        ({"title": " "}, "title", "blank"),
        ({"title": None}, "title", "empty"),
    ],
    ids=["unknown", "type", "no text for a bool", "date", "absent", "blank", "null"],
)
def test_given_wrong_arguments_then_each_is_told_and_nothing_is_saved(call, values, field, said):
    with pytest.raises(Invalid) as caught:
        call("task_add", **values)
    assert said in caught.value.details["fields"][field]
    assert call("task_list")["count"] == 0


def test_the_same_words_as_typed_text_are_read_as_a_form_reads_them(call):
    text = {"title": "x", "done": "yes", "due": "2026-01-31"}
    row = call("task_add", text=text)
    assert (row["title"], row["done"], row["due"]) == ("x", True, "2026-01-31")
    with pytest.raises(Invalid, match="nonsense"):
        call("task_add", text={"nonsense": "1"})


def test_given_a_name_that_another_owner_has_then_nothing_is_registered(house):
    before = dict(house.tools.by_name)
    fresh = [Tool(n, "x", "read", (), lambda caller: 1) for n in ("brand_new", "task_add")]
    with pytest.raises(Problem, match="task_add exists already"):
        house.tools.replace("mine.py", fresh)
    assert house.tools.by_name == before


def test_replacing_the_tools_of_an_owner_drops_those_it_has_no_longer(house):
    one, two = (Tool(n, "x", "read", (), lambda caller: 1) for n in ("one", "two"))
    house.tools.replace("mine.py", [one, two])
    house.tools.replace("mine.py", [two])
    assert "two" in house.tools.by_name and "one" not in house.tools.by_name


def test_a_call_is_one_event_by_its_caller_even_when_it_writes_much(house, call):
    def plant(caller, stars):
        for n in range(30):
            house.db.table("app_tasks", scoped=True).xtra(profile_id=1).insert(title=str(n))
        return {"stars": stars}

    house.tools.replace("mine.py", [Tool("plant", "x", "write", (STARS,), plant)])
    assert call("plant", actor="mcp", stars=3) == {"stars": 3}
    assert [(e["actor"], e["verb"], e["target"]) for e in house.events.recent(1)] == [
        ("mcp", "plant", "app_tasks/1 +29")
    ]


def test_given_a_tool_that_fails_half_way_then_nothing_of_it_is_saved(house, call):
    def half(caller):
        house.db.table("app_tasks", scoped=True).xtra(profile_id=1).insert(title="half")
        raise ValueError("oh")

    house.tools.replace("mine.py", [Tool("half", "x", "write", (), half)])
    with pytest.raises(ValueError):
        call("half")
    assert call("task_list")["count"] == 0


# -- who has to ask --------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["model", "mcp"])
def test_given_a_destructive_call_by_a_program_then_it_is_stored_and_not_run(house, ask, actor):
    record = ask(actor)
    assert "shop" in slugs(house)
    assert (record["tool"], record["actor"], record["state"]) == (
        "profile_delete",
        actor,
        "waiting",
    )
    assert json.loads(record["arguments"]) == {"profile": "shop"}


def test_the_caller_is_told_at_once_where_the_user_can_decide(house, ask, call):
    heard = []
    house.tools.on_approval.append(heard.append)
    with pytest.raises(NeedsApproval) as caught:
        call("profile_delete", actor="mcp", profile="default")
    told = caught.value.details
    assert told["address"] == f"/default/approvals/{told['approval']}" == heard[0]["address"]
    assert told["address"] in caught.value.next_step


@pytest.mark.parametrize("actor", ["user", "shell", "model", "mcp"])
def test_undoable_calls_need_no_question(call, actor):
    assert call("task_add", actor=actor, title="x")["id"] == 1


def test_a_person_in_the_shell_says_yes_first(house, ask, call):
    with pytest.raises(Confirm) as caught:
        call("profile_delete", actor="shell", profile="shop")
    assert caught.value.exit_code == 3 and "shop" in slugs(house)
    call("profile_delete", actor="shell", profile="shop", confirmed=True)
    assert "shop" not in slugs(house)


def test_who_changes_many_rows_in_the_shell_is_not_told_that_it_cannot_be_undone(call):
    for n in range(21):
        call("task_add", title=f"{n}")
    with pytest.raises(Confirm, match="rows_delete may change more than 20 rows"):
        call("rows_delete", actor="shell", app="tasks", where="all=1")


@pytest.mark.parametrize("count", [20, 21])
def test_more_than_twenty_rows_at_once_need_approval_whatever_the_class(house, call, count):
    rows = make_field("rows", list)
    house.tools.replace("x", [Tool("bulk", "x", "write", (rows,), lambda caller, rows: len(rows))])
    if count > 20:
        with pytest.raises(NeedsApproval):
            call("bulk", actor="model", rows=[1] * count)
    else:
        assert call("bulk", actor="model", rows=[1] * count) == count


def test_wrong_arguments_are_refused_before_anybody_is_asked(house, call):
    with pytest.raises(Invalid):
        call("profile_delete", actor="model", profil="shop")
    assert house.db.all("SELECT * FROM approvals") == []


# -- deciding --------------------------------------------------------------------------------


def test_given_a_click_then_the_stored_call_runs_once_as_its_caller(house, ask, decide):
    record = ask()
    assert decide(record) == {"deleted": "shop", "hidden": {}}
    assert "shop" not in slugs(house)
    assert house.events.recent(1, 1)[0]["actor"] == "model"
    with pytest.raises(Problem, match="used or replaced"):
        decide(record)


def test_the_result_can_be_fetched_later_by_the_one_who_asked(ask, decide, call):
    record = ask()
    assert call("approval_result", actor="model", approval=record["id"])["state"] == "waiting"
    decide(record)
    told = call("approval_result", actor="model", approval=record["id"])
    assert told == {"state": "done", "result": {"deleted": "shop", "hidden": {}}}


def test_given_no_then_nothing_runs_and_a_later_yes_comes_too_late(house, ask, decide):
    record = ask()
    assert decide(record, yes=False) == {"rejected": record["id"]}
    with pytest.raises(Problem, match="used or replaced"):
        decide(record)
    assert "shop" in slugs(house)


@pytest.mark.parametrize("digest", ["0" * 64, "x"])
def test_given_another_hash_than_the_stored_one_then_nothing_runs(house, ask, decide, digest):
    record = ask()
    with pytest.raises(Problem, match="used or replaced"):
        decide(record, digest=digest)
    assert "shop" in slugs(house)


@pytest.mark.parametrize(("minutes", "runs"), [(9, True), (11, False)])
def test_an_approval_lasts_ten_minutes(house, ask, decide, minutes, runs):
    record = ask()
    lasting = datetime.fromisoformat(record["expires_utc"]) - datetime.now(UTC)
    assert timedelta(minutes=9, seconds=50) < lasting <= timedelta(minutes=10)
    at = (datetime.now(UTC) + timedelta(minutes=10 - minutes)).isoformat()
    house.db.execute("UPDATE approvals SET expires_utc = ?", (at,))
    if runs:
        assert decide(record)["deleted"] == "shop"
    else:
        with pytest.raises(Problem, match="over ten minutes"):
            decide(record)
    assert ("shop" in slugs(house)) is not runs


# -- several calls of one turn, approved as one ---------------------------------------------


@pytest.fixture
def together(house, run, call):
    """together(*slugs): one turn of the model wants these profiles deleted; what the page shows."""
    for name in ("One", "Two", "Three", "Four"):
        call("profile_add", name=name)
    me = house.profiles.at()

    def asking(*slugs, turn="turn-1"):
        for slug in slugs:
            with pytest.raises(NeedsApproval):
                model = Caller("model", me, turn=turn)
                run(house.tools.call("profile_delete", {"profile": slug}, model))
        return house.tools.approval(turn, me)

    return asking


def states(house):
    return [row["state"] for row in house.db.all("SELECT state FROM approvals ORDER BY rowid")]


def test_one_click_runs_all_that_it_listed_in_their_order_and_once(house, together, decide):
    asked = together("one", "two")
    assert asked["shown"].splitlines() == [
        'profile_delete {"profile":"one"}',
        'profile_delete {"profile":"two"}',
    ]
    results = decide(asked)
    assert [each["result"]["deleted"] for each in results] == ["one", "two"]
    assert {each["tool"] for each in results} == {"profile_delete"}
    assert slugs(house)[1:] == ["three", "four"] and states(house) == ["done", "done"]
    with pytest.raises(Missing):
        decide(asked)


def test_a_click_on_an_approval_while_somebody_saves_holds_up_nobody_else(house, run, ask):
    record, saving, me = ask(), threading.Event(), house.profiles.at()

    def save():
        with house.db.writing():
            saving.set()
            time.sleep(1.5)

    async def deciding():
        threading.Thread(target=save).start()
        await asyncio.to_thread(saving.wait)
        click, late = house.tools.decide(record["id"], record["hash"], True, me), 0.0
        click = asyncio.create_task(click)
        while not click.done():
            began = time.monotonic()
            await asyncio.sleep(0.02)
            late = max(late, time.monotonic() - began)
        return await click, late

    result, late = run(deciding())
    assert result["deleted"] == "shop" and late < 1


@pytest.mark.parametrize("odd", ["\u2028", "\u202e", "\x85", "\u200b"])
def test_no_character_makes_an_approval_look_like_another_call(together, odd):
    shown = together(f"one{odd}profile_list {{}}")["shown"]
    assert shown == f'profile_delete {{"profile":"one\\u{ord(odd):04x}profile_list {{}}"}}'


def test_one_that_breaks_leaves_the_others_approved_with_it_not_undone(
    house, together, decide, monkeypatch
):
    asked, delete = together("one", "two"), house.profiles.delete

    def deleting(profile):
        if profile.slug == "one":
            raise ZeroDivisionError("broken")
        delete(profile)

    monkeypatch.setattr(house.profiles, "delete", deleting)
    broken, done = decide(asked)
    assert "Something went wrong here; reference" in broken["result"]["problem"]
    assert done["result"]["deleted"] == "two" and states(house) == ["done", "done"]


def test_a_click_that_rejects_them_runs_none(house, together, decide):
    assert decide(together("one", "two"), yes=False) == {"rejected": "turn-1"}
    assert "one" in slugs(house) and states(house) == ["rejected"] * 2


def test_a_call_that_came_later_does_not_ride_along(house, together, decide):
    looked_at = together("one", "two")
    together("three")
    with pytest.raises(Problem, match="used or replaced"):
        decide(looked_at)
    assert {"one", "two", "three"} <= {*slugs(house)} and states(house) == ["waiting"] * 3


def test_nor_one_that_was_decided_by_itself_meanwhile(house, together, decide):
    looked_at = together("one", "two", "three")
    decide(looked_at["calls"][1], yes=False)
    with pytest.raises(Problem, match="used or replaced"):
        decide(looked_at)
    decide(together())
    assert slugs(house)[1:] == ["two", "four"]


def test_nor_one_of_another_turn_nor_one_that_expired(house, together, decide):
    together("one", turn="turn-2")
    late = together("two", "three")["calls"][0]
    house.db.execute("UPDATE approvals SET expires_utc = '2000' WHERE id = ?", (late["id"],))
    assert decide(together())[0]["result"]["deleted"] == "three"
    assert {"one", "two"} <= {*slugs(house)}


def test_given_one_of_them_that_fails_then_its_problem_is_told_and_the_others_run(
    house, together, decide
):
    first, second = decide(together("nowhere", "four"))
    assert first["result"]["kind"] == "missing" and second["result"]["deleted"] == "four"


def test_they_are_of_one_profile(house, call, together, decide):
    asked = together("one", "two")
    with pytest.raises(Missing):
        decide(asked, profile="four")


@pytest.fixture
def wait(house, plugin, call):
    """wait(tool, **values): the model's call waits; returns its approval's record."""
    plugin(
        """
        from pipulate import CrudApp, Secret, tool

        class Account(CrudApp):
            name: str
            key: Secret | None = None

            @tool(kind="outside")
            def send(self, key: Secret):
                self.table.update(id=self.id, key=key)
        """
    )
    call("account_add", name="Bank")

    def waiting(tool, **values):
        with pytest.raises(NeedsApproval) as caught:
            call(tool, actor="model", **values)
        assert "hunter2" not in str(caught.value.as_dict())
        return house.db.table("approvals", logged=False)[caught.value.details["approval"]]

    return waiting


@pytest.mark.parametrize(
    ("tool", "values"),
    [
        ("account_send", {"id": 1, "key": "hunter2-hunter2"}),
        ("rows_update", {"app": "account", "values": {"key": "hunter2-hunter2"}, "ids": [1] * 21}),
    ],
)
def test_a_secret_that_waits_for_approval_is_never_shown_and_forgotten_once_decided(
    house, wait, decide, tool, values
):
    record = wait(tool, **values)
    card = house.tools.approval(record["id"], house.profiles.at())["shown"]
    assert card.startswith(f"{tool} {{") and '"key":"…"' in card and "hunter2" not in card
    assert "hunter2" not in str(decide(record))
    row = house.shelf.crud("account").rows(house.caller("user"))[1]
    assert row.follow("key") == "hunter2-hunter2"
    assert "hunter2" not in str(house.db.all("SELECT * FROM approvals"))


@pytest.mark.parametrize("end", ["rejected", "expired"])
def test_given_nobody_says_yes_then_the_arguments_are_forgotten_too(house, wait, decide, end):
    record = wait("account_send", id=1, key="hunter2-hunter2")
    house.tools.expire()
    assert "hunter2" in house.db.one("SELECT arguments FROM approvals")["arguments"]
    if end == "expired":
        house.db.execute("UPDATE approvals SET expires_utc = ?", (record["expires_utc"][:3],))
        house.tools.expire()
    else:
        decide(record, yes=False)
    assert house.db.one("SELECT arguments FROM approvals")["arguments"] == ""
    found = house.tools.approval(record["id"], house.profiles.at())
    assert found["shown"] == "account_send"
    assert found["state"] == end, "so that its card offers no button"


def test_an_approval_is_of_one_profile(ask, decide, call):
    record = ask()
    with pytest.raises(Missing):
        decide(record, profile="shop")
    with pytest.raises(Missing, match="approvals has no row"):
        call("approval_result", at="shop", approval=record["id"])


def test_given_two_clicks_at_once_then_it_runs_once(house, ask, run):
    ran = []
    house.tools.replace("x", [Tool("boom", "x", "outside", (), lambda caller: ran.append(1))])
    caller = house.caller("model")
    record = house.tools.request(house.tools.get("boom"), {}, caller)

    async def both():
        click = (record["id"], record["hash"], True, caller.profile)
        clicks = [house.tools.decide(*click) for _ in "ab"]
        return await asyncio.gather(*clicks, return_exceptions=True)

    results = run(both())
    assert ran == [1] and sum(isinstance(r, Problem) for r in results) == 1


def test_given_a_file_that_a_step_gave_then_the_approved_call_takes_it(house, decide, call):
    path = house.files.new_folder("uploads") / "tasks.csv"
    path.write_text("title\nBuy milk\n")
    with pytest.raises(NeedsApproval) as caught:
        call("rows_import", actor="model", app="tasks", file=File(path))
    record = house.tools.approvals[caught.value.details["approval"]]
    assert decide(record)["add"] == 1


def test_a_size_that_takes_its_time_holds_up_nobody(house, call):
    threads = []

    def size(caller):
        threads.append(threading.current_thread())
        return 1

    house.tools.replace("x", [Tool("slow", "x", "write", (), lambda caller: 1, size=size)])
    assert call("slow", actor="model") == 1
    assert threads and threading.main_thread() not in threads


def test_given_a_call_that_fails_when_approved_then_its_problem_is_the_result(ask, decide, call):
    record = ask(profile="nobody")
    assert decide(record)["kind"] == "missing"
    told = call("approval_result", approval=record["id"])
    assert told["state"] == "done" and told["result"]["problem"] == "There is no profile 'nobody'."


# -- code that does not end ------------------------------------------------------------------


def loop(ended):
    try:
        while True:
            time.sleep(0)
    finally:
        ended.append("loop")


def stubborn(ended):
    try:
        while True:
            try:
                time.sleep(0)
            except Exception:
                continue
    finally:
        ended.append("stubborn")


@pytest.mark.parametrize("endless", [loop, stubborn], ids=lambda f: f.__name__)
def test_given_plugin_code_that_does_not_end_then_it_is_stopped_and_the_rest_goes_on(
    run, endless, until
):
    ended = []

    async def main():
        with pytest.raises(Problem, match="took over 0.2 s") as caught:
            await limited(endless, ended, seconds=0.2)
        assert "step" in caught.value.next_step

    run(main())
    until(lambda: ended)


@pytest.mark.parametrize("stopped", [False, True], ids=["at its limit", "by whoever waits for it"])
def test_a_coroutine_of_a_plugin_that_waits_for_ever_is_stopped(run, until, stopped):
    began, ended = threading.Event(), threading.Event()

    async def endless():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def main():
        waiting = asyncio.create_task(limited(endless, seconds=60 if stopped else 0.1))
        await asyncio.to_thread(began.wait, 10)
        if stopped:
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError if stopped else Problem):
            await waiting

    run(main())
    until(ended.is_set)


def test_given_plugin_code_that_ends_just_at_its_limit_then_what_its_thread_does_next_goes_on(
    run, monkeypatch
):
    ended, interrupt = threading.Event(), tools_module.interrupt

    def late(thread):
        ended.wait(10)  # so much was done between the end of its time and this
        time.sleep(0.05)
        interrupt(thread)

    async def main():
        with pytest.raises(Problem, match="took over"):
            await limited(lambda: (time.sleep(0.1), ended.set()), seconds=0.02)
        assert await limited(threading.get_ident, seconds=5)

    monkeypatch.setattr(tools_module, "interrupt", late)
    run(main())


@pytest.mark.parametrize("endless", [loop, stubborn], ids=lambda f: f.__name__)
def test_given_a_tool_that_loops_inside_its_change_then_the_write_lock_is_free_afterwards(
    house, call, endless
):
    def stuck(caller):
        house.db.table("app_tasks", scoped=True).xtra(profile_id=1).insert(title="half")
        endless([])

    house.tools.replace("x", [Tool("stuck", "x", "write", (), stuck, seconds=0.2)])
    with pytest.raises(Problem, match="was stopped"):
        call("stuck")
    began = time.monotonic()
    assert call("task_add", title="whole")["id"] == 1, "and what it wrote is gone"
    assert time.monotonic() - began < 2


def test_given_a_tool_that_hangs_beneath_python_after_it_has_written_then_others_can_save(
    house, call, monkeypatch
):
    monkeypatch.setattr("pipulate.core.store.WAIT", 0.3)
    woken, ended, refused = threading.Event(), threading.Event(), []
    tasks = house.db.table("app_tasks", scoped=True).xtra(profile_id=1)

    def stuck(caller):
        tasks.insert(title="half")
        try:
            woken.wait(60)  # no interrupt reaches it there
        except BaseException:
            with pytest.raises(Exception) as caught:
                tasks.insert(title="late")
            refused.append(caught.value)
        finally:
            ended.set()

    house.tools.replace("x", [Tool("stuck", "x", "write", (), stuck, seconds=0.2)])
    with pytest.raises(Problem, match="was stopped"):
        call("stuck")
    assert call("task_add", title="whole")["id"] == 1, "what hangs is taken back"
    assert call("task_add", title="more")["id"] == 2
    woken.set()
    assert ended.wait(10) and "closed" in repr(refused).lower()
    assert call("task_add", title="last")["id"] == 3, "though it woke, all goes on"
    assert [row["title"] for row in tasks(order_by="id")] == ["whole", "more", "last"]


def test_given_a_tool_that_hangs_after_it_has_written_then_others_are_stopped_for_waiting_as_long(
    house, call
):
    """They have five seconds in all, and were to wait five before they took it back."""
    woken = threading.Event()
    tasks = house.db.table("app_tasks", scoped=True).xtra(profile_id=1)

    def stuck(caller):
        tasks.insert(title="half")
        woken.wait(60)

    house.tools.replace("x", [Tool("stuck", "x", "write", (), stuck, seconds=0.2)])
    with pytest.raises(Problem, match="was stopped"):
        call("stuck")
    began = time.monotonic()
    assert call("task_add", title="whole")["id"] == 1
    assert time.monotonic() - began < 3
    woken.set()


def test_a_change_that_only_takes_long_is_never_taken_back(house, call, monkeypatch):
    monkeypatch.setattr("pipulate.core.store.WAIT", 0.2)
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        with house.db.change(verb="import"):
            house.db.table("app_tasks", scoped=True).xtra(profile_id=1).insert(title="slow")
            begun.set()
            go_on.wait(10)

    thread = threading.Thread(target=slow)
    thread.start()
    assert begun.wait(5)
    with pytest.raises(Busy, match="still being saved"):
        call("task_add", title="quick")
    go_on.set()
    thread.join()
    assert call("task_list")["count"] == 1
