"""Turns in one process: rounds of tools, printed calls, remarks, saying it again, the summary."""

import asyncio
import json
import re
import socket
from dataclasses import replace

import pytest

from model_server import ModelServer, Reply
from pipulate.ai import chat as chats
from pipulate.ai.chat import UNTOLD, Chat
from pipulate.ai.complete import connect
from pipulate.ai.models import Model
from pipulate.core.fields import dumps
from pipulate.core.problems import Busy, Missing, Problem
from pipulate.core.store import now


class Talk:
    """A conversation of the first profile with a scripted model; `heard` is what tabs are told."""

    def __init__(self, house, run, server):
        self.house, self.run, self.server, self.heard = house, run, server, []
        self.profile = house.profiles.at()

        async def make():
            self.chat = Chat(house, connect(house), lambda *said: self.heard.append(said))
            self.chat.there = True

        run(make())

    async def ended(self):
        while task := self.chat.turns.get(self.profile.id):
            await asyncio.wait([task])

    def say(self, text, *replies, at=""):
        """The messages that the turn adds, as (role, text)."""
        self.server.script(*replies)
        last = self.rows()[-1]["id"] if self.rows() else 0

        async def turn():
            await self.chat.say(self.profile, text, at)
            await self.ended()

        self.run(turn())
        return [(row["role"], row["text"]) for row in self.rows() if row["id"] > last]

    def remark(self, size="key", what="the run is done", at="", reply="Well done."):
        self.server.script(reply)

        async def word():
            self.chat.remark(self.profile, size, what, at)
            await self.ended()

        before = self.rows()
        self.run(word())
        return [row["text"] for row in self.rows() if row not in before]

    def rows(self):
        return self.chat.history(self.profile.id, 1_000)

    def sent(self, at=-1):
        """The messages of a request, without the first."""
        return self.server.requests[at]["messages"][1:]

    def offered(self, at=-1):
        return [tool["function"]["name"] for tool in self.server.requests[at]["tools"]]


@pytest.fixture
def talk(house, run):
    with ModelServer() as server:
        house.settings = replace(house.settings, model_url=server.url, model="stand-in")
        yield Talk(house, run, server)


ADD = '{"name": "task_add", "arguments": {"title": "Milk"}}'


# -- printed calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [ADD, f"```json\n{ADD}\n```", f"<tool_call>{ADD}</tool_call>"])
def test_a_call_that_a_model_prints_is_made_and_its_text_is_not_shown(talk, call, text):
    said = talk.say("Add milk", text, "I added it.")
    assert [role for role, _ in said] == ["user", "assistant", "tool", "assistant"]
    assert said[1] == ("assistant", "") and said[3] == ("assistant", "I added it.")
    assert [row["title"] for row in call("task_list")["rows"]] == ["Milk"]
    asked, given, result = talk.sent()[:3]
    assert given["tool_calls"][0]["function"]["name"] == "task_add"
    assert result["tool_call_id"] == given["tool_calls"][0]["id"]


def test_a_printed_call_is_checked_and_goes_back_twice_as_any_other(talk, call):
    wrong = [ADD.replace("title", f"titel{n}") for n in range(3)]
    said = talk.say("Add milk", wrong[0], ADD, "I added it.")
    assert "Did you mean 'title'?" in said[2][1] and said[-1] == ("assistant", "I added it.")
    assert [row["title"] for row in call("task_list")["rows"]] == ["Milk"]
    said = talk.say("And again", *wrong, "never asked for")
    assert said[-1][0] == "note" and "do not fit, 3 times" in said[-1][1]
    assert call("task_list")["count"] == 1
    talk.server.queue.clear()


def test_a_model_whose_server_refuses_tools_was_of_no_use_at_all(talk, call):
    """Ollama answers 400 then, and llama.cpp's server 500: they are told in words instead."""
    talk.server.knows_tools = False
    assert talk.say("Hello", "Hi.")[-1] == ("assistant", "Hi.")
    assert talk.say("Add milk", ADD, "I added it.")[-1] == ("assistant", "I added it.")
    assert [row["title"] for row in call("task_list")["rows"]] == ["Milk"]
    asked = talk.server.requests[-1]
    first, *said = asked["messages"]
    assert "tools" not in asked and '"name":"task_add"' in first["content"]
    assert not any("tool" in said["role"] or "tool_calls" in said for said in asked["messages"])
    assert json.loads(said[-2]["content"])[0]["name"] == "task_add"
    assert said[-1]["role"] == "user" and '"title":"Milk"' in said[-1]["content"]


