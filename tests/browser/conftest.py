"""A real browser: one for the session, one server for a module, one clean window for a test.

`page` ends with a check: no error in the console, no request to another host.
"""

import os

import pytest
from playwright.sync_api import sync_playwright

from model_server import ModelServer
from serving import serving

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    path = os.environ.get("PIPULATE_BROWSER") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=[*QUIET, "--disable-component-update"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def model():
    with ModelServer() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory, model):
    with serving(tmp_path_factory.mktemp("home"), env={"PIPULATE_MODEL_URL": model.url}) as started:
        yield started


@pytest.fixture
def window(browser, server):
    """window(**options): a new page, logged in, that watches itself."""
    contexts, wrong = [], []

    def opening(**options):
        context = browser.new_context(base_url=server.url, **options)
        contexts.append(context)
        context.set_default_timeout(4_000)
        name, value = next(iter(server.client.cookies.items()))
        context.add_cookies([{"name": name, "value": value, "url": server.url}])
        page = context.new_page()
        page.on("request", lambda r: wrong.append(r.url) if not ours(r.url) else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if is_error(said) else None)
        page.on("dialog", lambda dialog: dialog.accept())
        return page

    def ours(address):
        return address.startswith((server.url, server.url.replace("http", "ws"), "data:", "blob:"))

    yield opening
    for context in contexts:
        context.close()
    assert wrong == []


def is_error(said):
    """An error of a page; a refused form (4xx) is an answer, not an error."""
    answered = any(f"{code}" in said.text for code in (400, 404, 409, 422, 423))
    return said.type == "error" and not answered


@pytest.fixture
def page(window):
    return window()
