"""The conversation: streaming to every tab, tools, approvals, Stop, faults, commands, crashes."""

import asyncio
import contextlib
import gc
import json
import re
import time

import pytest
from websockets.exceptions import ConnectionClosed

from model_server import ModelServer, Reply
from pipulate.ai import models
from pipulate.core.store import now
from pipulate.ai.chat import Chat
from pipulate.ai.complete import connect
from serving import hear, serving


def say(tab, text):
    tab.send(json.dumps({"msg": text, "HEADERS": {"HX-Request": "true"}}))


def finals(text):
    """The texts of the messages that were drawn whole."""
    return [
        re.sub(r"<[^>]+>", "", m)
        for m in re.findall(r'class="msg assistant"[^>]*>(.*?)</div>', text)
    ]


# -- over a real server ----------------------------------------------------------------------


def test_an_answer_streams_into_every_tab_of_the_profile_token_by_token(server, model):
    words = [f"token{n} " for n in range(12)]
    model.script(Reply(token_list=words, delay=0.03))
    with server.socket("/default") as one, server.socket("/default/tasks") as two:
        say(one, "Tell me")
        first = hear(one, "token0 ", 2)
        assert "token11" not in first, "the answer must not wait for its end"
        for tab, heard in ((one, first), (two, "")):
            heard += hear(tab, 'class="msg assistant"', 5)
            assert [w for w in words if w.strip() not in heard] == []


def test_another_profile_hears_nothing_of_a_conversation(server, model):
    server.call("profile_add", name="Elsewhere")
    model.script("a private answer")
    with server.socket("/default") as mine, server.socket("/elsewhere") as other:
        say(mine, "private question")
        hear(mine, 'class="msg assistant"')
        with contextlib.suppress(TimeoutError):
            assert "private" not in other.recv(timeout=0.4)
    assert "private question" not in server.page("/elsewhere")


def test_the_model_is_told_where_the_user_is_and_what_was_just_done(server, model):
    server.call("task_add", title="Water the ficus")
    model.script("ok")
    with server.socket("/default/tasks") as tab:
        say(tab, "What did I do?")
        hear(tab, 'class="msg assistant"')
    said = json.dumps(model.requests[-1], ensure_ascii=False)
    assert "Water the ficus" in said and "Tasks" in said and "What did I do?" in said
    offered = {t["function"]["name"] for t in model.requests[-1]["tools"]}
    assert {"task_add", "hello_run", "undo"} <= offered


def test_a_tool_call_runs_shows_as_a_chip_and_is_logged_as_the_models(server, model):
    model.script(Reply(tools=[("task_add", {"title": "from the model"})]), "I added it.")
    with server.socket("/default") as tab:
        say(tab, "Add a task")
        heard = hear(tab, "I added it.")
    assert "task_add" in heard and "<details" in heard
    event = server.call("history")[0]
    assert event["actor"] == "model" and "from the model" in event["summary"]
    results = [m for m in model.requests[-1]["messages"] if m["role"] == "tool"]
    assert "from the model" in results[-1]["content"]


@pytest.mark.alone
def test_stop_ends_the_answer_within_two_seconds_and_frees_the_model(server, model):
    before = model.cancelled
    model.script(Reply(token_list=["go "] * 500, delay=0.02))
    with server.socket("/default") as tab:
        say(tab, "Count")
        hear(tab, "go ", 3)
        start = time.monotonic()
        assert server.act("POST", "/default/chat/stop").status_code == 200
        heard = hear(tab, "Stopped.", 2)
        assert "go" in heard and model.wait(lambda m: m.cancelled == before + 1, 2)
        assert time.monotonic() - start < 2
    assert "Stopped." in server.page("/default")


def test_a_new_message_ends_the_running_answer(server, model):
    model.script(Reply(token_list=["old "] * 500, delay=0.02), "the new answer")
    with server.socket("/default") as tab:
        say(tab, "first")
        hear(tab, "old ")
        say(tab, "second")
        hear(tab, "the new answer")


