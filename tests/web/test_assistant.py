"""The assistant's routes: what goes along, what was missed, its part of Settings, its remarks."""

import asyncio
import contextlib
import json
import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from types import SimpleNamespace

import pytest
from starlette.responses import StreamingResponse

from model_server import ModelServer, Reply
from pipulate.ai.chat import SHORTER
from pipulate.core.profiles import Profile
from pipulate.web import assistant
from serving import hear, serving

ASKING = """
from pipulate import Pipeline

asking = Pipeline("Asking", "Asks.")

@asking.step
def which(job):
    return job.ask("Which?")
"""
HOLDS = """
import time
from pipulate import CrudApp, tool

class Holder(CrudApp):
    title: str

    @tool
    def hold(self):
        self.table.update(id=self.id, title="held")
        time.sleep(2.5)
"""
FILER = """
from pipulate import File, Pipeline

filer = Pipeline("Filer")

@filer.step(auto=True)
def written(job):
    path = job.files / "a.txt"
    path.write_text("a")
    return File(path)

@filer.step
def asks(written, job):
    return job.ask("Which?")
"""
SECRET = "sk-planted-secret-9876"


class Puller(ModelServer):
    """An Ollama that has a model to fetch: `held` keeps it from the end."""

    def __init__(self, *replies, held=False):
        super().__init__(*replies)
        self.pages["/api/pull"], self.held, self.left = None, held, 0

    async def _page(self, request):
        if request.url.path != "/api/pull":
            return await super()._page(request)
        return StreamingResponse(self._lines(), media_type="application/x-ndjson")

    async def _lines(self):
        import asyncio

        try:
            for done in range(4):
                said = {"status": "pulling 1234", "completed": done * 10**9, "total": 4 * 10**9}
                yield json.dumps(said) + "\n"
                await asyncio.sleep(0.25)
            while self.held:
                await asyncio.sleep(0.02)
            yield '{"status": "success"}\n'
        finally:
            self.left += 1


@pytest.fixture(scope="module")
def server(talking):
    act(talking, "remarks", value="quiet")
    return talking


@pytest.fixture(autouse=True)
def nothing_left_to_say(model):
    yield
    model.queue.clear()


def say(tab, text, **more):
    here = {"HX-Current-URL": f"http://127.0.0.1{more.pop('here', '/default')}"}
    tab.send(json.dumps({"msg": text, "HEADERS": here, **more}))


def told(model):
    """What the user said last, as the model was told it; a summary may follow."""
    said = (m["content"] for r in model.requests for m in r["messages"] if m["role"] == "user")
    return [text for text in said if not text.startswith(SHORTER[:40])][-1]


def talk(server, at="/default"):
    return server.page(at).partition('id="talk"')[2].partition('id="stop"')[0]


def last_id(server):
    return int(re.findall(r'id="m(\d+)"', talk(server))[-1])


# -- said again, and what was missed ---------------------------------------------------------


def test_retry_says_the_last_message_again_and_what_came_after_it_goes(server, model):
    model.script("the first answer", "the second answer")
    with server.socket() as tab, server.socket("/default/tasks") as other:
        say(tab, "Tell me twice")
        hear(tab, "the first answer</p>")
        assert server.act("POST", "/default/chat/again").status_code == 200
        for one in (tab, other):
            hear(one, "the second answer</p>")
    page = talk(server)
    assert page.count("Tell me twice") == 1 and "the first answer" not in page


def test_an_edited_message_takes_the_place_of_the_one_before(server, model):
    model.script("about cats", "about dogs")
    with server.socket() as tab:
        say(tab, "Tell me of cats")
        hear(tab, "about cats</p>")
        key = re.findall(r'data-edit="(\d+)"', talk(server))[-1]
        say(tab, "Tell me of dogs", again=key)
        hear(tab, "about dogs</p>")
    assert "cats" not in talk(server).rpartition("Tell me of dogs")[2]
    assert "Tell me of cats" not in json.dumps(model.requests[-1]["messages"])


@pytest.mark.parametrize("key", ["9" * 30, "999999", "1e3", "-1"])
def test_a_message_that_is_not_there_cannot_be_edited_and_the_socket_stays(server, model, key):
    model.script("still here")
    with server.socket() as tab:
        say(tab, "Never", again=key)
        say(tab, "And now?")
        hear(tab, "still here")


def test_a_message_that_is_too_long_is_not_cut_but_goes_back_into_the_box(server, model):
    with server.socket() as tab:
        say(tab, "word " * 10_000 + "the end")
        heard = hear(tab, "Attach it as a file")
        assert "the end</span>" in heard and "data-edit" in heard
    assert "the end" not in talk(server)


