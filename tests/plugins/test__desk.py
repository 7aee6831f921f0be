"""The pages of Plugins: what a person sees and decides; only a click puts a file into apps/."""

import html
import re
import time
from datetime import datetime

import httpx2
import pytest
from fasthtml.common import to_xml

from pipulate.apps.rows import AGAIN
from pipulate.core.profiles import Profile
from pipulate.plugins import _desk
from serving import hear

ONE = '''"""Plants."""

from pipulate import CrudApp


class Plant(CrudApp):
    """Plants of mine."""

    name: str
'''
SECONDS = 60  # a trial is a process of its own, on a machine that may be busy


@pytest.fixture(scope="module")
def server(talking):
    talking.client.timeout = SECONDS
    return talking


@pytest.fixture
def draft(server):
    """draft(text): the page of a new version, as its address."""

    def drafting(text, name="plants"):
        return server.call("plugin_draft", name=name, source=text)["address"]

    return drafting


def soon(look):
    """What look() gives once it gives something."""
    until = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)
    return found


def listed(server, name):
    return next((row for row in server.call("apps") if row["name"] == name), None)


def test_a_version_is_shown_whole_and_lives_once_approved(server, draft):
    at = draft(ONE)
    page = server.page(at)
    source = re.search(r"<textarea[^>]*source.*?>(.*?)</textarea>", page, re.DOTALL)[1]
    assert html.unescape(source) == ONE
    assert "It keeps to its own rows." in page and at.rpartition("/")[2] in page
    shown = re.search(r"<div inert style=\"contain:content.*?>(.*?)<h2>Source", page, re.DOTALL)[1]
    assert "Plants of mine." in shown and "Sample" in shown
    assert not re.search(r"hx-|\bid=|\bhref=|\bname=|<script", shown)
    assert re.search(r"<\w+ hidden[^>]*>.{0,400}?Delete", shown, re.DOTALL), "nothing is ticked"
    assert listed(server, "plants") is None
    arming = re.search(r'class="bar approval">(.*?)</div>', page, re.DOTALL)[1]
    assert "Approve" in arming, "it cannot be pressed in its first half second"
    assert "It goes live" in server.act("POST", f"{at}/approve").text
    row = soon(lambda: listed(server, "plants"))
    assert row["origin"] == "shell" and row["version"] == 1 and row["hash"] in at
    server.call("plant_add", name="Fern")
    assert "This is in apps/ now" in server.page("/default/plugins/plants")
    assert "Approved plugin plants" in server.page("/default/history")


def test_a_change_shows_its_difference_and_an_earlier_version_comes_back(server, draft):
    pot = ONE.replace("Plant", "Pot")
    first = draft(pot, "pots")
    server.act("POST", f"{first}/approve")
    typed = pot.replace("name: str", 'name: str\n    place: str = "window"')
    page = server.act("POST", f"{first}/edit", {"source": typed.replace("\n", "\r\n")}).text
    assert '<ins>+    place: str = "window"\n</ins>' in html.unescape(page)
    second = re.search(r'hx-post="([^"]+)/approve"', page)[1]
    server.act("POST", f"{second}/approve")
    soon(lambda: "place" in str([t for t in server.call("tools") if t["name"] == "pot_add"]))
    server.act("POST", f"{first}/approve")
    assert (server.home / "apps/pots.py").read_text() == pot


def test_a_version_tells_its_moment_as_clocks_here_do():
    said = "2026-01-31T23:30:00+00:00"
    record = {"version": 1, "origin": "shell", "at": said, "wish": "", "state": "waiting"}
    here = datetime.fromisoformat(said).astimezone()
    assert f"shell · {here:%Y-%m-%d %H:%M}" in str(_desk.about(record)[1])


def test_a_rejected_version_stays_and_runs_nowhere(server, draft):
    at = draft(ONE.replace("Plant", "Weed"), "weeds")
    assert ">rejected<" in server.act("POST", f"{at}/reject").text
    assert not (server.home / "apps/weeds.py").exists()
    assert "weeds" in server.page("/default/plugins")


def test_a_file_that_you_wrote_yourself_is_in_the_list_too(server):
    (server.home / "apps/herbs.py").write_text(ONE.replace("Plant", "Herb"))
    assert 'href="/default/plugins/herbs"' in server.page("/default/plugins")
    assert "This is in apps/ now" in server.page("/default/plugins/herbs")


def test_a_file_changed_by_hand_since_its_approval_was_shown_as_it_was_before(server, draft):
    at = draft(ONE.replace("Plant", "Fig"), "figs")
    server.act("POST", f"{at}/approve")
    (server.home / "apps/figs.py").write_text(ONE.replace("Plant", "Fig") + "# by hand\n")
    page = server.page("/default/plugins/figs")
    assert "# by hand" in page and "This is in apps/ now" in page
    assert page.count(">approved<") == 2 and page.count(">replaced<") == 1, "its head and the list"


def test_the_inbox_led_past_the_version_that_waits_to_one_that_came_later_and_failed(server, draft):
    at = draft(ONE.replace("Plant", "Yew"), "yews")
    server.act("POST", f"{at}/edit", {"source": "x ="})
    assert f'{at}/approve"' in server.page("/default/plugins/yews")
    listed = server.page("/default/plugins").partition("/plugins/yews")[2].partition("</li>")[0]
    assert "version 1" in listed and "waiting" in listed


def test_what_is_live_was_rejected_by_a_page_that_was_open_since_before(server, draft):
    at = draft(ONE.replace("Plant", "Oak"), "oaks")
    server.act("POST", f"{at}/approve")
    assert "is in apps/ by now, and stays" in server.act("POST", f"{at}/reject").text
    assert ">approved<" in server.page(at)


