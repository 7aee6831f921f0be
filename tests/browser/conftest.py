"""A real browser: one for the session, one server for a module, one clean window for a test.

`page` ends with a check: no error in the console, no request to another host.
"""

import os
import shutil
from itertools import chain, zip_longest

import pytest
from playwright.sync_api import sync_playwright

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def pytest_collection_modifyitems(items):
    """Files of the browser take turns with others, from the start: the long ones are begun early,

    and of two workers one drives a browser."""
    files = dict.fromkeys(item.path for item in items)
    ours = [path for path in files if "browser" in path.parts]
    turns = zip_longest(ours, [path for path in files if path not in ours])
    place = {path: n for n, path in enumerate(chain(*turns))}
    items.sort(key=lambda item: place[item.path])
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")  # while it is open its event loop runs in this thread
def browser():
    path = os.environ.get("PIPULATE_BROWSER") or "/usr/bin/chromium"
    path = shutil.which(f"{path}-headless-shell") or path  # the same engine without its window
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=[*QUIET, "--disable-component-update"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def server(talking):
    return talking


class Window:
    """Opens pages that are logged in and watch themselves."""

    def __init__(self, browser, server):
        self.browser, self.server, self.contexts, self.wrong = browser, server, [], []

    def open(self, **options):
        context = self.browser.new_context(base_url=self.server.url, **options)
        self.contexts.append(context)
        context.set_default_timeout(4_000)
        name, value = next(iter(self.server.client.cookies.items()))
        context.add_cookies([{"name": name, "value": value, "url": self.server.url}])
        page = context.new_page()
        page.on("request", lambda r: None if self.ours(r.url) else self.wrong.append(r.url))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self.wrong.append(said.text) if is_error(said) else None)
        page.on("dialog", lambda dialog: dialog.accept())
        return page

    def ours(self, address):
        own = (self.server.url, self.server.url.replace("http", "ws"), "data:", "blob:")
        return address.startswith(own) or address == "about:blank"

    def close(self):
        for context in self.contexts:
            context.close()


def is_error(said):
    """An error of a page; a refused form (4xx) is an answer, not an error."""
    answered = any(f"{code}" in said.text for code in (400, 404, 409, 422, 423))
    return said.type == "error" and not answered


@pytest.fixture
def window(browser, server):
    """window(**options): a new window beside `page`, gone after the test."""
    opened = Window(browser, server)
    yield opened.open
    opened.close()
    assert opened.wrong == []


@pytest.fixture(scope="module")
def first_window(browser, server):
    opened = Window(browser, server)
    yield opened, opened.open()
    opened.close()


@pytest.fixture
def page(first_window):
    """The window of the module, at an empty page."""
    opened, page = first_window
    yield page
    page.goto("about:blank")
    wrong, opened.wrong[:] = list(opened.wrong), []
    assert wrong == []
