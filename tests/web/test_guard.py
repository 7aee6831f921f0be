"""Nobody but the person who started it comes in: pages, sockets, doors, sizes (T1–6, T15, T16)."""

import asyncio
import json
import stat
import subprocess
import time

import pytest

from pipulate.web import guard
from pipulate.web.guard import COOKIE_SECONDS, Guard, Keys
from serving import serving
from wire import chunked, knock, send

FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1",
    "127.0.0.1:{other}",
    "127.0.0.1.evil.example:{port}",
    "127.0.0.2:{port}",
    "0.0.0.0:{port}",
    "localhost.evil.example:{port}",
    "machine.local:{port}",
    "printer.internal:{port}",
    "192.168.1.10:{port}",
    "[::2]:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}, evil.example",
    "",
]
KINDS = [
    ("GET", "/default"),
    ("GET", "/static/htmx.min.js"),
    ("POST", "/default/tasks"),
    ("DELETE", "/default/tasks/1"),
    ("PATCH", "/default/tasks/1"),
    ("PUT", "/files/default?name=x.csv"),
    ("POST", "/shell/call"),
    ("POST", "/mcp"),
]
CHANGING = [(method, path) for method, path in KINDS if method != "GET"]
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
POLICY = [
    "default-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "object-src 'none'",
    "frame-ancestors 'none'",
]


def let_in(server, path="/default"):
    """The credential that belongs to an address."""
    doors = {"/mcp": server.keys["token"], "/shell": server.keys["shell"]}
    bearer = next((token for door, token in doors.items() if path.startswith(door)), "")
    return {"Authorization": f"Bearer {bearer}"} if bearer else {"Cookie": server.cookie}


def said(server, text, **more):
    return text.format(port=server.port, other=server.port + 1, **more)


# -- T1: a page whose name was rebound to this machine ---------------------------------------


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_gets_nothing_from_pages_files_changes_or_doors(server, host):
    for method, path in KINDS:
        headers = {"Host": said(server, host), **let_in(server, path)}
        answer = send(server.port, method, path, headers, b"x=1" if method != "GET" else b"")
        assert answer.status == 421, (method, path, answer)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_opens_no_socket_even_with_its_own_origin(server, host):
    name = said(server, host)
    for origin in (server.url, f"http://{name}"):
        assert knock(server.port, {"Host": name, "Origin": origin, **let_in(server)}) == 403


def test_two_host_headers_or_none_are_refused(server):
    own = f"127.0.0.1:{server.port}"
    assert send(server.port, "GET", "/default", {"Host": None, **let_in(server)}).status >= 400
    double = {"Host": own, "host": "evil.example", **let_in(server)}
    assert send(server.port, "GET", "/default", double).status >= 400


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}"])
def test_our_own_names_are_served(server, host):
    headers = {"Host": said(server, host), **let_in(server)}
    assert send(server.port, "GET", "/default", headers).status == 200


# -- T2, T3: another page, another port ------------------------------------------------------

FOREIGN_STARTS = {
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site is another port": {"Sec-Fetch-Site": "same-site"},
    "cross-site form": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "foreign origin": {"Origin": "http://evil.example"},
    "foreign origin that says same-origin": {
        "Origin": "http://evil.example",
        "Sec-Fetch-Site": "same-origin",
    },
    "null origin": {"Origin": "null"},
    "other port": {"Origin": "http://127.0.0.1:{other}"},
    "other scheme": {"Origin": "https://127.0.0.1:{port}"},
    "other name of ours": {"Origin": "http://localhost:{port}"},
    "prefix trick": {"Origin": "http://127.0.0.1:{port}.evil.example"},
    "suffix trick": {"Origin": "http://evil.example/127.0.0.1:{port}"},
    "empty origin": {"Origin": ""},
    "foreign referer alone": {"Referer": "http://evil.example/127.0.0.1:{port}"},
    "referer of another port": {"Referer": "http://127.0.0.1:{other}/default"},
    "referer prefix trick": {"Referer": "http://127.0.0.1:{port}.evil.example/"},
    "odd fetch site": {"Sec-Fetch-Site": "None-of-these"},
}