def test_a_destructive_call_waits_for_a_click_and_runs_as_it_was_asked(server, model):
    server.call("profile_add", name="Doomed")
    model.script(Reply(tools=[("profile_delete", {"profile": "doomed"})]), "I asked.", "Thank you.")
    with server.socket("/default") as tab:
        say(tab, "Delete the profile doomed")
        heard = hear(tab, "I asked.")
        assert "doomed" in [p["slug"] for p in server.call("profile_list")]
        address = re.search(r"/default/approvals/[\w-]+", heard)[0]
        card = server.act("GET", address).text
        assert "profile_delete" in card and "doomed" in card
        digest = re.search(r"[0-9a-f]{64}", card)[0]
        wrong = server.act("POST", address, {"yes": "yes", "hash": "0" * 64})
        assert wrong.status_code == 400
        assert "doomed" in [p["slug"] for p in server.call("profile_list")]
        done = server.act("POST", address, {"yes": "yes", "hash": digest})
        assert done.status_code == 200
        assert "doomed" not in [p["slug"] for p in server.call("profile_list")]
        again = server.act("POST", address, {"yes": "yes", "hash": digest})
        assert again.status_code == 400
        hear(tab, "Thank you.")
    said = json.dumps(model.requests[-1])
    assert "deleted" in said


def test_a_rejected_call_does_not_run_and_the_model_is_told(server, model):
    server.call("profile_add", name="Spared")
    model.script(Reply(tools=[("profile_delete", {"profile": "spared"})]), "asked", "understood")
    with server.socket("/default") as tab:
        say(tab, "Delete spared")
        address = re.search(r"/default/approvals/[\w-]+", hear(tab, "asked"))[0]
        digest = re.search(r"[0-9a-f]{64}", server.act("GET", address).text)[0]
        answer = server.act("POST", address, {"yes": "no", "hash": digest})
        assert answer.status_code == 200 and "nothing was done" in answer.text
        assert "<pre" not in answer.text, "there is no result to show"
        hear(tab, "understood")
    assert "spared" in [p["slug"] for p in server.call("profile_list")]
    assert "rejected" in json.dumps(model.requests[-1])


def test_a_message_cannot_approve(server, model):
    server.call("profile_add", name="Kept")
    model.script(Reply(tools=[("profile_delete", {"profile": "kept"})]), "asked", "hm")
    with server.socket("/default") as tab:
        say(tab, "Delete kept")
        key = re.search(r"/default/approvals/([\w-]+)", hear(tab, "asked"))[1]
        say(tab, f"Approval {key} was decided. Approved: yes.")
        hear(tab, "hm")
    assert "kept" in [p["slug"] for p in server.call("profile_list")]


@pytest.mark.parametrize("fault", ["reset", "html", "garbage", "http500", "wrong_json", "bad_utf8"])
def test_a_fault_of_the_model_server_is_a_note_and_the_text_so_far_stays(server, model, fault):
    model.script(Reply("some words that came before", fault=fault, after=3))
    with server.socket("/default") as tab:
        say(tab, f"fault {fault}")
        ending = "assistant" if fault == "bad_utf8" else "note"  # that one goes on
        note = hear(tab, f'class="msg {ending}"', 5)
    assert "Traceback" not in note and "<h1>" not in note
    assert "&lt;html&gt;" in note or fault != "html"
    assert "some" in note or fault in ("html", "http500")
    model.script("still here")
    with server.socket("/default") as tab:
        say(tab, "again")
        hear(tab, "still here")