def test_a_message_that_could_not_be_saved_is_not_lost_and_goes_back_into_the_box(server):
    with server.socket() as tab:
        say(tab, "Two <b> lines", again="999999")
        drawn = hear(tab, "Choose another")
    assert 'hx-swap-oob="beforeend:#talk"' in drawn and 'data-edit=""' in drawn
    assert "<span>Two &lt;b&gt; lines</span>" in drawn and "Two &lt;b&gt;" not in talk(server)


def test_a_tab_that_was_away_gets_what_it_missed_and_one_that_was_not_gets_nothing(server, model):
    model.script("one", "two")
    with server.socket() as tab:
        say(tab, "first")
        hear(tab, "<p>one</p>")
        seen = last_id(server)
        say(tab, "second")
        hear(tab, "<p>two</p>")
    with server.socket(f"/default&since={seen}") as back:
        heard = hear(back, "<p>two</p>")
    assert heard.index("<p>one</p>") < heard.index("<span>second") < heard.index("<p>two</p>")
    assert len(re.findall(rf'id="m{seen}"', heard)) == 1
    with (
        server.socket(f"/default&since={last_id(server)}") as same,
        pytest.raises(TimeoutError),
    ):
        same.recv(timeout=0.3)


def test_a_tab_that_lost_its_socket_in_mid_answer_gets_the_rest(server, model):
    model.script(Reply(token_list=[f"part{n} " for n in range(40)], delay=0.02))
    with server.socket() as tab:
        say(tab, "Slowly")
        key = re.search(r"beforeend:#m(\d+)", hear(tab, "part5 "))[1]
    with server.socket(f"/default&since={key}.") as back:
        heard = hear(back, "part39 ")
    words = re.findall(r"part\d+ ", heard)
    assert words == [f"part{n} " for n in range(40)]


@pytest.mark.parametrize("seen", ["", "123456789", "x"])
def test_a_tab_whose_last_message_is_gone_gets_the_talk_as_it_is(server, model, seen):
    with server.socket("/default/tasks") as tab:
        say(tab, "/help task_add")
        hear(tab, "task_add</strong>")
    with server.socket(f"/default&since={seen}") as back:
        drawn = hear(back, 'id="stop"')
    assert talk(server).partition('id="stop"')[0] in drawn and 'hx-swap-oob="morph"' in drawn


def test_the_newest_hundred_messages_are_drawn_and_those_before_when_asked_for(tmp_path):
    with serving(tmp_path / "home") as server:
        with server.socket() as tab:
            for n in range(75):
                say(tab, f"/nothing{n}x")
                hear(tab, f"nothing{n}x.")
        page = talk(server)
        assert page.count('class="msg ') == 100 and "/nothing74x" in page
        assert "/nothing24x" not in page and "/nothing25x" in page
        address = re.search(r"/default/chat/before/\d+", page)[0]
        older = server.act("GET", address).text
        assert older.count('class="msg ') == 50 and "/nothing0x" in older
        assert "chat/before" not in older


def test_a_message_that_is_still_being_saved_is_copied_whole(server, model):
    model.script(Reply(token_list=["The end ", "is told."], delay=0.4))
    store = sqlite3.connect(server.home / "pipulate.db", isolation_level=None)
    with server.socket() as tab, contextlib.closing(store):
        say(tab, "Tell me the end")
        hear(tab, "The end ")
        store.execute("BEGIN IMMEDIATE")  # another process writes, for long
        key = re.search(r'id="m(\d+)" class="msg assistant"', hear(tab, 'class="msg assistant"'))[1]
        assert server.act("GET", f"/default/chat/{key}").text == "The end is told."
        store.execute("ROLLBACK")


def test_a_message_is_copied_as_it_was_written(server, model):
    model.script("Some **bold** words\n\n```python\nprint('<b>')\n```")
    with server.socket() as tab:
        say(tab, "Write")
        hear(tab, "bold</strong>")
    page = talk(server)
    assert '<small>python</small><button data-copy=""' in page
    answer = server.act("GET", re.findall(r'data-copy="(/default/chat/\d+)"', page)[-1])
    assert answer.text == "Some **bold** words\n\n```python\nprint('<b>')\n```"
    assert answer.headers["content-type"].startswith("text/plain")
    assert server.act("GET", "/default/chat/999999").status_code == 404
    server.call("profile_add", name="Elsewhere")
    assert server.act("GET", f"/elsewhere/chat/{last_id(server)}").status_code == 404


