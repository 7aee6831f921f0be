"""A running server and the plugin files of its user: saved, broken, gone and back; code that fails.

Whatever a file does, the rest of the site answers meanwhile and afterwards.
"""

import contextlib
import hashlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from serving import hear

LIMIT = (
    20.0  # seconds of waiting before a test gives up; how fast it is, is asserted where it counts
)
APP = """from pipulate import CrudApp

class Wine(CrudApp):
    name: str
    stars: int = 0
"""
SLOW = """import time
from pathlib import Path
from pipulate import CrudApp, Pipeline

HERE = Path(__file__).parents[1]

def wait(name):
    (HERE / f"{name} began").touch()
    while not (HERE / f"{name} may end").exists():
        time.sleep(0.02)
    return "VERSION"

class Slow(CrudApp):
    name: str

@Slow.rt("/wait", methods=["GET"])
def waiting():
    return wait("request")

hold = Pipeline("Hold", "Waits.")

@hold.step
def first(job):
    "Waits."
    return wait("run")
"""
TALLY = """from itertools import count
from pathlib import Path
from pipulate import CrudApp, CsvFile

class Tally(CrudApp):
    name: str

def endless():
    try:
        yield from ([n] for n in count() if n < 0)
    finally:
        (Path(__file__).parents[1] / "rows ended").touch()

@Tally.rt("/out", methods=["GET"])
def out():
    return CsvFile("out.csv", ["n"], endless())

@Tally.rt("/some", methods=["GET"])
def some():
    return CsvFile("some.csv", ["n"], [[1], [2]])
"""
BAD = """import asyncio
import os
import sys
import time
from pathlib import Path
from pipulate import CrudApp, tool

def begun(name):
    (Path(__file__).parents[1] / f"{name} began").touch()

class Bad(CrudApp):
    name: str

    def check(self):
        match self.name:
            case "raises":
                raise KeyError("token=hunter2secret")
            case "loops":
                begun("loop")
                while True:
                    pass
            case "ends the process":
                os._exit(3)
            case "aborts":
                os.abort()
            case "exits":
                sys.exit(4)

    @tool
    def fail(self):
        raise RuntimeError("no luck")

@Bad.rt("/blocks", methods=["GET"])
async def blocks():
    begun("block")
    time.sleep(60)

@Bad.rt("/leaves", methods=["GET"])
async def leaves():
    await asyncio.sleep(0)
    os._exit(5)
"""


def within(check, seconds=LIMIT):
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)
    return found


def alive(server):
    return server.client.get("/default/tasks").status_code == 200 and server.process.poll() is None


@pytest.fixture
def save(server):
    """save(name, text): the seconds until that content is loaded, or is known to be broken."""
    saved = []

    def saving(name, text):
        path = server.home / "apps" / f"{name}.py"
        saved.append(path)
        before = state(path)
        path.write_text(text)
        own, began = hashlib.sha256(text.encode()).hexdigest()[:12], time.monotonic()
        within(lambda: state(path) != before and (state(path)[1] or state(path)[0] == own))
        return time.monotonic() - began

    def state(path):
        """(hash, problem) of what is loaded of a file."""
        rows = [row for row in server.call("apps") if row["file"] == str(path)]
        return (rows[0]["hash"], rows[0]["problem"]) if rows else ("", None)

    yield saving
    for path in saved:
        path.unlink(missing_ok=True)
    within(lambda: not {str(p) for p in saved} & {row["file"] for row in server.call("apps")})


# -- saved, broken, gone and back ------------------------------------------------------------


def test_a_saved_file_is_live_in_under_a_second(server, save):
    save("wines", APP)
    times = [save("wines", APP + f"    field_{n}: int = 0\n") for n in range(4)]
    assert min(times) < 1, times
    assert "Field 3" in server.page("/default/wines")


def test_a_request_at_work_while_its_file_is_saved_ends_on_the_old_code(server, save):
    save("slow", SLOW.replace("VERSION", "old"))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.client.get, "/default/slows/wait")
        within((server.home / "request began").exists)
        save("slow", SLOW.replace("VERSION", "new"))
        (server.home / "request may end").touch()
        assert "old" in asked.result().text
    assert "new" in server.client.get("/default/slows/wait").text


