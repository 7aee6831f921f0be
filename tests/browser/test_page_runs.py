"""Pipelines in a real browser: to the end by Enter, revised, locked, cancelled, measured."""

import re

import pytest
from playwright.sync_api import expect

SLOW = '''
import time
from pipulate import Pipeline

slow = Pipeline("Slow", "Takes its time.")


@slow.step
def wait(job):
    """Waits for a minute."""
    for n in range(600):
        job.progress(n, 600, f"round {n}")
        time.sleep(0.1)
'''


def card(page, heading):
    return page.get_by_role("article").filter(has=page.get_by_role("heading", name=heading))


@pytest.fixture
def hello(page):
    page.goto("/default/hello")
    page.get_by_role("button", name="New run").click()
    page.wait_for_url(re.compile(r"/default/hello/\d+$"))
    return page


def to_the_end(page):
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    expect(card(page, "1. Person")).to_contain_text("done")
    expect(page.get_by_label("Mark")).to_be_focused()
    card(page, "2. Greeting").get_by_role("button", name="Run").click()
    expect(card(page, "2. Greeting")).to_contain_text("Hello, Ada!")
    expect(card(page, "3. Letters").get_by_role("button", name="Run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(card(page, "3. Letters")).to_contain_text("11")


def test_a_run_goes_to_its_end_by_the_keyboard(hello):
    to_the_end(hello)
    expect(hello.get_by_role("button", name="Finish")).to_be_enabled()


def test_a_revised_step_marks_the_later_ones_stale_and_keeps_their_outputs(hello):
    to_the_end(hello)
    card(hello, "1. Person").get_by_label("Name").fill("Grace")
    card(hello, "1. Person").get_by_role("button", name="Run again").click()
    expect(card(hello, "2. Greeting")).to_contain_text("stale")
    expect(card(hello, "3. Letters")).to_contain_text("stale")
    expect(card(hello, "2. Greeting")).to_contain_text("Hello, Ada!")
    expect(hello.get_by_role("button", name="Finish")).to_be_disabled()


def test_a_finished_run_is_locked_until_it_is_reopened(hello):
    to_the_end(hello)
    hello.get_by_role("button", name="Finish").click()
    expect(hello.get_by_role("button", name="Reopen")).to_be_visible()
    expect(hello.get_by_role("button", name="Run again")).to_have_count(0)
    hello.get_by_role("button", name="Reopen").click()
    expect(card(hello, "1. Person").get_by_role("button", name="Run again")).to_be_visible()


def test_an_empty_answer_is_refused_beside_its_box(hello):
    expect(hello.get_by_label("Name")).to_be_focused()
    hello.keyboard.press("Enter")
    expect(card(hello, "1. Person").get_by_role("alert")).to_be_visible()
    expect(card(hello, "2. Greeting").get_by_role("button", name="Run")).to_have_count(0)


def test_a_slow_step_shows_its_progress_and_is_cancelled_within_two_seconds(page, server):
    (server.home / "apps" / "slow.py").write_text(SLOW)
    for _ in range(30):
        if page.goto("/default/slow").status == 200:
            break
        page.wait_for_timeout(100)
    page.get_by_role("button", name="New run").click()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text(re.compile("round [3-9]"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(card(page, "1. Wait").get_by_text("cancelled", exact=False).first).to_be_visible(
        timeout=2_000
    )
    expect(card(page, "1. Wait").get_by_role("button", name="Run again")).to_be_visible()


def test_a_csv_of_links_is_uploaded_measured_and_downloaded(page, tmp_path):
    rows = [
        "source,target",
        *(f"/,/page{n}" for n in range(30)),
        *(f"/page{n},/" for n in range(30)),
    ]
    (tmp_path / "site.csv").write_text("\n".join(rows))
    page.goto("/default/links")
    page.get_by_role("button", name="New run").click()
    page.get_by_label("Choose a file").set_input_files(tmp_path / "site.csv")
    expect(page.get_by_label("Csv", exact=True)).to_have_value(re.compile(r"file:\d+"))
    card(page, "1. Source").get_by_role("button", name="Run").click()
    expect(card(page, "1. Source")).to_contain_text("done")
    card(page, "2. Columns").get_by_role("button", name="Run").click()
    expect(card(page, "2. Columns")).to_contain_text("done")
    card(page, "3. Measure").get_by_role("button", name="Run").click()
    expect(card(page, "3. Measure").get_by_role("table").first).to_be_visible(timeout=8_000)
    with page.expect_download() as download:
        card(page, "3. Measure").get_by_role("link", name="nodes.csv").click()
    text = download.value.path().read_text()
    assert text.splitlines()[0].startswith("page,in_degree") and len(text.splitlines()) == 32