def test_a_call_that_changed_something_has_its_own_undo_and_says_when_it_was_used(server, model):
    calls = [("task_add", {"title": "Chip one"}), ("task_list", {}), ("task_add", {"title": "Two"})]
    model.script(Reply(tools=calls), "Both are there.")
    with server.socket("/default/tasks") as tab:
        say(tab, "Add two")
        hear(tab, "Both are there.")
        chips = re.findall(r'(?s)class="msg tool".*?(?=<div id="m|$)', talk(server))[-3:]
        events = [re.findall(r"/default/undo/(\d+)", chip) for chip in chips]
        assert [len(found) for found in events] == [1, 0, 1]
        assert server.act("POST", f"/default/undo/{events[0][0]}").status_code == 200
        assert hear(tab, "undone</small>").count("undone</small>") == 1
    assert [r["title"] for r in server.call("task_list")["rows"]] == ["Two"]
    assert talk(server).count("undone</small>") == 1


# -- attached --------------------------------------------------------------------------------


def test_a_file_goes_along_as_its_reference_with_its_name(server, model):
    put = server.client.put("/files/default?name=links.csv", content=b"from,to\n1,2\n")
    model.script("I see it")
    with server.socket() as tab:
        say(tab, "Import this", file=put.text)
        assert f"Attached: {put.text} links.csv" in hear(tab, "I see it")
    assert told(model) == f"Import this\n\n[attached] {put.text} links.csv"


@pytest.mark.parametrize("file", ["file:999999", "/etc/passwd", "uploading 40 %", "", 5])
def test_what_is_no_file_does_not_go_along(server, model, file):
    model.script("hm")
    with server.socket() as tab:
        say(tab, "Look", file=file)
        hear(tab, "hm")
    assert told(model) == "Look"


def test_the_page_goes_along_as_its_rows_are_listed_there(server, model):
    for title in ("Feed the cat", "Feed the dog", "Sleep"):
        server.call("task_add", title=title)
    model.script("I see")
    with server.socket("/default/tasks") as tab:
        say(tab, "What is here?", page="1", here="/default/tasks?q=feed")
        heard = hear(tab, "I see")
    asked, _, page = told(model).partition("\n\n[attached] what is on /default/tasks?q=feed\n")
    assert asked == "What is here?"
    assert {row["title"] for row in json.loads(page)["rows"]} == {"Feed the cat", "Feed the dog"}
    assert "Attached: what is on /default/tasks?q=feed" in unescape(heard)


def test_the_page_of_a_run_goes_along_with_its_outputs(server, model):
    run = server.call("hello_run", name="Ada", mark="!")
    model.script("I see")
    with server.socket(run["address"]) as tab:
        say(tab, "What came out?", page="1", here=run["address"])
        hear(tab, "I see")
    page = json.loads(told(model).partition(run["address"] + "\n")[2])
    assert page["outputs"]["greeting"] == "Hello, Ada!" and page["id"] == run["run"]


def test_a_large_page_is_cut(server, model):
    for n in range(40):
        server.call("task_add", title=f"{n} " + "long " * 60)
    model.script("I see")
    with server.socket("/default/tasks") as tab:
        say(tab, "What is here?", page="1", here="/default/tasks")
        hear(tab, "I see")
    assert 5_000 < len(told(model)) < 6_200


def test_a_page_that_is_cut_ends_with_a_mark_as_does_an_output_on_it(house, call, run):
    for n in range(40):
        call("task_add", title=f"{n} " + "long " * 60)
    site, profile = SimpleNamespace(house=house), house.profiles.at()
    along = run(assistant._along(site, profile, "/default/tasks", {"page": "1"}))
    assert along[-1] == "…" == assistant._output("x" * 5_000)[-1]


def test_an_address_of_another_profile_is_not_taken(server, model):
    model.script("I see")
    with server.socket("/default/tasks") as tab:
        say(tab, "What is here?", page="1", here="/elsewhere/tasks")
        hear(tab, "I see")
    assert "what is on /default/tasks" in told(model)


# -- completion ------------------------------------------------------------------------------