def test_a_key_that_a_server_repeats_in_an_error_was_shown_in_the_talk(talk, house, monkeypatch):
    house.settings_of().set("model_key:there", "sk-planted-1", secret=True)

    async def lines(model, body):
        yield 'data: {"error": {"message": "wrong key: sk-planted-1"}}'

    monkeypatch.setattr(Model, "_lines", lines)
    kind, text = talk.say("Hello")[-1]
    assert kind == "note" and "wrong key: …" in text and "planted" not in text


def test_a_call_that_a_model_only_speaks_of_is_not_made(talk, call):
    talk.say("How would you?", f"I would write {ADD} and so add it.")
    assert call("task_list")["count"] == 0


def test_of_a_model_that_calls_by_the_protocol_text_is_text(talk, call):
    """Else whoever can make it repeat a line from a page or a row could make it act."""
    talk.say("List", Reply(tools=[("task_list", {})]), "None.")
    said = talk.say("What does the note say? Word by word.", ADD)
    assert said[-1] == ("assistant", ADD) and call("task_list")["count"] == 0


def test_a_result_that_is_cut_says_so_first_and_how_long_it_was(talk, call):
    call("task_add", title="short")
    talk.say("List", Reply(tools=[("task_list", {})]), "One.")
    assert talk.sent()[2]["content"].startswith('{"rows":[')
    for n in range(30):
        call("task_add", title=f"{n} {'long ' * 100}")
    talk.say("List", Reply(tools=[("task_list", {})]), "Many.")
    (said,) = re.findall(r"first 8,000 of (\d\d,\d{3}) characters", talk.sent()[-1]["content"])
    assert int(said.replace(",", "")) == len(dumps(call("task_list")))


def test_thoughts_are_kept_apart_and_no_call_in_them_counts(talk, call):
    talk.say("Hm", f"<think>{ADD}</think>Better not.")
    (row,) = [row for row in talk.rows() if row["role"] == "assistant"]
    assert (row["thinking"], row["text"]) == (ADD, "Better not.")
    assert call("task_list")["count"] == 0
    talk.say("And?", "No.")
    assert ADD not in json.dumps(talk.sent()), "thoughts are not sent again"


def test_stop_before_the_answer_is_kept_leaves_no_message_that_streams_for_ever(talk, monkeypatch):
    talk.server.script(Reply("too late", first_delay=5))
    keep, begun = talk.chat._keep, asyncio.Event()

    async def slowly(profile_id, row):
        if row["state"] == "streaming":
            begun.set()
            await asyncio.sleep(0.05)
        return await keep(profile_id, row)

    async def stopped():
        await talk.chat.say(talk.profile, "Hello")
        await begun.wait()
        await talk.chat.stop(talk.profile.id)

    monkeypatch.setattr(talk.chat, "_keep", slowly)
    talk.run(stopped())
    assert [row["state"] for row in talk.rows()] == ["done", "stopped"]
    talk.server.queue.clear()


# -- while what was said is being saved ----------------------------------------------------------


@pytest.fixture
def disk(talk, monkeypatch):
    """The disk takes what the user says once `disk.free` is set; refuses it with `disk.error`."""

    class Disk:
        free, error = asyncio.Event(), None

    keep = talk.chat._keep

    async def slowly(profile_id, row):
        if row["role"] == "user":
            await Disk.free.wait()
            if Disk.error:
                raise Disk.error
        return await keep(profile_id, row)

    monkeypatch.setattr(talk.chat, "_keep", slowly)
    return Disk


async def until(true):
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def test_the_model_is_asked_while_what_was_said_is_saved_and_nothing_is_shown_before(talk, disk):
    talk.run(talk.chat.choice.model(talk.profile.id))
    talk.server.script("Hi to you.")

    async def both():
        saying = asyncio.create_task(talk.chat.say(talk.profile, "Hello"))
        await until(lambda: talk.server.requests)
        assert talk.sent() == [{"role": "user", "content": "Hello"}]
        assert not talk.heard and not talk.rows()
        disk.free.set()
        await saying
        await talk.ended()

    talk.run(both())
    assert [row["text"] for row in talk.rows()] == ["Hello", "Hi to you."]
    assert [row["role"] for _, kind, row in talk.heard if kind == "message"] == [
        *("user", "assistant"),
    ]


