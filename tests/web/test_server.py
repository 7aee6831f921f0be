"""The site: what its engines tell open tabs, and what a request that goes wrong gets."""

import html
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from every import EVERY, ROWS
from pipulate.web.server import body_limit
from serving import serving


@pytest.mark.parametrize(
    "method, path, large",
    [
        ("PUT", "/files/default", True),
        ("POST", "/files/default", False),
        ("PUT", "/default/tasks", False),
        ("PUT", "/default/files/x", False),
        ("POST", "/shell/call", False),
        ("", "/ws", False),
    ],
)
def test_only_an_upload_may_be_large(method, path, large):
    assert bool(body_limit(method, path)) == large


def test_a_page_and_a_part_of_it_are_told_apart(server):
    whole, part = server.page("/default/tasks"), server.act("GET", "/default/tasks").text
    assert "<html" in whole and "<html" not in part and 'id="rows"' in part
    back = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in server.client.get("/default/tasks", headers=back).text


def test_large_pages_are_compressed_for_a_browser_that_takes_it(server):
    answer = server.client.get("/default/tasks", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"


def test_two_clicks_at_once_on_run_begin_one_step(server):
    run = server.act("POST", "/default/hello").headers["hx-redirect"]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.act, "POST", f"{run}/person", {"name": "A"}) for _ in range(4)]
        codes = sorted(a.result().status_code for a in asked)
    assert codes[0] == 200 and set(codes) <= {200, 400}


def test_many_rows_added_at_once_are_all_kept(server):
    before = server.call("task_list")["count"]
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(
                server.act, "POST", "/default/tasks", {"title": f"at once {n}", "done": "false"}
            )
            for n in range(24)
        ]
        assert {a.result().status_code for a in asked} == {200}
    assert server.call("task_list")["count"] == before + 24


@pytest.mark.parametrize("q", ["\0", "😀", "\u202e", "a" * 3_000, "%", "\\", "'\"<>&"])
def test_odd_text_in_an_address_is_no_fault(server, q):
    for path in ("/default/tasks", "/default/search"):
        assert server.client.get(path, params={"q": q}).status_code == 200


@pytest.mark.parametrize(
    "title", ["\0", "😀", "\u202eabc", "a\r\nb", "x" * 900_000, "\ufeff", "\u2028"]
)
def test_odd_text_in_a_field_is_kept_exactly_or_refused_there(server, title):
    answer = server.act("POST", "/default/tasks", {"title": title, "done": "false"})
    assert answer.status_code in (200, 422), answer.text[:300]
    if answer.status_code == 200:
        assert server.call("task_list")["rows"][0]["title"] == title.replace("\r\n", "\n")
    assert server.client.get("/default/tasks").status_code == 200
    if found := re.search(r'id="task-(\d+)"', answer.text):
        server.act("DELETE", f"/default/tasks/{found[1]}")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe=\x80",
        b"title=%ff%fe",
        b"title=%00",
        b"title=a&title=b",
        b"&&&===",
        b"title",
        b"%zz=%",
    ],
)
def test_a_form_that_is_no_text_is_an_answer_and_no_fault(server, body):
    errors = server.log.count("ERROR")
    kind = {"Content-Type": "application/x-www-form-urlencoded", "HX-Request": "true"}
    answer = server.client.post("/default/tasks", content=body, headers=kind)
    assert answer.status_code in (200, 422, 400)
    assert server.log.count("ERROR") == errors


def test_the_letters_of_a_form_that_a_program_sends_as_they_are_come_as_such(server):
    kind = {"Content-Type": "application/x-www-form-urlencoded", "HX-Request": "true"}
    body = "title=Grüße, 世界&done=false".encode()
    answer = server.client.post(
        "/default/tasks", content=body, headers={**kind, "Origin": server.url}
    )
    assert answer.status_code == 200 and "Grüße, 世界" in server.page("/default/tasks?q=Gr")


