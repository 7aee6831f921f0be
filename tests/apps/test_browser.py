"""job.browser(): a real Chromium that goes where its run may go, stays logged in, and ends."""

import asyncio
import contextlib
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipulate.apps import browser
from pipulate.apps.browser import Gate
from pipulate.apps.job import JobHandle
from pipulate.core import fetch
from pipulate.core.problems import Problem, Refused
from web_site import HTML, Site

STEP = '''
from pipulate import File, Pipeline

surf = Pipeline("Surf", "Opens a page.", outside=True)


@surf.step
def seen(job, address: str, other: str):
    """Where?"""
    page = job.browser(address, headless=True)
'''
LOOK = """
    page.goto(address)
    job.ask("Logged in?", ["yes"])
    page.get_by_text("said").wait_for()
    with page.expect_download():
        page.click("text=Download")
    page.screenshot(path=job.files / "page.png")
    found = {"twice": job.map(len, ["a", "bc"]), "text": page.inner_text("p")}
    found["cookie"] = page.context.cookies()[0]["value"]
    return found | {"picture": File(job.files / "page.png")}
"""
AWAY = """
    for there in (f"{other}/direct", f"{address}/leads"):
        try:
            page.goto(there)
        except Exception as error:
            print(error)
    page.goto(f"{other}/direct")
"""
# what a page of A tries with B: a picture, a request, a socket; then it says that it has
TRIES = b"""<p>one<a href=/file>Download</a><img src="%(b)s/picture"><script>
fetch("%(b)s/fetched", {mode: "no-cors"}).catch(() => {})
const socket = new WebSocket("%(b)s/socket".replace("http", "ws"))
socket.onerror = () => document.body.append("said")</script>"""


@pytest.fixture
def sites():
    """Two sites of this machine: (A, B)."""
    with Site() as a, Site() as b:
        at = b"http://" + b.at.encode()
        a.page("/", TRIES % {b"b": at}, head=HTML + b"set-cookie: who=ann; max-age=9999\r\n")
        a.page("/file", b"1,2", head=b"content-disposition: attachment; filename=t.csv\r\n")
        a.leads("/leads", f"http://{b.at}/redirected")
        yield a, b


@pytest.fixture
def surf(plugin, call, sites):
    """surf(body): a step with this body was run between the two sites; its run."""

    def surfing(body):
        assert plugin(STEP + body).problem is None
        where = {"address": f"http://{sites[0].at}", "other": f"http://{sites[1].at}"}
        return call("surf_run", **where, confirmed=True)

    return surfing


