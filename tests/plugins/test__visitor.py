"""The visitor of web sites: robots.txt, one page a host at a time, and sites that say "later"."""

import asyncio
import functools
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipulate import Problem
from pipulate.core import fetch
from pipulate.core.fetch import Page
from pipulate.plugins import _visitor
from web_site import HTML, Site

TEXT = b"content-type: text/plain\r\n"


@pytest.fixture
def site(monkeypatch):
    """A server on this machine, let through by the test alone; *.test are names of it."""
    real = socket.getaddrinfo

    def look(name, port, *args, **options):
        there = "127.0.0.1" if name.endswith(".test") else name
        return real(there, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    with Site() as made:
        made.page("/robots.txt", status=b"404 Not Found")
        monkeypatch.setattr(
            _visitor, "fetch", functools.partial(fetch.fetch, allow=[made.at, "127.0.0.1:9"])
        )
        yield made


@pytest.fixture
def visit(site):
    """visit(*paths or addresses): statuses, or the reasons why not."""

    def visiting(*where, pause=0.01, at_once=8):
        urls = [w if ":" in w else f"http://a.test:{site.port}{w}" for w in where]

        async def all_of_them():
            visitor = _visitor.Visitor(pause, at_once)
            found = [visitor.followed(url, []) for url in urls]
            return await asyncio.gather(*found, return_exceptions=True)

        found = asyncio.run(all_of_them())
        return [f.status if isinstance(f, Page) else f.what for f in found]

    return visiting


def paths(site):
    return [said.split()[1].decode() for said in site.asked]


# -- robots.txt ------------------------------------------------------------------------------


def test_what_robots_txt_does_not_allow_is_not_asked_for(site, visit):
    rules = b"User-agent: *\nDisallow: /all\nUser-agent: pipulate\nDisallow: /private*.html\n"
    site.page("/robots.txt", rules, head=TEXT)
    site.page("/all"), site.page("/b")
    refused = "robots.txt does not allow it."
    assert visit("/all", "/private/x.html", "/b") == [200, refused, 200]
    assert paths(site) == ["/robots.txt", "/all", "/b"], "robots.txt once, and first"


def test_a_redirect_does_not_lead_around_robots_txt(site, visit):
    site.page("/robots.txt", b"User-agent: *\nDisallow: /private\n", head=TEXT)
    site.leads("/a", "/private")
    assert visit("/a") == ["robots.txt does not allow it."]
    assert "/private" not in paths(site)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (b"404 Not Found", 200),
        (b"403 Forbidden", 200),
        (b"500 Oops", "robots.txt answered 500: nothing may be read now."),
        (b"429 Slowly", "robots.txt answered 429: nothing may be read now."),
    ],
)
def test_no_robots_txt_allows_everything_and_a_broken_one_nothing(site, visit, status, said):
    site.page("/robots.txt", b"User-agent: *\nDisallow: /\n", status=status, head=TEXT)
    site.page("/a")
    assert visit("/a", "/a")[0] == said
    assert paths(site).count("/robots.txt") == 1


def test_given_a_site_that_is_not_there_then_it_is_tried_once_for_all_its_pages(visit):
    started = time.monotonic()
    (reason,) = {*visit(*(f"http://a.test:9/{n}" for n in range(50)))}
    assert reason.startswith("robots.txt could not be read: That address could not be read")
    assert time.monotonic() - started < 2


def test_given_a_site_that_breaks_down_then_it_is_left_alone_after_five_in_a_row(site, visit):
    site.page("/fine"), site.page("/image", head=b"content-type: image/png\r\n")
    found = visit("/fine", *["/image"] * 6, *["/dead"] * 8)
    assert found[0] == 200 and all("no text" in said for said in found[1:7])
    assert all("could not be read" in said for said in found[7:])
    assert paths(site).count("/dead") == 5


def test_given_a_site_that_has_too_many_and_says_not_until_when_then_it_is_left_alone(site, visit):
    site.page("/a", status=b"429 Slowly")
    found = visit(*["/a"] * 8)
    assert found == [429] * 5 + ["5 in a row were refused as too many (429)."] * 3
    assert paths(site).count("/a") == 5


