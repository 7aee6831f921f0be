"""The bundled Capture pipeline: a real Chromium looks at pages of a site, one after the other."""

import asyncio
import csv

import pytest

from pipulate import Problem
from pipulate.core.problems import NeedsApproval
from pipulate.plugins import capture
from web_site import Site

PAGE = b"<title>Page %d</title><h1>Head %d</h1><a href=/2>two</a><a href='http://b.test/'>b</a>"


@pytest.fixture
def site():
    with Site() as made:
        for n in (1, 2):
            made.page(f"/{n}", PAGE % (n, n))
        made.page("/gone", b"<title>Gone</title>", status=b"410 Gone")
        made.leads("/away", "http://b.test/")
        yield made


@pytest.fixture
def rows(house):
    """rows(name): those of a CSV that a run has written."""

    def reading(name):
        (path,) = house.settings.folder("files").rglob(name)
        with path.open(encoding="utf-8", newline="") as file:
            return [*csv.DictReader(file)]

    return reading


def asked(site):
    return [said.split()[1].decode() for said in site.asked if b" HTTP/" in said]


@pytest.fixture
def broken_off(site, house, run):
    """broken_off(*names): a run over these pages was cancelled while it waited for the second."""

    async def breaking(urls):
        values, caller = {"urls": urls, "wait": 0.0}, house.caller("user", confirmed=True)
        work = asyncio.ensure_future(house.tools.call("capture_run", values, caller))
        while "/2" not in asked(site):
            await asyncio.sleep(0.05)
        house.jobs.cancel(1, "captured")
        await asyncio.wait([work])
        work.exception()

    def breaking_off(*names):
        site.answers["/2"] = [b""] * 24  # it answers nothing, for two minutes
        urls = "\n".join(f"http://{site.at}/{name}" for name in names)
        run(asyncio.wait_for(breaking(urls), 100))
        site.page("/2", PAGE % (2, 2))

    return breaking_off


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_a_run_that_was_broken_off_goes_on_and_each_page_is_a_row_with_its_files(
    broken_off, site, call, rows, house
):
    broken_off("1", "2", "gone", "away")
    assert call("capture_run", run=1, confirmed=True)["state"] == "done"
    assert asked(site).count("/1") == 1, "what was captured is not captured again"
    one, two, gone, away = rows("captured.csv")
    assert (one["status"], one["title"], one["links"], one["error"]) == ("200", "Page 1", "2", "")
    assert (two["title"], gone["status"], gone["title"]) == ("Page 2", "410", "Gone")
    assert "may not open" in away["error"] and away["picture"] == ""
    files = {path.name: path for path in house.settings.folder("files").rglob("*")}
    assert files[one["picture"]].read_bytes().startswith(b"\x89PNG")
    assert 'heading "Head 1" [level=1]' in files[one["tree"]].read_text()
    ends = [row["target"] for row in rows("links.csv")]
    assert ends == [f"http://{site.at}/2", "http://b.test/"] * 2


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_the_page_after_one_that_cannot_be_opened_is_captured_and_one_of_frames_is(
    site, call, rows
):
    names = [f"{kind}{n}" for n in range(3) for kind in ("away", "off", "page")]
    for n in range(3):
        site.leads(f"/away{n}", "http://b.test/")
        site.leads(f"/off{n}", "http://c.test/")
        site.page(f"/page{n}", PAGE % (n, n))
    site.page("/frames", b"<title>Frames</title><frameset cols=*><frame src=/page1></frameset>")
    urls = "\n".join(f"http://{site.at}/{name}" for name in (*names, "frames"))
    call("capture_run", confirmed=True, urls=urls, wait=0.0)
    *found, frames = rows("captured.csv")
    assert [row["error"] for row in found[2::3]] == [""] * 3, "after those that lead away"
    assert (frames["title"], frames["error"]) == ("Frames", "") and frames["picture"]


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_of_a_drawing_no_picture_came_in_half_a_minute_and_an_empty_answer_was_a_number(
    site, call, rows
):
    drawing = b'<svg xmlns="http:%s" width="9" height="9"/>' % b"//www.w3.org/2000/svg"
    site.page("/drawn", drawing, head=b"content-type: image/svg+xml\r\n")
    site.page("/none", status=b"204 No Content")
    urls = f"http://{site.at}/drawn\nhttp://{site.at}/none"
    call("capture_run", confirmed=True, urls=urls, wait=0.0)
    drawn, none = rows("captured.csv")
    assert drawn["error"] == "" and drawn["picture"]
    assert none["error"] == "It answers, but with nothing to show."


@pytest.mark.parametrize("urls", ["", "file:///etc/passwd", "javascript:alert(1)"])
def test_what_is_no_web_address_is_not_opened(urls):
    with pytest.raises(Problem, match="address"):
        capture.addresses(urls)


def test_given_no_addresses_then_capture_tells_its_own_bound_not_that_of_pages():
    with pytest.raises(Problem, match="Give 1 to 1,000, one a line"):
        capture.addresses("")


def test_a_site_that_does_not_answer_is_not_told_to_be_forbidden():
    said = "Page.goto: net::ERR_SOCKS_CONNECTION_FAILED at http://a.test/"
    assert capture.why(said).startswith("It does not answer, or leads to")
    assert capture.why("Page.goto: Timeout 30000ms exceeded.") == "Timeout 30000ms exceeded."
    assert "a file to download" in capture.why("Page.goto: Download is starting")


def test_the_model_needs_the_users_click_for_a_browser(call):
    with pytest.raises(NeedsApproval):
        call("capture_run", actor="model", urls="https://a.test/")
