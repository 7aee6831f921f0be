"""Reading web addresses: only the open internet, at the address that was checked, within limits.

Names are given to the local server by a stand-in for the system's resolver; the server, the
connections and what they carry are real.
"""

import gzip
import socket
import threading
import time

import pytest

from pipulate.core.fetch import Page, fetch, is_public
from pipulate.core.problems import Problem, Refused
from web_site import HTML, Site

INSIDE = """127.0.0.1 127.9.9.9 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1
    192.0.2.1 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1
    ::ffff:8.8.8.8 ::127.0.0.1 fe80::1 fe80::1%eth0 fc00::1 fd00::1 fec0::1 ff02::1 2001:db8::1
    2002:7f00:1::1 2001:0:1::1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 100::1"""


@pytest.fixture
def site():
    with Site() as made:
        yield made


@pytest.fixture
def names(monkeypatch):
    """names[name] = [address, …]: what the resolver says; `names.asked` are the names it was asked.

    A list of lists is given out one after the other, as a name that is rebound would be."""

    class Names(dict):
        asked = []

    known, real = Names(), socket.getaddrinfo

    def look(name, port, *args, **options):
        if name not in known:
            return real(name, port, *args, **options)
        known.asked.append(name)
        found = known[name]
        found = found.pop(0) if isinstance(found[0], list) else found
        return [(None, None, None, "", (ip, port)) for ip in found]

    known.asked = []
    monkeypatch.setattr(socket, "getaddrinfo", look)
    return known


@pytest.fixture
def read(site):
    """read(path or address): the page, with the local server let through."""

    def reading(where, **options):
        address = where if "://" in where else f"http://{site.at}{where}"
        return fetch(address, allow=[site.at], **options)

    return reading


# -- where it does not go --------------------------------------------------------------------------


@pytest.mark.parametrize("ip", INSIDE.split())
def test_no_address_of_this_machine_or_a_private_net_is_public(ip):
    assert not is_public(ip)


@pytest.mark.parametrize("ip", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_open_internet_are_public(ip):
    assert is_public(ip)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0", "[::1]", "0.0.0.0"]
)
def test_every_way_to_write_this_machine_is_refused(site, host):
    with pytest.raises((Refused, Problem), match=r"this machine|no site"):
        fetch(f"http://{host}:{site.port}/")
    assert site.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://example.test/",
        "gopher://example.test/",
        "//example.test/",
        "example.test",
        "http:///etc",
        "http://ann:secret@example.test/",
        "javascript:alert(1)",
        "",
    ],
)
def test_only_plain_http_addresses_without_credentials_are_read(names, address):
    names["example.test"] = ["8.8.8.8"]
    with pytest.raises(Problem) as caught:
        fetch(address)
    assert "secret" not in str(caught.value) and names.asked == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(names):
    names["mixed.test"] = ["8.8.8.8", "192.168.0.1"]
    with pytest.raises(Refused, match=r"192\.168\.0\.1"):
        fetch("http://mixed.test/")


def test_a_name_that_is_rebound_is_looked_up_once_and_connected_where_it_was_checked(
    site, names, monkeypatch
):
    monkeypatch.setattr("pipulate.core.fetch.is_public", lambda ip: ip == "127.0.0.1")
    names["rebound.test"] = [["127.0.0.1"], ["10.9.9.9"]]
    site.page("/", b"<title>first</title>")
    assert fetch(f"http://rebound.test:{site.port}/").title == "first"
    assert names.asked == ["rebound.test"]


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://inside.test/",
        "//[::1]:1/",
        "file:///etc/passwd",
        "http://ann:secret@127.0.0.1/",
    ],
)
def test_a_redirect_is_checked_as_the_first_address_was(site, read, names, to):
    names["inside.test"] = ["10.0.0.1"]
    site.leads("/", to)
    with pytest.raises(Refused):
        read("/")
    assert len(site.asked) == 1


def test_another_port_of_an_allowed_machine_stays_closed(site, read):
    with Closed() as other, pytest.raises(Refused):
        read(f"http://127.0.0.1:{other}/")