# -- how fast --------------------------------------------------------------------------------


def test_pages_of_one_host_come_one_after_the_other_and_hosts_side_by_side(site, visit):
    for n in range(4):
        site.page(f"/{n}")
    urls = [f"http://{host}.test:{site.port}/{n}" for n in range(4) for host in "abcd"]
    started = time.monotonic()
    assert visit(*urls, pause=0.1) == [200] * 16
    assert 0.4 <= time.monotonic() - started < 1.2, "five requests to each, 0.1 s apart"


def test_no_more_hosts_than_said_are_asked_at_once(site, visit):
    site.page("/a")
    most, now, lock, answer = 0, 0, threading.Lock(), site.answer

    def counting(client):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        answer(client)

    site.answer = counting
    urls = [f"http://{host}.test:{site.port}/a" for host in "abcdef"]
    assert visit(*urls, at_once=2) == [200] * 6
    assert most == 2


def test_crawl_delay_is_honoured_up_to_a_limit(site, visit, monkeypatch):
    site.page("/robots.txt", b"User-agent: *\nCrawl-delay: 0.3\n", head=TEXT)
    site.page("/a")
    started = time.monotonic()
    assert visit("/a", "/a") == [200, 200]
    assert time.monotonic() - started >= 0.3
    monkeypatch.setattr(_visitor, "PATIENCE", 0.1)
    started = time.monotonic()
    visit("/a", "/a", "/a")
    assert 0.2 <= time.monotonic() - started < 0.6


# -- later -----------------------------------------------------------------------------------


def test_given_a_site_that_says_later_then_it_is_asked_again_when_it_said(site, visit):
    site.page("/a", status=b"429 Slowly", head=HTML + b"retry-after: 1\r\n")
    site.page("/b")
    timer = threading.Timer(0.6, site.page, ["/a", b"<title>now</title>"])
    timer.start()
    started = time.monotonic()
    assert visit("/a", "/b") == [200, 200]
    assert time.monotonic() - started >= 1 and paths(site)[1:] == ["/a", "/a", "/b"]
    timer.join()


def test_given_a_site_that_always_says_later_then_its_status_is_told_after_three_tries(site, visit):
    site.page("/a", status=b"503 Busy", head=HTML + b"retry-after: 0\r\n")
    assert visit("/a") == [503] and paths(site).count("/a") == 3


def test_given_a_site_that_says_much_later_then_none_of_its_pages_is_asked_for_now(site, visit):
    site.page("/a", status=b"429 Slowly", head=HTML + b"retry-after: 3600\r\n")
    site.page("/b")
    assert visit("/a", "/b") == ["The site asks to come back after 3,600 s."] * 2
    assert paths(site) == ["/robots.txt", "/a"]


@pytest.mark.parametrize(
    ("status", "said", "seconds"),
    [
        (429, "7", 7),
        (503, "0", 0.1),
        (429, "9" * 9_000, 999_999_999),
        (200, "7", 0),
        (429, "", 0),
        (429, "soon", 0),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", 0.1),
        (503, "Thu, 99 Jan 2026 00:00:00 GMT", 0),
        (503, "tomorrow", 86_400),
    ],
    ids=lambda v: str(v)[:30],
)
def test_seconds_or_a_date_say_how_much_later(status, said, seconds):
    if said == "tomorrow":
        said = format_datetime(datetime.now(UTC) + timedelta(days=1))
    page = Page("http://a.test/", status, {"retry-after": said}, "")
    assert _visitor.later(page) == pytest.approx(seconds, abs=60 if seconds > 80_000 else 0)


def test_a_circle_of_redirects_ends(site, visit):
    site.leads("/a", "/b")
    site.leads("/b", "/a")
    assert visit("/a") == ["It was redirected over 5 times."]


def test_a_redirect_into_this_machine_is_refused(site):
    with Site() as inside:
        site.leads("/a", f"http://{inside.at}/")
        visitor = _visitor.Visitor(0.01, 1)
        with pytest.raises(Problem, match="this machine"):
            asyncio.run(visitor.followed(f"http://a.test:{site.port}/a", []))
        assert inside.asked == []
