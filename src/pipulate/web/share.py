"""A table for the web app of somebody else: `GET /share/{token}`, the one route without the cookie.

A click makes such an address (plugins/_cosmograph.py). Who knows it may read it, and pages of that
site alone, for ten minutes or until it is taken back.
"""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

SECONDS, PIECE = 600, 1 << 16
SITES = ("https://cosmograph.app", "https://run.cosmograph.app")  # one site under two names


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
        with share.path.open("rb") as file:
            first = file.readline(PIECE)
        head = share.head + b"".join(first.partition(b",")[1:])
        size = share.path.stat().st_size - len(first) + len(head)
        headers = {"content-length": str(size), "content-encoding": "identity", "vary": "origin"}
        if (origin := request.headers.get("origin")) in SITES:
            allow = "access-control-"
            headers |= {f"{allow}allow-origin": origin, f"{allow}expose-headers": "content-length"}
        pieces = _pieces(share.path, len(first), head)
        return StreamingResponse(pieces, 200, headers, "text/csv; charset=utf-8")


def _pieces(path: Path, begin: int, head: bytes):
    yield head
    with path.open("rb") as file:
        file.seek(begin)
        yield from iter(lambda: file.read(PIECE), b"")