class Closed:
    """A port that fails the test when anybody connects to it: the program's own, for one."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        return self.socket.getsockname()[1]

    def __exit__(self, *error):
        with pytest.raises(BlockingIOError):
            self.socket.accept()
        self.socket.close()


# -- what it says ----------------------------------------------------------------------------------


def test_the_name_is_kept_in_host_and_nothing_personal_is_sent(site, names, monkeypatch):
    monkeypatch.setattr("pipulate.core.fetch.is_public", lambda ip: True)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    names["named.test"] = ["127.0.0.1"]
    site.page("/a?b=1", head=HTML + b"set-cookie: one=1\r\n")
    for _ in range(2):
        fetch(f"http://named.test:{site.port}/a?b=1#c")
    first, second = (said.decode().lower() for said in site.asked)
    assert f"host: named.test:{site.port}\r\n" in first and first == second
    assert not any(word in second for word in ("cookie", "authorization", "referer", "127.0.0.1"))


def test_the_name_is_kept_in_the_handshake_and_its_certificate_is_asked_for(
    site, names, monkeypatch
):
    monkeypatch.setattr("pipulate.core.fetch.is_public", lambda ip: True)
    names["secure.test"] = ["127.0.0.1"]
    with pytest.raises(Problem, match="could not be read"):
        fetch(f"https://secure.test:{site.port}/")
    assert b"secure.test" in site.asked[0] and site.asked[0][0] == 0x16  # a TLS client hello


def test_the_next_address_of_a_name_is_asked_when_one_does_not_answer(site, names, monkeypatch):
    monkeypatch.setattr("pipulate.core.fetch.is_public", lambda ip: True)
    names["two.test"] = ["127.0.0.2", "127.0.0.1"]  # nobody listens on the first
    site.page("/", b"here")
    assert fetch(f"http://two.test:{site.port}/").text == "here"


# -- limits ----------------------------------------------------------------------------------------


def test_a_page_is_cut_at_the_limit_and_says_so(site, read):
    site.page("/", b"x" * 5000)
    page = read("/", limit=1000)
    assert (len(page.text), page.complete) == (1000, False)
    assert read("/").complete


def test_a_bomb_is_unpacked_no_further_than_the_limit(site, read):
    site.page("/", gzip.compress(bytes(300_000_000)), HTML + b"content-encoding: gzip\r\n")
    page = read("/")
    assert (len(page.text), page.complete) == (2_000_000, False)


@pytest.mark.parametrize("head", ["application/gzip", "application/x-gzip"])
def test_a_packed_sitemap_is_read_although_its_server_calls_it_a_file(site, read, head):
    site.page("/map.xml.gz", gzip.compress(b"<urlset/>"), f"content-type: {head}\r\n".encode())
    assert read("/map.xml.gz").text == "<urlset/>"


def test_a_bomb_in_a_bomb_is_not_unpacked_at_all(site, read):
    twice = gzip.compress(gzip.compress(bytes(1_000_000)))
    site.page("/", twice, HTML + b"content-encoding: gzip, gzip\r\n")
    with pytest.raises(Problem, match="packed"):
        read("/")


def test_a_body_that_drips_ends_with_the_time(site, read):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\n"
    site.answers["/"] = [head, b"a", b""]
    started = time.monotonic()
    with pytest.raises(Problem, match=r"over 0\.3 s"):
        read("/", seconds=0.3)
    assert time.monotonic() - started < 2


def test_a_resolver_that_hangs_ends_with_the_time(monkeypatch):
    woken = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: woken.wait(5))
    with pytest.raises(Problem, match=r"over 0\.2 s"):
        fetch("http://slow.test/", seconds=0.2)
    woken.set()


@pytest.mark.parametrize(("hops", "fine"), [(5, True), (6, False)])
def test_five_redirects_are_followed_and_no_more(site, read, hops, fine):
    for n in range(hops):
        site.leads(f"/{n}", f"/{n + 1}")
    site.page(f"/{hops}", b"<title>there</title>")
    if fine:
        assert read("/0").title == "there" and read("/0").url.endswith("/5")
    else:
        with pytest.raises(Problem, match="redirected over 5 times"):
            read("/0")


def test_a_redirect_that_is_not_followed_is_a_page_that_says_where_it_leads(site, read):
    site.leads("/old", "new?a=1#b")
    page = read("/old", follow=False)
    assert (page.status, page.leads_to) == (302, f"http://{site.at}/new?a=1#b")
    assert (page.url, page.text, len(site.asked)) == (f"http://{site.at}/old", "", 1)


def test_a_page_is_read_from_within_async_code_too(run, site, read):
    site.page("/", b"Hello")

    async def step():
        return read("/").text

    assert run(step()) == "Hello"


def test_what_is_sent_is_json_by_post_to_a_public_address_and_follows_no_redirect(site, read):
    site.page("/hook", b"thanks", status=b"201 Created")
    assert read("/hook", data={"n": [1, None]}).status == 201
    head = site.asked[0].split(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post /hook ") and b"content-type: application/json" in head
    assert b"content-length: 16" in head
    site.leads("/old", "/hook")
    assert read("/old", data=1).leads_to.endswith("/hook") and len(site.asked) == 2
    with pytest.raises(Refused):
        fetch(f"http://{site.at}/hook", data={})


def test_a_redirect_to_what_is_no_address_is_a_problem_also_when_it_is_not_followed(site, read):
    site.leads("/old", "http://a:x/")
    with pytest.raises(Problem, match="no web address"):
        read("/old", follow=False)


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "application/octet-stream"])
def test_what_is_no_text_is_not_read_but_its_status_is_known(site, read, kind):
    site.page("/", b"\x89PNG", f"content-type: {kind}\r\n".encode(), status=b"404 Not Found")
    with pytest.raises(Problem, match="no text") as caught:
        read("/")
    assert caught.value.details == {"status": 404}


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000]
)
def test_a_server_that_answers_wrongly_is_a_problem(site, read, answer):
    site.answers["/"] = [answer] if answer else []
    with pytest.raises(Problem, match="could not be read"):
        read("/")


def test_a_page_that_is_not_there_is_a_page_with_its_status(site, read):
    site.page("/", b"gone", status=b"404 Not Found")
    assert (read("/").status, read("/").text) == (404, "gone")


# -- text and title --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"content-type: text/html; charset=latin1\r\n", "é".encode("latin1")),
        (HTML, b'<meta charset="shift_jis">' + "日".encode("shift_jis")),
        (b"content-type: text/html; charset=latin1\r\n", b"\xef\xbb\xbf" + "é".encode()),
        (HTML, "é".encode()),
        (HTML, "é".encode("cp1252")),
        (b"content-type: text/html; charset=unicode_escape\r\n", "é".encode()),
        (b"content-type: text/html; charset=punycode\r\n", "é".encode()),
        (b"", "é".encode("utf-16")),
    ],
    ids=["header", "meta", "mark", "utf-8", "windows", "escape", "punycode", "utf-16"],
)
def test_text_is_decoded_by_mark_header_meta_or_guess(site, read, head, body):
    site.page("/", body, head)
    assert read("/").text[-1] in "é日"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("<title>Plain</title>", "Plain"),
        ("<TITLE lang=en>\n Two\n lines &amp; more\0</TITLE>", "Two lines & more"),
        ("<!-- <title>no</title> --><script>'<title>no'</script><title>yes</title>", "yes"),
        ("<svg><title>Icon</title></svg><title>Page</title>", "Page"),
        ("<title>a < b</title>", "a < b"),
        ("<h1>None</h1>", ""),
    ],
)
def test_the_title_of_a_page(text, title):
    assert Page("", 200, {}, text).title == title


@pytest.mark.parametrize("part", ["<!--", "<title>", "<title ", "<script>", "<a '", "</", "<![C"])
def test_a_hostile_page_has_its_title_looked_for_in_a_moment(part):
    started = time.process_time()
    assert len(Page("", 200, {}, part * 300_000).title) <= 2000
    assert time.process_time() - started < 1