def test_a_file_that_cannot_be_read_was_said_to_keep_to_its_own_rows(server, draft):
    page = server.page(draft(ONE.replace("name: str", "name str"), "unread"))
    assert "invalid syntax" in page and "It keeps to its own rows." not in page


def test_what_was_approved_and_would_lose_values_was_said_to_be_there_and_no_more(server, draft):
    (server.home / "apps/firs.py").write_text(ONE.replace("Plant", "Fir") + "    place: str = ''\n")
    soon(lambda: listed(server, "firs"))
    server.call("fir_add", name="Nordmann", place="hall")
    at = draft(ONE.replace("Plant", "Fir"), "firs")
    server.act("POST", f"{at}/approve")
    page = soon(lambda: re.search("It is not at work.*", server.page(at), re.DOTALL))[0]
    assert "would lose values: 1 of place" in page and 'href="/default/plugin/firs"' in page


def test_what_was_edited_stood_at_the_address_of_what_it_was_made_of(server, draft):
    at = draft(ONE.replace("Plant", "Elm"), "elms")
    answer = server.act("POST", f"{at}/edit", {"source": "x ="}, HX_Current_URL=server.url + at)
    own = answer.headers["hx-push-url"]
    assert own != at and "x =" in server.page(own)


def test_where_a_live_file_leads_is_said_for_each_of_its_apps_or_for_none():
    record = {"hash": "0", "apps": [{"slug": n, "title": n.title()} for n in ("pots", "herbs")]}
    profile = Profile(1, "default", "Default")

    def told(record):
        drawn = html.unescape(
            re.sub("<[^>]+>", "", to_xml(_desk.decision("", profile, record, True)))
        )
        return " ".join(drawn.split())

    assert "in apps/ now: Pots , Herbs" in told(record).replace("Pots,", "Pots ,")
    assert "in apps/ now: the menu leads to it." in told(record | {"apps": []})


def test_the_forms_have_labels_to_see_and_say_what_a_wish_needs(server):
    page = server.page("/default/plugins")
    for word in ("Your wish", "Name", "Kind", "Parts"):
        assert re.search(rf"<label[^>]*>\s*{word}", page), word
    assert re.search(r'A model writes it: see in\s*<a href="/default/settings">', page)


def test_an_error_of_before_does_not_stand_on_the_page_that_comes_after_it(server):
    gone = '<div id="notices" hx-swap-oob="innerHTML"></div>'
    assert gone in server.act("GET", "/default/plugins", HX_Target="main").text
    assert gone not in server.act("GET", "/default/plugins").text
    refused = {"name": "url", "kind": "app", "parts": "url:url"}
    assert gone not in server.act("POST", "/default/plugins/new", refused, HX_Target="main").text


def test_powers_and_faults_are_told_and_a_faulty_version_has_no_yes(server, draft):
    page = server.page(draft("import subprocess\n" + ONE.replace("str", "strr"), "odd"))
    assert "It reaches for: other programs." in page
    assert "It did not pass its trial" in page and "Did you mean" in page
    assert "/approve" not in page


def test_neither_a_link_nor_another_page_nor_a_program_approves(server, draft):
    at = draft(ONE.replace("Plant", "Mole"), "moles")
    assert server.client.get(f"{at}/approve").status_code == 404
    assert server.act("POST", f"{at}/approve", origin="http://evil.example").status_code == 403
    token = {"authorization": f"Bearer {server.keys['token']}"}
    assert httpx2.post(f"{server.url}{at}/approve", headers=token).status_code == 403
    assert not (server.home / "apps/moles.py").exists()


def test_a_wish_begins_a_run_of_the_builder_with_it(server):
    answer = server.act("POST", "/default/builder", {"wish": "An app for moles", "plugin": ""})
    run = int(answer.headers["hx-redirect"].rpartition("/")[2])
    assert server.call("run_get", run=run)["steps"][0]["inputs"]["wish"] == "An app for moles"


def test_a_file_is_made_from_a_few_words_on_the_page(server):
    form = {"name": "album", "kind": "app", "parts": "title:str\r\nyear:int=2000"}
    answer = server.act("POST", "/default/plugins/new", form)
    at = re.search(r'"path": "([^"]+)"', answer.headers["hx-location"])[1]
    assert "year: int = 2000" in server.page(at)
    refused = server.act("POST", "/default/plugins/new", {"name": "task", "kind": "app"})
    assert "There is a plugin" in refused.text


def test_a_list_of_plugins_in_another_tab_stayed_as_it_was_when_one_came(server, draft):
    with server.socket("/default/plugins") as tab:
        draft(ONE.replace("Plant", "Fern"), "ferns")
        hear(tab, AGAIN)
    listed = server.act("GET", "/default/plugins").text
    assert listed.startswith('<div id="listing">') and ">ferns</a>" in listed


def test_what_a_trial_saw_and_the_source_says_was_told_as_two_powers(server, draft):
    begins = """    def check(self):
        subprocess.run(["ls"])
"""
    page = server.page(draft("import subprocess\n" + ONE.replace("Plant", "Ivy") + begins, "ivy"))
    assert "It reaches for: other programs." in page


def test_why_an_empty_text_was_refused_stayed_on_the_page_after_one_that_was_not(server, draft):
    at = draft(ONE.replace("Plant", "Oak"), "oaks")
    gone = '<div id="notices" hx-swap-oob="innerHTML"></div>'
    refused = server.act("POST", f"{at}/edit", {"source": " "})
    assert "Source may not be blank." in refused.text and gone not in refused.text
    typed = ONE.replace("Plant", "Oak") + "    place: str = ''\n"
    assert gone in server.act("POST", f"{at}/edit", {"source": typed}).text
