"""Rows in a real browser: typing, editing in place, ticking, deleting, sorting, searching."""

import re

import pytest
from playwright.sync_api import expect


@pytest.fixture
def tasks(page, server):
    """The page of an empty list."""
    for row in server.call("task_list")["rows"]:
        server.call("task_delete", id=row["id"])
    with page.expect_websocket() as socket:
        page.goto("/default/tasks")
    assert "/ws?at=/default/tasks" in socket.value.url
    page.wait_for_timeout(100)  # from here on it hears of every change
    return page


def box(page):
    return page.locator("#add").get_by_label("Title")


def row(page, title):
    return page.locator("#rows tr").filter(has_text=title)


def titles(server):
    return [r["title"] for r in server.call("task_list")["rows"]]


def order(page):
    return page.locator("#rows tr td[data-label=Title]").all_inner_texts()


def test_two_rows_typed_quickly_are_both_there_and_the_box_is_ready_for_the_next(tasks, server):
    expect(box(tasks)).to_be_focused()
    tasks.keyboard.type("first thing")
    tasks.keyboard.press("Enter")
    expect(box(tasks)).to_have_value("")
    tasks.keyboard.type("second thing")
    tasks.keyboard.press("Enter")
    expect(row(tasks, "second thing")).to_be_visible()
    expect(tasks.locator("#rows tr")).to_have_count(2)
    expect(box(tasks)).to_have_value("")
    expect(box(tasks)).to_be_focused()
    assert titles(server) == ["second thing", "first thing"]


def test_enter_twice_in_a_row_does_not_add_a_row_twice(tasks, server):
    tasks.keyboard.type("only once")
    tasks.keyboard.press("Enter")
    tasks.keyboard.press("Enter")
    expect(row(tasks, "only once").first).to_be_visible()
    tasks.wait_for_timeout(300)
    assert titles(server).count("only once") == 1


def test_a_refused_form_keeps_the_text_and_names_the_field(tasks):
    tasks.locator("#add").get_by_label("Due").fill("2026-05-01")
    tasks.get_by_role("button", name="Add", exact=True).click()
    expect(tasks.locator("#add").get_by_role("alert")).to_be_visible()
    expect(tasks.locator("#add").get_by_label("Due")).to_have_value("2026-05-01")
    box(tasks).fill("now it fits")
    tasks.keyboard.press("Enter")
    expect(row(tasks, "now it fits")).to_be_visible()
    expect(tasks.locator("#add").get_by_role("alert")).to_have_count(0)


def test_a_cell_is_edited_with_enter_and_left_with_escape(tasks, server):
    server.call("task_add", title="before")
    row(tasks, "before").get_by_role("button", name="before").click()
    editor = tasks.locator("#rows").get_by_label("Title")
    expect(editor).to_be_focused()
    editor.fill("after")
    tasks.keyboard.press("Enter")
    expect(row(tasks, "after").get_by_role("button", name="after")).to_be_visible()
    row(tasks, "after").get_by_role("button", name="after").click()
    tasks.locator("#rows").get_by_label("Title").fill("never saved")
    tasks.keyboard.press("Escape")
    expect(row(tasks, "after").get_by_role("button", name="after")).to_be_visible()
    assert titles(server) == ["after"]


def test_a_refused_edit_keeps_what_was_typed_beside_the_reason(tasks, server):
    server.call("task_add", title="solid")
    row(tasks, "solid").get_by_role("button", name="solid").click()
    tasks.locator("#rows").get_by_label("Title").fill("   ")
    tasks.keyboard.press("Enter")
    expect(tasks.locator("#rows").get_by_role("alert")).to_be_visible()
    expect(tasks.locator("#rows").get_by_label("Title")).to_have_value("   ")
    tasks.locator("#rows").get_by_label("Title").fill("mended")
    tasks.keyboard.press("Enter")
    expect(row(tasks, "mended").get_by_role("button", name="mended")).to_be_visible()
    assert titles(server) == ["mended"]


def test_a_stale_edit_shows_both_versions(tasks, server):
    key = server.call("task_add", title="shared")["id"]
    row(tasks, "shared").get_by_role("button", name="shared").click()
    expect(tasks.locator("#rows").get_by_label("Title")).to_be_focused()
    tasks.context.set_offline(False)
    tasks.evaluate("htmx.trigger(document.body, 'noop')")
    server.call("task_update", id=key, title="theirs")
    if tasks.locator("#rows").get_by_label("Title").count():  # the live change may have come first
        tasks.locator("#rows").get_by_label("Title").fill("mine")
        tasks.keyboard.press("Enter")
        expect(tasks.locator("#rows")).to_contain_text("theirs")
    assert titles(server) == ["theirs"]


