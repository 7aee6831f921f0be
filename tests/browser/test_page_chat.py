"""The assistant in a real browser: tokens in every tab, Stop, an approval by a click, no markup."""

import pytest
from playwright.sync_api import expect

from model_server import Reply
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


def test_stop_ends_an_answer(page, model):
    page.goto("/default")
    model.script(Reply(token_list=["on "] * 400, delay=0.03))
    say(page, "Go on and on")
    page.get_by_role("button", name="Stop").click()
    expect(talk(page)).to_contain_text("Stopped.", timeout=2_000)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)


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
