"""A scripted stand-in for a model server: real HTTP on loopback, OpenAI's and Ollama's protocols.

with ModelServer("Hello there", Reply(tools=[("add", {"x": 1})])) as server: ... server.url
"""

import argparse
import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route, Router

FAULTS = (
    "html",
    "http500",
    "stall",
    "endless",
    "reset",
    "stall_mid",
    "bad_utf8",
    "garbage",
    "wrong_json",
)


@dataclass
class Reply:
    """One scripted answer. A tool's arguments may be a raw string, sent as it is (malformed).

    fault: "html", "http500" (instead of the answer), "stall" (not even headers), "endless" (the
    answer over and over), or after `after` chunks (half by default): "reset", "stall_mid",
    "bad_utf8" (then goes on), "garbage" and "wrong_json" (then ends).
    """

    text: str = ""
    tools: Sequence[tuple[str, Any]] = ()
    thinking: str = ""
    delay: float = 0.0
    first_delay: float = 0.0
    fault: str | None = None
    token_list: list[str] | None = None
    after: int | None = None

    def __post_init__(self) -> None:
        assert self.fault is None or self.fault in FAULTS, f"no fault {self.fault!r}"

    def tokens(self) -> list[str]:
        return words(self.text) if self.token_list is None else self.token_list


Script = str | Reply | Callable[[dict[str, Any]], str | Reply]
Chunks = list[bytes]


def words(text: str) -> list[str]:
    """Split so that the pieces joined give the text back."""
    return re.findall(r"\s*\S+|\s+", text)


def encode(data: Any) -> bytes:
    """JSON as real servers send it: raw UTF-8 (a lone \\udc80-\\udcff becomes one bad byte)."""
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogateescape")


def openai(body: dict[str, Any], reply: Reply) -> tuple[Chunks, Chunks]:
    """The events of POST /v1/chat/completions, and those that end the answer."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": body.get("model")}

    def event(finish: str | None = None, **delta: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + encode({**head, "choices": [choice]}) + b"\n\n"

    def call(index: int, name: str, args: Any) -> Iterator[bytes]:
        """A call's name, then its arguments in about twenty pieces."""
        text = args if isinstance(args, str) else json.dumps(args)
        named = {"id": f"call_{index}", "function": {"name": name, "arguments": ""}}
        yield event(tool_calls=[{"index": index, "type": "function", **named}])
        size = len(text) // 20 + 3
        for at in range(0, len(text), size):
            piece = {"arguments": text[at : at + size]}
            yield event(tool_calls=[{"index": index, "function": piece}])

    chunks = [event(role="assistant", content="")]
    chunks += [event(reasoning_content=token) for token in words(reply.thinking)]
    chunks += [event(content=token) for token in reply.tokens()]
    for index, tool in enumerate(reply.tools):
        chunks += call(index, *tool)
    end = [event("tool_calls" if reply.tools else "stop")]
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": 10, "completion_tokens": len(reply.tokens())}
        end += [b"data: " + encode({**head, "choices": [], "usage": usage}) + b"\n\n"]
    return chunks, [*end, b"data: [DONE]\n\n"]


def ollama(body: dict[str, Any], reply: Reply) -> tuple[Chunks, Chunks]:
    """The lines of POST /api/chat, and the one that ends the answer."""

    def line(more: dict[str, Any], **message: Any) -> bytes:
        message = {"role": "assistant", "content": "", **message}
        head = {"model": body.get("model"), "created_at": "2026-01-01T00:00:00Z"}
        return encode({**head, "message": message, "done": False, **more}) + b"\n"

    chunks = [line({}, thinking=token) for token in words(reply.thinking)]
    chunks += [line({}, content=token) for token in reply.tokens()]
    for name, args in reply.tools:
        chunks += [line({}, tool_calls=[{"function": {"name": name, "arguments": args}}])]
    counts = {"prompt_eval_count": 10, "eval_count": len(reply.tokens()), "total_duration": 1}
    return chunks, [line({"done": True, "done_reason": "stop", **counts})]


WIRES = {"/v1/chat/completions": openai, "/api/chat": ollama}
MEDIA = {"/v1/chat/completions": b"text/event-stream", "/api/chat": b"application/x-ndjson"}


def all_chunks(path: str, body: dict[str, Any], reply: Reply) -> Iterable[bytes]:
    """The whole answer with its fault, encoded beforehand."""
    chunks, end = WIRES[path](body, reply)
    if reply.fault in (None, "stall"):
        return chunks + end
    if reply.fault == "endless":
        return cycle(chunks)
    cut = (len(chunks) + 1) // 2 if reply.after is None else reply.after
    prefix = b"" if path == "/api/chat" else b"data: "
    odd = {
        "reset": b"",
        "stall_mid": b"",
        "garbage": prefix + b"<<< no protocol\n\n",
        "wrong_json": prefix + b'{"choices": [[]], "message": []}\n\n',
        "bad_utf8": WIRES[path](body, Reply("\udcff\udcfe"))[0][-1],
    }[reply.fault]
    return [*chunks[:cut], odd, *(chunks[cut:] + end if reply.fault == "bad_utf8" else [])]