def test_a_tick_is_saved_at_once(tasks, server):
    server.call("task_add", title="tick me")
    row(tasks, "tick me").get_by_label("Done").check()
    tasks.wait_for_timeout(150)
    expect(row(tasks, "tick me").get_by_label("Done")).to_be_checked()
    assert server.call("task_list")["rows"][0]["done"] is True


def test_a_deleted_row_comes_back_with_undo(tasks, server):
    server.call("task_add", title="come back")
    row(tasks, "come back").get_by_role("button", name="Delete").click()
    expect(row(tasks, "come back")).to_have_count(0)
    tasks.locator("#notices").get_by_role("button", name="Undo").click()
    expect(row(tasks, "come back")).to_be_visible()
    assert titles(server) == ["come back"]


def test_rows_are_sorted_by_dragging_and_by_keys(tasks, server):
    for title in ("three", "two", "one"):
        server.call("task_add", title=title)
    tasks.reload()
    assert order(tasks) == ["one", "two", "three"]
    grips = tasks.locator("#rows .grip button")
    start, end = grips.nth(0).bounding_box(), grips.nth(2).bounding_box()
    tasks.mouse.move(start["x"] + 5, start["y"] + 5)
    tasks.mouse.down()
    with tasks.expect_response(re.compile("/move$")):
        for step in range(1, 9):
            tasks.mouse.move(start["x"] + 5, start["y"] + (end["y"] + 12 - start["y"]) * step / 8)
            tasks.wait_for_timeout(20)
        tasks.mouse.up()
    assert order(tasks) == ["two", "three", "one"] == titles(server)
    grips.nth(0).focus()
    with tasks.expect_response(re.compile("/move$")):
        tasks.keyboard.press("Alt+ArrowDown")
    assert order(tasks) == ["three", "two", "one"] == titles(server)
    tasks.reload()
    assert order(tasks) == ["three", "two", "one"]


def test_typing_into_the_search_narrows_the_list_and_the_address_keeps_it(tasks, server):
    for title in ("apple", "pear", "pineapple"):
        server.call("task_add", title=title)
    tasks.reload()
    tasks.get_by_label("Search Tasks").fill("apple")
    expect(tasks.locator("#rows tr")).to_have_count(2)
    assert "q=apple" in tasks.url
    tasks.reload()
    expect(tasks.locator("#rows tr")).to_have_count(2)
    tasks.get_by_label("Search Tasks").fill("nothing such")
    expect(tasks.get_by_text("Nothing matches")).to_be_visible()


def test_a_change_elsewhere_appears_without_a_reload(tasks, window, server):
    other = window()
    other.goto("/default/tasks")
    box(tasks).fill("from the first tab")
    tasks.keyboard.press("Enter")
    expect(row(other, "from the first tab")).to_be_visible(timeout=1_000)
    expect(row(tasks, "from the first tab")).to_have_count(1)


PAYLOADS = [
    "<img src=x onerror=window.hit=1>",
    "<script>window.hit=1</script>",
    '"><svg onload=window.hit=1>',
    "<b hx-get=/default hx-trigger=load>x</b>",
    "{{7*7}}",
    "javascript:window.hit=1",
]


def test_a_title_that_is_markup_is_shown_as_text_everywhere(tasks, server):
    for payload in PAYLOADS:
        server.call("task_add", title=payload)
    for path in ("/default/tasks", "/default/history", "/default/search?q=hit"):
        tasks.goto(path)
        tasks.wait_for_timeout(100)
        assert tasks.evaluate("window.hit") is None
        expect(tasks.get_by_text("<script>window.hit=1</script>").first).to_be_visible()
    tasks.goto("/default/tasks")
    for payload in PAYLOADS:
        row(tasks, payload).get_by_role("button", name=payload).click()
        expect(tasks.locator("#rows").get_by_label("Title")).to_have_value(payload)
        tasks.keyboard.press("Escape")
        expect(row(tasks, payload)).to_be_visible()
    assert tasks.evaluate("window.hit") is None
