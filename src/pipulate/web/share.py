"""A graph for the web app of somebody else: `GET /share/{token}`, the one route without the cookie.

A click makes two such addresses, of the links and of the pages. Who knows them may read them, and
pages of that site alone, for ten minutes or until they are taken back.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from fasthtml.components import H1, A, Button, Form, Header, Li, P, Section, Strong, Ul
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from pipulate.apps.markup import hidden
from pipulate.core.problems import Missing, Problem

SECONDS, PIECE = 600, 1 << 16
SITES = ("https://cosmograph.app", "https://run.cosmograph.app")  # one site under two names
OTHERS = (
    "Cosmograph is a web app of somebody else. These files, with all addresses of pages in them, "
    "can be read by it in your browser for ten minutes; what it does with them is up to it. Your "
    "browser may ask whether that site may reach this machine."
)


@dataclass(frozen=True)
class Share:
    """A CSV file, the name of its first column there, and until when it may be read."""

    path: Path
    head: bytes
    until: float


class Shares:
    """What is shared now, by address; none outlives the program."""

    def __init__(self):
        self.kept: dict[str, Share] = {}

    def add(self, path: Path, head: str) -> str:
        """The address of a file: 32 random bytes."""
        address = f"/share/{secrets.token_urlsafe(32)}"
        self.kept[address] = Share(path, head.encode(), time.monotonic() + SECONDS)
        return address

    def let_in(self, scope, headers: Headers) -> bool:
        """Whether a page of that site reads what is shared: it needs no cookie."""
        share, origin = self.kept.get(scope["path"]), headers.getlist("origin")
        reads = scope.get("method") == "GET" and origin in [[site] for site in SITES]
        return reads and share is not None and share.until > time.monotonic()

    async def answer(self, request) -> Response:
        """The file, its size told and not packed, as that site needs it."""
        share = self.kept.get(request.url.path)
        if share is None or share.until < time.monotonic() or not share.path.is_file():
            return Response("This is not shared (any more).", 404)
        first = _first(share.path)
        head = share.head + b"".join(first.partition(b",")[1:])
        size = share.path.stat().st_size - len(first) + len(head)
        headers = {"content-length": str(size), "content-encoding": "identity", "vary": "origin"}
        if (origin := request.headers.get("origin")) in SITES:
            allow = "access-control-"
            headers |= {f"{allow}allow-origin": origin, f"{allow}expose-headers": "content-length"}
        pieces = _pieces(share.path, len(first), head)
        return StreamingResponse(pieces, 200, headers, "text/csv; charset=utf-8")


def _first(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(PIECE)


def _pieces(path: Path, begin: int, head: bytes):
    yield head
    with path.open("rb") as file:
        file.seek(begin)
        yield from iter(lambda: file.read(PIECE), b"")


async def share(site, visit, request):
    """Asks (GET) whether two CSV files, by number, shall go out; then (POST) links, or stops."""
    profile, shares, given = visit.profile, site.shares, {**visit.query, **visit.form}
    head, at = Header(H1("Open in Cosmograph"), cls="head"), f"/{profile.slug}/share"
    to = {"hx_post": at, "hx_target": "#main"}
    if request.method == "POST":
        shares.kept.clear()
    if "stop" in given:
        return Section(head, P("Nothing is shared any more."))
    files = {name: _file(site, profile, given.get(name, "")) for name in ("edges", "nodes")}
    if request.method == "GET":
        listed = (Li(f"{f.name} ({f.path.stat().st_size:,} bytes)") for f in files.values())
        kept = (hidden(name, given[name]) for name in files)
        go = Form(*kept, Button("Share them for ten minutes"), **to)
        return Section(head, P(OTHERS), Ul(*listed), P(Strong("Nothing was sent so far.")), go)
    await asyncio.to_thread(_note, site.house.db, profile)
    link = _link(f"http://{request.headers['host']}", shares, files)
    out = A("Open Cosmograph", href=link, target="_blank", rel="noopener noreferrer", role="button")
    stop = Button("Stop sharing", cls="outline secondary", name="stop", **to)
    return Section(head, P(OTHERS), P(out, " ", stop))


def _file(site, profile, number: str):
    if not number.isdecimal() or len(number) > 15:
        raise Missing("There is no such file.", "Open it from the page of a run.")
    if (file := site.house.files.get(profile, int(number))).path.suffix != ".csv":
        raise Problem(f"{file.name} is no CSV.", "Only the tables of a graph can be opened there.")
    return file


def _link(base: str, shares: Shares, files) -> str:
    """Its words are as the documentation of that site has them."""
    links, pages = files["edges"].path, files["nodes"].path
    colour = "page_type" if b",page_type" in _first(pages) else "depth"
    said = {"data": base + shares.add(links, "source"), "source": "source", "target": "target"}
    said |= {"meta": base + shares.add(pages, "id"), "nodeColor": colour, "nodeSize": "pagerank"}
    return f"{SITES[0]}/run/?{urlencode(said)}"


def _note(db, profile) -> None:
    said = "Shared a graph with Cosmograph for ten minutes"
    with db.change(actor="user", verb="share", profile_id=profile.id, summary=said):
        db.begin()
