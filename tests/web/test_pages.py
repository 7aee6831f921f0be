"""The pages over HTTP, as htmx and a browser ask for them."""

import re
import textwrap
import threading
import time
from types import SimpleNamespace

import pytest

from pipulate.apps.base import Visit
from pipulate.apps.markup import html
from pipulate.core.problems import Busy
from pipulate.web import pages
from serving import serving


def add(server, title, **more):
    answer = server.act("POST", "/default/tasks", {"title": title, "done": "false", **more})
    assert answer.status_code == 200, answer.text
    return int(re.search(r'id="task-(\d+)"', answer.text)[1])


def row(server, key):
    return server.call("task_get", id=key)


# -- rows ------------------------------------------------------------------------------------


def test_a_row_added_comes_back_as_markup_for_the_top_of_the_list(server):
    answer = server.act("POST", "/default/tasks", {"title": "Buy <milk>", "done": "false"})
    assert "Buy &lt;milk&gt;" in answer.text and "<html" not in answer.text
    page = server.page("/default/tasks")
    assert page.count("Buy &lt;milk&gt;") >= 1 and "Buy <milk>" not in page


def test_a_form_without_script_adds_a_row_and_leads_back(server):
    answer = server.client.post("/default/tasks", data={"title": "plain", "done": "false"})
    assert answer.status_code == 303 and answer.headers["location"] == "/default/tasks"


@pytest.mark.parametrize(
    "typed, kept",
    [({"title": "", "due": "2026-02-03"}, "2026-02-03"), ({"title": "odd", "due": "soon"}, "odd")],
    ids=["required text is missing", "no date"],
)
def test_a_refused_form_comes_back_with_its_message_and_what_was_typed(server, typed, kept):
    before = server.call("task_list")["count"]
    answer = server.act("POST", "/default/tasks", {**typed, "done": "false"})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text and f'value="{kept}"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert server.call("task_list")["count"] == before


def test_a_cell_is_edited_in_place(server):
    key = add(server, "before")
    editor = server.act("GET", f"/default/tasks/{key}/title").text
    assert 'value="before"' in editor and 'name="version"' in editor
    saved = server.act("PATCH", f"/default/tasks/{key}", {"title": "after", "version": "1"})
    assert saved.status_code == 200 and "after" in saved.text
    assert row(server, key)["title"] == "after"


def test_a_stale_edit_is_refused_and_shows_both_versions(server):
    key = add(server, "mine and yours")
    server.act("PATCH", f"/default/tasks/{key}", {"title": "theirs", "version": "1"})
    late = server.act("PATCH", f"/default/tasks/{key}", {"title": "mine", "version": "1"})
    assert late.status_code == 409
    assert "theirs" in late.text and 'value="mine"' in late.text
    assert row(server, key)["title"] == "theirs"
    version = re.search(r'name="version" value="([^"]+)"', late.text)[1]
    again = {"title": "mine", "version": version}
    assert server.act("PATCH", f"/default/tasks/{key}", again).status_code == 200
    assert row(server, key)["title"] == "mine"


def test_an_edit_that_does_not_fit_keeps_the_input_and_says_why(server):
    key = add(server, "keeps")
    for value in ("", "   "):
        answer = server.act("PATCH", f"/default/tasks/{key}", {"title": value, "version": "1"})
        assert answer.status_code == 422 and 'role="alert"' in answer.text
    bad = server.act("PATCH", f"/default/tasks/{key}", {"due": "31/31", "version": "1"})
    assert bad.status_code == 422 and 'value="31/31"' in bad.text


def test_a_tick_touches_only_its_own_field(server):
    key = add(server, "tick", due="2026-05-06")
    server.act("PATCH", f"/default/tasks/{key}", {"done": "true", "version": "1"})
    found = row(server, key)
    assert found["done"] is True and found["title"] == "tick" and found["due"] == "2026-05-06"


