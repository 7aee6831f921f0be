"""The assistant in a real browser: tokens in every tab, Stop, an approval by a click, no markup."""

import contextlib
import re
import time

import apsw
import pytest
from playwright.sync_api import expect

from model_server import Reply
from pipulate.core.store import now
from serving import serving


@pytest.fixture(autouse=True)
def nothing_left_to_say(model):
    yield
    model.queue.clear()


def say(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def talk(page):
    return page.get_by_role("log", name="Conversation")


def below(page):
    """How much of the talk lies below what is seen, in pixels."""
    return talk(page).evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight")


def test_tokens_appear_in_both_tabs_while_the_model_still_writes(page, window, model):
    other = window()
    page.goto("/default")
    other.goto("/default/tasks")
    model.script(Reply(token_list=[f"tok{n} " for n in range(25)], delay=0.04))
    say(page, "Tell me")
    for tab in (page, other):
        expect(talk(tab)).to_contain_text("tok3", timeout=1_500)
        assert "tok24" not in talk(tab).inner_text()
    expect(page.get_by_label("Message", exact=True)).to_have_value("")
    for tab in (page, other):
        expect(talk(tab)).to_contain_text("tok24")
        assert talk(tab).inner_text().count("tok7 ") == 1


def test_the_chat_takes_no_room_where_nobody_answers_and_nothing_was_said(browser, tmp_path):
    with serving(tmp_path / "home") as server:
        for choice in (False, True):
            context = browser.new_context(base_url=server.url)
            (cookie,) = server.client.cookies.jar
            context.add_cookies([{"name": cookie.name, "value": cookie.value, "url": server.url}])
            page = context.new_page()
            page.goto("/default/tasks")
            expect(page.locator("#chat")).to_be_visible(visible=choice)
            if not choice:
                page.get_by_role("button", name="Chat").click()
                page.reload()
                expect(page.locator("#chat")).to_be_visible()  # as the user chose
                say(page, "/help")
                expect(talk(page)).to_contain_text("task add")
            context.close()


@pytest.mark.alone
def test_stop_ends_an_answer(page, model):
    page.goto("/default")
    model.script(Reply(token_list=["on "] * 400, delay=0.03))
    say(page, "Go on and on")
    page.get_by_role("button", name="Stop").click()
    expect(talk(page)).to_contain_text("Stopped.", timeout=2_000)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)


def test_where_only_the_assistant_had_spoken_retry_led_nowhere(page, model, server):
    server.call("profile_add", name="Silent")
    page.goto("/silent/hello")
    model.script("Ada was greeted.")
    server.call("hello_run", profile="silent", name="Ada")
    expect(talk(page)).to_contain_text("Ada was greeted.")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    model.script("Yes.")
    say(page, "Was she?")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


def test_what_the_model_adds_is_in_the_list_at_once(page, model):
    page.goto("/default/tasks")
    model.script(Reply(tools=[("task_add", {"title": "Added for you"})]), "It is **done**.")
    say(page, "Add it")
    expect(page.locator("#rows").get_by_text("Added for you")).to_be_visible()
    expect(talk(page).locator("strong").get_by_text("done")).to_be_visible()
    expect(talk(page)).to_contain_text("task_add")


def test_a_turn_is_looked_at_as_one_diff_undone_and_redone(page, window, model, server):
    key = server.call("task_add", title="Oat milk")["id"]
    other = window()
    for tab in (page, other):
        tab.goto("/default/tasks")
    changes = [{"id": key, "title": "Soy milk"}, {"id": key, "title": "Rice milk", "done": True}]
    model.script(Reply(tools=[("task_update", c) for c in changes]), "The milk is changed.")
    say(page, "Change the milk")
    for tab in (other, page):
        said = tab.locator(".msg", has_text="The milk is changed.")
        expect(said.locator(".turn")).to_be_visible()
    talk(other).get_by_role("link", name="Undo this turn").last.click()
    expect(other.locator(".diff dd").first).to_have_text("Oat milk → Rice milk")
    other.get_by_role("button", name="Undo this turn").click()
    expect(other.get_by_text("This turn was undone.")).to_be_visible()
    expect(page.locator(f"#task-{key}")).to_contain_text("Oat milk")
    expect(talk(page).get_by_role("link", name="This turn was undone").last).to_be_visible()
    other.locator("#main").get_by_role("button", name="Redo").click()
    expect(page.locator(f"#task-{key}")).to_contain_text("Rice milk")
    expect(talk(page).get_by_role("link", name="Undo this turn").last).to_be_visible()