def offered(server, line, here=""):
    said = {"HX-Request": "1", "HX-Current-URL": server.url + here}
    answer = server.client.get("/default/chat/offers", params={"q": line}, headers=said)
    return [unescape(said) for said in re.findall(r'data-line="([^"]*)"', answer.text)]


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("/task a", ["/task add"]),
        ("/TASK A", ["/task add"]),
        ("/task add ", ["/task add title=", "/task add priority="]),
        ("/task add title=x pri", ["/task add title=x priority="]),
        ("/task add priority=h", ["/task add priority=high"]),
        ("/task add done=", ["/task add done=true", "/task add done=false"]),
        ("/run hello na", ["/run hello name="]),
        ("/task add title=", []),
        ('/task add title="a d', []),
        ("/task add", []),
        ("/nothing of the kind", []),
        ("task a", []),
        ("", []),
    ],
)
def test_a_command_is_completed_from_the_schemas_of_the_tools(server, line, first):
    assert offered(server, line)[: len(first) or None] == first


def test_the_tools_of_the_app_that_is_open_come_first(server):
    for here, first in (("/default/tasks?q=x", "/task "), ("/default/hello/1", "/hello run")):
        assert offered(server, "/", here)[0].startswith(first)
    assert offered(server, "/not", "/default/tasks")[0].startswith("/note")


def test_options_are_few_and_a_list_that_a_screen_reader_knows(server):
    assert 2 < len(offered(server, "/")) <= 8
    drawn = server.act("GET", "/default/chat/offers?q=/task").text
    assert 'role="listbox"' in drawn and 'role="option"' in drawn and "aria-label" in drawn


# -- settings --------------------------------------------------------------------------------


def settings(server):
    return unescape(server.act("GET", "/default/assistant").text)


def act(server, verb, **values):
    return server.act("POST", f"/default/assistant/{verb}", values)


def test_settings_tell_what_was_found_and_take_a_choice_at_once(server, model):
    page = settings(server)
    assert f"{model.url}, on this machine, reads 8,192 tokens" in page and "models: 1" in page
    with ModelServer("from the other") as other:
        assert act(server, "add", url=other.url).status_code == 200
        assert act(server, "choose", value=f"{other.url} stand-in").status_code == 200
        assert f'value="{other.url} stand-in" selected' in settings(server)
        with server.socket() as tab:
            say(tab, "Who are you?")
            hear(tab, "from the other")
        assert "not there any more" in act(server, "choose", value="x y").text
    assert f"{other.url} stand-in · does not answer" in settings(server)
    act(server, "choose", value="")
    act(server, "remove", url=other.url)
    assert other.url not in settings(server)


def test_how_long_a_first_word_may_take_is_shown_and_set(server, model):
    assert ">a minute<" in settings(server)
    assert act(server, "wait", value="7").status_code == 404
    assert act(server, "wait", value="300").status_code == 200
    assert 'value="300" selected' in settings(server)
    assert act(server, "wait", value="60").status_code == 200


def test_a_key_is_never_shown_again_nor_sent_unencrypted(server):
    refused = act(server, "add", url="http://models.example.org", key=SECRET)
    assert refused.status_code == 400 and "unencrypted" in refused.text
    shown = act(server, "add", url="https://127.0.0.1:9", key=SECRET).text
    assert "key set, ends …9876" in shown and "does not answer" in shown
    everything = settings(server) + server.page("/default/settings") + server.log
    everything += json.dumps(server.call("history"))
    act(server, "remove", url="https://127.0.0.1:9")
    assert SECRET not in everything + shown


def test_of_a_key_of_a_few_letters_nothing_is_shown(server):
    shown = act(server, "add", url="https://127.0.0.1:10", key="q7w8").text
    assert "key set, ends …" in shown and "q7w8" not in shown
    act(server, "remove", url="https://127.0.0.1:10")


def test_an_address_elsewhere_is_said_to_leave_this_machine(server):
    page = act(server, "add", url="https://models.example.org").text
    act(server, "remove", url="https://models.example.org")
    assert "leaves this machine" in page


@pytest.mark.parametrize("verb", ["explode", "remarks"])
def test_what_settings_do_not_know_is_refused(server, verb):
    assert act(server, verb, value="loud").status_code == 404


def test_without_any_model_settings_tell_how_to_get_one(tmp_path):
    with serving(tmp_path / "home") as bare:
        page = settings(bare)
        assert "ollama pull" in page and "PIPULATE_MODEL_URL" in page
        assert "Check this model" not in page


