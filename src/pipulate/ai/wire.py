"""What a model server answers, line by line as it arrives.

A client library costs more for each token than all that happens to the token afterwards.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Any
from urllib.parse import SplitResult, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pipulate.core.fetch import tls_context
from pipulate.core.fields import dumps
from pipulate.core.problems import Problem
from pipulate.core.store import Row

AT_ONCE, LINE = 65_536, 10_000_000  # bytes read at a time, of one line at most
CONNECT, QUESTION, DAY = 5.0, 3.0, 86_400.0  # seconds: to connect, for a short answer, no limit


class Answer:
    """What the parser heard: `rest` of the body, whether it is `whole`; `left`: bytes to come."""

    def __init__(self, left: int) -> None:
        self.parser, self.rest, self.left = HttpResponseParser(self), b"", left
        self.counted = self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # one that tells no length ends when its server hangs up
        self.counted |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_body(self, piece: bytes) -> None:
        self.rest += piece

    def on_message_complete(self) -> None:
        self.whole = True

    def lines(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete; b"" is the end."""
        self.left -= len(data)
        if self.left < 0:
            what = "The answer had no end and was cut."
            raise Problem(what, "Say “go on”, or ask for less at once.")
        self.parser.feed_data(data)
        cut = not (data or self.whole) and (self.counted or not self.parser.get_status_code())
        if cut or len(self.rest) > LINE:
            raise HttpParserError
        self.whole |= not data
        if self.parser.get_status_code() != 200:
            return []  # a refusal is told as one text
        *whole, self.rest = self.rest.split(b"\n")
        return whole


async def lines(
    url: str,
    key: str = "",
    body: Row | None = None,
    first: float = QUESTION,
    between: float = QUESTION,
    total: float = DAY,
    most: int = LINE,
) -> AsyncGenerator[str]:
    """GET, or POST a body. Seconds: for the first bytes, for more, for all; `most`: bytes.

    Raises TimeoutError, Problem: `code` of a refusal, or `broken`. Closing it hangs up."""
    told, loop, wait = Answer(most), asyncio.get_running_loop(), first
    end = loop.time() + total
    try:
        reader, writer = await _asked(urlsplit(url), key, body)
        with closing(writer):
            while not told.whole:
                due = min(loop.time() + wait, end)  # a timeout of asyncio's is slow
                late = loop.call_at(due, reader.set_exception, TimeoutError())
                found = told.lines(await reader.read(AT_ONCE))
                late.cancel()
                for line in filter(None, found):
                    wait = between
                    yield line.decode(errors="replace")
    except TimeoutError:
        raise
    except (OSError, ValueError, HttpParserError, HttpParserUpgrade) as error:
        what = f"The connection to the model broke ({type(error).__name__})."
        then = "Check that the model server runs, then send again."
        raise Problem(what, then, broken=True) from None
    if (code := told.parser.get_status_code()) != 200:
        said = told.rest.decode(errors="replace")
        what = f"The model server answered {code}: {said.replace(key or chr(0), '…')[:200]}"
        raise Problem(what, "Check its log, or its key.", code=code)
    if told.rest:
        yield told.rest.decode(errors="replace")


async def value(url: str, key: str = "", body: Row | None = None) -> Any:
    """The JSON of a short answer. Raises as `lines`, and ValueError."""
    return json.loads("".join([line async for line in lines(url, key, body, total=3 * QUESTION)]))


async def _asked(at: SplitResult, key: str, body: Row | None) -> Any:
    tls, sent = at.scheme == "https", dumps(body).encode() if body else b""
    head = f"{'POST' if body else 'GET'} {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\n"
    head += f"Content-Length: {len(sent)}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    sent = f"{head}Connection: close\r\n\r\n".encode("latin-1") + sent
    where = at.hostname, at.port or (443 if tls else 80)
    async with asyncio.timeout(CONNECT):
        reader, writer = await asyncio.open_connection(*where, ssl=tls_context() if tls else None)
    writer.write(sent)
    return reader, writer