def test_a_destructive_call_runs_only_after_the_click(page, model, server):
    server.call("profile_add", name="Doomed")
    model.script(Reply(tools=[("profile_delete", {"profile": "doomed"})]), "Asked.", "It is gone.")
    page.goto("/default")
    say(page, "Delete doomed")
    expect(talk(page)).to_contain_text("Asked.")
    assert "doomed" in [p["slug"] for p in server.call("profile_list")]
    page.get_by_role("button", name="Look and decide").last.click()
    expect(page.get_by_text("profile_delete").last).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(talk(page)).to_contain_text("It is gone.")
    assert "doomed" not in [p["slug"] for p in server.call("profile_list")]


HOSTILE = """<img src=x onerror="window.hit=1"><script>window.hit=1</script>
[click](javascript:window.hit=1) ![pixel](http://127.0.0.1:9/x.png?secret)
<div hx-get="/default" hx-trigger="load" hx-swap-oob="true" id="main">x</div>
<form ws-send><input name=msg value="/task add title=planted"></form>
<a href="data:text/html,x">y</a>"""


def test_what_the_model_writes_is_never_run_nor_does_it_fetch_anything(page, model, server):
    page.goto("/default/tasks")
    model.script(
        Reply(token_list=[HOSTILE[n : n + 7] for n in range(0, len(HOSTILE), 7)], delay=0.002), "ok"
    )
    say(page, "Write markup")
    expect(talk(page).locator("a:not(.turn a)")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    expect(talk(page)).to_contain_text("onerror")
    page.reload()
    expect(talk(page)).to_contain_text("onerror")
    assert page.evaluate("window.hit") is None
    for selector in ("img", "script", "form", "[hx-get]", "[onerror]", "[style]"):
        assert talk(page).locator(f".msg {selector}:not(button)").count() == 0, selector
    assert "planted" not in str(server.call("task_list"))


def test_a_command_works_and_its_answer_is_shown(page):
    page.goto("/default/tasks")
    say(page, '/task add title="By command"')
    expect(page.locator("#rows").get_by_text("By command")).to_be_visible()


def test_a_lost_socket_takes_up_the_answer_and_nothing_is_missing(page, model):
    ends = []

    def through(socket):
        ends.append((socket, socket.connect_to_server()))

    page.route_web_socket(re.compile(r"/ws\?"), through)
    page.goto("/default")
    model.script(Reply(token_list=[f"bit{n} " for n in range(60)], delay=0.03))
    say(page, "Tell me more")
    expect(talk(page)).to_contain_text("bit5 ")
    for end in ends.pop():
        end.close(code=1012)
    expect(page.locator("body")).to_have_class(re.compile("gone"))
    expect(talk(page)).to_contain_text("bit59", timeout=8_000)
    assert len(ends) == 1, "it came back by itself"
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    said = page.locator(".msg.assistant").last.inner_text().split()
    assert said[:60] == [f"bit{n}" for n in range(60)]
    expect(page.locator(".msg", has_text="Tell me more")).to_have_count(1)
    page.unroute_all()


def test_a_message_is_tried_again_edited_and_copied(page, model):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/default")
    model.script("A *first* try", "A second try", "```sql\nselect 1\n```")
    say(page, "Write somthing")
    expect(talk(page).locator("em").get_by_text("first")).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(talk(page)).to_contain_text("A second try")
    expect(talk(page)).not_to_contain_text("first try")
    page.locator(".msg.user", has_text="somthing").get_by_role("button", name="Edit").click()
    box = page.get_by_label("Message", exact=True)
    expect(box).to_have_value("Write somthing")
    say(page, "Write something")
    expect(talk(page)).not_to_contain_text("somthing")
    expect(talk(page).locator(".code small").last).to_have_text("sql")
    for within, text in ((".code", "select 1\n"), (".msg >> nth=-1", "```sql\nselect 1\n```")):
        button = talk(page).locator(within).get_by_role("button").last
        button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == text
    model.script("Something else")
    say(page, "Now another")
    expect(talk(page)).to_contain_text("Something else")
    expect(talk(page)).to_contain_text("Write something")


def test_a_command_is_completed_with_the_keys(page, server):
    page.goto("/default/tasks")
    box, options = page.get_by_label("Message", exact=True), page.locator("#offers [role=option]")
    box.press_sequentially("/task a")
    expect(options.first).to_contain_text("/task add")
    box.press("Tab")
    expect(box).to_have_value("/task add ")
    expect(options.first).to_contain_text("title=")
    box.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    assert box.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    box.press("Enter")
    expect(box).to_have_value("/task add title=")
    box.press_sequentially('"Typed with keys" p')
    expect(options).to_have_count(1)
    box.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_be_focused()
    box.press("Backspace")
    box.press("Enter")
    expect(page.locator("#rows").get_by_text("Typed with keys")).to_be_visible()
    expect(options).to_have_count(0)


def test_a_call_is_undone_in_its_chip(page, model):
    page.goto("/default/tasks")
    model.script(Reply(tools=[("task_add", {"title": "A chip"})]), "There it is.")
    say(page, "Add a chip")
    chip = talk(page).locator(".msg.tool").last
    chip.get_by_text("task_add").click()
    expect(chip.locator("pre")).to_contain_text("A chip")
    chip.get_by_role("button", name="Undo").click()
    expect(chip).to_contain_text("undone")
    expect(page.locator("#rows").get_by_text("A chip")).to_have_count(0)


def test_a_file_and_the_page_go_along(page, model):
    page.goto("/default/tasks")
    file = {"name": "towns.csv", "mimeType": "text/csv", "buffer": b"town\nOslo\n"}
    page.get_by_label("Attach a file").first.set_input_files(file)
    expect(page.get_by_label("Attached file")).to_have_value("file:1")
    page.get_by_label("Attach this page").check()
    model.script("I have both.")
    say(page, "Look at these")
    expect(talk(page)).to_contain_text("I have both.")
    said = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "user"][-1]
    assert "file:1 towns.csv and what is on /default/tasks" in said and '"rows":' in said
    expect(page.get_by_label("Attached file")).to_have_value("")
    expect(page.get_by_label("Attach this page")).not_to_be_checked()
    expect(talk(page).get_by_text("Attached: file:1 towns.csv")).to_be_visible()


