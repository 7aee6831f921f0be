"""A preview: a draft at work in a real child process, by real requests, and how it ends."""

import re
from pathlib import Path

import pytest

from pipulate import Problem
from pipulate.plugins import _preview
from serving import serving

PLANT = '''"""Plants."""

from fasthtml.common import NotStr

from pipulate import CrudApp, Invalid, Pipeline, fetch, tool


class Plant(CrudApp):
    """Plants of mine."""

    name: str
    wet: bool = False

    def check(self):
        if self.name == "weed":
            raise Invalid("No weeds.", "Name a plant.")

    @tool
    def share(self):
        """Break, unless it is a sample."""
        return str(1 / (self.name == "Sample"))


@Plant.rt("/page", methods=["GET"])
def page():
    return NotStr(HOSTILE)


look = Pipeline("Look", "Counts words.", outside=True)


@look.step
def words(text: str):
    """Which text?"""
    return text.split()


@look.step
def counted(words, job):
    """How many of them, and how many more?"""
    return len(words) + job.ask("How many more?", int)


@look.step(auto=True)
def said(counted, job):
    """What a model says."""
    return job.model(f"{counted}?")


@look.step
def called(said):
    """Reaches out."""
    return fetch("http://127.0.0.1:9/x").text
'''
HOSTILE = """<div id="main" onclick="x()" hx-post="/default/plugins/moles/1/approve">
<a href="http://evil.example/">out</a><script>x()</script><img src="/default/history">
<button hx-post="/shell/call" hx-headers='{"a": "b"}'>press</button>
<form action="/default/settings" id="say"><button formaction="/default/quit">go</button></form>
"""
SECONDS = 60  # a machine may be busy


@pytest.fixture(scope="module")
def server(talking):
    talking.client.timeout = SECONDS
    return talking


@pytest.fixture(scope="module")
def draft(server):
    """The address of a draft's page."""
    text = PLANT.replace("HOSTILE", repr(HOSTILE))
    made = server.call("plugin_draft", name="plants", source=text)
    assert made["problems"] == []
    return made["address"]


@pytest.fixture
def act(server, draft):
    """act(method, path, data): a click within a fresh preview; begun anew for each test."""
    began = server.act("POST", f"{draft}/try")
    assert began.headers["hx-redirect"].startswith(f"{draft}/try/"), began.text

    def acting(method, path, data=None, here="plants"):
        at = f"{server.url}{draft}/try/{here}"
        return server.act(method, f"{draft}/try/{path}", data, HX_Current_URL=at)

    return acting


def test_rows_are_added_edited_flipped_found_deleted_and_brought_back(server, draft, act):
    page = server.page(f"{draft}/try/plants")
    assert "Preview on throw-away data: nothing here is kept." in page
    assert f'<a href="{draft}">Back to the draft</a>' in page and "Plants of mine." in page
    made = act("POST", "plants", {"name": "Fern"}).text
    assert "Fern" in made and f'hx-get="{draft}/try/plants/1/name"' in made
    assert 'value="Fern"' in act("GET", "plants/1/name").text
    assert "Moss" in act("PATCH", "plants/1", {"name": "Moss"}).text
    flip = re.search(r'hx-vals="{&quot;wet&quot;: &quot;(\w+)', act("GET", "plants/1").text)[1]
    assert flip == "true" and " checked" in act("PATCH", "plants/1", {"wet": flip}).text
    assert "Moss" in act("GET", "plants?q=mo").text
    assert "Moss" not in act("GET", "plants?q=fern").text
    gone = act("DELETE", "plants/1").text
    assert "Deleted “Moss”" in gone and 'hx-swap-oob="innerHTML:#try-notices"' in gone
    undo = re.search(rf'hx-post="{draft}/try/(undo/\d+)"', gone)[1]
    assert "Undid" in act("POST", undo, {}).text
    assert "Moss" in server.page(f"{draft}/try/plants")
    assert not [tool for tool in server.call("tools") if tool["name"].startswith("plant_")]
    assert "Fern" not in str(server.call("history"))


