"""HTTP and sockets byte by byte, for requests that no well-behaved client would send."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@dataclass
class Answer:
    """What came back; `headers` has lower-case names."""

    status: int
    headers: dict[str, str]
    text: str


def send(
    port: int,
    method: str,
    path: str,
    headers: dict[str, str | None] | None = None,
    body: bytes | Iterable[bytes] = b"",
) -> Answer:
    """One request with exactly these headers (Host is ours unless given; None leaves one out)."""
    given: dict[str, str | None] = {"Host": f"127.0.0.1:{port}", **(headers or {})}
    if isinstance(body, bytes) and body:
        given = {"Content-Length": str(len(body)), **given}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was all sent
            for piece in [body] if isinstance(body, bytes) else body:
                connection.send(piece)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        text = "" if answer.status == 101 else answer.read().decode("utf-8", "replace")
        return Answer(answer.status, named, text)
    finally:
        connection.close()


def knock(port: int, headers: dict[str, str | None], path: str = "/ws?at=/default") -> int:
    """The status of a WebSocket handshake: 101 is in."""
    return send(port, "GET", path, {**UPGRADE, **headers}).status


def chunked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Pieces in the chunked transfer coding."""
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