async def play(
    reply: Reply, media: bytes, chunks: Iterable[bytes], transport: Any, send: Any
) -> None:
    """Send the chunks at the asked pace, then end well or badly."""
    start = time.monotonic() + reply.first_delay
    await asyncio.sleep(reply.first_delay)
    if reply.fault == "stall":
        await asyncio.Event().wait()
    headers = [(b"content-type", media)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for count, chunk in enumerate(chunks):
        ahead = start + count * reply.delay - time.monotonic()
        if ahead > 0 or count % 16 == 0:  # keep the pace, and let others run
            await asyncio.sleep(max(ahead, 0))
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if reply.fault == "reset":
        peer, at_once = transport.get_extra_info("socket"), struct.pack("ii", 1, 0)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        transport.abort()
    if reply.fault in ("reset", "stall_mid"):
        await asyncio.Event().wait()
    await send({"type": "http.response.body", "body": b""})


class ModelServer:
    """Plays queued replies. `requests`: the chat bodies so far, each with its "path"; `pages`:
    what the other addresses answer; `connected`: open streams; `cancelled`: closed by clients;
    `knows_tools`: whether its model takes them, else they are refused."""

    def __init__(self, *replies: Script, repeat: bool = False, port: int = 0) -> None:
        self.queue, self.repeat, self.port = deque(replies), repeat, port
        self.requests: list[dict[str, Any]] = []
        self.connected, self.cancelled, self.knows_tools = 0, 0, True
        self.aborts: set[Callable[[], Any]] = set()
        info = {"general.architecture": "llama", "llama.context_length": 8192}
        self.pages: dict[str, Any] = {
            "/v1/models": {"object": "list", "data": [{"id": "stand-in", "object": "model"}]},
            "/api/tags": {"models": [{"name": "stand-in", "model": "stand-in", "size": 1}]},
            "/api/version": {"version": "0.12.0"},
            "/api/show": {"capabilities": ["completion", "tools"], "model_info": info},
        }

    def script(self, *replies: Script) -> None:
        """Queue replies; a callable gets the request's body and returns one."""
        self.queue.extend(replies)

    def wait(self, condition: Callable[["ModelServer"], Any], seconds: float = 2.0) -> bool:
        """Wait until the condition holds, e.g. `server.wait(lambda s: s.cancelled == 1)`."""
        until = time.monotonic() + seconds
        while not (held := condition(self)) and time.monotonic() < until:
            time.sleep(0.005)
        return bool(held)

    def __enter__(self) -> "ModelServer":
        listening = socket.create_server(("127.0.0.1", self.port))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        routes = [Route(path, self._page, methods=["GET", "POST"]) for path in self.pages]
        routes += [Route(path, self._chat, methods=["POST"]) for path in WIRES]
        config = uvicorn.Config(Router(routes), lifespan="off", log_config=None)
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._uvicorn.run, args=([listening],))
        self._thread.start()
        self.wait(lambda _: self._uvicorn.started, 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._uvicorn.should_exit = True
        while self._thread.is_alive():
            for abort in list(self.aborts):
                abort()
            self._thread.join(0.05)

    async def _page(self, request: Request) -> JSONResponse:
        return JSONResponse(self.pages[request.url.path])

    async def _chat(self, request: Request) -> Any:
        """Note the request and play the next reply."""
        path, body = request.url.path, await request.json()
        self.requests.append({**body, "path": path})
        reply = self._next(self.requests[-1])
        if reply.fault == "html":
            return HTMLResponse("<html><h1>502 Bad Gateway</h1></html>")
        if body.get("tools") and not self.knows_tools:
            self.queue.appendleft(reply)
            return JSONResponse({"error": "stand-in does not support tools"}, 400)
        if reply.fault == "http500":
            return JSONResponse({"error": {"message": "the model crashed"}}, 500)
        return partial(self._stream, reply, MEDIA[path], all_chunks(path, body, reply))

    async def _stream(
        self,
        reply: Reply,
        media: bytes,
        chunks: Iterable[bytes],
        scope: Any,
        receive: Any,
        send: Any,
    ) -> None:
        """The ASGI response: play the reply, and notice when the client leaves."""
        transport = receive.__self__.transport  # uvicorn's own: the only way to a real reset
        abort = partial(asyncio.get_running_loop().call_soon_threadsafe, transport.abort)
        self.aborts.add(abort)
        self.connected += 1
        playing = asyncio.create_task(play(reply, media, chunks, transport, send))
        gone = asyncio.create_task(receive())  # the body was read: the next event is the end
        await asyncio.wait({playing, gone}, return_when=asyncio.FIRST_COMPLETED)
        by_us = playing.done() or self._uvicorn.should_exit or reply.fault == "reset"
        self.cancelled += not by_us
        self.connected -= 1
        self.aborts.discard(abort)
        (gone if playing.done() else playing).cancel()
        await (playing if playing.done() else gone)

    def _next(self, body: dict[str, Any]) -> Reply:
        said = [m.get("content") for m in body.get("messages", []) if m.get("role") == "user"]
        reply: Any = f"You said: {str(said[-1])[:200]}" if said else "Nothing was said."
        if self.queue:
            last = self.repeat and len(self.queue) == 1
            reply = self.queue[0] if last else self.queue.popleft()
        reply = reply(body) if callable(reply) else reply
        return Reply(reply) if isinstance(reply, str) else reply


def main() -> None:
    """Serve until interrupted; every answer has the given number of tokens."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=0, help="0: repeat what the user said")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between tokens")
    options = parser.parse_args()
    tokens = [f"word{i} " for i in range(options.tokens)]
    replies = [Reply(token_list=tokens, delay=options.delay)] if tokens else []
    with (
        suppress(KeyboardInterrupt),
        ModelServer(*replies, repeat=True, port=options.port) as server,
    ):
        print(json.dumps({"url": server.url}), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