def test_a_deleted_row_is_brought_back_by_the_undo_of_its_notice(server):
    key = add(server, "come back")
    gone = server.act("DELETE", f"/default/tasks/{key}")
    undo = re.search(r'hx-post="(/default/undo/\d+)"', gone.text)[1]
    assert "come back" in gone.text and "Undo" in gone.text
    assert server.act("GET", f"/default/tasks/{key}").status_code == 404
    said = server.act("POST", undo)
    assert said.status_code == 200 and row(server, key)["title"] == "come back"
    again = server.act("POST", undo)
    assert again.status_code == 400 and "undone already" in again.text
    redo = re.search(r'hx-post="(/default/undo/\d+)"', said.text)[1]
    assert server.act("POST", redo).status_code == 200
    assert server.act("GET", f"/default/tasks/{key}").status_code == 404


def test_rows_move_behind_one_another_and_to_the_top(server):
    a, b, c = (add(server, f"move {n}") for n in "abc")

    def order():
        found = [r["id"] for r in server.call("task_list")["rows"]]
        return [k for k in found if k in (a, b, c)]

    assert order() == [c, b, a]
    assert server.act("POST", f"/default/tasks/{c}/move", {"after": str(a)}).status_code == 200
    assert order() == [b, a, c]
    server.act("POST", f"/default/tasks/{a}/move", {"after": ""})
    assert order() == [a, b, c]


@pytest.mark.parametrize(
    "q, hits", [("needle", 1), ("50%", 1), ("_under", 1), ("'; DROP", 1), ("zz", 0)]
)
def test_search_finds_text_as_it_was_typed(server, q, hits):
    if server.call("task_list", q="haystack")["count"] == 0:
        for title in ("haystack needle", "50% off", "an _under", "x'; DROP TABLE app_tasks; --"):
            server.call("task_add", title=title)
    answer = server.client.get("/default/tasks", params={"q": q}, headers={"HX-Request": "true"})
    assert "<html" not in answer.text
    assert len(re.findall(r'id="task-\d+"', answer.text)) == hits
    if not hits:
        assert f"Nothing matches “{q}”" in answer.text


def test_a_long_list_is_paged_and_a_search_keeps_its_words_on_the_way(server):
    for n in range(60):
        server.call("task_add", title=f"paged & more {n:02}")
    first = server.client.get("/default/tasks", params={"q": "paged & more"}).text
    assert len(re.findall(r'<tr id="task-', first)) == 50 and "60 found" in first
    more = re.search(r'href="([^"]*page=2[^"]*)"', first)[1].replace("&amp;", "&")
    second = server.page(more)
    assert len(re.findall(r'<tr id="task-', second)) == 10


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30, "1.5", "٣"])
def test_an_odd_page_number_is_no_fault(server, page):
    assert server.client.get("/default/tasks", params={"page": page}).status_code == 200


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/default/tasks/999999"),
        ("PATCH", "/default/tasks/999999"),
        ("DELETE", "/default/tasks/999999"),
        ("GET", "/default/tasks/x"),
        ("GET", f"/default/tasks/{'9' * 40}"),
        ("GET", "/default/nothing"),
        ("GET", "/nobody"),
        ("GET", "/default/hello/777"),
        ("POST", "/default/hello/777/person"),
        ("GET", "/files/default/999"),
        ("POST", "/default/undo/999999"),
        ("GET", "/default/approvals/none"),
        ("POST", "/default/call/none"),
        ("GET", "/default/plugin/none"),
        ("POST", "/default/hello/777/person/cancel"),
    ],
)
def test_what_is_not_there_is_said_so_with_a_next_step(server, method, path):
    answer = server.act(method, path)
    assert answer.status_code == 404, answer.text[:300]
    assert "Traceback" not in answer.text and len(answer.text) > 20


# -- profiles --------------------------------------------------------------------------------


