"""Model servers behind one small interface: Ollama's own API and OpenAI-compatible ones.

`find` says which server is there; `stream` yields what arrives, as it arrives. Protocols: Ollama
/api/chat (newline-delimited JSON) and OpenAI /v1/chat/completions (server-sent events).
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pipulate.core.fetch import tls_context
from pipulate.core.problems import Problem
from pipulate.core.settings import Settings
from pipulate.core.store import Row

FIRST, BETWEEN, TOTAL = 60.0, 30.0, 600.0  # seconds: first token, between tokens, whole answer
LARGEST = 10_000_000  # characters of one answer, with what the protocol puts around each token
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
    id: str = field(default_factory=lambda: f"call-{secrets.token_hex(6)}")

    def values(self) -> Row:
        """The arguments. Raises Problem when they are no JSON object."""
        try:
            values = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise Problem(f"The arguments are not JSON ({error}).", "Call it again.") from None
        if not isinstance(values, dict):
            raise Problem("The arguments must be a JSON object.", "Call it again.")
        return values


@dataclass(frozen=True)
class Model:
    """A model on a server; `ollama` says which protocol it speaks."""

    url: str
    name: str
    ollama: bool

    async def stream(
        self, messages: list[Row], tools: list[Row], schema: Row | None = None
    ) -> AsyncIterator[str | Call]:
        """Send a conversation; yields its text as it comes, then the calls. Raises Problem.

        `schema`: of JSON that the text has to be, where the server knows how. Closing it ends the

        request."""
        calls: dict[int, Call] = {}
        async for line in self._lines(self._body(messages, tools, schema)):
            said = _message(line)
            if text := said.get("content"):
                yield text
            for n, piece in enumerate(said.get("tool_calls") or []):
                # Ollama numbers no calls: each is a whole one, never a piece
                index = len(calls) if self.ollama else piece.get("index", n)
                _join(calls.setdefault(index, Call()), piece)
        for call in calls.values():
            yield call

    def _body(self, messages: list[Row], tools: list[Row], schema: Row | None) -> Row:
        body = {"model": self.name, "messages": [*map(self._sent, messages)], "stream": True}
        if tools:
            body["tools"] = [{"type": "function", "function": _offer(tool)} for tool in tools]
        if self.ollama:
            body["options"] = {"num_ctx": 8192}
        if schema:
            named = {"name": "answer", "schema": schema, "strict": True}
            form = {"response_format": {"type": "json_schema", "json_schema": named}}
            body |= {"format": schema} if self.ollama else form
        return body

    def _sent(self, message: Row) -> Row:
        sent = dict(message)
        if calls := sent.pop("calls", []):
            sent["tool_calls"] = [self._call(**call) for call in calls]
        return sent

    def _call(self, id: str, name: str, arguments: Row) -> Row:
        given = arguments if self.ollama else json.dumps(arguments)
        return {"id": id, "type": "function", "function": {"name": name, "arguments": given}}

    async def _lines(self, body: Row) -> AsyncIterator[str]:
        import httpx2

        at = self.url + ("/api/chat" if self.ollama else "/v1/chat/completions")
        limits = httpx2.Timeout(FIRST, connect=5)
        try:
            async with (
                asyncio.timeout(TOTAL),
                httpx2.AsyncClient(timeout=limits, verify=tls_context()) as client,
                client.stream("POST", at, json=body) as response,
            ):
                if response.status_code != 200:
                    text = (await response.aread())[:200].decode(errors="replace")
                    what = f"The model server answered {response.status_code}: {text}"
                    raise Problem(what, "Check its log.", code=response.status_code)
                async for line in _in_time(response.aiter_lines()):
                    yield line
        except (httpx2.TimeoutException, TimeoutError):
            raise Problem("The model stopped answering.", "Send it again, or restart it.") from None
        except httpx2.HTTPError as error:
            what = f"The connection to the model broke ({type(error).__name__})."
            raise Problem(what, "Check that the model server runs, then send again.") from None


async def _in_time(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    wait, left = FIRST, LARGEST
    while left > 0:
        async with asyncio.timeout(wait):  # wait_for would start a task per line
            line = await anext(lines, None)
        if line is None:
            return
        yield line
        wait, left = BETWEEN, left - len(line)
    raise Problem("The answer had no end and was cut.", "Ask for less at once.")


def _message(line: str) -> Row:
    """What one line of either stream adds to the message: {content, tool_calls}, or nothing."""
    kind, _, text = line.partition(":")
    if kind.strip() in ("", "event", "id", "retry") or text.strip() == "[DONE]":
        return {}
    try:
        said = json.loads(text if kind == "data" else line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Problem(
            f"The model server answered wrongly: {line[:200]}", "Check its address and log."
        )
    if "error" in said:
        raise Problem(f"The model server said: {str(said['error'])[:200]}", "Check the model.")
    choice = (said.get("choices") or [said])[0]
    return choice.get("delta") or choice.get("message") or {}


def _join(call: Call, piece: Row) -> None:
    function = piece.get("function") or {}
    arguments = function.get("arguments") or ""
    call.id = piece.get("id") or call.id
    call.name += function.get("name") or ""
    call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)


def _offer(tool: Row) -> Row:
    about = {"name": tool["name"], "description": tool["description"][:500]}
    return {**about, "parameters": tool["schema"]}


async def find(settings: Settings) -> Model | None:
    """The configured OpenAI-compatible server, else a running Ollama with a model, else None."""
    import httpx2

    url, at, key = settings.ollama_url, "/api/tags", "models"
    if settings.model_url:
        url, at, key = settings.model_url.removesuffix("/v1"), "/v1/models", "data"
        if settings.model:
            return Model(url, settings.model, False)
    try:
        async with httpx2.AsyncClient(timeout=3, verify=tls_context()) as client:
            listed = (await client.get(url + at)).json()[key]
        names = [model.get("name") or model["id"] for model in listed]
    except (httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError):
        return None
    name = settings.model or next(iter(names), "")
    return Model(url, name, not settings.model_url) if name else None
