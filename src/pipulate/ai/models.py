"""A model behind one small interface, whichever protocol its server speaks.

Ollama /api/chat (newline-delimited JSON), OpenAI /v1/chat/completions (server-sent events).
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

from pipulate.ai.calls import Call
from pipulate.ai.wire import lines
from pipulate.core.fields import dumps
from pipulate.core.problems import Problem
from pipulate.core.store import Row

FIRST, BETWEEN, TOTAL = 60.0, 30.0, 600.0  # seconds: first token, between tokens, whole answer
TEXT = 1_000_000  # characters of one answer
LARGEST = 10_000_000  # bytes of it, with what the protocol puts around each token
SMALLEST = 8_192  # tokens of the context that Ollama is asked for, at least
OPEN, CLOSE = "<think>", "</think>"
GO_ON = "Say “go on” to continue."
END = re.compile(r'_reason": ?"(\w+)|"done": ?true|\[DONE]')  # and why
SPELL = '\nTo call a tool, answer with JSON alone: {"name": …, "arguments": {…}}. The tools: '


class Thought(str):
    """What the model thinks before it answers."""


class Thinking:
    """Tells what stands between OPEN and CLOSE, at the beginning, from what is said."""

    def __init__(self) -> None:
        self.rest, self._mark, self._space = "", OPEN, False

    def parts(self, text: str) -> Iterator[str]:
        """What is certain by now; `rest` may still become either."""
        self.rest += text
        if self._mark == OPEN:
            head = self.rest.lstrip()
            if head != OPEN and OPEN.startswith(head):
                return
            self._mark = ""
            if head.startswith(OPEN):
                self._mark, self.rest = CLOSE, head[len(OPEN) :]
        if self._mark == CLOSE:
            said, mark, after = self.rest.partition(CLOSE)
            if mark:
                self._mark, self._space, self.rest = "", True, after
            else:  # the mark may have begun
                cut = next((n for n in range(len(CLOSE), 0, -1) if said.endswith(CLOSE[:n])), 0)
                said, self.rest = said[: len(said) - cut], said[len(said) - cut :]
            if said:
                yield Thought(said)
        if not self._mark and (said := self.rest.lstrip() if self._space else self.rest):
            self.rest, self._space = "", False
            yield said

    def end(self) -> str:
        return Thought(self.rest) if self._mark == CLOSE else self.rest


@dataclass(frozen=True)
class Model:
    """A model on a server; `ollama` says which protocol it speaks, `context` is in tokens."""

    url: str
    name: str
    ollama: bool
    key: str = field(default="", repr=False)
    context: int = SMALLEST
    wait: float = 0.0  # seconds for its first token, if not FIRST

    async def stream(
        self, messages: list[Row], tools: list[Row], schema: Row | None = None
    ) -> AsyncIterator[str | Call]:
        """Send a conversation; yields text and Thoughts as they come, then the calls.

        `schema`: what the text has to fit, where the server knows how. Raises Problem."""
        calls, thinking, size, last = dict[int, Call](), Thinking(), 0, ""
        try:
            async with aclosing(self._lines(self._body(messages, tools, schema))) as answer:
                async for line in answer:
                    for part in self._parts(line, calls, thinking):
                        yield part
                        size += len(part)
                    if size > TEXT:
                        raise Problem("The answer had no end and was cut.", GO_ON)
                    last = last[-999:] + line
                    if "[DONE]" in line[-8:]:
                        break
        except TimeoutError:
            raise Problem("The model stopped answering.", "Send it again, or restart it.") from None
        except Problem as problem:
            if "code" not in problem.details or not (schema or tools and "tool" in str(problem)):
                raise
            # it knows no schemas, or its model calls no tools: it is told them
            async for part in self.stream(spelled(messages, tools), []):
                yield part
            return
        if thinking.rest:
            yield thinking.end()
        if not (ended := END.findall(last)):
            raise Problem("The answer broke off.", "Retry asks for it again.", broken=True)
        if "length" in ended:
            raise Problem("The model came to its limit: the answer is cut off.", GO_ON)
        for call in calls.values():
            yield call

    def _parts(self, line: str, calls: dict[int, Call], thinking: Thinking) -> Iterator[str]:
        said = _message(line)
        try:
            thought = said.get("reasoning_content") or said.get("reasoning")
            if thought := thought or said.get("thinking"):
                yield Thought(thought)
            yield from thinking.parts(said.get("content") or "")
            for piece in said.get("tool_calls") or []:
                named = (piece.get("function") or {}).get("name")
                index = piece.get("index", len(calls) - (not named))
                if named and index in calls and calls[index].arguments[-1:] == "}":
                    index = len(calls)  # not all number them
                calls.setdefault(index, Call()).join(piece)
        except (AttributeError, TypeError):
            raise _wrong(line) from None

    def _body(self, messages: list[Row], tools: list[Row], schema: Row | None) -> Row:
        body = {"model": self.name, "messages": [*map(self._sent, messages)], "stream": True}
        if tools:
            body["tools"] = [*map(_offer, tools)]
        if self.ollama:
            body["options"] = {"num_ctx": self._window(body)}
        if schema and self.ollama:
            body["format"] = schema
        elif schema:
            named = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def _window(self, body: Row) -> int:
        # Ollama cuts silently what is longer, and loads anew for another size
        size, needed = SMALLEST, len(json.dumps(body)) // 3 + 1_024
        while size < needed:
            size *= 2
        return min(size, self.context)

    def _sent(self, message: Row) -> Row:
        sent = dict(message)
        if calls := sent.pop("calls", []):
            sent["tool_calls"] = [self._call(**call) for call in calls]
        return sent

    def _call(self, id: str, name: str, arguments: Row) -> Row:
        given = arguments if self.ollama else json.dumps(arguments)
        return {"id": id, "type": "function", "function": {"name": name, "arguments": given}}

    def _lines(self, body: Row) -> AsyncGenerator[str]:
        at = self.url + ("/api/chat" if self.ollama else "/v1/chat/completions")
        return lines(at, self.key, body, self.wait or FIRST, BETWEEN, TOTAL, LARGEST)


def spelled(messages: list[Row], tools: list[Row]) -> list[Row]:
    """A conversation without tool calls: tools, calls and results are told in words."""
    told = list[Row]()
    for message in messages:
        role, text = message["role"], message["content"]
        if role == "tool":
            role, text = "user", f"Result of {message['tool_name']} (data): {text}"
        told.append({"role": role, "content": text or dumps(message.get("calls"))})
    if tools:
        told[0]["content"] += SPELL + dumps([_offer(tool)["function"] for tool in tools])
    return told


def _message(line: str) -> Row:
    """{content, tool_calls}, or nothing, of one line of either stream."""
    kind, _, text = line.partition(":")
    if kind.strip() in ("", "event", "id", "retry") or text.strip() == "[DONE]":
        return {}
    if "error" in (said := loaded(text if kind == "data" else line)):
        error = said["error"]
        told = error.get("message") if isinstance(error, dict) else error
        raise Problem(f"The model server said: {str(told)[:200]}", "Check the model.")
    try:
        choice = (said.get("choices") or [said])[0]
        return {**(choice.get("delta") or choice.get("message") or {})}
    except (AttributeError, TypeError, LookupError):
        raise _wrong(line) from None


def loaded(line: str) -> Row:
    """The JSON object of a server's line. Raises Problem."""
    try:
        return {**json.loads(line)}
    except (ValueError, RecursionError, TypeError):
        raise _wrong(line) from None


def _wrong(line: str) -> Problem:
    return Problem(f"The model server answered wrongly: {line[:200]}", "Check its address and log.")


def _offer(tool: Row) -> Row:
    about = {"name": tool["name"], "description": tool["description"][:500]}
    return {"type": "function", "function": {**about, "parameters": tool["schema"]}}
