"""The first load: bytes over the wire, compressed, of the page and all it names on this server."""

from __future__ import annotations

import gzip
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from bench.figures import Figure
from bench.servers import Server, baseline, baseline_file, ours

FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Named(HTMLParser):
    """Collects the addresses a page makes a browser fetch, those in its own style included."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = in_style(text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""))
        if address and not address.startswith("data:") and dict(attrs).get("rel") != "canonical":
            self.found.append(address)


def in_style(text: str) -> list[str]:
    """What url(…) and @import name."""
    named = re.findall(r"""(?:url\(|@import\s)\s*["']?([^"')\s]+)""", text)
    return [address for address in named if not address.startswith(("data:", "#"))]


def plain(server: Server, body: bytes) -> str:
    packed = server.answer.headers.get("content-encoding") == "gzip"
    return (gzip.decompress(body) if packed else body).decode(errors="replace")


def first_load(server: Server) -> dict[str, float]:
    """kB (1,000 bytes) over the wire, number of requests here and elsewhere."""
    body = server.visit()
    size, waiting = len(body), Named(plain(server, body)).found
    seen, remote = set(), set()
    while waiting:
        address = urljoin(server.url + "/", waiting.pop())
        if not address.startswith(server.url):
            remote.add(address)
        elif address not in seen:
            seen.add(address)
            parts = urlsplit(address)
            body = server.visit(f"{parts.path}?{parts.query}")
            size += len(body)
            if parts.path.endswith(".css"):
                waiting += [urljoin(address, each) for each in in_style(plain(server, body))]
    return {"kB": size / 1000, "here": len(seen) + 1, "remote": len(remote)}


def run(rounds: int) -> list[Figure]:
    """Once: bytes do not vary. What the baseline fetches elsewhere is counted, not fetched."""
    with tempfile.TemporaryDirectory() as name:
        with ours(Path(name) / "home") as server:
            mine = first_load(server)
        base: dict[str, float] = {}
        if baseline_file("fasthtml_todo.py"):
            with baseline("fasthtml_todo.py", Path(name)) as server:
                base = first_load(server)
    return [
        Figure("first load, compressed", "kB", mine["kB"], base.get("kB"), 60, 150),
        Figure("first load, requests here", "", mine["here"], base.get("here")),
        Figure("first load, requests elsewhere", "", mine["remote"], base.get("remote"), 0, 0),
    ]