def test_a_stop_that_comes_before_a_message_is_saved_ends_its_turn_and_keeps_it(talk, disk):
    async def both():
        saying = asyncio.create_task(talk.chat.say(talk.profile, "Hello"))
        await until(lambda: talk.chat.turns)
        await talk.chat.stop(talk.profile.id)
        disk.free.set()
        await saying
        assert not talk.chat.turns

    talk.run(both())
    assert [row["text"] for row in talk.rows()] == ["Hello"]


def test_what_cannot_be_saved_is_neither_shown_nor_answered(talk, disk):
    talk.run(talk.chat.choice.model(talk.profile.id))
    talk.server.script("Hi to you.")
    disk.error = Busy("The disk is full; this was not saved.")
    disk.free.set()
    with pytest.raises(Busy):
        talk.run(talk.chat.say(talk.profile, "Hello"))
    assert not talk.rows() and not talk.heard and not talk.chat.turns
    talk.server.queue.clear()


def test_an_answer_that_cannot_be_saved_comes_to_its_end_and_the_user_is_told(talk, monkeypatch):
    keep = talk.chat._keep

    async def full(profile_id, row):
        if row["state"] in ("done", "failed") and row["role"] != "user":
            raise Busy("The disk is full; this was not saved.")
        return await keep(profile_id, row)

    monkeypatch.setattr(talk.chat, "_keep", full)
    talk.say("Hello", "Hi to you.")
    told = [(kind, row["text"]) for _, kind, row in talk.heard if kind in ("final", "message")]
    assert told[-2] == ("final", "Hi to you.")
    assert told[-1][0] == "message" and "disk is full" in told[-1][1]


def test_what_another_tab_says_while_a_message_is_said_again_is_not_taken_along(talk):
    talk.say("First", "one")
    talk.server.script("anew", "two")

    async def both():
        say = talk.chat.say(talk.profile, "Second")
        await asyncio.gather(talk.chat.again(talk.profile), say)
        await talk.ended()

    talk.run(both())
    assert [row["text"] for row in talk.rows() if row["role"] == "user"] == ["First", "Second"]
    talk.server.queue.clear()


# -- rounds --------------------------------------------------------------------------------------


def test_several_calls_of_one_answer_and_several_rounds(talk, call):
    add = [("task_add", {"title": title}) for title in ("one", "two")]
    said = talk.say("Go", Reply("I will.", tools=add), Reply(tools=[("task_list", {})]), "Done.")
    assert [role for role, _ in said] == [
        *("user", "assistant", "tool", "tool", "assistant", "tool", "assistant"),
    ]
    assert call("task_list")["count"] == 2
    turns = {event["turn"] for event in talk.house.events.recent(1, 2)}
    assert len(turns) == 1 and None not in turns, "one turn can be undone as one"


def test_tools_that_were_found_are_offered_in_the_next_round(talk, plugin):
    for n in range(14):
        plugin(f"from pipulate import CrudApp\nclass Thing{n}(CrudApp):\n    a: str\n", f"thing{n}")
    words = {"words": "thing13 put behind another"}
    talk.say("Move it", Reply(tools=[("find_tool", words)]), "There it is.")
    assert "thing13_move" not in talk.offered(0) and "thing13_move" in talk.offered(1)
    assert len(talk.offered(1)) < len(talk.house.tools.by_name)


def test_calls_that_never_fit_go_back_twice_then_the_user_is_told(talk):
    wrong = [Reply(tools=[("task_add", {"titel": f"{n}"})]) for n in range(9)]
    said = talk.say("Add", *wrong)
    assert "do not fit, 3 times in a row" in said[-1][1] and len(talk.server.requests) == 3
    assert "Did you mean 'title'?" in talk.sent()[-1]["content"]
    talk.server.queue.clear()


def test_one_that_fits_begins_the_count_anew(talk, call):
    wrong = [Reply(tools=[("task_add", {"titel": f"{n}"})]) for n in range(2)]
    good = Reply(tools=[("task_add", {"title": "x"})])
    said = talk.say("Add", *wrong, good, *wrong[::-1], "Done.")
    assert said[-1] == ("assistant", "Done.") and call("task_list")["count"] == 1