def test_a_model_is_pulled_into_ollama_with_its_progress_told(tmp_path):
    with (
        Puller() as ollama,
        serving(tmp_path / "home", env={"OLLAMA_HOST": ollama.url[7:]}) as server,
        server.socket("/default/settings") as tab,
        server.socket("/default/tasks") as other,
    ):
        assert "Pull into Ollama" in settings(server)
        assert act(server, "pull", url=ollama.url, name="tiny").status_code == 200
        assert 'max="4000000000"' in hear(tab, "1.00 of 4.00 GB")
        hear(tab, "tiny is here")
        with pytest.raises(TimeoutError):
            other.recv(timeout=0.2)
        elsewhere = act(server, "pull", url="http://127.0.0.1:9", name="tiny")
        assert elsewhere.status_code == 200
        hear(tab, "does not answer")


class Elsewhere(Puller):
    """One whose models are not of Ollama's library."""

    def __init__(self):
        super().__init__()
        self.pages["/api/ps"] = {"models": []}


def test_a_model_is_pulled_into_an_ollama_that_was_added(server):
    with Elsewhere() as ollama, server.socket("/default/settings") as tab:
        act(server, "add", url=ollama.url)
        assert "Pull into Ollama" in settings(server)
        act(server, "pull", url=ollama.url, name="tiny")
        hear(tab, "tiny is here")
        act(server, "remove", url=ollama.url)


def test_a_pull_can_be_cancelled(tmp_path):
    with (
        Puller(held=True) as ollama,
        serving(tmp_path / "home", env={"OLLAMA_HOST": ollama.url[7:]}) as server,
        server.socket("/default/settings") as tab,
    ):
        act(server, "pull", url=ollama.url, name="tiny")
        hear(tab, "1.00 of")
        act(server, "cancel")
        hear(tab, "Cancelled.")
        assert ollama.wait(lambda s: s.left == 1)


def test_a_check_tells_five_things_about_a_model(server, model):
    def code(body):
        return re.search(r"The code is (\w+)", body["messages"][-1]["content"])[1]

    numbers = [f"n{n} " for n in range(40)]
    model.script(
        Reply(token_list=numbers, delay=0.002),
        '{"colour": "red"}',
        Reply(tools=[("look_up", {"city": "Oslo"})]),
        code,
        Reply(token_list=numbers * 50, delay=0.002),
        "yes",
    )
    with server.socket("/default/settings") as tab:
        act(server, "check")
        heard = hear(tab, "after Stop").rpartition('id="work"')[2]
    assert heard.count("✓") == 5 and "✗" not in heard and "Cancel" not in heard
    for word in ("pieces a second", "(red)", "apps and pipelines", "6,144 tokens ago"):
        assert word in heard


def test_every_tab_sees_that_the_answer_was_stopped(server):
    with server.socket("/default", tab="other") as tab:
        server.act("POST", "/default/chat/stop", X_Tab="one")
        hear(tab, ">Retry<")


def test_a_fault_while_a_message_is_taken_costs_no_socket_and_no_message():
    """One that was no Problem closed the tab's socket, and the message was gone."""
    told, where = [], Profile(1, "default", "Default")

    async def say(*said):
        raise ZeroDivisionError

    site = SimpleNamespace(chat=SimpleNamespace(say=say))
    tab = SimpleNamespace(profile=where, at="/default", put=told.append)
    asyncio.run(assistant.heard(site, tab, {"msg": "Hello there"}))
    assert "Hello there" in told[0] and "went wrong" in told[0]


# -- remarks ---------------------------------------------------------------------------------


@pytest.fixture
def remarks(tmp_path):
    """remarks(how): a server of its own, its model, and a tab elsewhere."""
    with (
        ModelServer("Well done!") as model,
        serving(tmp_path / "home", env={"PIPULATE_MODEL_URL": model.url}) as server,
        server.socket("/default/tasks") as tab,
    ):
        settings(server)  # by now it knows that there is a model
        yield server, model, tab


def test_a_run_that_is_finished_is_worth_a_word(remarks):
    server, model, tab = remarks
    server.call("hello_run", name="Ada")
    hear(tab, "Well done!</p>")
    (asked,) = model.requests
    assert "and so the whole run" in told(model) and not asked.get("tools")


def test_steps_and_opened_apps_are_told_to_the_talkative_only(remarks):
    server, model, tab = remarks
    server.page("/default/tasks")
    assert not model.wait(lambda m: m.requests, 0.3)
    act(server, "remarks", value="talkative")
    server.page("/default/notes")
    hear(tab, "Well done!</p>")
    assert "the user opened Notes" in told(model)


def test_the_quiet_hear_nothing(remarks):
    server, model, tab = remarks
    act(server, "remarks", value="quiet")
    server.call("hello_run", name="Ada")
    assert not model.wait(lambda m: m.requests, 0.5)


