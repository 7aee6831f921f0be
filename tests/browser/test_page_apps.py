"""The bundled apps in a real browser: what their pages do beyond a list of rows."""

import re
from pathlib import Path

from playwright.sync_api import expect


def test_a_query_is_written_run_by_keys_mended_saved_and_downloaded(page, server):
    server.call("task_add", title="Ask SQLite")
    page.goto("/default/queries")
    page.get_by_text("Write a query").click()
    page.locator("#sql").fill("SELECT titel FROM app_tasks")
    page.keyboard.press("Control+Enter")
    page.get_by_text("no such column: titel (line 1, column 8)").wait_for()
    assert page.locator("#sql").input_value() == "SELECT titel FROM app_tasks"
    page.locator("#sql").fill("SELECT title FROM app_tasks")
    page.keyboard.press("Control+Enter")
    page.locator("#answer td", has_text="Ask SQLite").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert Path(download.value.path()).read_text("utf-8") == "\ufefftitle\nAsk SQLite\n"
    page.get_by_label("Title", exact=True).fill("Titles")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/queries/*/run")
    page.reload()
    page.locator("#answer td", has_text="Ask SQLite").wait_for()


def test_the_error_of_a_query_is_gone_once_the_next_one_is_answered(page):
    page.goto("/default/queries/run")
    for sql in ("SELECT nothing", "SELECT 1 AS one"):
        page.locator("#sql").fill(sql)
        page.keyboard.press("Control+Enter")
        shown = "#answer th" if "one" in sql else ".problem"
        page.locator(shown).wait_for()
    expect(page.locator(".problem")).to_have_count(0)


def test_the_answer_of_the_last_query_does_not_look_as_that_of_one_that_failed(page):
    page.goto("/default/queries/run")
    page.locator("#sql").fill("SELECT 1 AS one")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer th")).to_be_visible()
    expect(page.locator("#answer")).to_have_css("opacity", "1")
    page.locator("#sql").fill("SELECT nothing")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".problem")).to_be_visible()
    expect(page.locator("#answer")).to_have_css("opacity", "0.4")
    page.locator("#sql").fill("SELECT 1 AS one")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_have_css("opacity", "1")


def test_a_query_saved_without_a_name_stays_where_it_is_and_says_what_it_lacks(page):
    page.goto("/default/queries/run")
    page.locator("#sql").fill("SELECT 1 AS a")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Title may not be blank").wait_for()
    assert page.url.endswith("/queries/run")
    assert page.locator("#sql").input_value() == "SELECT 1 AS a"


def test_a_kept_query_is_saved_when_its_box_is_left(page, server):
    key = server.call("query_add", title="One", sql="SELECT 1 AS a")["id"]
    page.goto(f"/default/queries/{key}/run")
    page.locator("#answer th", has_text="a").wait_for()
    page.locator("#sql").fill("SELECT 2 AS changed")
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.get_by_label("Title", exact=True).focus()
    assert server.call("query_get", id=key)["sql"] == "SELECT 2 AS changed"


def test_a_file_is_chosen_uploaded_listed_looked_at_deleted_and_brought_back(
    page, server, tmp_path
):
    (tmp_path / "hello.txt").write_text("Hello, file!")
    page.goto("/default/files")
    page.locator("#add input[type=file]").set_input_files(tmp_path / "hello.txt")
    expect(page.locator("#add [name=file]")).to_have_value(re.compile("^file:"))
    page.locator("#add button[type=submit]").click()
    row = page.locator("tr", has_text="hello.txt")
    row.wait_for()
    with page.context.expect_page() as opened:
        row.get_by_title("Look at").click()
    assert "Hello, file!" in opened.value.inner_text("body")
    opened.value.close()
    row.get_by_label("Delete").click()
    page.get_by_role("button", name="Undo").click()
    page.goto("/default/files")
    page.locator("tr", has_text="hello.txt").wait_for()