def test_profiles_are_added_renamed_with_a_redirect_deleted_and_brought_back(server):
    added = server.act("POST", "/default/call/profile_add", {"name": "Client One"})
    assert added.status_code == 200
    assert "Client One" in server.page("/default/settings")
    server.call("task_add", profile="client-one", title="only theirs")
    assert "only theirs" not in server.page("/default/tasks")
    renamed = {"profile": "client-one", "new_name": "Client Two"}
    server.act("POST", "/default/call/profile_rename", renamed)
    moved = server.client.get("/client-one/tasks?q=only")
    assert moved.status_code == 308
    assert moved.headers["location"].startswith("/client-two/tasks")
    assert "only theirs" in server.page("/client-two/tasks")
    server.act("POST", "/default/call/profile_delete", {"profile": "client-two"})
    assert server.client.get("/client-two").status_code == 404
    history = server.page("/default/history")
    undo = re.search(r'Deleted profile.*?hx-post="(/default/undo/\d+)"', history, re.DOTALL)[1]
    assert server.act("POST", undo).status_code == 200
    assert "only theirs" in server.page("/client-two/tasks")


def test_a_click_in_a_tab_whose_profile_was_renamed_or_deleted_is_done_or_answered(server):
    server.act("POST", "/default/call/profile_add", {"name": "Was"})
    server.act("POST", "/default/call/profile_rename", {"profile": "was", "new_name": "Now"})
    moved = server.act("POST", "/was/tasks", {"title": "typed in an old tab"})
    assert (moved.status_code, moved.headers["location"]) == (308, "/now/tasks")
    server.act("POST", "/default/call/profile_delete", {"profile": "now"})
    gone = server.act("POST", "/now/tasks", {"title": "typed too late"})
    assert gone.status_code == 404 and "no profile" in gone.text and "<html" not in gone.text
    assert gone.headers["hx-retarget"] == "#notices"


def test_the_query_of_an_old_profile_address_survives_its_redirect(server):
    server.call("profile_add", name="Before")
    server.act("POST", "/default/call/profile_rename", {"profile": "before", "new_name": "After"})
    answer = server.client.get("/before/tasks?q=x&page=2")
    assert answer.headers["location"] == "/after/tasks?q=x&page=2"


def test_the_last_profile_cannot_be_deleted(tmp_path):
    with serving(tmp_path / "home") as server:
        answer = server.act("POST", "/default/call/profile_delete", {"profile": "default"})
        assert answer.status_code == 400 and "last profile" in answer.text
        assert server.client.get("/default").status_code == 200


def test_on_a_full_disk_the_first_page_is_there_all_the_same(house, run, monkeypatch):
    class Full(dict):
        def __setitem__(self, key, value):
            raise Busy("The disk is full; this was not saved.")

    monkeypatch.setattr(house, "settings_of", Full)
    visit = Visit(house, house.caller("user"), None)
    assert "Tasks" in html(run(pages.overview(SimpleNamespace(house=house), visit, None)))


def test_the_root_leads_to_the_profile_seen_last(server):
    server.call("profile_add", name="Lately")
    server.page("/lately")
    assert server.client.get("/").headers["location"] == "/lately"
    server.page("/default")
    assert server.client.get("/").headers["location"] == "/default"


# -- search, settings -------------------------------------------------------------------------


def test_the_search_of_the_house_looks_into_every_app(server):
    server.call("task_add", title="findable thing & more")
    page = server.client.get("/default/search", params={"q": "findable thing & more"}).text
    assert "findable thing &amp; more" in page
    link = re.search(r'href="(/default/tasks\?q=[^"]*)"', page)[1].replace("&amp;", "&")
    assert "findable thing &amp; more" in server.page(link)
    assert "Nothing matches" in server.page("/default/search?q=zzzz")
    assert 'href="/default/hello"' in server.page("/default/search?q=hello")


def test_the_settings_page_tells_home_profiles_backups_and_model(server):
    page = server.page("/default/settings")
    assert str(server.home) in page and "Default" in page and "daily" in page
    assert "Assistant" in page and "Ollama" in server.act("GET", "/default/assistant").text


def test_a_page_asks_for_no_address_but_our_own(server):
    for path in ("/default", "/default/tasks", "/default/hello", "/default/settings"):
        page = server.page(path)
        asked = re.findall(
            r'(?:src|href|action|hx-\w+|ws-connect)="((?:https?:|wss?:)?//[^"]+)"', page
        )
        assert not asked