def test_a_turn_that_takes_over_three_minutes_begins_no_more_calls(talk, monkeypatch, call):
    assert chats.TURN == 180
    monkeypatch.setattr(chats, "TURN", -1.0)
    said = talk.say("Go", Reply("I will.", tools=[("task_add", {"title": "late"})]))
    assert "its last calls were not made" in said[-1][1] and call("task_list")["count"] == 0
    next_time = talk.chat.prompt(talk.profile, "", 8_192)
    assert "This call was not run." in json.dumps(next_time)


THIRD = "the third of ten"
LONG = """
    import time
    from pathlib import Path
    from pipulate import Pipeline
    long = Pipeline("Long", "Takes its time.")
    @long.step
    def work(job, until: str):
        job.progress(3, 10, "the third of ten")
        while not Path(until).exists():
            time.sleep(0.05)
        return "at last"
"""


def test_long_work_goes_on_while_the_user_is_kept_company_with_its_true_progress(
    talk, plugin, call, monkeypatch, tmp_path
):
    monkeypatch.setattr(chats, "ASIDE", 0.2)
    assert plugin(LONG).problem is None
    started = Reply(tools=[("long_run", {"until": str(tmp_path / "end")})])
    said = talk.say("Do it for me", started, "It is at work.")
    assert said[-1] == ("assistant", "It is at work.") and "run_get tells" in said[-2][1]
    kept = [json.loads(row["calls"])[0] for row in talk.rows() if row["role"] == "tool"]
    began = [event["id"] for event in talk.house.events.recent(1, 9) if not event["changed"]]
    assert began and not {*kept[0]["events"]} & {*began}, "that a step began is no change to undo"

    async def until(held):
        for _ in range(600):
            if held():
                return True
            await asyncio.sleep(0.05)

    jobs = talk.house.jobs.live
    assert talk.run(until(lambda: [job.message for job in jobs.values()] == ["the third of ten"]))
    talk.say("How far is it? And tell me a joke.", "A third, and: knock, knock.")
    assert "step work, 3 of 10" in talk.server.requests[-1]["messages"][0]["content"]
    assert jobs, "what the user says meanwhile does not end it"
    (tmp_path / "end").touch()
    assert talk.run(until(lambda: not jobs and not talk.chat.aside))
    assert call("run_output", run=1, step="work") == "at last"


def test_of_a_call_that_was_stopped_nobody_says_that_it_was_not_run(talk, plugin, tmp_path):
    assert plugin(LONG).problem is None
    talk.server.script(Reply(tools=[("long_run", {"until": str(tmp_path / "end")})]))

    async def stopped():
        await talk.chat.say(talk.profile, "Do it")
        await until(lambda: [job.message for job in talk.house.jobs.live.values()] == [THIRD])
        await talk.chat.stop(talk.profile.id)
        await until(lambda: not talk.house.jobs.live)

    talk.run(stopped())
    assert talk.rows()[-1]["role"] == "tool" and "Stopped before its end" in talk.rows()[-1]["text"]
    talk.say("And?", "It was stopped.")
    assert "Stopped before its end" in talk.sent()[2]["content"]


def test_a_tool_that_fails_by_a_fault_of_its_own_is_told_and_the_turn_goes_on(talk, plugin, call):
    plugin("""
        from pipulate import CrudApp, tool
        class Bad(CrudApp):
            name: str
            @tool
            def explode(self):
                raise RuntimeError("the secret is 4711")
    """)
    call("bad_add", name="x")
    said = talk.say("Go", Reply(tools=[("bad_explode", {"id": 1})]), "It failed.")
    assert said[-1] == ("assistant", "It failed.") and "reference" in said[-2][1]
    assert "4711" not in json.dumps(talk.server.requests)


@pytest.mark.parametrize("half", ['{"title": "\\ud800"}', '"\ud800"', '{"title": "\ud800"}'])
def test_half_a_pair_in_a_call_is_refused_and_no_fault(talk, call, half):
    reply = json.dumps({"name": "task_add", "arguments": half})
    said = talk.say("Go", reply, "Sorry.")
    assert said[-1] == ("assistant", "Sorry.")
    assert not any("went wrong" in text for _, text in said)


def test_a_server_that_broke_is_looked_for_again(house, run):
    """Another one, on another port, answers the next message: no restart, no setting."""
    with ModelServer("from the first") as first:
        house.settings = replace(house.settings, ollama_url=first.url)
        talk = Talk(house, run, first)
        assert talk.say("Hello")[-1] == ("assistant", "from the first")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nowhere = f"http://127.0.0.1:{gone.getsockname()[1]}"
    house.settings = replace(house.settings, ollama_url=nowhere)
    assert "connection to the model broke" in talk.say("Still there?")[-1][1]
    with ModelServer("from the second") as second:
        house.settings = replace(house.settings, ollama_url=second.url)
        assert talk.say("And now?")[-1] == ("assistant", "from the second")