def test_a_run_at_work_while_its_file_is_saved_ends_on_the_old_code(server, save):
    save("slow", SLOW.replace("VERSION", "old"))
    run = server.act("POST", "/default/hold").headers["hx-redirect"]
    server.act("POST", f"{run}/first")
    within((server.home / "run began").exists)
    save("slow", SLOW.replace("VERSION", "new"))
    (server.home / "run may end").touch()
    assert "old" in within(lambda: re.search('class="output.*', server.page(run), re.DOTALL))[0]
    assert server.call("hold_run")["output"] == "new"


def test_a_shell_that_goes_away_stops_its_run_and_leaves_no_trace_in_the_log(server, save):
    save("slow", SLOW.replace('wait("run")', 'wait("shell")'))
    errors = server.log.count("ERROR")
    key = {"Authorization": f"Bearer {server.keys['shell']}"}
    with pytest.raises(httpx2.ReadTimeout):
        server.client.post("/shell/call", json={"tool": "hold_run"}, headers=key, timeout=1)
    run = server.call("run_list")[0]["id"]
    within(lambda: server.call("run_get", run=run)["steps"][0]["state"] == "cancelled")
    assert alive(server) and server.log.count("ERROR") == errors


def test_a_broken_save_keeps_the_old_version_and_its_card_names_the_line(server, save):
    save("wines", APP)
    save("wines", APP + "    year = 1 +\n")
    card = server.page("/default/plugin/wines")
    assert "wines.py, line 6: SyntaxError" in card and "stays in use" in card
    assert server.act("POST", "/default/wines", {"name": "Barolo", "stars": "3"}).status_code == 200
    page = server.page("/default/wines")
    assert "Barolo" in page and "wines.py, line 6" in page
    assert 'href="/default/plugin/wines"' in server.page("/default/tasks"), "in the menu"
    save("wines", APP)
    assert server.client.get("/default/plugin/wines").status_code == 404


def test_a_removed_file_leaves_the_menu_and_its_rows_are_offered_when_it_is_back(server, save):
    save("cheeses", APP.replace("Wine", "Cheese"))
    server.call("cheese_add", name="Brie")
    path = server.home / "apps" / "cheeses.py"
    with server.socket("/default/tasks") as socket:
        path.unlink()
        within(lambda: 'href="/default/cheeses"' not in server.page("/default/tasks"))
        assert server.client.get("/default/cheeses").status_code == 404
        save("cheeses", APP.replace("Wine", "Cheese"))
        hear(socket, '<a href="/default/cheeses">Cheeses is back, with 1 rows.</a>', LIMIT)
    assert "Brie" in server.page("/default/cheeses")


# -- code that fails -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raises", "ends the process", "aborts", "exits"])
def test_a_hook_that_fails_takes_nothing_down(server, save, how):
    save("bad", BAD)
    answer = server.act("POST", "/default/bads", {"name": how})
    assert answer.status_code == 500 and "reference" in answer.text
    assert "hunter2secret" not in answer.text and alive(server)


@pytest.mark.parametrize("returned", ["3, 4", "{'<b>': 1}", "object()", "b'<b>'", "{1}"])
def test_a_page_that_returns_no_element_was_a_bare_server_error(server, save, returned):
    save("bad", BAD + f"\n@Bad.rt('/odd', methods=['GET'])\ndef odd():\n    return {returned}\n")
    page = server.page("/default/bads/odd")
    assert "<nav" in page and "<b>" not in page


def test_what_is_no_element_within_one_of_a_plugin_s_page_is_text(server, save):
    source = "from fasthtml.common import P\n\n@Bad.rt('/odd', methods=['GET'])\ndef odd():\n"
    save("bad", BAD + source + "    return P(Path('<b>'))\n")
    page = server.page("/default/bads/odd")
    assert "&lt;b&gt;" in page and "<b>" not in page


def test_a_page_that_returns_a_list_of_elements_shows_them(server, save):
    source = "from fasthtml.common import P\n\n@Bad.rt('/odd', methods=['GET'])\ndef odd():\n"
    save("bad", BAD + source + "    return [P('one'), (P(n) for n in 'ab')]\n")
    assert "<p>one</p><p>a</p><p>b</p>" in server.page("/default/bads/odd")


def test_a_coroutine_that_ends_the_process_takes_nothing_down(server, save):
    save("bad", BAD)
    assert server.client.get("/default/bads/leaves").status_code == 500 and alive(server)