def test_what_is_refused_comes_back_in_its_form_and_a_broken_tool_is_told_with_its_line(act):
    refused = act("POST", "plants", {"name": "weed"})
    assert refused.status_code == 422 and "No weeds. Name a plant." in refused.text
    assert refused.headers["hx-retarget"] == "#add"
    act("POST", "plants", {"name": "Fern"})
    broken = act("POST", "plants/1/call/share", {})
    assert broken.status_code == 400 and broken.headers["hx-retarget"] == "#try-notices"
    assert re.search(r"ZeroDivisionError: .*\(line \d+\)", broken.text)
    assert "A preview gives no files" in act("GET", "plants/export?all=1").text
    assert "A preview has no form" in act("GET", "call/plant_share?id=1").text


def test_a_run_goes_on_step_by_step_and_says_what_is_not_there(act, until):
    at = act("POST", "look", {}).headers["hx-redirect"].partition("/try/")[2]

    def shown():
        return act("GET", at, here=at).text

    def ended(step, state):
        there = f'step-1-{step}" class="step {state}'
        return until(lambda: (page := shown()) and there in page, SECONDS)

    act("POST", f"{at}/words", {"text": "a b c"}, here=at)
    ended("words", "done")
    act("POST", f"{at}/counted", {}, here=at)
    ended("counted", "waiting")
    assert "How many more?" in shown() and "every 1s" not in shown()
    answer = {"step": "counted", "question": "How many more?", "answer": "2"}
    act("POST", f"{at}/-/answer", answer, here=at)
    ended("said", "done")
    assert "A preview has no model: a made-up answer stands for it." in shown()
    act("POST", f"{at}/called", {}, here=at)
    ended("called", "failed")
    assert "PermissionError" in shown() and "A preview has no network" in shown()
    assert "every 1s" not in shown()


def test_a_hostile_page_keeps_its_words_and_nothing_else(server, draft, act):
    for text in (act("GET", "plants/page").text, server.page(f"{draft}/try/plants/page")):
        shown = text[text.index('<div id="try-main"') : text.index("go</button>")] + "go"
        assert re.sub(r"<[^>]*>|\s", "", shown) == "outpressgo"
        assert not re.search(r"href|src|formaction|headers|onclick|script", shown), shown
        addresses = re.findall(r'(?:hx-\w+|action)="([^"]*)"', shown)
        assert addresses and all(at.startswith(f"{draft}/try/") for at in addresses)


def test_an_address_that_leaves_the_preview_reaches_none_of_ours(server, draft, act):
    for path in ("%2e%2e%2fapprove", "..%2fapprove", "settings", "plugins", "history"):
        assert server.act("POST", f"{draft}/try/{path}").status_code == 400
    assert not (server.home / "apps/plants.py").exists()
    assert "waiting" in server.page(draft)


def test_what_was_not_begun_or_has_ended_says_so_and_is_begun_again(server, draft, act):
    act("POST", "plants", {"name": "Fern"})
    server.act("POST", f"{draft}/reject")
    said = server.page(f"{draft}/try/plants")
    assert "This preview has ended" in said and f'hx-post="{draft}/try"' in said
    assert act("GET", "plants").status_code == 400
    server.act("POST", f"{draft}/try")
    assert "Fern" not in server.page(f"{draft}/try/plants")


def test_a_faulty_version_is_not_tried_and_approval_ends_a_preview(server):
    text = "from pipulate import CrudApp\nclass Vole(CrudApp):\n    name: strr\n"
    at = server.call("plugin_draft", name="voles", source=text)["address"]
    assert "Try it" not in server.page(at)
    assert "did not pass" in server.act("POST", f"{at}/try").text
    at = server.call("plugin_draft", name="voles", source=text.replace("strr", "str"))["address"]
    assert f'hx-post="{at}/try"' in server.page(at)
    server.act("POST", f"{at}/try")
    assert "Voles" in server.page(f"{at}/try/voles")
    server.act("POST", f"{at}/approve")
    assert "This preview has ended" in server.page(f"{at}/try/voles")


def test_with_the_program_the_home_of_a_preview_is_gone(tmp_path, monkeypatch, until):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving(tmp_path / "home") as program:
        program.client.timeout = SECONDS
        at = program.call("plugin_draft", name="plants", source=SMALL)["address"]
        program.act("POST", f"{at}/try")
        assert "Plants" in program.page(f"{at}/try/plants")
        (place,) = tmp_path.glob("pipulate-trial-*")
    assert program.process.returncode is not None
    until(lambda: not place.exists(), SECONDS)