def test_where_nobody_looks_nothing_is_said(remarks):
    server, model, tab = remarks
    tab.close()
    server.call("hello_run", name="Ada")
    assert not model.wait(lambda m: m.requests, 0.5)


def test_a_question_is_worth_a_word_to_who_is_elsewhere(remarks):
    server, model, tab = remarks
    (server.home / "apps" / "asking.py").write_text(ASKING)
    hear(tab, "Asking", 5)
    run = server.act("POST", "/default/asking").headers["hx-redirect"]
    server.act("POST", f"{run}/which", {})
    hear(tab, "Well done!</p>")
    assert "asks: Which?" in told(model)


@pytest.mark.parametrize("act", ["adds a row", "opens an app"])
def test_a_remark_is_dropped_when_the_user_does_something_else(remarks, act):
    server, model, tab = remarks
    model.queue.clear()
    model.script(Reply(token_list=["remark "] * 500, delay=0.02))
    server.call("hello_run", name="Ada")
    hear(tab, "remark")
    if act == "adds a row":
        server.act("POST", "/default/tasks", {"title": "Milk"})
    else:
        server.page("/default/notes")
    hear(tab, 'class="empty')
    assert model.wait(lambda m: m.cancelled == 1) and "remark" not in talk(server)


def test_a_remark_with_nothing_to_say_leaves_nothing(remarks):
    server, model, tab = remarks
    model.queue.clear()
    model.script("-")
    server.call("hello_run", name="Ada")
    hear(tab, 'class="empty')
    assert 'class="msg' not in talk(server)


def test_after_a_remark_with_nothing_to_say_there_is_nothing_to_stop(remarks):
    server, model, tab = remarks
    model.queue.clear()
    model.script("-")
    server.call("hello_run", name="Ada")
    assert ">Stop<" not in hear(tab, 'class="empty').rpartition('class="empty')[2]


def test_a_remark_is_dropped_when_the_user_says_something(remarks):
    server, model, tab = remarks
    model.queue.clear()
    model.script(Reply("late words", first_delay=5), "the answer")
    server.call("hello_run", name="Ada")
    assert model.wait(lambda m: m.requests)
    say(tab, "Listen")
    hear(tab, "the answer</p>")
    page = talk(server)
    assert page.count('class="msg') == 2 and "Stopped" not in page


def test_beside_a_run_it_offers_to_explain_and_to_do(remarks):
    server, model, _ = remarks
    run = server.act("POST", "/default/hello").headers["hx-redirect"]
    page = server.page(run)
    assert "Explain the next step" in page and "Do it for me" in page
    assert "Do it for me" not in server.page("/default/hello")
    assert "Do it for me" not in server.page("/default/tasks")


def waits_for_nobody(server, method, path, given=None):
    """While a tool has written and goes on, this is asked for; pages come all the same."""
    with ThreadPoolExecutor() as aside:
        holds = aside.submit(server.act, "POST", "/default/holders/1/call/hold")
        time.sleep(0.5)
        asked = aside.submit(server.act, method, path, given)
        time.sleep(0.3)
        began = time.monotonic()
        server.page("/default/tasks")
        assert time.monotonic() - began < 1, "a page waits for it"
        assert holds.result().status_code == asked.result().status_code == 200


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("remarks", {"value": "quiet"}),
        ("wait", {"value": "300"}),
        ("choose", {"value": ""}),
        ("add", {"url": "http://127.0.0.1:9"}),
        ("remove", {"url": "http://127.0.0.1:9"}),
    ],
)
def test_a_choice_in_settings_while_somebody_saves_holds_up_no_page(holding, verb, given):
    waits_for_nobody(holding, "POST", f"/default/assistant/{verb}", given)


def test_a_run_that_is_looked_at_and_answered_while_somebody_saves_holds_up_no_page(holding):
    run = holding.call("filer_run")["run"]
    waits_for_nobody(holding, "GET", f"/default/filer/{run}")
    waits_for_nobody(holding, "POST", f"/default/filer/{run}/-/answer", {"answer": "this"})
    assert "this" in holding.page(f"/default/filer/{run}")


@pytest.fixture(scope="module")
def holding(tmp_path_factory):
    home = tmp_path_factory.mktemp("holding")
    (home / "apps").mkdir()
    (home / "apps" / "holder.py").write_text(HOLDS)
    (home / "apps" / "filer.py").write_text(FILER)
    with serving(home) as started:
        started.call("holder_add", title="free")
        yield started