@pytest.mark.alone
def test_the_talk_follows_its_end_unless_somebody_scrolled_up(page, model, until):
    page.goto("/default")
    model.script(
        Reply(token_list=["line\n\n"] * 60), Reply(token_list=["line\n\n"] * 150, delay=0.02)
    )
    say(page, "Much")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert until(lambda: below(page) < 60)
    say(page, "More")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    talk(page).hover()
    page.mouse.wheel(0, -300)
    assert until(lambda: below(page) > 250)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert below(page) > 250


def test_the_first_talk_keeps_its_place_when_it_is_drawn_anew(page, server, until):
    """The hint that it began with goes then; the talk moved, and was not followed any more."""
    server.call("profile_add", name="Beginner")
    page.goto("/beginner")
    for line in ("/task add title=Milk", "/help task_add"):
        say(page, line)
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
    place = "e => e.querySelector('.msg').offsetTop"
    was = talk(page).evaluate(place)
    say(page, "/undo")
    expect(talk(page)).to_contain_text("Undid: Added task")
    expect(talk(page).locator(".empty")).to_have_count(0)
    assert talk(page).evaluate(place) == was


GOES = """() => {
    const talk = document.getElementById('talk'), tall = document.createElement('div');
    tall.style.height = '400px';
    talk.lastElementChild.remove();
    const moved = talk.scrollTop;  // the talk is laid out, and so moved, before more comes
    setTimeout(() => talk.append(tall));
    return moved;
}"""


@pytest.mark.alone
def test_a_talk_from_which_something_goes_as_more_comes_is_followed_on(page, server, until):
    """As in each turn with tools, whose first answer is empty: it counted as scrolled up."""
    server.call("profile_add", name="Follower")
    page.goto("/follower")
    for line in ("/help", "/help task_add"):
        say(page, line)
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert until(lambda: below(page) < 5 and talk(page).evaluate("e => e.scrollTop") > 500)
    for _ in range(3):
        page.evaluate(GOES)
        page.wait_for_timeout(100)
    assert below(page) < 5


@pytest.mark.alone
def test_who_reads_above_and_says_something_is_brought_to_its_answer(page, server, until):
    server.call("profile_add", name="Reader")
    page.goto("/reader")
    say(page, "/help")
    assert until(lambda: below(page) < 5 and talk(page).evaluate("e => e.scrollTop") > 500)
    talk(page).hover()
    page.mouse.wheel(0, -800)
    assert until(lambda: below(page) > 500)
    say(page, "/help task_add")
    expect(talk(page)).to_contain_text("needed")
    assert until(lambda: below(page) < 5)


SCROLLS = """() => {
    const own = Object.getOwnPropertyDescriptor(Element.prototype, 'scrollTop');
    window.scrolls = window.frames_drawn = 0;
    const set = function(to) { window.scrolls += 1; own.set.call(this, to); };
    Object.defineProperty(Element.prototype, 'scrollTop', {...own, set});
    const count = () => { window.frames_drawn += 1; requestAnimationFrame(count); };
    count();
}"""