# -- the process -------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    (tmp_path / "apps").mkdir()
    yield tmp_path
    _preview.end_all()


SMALL = "from pipulate import CrudApp\nclass Plant(CrudApp):\n    name: str\n"
ASK = {"method": "GET", "query": {}, "form": {}, "partial": True, "here": ""}


def begun(home, more="", key="1"):
    return _preview.begin(home, "plants", SMALL + more, key)


def test_of_many_previews_three_stay_and_the_one_used_least_goes(home, alive):
    first, *rest = [begun(home, key=str(n)) for n in range(3)]
    assert first.ask(path="plants", **ASK)["parts"]
    begun(home, key="4")
    assert first.process.returncode is None and rest[0].over.is_set()
    assert not alive(rest[0].process.pid) and len(_preview.LIVE) == 3
    again = begun(home, key="4")
    assert len(_preview.LIVE) == 3 and again is _preview.LIVE[home, "plants", "4"]


def test_one_that_nobody_uses_ends_with_its_home(home, monkeypatch, until):
    monkeypatch.setattr(_preview, "IDLE", 0.1)
    preview = begun(home)
    assert preview.over.wait(SECONDS)
    until(lambda: preview.process.returncode is not None, SECONDS)
    until(lambda: not Path(preview.place.name).exists(), SECONDS)


def spelled(does):
    """A draft whose page does this."""
    return f"""
import os, re
from fasthtml.common import P

def every(text):
    for n in range(3, 30):
        try:
            os.write(n, text)
        except OSError:
            pass

@Plant.rt("/page", methods=["GET"])
def page():
    {does}
    return P("so")
"""


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("os._exit(3)", "ended, or said"),
        ('re.match("(a+)+$", "a" * 60 + "b")', "did not answer within 2 s"),
        (r'every(b"no JSON\n")', "ended, or said"),
        (r'every(b"[" * 100_000 + b"\n")', "ended, or said"),
        (r'every(b"x" * 2_000_000)', "ended, or said"),
    ],
    ids=["ends", "hangs", "babbles", "nests", "never ends a line"],
)
def test_one_that_ends_hangs_or_babbles_is_told_and_put_away(home, monkeypatch, does, why):
    preview = begun(home, spelled(does))
    assert preview.ask(path="plants", **ASK)["parts"]
    monkeypatch.setattr(_preview, "SECONDS", 2)
    with pytest.raises(Problem, match=f"{why}.*Press “Start again”"):
        preview.ask(path="plants/page", **ASK)
    assert preview.over.is_set() and preview.process.returncode is not None
    with pytest.raises(Problem, match="Start again"):
        preview.ask(path="plants", **ASK)


def test_an_answer_nobody_asked_for_is_not_taken_for_one(home, until):
    preview = begun(home, spelled(r'every(b"{}\n")'))
    preview.ask(path="plants/page", **ASK)
    until(lambda: not preview.lines.empty(), SECONDS)
    with pytest.raises(Problem, match="cannot be shown"):
        preview.ask(path="plants", **ASK)


def test_a_forged_name_of_an_app_leads_nowhere():
    for slug in ("../../approve", "x\r\nSet-Cookie: a=b", "", "//evil.example"):
        record = {"apps": [{"slug": slug, "title": "Plants", "tools": []}]}
        assert _preview.pages("/default/plugins/x/0", record) == [(None, "Plants")]


def test_an_address_of_letters_that_no_header_holds_still_leads_there():
    said = _preview.BLANK | {"go": "/default/plants?q=Ähre “x”\x01".replace(" ", "+")}
    to = _preview.led(said, "/default/plugins/x/0")
    assert to == "/default/plugins/x/0/try/plants?q=%C3%84hre+%E2%80%9Cx%E2%80%9D%01"


def test_a_page_that_is_nested_too_deep_is_not_read(home):
    said = _preview.BLANK | {"problem": [], "parts": ["<div>" * 20_000]}
    assert "too large for a preview" in _preview.cleaned(said, "/default/plugins/x/0")