def test_a_page_is_one_document(server):
    page = server.page("/default")
    assert page.lower().count("<!doctype") == 1
    for part in ("<html", "<head", "<body", "<main", "<title"):
        assert len(re.findall(rf"{part}[ >]", page)) == 1, part
    assert 'lang="en"' in page and 'name="viewport"' in page


def test_every_field_and_button_has_a_name(server):
    for path in ("/default/tasks", "/default/hello", "/default/settings", "/default"):
        page = server.page(path)
        for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", page):
            named = "aria-label" in tag or 'type="hidden"' in tag
            assert named, tag
        for tag, inner in re.findall(r"(<button[^>]*>)(.*?)</button>", page, re.DOTALL):
            assert re.sub(r"<[^>]+>", "", inner).strip() or "aria-label" in tag, tag


# -- plugins ---------------------------------------------------------------------------------

FIVE_LINES = """from pipulate import CrudApp

class Book(CrudApp):
    title: str
    rating: int = 0
"""


def within(seconds, check):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return check()


def test_a_five_line_plugin_is_there_within_seconds_and_without_a_restart(server):
    (server.home / "apps" / "books.py").write_text(FIVE_LINES)
    assert within(3, lambda: server.client.get("/default/books").status_code == 200)
    assert 'href="/default/books"' in server.page("/default")
    added = server.act("POST", "/default/books", {"title": "Solaris", "rating": "5"})
    assert added.status_code == 200 and "Solaris" in server.page("/default/books")


def test_a_plugin_with_a_fault_is_a_card_while_the_rest_stays_up(server):
    path = server.home / "apps" / "torn.py"
    path.write_text("from pipulate import CrudApp\n\nclass Torn(CrudApp)\n    title: str\n")
    assert within(3, lambda: "torn" in server.page("/default"))
    card = server.page("/default/plugin/torn")
    assert "torn.py, line 3" in card and "SyntaxError" in card and "Traceback" not in card
    assert server.client.get("/default/tasks").status_code == 200
    path.write_text(FIVE_LINES.replace("Book", "Torn"))
    assert within(3, lambda: server.client.get("/default/torns").status_code == 200)
    path.write_text("1 / 0")
    assert within(3, lambda: "ZeroDivisionError" in server.client.get("/default/plugin/torn").text)
    assert server.client.get("/default/torns").status_code == 200, "the version that worked stays"


def test_a_plugin_that_fails_while_drawing_or_saving_stays_within_its_page(server):
    text = """
        from pipulate import CrudApp
        class Bad(CrudApp):
            name: str
            def check(self):
                if self.name == "boom": raise RuntimeError("token=hunter2secret")
            def __ft__(self): return {}[self.name] if self.name == "draw" else self.name
    """
    (server.home / "apps" / "bads.py").write_text(text.replace("\n        ", "\n"))
    assert within(3, lambda: server.client.get("/default/bads").status_code == 200)
    answer = server.act("POST", "/default/bads", {"name": "boom"})
    assert answer.status_code in (400, 500)
    assert "hunter2secret" not in answer.text and "Traceback" not in answer.text
    if found := re.search(r"reference (\w+)", answer.text):
        assert found[1] in server.log and "Traceback" in server.log
    assert "hunter2secret" not in server.log
    answer = server.act("POST", "/default/bads", {"name": "draw"})
    assert "Traceback" not in answer.text
    assert server.client.get("/default/tasks").status_code == 200


def test_an_error_id_on_the_page_is_found_in_the_log(server):
    (server.home / "apps" / "odd.py").write_text(
        FIVE_LINES.replace("Book", "Odd")
        + '\n@Odd.rt("/boom", methods=["GET"])\ndef boom():\n    return 1 / 0\n'
    )
    assert within(3, lambda: server.client.get("/default/odds").status_code == 200)
    for headers in ({}, {"HX-Request": "true"}):
        answer = server.client.get("/default/odds/boom", headers=headers)
        assert answer.status_code == 500
        reference = re.search(r"reference (\w+)", answer.text)[1]
        assert reference in server.log and "ZeroDivisionError" in server.log
        assert "ZeroDivisionError" not in answer.text and "Traceback" not in answer.text