@pytest.mark.parametrize("end", ["os._exit(7)", "os.abort()", "raise SystemExit(7)"])
def test_a_file_that_ends_the_process_when_it_is_loaded_is_a_card_with_its_line(server, save, end):
    save("ends", f"import os\n\n{end}\n")
    assert "ends.py, line 3: SystemExit" in server.page("/default/plugin/ends") and alive(server)


def test_code_that_loops_or_blocks_is_stopped_and_the_site_answers_meanwhile(server, save):
    save("bad", BAD)

    def blocked():
        with contextlib.suppress(httpx2.ReadTimeout):
            server.client.get("/default/bads/blocks", timeout=6)

    with ThreadPoolExecutor(3) as pool:
        looping = pool.submit(server.act, "POST", "/default/bads", {"name": "loops"})
        blocking = [pool.submit(blocked) for _ in range(2)]
        within(lambda: all((server.home / f"{n} began").exists() for n in ("loop", "block")))
        began = time.monotonic()
        assert alive(server)
        assert time.monotonic() - began < 3, "of the 5 and 60 s that those take"
        assert not looping.done() and not any(each.done() for each in blocking)
        assert looping.result().status_code == 400 and "took over 5 s" in looping.result().text
    assert alive(server)


def test_rows_of_a_download_that_never_come_are_stopped_and_leave_no_thread_at_work(server, save):
    save("tally", TALLY)
    with pytest.raises(httpx2.HTTPError):  # it breaks off: nobody takes it for the whole
        server.client.get("/default/tallys/out", timeout=20)
    within(lambda: (server.home / "rows ended").exists())
    assert server.client.get("/default/tallys/some").text == "\ufeffn\r\n1\r\n2\r\n"


def test_three_failures_in_a_row_fold_the_card_with_the_reason_and_a_retry(server, save):
    save("bad", BAD)
    key = server.call("bad_add", name="fine")["id"]
    for n in range(3):
        assert 'href="/default/bads"' in server.page("/default").partition("<main")[2], n
        assert server.act("POST", "/default/bads", {"name": "raises"}).status_code == 500
        if n < 2:
            assert "fine" in server.page("/default/bads"), "what works in between changes nothing"
    shown = server.page("/default").partition("<main")[2]
    line = BAD[: BAD.index("raise KeyError")].count("\n") + 1
    assert f"bad.py, line {line} failed three times in a row: KeyError" in shown
    assert "hunter2secret" not in shown and 'href="/default/bads"' not in shown
    retry = '{"plugin": "bad"}'.replace('"', "&#34;")
    card = server.page("/default/bads")
    assert 'hx-post="/default/call/plugin_retry"' in card and "failed three times" in card
    assert 'id="rows"' not in card and (retry in card or '{"plugin": "bad"}' in card)
    assert server.act("POST", "/default/bads", {"name": "fine"}).status_code == 400, "it rests"
    with pytest.raises(AssertionError, match="failed three times"):
        server.call("bad_get", id=key)
    assert alive(server)
    server.act("POST", "/default/call/plugin_retry", {"plugin": "bad"})
    assert "fine" in server.page("/default/bads") and server.call("bad_get", id=key)


def test_given_a_tool_that_raises_a_key_error_then_the_shell_is_given_a_reference_not_its_text(
    server, save
):
    save("bad", BAD)
    said = {"tool": "bad_add", "values": {"name": "raises"}}
    key = {"Authorization": f"Bearer {server.keys['shell']}"}
    answer = server.client.post("/shell/call", json=said, headers=key)
    assert answer.status_code == 500 and "hunter2secret" not in answer.text
    reference = re.search(r"reference (\w+)", answer.json()["problem"]["problem"])[1]
    assert reference in server.log


def test_tools_fold_a_plugin_too_and_saving_its_file_unfolds_it(server, save):
    save("bad", BAD)
    key = server.call("bad_add", name="fine")["id"]
    for _ in range(3):
        with pytest.raises(AssertionError):
            server.call("bad_fail", id=key)
    assert "failed three times" in server.page("/default/bads")
    save("bad", BAD.replace('raise RuntimeError("no luck")', 'return "well"'))
    assert server.call("bad_fail", id=key) == "well"


def test_a_search_leaves_out_an_app_that_fails(server, save):
    broken = "    def __str__(self):\n        raise ValueError('no words')\n"
    save("wines", APP)
    server.call("wine_add", name="searched for")
    server.call("task_add", title="searched for as well")
    save("wines", APP + broken)
    assert "searched for as well" in server.page("/default/search?q=searched")


