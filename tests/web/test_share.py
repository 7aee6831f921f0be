"""A graph for the web app of somebody else: by a click, to its pages alone, for a while."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from pipulate.web import share
from pipulate.web.guard import Guard, Keys
from pipulate.web.share import SITES
from wire import send

EDGES = "source,target,count\n/a,/b,1\n" + "/b,/c,2\n" * 400
NODES = 'page,depth,page_type,pagerank\n/a,0,home,0.5\n"/b,c",1,article,0.25\n'
THEIRS = {"Origin": SITES[0], "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.fixture(scope="module")
def numbers(server):
    """The form of the page that asks: the numbers of the two files."""
    put = {name: server.client.put(f"/files/default?name={name}.csv", content=text)
           for name, text in (("edges", EDGES), ("nodes", NODES))}  # fmt: skip
    return {name: said.text.removeprefix("file:") for name, said in put.items()}


@pytest.fixture
def shared(server, numbers):
    """(the address of the web app, the paths of the links and of the pages) after the click."""
    page = server.act("POST", "/default/share", numbers).text
    link = re.search(r'href="(https[^"]+)"', page)[1].replace("&amp;", "&")
    asked = {name: value for name, (value,) in parse_qs(urlsplit(link).query).items()}
    yield link, urlsplit(asked["data"]).path, urlsplit(asked["meta"]).path
    server.act("POST", "/default/share", {"stop": "1"})


def test_nothing_is_shared_before_the_click_and_the_page_says_whose_site_it_is(server, numbers):
    page = server.act("GET", "/default/share?edges={edges}&nodes={nodes}".format(**numbers)).text
    assert "web app of somebody else" in page and "Nothing was sent so far" in page
    assert "edges.csv (" in page and "nodes.csv (" in page
    assert "/share/" not in page and SITES[0] not in page


def test_the_link_names_the_two_files_as_that_site_wants_them(shared):
    link, edges, nodes = shared
    said = parse_qs(urlsplit(link).query)
    assert link.startswith(f"{SITES[0]}/run/?")
    assert (said["source"], said["target"]) == (["source"], ["target"])
    assert (said["nodeColor"], said["nodeSize"]) == (["page_type"], ["pagerank"])
    for path in (edges, nodes):
        assert re.fullmatch(r"/share/[\w-]{43}", path)
    assert edges != nodes


@pytest.mark.parametrize("origin", SITES)
def test_its_pages_read_the_files_without_the_cookie_whole_and_not_packed(server, shared, origin):
    asks = THEIRS | {"Origin": origin, "Accept-Encoding": "gzip"}
    edges, nodes = (send(server.port, "GET", path, asks) for path in shared[1:])
    assert edges.text == EDGES and nodes.text == NODES.replace("page,", "id,", 1)
    assert nodes.headers["content-length"] == str(len(nodes.text.encode()))
    assert edges.headers["content-encoding"] == "identity"
    assert edges.headers["access-control-allow-origin"] == origin
    assert edges.headers["access-control-expose-headers"] == "content-length"
    assert edges.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Origin": "https://evil.example"}),
        ("GET", {"Origin": f"{SITES[0]}.evil.example"}),
        ("GET", {"Origin": SITES[0].replace("https", "http")}),
        ("GET", {"Origin": "null"}),
        ("GET", {"Origin": None}),
        ("GET", {"Host": "evil.example"}),
        ("HEAD", {}),
        ("OPTIONS", {}),
        ("POST", {}),
    ],
)
def test_nobody_else_and_nothing_but_reading_is_let_in(server, shared, method, headers):
    answer = send(server.port, method, shared[1], THEIRS | headers)
    assert answer.status in (403, 421) and "/b,/c" not in answer.text
    assert "access-control-allow-origin" not in answer.headers


def test_the_share_lets_its_site_into_nothing_else(server, shared):
    for path in ("/default", "/files/default/1", "/share/x", shared[1] + "/", shared[1][:-1]):
        assert send(server.port, "GET", path, THEIRS).status == 403, path


def test_the_user_reads_it_too_but_no_other_origin_is_named(server, shared):
    own = {"Cookie": server.cookie, "Origin": "https://evil.example"}
    answer = send(server.port, "GET", shared[1], own)
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers


def test_taken_back_or_replaced_it_is_gone(server, numbers, shared):
    server.act("POST", "/default/share", numbers)
    assert send(server.port, "GET", shared[1], THEIRS).status == 403
    said = server.act("POST", "/default/share", {"stop": "1"}).text
    assert "Nothing is shared any more" in said
    assert server.client.get(shared[1]).status_code == 404


def test_after_its_time_it_is_gone_for_everybody(tmp_path, settings, monkeypatch, run):
    (tmp_path / "edges.csv").write_text(EDGES)
    monkeypatch.setattr(share, "SECONDS", -1)
    settings.make_home()
    keys, came = Keys(settings.secret), []
    path = keys.shares.add(tmp_path / "edges.csv", "source")

    async def behind(scope, receive, send):
        came.append(scope)

    async def sent(message):
        pass

    guard = Guard(behind, keys, 5001, lambda method, path: None)
    headers = [(b"host", b"127.0.0.1:5001"), (b"origin", SITES[0].encode())]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    run(guard(scope | {"query_string": b""}, None, sent))
    assert came == []

    class Request:
        url, headers = type("Url", (), {"path": path}), {}

    assert run(keys.shares.answer(Request)).status_code == 404


def test_a_table_of_any_kind_does_no_harm(server):
    odd = [b"\xff\xfe\n\x00", b"one\ntwo\n", b"x" * 100_000]
    put = [server.client.put("/files/default?name=a.csv", content=text).text for text in odd]
    for said, text in zip(put, odd, strict=True):
        number = said.removeprefix("file:")
        page = server.act("POST", "/default/share", {"edges": number, "nodes": number})
        path = re.search(r"%2Fshare%2F([\w-]{43})", page.text)[1]
        answer = server.client.get(f"/share/{path}", headers={"Origin": SITES[0]})
        assert answer.status_code == 200 and len(answer.content) <= len(text) + 6
    server.act("POST", "/default/share", {"stop": "1"})


def test_only_tables_of_the_profile_are_shared_and_it_stands_in_the_history(
    server, numbers, shared
):
    text = server.client.put("/files/default?name=notes.txt", content="x").text
    wrong = {"edges": text.removeprefix("file:"), "nodes": numbers["nodes"]}
    assert "is no CSV" in server.act("POST", "/default/share", wrong).text
    for number in ("999999", "x", "-1", "9" * 40, ""):
        said = server.act("POST", "/default/share", {"edges": number, "nodes": numbers["nodes"]})
        assert said.status_code == 404, number
    assert "Shared a graph with Cosmograph" in server.page("/default/history")
