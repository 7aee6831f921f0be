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


ODD = """
import time
from pipulate import Pipeline

odd = Pipeline("Odd")


@odd.step
def rows(count: int = 250):
    return [{"n": n, "name": f"row {n}"} for n in range(count)]


@odd.step
def words(text: str):
    return text


@odd.step
def asks(job):
    for n in range(60):
        print(f"line {n}")
    return job.ask("Which one?", ["one", "two"])
"""
LATE = """
import time
from pipulate import Pipeline, Url

late = Pipeline("Late")


@late.step
def rest(text: str = "a"):
    time.sleep(0.4)
    return text


@late.step
def count(number: int, link: Url = ""):
    return number
"""
# A tab that can be hidden, in a browser that allows notifications.
AWAY = """
Object.defineProperty(document, 'hidden', {get: () => Boolean(window.away)});
window.Notification = class {
  static permission = 'granted';
  constructor(title, about) { (window.told ||= []).push(about.body); }
};
"""


def card(page, heading):
    return page.get_by_role("article").filter(has=page.get_by_role("heading", name=heading))


def press(place, word="Run"):
    place.get_by_role("button", name=word, exact=True).click()


def begin(page, pipeline):
    """A new run of it."""
    for _ in range(30):  # its file may have been saved just now
        if page.goto(f"/default/{pipeline}").status == 200:
            break
        page.wait_for_timeout(100)
    press(page, "New run")
    page.wait_for_url(re.compile(rf"/default/{pipeline}/\d+$"))


@pytest.fixture
def odd(page, server):
    """A page at a new run of Odd."""
    (server.home / "apps" / "odd.py").write_text(ODD)
    begin(page, "odd")
    return page