def test_tokens_that_come_fast_are_followed_once_a_frame_and_do_not_freeze_a_long_talk(page, model):
    page.goto("/default")
    page.evaluate(SCROLLS)
    model.script(Reply(token_list=[f"word{n} " for n in range(1_500)], delay=0.001))
    say(page, "Go on and on")
    expect(talk(page)).to_contain_text("word1499", timeout=60_000)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    scrolls, frames = page.evaluate("[window.scrolls, window.frames_drawn]")
    assert 0 < scrolls <= frames + 2, "each makes the browser lay out the whole talk"


@pytest.mark.alone
def test_a_long_talk_opens_at_once_and_what_was_before_keeps_the_place(page, server, until):
    server.call("profile_add", name="Talkative")
    key = next(p["id"] for p in server.call("profile_list") if p["slug"] == "talkative")
    lines = "INSERT INTO messages (profile_id, role, text, state, at_utc)"
    with contextlib.closing(apsw.Connection(str(server.home / "pipulate.db"))) as db:
        db.set_busy_timeout(5_000)
        with db:
            many = (
                (key, ("user", "assistant")[n % 2], f"message {n}", now()) for n in range(10_000)
            )
            db.executemany(f"{lines} VALUES (?, ?, ?, 'done', ?)", many)
    start = time.monotonic()
    page.goto("/talkative")
    expect(talk(page)).to_contain_text("message 9999")
    assert time.monotonic() - start < 1.5
    expect(page.locator(".msg")).to_have_count(100)
    first = page.locator(".msg", has_text="message 9900")
    first.scroll_into_view_if_needed()
    was = first.bounding_box()["y"]
    page.get_by_role("button", name="Load earlier messages").click()
    expect(page.locator(".msg")).to_have_count(200)
    assert until(lambda: talk(page).evaluate("e => e.scrollTop") > 100)
    assert abs(first.bounding_box()["y"] - was) < 60


def test_beside_a_run_the_assistant_is_asked_with_a_click(page, model):
    page.goto("/default/hello")
    page.get_by_role("button", name="New run").click()
    model.script("First it asks for a name.")
    page.get_by_role("button", name="Explain the next step").click()
    expect(talk(page)).to_contain_text("First it asks for a name.")
    expect(talk(page)).to_contain_text("Explain the next step of this run")


def test_the_model_of_a_profile_is_chosen_in_settings(page, model):
    page.goto("/default/settings")
    pick = page.get_by_label("This profile talks to")
    pick.select_option(label=f"stand-in · {model.url} · on this machine")
    expect(pick).not_to_have_value("")
    expect(pick).to_have_value(f"{model.url} stand-in")
    page.reload()
    expect(pick).to_have_value(f"{model.url} stand-in")
    pick.select_option(index=0)
    page.get_by_role("button", name="Check this model").click()
    expect(page.locator("#work")).to_contain_text("after Stop", timeout=8_000)


def test_a_message_stands_in_the_talk_itself_as_it_does_after_a_reload(page, server):
    page.goto("/default/tasks")
    page.locator("#say textarea").fill("/help")
    page.keyboard.press("Enter")
    expect(page.locator("#talk > .msg.user").last).to_contain_text("/help")


def test_what_is_being_typed_in_settings_stays_when_another_choice_is_saved(page):
    held = []
    page.goto("/default/settings")
    address = page.get_by_label("Address")
    expect(address).to_be_visible()
    page.route("**/assistant/wait", lambda route: held.append((route, route.fetch())))
    page.get_by_label("Its first word may take").select_option("300")
    address.press_sequentially("http://half")
    page.wait_for_timeout(100)
    route, answer = held[0]
    route.fulfill(response=answer)
    page.wait_for_timeout(200)
    expect(address).to_have_value("http://half")
    expect(address).to_be_focused()
    page.unroute_all()
    page.get_by_label("Its first word may take").select_option("60")
    expect(address).to_have_value("http://half")
    page.reload()
    expect(page.get_by_label("Its first word may take")).to_have_value("60")


def test_an_approval_that_is_being_read_in_the_inbox_stays_open_while_runs_go_on(
    page, model, server
):
    server.call("profile_add", name="Spared")
    model.script(Reply(tools=[("profile_delete", {"profile": "spared"})]), "Asked.", "It stays.")
    page.goto("/default/inbox")
    say(page, "Delete it")
    listed = page.locator("#listing")
    listed.get_by_role("button", name="Look and decide").first.click()
    expect(listed.get_by_role("button", name="Reject")).to_be_visible()
    with page.expect_response("**/default/inbox"):
        server.call("hello_run", name="Ada", to_step="person")
    page.wait_for_timeout(200)
    listed.get_by_role("button", name="Reject").click()
    expect(listed.get_by_text("Rejected; nothing was done.")).to_be_visible()
    assert "spared" in [p["slug"] for p in server.call("profile_list")]
