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
BURST = 5_000  # tokens of one that comes as fast as it is taken
ASKED = -1  # the moment of asking, among those of tokens
CHAT = "fasthtml_chat.py"
PROGRAMS = {"relay.py": "a bare relay", CHAT: "a FastHTML chat"}
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
    seen = Times({ASKED: time.perf_counter()})
    writer.write((head + body).encode())
    while tokens - 1 not in seen and (data := await reader.read(65_536)):
        note_tokens(seen, data.decode(errors="replace"))
    writer.close()
    return seen


async def listen(server: Server, tokens: int, own: bool) -> Times:
    """Say hi on the page's socket and note each token as it comes."""
    address = f"ws://127.0.0.1:{server.port}/ws?at=/default/tasks&tab=x"
    headers = [("Origin", server.url), *server.headers.items()] if own else []
    end = f"word{tokens - 1}<"  # ours sends the whole message at its end, drawn
    async with connect(address, additional_headers=headers, max_size=None) as page:
        seen, text = Times({ASKED: time.perf_counter()}), ""
        await page.send(json.dumps({"msg": "hi"}))
        while end not in text if own else tokens - 1 not in seen:
            text = str(await page.recv())
            note_tokens(seen, text)
    return seen


def chat(server: Server, tokens: int, own: bool = True) -> Times:
    """One answer of a running program, without a relay."""
    return asyncio.run(asyncio.wait_for(listen(server, tokens, own), LONGEST))


async def paced(relay: Relay, work: Callable[[], Awaitable[Times]]) -> dict[str, float]:
    """Milliseconds from asking to the first token, and each token's delay behind the relay: of

    the first, at the 50th, 95th and 99th of 100."""
    relay.seen.clear()
    came = await asyncio.wait_for(work(), LONGEST)
    late = {n: (came[n] - at) * 1000 for n, at in relay.seen.items() if n in came}
    if len(late) < TOKENS * 0.9 or 0 not in late:
        raise RuntimeError(f"Only {len(late)} of {TOKENS} tokens were seen twice.")
    order = sorted(late.values())
    found = {f"p{share}": order[len(order) * share // 100] for share in (50, 95, 99)}
    return found | {"first": late[0], "begin": (came[0] - came[ASKED]) * 1000}


async def burst(work: Callable[[], Awaitable[Times]]) -> dict[str, float]:
    """Tokens a second, from the first to the last, of a model that waits for nobody."""
    came = await asyncio.wait_for(work(), LONGEST)
    return {"rate": BURST / (max(came.values()) - came[ASKED])}


async def cpu(server: Server, tokens: int, work: Awaitable[dict[str, float]]) -> dict[str, float]:
    """What the work gives, and the program's CPU milliseconds per 1,000 tokens."""
    before = server.cpu()
    return await work | {"cpu": (server.cpu() - before) * 1_000_000 / tokens}


async def measure(rounds: int, folder: Path, model: str, fast: bool) -> dict[str, dict[str, float]]:
    """Medians of each program and the raw model server, in turn; the first round warms."""
    tokens = BURST if fast else TOKENS
    async with Relay(model) as relay:
        port = relay.model if fast else relay.port
        with ExitStack() as stack:
            begun = {"ours": stack.enter_context(ours(folder / "home", f"http://127.0.0.1:{port}"))}
            for name in filter(baseline_file, PROGRAMS):
                server = baseline(name, folder, f"http://127.0.0.1:{port}")
                begun[name] = stack.enter_context(server)

            async def once(name: str) -> dict[str, float]:
                hear = partial(raw, port, tokens)
                if server := begun.get(name):
                    hear = partial(listen, server, tokens, name == "ours")
                found = burst(hear) if fast else paced(relay, hear)
                return await (cpu(server, tokens, found) if server else found)

            names = [*begun, "raw"]
            found = [{name: await once(name) for name in names} for _ in range(rounds + 1)]
    return {name: medians([each[name] for each in found[1:]]) for name in names}


def scripted(rounds: int, tokens: int, delay: float) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name, model_server(tokens, delay) as model:
        return asyncio.run(measure(rounds, Path(name), model.info["url"], not delay))


def run(rounds: int) -> list[Figure]:
    found, fast = scripted(rounds, TOKENS, DELAY), scripted(rounds, BURST, 0.0)
    mine, bare = found["ours"], found["raw"]
    goals = {"first": (2.0, 5.0), "p95": (2.0, 5.0)}
    said = {"begin": "from asking to the first token", "first": "first token's delay"}
    figures = []
    for key in ("begin", "first", "p50", "p95", "p99"):
        what, bounds = said.get(key, f"token delay, {key}"), goals.get(key, ())
        figures += [Figure(f"{what}, over raw", "ms", mine[key], bare[key], *bounds, judge="over")]
        for name in filter(found.get, PROGRAMS):
            about = f"{what}, beside {PROGRAMS[name]}"
            figures += [Figure(about, "ms", mine[key], found[name][key], judge="ratio")]
    for pace, each in ((f"{1 / DELAY:.0f} tokens/s", found), ("burst", fast)):
        for name in filter(each.get, PROGRAMS):
            about = f"1,000 tokens, {pace}, CPU beside {PROGRAMS[name]}"
            bounds = (0.5, 1.0) if name == CHAT else ()
            pair = each["ours"]["cpu"], each[name]["cpu"]
            figures += [Figure(about, "ms", *pair, *bounds, judge="ratio")]
    # a pace has to be high: what is judged is the time of 1,000
    figures += [
        Figure(
            f"1,000 tokens of a burst, beside {PROGRAMS.get(name, name)}",
            "ms",
            1_000_000 / fast["ours"]["rate"],
            1_000_000 / fast[name]["rate"],
            *((1000 / 15, 1000 / 5) if name == "raw" else ()),
        )
        for name in fast
        if name != "ours"
    ]
    return figures
