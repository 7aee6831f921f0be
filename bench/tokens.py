"""From the model to the page: the delay of each token, and the CPU of a thousand.

A relay between the program and the scripted model notes when each token passed; the delay is from
there to the socket of the page. "raw" reads the relay itself, so it is the delay of measuring.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from websockets.asyncio.client import connect

from bench.figures import Figure, medians
from bench.servers import Server, baseline, baseline_file, model_server, ours

TOKENS, DELAY = 300, 0.005  # tokens of an answer, seconds between two
LONGEST = 20  # seconds an answer may take
TOKEN = re.compile(r"word(\d+) ")
Times = dict[int, float]


class Relay:
    """Passes bytes to a model server and back; `seen` has the moment of each token."""

    def __init__(self, url: str):
        self.model, self.seen = int(url.rsplit(":", 1)[1]), Times()

    async def __aenter__(self) -> Relay:
        self.server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", self.model)
        with suppress(asyncio.CancelledError):  # the last reader left before the end
            await asyncio.gather(self._pump(reader, there, False), self._pump(back, writer, True))

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, note: bool):
        while data := await source.read(65_536):
            if note:
                note_tokens(self.seen, data.decode(errors="replace"))
            to.write(data)
        to.close()


def note_tokens(seen: Times, text: str) -> None:
    """Each token's first moment, in seconds of the clock that never goes back."""
    moment = time.perf_counter()
    for number in TOKEN.findall(text):
        seen.setdefault(int(number), moment)


async def raw(port: int, tokens: int) -> Times:
    """Read the answer as bytes, with nothing between."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    seen = Times()
    while len(seen) < tokens:
        note_tokens(seen, (await reader.read(65_536)).decode(errors="replace"))
    writer.close()
    return seen


async def listen(server: Server, tokens: int, own: bool) -> Times:
    """Say hi on the page's socket and note each token as it comes."""
    address = f"ws://127.0.0.1:{server.port}/ws?at=/default/tasks&tab=x"
    headers = [("Origin", server.url), *server.headers.items()] if own else []
    seen, end = Times(), f"word{tokens - 1}<"  # ours sends the whole message at its end, drawn
    async with connect(address, additional_headers=headers, max_size=None) as page:
        await page.send(json.dumps({"msg": "hi"}))
        text = ""
        while end not in text if own else tokens - 1 not in seen:
            text = str(await page.recv())
            note_tokens(seen, text)
    return seen


def chat(server: Server, tokens: int, own: bool = True) -> Times:
    """One answer of a running program, without a relay."""
    return asyncio.run(asyncio.wait_for(listen(server, tokens, own), LONGEST))


async def delays(relay: Relay, work: Callable[[], Awaitable[Times]]) -> dict[str, float]:
    """Milliseconds at the 50th, 95th and 99th of 100 tokens."""
    relay.seen.clear()
    came = await asyncio.wait_for(work(), LONGEST)
    late = sorted((came[n] - at) * 1000 for n, at in relay.seen.items() if n in came)
    if len(late) < TOKENS * 0.9:
        raise RuntimeError(f"Only {len(late)} of {TOKENS} tokens were seen twice.")
    return {f"p{share}": late[len(late) * share // 100] for share in (50, 95, 99)}


async def answer(relay: Relay, server: Server, own: bool) -> dict[str, float]:
    """One answer's delays and the program's CPU milliseconds per 1,000 tokens."""
    before = server.cpu()
    found = await delays(relay, partial(listen, server, TOKENS, own))
    return found | {"cpu": (server.cpu() - before) * 1_000_000 / TOKENS}


async def measure(rounds: int, folder: Path, model: str) -> dict[str, dict[str, float]]:
    """Medians of ours, the baseline and the raw model server, in turn; the first round warms."""
    async with Relay(model) as relay:
        url = f"http://127.0.0.1:{relay.port}"
        with ExitStack() as stack:
            mine = stack.enter_context(ours(folder / "home", url))
            works = {"ours": partial(answer, relay, mine, True)}
            if baseline_file("fasthtml_chat.py"):
                theirs = stack.enter_context(baseline("fasthtml_chat.py", folder, url))
                works["baseline"] = partial(answer, relay, theirs, False)
            works["raw"] = partial(delays, relay, partial(raw, relay.port, TOKENS))
            found = [
                {name: await work() for name, work in works.items()} for _ in range(rounds + 1)
            ]
    return {name: medians([each[name] for each in found[1:]]) for name in works}


def run(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, model_server(TOKENS, DELAY) as model:
        found = asyncio.run(measure(rounds, Path(name), model.info["url"]))
    mine, base, bare = found["ours"], found.get("baseline", {}), found["raw"]
    bounds = {"p95": (2.0, 5.0)}
    figures = [
        Figure(
            f"token delay over raw, {p}", "ms", mine[p], bare[p], *bounds.get(p, ()), judge="over"
        )
        for p in bare
    ]
    figures += [
        Figure(f"token delay, {p}", "ms", mine[p], base.get(p), judge="ratio") for p in bare
    ]
    cpu = Figure("1,000 tokens, CPU", "ms", mine["cpu"], base.get("cpu"), judge="ratio")
    return [*figures, cpu]