@pytest.mark.long
def test_a_looping_hook_is_stopped_and_the_page_answers_meanwhile(server):
    text = FIVE_LINES.replace("Book", "Loop") + "    def check(self):\n        while True: pass\n"
    (server.home / "apps" / "loops.py").write_text(text)
    assert within(3, lambda: server.client.get("/default/loops").status_code == 200)
    start = time.monotonic()
    answer = server.act("POST", "/default/loops", {"title": "x", "rating": "1"})
    assert answer.status_code == 400 and "took over 5 s" in answer.text
    assert time.monotonic() - start < 8


# -- pipelines -------------------------------------------------------------------------------


def wait_done(server, path, step, state="done"):
    assert within(
        8, lambda: re.search(rf'id="step-\d+-{step}" class="step {state}"', server.page(path))
    ), server.page(path)[-3000:]


def start(server, pipeline="hello"):
    answer = server.act("POST", f"/default/{pipeline}")
    return answer.headers["hx-redirect"]


def test_a_run_goes_step_by_step_and_is_locked_when_finished(server):
    run = start(server)
    refused = server.act("POST", f"{run}/person", {"name": ""})
    assert refused.status_code == 422 and 'role="alert"' in refused.text
    assert server.act("POST", f"{run}/person", {"name": "Ada"}).status_code == 200
    wait_done(server, run, "person")
    server.act("POST", f"{run}/greeting", {"mark": "!"})
    wait_done(server, run, "greeting")
    server.act("POST", f"{run}/letters")
    wait_done(server, run, "letters")
    assert "Hello, Ada!" in server.page(run)
    server.act("POST", f"{run}/person", {"name": "Grace"})
    wait_done(server, run, "greeting", "stale")
    assert "Hello, Ada!" in server.page(run), "a stale step keeps its output"
    server.act("POST", f"{run}/greeting", {"mark": "!"})
    wait_done(server, run, "greeting")
    server.act("POST", f"{run}/letters")
    wait_done(server, run, "letters")
    assert server.act("POST", f"{run}/-/finish").status_code == 200
    locked = server.act("POST", f"{run}/person", {"name": "Late"})
    assert locked.status_code == 423 and "locked" in locked.text
    assert server.act("POST", f"{run}/-/reopen").status_code == 200


@pytest.mark.parametrize("path", ["hello/abc", "tasks/abc", f"hello/{'9' * 30}"])
def test_an_address_that_is_no_number_is_named_as_it_is_and_not_as_run_minus_one(server, path):
    answer = server.client.get(f"/default/{path}")
    assert answer.status_code == 404 and "-1" not in answer.text.partition("<main")[2][:400]
    assert path.partition("/")[2] in answer.text


def test_a_run_of_one_profile_is_not_shown_in_another(server):
    run = start(server)
    server.call("profile_add", name="Stranger")
    path = run.replace("/default/", "/stranger/")
    assert server.client.get(path).status_code == 404
    assert server.act("POST", f"{path}/person", {"name": "x"}).status_code == 404
    assert server.act("POST", f"{path}/-/delete").status_code == 404


def test_a_run_is_deleted_and_brought_back(server):
    run = start(server)
    gone = server.act("POST", f"{run}/-/delete")
    assert server.client.get(run).status_code == 404
    undo = re.search(r'hx-post="(/default/undo/\d+)"', gone.text)[1]
    assert server.act("POST", undo).status_code == 200
    assert server.client.get(run).status_code == 200


def test_links_measures_an_uploaded_csv_and_offers_downloads(server):
    rows = b"source,target\n" + b"".join(b"/,/p%d\n" % n for n in range(20))
    file = server.client.put("/files/default?name=site.csv", content=rows).text
    run = start(server, "links")
    server.act("POST", f"{run}/source", {"csv": file})
    wait_done(server, run, "source")
    server.act("POST", f"{run}/columns", {"origin": "source", "target": "target"})
    wait_done(server, run, "columns")
    server.act("POST", f"{run}/measure", {"start": ""})
    wait_done(server, run, "measure")
    found = re.findall(r'href="(/files/default/\d+)"', server.page(run))
    texts = [server.client.get(address) for address in dict.fromkeys(found)]
    assert any("page,in_degree" in t.text for t in texts)
    assert all("attachment" in t.headers["content-disposition"] for t in texts)


