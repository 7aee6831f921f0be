"""Pipulate as a program: installable, its end, and a page that goes on when the server is back."""

import contextlib
import socket

import pytest
from playwright.sync_api import expect

from serving import serving

LONG = {"timeout": 20_000}


@pytest.fixture
def port():
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_the_browser_finds_nothing_that_stands_against_installing_it(page):
    page.goto("/default/tasks")
    asked = page.context.new_cdp_session(page)
    said = asked.send("Page.getAppManifest")
    assert said["errors"] == [] and '"standalone"' in said["data"]
    wrong = {
        each["errorId"]
        for each in asked.send("Page.getInstallabilityErrors")["installabilityErrors"]
    }
    assert wrong <= {"in-incognito"}, "the windows of these tests are private ones"


def test_a_page_goes_on_by_itself_after_a_crash_and_after_quit(browser, tmp_path, port):
    home = tmp_path / "home"
    with contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        with serving(home, "--port", port) as server:
            name, value = next(iter(server.client.cookies.items()))
            context.add_cookies([{"name": name, "value": value, "url": server.url}])
            page.goto(f"{server.url}/default/tasks")
            add = page.locator("#add").get_by_label("Title")
            add.fill("half a thought")
            server.process.kill()
            server.process.wait(10)
            expect(page.locator("body.gone")).to_have_count(1, **LONG)
        with serving(home, "--port", port) as server:
            expect(page.locator("body.gone")).to_have_count(0, **LONG)
            expect(add).to_have_value("half a thought")
            page.locator("nav summary").filter(has_text="Default").click()
            page.get_by_role("button", name="Quit").click()
            expect(page.locator("#ended")).to_contain_text("run pipulate to start again", **LONG)
            assert server.process.wait(15) == 0
        with serving(home, "--port", port):
            expect(page.locator("#ended")).to_have_count(0, **LONG)
            expect(page.get_by_role("heading", name="Tasks")).to_be_visible(**LONG)