# -- remarks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted, key, small",
    [(None, True, False), ("key", True, False), ("quiet", False, False), ("talkative", True, True)],
)
def test_a_remark_is_made_as_far_as_the_profile_wants_it(talk, wanted, key, small):
    talk.house.settings_of(str(talk.profile.id))["remarks"] = wanted
    assert bool(talk.remark("key")) == key
    talk.chat.remarked.clear()
    assert bool(talk.remark("small")) == small


def test_a_remark_is_told_what_happened_and_where_and_can_call_nothing(talk):
    assert talk.remark(what="the run Links is done", at="/default/tasks") == ["Well done."]
    first, asked = talk.server.requests[-1]["messages"]
    assert "in the app Tasks" in first["content"] and "the run Links is done" in asked["content"]
    assert "tools" not in talk.server.requests[-1]


@pytest.mark.parametrize("nothing", ["-", " – ", "", "—\n"])
def test_where_there_is_nothing_to_say_nothing_stays(talk, nothing):
    assert talk.remark(reply=nothing) == [] and talk.heard[-1][1] == "gone"


def test_a_remark_with_nothing_to_say_takes_along_no_message_that_came_meanwhile(talk):
    talk.server.script(Reply("-", first_delay=0.3), "It is gone.")

    async def both():
        talk.chat.remark(talk.profile, "key", "something")
        while not talk.server.requests:
            await asyncio.sleep(0.01)
        await talk.chat.decided(talk.profile, "x", {"deleted": "y"})
        await talk.ended()

    talk.run(both())
    assert [row["role"] for row in talk.rows()] == ["note", "assistant"]


def test_nor_does_it_take_along_an_answer_that_was_kept_before_it_had_ended(talk):
    talk.server.script(Reply("-", first_delay=0.3))

    async def both():
        talk.chat.remark(talk.profile, "key", "something")
        while not talk.server.requests:
            await asyncio.sleep(0.01)
        await talk.chat._add(talk.profile, "assistant", "An answer.", turn="turn-1")
        await talk.ended()

    talk.run(both())
    assert [row["text"] for row in talk.rows()] == ["An answer."]


def test_what_was_decided_at_the_very_end_of_a_turn_is_told_to_the_model(talk, monkeypatch):
    decided = []

    async def late(profile, model):
        if not decided:
            decided.append(await talk.chat.decided(profile, "x", {"deleted": "y"}))

    monkeypatch.setattr(talk.chat, "_summarise", late)
    assert talk.say("Delete it", "I asked.", "It is gone.")[-1] == ("assistant", "It is gone.")
    assert "deleted" in json.dumps(talk.sent())


def test_a_remark_that_fails_is_no_note(talk):
    assert talk.remark(reply=Reply(fault="http500")) == []


def test_remarks_keep_a_pause_between_them(talk, monkeypatch):
    assert talk.remark() and not talk.remark(reply="too soon")
    talk.server.queue.clear()
    monkeypatch.setattr(chats, "PAUSE", 0.0)
    assert talk.remark(reply="late enough") == ["late enough"]


def test_there_are_never_two_at_once_and_none_while_somebody_talks(talk, monkeypatch):
    monkeypatch.setattr(chats, "PAUSE", 0.0)
    talk.server.script(Reply(token_list=["slow "] * 20, delay=0.01), "second")

    async def both():
        talk.chat.remark(talk.profile, "key", "one thing")
        talk.chat.remark(talk.profile, "key", "another")
        await asyncio.sleep(0.05)
        talk.chat.remark(talk.profile, "key", "a third")
        await talk.ended()

    talk.run(both())
    assert len(talk.server.requests) == 1 and "one thing" in json.dumps(talk.sent(0))
    talk.server.queue.clear()


def test_a_remark_gives_way_when_the_user_says_something(talk):
    talk.server.script(Reply(token_list=["remark "] * 500, delay=0.01), "Hello to you.")

    async def both():
        talk.chat.remark(talk.profile, "key", "something")
        while not talk.chat.streaming:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        await talk.chat.say(talk.profile, "Hello")
        await talk.ended()

    talk.run(both())
    assert [row["text"] for row in talk.rows()] == ["Hello", "Hello to you."]
    assert talk.server.wait(lambda server: server.cancelled == 1)