def test_a_file_of_another_profile_is_not_given_out(server):
    key = server.client.put("/files/default?name=mine.csv", content=b"1").text[5:]
    server.call("profile_add", name="Neighbour")
    assert server.client.get(f"/files/neighbour/{key}").status_code == 404


def test_an_address_that_is_markup_stays_an_address(server):
    for hostile in ('"><script>hit</script>', "'><script>hit</script>", "%22%3E%3Cscript%3Ehit"):
        for path in ("/default/tasks", "/default/search", "/default/hello"):
            page = server.page(f"{path}?q={hostile}")
            assert "<script>hit" not in page
            assert page.count("<aside") == 1 and 'ws-connect="/ws?at=' in page


def test_an_upload_for_nobody_is_a_404(server):
    assert server.client.put("/files/nobody?name=x.csv", content=b"1").status_code == 404


def test_an_upload_of_nothing_is_refused(server):
    answer = server.client.put("/files/default?name=x.csv", content=b"")
    assert answer.status_code == 400 and "empty" in answer.text


def test_the_tab_of_a_run_says_its_number_or_its_name(server):
    run = start(server)
    number = run.rpartition("/")[2]
    assert f"<title>Hello run {number} · Pipulate</title>" in server.page(run)
    server.act("POST", f"{run}/-/name", {"name": "For <Ada>"})
    assert "<title>For &lt;Ada&gt; · Pipulate</title>" in server.page(run)
    assert "<title>Hello · Pipulate</title>" in server.page("/default/hello")


def test_a_page_of_the_classs_own_has_the_heading_of_its_app_that_leads_back(server, until):
    text = """
    from fasthtml.common import H1, P
    from pipulate import CrudApp

    class Pot(CrudApp):
        name: str

    @Pot.rt("/bare", methods=["GET"])
    def bare(table):
        return P("Bare"), "a < b"

    @Pot.rt("/own", methods=["GET"])
    def own(table):
        return H1("Its own")
    """
    (server.home / "apps/pots.py").write_text(textwrap.dedent(text))
    until(lambda: server.client.get("/default/pots/bare").is_success)
    page = server.page("/default/pots/bare")
    assert '<h1><a href="/default/pots">Pots</a></h1>' in page
    assert "<p>Bare</p>" in page and "a &lt; b" in page
    assert server.page("/default/pots/own").count("<h1") == 1
    assert "<h1" not in server.act("GET", "/default/pots/bare").text, "a part of a page"


def test_the_first_page_says_what_to_do_first_until_something_was_done(house, run, call):
    def page():
        visit = Visit(house, house.caller("user"), None)
        return html(run(pages.overview(SimpleNamespace(house=house), visit, None)))

    first = page()
    for at in ("default/tasks", "default/hello", "default/settings", "docs/first-app.md"):
        assert f'<a href="/{at}" rel="noopener noreferrer">' in first
    call("task_add", title="Tea")
    assert "Add a task" not in page()


def test_given_an_import_that_takes_long_then_another_profile_that_is_opened_holds_up_no_page(
    house, run, monkeypatch
):
    threads, begin = [], house.db.begin

    def watched():
        threads.append(threading.current_thread())
        return begin()

    monkeypatch.setattr(house.db, "begin", watched)
    visit = Visit(house, house.caller("user"), None)
    run(pages.overview(SimpleNamespace(house=house), visit, None))
    assert house.settings_of()["last_profile"] == "default"
    assert threads and threading.main_thread() not in threads


def test_a_program_that_asks_for_the_head_of_an_app_gets_what_its_page_has(server):
    for at in ("/default/tasks", "/default/hello", "/default/tasks/export"):
        page, head = (server.client.request(how, at) for how in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == page.headers["content-type"]