def test_a_double_click_is_one_click(page, server):
    (server.home / "apps" / "twice.py").write_text(ODD.replace("Odd", "Twice"))
    for _ in range(30):
        if page.goto("/default/twice").status == 200:
            break
        page.wait_for_timeout(100)
    page.get_by_role("button", name="New run", exact=True).dblclick()
    page.wait_for_url(re.compile(r"/default/twice/\d+$"))
    assert len(server.call("run_list", pipeline="twice")) == 1


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
    press(card(page, "2. Greeting"))
    expect(card(page, "2. Greeting")).to_contain_text("Hello, Ada!")
    expect(card(page, "3. Letters").get_by_role("button", name="Run", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(card(page, "3. Letters")).to_contain_text("11")


def test_a_run_goes_to_its_end_by_the_keyboard(hello):
    to_the_end(hello)
    expect(hello.get_by_role("button", name="Finish")).to_be_enabled()


def test_a_revised_step_marks_the_later_ones_stale_and_keeps_their_outputs(hello):
    to_the_end(hello)
    card(hello, "1. Person").get_by_text("Revise").click()
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
    expect(card(hello, "1. Person").get_by_text("Revise")).to_be_visible()


def test_an_empty_answer_is_refused_beside_its_box(hello):
    expect(hello.get_by_label("Name")).to_be_focused()
    hello.keyboard.press("Enter")
    expect(card(hello, "1. Person").get_by_role("alert")).to_be_visible()
    expect(card(hello, "2. Greeting").get_by_role("button")).to_have_count(0)


@pytest.mark.alone
def test_a_slow_step_shows_its_progress_and_is_cancelled_within_two_seconds(page, server):
    (server.home / "apps" / "slow.py").write_text(SLOW)
    begin(page, "slow")
    press(page)
    expect(page.get_by_text(re.compile("round [3-9]"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(card(page, "1. Wait").get_by_text("cancelled", exact=False).first).to_be_visible(
        timeout=2_000
    )
    expect(card(page, "1. Wait").get_by_role("button", name="Retry")).to_be_visible()


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
    press(card(page, "1. Source"))
    expect(card(page, "1. Source")).to_contain_text("done")
    press(card(page, "2. Columns"))
    expect(card(page, "2. Columns")).to_contain_text("done")
    press(card(page, "3. Measure"))
    expect(card(page, "3. Measure").get_by_role("table").first).to_be_visible(timeout=8_000)
    with page.expect_download() as download:
        card(page, "3. Measure").get_by_role("link", name="nodes.csv").click()
    text = download.value.path().read_text()
    assert text.splitlines()[0].startswith("page,in_degree") and len(text.splitlines()) == 32


def test_the_rest_runs_from_what_was_typed_without_another_click(hello):
    hello.get_by_label("Name").fill("Ada")
    press(hello, "Run the rest")
    expect(card(hello, "3. Letters")).to_contain_text("11")


def test_what_is_being_typed_stays_while_another_tab_moves_the_run_on(odd, window):
    card(odd, "2. Words").get_by_label("Text").fill("half a sent")
    other = window()
    other.goto(odd.url)
    press(card(other, "1. Rows"))
    expect(card(odd, "1. Rows")).to_contain_text("done")
    expect(card(odd, "2. Words").get_by_label("Text")).to_have_value("half a sent")
    press(card(odd, "2. Words"))
    expect(card(odd, "2. Words")).to_contain_text("done")
    expect(card(odd, "2. Words").get_by_text("Revise")).to_be_visible()


def test_a_table_stays_on_its_page_and_a_text_is_copied(odd, page):
    press(card(odd, "1. Rows"))
    table = card(odd, "1. Rows")
    press(table, "Next →")
    expect(table).to_contain_text("101 to 200 of 250 rows")
    press(table, "n")
    expect(table.get_by_role("cell", name="row 249")).to_be_visible()
    card(odd, "2. Words").get_by_label("Text").fill("some words")
    odd.keyboard.press("Enter")
    expect(card(odd, "2. Words")).to_contain_text("some words")
    expect(table.get_by_role("cell", name="row 249")).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(card(odd, "2. Words"), "Copy")
    expect(card(odd, "2. Words").get_by_role("button", name="Copied")).to_be_visible()
    assert odd.evaluate("navigator.clipboard.readText()") == "some words"


def test_a_question_is_answered_in_the_inbox_and_its_number_leaves_every_page(odd, window):
    inbox = window()
    inbox.goto("/default/inbox")
    press(card(odd, "3. Asks"))
    expect(inbox.get_by_text("Which one?")).to_be_visible()
    expect(odd.get_by_role("link", name="Inbox")).to_contain_text("1")
    log = card(odd, "3. Asks").locator("pre")
    expect(log).to_contain_text("line 59")
    assert log.evaluate("at => at.scrollHeight - at.scrollTop - at.clientHeight") < 5
    inbox.get_by_label("Answer", exact=True).select_option("two")
    press(inbox, "Answer")
    expect(inbox.get_by_text("Nothing waits for you")).to_be_visible()
    expect(odd.get_by_role("link", name="Inbox")).not_to_contain_text("1")
    expect(card(odd, "3. Asks")).to_contain_text("two")


def test_a_tab_that_is_hidden_gets_a_badge_and_a_notification_and_the_run_itself_no_notice(
    odd, window
):
    away = window()
    away.add_init_script(AWAY)
    away.goto("/default/notes")
    away.evaluate("window.away = true")
    press(card(odd, "3. Asks"))
    expect(away).to_have_title(re.compile(r"^\(1\) "))
    number = re.search(r"\d+$", odd.url)[0]
    said = f"Odd run {number}: asks asks you something."
    assert away.evaluate("window.told") == [said]
    away.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(away).not_to_have_title(re.compile(r"^\("))
    away.get_by_role("link", name="asks you something").click()
    away.wait_for_url(odd.url)
    expect(odd.get_by_role("link", name="asks you something")).to_have_count(0)
    press(odd, "Cancel")


def test_runs_are_found_named_copied_deleted_and_brought_back(odd, page):
    odd.get_by_label("Title of the run").fill("A run of mine")
    odd.keyboard.press("Enter")
    page.goto("/default/odd")
    listed = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="A run of mine"))
    page.get_by_label("Search runs").fill("mine")
    expect(page.locator("#listing li")).to_have_count(1)
    press(listed, "Duplicate A run of mine")
    expect(listed).to_have_count(2)
    page.get_by_role("status").get_by_role("button", name="Undo").click()
    expect(listed).to_have_count(1)
    press(listed, "Delete A run of mine")
    expect(listed).to_have_count(0)
    page.get_by_role("status").filter(has_text="Deleted").get_by_text("Undo").first.click()
    expect(listed).to_have_count(1)


@pytest.fixture
def late(page, server):
    """A page at a new run of Late, in which each step takes a moment."""
    (server.home / "apps" / "late.py").write_text(LATE)
    begin(page, "late")
    yield page
    page.unroute_all()


def test_an_answer_that_comes_after_newer_news_does_not_turn_the_card_back(late):
    held = []
    late.route("**/late/*/rest", lambda route: held.append((route, route.fetch())))
    press(card(late, "1. Rest"))
    expect(card(late, "1. Rest")).to_contain_text("done")
    route, answer = held[0]
    assert "running" in answer.text()
    with late.expect_response("**/rest"):
        route.fulfill(response=answer)
    late.wait_for_timeout(200)
    expect(card(late, "1. Rest")).to_contain_text("done")


def test_what_is_being_typed_for_a_step_stays_when_the_step_is_run_elsewhere(late, server):
    number = int(late.url.split("/")[-1])
    late.wait_for_timeout(200)
    card(late, "1. Rest").get_by_label("Text").fill("half a sent")
    server.call("late_run", run=number, text="other", to_step="rest")
    expect(card(late, "1. Rest")).to_contain_text("done")
    card(late, "1. Rest").get_by_text("Revise").click()
    expect(card(late, "1. Rest").get_by_label("Text")).to_have_value("half a sent")
    press(card(late, "1. Rest"))
    expect(card(late, "1. Rest")).to_contain_text("text: half a sent")


def test_what_a_form_was_refused_for_stays_while_another_step_ends(late):
    form = card(late, "2. Count")
    form.get_by_label("Link").fill("no address")
    press(form)
    expect(form.get_by_role("alert").first).to_be_visible()
    press(card(late, "1. Rest"))
    expect(card(late, "1. Rest")).to_contain_text("done")
    late.wait_for_timeout(300)
    expect(form.get_by_label("Link")).to_have_value("no address")
    expect(form.get_by_role("alert").first).to_be_visible()
    form.get_by_label("Number").fill("3")
    form.get_by_label("Link").fill("")
    press(form)
    expect(form).to_contain_text("number: 3")


def test_a_run_that_is_deleted_and_brought_back_is_the_same_as_before(late):
    press(late.locator("#main"), "Delete")
    expect(late.get_by_text("was deleted.")).to_be_visible()
    late.get_by_role("status").get_by_role("button", name="Undo").click()
    expect(card(late, "2. Count")).to_be_visible()
    assert late.locator("section.run").get_attribute("hx-swap") == "none"
    card(late, "2. Count").get_by_label("Number").fill("7")
    press(card(late, "1. Rest"))
    expect(card(late, "1. Rest")).to_contain_text("done")
    expect(card(late, "2. Count").get_by_label("Number")).to_have_value("7")


REFERS = """
from pipulate import CrudApp, Pipeline, Ref

refers = Pipeline("Refers")


class Writer(CrudApp):
    name: str


@refers.step
def by(who: Ref["writer"]):
    return who
"""


def test_what_was_refused_before_lay_beneath_what_was_refused_last(page, server):
    (server.home / "apps" / "refers.py").write_text(REFERS)
    begin(page, "refers")
    corner = page.locator("#notices .problem")
    for name in ("Ann", "Ann", "Bob"):
        page.get_by_label("Who").fill(name)
        with page.expect_response(re.compile("/by$")):
            press(card(page, "1. By"))
        expect(corner.first).to_contain_text(f"no '{name}'")
    expect(corner).to_have_count(1)


def test_the_rows_that_a_step_asks_for_first_were_not_offered_until_a_letter_was_typed(
    page, server
):
    (server.home / "apps" / "refers.py").write_text(REFERS)
    begin(page, "refers")
    server.call("writer_add", name="Zoe")
    page.reload()
    expect(page.get_by_label("Who")).to_be_focused()
    expect(page.locator("#options-who option[value^=Zoe]")).to_be_attached()
