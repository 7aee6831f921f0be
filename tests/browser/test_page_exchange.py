"""Rows in and out in a real browser: a file chosen, a table pasted, the preview, the way back."""

import pytest
from playwright.sync_api import expect

TABLE = "Title\tDone\nBuy milk\tyes\n\tno\nCall Ann\tno\n"
PASTE = """text => {
  const data = new DataTransfer();
  data.setData('text/plain', text);
  const event = new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
  document.activeElement.dispatchEvent(event);
}"""


@pytest.fixture(autouse=True)
def tasks(server):
    """titles(): of the tasks that are there; none at the beginning."""

    def titles():
        return [row["title"] for row in server.call("task_list")["rows"]]

    if titles():
        server.call("rows_delete", app="tasks", where="all=1")
    return titles


def test_a_chosen_file_is_previewed_matched_imported_and_taken_back(page, tasks, server, tmp_path):
    server.call("task_add", title="Buy milk")
    path = tmp_path / "to do.csv"
    path.write_text("What,Done,Extra\nBuy milk,yes,1\n,no,2\nCall Ann,no,3\n")
    page.goto("/default/tasks")
    page.get_by_role("button", name="Import").click()
    page.get_by_label("Choose a file").set_input_files(path)
    preview = page.locator("#import")
    expect(preview).to_contain_text("Buy milk · Call Ann")
    expect(preview.get_by_role("status").first).to_contain_text("3 left out")
    expect(preview.get_by_role("button", name="Import")).to_have_count(0)
    page.get_by_label("What becomes").select_option("Title")
    expect(preview.get_by_role("status").first).to_contain_text("2 to add · 1 left out")
    page.get_by_role("checkbox", name="Title").check()
    expect(preview.get_by_role("status").first).to_contain_text("1 to add · 1 to change")
    expect(preview).to_contain_text("Title may not be blank")
    assert "m.title=true" in page.url
    page.get_by_role("button", name="Import 2 rows").click()
    expect(preview).to_contain_text("1 added · 1 changed · 1 left out")
    assert tasks() == ["Call Ann", "Buy milk"]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#notices")).to_contain_text("Undid: Imported tasks")
    assert tasks() == ["Buy milk"]


def test_a_table_pasted_into_the_list_leads_to_its_import(page, tasks):
    page.goto("/default/tasks")
    expect(page.locator("#add").get_by_label("Title")).to_be_focused()
    page.evaluate(PASTE, TABLE)
    expect(page.get_by_role("button", name="Import 2 rows")).to_be_visible()
    page.get_by_role("button", name="Import 2 rows").click()
    page.get_by_role("button", name="Show the list").click()
    expect(page.locator("#rows")).to_contain_text("Call Ann")
    assert tasks() == ["Buy milk", "Call Ann"]


def test_what_an_import_did_is_told_though_a_preview_was_still_on_its_way(
    page, tasks, first_window
):
    page.goto("/default/tasks/import")
    page.locator("[name=text]").fill(TABLE)
    page.locator("[data-paste] button").click()
    expect(page.get_by_role("button", name="Import 2 rows")).to_be_visible()
    held = []
    page.route("**/tasks/import*", lambda route: held.append(route))
    with page.expect_request("**/tasks/import?*"):
        page.get_by_label("Done becomes").select_option("– leave out –")
    expect(page.locator("#import form")).to_have_css("opacity", "0.4")
    page.get_by_label("Done becomes").select_option("Done")  # a second one follows the first
    with page.expect_request(lambda request: request.method == "POST"):
        page.get_by_role("button", name="Import 2 rows").click()
    expect(page.get_by_label("Done becomes")).to_be_disabled()
    for route in held:  # the preview first, which a table of many rows takes seconds for
        route.continue_()
    page.unroute("**/tasks/import*")
    expect(page.locator("#import")).to_contain_text("2 added")
    expect(page.get_by_role("button", name="Import 2 rows")).to_have_count(0)
    assert tasks() == ["Buy milk", "Call Ann"]
    said = first_window[0].wrong  # htmx says that the preview was given up
    assert all(line.startswith("htmx:") for line in said)
    said.clear()


def test_an_import_that_was_undone_is_not_told_as_done_any_more(page, tasks):
    page.goto("/default/tasks/import")
    page.locator("[name=text]").fill(TABLE)
    page.locator("[data-paste] button").click()
    page.get_by_role("button", name="Import 2 rows").click()
    expect(page.locator("#import")).to_contain_text("2 added")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#notices")).to_contain_text("Undid: Imported tasks")
    expect(page.locator("#import")).not_to_contain_text("added")
    assert tasks() == []


def test_what_a_column_becomes_is_chosen_on_a_phone_without_scrolling_aside(window):
    page = window(viewport={"width": 390, "height": 780})
    page.goto("/default/tasks/import")
    page.locator("[name=text]").fill(f"Title\tDue\n{'Buy milk and bread' * 3}\t31.12.2026\n")
    page.locator("[data-paste] button").click()
    expect(page.get_by_label("How due is written")).to_be_visible()
    places = [page.get_by_label(f"{name} becomes").bounding_box() for name in ("Title", "Due")]
    places += [page.get_by_label("How due is written").bounding_box()]
    assert all(place["x"] + place["width"] < 390 for place in places)


def test_why_a_row_is_left_out_is_read_on_a_phone_without_scrolling_aside(window, tmp_path):
    path = tmp_path / "tasks.csv"
    path.write_text("Title,Due\nMilk,some day in the spring\n")
    page = window(viewport={"width": 390, "height": 780})
    page.goto("/default/tasks/import")
    page.get_by_label("Choose a file").set_input_files(path)
    expect(page.locator("#check")).to_contain_text("needs a date like")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_long_reason_for_leaving_a_row_out_is_read_to_its_end(page, tmp_path):
    (path := tmp_path / "long.csv").write_text(f"Title,Due\n{'very ' * 8}long,{'x' * 70}\n")
    page.goto("/default/tasks/import")
    page.get_by_label("Choose a file").set_input_files(path)
    reason = page.locator("#import td:last-child", has_text="needs a date")
    expect(reason).to_be_visible()
    assert reason.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_a_word_pasted_into_a_box_stays_there(page):
    page.goto("/default/tasks")
    page.evaluate(PASTE, "just words")
    page.wait_for_timeout(200)
    assert page.url.endswith("/default/tasks")


def test_lines_pasted_on_the_page_for_it_are_titles(page, tasks):
    page.goto("/default/tasks/import")
    page.get_by_label("Or cells copied").fill("Milk, eggs\nBread")
    page.locator("[data-paste]").get_by_role("button").click()
    page.get_by_role("button", name="Import 2 rows").click()
    expect(page.locator("#import")).to_contain_text("2 added")
    assert tasks() == ["Milk, eggs", "Bread"]


def test_a_list_is_downloaded_as_it_is_shown(page, server):
    for title, done in (("Done thing", True), ("=Open thing", False)):
        server.call("task_add", title=title, done=done)
    page.goto("/default/tasks?f.done=no")
    with page.expect_download() as started:
        page.get_by_role("link", name="Export CSV").click()
    text = started.value.path().read_text("utf-8-sig")
    assert started.value.suggested_filename.startswith("tasks-")
    assert "'=Open thing" in text and "Done thing" not in text