@pytest.mark.parametrize("start", FOREIGN_STARTS.values(), ids=FOREIGN_STARTS)
def test_nothing_another_page_starts_changes_anything(server, start):
    before = server.call("task_list")["count"], server.call("history")[:1]
    for method, path in CHANGING:
        headers = {k: said(server, v) for k, v in start.items()} | let_in(server, path)
        headers |= {"Content-Type": "text/plain"}
        answer = send(server.port, method, path, headers, b"title=planted")
        assert answer.status == 403, (method, path, answer)
    assert (server.call("task_list")["count"], server.call("history")[:1]) == before


@pytest.mark.parametrize(
    "start",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Referer": "http://127.0.0.1:{port}/default/tasks"},
        {"Sec-Fetch-Site": "none"},
        {},
    ],
    ids=["htmx", "old browser", "referer", "typed", "program with the cookie"],
)
def test_our_own_page_may_change_things(server, start):
    kind = {"Content-Type": "application/x-www-form-urlencoded", **let_in(server)}
    headers = {k: said(server, v) for k, v in start.items()} | kind
    answer = send(server.port, "POST", "/default/tasks", headers, b"title=ours&done=false")
    assert answer.status in (200, 303), answer


def test_a_foreign_page_cannot_embed_or_fetch_ours_but_a_link_to_it_works(server):
    for mode in ("no-cors", "cors"):
        fetched = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, **let_in(server)}
        assert send(server.port, "GET", "/default", fetched).status == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", **let_in(server)}
    assert send(server.port, "GET", "/default", link).status == 200
    bare = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert send(server.port, "GET", "/default", bare).status == 403


# -- T4: sockets -----------------------------------------------------------------------------

FOREIGN_ORIGINS = {
    "none": None,
    "foreign": "http://evil.example",
    "null": "null",
    "other port": "http://127.0.0.1:{other}",
    "prefix trick": "http://127.0.0.1:{port}.evil.example",
    "other scheme": "https://127.0.0.1:{port}",
    "other name of ours": "http://localhost:{port}",
    "with a path": "http://127.0.0.1:{port}/",
}


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS.values(), ids=FOREIGN_ORIGINS)
def test_a_socket_opens_for_our_own_origin_only(server, origin):
    own = {"Origin": origin and said(server, origin), **let_in(server)}
    assert knock(server.port, own) == 403


def test_a_socket_needs_the_cookie_too(server):
    assert knock(server.port, {"Origin": server.url}) == 403
    forged = f"pipulate_{server.port}=aaaa.bbbb.cccc"
    assert knock(server.port, {"Origin": server.url, "Cookie": forged}) == 403
    assert knock(server.port, {"Origin": server.url, **let_in(server)}) == 101


def test_no_other_address_opens_a_socket(server):
    own = {"Origin": server.url, **let_in(server)}
    for path in ("/", "/default", "/default/tasks", "/static/x", "/shell/call", "/ws/more"):
        assert knock(server.port, own, path) != 101, path


# -- T5: another user of this machine --------------------------------------------------------


@pytest.mark.parametrize("method, path", [*KINDS, ("GET", "/"), ("GET", "/nowhere/at/all")])
def test_without_a_credential_every_address_says_the_same(server, method, path):
    answer = send(server.port, method, path, {}, b"x=1" if method != "GET" else b"")
    expected = 401 if path.startswith(("/mcp", "/shell")) else 403
    assert answer.status == expected, answer
    if expected == 403:
        assert "pipulate open" in answer.text


BAD_COOKIES = {
    "empty": "",
    "garbage": "x",
    "unsigned": "abc.def.ghi",
    "changed": "!{cut}",
    "launch token": "{token}",
    "quotes": '"{good}"',
}


