"""The page Botify in a browser: a wrong token, the right one, a project, a run; the tour."""

import pytest

from pipulate.botify.stand_in import OWNER, PROJECT, Service, standing
from serving import serving


@pytest.fixture(scope="module")
def service():
    with standing(Service(size=60, polls=0)) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory, service):
    env = {"PIPULATE_BOTIFY_URL": service.url, "PIPULATE_EDITION": "pipulate.botify.apps"}
    with serving(tmp_path_factory.mktemp("home"), env=env) as started:
        yield started


def test_from_the_token_to_a_run_that_asks_before_it_spends(window, service):
    page = window()
    page.goto("/default/botify")
    page.get_by_label("API token").fill("wrong")
    page.get_by_role("button", name="Check and keep").click()
    page.get_by_text("not authorised").wait_for()
    page.get_by_label("API token").fill(service.token)
    page.get_by_role("button", name="Check and keep").click()
    page.get_by_text("Welcome, demo.user.").wait_for()
    page.get_by_label("Or choose one").wait_for()
    page.get_by_label("Paste an address").fill(f"{OWNER}/{PROJECT}/20250214")
    page.get_by_role("button", name="Use it").first.click()
    page.get_by_text(f"{OWNER}/{PROJECT} 20250214").wait_for()
    page.get_by_role("button", name="Start a link graph").click()
    for step in ("site", "crawl", "plan", "export"):
        page.locator(f"#step-1-{step} button", has_text="Run").first.click(timeout=15_000)
    page.get_by_text("down to depth").wait_for(timeout=15_000)
    assert service.jobs == [] and service.token not in page.content()


def test_the_tour_is_one_click_away_and_labelled(window, server):
    server.call("profile_add", name="Tour")
    server.call("botify_disconnect")
    page = window()
    page.goto("/tour/botify")
    page.get_by_role("button", name="Show demo data").click()
    page.get_by_text("This is not Botify.").wait_for()
    page.get_by_text("Demo shop (made-up data)").wait_for(state="attached")
    page.get_by_role("button", name="Leave the demo").click()
    page.get_by_role("button", name="Check and keep").wait_for()