def processes(profile):
    """The numbers of the processes that were started on a profile."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [int(path.parent.name)] if str(profile).encode() in path.read_bytes() else []
    return found


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_a_step_has_a_page_whose_log_in_downloads_and_pictures_are_kept(
    surf, call, house, sites, until
):
    assert surf(LOOK)["question"] == "Logged in?"
    call("run_answer", run=1, answer="yes")
    output = until(lambda: call("run_output", run=1, step="seen"), 60)
    assert (output["text"], output["cookie"], output["twice"]) == ("oneDownload", "ann", [1, 2])
    (folder,) = house.settings.folder("files").glob("runs/1/*[0-9]")
    assert (folder / "t.csv").read_text() == "1,2"
    assert (folder / "page.png").read_bytes().startswith(b"\x89PNG")
    assert sites[1].asked == [], "picture, request and socket of the page were refused"
    profile = house.settings.home / "browser"
    assert stat.S_IMODE(profile.stat().st_mode) == 0o700
    until(lambda: not processes(profile), 60)
    surf(LOOK)
    asked = [said.lower() for said in sites[0].asked if b"GET / " in said]
    assert b"cookie: who=ann" in asked[1], "a new browser is still logged in"


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_the_browser_is_led_nowhere_else_and_the_step_says_so(surf, house, sites):
    with pytest.raises(Problem, match=rf"where this run may not go \(.*{sites[1].at}"):
        surf(AWAY)
    assert sites[1].asked == [] and any(b"GET /leads" in said for said in sites[0].asked)
    log = house.runs.attempts()[0]["log"]
    assert log.count(f"Refused: {sites[1].at} is none of this run's sites.") == 1


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_cancel_ends_a_step_that_waits_in_its_browser_and_the_browser(
    house, plugin, run, call, sites, alive
):
    plugin(STEP + "    page.wait_for_selector('#never', timeout=0)\n")
    profile = house.settings.home / "browser"

    async def cancelled():
        values = {"address": f"http://{sites[0].at}", "other": "none"}
        caller = house.caller("user", confirmed=True)
        work = asyncio.ensure_future(house.tools.call("surf_run", values, caller))
        while not (started := processes(profile)):
            await asyncio.sleep(0.05)
        assert house.jobs.cancel(1, "seen")
        await asyncio.wait([work])
        work.exception()
        while any(map(alive, started)):
            await asyncio.sleep(0.05)

    run(asyncio.wait_for(cancelled(), 60))
    assert call("run_get", run=1)["steps"][0]["state"] == "cancelled"


# -- what is said when it cannot be ----------------------------------------------------------


@pytest.fixture
def job(tmp_path):
    return JobHandle(lambda said: None, lambda *need: None, tmp_path / "files")


def test_only_a_pipeline_that_says_that_it_reaches_outside_has_a_browser(job, monkeypatch):
    monkeypatch.setattr(fetch, "allowed", False)
    with pytest.raises(Refused, match="outside=True"):
        job.browser("*")


def test_without_the_extra_the_step_says_what_to_install(job, monkeypatch):
    monkeypatch.setitem(browser.sys.modules, "playwright.sync_api", None)
    with pytest.raises(Problem, match=r"pipulate\[browser\]"):
        job.browser("*")


def test_without_a_browser_the_step_says_which_are_meant(job, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("PIPULATE_BROWSER", raising=False)
    monkeypatch.setattr(browser, "PLACES", [])
    with pytest.raises(Problem, match="No Chromium, Chrome or Edge"):
        job.browser("*")


def test_a_browser_that_was_named_and_is_not_there_was_silently_another_one(
    job, monkeypatch, tmp_path
):
    other = tmp_path / "chromium"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PIPULATE_BROWSER", str(tmp_path / "chrome-of-mine"))
    assert browser.find_browser() is None
    monkeypatch.setenv("PIPULATE_BROWSER", "")
    assert browser.find_browser() == str(other)


def test_without_the_extra_no_run_is_begun_of_what_needs_a_browser(house, call, monkeypatch):
    monkeypatch.setitem(browser.sys.modules, "playwright.sync_api", None)
    with pytest.raises(Problem, match=r"pipulate\[browser\]"):
        call("capture_run", confirmed=True, urls="https://www.example.org")
    assert call("run_list") == []


def test_an_async_step_is_told_to_be_a_plain_one(job):
    async def step():
        job.browser("*")

    with pytest.raises(Problem, match="plain steps"):
        asyncio.run(step())


@pytest.mark.parametrize("site", ["ftp://a.test", "https://", "javascript:alert(1)"])
def test_what_is_no_web_site_cannot_be_allowed(site, tmp_path):
    with pytest.raises(Problem, match="no web site"):
        Gate((site,))


@pytest.mark.parametrize(
    ("site", "places"),
    [
        ("https://A.test/x", ["a.test:443"]),
        ("a.test", ["a.test:443"]),
        ("http://a.test", ["a.test:80", "a.test:443"]),
        ("http://[::1]:80", ["::1:80"]),
        ("https://*.a.test", ["*.a.test:443"]),
        ("*", ["*"]),
    ],
)
def test_a_site_is_its_name_and_port(site, places):
    assert Gate((site,)).places == places


@pytest.mark.parametrize("site", ["https://müller.test", "https://*.müller.test"])
def test_a_site_with_an_umlaut_is_the_one_that_the_browser_asks_for(site):
    assert Gate((site,)).places[0].endswith("xn--mller-kva.test:443")


@pytest.mark.parametrize("sites", [("*",), ("*", "http://127.0.0.1:{}")], ids=["all", "named"])
def test_all_sites_are_none_of_this_machine_whatever_a_page_calls_them(sites, run):
    async def asked(gate, port):
        async with gate.opened() as address:
            where = urlsplit(address)
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            host = b"127.0.0.1"
            writer.write(b"\5\1\0\5\1\0\3" + bytes([len(host)]) + host + port.to_bytes(2, "big"))
            with contextlib.closing(writer):
                return (await reader.readexactly(4))[3]

    with socket.create_server(("127.0.0.1", 0)) as private:
        port = private.getsockname()[1]
        gate = Gate(tuple(site.format(port) for site in sites))
        assert run(asked(gate, port)) == (0 if "{}" in sites[-1] else 2)


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_one_profile_serves_one_browser_and_who_comes_second_is_told(job, tmp_path):
    other = JobHandle(lambda said: None, lambda *need: None, tmp_path / "other")
    profile = str(tmp_path / "profile")
    with ThreadPoolExecutor(1) as aside, job.held:
        page = job.browser("*", profile=profile, headless=True)
        second = aside.submit(other.browser, "*", profile=profile, headless=True)
        with pytest.raises(Problem, match="already in use") as busy:
            second.result()
        assert "Close the browser" in busy.value.next_step
        page.close()
        with pytest.raises(Problem, match="was closed"), job.held:
            page.title()


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_a_window_closed_by_hand_is_told_though_the_whole_browser_goes_with_it(
    job, tmp_path, monkeypatch
):
    from playwright.sync_api import Error

    with pytest.raises(Problem, match="was closed"), job.held:
        page = job.browser("*", profile=str(tmp_path / "profile"), headless=True)
        closing = page.context.close

        def closed_twice():
            closing()
            raise Error("Target page, context or browser has been closed")

        monkeypatch.setattr(page.context, "close", closed_twice)
        page.close()
        page.title()


def test_a_site_that_does_not_answer_is_no_site_that_the_run_may_not_open(run, capsys):
    async def refused(gate):
        async with gate.opened() as address:
            where = urlsplit(address)
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            writer.write(b"\5\1\0\5\1\0\3\x09127.0.0.1\0\1")  # port 1, where nobody is
            with contextlib.closing(writer):
                return (await reader.readexactly(4))[3]

    gate = Gate(("http://127.0.0.1:1",))
    assert run(refused(gate)) and gate.why[0] == "127.0.0.1:1 does not answer."
    assert capsys.readouterr().err == "127.0.0.1:1 does not answer.\n"