@pytest.mark.parametrize("value", BAD_COOKIES.values(), ids=BAD_COOKIES)
def test_a_cookie_that_we_did_not_sign_opens_nothing(server, value):
    good = server.cookie.partition("=")[2]
    value = value.format(good=good, cut=good[1:], token=server.info["url"].rpartition("=")[2])
    cookie = f"pipulate_{server.port}={value}"
    assert send(server.port, "GET", "/default", {"Cookie": cookie}).status == 403


def test_the_cookie_of_another_port_or_home_opens_nothing(server, tmp_path):
    value = server.cookie.partition("=")[2]
    wrong = {"Cookie": f"pipulate_{server.port + 1}={value}"}
    assert send(server.port, "GET", "/default", wrong).status == 403
    stranger = Keys(lambda name: "another home's secret").make_cookie()
    forged = {"Cookie": f"pipulate_{server.port}={stranger}"}
    assert send(server.port, "GET", "/default", forged).status == 403


def test_an_odd_cookie_of_another_local_program_does_not_lock_the_user_out(server):
    for odd in ('prefs={"a": [1, 2]}', "a=b=c", "=;;;", "x y z", "naïve=é"):
        both = f"{odd}; {server.cookie}".encode().decode("latin-1")
        assert send(server.port, "GET", "/default", {"Cookie": both}).status == 200, odd


@pytest.mark.parametrize("door", ["/mcp", "/mcp/", "/mcp/x", "/shell/call", "/shell/launch"])
def test_the_doors_of_programs_need_their_own_token(server, door):
    other = server.keys["shell" if door.startswith("/mcp") else "token"]
    wrong = ["", "Bearer", "Bearer ", f"Bearer {other}", "Basic eDp5", f"Bearer {other[:-1]}é"]
    for given in wrong:
        headers = {"Authorization": given, "Cookie": server.cookie}
        assert send(server.port, "POST", door, headers, b"{}").status == 401, given


def test_a_bearer_token_does_not_open_the_pages(server):
    for key in ("token", "shell"):
        bearer = {"Authorization": f"Bearer {server.keys[key]}"}
        assert send(server.port, "GET", "/default", bearer).status == 403


def fresh_token(server):
    return json.loads(send(server.port, "POST", "/shell/launch", let_in(server, "/shell")).text)[
        "token"
    ]


def test_the_launch_address_works_once_and_sets_a_strict_cookie(server):
    token = fresh_token(server)
    first = send(server.port, "GET", f"/?token={token}")
    assert first.status == 200
    name, *flags = first.headers["set-cookie"].split("; ")
    assert name.startswith(f"pipulate_{server.port}=") and token not in name
    assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={COOKIE_SECONDS}"} == set(flags)
    assert send(server.port, "GET", "/default", {"Cookie": name}).status == 200
    again = send(server.port, "GET", f"/?token={token}")
    assert again.status == 403 and "set-cookie" not in again.headers


@pytest.mark.parametrize(
    "query", ["", "x", "%C3%A9", "%00", "x&token=y", "x" * 4000, "%F0%9F%98%80"]
)
def test_a_wrong_launch_token_is_refused_with_a_sentence(server, query):
    fresh_token(server)
    answer = send(server.port, "GET", f"/?token={query}")
    assert answer.status == 403 and "pipulate open" in answer.text
    assert answer.headers.items() >= HEADERS.items()


def test_a_click_after_the_cookie_is_gone_says_so_in_the_corner_of_its_page(server):
    own = {"Origin": server.url, "HX-Request": "true"}
    answer = send(server.port, "POST", "/default/tasks", own, b"title=x")
    assert answer.status == 403 and "pipulate open" in answer.text
    assert answer.headers["hx-retarget"] == "#notices" and 'class="notice"' in answer.text


def test_the_launch_token_is_taken_only_by_get_at_the_root_and_from_no_foreign_page(server):
    token = fresh_token(server)
    assert send(server.port, "HEAD", f"/?token={token}").status == 403
    assert send(server.port, "POST", f"/?token={token}").status == 403
    assert send(server.port, "GET", f"/default?token={token}").status == 403
    assert send(server.port, "GET", f"/?token={token}", {"Host": "evil.example"}).status == 421
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert send(server.port, "GET", f"/?token={token}", foreign).status == 403
    assert send(server.port, "GET", f"/?token={token}").status == 200