def test_without_a_model_there_is_no_remark_and_no_note(house, run):
    with ModelServer() as server:
        talk = Talk(house, run, server)
        assert talk.remark() == [] and server.requests == []


# -- again ---------------------------------------------------------------------------------------


def test_a_message_said_again_takes_what_came_after_it_along(talk):
    talk.say("First", "one"), talk.say("Second", "two"), talk.say("Third", "three")
    second = talk.rows()[2]
    talk.server.script("two, better")

    async def again(**how):
        await talk.chat.again(talk.profile, **how)
        await talk.ended()

    talk.run(again(message=second["id"]))
    said = ["First", "one", "Second", "two, better"]
    assert [row["text"] for row in talk.rows()] == said
    assert [m["content"] for m in talk.sent()] == said[:3]
    talk.server.script("edited")
    talk.run(again(message=talk.rows()[2]["id"], text="Second, in other words"))
    assert [row["text"] for row in talk.rows()][2:] == ["Second, in other words", "edited"]
    talk.server.script("once more")
    talk.run(again())
    assert [row["text"] for row in talk.rows()][2:] == ["Second, in other words", "once more"]


def test_only_what_the_user_said_can_be_said_again(talk, call):
    call("profile_add", name="Other")
    talk.say("Hello", "Hi")
    for profile, key in (("default", 2), ("default", 99), ("other", 1)):
        with pytest.raises(Missing):
            talk.run(talk.chat.again(talk.house.profiles.at(profile), key))
    assert len(talk.rows()) == 2


def test_a_command_whose_secret_was_not_kept_is_not_said_again_with_a_gap(talk, plugin, call):
    plugin("from pipulate import *\nclass Login(CrudApp):\n    key: Secret\n", "logins")
    talk.say("/login add key=hunter2-planted")
    with pytest.raises(Problem, match="not kept"):
        talk.run(talk.chat.again(talk.profile))
    assert call("login_list")["count"] == 1 and len(talk.rows()) == 2


# -- the summary ---------------------------------------------------------------------------------


def old_talk(talk, count):
    for n in range(count):
        for role, text in (("user", f"Old question {n} "), ("assistant", f"Old answer {n} ")):
            about = {"role": role, "text": text * 40, "state": "done", "at_utc": now()}
            talk.chat.table(talk.profile.id).insert(about)


def test_what_left_the_prompt_is_summed_up_and_told_while_the_whole_stays(talk):
    old_talk(talk, 80)
    talk.say("New question", "New answer", "SUMMARY: milk was decided.")
    answered, summed = (json.dumps(request["messages"]) for request in talk.server.requests)
    assert "Old question 0 " not in answered and "Old question 79 " in answered
    assert "Old question 0 " in summed and "Old question 79 " not in summed
    talk.say("Next", "Fine.", "SUMMARY 2")
    first = talk.server.requests[2]["messages"][0]["content"]
    assert "What was said before, in short:\nSUMMARY: milk was decided." in first
    assert len(talk.rows()) == 80 * 2 + 4, "nothing of the talk itself is lost"


def test_a_summary_holds_no_secret_that_somebody_spoke_of(talk):
    talk.chat.table(1).insert(
        role="user",
        text="Hear: the password for the wifi is swordfish. Buy milk.",
        state="done",
        at_utc=now(),
    )
    old_talk(talk, 80)
    told = "SUMMARY: swordfish is the password for the wifi. Milk is to be bought."
    talk.say("New question", "New answer", told)
    assert "swordfish" not in json.dumps(talk.server.requests[-1]["messages"])
    assert "Buy milk" in json.dumps(talk.server.requests[-1]["messages"])
    kept = talk.house.settings_of("1")["summary"]["text"]
    assert "Milk is to be bought" in kept and "swordfish" not in kept


def test_a_short_talk_is_not_summed_up(talk):
    old_talk(talk, UNTOLD // 4)
    talk.say("New", "Answer")
    assert len(talk.server.requests) == 1


def test_a_summary_that_fails_is_tried_again_and_disturbs_nobody(talk):
    old_talk(talk, 80)
    said = talk.say("New", "Answer", Reply(fault="http500"))
    assert said[-1] == ("assistant", "Answer")
    talk.say("Newer", "Answer", "SUMMARY")
    assert talk.chat._summary(talk.profile)["text"] == "SUMMARY"
