"""The inbox: all that waits for the user, in every profile, and its number on every page."""

import re

import pytest

from serving import hear, serving

ASKS = """
from pipulate import Pipeline

asks = Pipeline("Asks")

@asks.step
def sheet(job):
    return job.ask("Which <sheet>?", ["one", "two"])

@asks.step
def fails():
    return 1 / 0
"""


@pytest.fixture
def server(tmp_path):
    """A server of its own, so that nothing else waits in it."""
    apps = tmp_path / "home" / "apps"
    apps.mkdir(parents=True)
    (apps / "asks.py").write_text(ASKS)
    with serving(tmp_path / "home") as started:
        yield started


def number(server):
    return int(re.search(r'id="waiting"[^>]*>(\d*)<', server.page("/default/tasks"))[1] or 0)


def start(server, profile, step):
    run = server.act("POST", f"/{profile}/asks").headers["hx-redirect"]
    assert server.act("POST", f"{run}/{step}").status_code == 200
    return run


def test_the_inbox_lists_answers_and_clears_what_waits_in_all_profiles(server, until):
    assert "Nothing waits for you" in server.page("/default/inbox") and number(server) == 0
    server.call("profile_add", name="Other")
    asking, failed = start(server, "other", "sheet"), start(server, "default", "fails")
    until(lambda: number(server) == 2)
    text = server.page("/default/inbox")
    assert f'href="{asking}#step-' in text and "Which &lt;sheet&gt;?" in text and "Other" in text
    assert f'href="{failed}#step-' in text and "ZeroDivisionError: division by zero" in text
    assert "<html" not in server.act("GET", "/default/inbox").text, "a part, when it is drawn anew"

    assert server.act("POST", f"{asking}/-/answer", {"step": "sheet", "answer": "three"}).is_error
    server.act("POST", f"{asking}/-/answer", {"step": "sheet", "answer": "two"})
    until(lambda: "<p>two</p>" in server.page(asking))
    server.act("POST", f"{failed}/-/discard", {"step": "fails"})
    assert number(server) == 0 and "Nothing waits" in server.page("/other/inbox")


def test_an_approval_waits_in_the_inbox_until_it_is_decided(server):
    server.call("profile_add", name="Other")
    said = {"tool": "profile_delete", "values": {"profile": "other"}, "actor": "mcp"}
    key = {"Authorization": f"Bearer {server.keys['shell']}"}
    asked = server.client.post("/shell/call", json=said, headers=key).json()["problem"]
    assert number(server) == 1
    address = re.search(r'href="(/default/approvals/[^"]+)"', server.page("/default/inbox"))[1]
    assert address == asked["address"]
    digest = re.search(r'name="hash" value="(\w+)"', server.act("GET", address).text)
    digest = digest or re.search(r'value="(\w+)"[^>]*name="hash"', server.act("GET", address).text)
    with server.socket("/default/notes") as tab:
        server.act("POST", address, {"hash": digest[1], "yes": "no"})
        hear(tab, 'id="waiting"', 2.0)
    assert number(server) == 0


def test_what_is_decided_in_one_tab_leaves_the_inbox_of_another_and_not_ones_own(server):
    said = {"tool": "profile_delete", "values": {"profile": "default"}, "actor": "mcp"}
    key = {"Authorization": f"Bearer {server.keys['shell']}"}
    address = server.client.post("/shell/call", json=said, headers=key).json()["problem"]["address"]
    card = server.act("GET", address).text
    digest = re.search(r'name="hash" value="(\w+)"|value="(\w+)"[^>]*name="hash"', card)
    at = "/default/inbox"
    with server.socket(at, tab="mine") as mine, server.socket(at, tab="another") as another:
        given = {"hash": digest[1] or digest[2], "yes": "no"}
        server.act("POST", address, given, X_Tab="mine")
        hear(another, 'id="again"', 2.0)
        with pytest.raises(TimeoutError):
            while True:
                assert 'id="again"' not in mine.recv(timeout=0.3)


def test_a_draft_of_a_plugin_waits_in_the_inbox_until_a_person_decides(server, until):
    text = "from pipulate import CrudApp\nclass Plant(CrudApp):\n    name: str\n"
    with server.socket("/default/notes") as tab:
        made = server.call("plugin_draft", name="plants", source=text, wish="My <plants>")
        hear(tab, 'id="waiting"', 30)
    server.call("plugin_draft", name="pots", source="x = 1", wish="It did not pass")
    page = server.page("/default/inbox")
    assert 'href="/default/plugins/plants"' in page and "My &lt;plants&gt;" in page
    assert "pots" not in page and number(server) == 1
    server.act("POST", f"{made['address']}/reject")
    until(lambda: number(server) == 0)


def test_an_inbox_full_of_failed_runs_is_cleared_at_once_and_comes_back(server, until):
    server.call("profile_add", name="Other")
    for profile in ("default", "other"):
        start(server, profile, "fails")
    start(server, "other", "sheet")
    until(lambda: number(server) == 3, 30)
    page = server.page("/default/inbox")
    assert 'hx-confirm="Discard 2 failed? It can be undone."' in page
    assert "Discard 2 in all" not in page, "there is one kind only"
    with server.socket("/other/inbox") as tab:
        told = server.act("POST", "/default/inbox", {"kind": "failed"}).text
        hear(tab, 'id="again"', 20)
        assert "Discarded 2." in told and number(server) == 1, "a question is no failure"
        server.act("POST", re.search(r'hx-post="(/default/undo/\d+)"', told)[1])
        hear(tab, 'id="again"', 20)
    assert number(server) == 3 and "division by zero" in server.page("/other/inbox")


def test_a_failure_whose_file_was_mended_waits_no_more(server, until, tmp_path):
    run = start(server, "default", "fails")
    until(lambda: number(server) == 1)
    (tmp_path / "home/apps/asks.py").write_text(ASKS.replace("1 / 0", "1 / 2"))
    until(lambda: number(server) == 0)
    assert "division by zero" not in server.page("/default/inbox")
    assert ">next<" in server.page(run)


def test_what_waits_in_a_deleted_profile_waits_no_more(server, until):
    server.call("profile_add", name="Other")
    start(server, "other", "fails")
    until(lambda: number(server) == 1)
    server.act("POST", "/default/call/profile_delete", {"profile": "other"})
    assert number(server) == 0


def test_what_stopped_goes_on_by_one_word_whether_it_kept_something_or_not(server, until):
    """The page of the run says Resume or Retry: it knows which."""
    start(server, "default", "fails")
    until(lambda: number(server) == 1)
    main = server.page("/default/inbox").split("<main")[1]
    assert re.findall(r">([^<]+)</button>", main)[:2] == ["Go on", "Discard"]