def test_a_launch_token_lives_five_minutes_and_a_cookie_thirty_days(monkeypatch):
    keys, clock = Keys(lambda name: name), time.monotonic()
    tokens = keys.launch_token(), keys.launch_token()
    monkeypatch.setattr(guard.time, "monotonic", lambda: clock + 299)
    assert keys.use_launch_token(tokens[0])
    monkeypatch.setattr(guard.time, "monotonic", lambda: clock + 301)
    assert not keys.use_launch_token(tokens[1])
    cookie, today = keys.make_cookie(), time.time()
    monkeypatch.setattr(time, "time", lambda: today + 29 * 86_400)
    assert keys.cookie_is_good(cookie)
    monkeypatch.setattr(time, "time", lambda: today + 31 * 86_400)
    assert not keys.cookie_is_good(cookie)


def test_the_launch_token_is_in_no_log_page_or_process_list(server):
    token = fresh_token(server)
    send(server.port, "GET", f"/?token={token}")
    used = server.info["url"].rpartition("=")[2]
    everything = server.log + server.page("/default") + server.page("/default/settings")
    listed = ["ps", "-o", "args=", "-p", str(server.process.pid)]
    everything += subprocess.run(listed, capture_output=True, text=True).stdout
    assert token not in everything and used not in everything


def test_the_cookie_survives_a_restart(tmp_path):
    with serving(tmp_path / "home") as first:
        value = first.cookie.partition("=")[2]
    with serving(tmp_path / "home") as second:
        cookie = {"Cookie": f"pipulate_{second.port}={value}"}
        assert send(second.port, "GET", "/default", cookie).status == 200
        assert second.keys["token"] == first.info.get("token", second.keys["token"])


# -- T6: files and the port ------------------------------------------------------------------