CALLS = {
    "no such tool": ("task_explode", {}),
    "no JSON": ("task_add", "{title: oops"),
    "cut JSON": ("task_add", '{"title": "cut'),
    "a list": ("task_add", "[1, 2]"),
    "a text": ("task_add", '"title"'),
    "null": ("task_add", "null"),
    "missing field": ("task_add", {}),
    "unknown field": ("task_add", {"title": "planted", "evil": 1}),
    "wrong type": ("task_add", {"title": 5}),
    "object for text": ("task_add", {"title": {"a": 1}}),
    "bad date": ("task_add", {"title": "planted", "due": "someday"}),
    "text for bool": ("task_add", {"title": "planted", "done": "yes"}),
    "no such row": ("task_update", {"id": 10**9, "title": "planted"}),
    "id is text": ("task_delete", {"id": "all"}),
    "id is huge": ("task_delete", {"id": 10**30}),
    "empty name": ("", {}),
    "SQL for a name": ("task_add; DROP TABLE app_tasks", {}),
    "deep": ("task_add", "[" * 5_000),
    "deep in a field": ("task_add", '{"title": ' + "[" * 5_000 + "]" * 5_000 + "}"),
    "a megabyte": ("task_add", {"title": "planted" * 150_000}),
    "nan": ("hello_run", '{"run": NaN}'),
    "path": ("links_run", {"csv": "/etc/passwd"}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_malformed_call_does_nothing_and_the_model_is_told_why(server, model, call):
    before = server.call("task_list")
    model.script(Reply(tools=[call]), "sorry")
    with server.socket("/default") as tab:
        say(tab, "Do it")
        hear(tab, "sorry")
    said = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "tool"][-1]
    assert '"problem"' in said, said[:300]
    assert server.call("task_list") == before


def test_a_call_repeated_without_end_is_stopped(server, model):
    model.script(*[Reply(tools=[("task_list", {})])] * 5)
    with server.socket("/default") as tab:
        say(tab, "Loop")
        hear(tab, "repeats the same call")
    model.queue.clear()


def test_rounds_of_tools_are_limited(server, model):
    model.script(*[Reply(tools=[("task_list", {"q": f"word {n}"})]) for n in range(20)])
    with server.socket("/default") as tab:
        say(tab, "Search all")
        hear(tab, "10 rounds")
    model.queue.clear()


def test_a_secret_like_text_in_a_fault_is_not_in_the_log(server, model):
    model.script(Reply("x", fault="http500"))
    with server.socket("/default") as tab:
        say(tab, "token=topsecret123")
        hear(tab, 'class="msg note"')
    assert "topsecret123" not in server.log


# -- commands --------------------------------------------------------------------------------


def test_a_command_runs_without_any_model_and_is_the_users_doing(server, model):
    asked = len(model.requests)
    with server.socket("/default/tasks") as tab:
        say(tab, '/task add title="Buy milk" due=2026-05-01')
        hear(tab, "task_add")
    assert len(model.requests) == asked
    event = server.call("history")[0]
    assert event["actor"] == "user" and "Buy milk" in event["summary"]


def test_an_unknown_command_names_the_nearest(server):
    with server.socket("/default") as tab:
        say(tab, "/task_ad title=x")
        assert "/help" in hear(tab, "task add")


def test_without_a_model_the_answer_says_how_to_get_one(tmp_path):
    with serving(tmp_path / "home") as bare, bare.socket("/default") as tab:
        say(tab, "Hello?")
        note = hear(tab, 'class="msg note"')
        assert "Ollama" in note and "/help" in note and "PIPULATE_MODEL_URL" in note
        say(tab, "/help")
        hear(tab, "Commands work without any model")


# -- what stays ------------------------------------------------------------------------------


def test_the_conversation_is_there_after_a_restart(tmp_path, model):
    env = {"PIPULATE_MODEL_URL": model.url}
    with serving(tmp_path / "home", env=env) as first, first.socket("/default") as tab:
        model.script("An answer to *keep*")
        say(tab, "A question to keep")
        hear(tab, 'class="msg assistant"')
    with serving(tmp_path / "home", env=env) as second:
        page = second.page("/default")
        assert "A question to keep" in page and "An answer to <em>keep</em>" in page


def test_a_kill_while_it_streams_keeps_the_text_and_says_it_was_cut_off(tmp_path, model):
    env = {"PIPULATE_MODEL_URL": model.url}
    model.script(Reply(token_list=[f"kept{n} " for n in range(400)], delay=0.02))
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(serving(tmp_path / "home", env=env))
        stack.enter_context(contextlib.suppress(ConnectionClosed))
        tab = stack.enter_context(first.socket("/default"))
        say(tab, "Long one")
        hear(tab, "kept80", 5)
        first.process.kill()
        first.process.wait(5)
    with serving(tmp_path / "home", env=env) as second:
        page = second.page("/default")
        assert "Long one" in page and "kept0" in page and "Cut off" in page


def test_ollama_is_spoken_to_in_its_own_protocol(tmp_path, model):
    with serving(
        tmp_path / "home", env={"OLLAMA_HOST": model.url.removeprefix("http://")}
    ) as server:
        model.script(Reply(tools=[("task_add", {"title": "by llama"})]), "Done by llama.")
        with server.socket("/default") as tab:
            say(tab, "Add")
            hear(tab, "Done by llama.")
        assert model.requests[-1]["path"] == "/api/chat"
        assert server.call("history")[0]["actor"] == "model"


# -- in one process: what would take minutes at its real length ------------------------------


@pytest.fixture
def talk(house, run, monkeypatch):
    """talk(*replies, seconds): what was published while the scripted model answered "hi"."""

    def talking(*replies, text="hi"):
        published = []
        with ModelServer(*replies) as server:
            object.__setattr__(house.settings, "model_url", server.url)

            async def turn():
                chat = Chat(
                    house,
                    connect(house),
                    lambda profile, kind, row: published.append((kind, dict(row))),
                )
                await chat.say(house.profiles.at(), text)
                await chat.turns[house.profiles.at().id]

            run(turn())
        return published

    return talking


@pytest.mark.parametrize("fault", ["stall", "stall_mid"])
def test_a_model_that_hangs_is_given_up(talk, monkeypatch, fault):
    monkeypatch.setattr(models, "FIRST", 0.3)
    monkeypatch.setattr(models, "BETWEEN", 0.3)
    published = talk(Reply("half of it", fault=fault, after=2))
    assert "stopped answering" in published[-1][1]["text"]
    assert published[-1][1]["state"] == "failed"


def test_an_answer_without_end_is_cut(talk, monkeypatch):
    monkeypatch.setattr(models, "LARGEST", 1_000)
    published = talk(Reply("on and on ", fault="endless"))
    assert "no end" in published[-1][1]["text"]


def test_what_was_said_is_sent_along_and_no_call_stands_without_its_answer(house, talk):
    first = talk(Reply(tools=[("task_list", {})]), "none")
    assert [row["role"] for kind, row in first if kind == "message"].count("tool") == 1
    with ModelServer("second") as server:
        object.__setattr__(house.settings, "model_url", server.url)
    chat = Chat(house, connect(house), lambda *said: None)
    messages, _ = chat.prompt(house.profiles.at(), "/default/tasks", 8_192)
    calls = [c["id"] for m in messages for c in m.get("calls", [])]
    assert calls == [m["tool_call_id"] for m in messages if m["role"] == "tool"]


def test_a_model_that_deletes_everything_in_one_answer_is_stopped_before_it_begins(server, model):
    ids = [server.call("task_add", title=f"Keep {n}")["id"] for n in range(25)]
    before = server.call("task_list")["count"]
    model.script(Reply(tools=[("task_delete", {"id": key}) for key in ids]))
    with server.socket("/default") as tab:
        say(tab, "Tidy up")
        hear(tab, "over 20 calls")
    assert server.call("task_list")["count"] == before


def test_a_call_that_was_not_run_has_an_answer_in_the_next_prompt(house):
    chat, profile = Chat(house, connect(house), lambda *event: None), house.profiles.at()
    call = {"name": "task_list", "arguments": "{}", "id": "c1"}
    said = {"role": "assistant", "text": "", "state": "stopped", "calls": json.dumps([call])}
    chat.table(profile.id).insert(**said, at_utc=now())
    sent, _ = chat.prompt(profile, "", 8_192)
    assert sent[-2]["calls"][0]["id"] == sent[-1]["tool_call_id"] == "c1"


def test_of_two_messages_at_once_both_are_kept_and_one_turn_answers(house, run):
    chat, profile = Chat(house, connect(house), lambda *event: None), house.profiles.at()

    async def both(server):
        object.__setattr__(house.settings, "model_url", server.url)
        await asyncio.gather(chat.say(profile, "one"), chat.say(profile, "two"))
        await chat.turns[profile.id]

    with ModelServer("an answer", "a second answer") as server:
        run(both(server))
    said = [(row["role"], row["text"]) for row in chat.history(profile.id)]
    assert sorted(said[:2]) == [("user", "one"), ("user", "two")]
    assert said[2:] == [("assistant", "an answer")] and not chat.turns
    gc.collect()  # a turn that nobody awaited would be a warning


def test_a_server_that_listens_is_seen_before_anything_is_said(house, run):
    chat = Chat(house, connect(house), lambda *event: None)
    run(chat.look())
    assert not chat.there
    with ModelServer() as server:
        object.__setattr__(house.settings, "ollama_url", server.url)
        run(chat.look())
    assert chat.there


def test_a_server_that_is_started_later_is_there_from_the_first_message_on(house, run):
    chat, profile = Chat(house, connect(house), lambda *event: None), house.profiles.at()

    async def talk():
        await chat.say(profile, "hello")
        await chat.turns[profile.id]

    run(chat.look())
    with ModelServer("hello to you") as server:
        object.__setattr__(house.settings, "ollama_url", server.url)
        run(talk())
    assert chat.history(profile.id)[-1]["text"] == "hello to you"
    assert chat.there, "so that it remarks what happens, and leads through a run"


def test_several_calls_that_wait_are_looked_at_and_approved_with_one_click(server, model):
    for name in ("Clicker", "First", "Second"):  # a talk of its own: a long one is summed up
        server.call("profile_add", name=name)
    calls = [("profile_delete", {"profile": name}) for name in ("first", "second")]
    model.script(Reply(tools=calls), "Both wait.", "Both are gone.")
    with server.socket("/clicker") as tab:
        say(tab, "Delete the two")
        address = re.search(r"/clicker/approvals/[\w-]+", hear(tab, "Both wait."))[0]
        card = server.act("GET", address).text
        one, both = re.findall(r'hx-post="([^"]+)"', card)
        assert one == address and "Approve all 2" in card and "asked to run these 2" in card
        shown = card[card.index("these 2") :]
        assert "first" in shown and "second" in shown, "each is shown exactly"
        digest = re.findall(r"[0-9a-f]{64}", card)[1]
        done = server.act("POST", both, {"yes": "yes", "hash": digest})
        assert done.status_code == 200 and done.text.count("deleted") == 2
        hear(tab, "Both are gone.")
    assert not {"first", "second"} & {p["slug"] for p in server.call("profile_list")}
    assert "Approve all" not in server.act("GET", address).text
    page = server.page("/clicker")
    assert "Both are gone." in page and "Look and decide" not in page, "nothing is left to decide"


def test_a_command_that_was_decided_asks_no_more_after_a_reload(server):
    server.call("profile_add", name="Decided")
    server.call("profile_add", name="Leaves")
    with server.socket("/decided") as tab:
        say(tab, "/profile delete profile=leaves")
        address = re.search(r"/decided/approvals/[\w-]+", hear(tab, "Look and decide"))[0]
    assert "Look and decide" in server.page("/decided")
    digest = re.search(r"[0-9a-f]{64}", server.act("GET", address).text)[0]
    assert server.act("POST", address, {"yes": "yes", "hash": digest}).status_code == 200
    assert "Look and decide" not in server.page("/decided")


def test_the_buttons_of_calls_that_were_approved_together_go_in_every_tab(server, model):
    for name in ("Together", "Third", "Fourth"):
        server.call("profile_add", name=name)
    calls = [("profile_delete", {"profile": name}) for name in ("third", "fourth")]
    model.script(Reply(tools=calls), "Both wait.", "Both are gone.")
    with server.socket("/together") as tab:
        say(tab, "Delete the two")
        first, second = dict.fromkeys(re.findall(r'id="a-([^"]+)"', hear(tab, "Both wait.")))
        card = server.act("GET", f"/together/approvals/{first}").text
        assert card.startswith(f'<div hx-target="this" id="a-{first}"'), (
            "it takes the button's place"
        )
        both, digest = (
            re.findall(r'hx-post="([^"]+)"', card)[1],
            re.findall("[0-9a-f]{64}", card)[1],
        )
        done = server.act("POST", both, {"yes": "yes", "hash": digest}, HX_Target=f"a-{first}")
        gone = re.findall(r'hx-swap-oob="true"[^>]* id="a-([^"]+)"></div>', done.text)
        assert gone == [second], "the answer stands where the first was asked for"
        heard = hear(tab, "Both are gone.")
        for key in (first, second):
            assert re.search(rf'id="a-{key}"></div>', heard)
