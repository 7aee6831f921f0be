"""Model servers behind one small interface: Ollama's own API and OpenAI-compatible ones.

`find` says which server is there; `stream` yields what arrives, as it arrives. Protocols: Ollama
/api/chat (newline-delimited JSON) and OpenAI /v1/chat/completions (server-sent events).
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pipulate.core.fetch import tls_context
from pipulate.core.problems import Problem
from pipulate.core.settings import Settings
from pipulate.core.store import Row

FIRST, BETWEEN, TOTAL = 60.0, 30.0, 600.0  # seconds: first token, between tokens, whole answer
LARGEST = 1_000_000  # characters of one answer
NONE_FOUND = (
    "No model server is running, so I can only follow commands: type /help. To talk to a model, "
    "install Ollama (ollama.com), run `ollama pull llama3.2`, then send your message again; or set "
    "PIPULATE_MODEL_URL to an OpenAI-compatible server."
)


@dataclass
class Call:
    """A tool call as the model wrote it: arguments are JSON text until parsed."""

    name: str = ""
    arguments: str = ""
    id: str = ""

    def values(self) -> Row:
        """The arguments. Raises Problem when they are no JSON object."""
        try:
            values = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise Problem(f"The arguments are not JSON ({error}).", "Call it again.") from None
        if not isinstance(values, dict):
            raise Problem("The arguments must be a JSON object.", "Call it again.")
        return values


@dataclass
class Delta:
    """What one piece of the stream brought; `calls` are (index, piece of a tool call)."""

    text: str = ""
    calls: list[tuple[int, Call]] = field(default_factory=list)


@dataclass(frozen=True)
class Model:
    """A model on a server; `ollama` says which protocol it speaks."""

    url: str
    name: str
    ollama: bool

    async def stream(self, messages: list[Row], tools: list[Row]) -> AsyncIterator[Delta]:
        """Send a conversation, yield Deltas; closing it ends the request. Raises Problem."""
        import httpx2

        body = {"model": self.name, "messages": [*map(self._message, messages)], "stream": True}
        body |= {"tools": [_offer(tool) for tool in tools]} if tools else {}
        path, read = "/v1/chat/completions", self._openai_line
        if self.ollama:
            path, read = "/api/chat", self._ollama_line
            body["options"] = {"num_ctx": 8192}
        limits = httpx2.Timeout(FIRST, connect=5)
        try:
            async with (
                asyncio.timeout(TOTAL),
                httpx2.AsyncClient(timeout=limits, verify=tls_context()) as client,
                client.stream("POST", self.url + path, json=body) as response,
            ):
                if response.status_code != 200:
                    text = (await response.aread())[:200].decode(errors="replace")
                    what = f"The model server answered {response.status_code}: {text}"
                    raise Problem(what, "Check its log.")
                async for line in _lines(response):
                    if (delta := read(line)) is not None:
                        yield delta
        except (httpx2.TimeoutException, TimeoutError):
            raise Problem("The model stopped answering.", "Send it again, or restart it.") from None
        except httpx2.HTTPError as error:
            what = f"The connection to the model broke ({type(error).__name__})."
            raise Problem(what, "Check that the model server runs, then send again.") from None

    def _message(self, message: Row) -> Row:
        said = dict(message)
        if calls := said.pop("calls", []):
            said["tool_calls"] = [_said_call(call, self.ollama) for call in calls]
        return said

    @staticmethod
    def _openai_line(line: str) -> Delta | None:
        kind, _, text = line.partition(":")
        if kind in ("", "event", "id", "retry") or text.strip() == "[DONE]":
            return None
        choices = _parsed(text if kind == "data" else line).get("choices") or [{}]
        said = choices[0].get("delta") or {}
        delta = Delta(said.get("content") or "")
        for n, piece in enumerate(said.get("tool_calls") or []):
            function = piece.get("function") or {}
            said = function.get("name"), function.get("arguments"), piece.get("id")
            delta.calls.append((piece.get("index", n), Call(*(part or "" for part in said))))
        return delta

    @staticmethod
    def _ollama_line(line: str) -> Delta | None:
        said = _parsed(line)
        if "error" in said:
            raise Problem(f"The model server said: {str(said['error'])[:200]}", "Check the model.")
        message = said.get("message") or {}
        calls = [c.get("function", {}) for c in message.get("tool_calls") or []]
        made = [Call(c.get("name", ""), json.dumps(c.get("arguments") or {})) for c in calls]
        return Delta(message.get("content") or "", [(next(_NUMBERS), c) for c in made])


_NUMBERS = itertools.count(1_000)  # Ollama numbers no calls: each is a whole one, never a piece


def _offer(tool: Row) -> Row:
    about = {"description": tool["description"][:500], "parameters": tool["schema"]}
    return {"type": "function", "function": {"name": tool["name"], **about}}


def _said_call(call: Row, ollama: bool) -> Row:
    arguments = call["arguments"] if ollama else json.dumps(call["arguments"])
    made = {"function": {"name": call["name"], "arguments": arguments}}
    return made if ollama else made | {"id": call["id"], "type": "function"}


def _parsed(text: str) -> Row:
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            return data
    except (ValueError, RecursionError):
        pass
    raise Problem(f"The model server answered wrongly: {text[:200]}", "Check its address and log.")


async def _lines(response) -> AsyncIterator[str]:
    lines, wait, size = response.aiter_lines(), FIRST, 0
    while True:
        try:
            async with asyncio.timeout(wait):  # wait_for would start a task per line
                line = await anext(lines)
        except StopAsyncIteration:
            return
        wait, size = BETWEEN, size + len(line)
        if size > LARGEST * 10:
            raise Problem("The answer had no end and was cut.", "Ask for less at once.")
        if line.strip():
            yield line


async def find(settings: Settings) -> Model | None:
    """The configured OpenAI-compatible server, else a running Ollama with a model, else None."""
    import httpx2

    ollama = not settings.model_url
    url, path, key = settings.model_url.removesuffix("/v1"), "/v1/models", "data"
    if ollama:
        url, path, key = settings.ollama_url, "/api/tags", "models"
    try:
        async with httpx2.AsyncClient(timeout=3, verify=tls_context()) as client:
            listed = (await client.get(url + path)).json()
    except (httpx2.HTTPError, ValueError):
        if ollama or not settings.model:
            return None
        listed = {}
    models = listed.get(key) or [] if isinstance(listed, dict) else []
    names = [m.get("name") or m.get("id", "") for m in models if isinstance(m, dict)]
    name = settings.model or next(iter(names), "")
    return Model(url, name, ollama) if name else None