def test_everything_in_the_home_is_for_its_owner_alone(server):
    server.call("task_add", title="private")
    put = server.client.put("/files/default?name=a.csv", content=b"a,b\n")
    assert put.status_code == 200
    loose = [
        str(path)
        for path in [server.home, *server.home.rglob("*")]
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert not loose


def test_the_server_listens_on_loopback_only(server):
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    mine = [row[1] for row in rows if row[1].endswith(f":{server.port:04X}") and row[3] == "0A"]
    assert mine == [f"0100007F:{server.port:04X}"]


# -- T15: rude clients -----------------------------------------------------------------------

BIG = b"title=" + b"x" * 1_000_001
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("path", ["/default/tasks", "/shell/call", "/mcp"])
def test_a_body_over_a_megabyte_is_refused_by_its_length_alone(server, path):
    headers = {"Content-Length": str(len(BIG)), "Content-Type": FORM, **let_in(server, path)}
    answer = send(server.port, "POST", path, headers, [b"title="])
    assert answer.status == 413 and "1,000,000 bytes" in answer.text


@pytest.mark.parametrize("path", ["/default/tasks", "/shell/call", "/mcp", "/default/call/undo"])
@pytest.mark.parametrize("kind", [FORM, "application/json", "multipart/form-data; boundary=x"])
def test_a_body_without_a_length_is_counted_and_cut(server, path, kind):
    count = server.call("task_list")["count"]
    headers = {"Transfer-Encoding": "chunked", "Content-Type": kind, **let_in(server, path)}
    headers |= {"Accept": "application/json, text/event-stream"}
    start = (
        b'--x\r\ncontent-disposition: form-data; name="title"\r\n\r\n' if "multi" in kind else b""
    )
    pieces = [start, *(BIG[at : at + 65_536] for at in range(0, len(BIG), 65_536))]
    answer = send(server.port, "POST", path, headers, chunked(filter(None, pieces)))
    unread = kind == "application/json" and path.startswith("/default")  # nobody asks for it
    assert answer.status == (422 if unread else 413), answer
    assert server.call("task_list")["count"] == count


def test_a_length_that_is_a_lie_brings_in_nothing_more(server):
    headers = {"Content-Length": "8", "Content-Type": FORM, **let_in(server)}
    answer = send(server.port, "POST", "/default/tasks", headers, [b"title=ab" + BIG])
    assert answer.status in (200, 303, 400, 413)
    assert not [r for r in server.call("task_list")["rows"] if len(r["title"]) > 10]


@pytest.mark.parametrize("length", ["-1", "1e9", "0x10", " ", "٣", "9" * 5000])
def test_an_odd_length_is_an_error_without_a_trace(server, length):
    headers = {"Content-Length": length.encode().decode("latin-1"), **let_in(server)}
    answer = send(server.port, "POST", "/default/tasks", headers)
    assert 400 <= answer.status < 500 and "Traceback" not in answer.text


def test_an_upload_may_be_larger_and_comes_back_whole(server):
    content = b"a,b\n" + b"1,2\n" * 500_000
    answer = server.client.put("/files/default?name=big.csv", content=content)
    assert answer.status_code == 200, answer.text
    back = server.client.get(f"/files/default/{answer.text.removeprefix('file:')}")
    assert back.content == content
    assert "attachment" in back.headers["content-disposition"]


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("path", ["/shell/call", "/mcp", "/default/tasks"])
def test_a_body_nested_without_end_is_refused_and_not_a_fault(server, path):
    faults = server.log.count("ERROR")
    kinds = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    answer = send(server.port, "POST", path, {**kinds, **let_in(server, path)}, DEEP.encode())
    assert 400 <= answer.status < 500, answer
    assert server.log.count("ERROR") == faults


def test_the_server_still_answers_after_all_that(server):
    assert "Tasks" in server.page("/default")


# -- T16 and the header list -----------------------------------------------------------------

ANSWERS = {
    "page": ("GET", "/default"),
    "part": ("GET", "/default/tasks"),
    "asset": ("GET", "/static/htmx.min.js"),
    "lost asset": ("GET", "/static/none.js"),
    "lost page": ("GET", "/nobody/nothing"),
    "lost app": ("GET", "/default/nothing"),
    "wrong method": ("PUT", "/default/history"),
    "unknown method": ("PROPFIND", "/default"),
    "options": ("OPTIONS", "/default"),
    "head": ("HEAD", "/default"),
    "redirect": ("GET", "/"),
    "refused form": ("POST", "/default/tasks"),
    "door": ("POST", "/shell/call"),
    "mcp": ("POST", "/mcp"),
}


@pytest.mark.parametrize("method, path", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("inside", [True, False], ids=["let in", "refused"])
def test_every_answer_carries_the_whole_list_of_headers(server, method, path, inside):
    answer = send(server.port, method, path, let_in(server, path) if inside else {})
    assert answer.headers.items() >= HEADERS.items()
    policy = answer.headers["content-security-policy"]
    assert [rule for rule in POLICY if rule not in policy] == []
    assert "unsafe-eval" not in policy and "script-src 'self' 'nonce-" in policy
    lasting = path.startswith("/static/") and answer.status == 200
    assert answer.headers["cache-control"] == (
        "max-age=31536000, immutable" if lasting else "no-store"
    )
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "server" not in answer.headers


def test_a_download_carries_the_headers_too(server):
    key = server.client.put("/files/default?name=x.html", content=b"<script>1</script>").text
    answer = send(server.port, "GET", f"/files/default/{key[5:]}", let_in(server))
    assert answer.status == 200 and answer.headers.items() >= HEADERS.items()
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["cache-control"] == "no-store"


def test_the_nonce_is_another_one_every_time_and_the_page_uses_it(server):
    answers = [send(server.port, "GET", "/default", let_in(server)) for _ in range(2)]
    nonces = [
        a.headers["content-security-policy"].split("nonce-")[1].split("'")[0] for a in answers
    ]
    assert nonces[0] != nonces[1]
    for answer, nonce in zip(answers, nonces, strict=True):
        assert answer.text.count(f'nonce="{nonce}"') == answer.text.count("nonce=") > 0


def test_a_fault_behind_the_guard_shows_a_reference_and_never_its_text(run, caplog):
    async def app(scope, receive, send):
        raise RuntimeError("the secret is 4711")

    keys = Keys(lambda name: name)
    own = [
        (b"host", b"127.0.0.1:5001"),
        (b"cookie", f"pipulate_5001={keys.make_cookie()}".encode()),
    ]
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": own}
    sent = []

    async def out(message):
        sent.append(message)

    run(Guard(app, keys, 5001, lambda method, path: None)(scope, None, out))
    assert sent[0]["status"] == 500 and b"x-content-type-options" in dict(sent[0]["headers"])
    assert b"reference" in sent[1]["body"] and b"4711" not in sent[1]["body"]
    assert "the secret is 4711" in caplog.text


# -- paths -----------------------------------------------------------------------------------

OUT = [
    "/..%2f..%2f..%2fetc%2fpasswd",
    "/../../../etc/passwd",
    "/static/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/static/../guard.py",
    "/static/..%5c..%5cguard.py",
    "/static/%2e%2e/guard.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/..%00/guard.py",
    "/static/....//guard.py",
    "/files/default/..%2f..%2fserver.json",
    "/files/default/1%2f..%2f..%2fmcp.key",
    "/files/default/%2e%2e%2fmcp.key",
    "/files/..%2f..%2f/1",
    "/default/..%2fserver.json",
    "/default/plugin/..%2f..%2fserver.json",
    "//evil.example/..%2f",
    "/default/approvals/..%2f..%2fmcp.key",
]


@pytest.mark.parametrize("path", OUT)
def test_no_path_leads_out_of_what_is_served(server, path):
    answer = send(server.port, "GET", path, let_in(server))
    assert answer.status in (400, 404), answer
    secrets = [server.keys["token"], server.keys["shell"], "root:", "class Guard"]
    assert not [secret for secret in secrets if secret in answer.text]
    assert "evil" not in answer.headers.get("location", "")


@pytest.mark.parametrize("name", ["../../x.csv", "..\\..\\x.csv", "/etc/x", "a\0b", ".", "..", ""])
def test_an_upload_never_leaves_its_folder(server, name):
    answer = server.client.put("/files/default", params={"name": name}, content=b"1")
    assert answer.status_code < 500
    assert not [p for p in server.home.rglob("x*") if "uploads" not in p.parts]


@pytest.mark.parametrize(
    "referer", ["http://[", "http://127.0.0.1:{port}.evil/", "http://127.0.0.1:{port}@evil/"]
)
def test_a_malformed_or_lookalike_referer_is_refused_and_no_fault(server, referer):
    headers = {"Referer": said(server, referer), **let_in(server)}
    assert send(server.port, "POST", "/default/tasks", headers, b"title=x").status == 403


@pytest.mark.parametrize(
    ("path", "own", "sent"),
    [
        ("/default", "", "no-store"),
        ("/default", "no-cache, no-transform", "no-cache, no-transform, no-store"),
        ("/default", "public, max-age=60", "public, max-age=60, no-store"),
        ("/default", "no-store, no-transform", "no-store, no-transform"),
        ("/static/a.js", "max-age=60", "max-age=60"),
    ],
)
def test_an_answer_that_speaks_of_caching_does_not_send_the_header_twice(path, own, sent):
    async def app(scope, receive, send):
        headers = [(b"cache-control", own.encode())] if own else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def hear(message):
        sent_headers.extend(message["headers"])

    keys, sent_headers = Keys(lambda name: name), []
    cookie = f"pipulate_80={keys.make_cookie()}".encode()
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}
    scope["headers"] = [(b"host", b"localhost"), (b"cookie", cookie)]
    asyncio.run(Guard(app, keys, 80, lambda *_: None)(scope, None, hear))
    assert [said.decode() for name, said in sent_headers if name == b"cache-control"] == [sent]