def test_a_form_with_too_many_fields_is_refused_and_no_fault(server):
    errors = server.log.count("ERROR")
    boundary = {"Content-Type": "multipart/form-data; boundary=x", "HX-Request": "true"}
    part = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n'
    answer = server.client.post("/default/tasks", content=part * 2_000 + b"--x--", headers=boundary)
    assert 400 <= answer.status_code < 500
    assert server.log.count("ERROR") == errors


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"5",
        b"{}",
        b'{"tool": 5}',
        b'{"tool": "task_list", "values": []}',
        b'{"tool": "task_list", "text": 5}',
        b'{"tool": "task_list", "cwd": "a\\u0000"}',
        b'{"tool": "task_list", "profile": {}}',
        b"\xff",
    ],
)
def test_an_odd_call_at_the_door_of_the_shell_is_a_problem_and_no_fault(server, body):
    errors = server.log.count("ERROR")
    key = {"Authorization": f"Bearer {server.keys['shell']}"}
    answer = server.client.post("/shell/call", content=body, headers=key)
    assert answer.status_code in (200, 400) and answer.json().keys() & {"problem", "result"}
    assert server.log.count("ERROR") == errors


def test_a_number_that_no_row_can_have_is_not_found(server):
    assert server.client.get(f"/files/default/{10**20}").status_code == 404


def test_a_tab_at_a_number_that_no_run_can_have_is_let_in(server):
    with server.socket(f"/default/hello/{'9' * 5000}"):
        pass


def test_a_list_that_missed_a_change_before_its_socket_opened_draws_itself_anew(server):
    drawn = server.page("/default/tasks")
    seen = re.search(r"seen=(\w+)", drawn)[1]
    server.call("task_add", title="Added while the socket was away")
    with server.socket("/default/tasks", seen=seen) as socket:
        assert 'id="again"' in socket.recv(timeout=5)


PAY = """
from pipulate import Pipeline

pay = Pipeline("Pay", "Says what was paid.")

@pay.step
def bills(n: int):
    return [{"bill": i, "euro": i * 10} for i in range(n)]
"""
LINK = re.compile(r'(href|src|hx-get)="(/[^"#]*)')


def test_every_link_of_every_page_leads_somewhere(tmp_path):
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "every.py").write_text(EVERY)
    (tmp_path / "apps" / "pay.py").write_text(PAY)
    (tmp_path / "apps" / "broken.py").write_text("from pipulate import Crud")
    with serving(tmp_path) as server:
        for row in ROWS:
            server.call("thing_add", **row)
        server.call("task_add", title="x")
        server.call("task_delete", id=1)
        server.call("pay_run", n=120)
        server.call("hello_run", name="Ada", mark="!", to_step="person")
        seen, todo, wrong = set(), [("href", "/default", "")], []
        while todo:
            kind, path, page = todo.pop()
            if path in seen or re.search(r"[?&](sort|cols)=|=.*=", path):
                continue
            seen.add(path)
            answer = server.client.get(path, follow_redirects=True)
            # what a part of a page asks for may need what its form holds
            if answer.status_code != 200 and (kind != "hx-get" or answer.status_code >= 500):
                wrong.append((answer.status_code, path, page))
            if "html" in answer.headers.get("content-type", ""):
                todo += [(k, html.unescape(at), path) for k, at in LINK.findall(answer.text)]
        assert wrong == [] and len(seen) > 150
        assert "ERROR" not in server.log


def test_a_change_that_finds_all_as_it_should_be_offers_no_undo_of_the_one_before(server):
    key = server.call("task_add", title="as it is")["id"]
    server.call("task_add", title="the one before")
    form = {"bulk.ids[]": str(key), "bulk.field": "done", "done": "false", "bulk.do": "set"}
    same = server.act("POST", "/default/tasks/bulk", form).text
    assert "Changed 1 task." in same and "undo/" not in same
    other = server.act("POST", "/default/tasks/bulk", form | {"done": "true"}).text
    assert "Changed 1 task." in other and "undo/" in other