TOOLED = """from typing import Annotated
from pipulate import Between, CrudApp, Invalid, Secret, tool

class Cask(CrudApp):
    name: str
    litres: int = 9

    @tool
    def knock(self):
        return "It sounds hollow"

    @tool
    def draw(self, litres: Annotated[int, Between(1, 5)] = 2, to: str = "jug"):
        "Take some out."
        if to == "floor":
            raise Invalid("No.", fields={"to": "is too dirty"})
        self.table.update(id=self.id, litres=self.litres - litres)
        return {"left": self.litres - litres, "in": to}

    @staticmethod
    @tool(kind="read")
    def count_all(table, least: int = 0):
        "Litres in all casks that hold so many."
        return [{"cask": c.name, "litres": c.litres} for c in table("litres >= ?", [least])]

    @staticmethod
    @tool
    def tap(table):
        "Tap every cask."
        return f"{table.count()} tapped"
"""


def test_a_tool_that_asks_for_values_has_a_form_that_says_what_it_answered(server, save):
    save("casks", TOOLED)
    key = server.call("cask_add", name="<Port>")["id"]
    page = server.page("/default/casks")
    for name, word in (("count_all", "Count all…"), ("tap", "Tap…")):
        assert re.search(rf'<a href="/default/call/cask_{name}/form"[^>]*>{word}</a>', page)
    form = server.page("/default/call/cask_count_all/form").partition("<main")[2]
    assert "Litres in all casks that hold so many." in form and 'name="least"' in form
    assert '<a href="/default/casks">← Casks</a>' in form and ">Cask count all</button>" in form
    sent = {"least": "many"}
    refused = server.act("POST", "/default/call/cask_count_all/form", sent)
    assert refused.status_code == 422 and 'value="many"' in refused.text
    assert re.search(r'<label>Least.*?role="alert"[^>]*>[^<]*number', refused.text, re.DOTALL)
    done = server.act("POST", "/default/call/cask_count_all/form", sent | {"least": "5"})
    assert "&lt;Port&gt;" in done.text and 'value="5"' in done.text, "another try is a click away"
    assert "1 tapped" in server.act("POST", "/default/call/cask_tap/form", {}).text
    row = server.act("GET", f"/default/casks/{key}").text
    assert ">Knock</button>" in row and "Draw" not in row
    at = f"/default/call/cask_draw/form?id={key}"
    assert f'<a href="{at}">Draw…</a>' in server.act("GET", f"/default/casks/{key}/*").text
    assert re.search(rf'value="{key}"[^>]*name="id"|name="id"[^>]*value="{key}"', server.page(at))


def test_a_tool_of_a_row_is_refused_at_its_field_and_undone_like_any_other(server, save):
    save("casks", TOOLED)
    key = server.call("cask_add", name="Madeira")["id"]
    form = {"id": str(key), "litres": "3", "to": "floor"}
    refused = server.act("POST", "/default/call/cask_draw/form", form)
    assert refused.status_code == 422 and ">is too dirty</small>" in refused.text
    assert 'value="3"' in refused.text and server.call("cask_get", id=key)["litres"] == 9
    done = server.act("POST", "/default/call/cask_draw/form", form | {"to": "glass"})
    assert re.search("left.*6.*glass", done.text, re.DOTALL)
    server.call("undo")
    assert server.call("cask_get", id=key)["litres"] == 9


def test_a_bare_address_of_an_app_leads_to_the_profile_of_the_page_that_asks(server, save):
    save(
        "shelf",
        "from fasthtml.common import P\nfrom pipulate import CrudApp\n\n\n"
        'class Jar(CrudApp):\n    title: str\n\n\n@Jar.rt("/open", methods=["POST"])\n'
        'def opened(profile, jar: int):\n    return P(f"{profile.slug} opens {jar}")\n',
    )
    server.call("profile_add", name="Kitchen")
    for at, there in (("kitchen", "kitchen"), ("default", "default"), ("gone", "default")):
        asks = f"{server.url}/{at}/jars"
        moved = server.act("POST", "/jars/open?jar=3", {}, hx_current_url=asks)
        assert moved.status_code == 307 and moved.headers["location"] == f"/{there}/jars/open?jar=3"
    assert "default opens 3" in server.act("POST", moved.headers["location"], {}).text
    assert server.client.get("/jugs/open").status_code == 404
