"""The stand-in model server itself: both protocols, every fault, and what it counts."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from model_server import ModelServer, Reply

OPENAI, OLLAMA = "/v1/chat/completions", "/api/chat"
PATHS = [OPENAI, OLLAMA]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    before = set(threading.enumerate())
    with ModelServer() as server:
        yield server
    assert set(threading.enumerate()) <= before


def ask(server: ModelServer, path: str, said: str = "hi", **more: Any) -> Any:
    """Open the stream of one answer."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": said}], **more}
    return httpx2.stream("POST", server.url + path, json=body, timeout=0.5)


def events(response: Any, path: str) -> Iterator[dict[str, Any]]:
    """The JSON of an answer, however it is framed."""
    for line in response.iter_lines():
        text = line.removeprefix("data: ") if path == OPENAI else line
        if text and text != "[DONE]":
            yield json.loads(text)


def message(event: dict[str, Any], path: str) -> dict[str, Any]:
    return event["choices"][0]["delta"] if path == OPENAI else event["message"]


def texts(server: ModelServer, path: str) -> list[str]:
    """The pieces of content of one answer."""
    with ask(server, path) as response:
        found = [message(event, path).get("content") for event in events(response, path)]
    return [text for text in found if text]


@pytest.mark.parametrize("path", PATHS)
def test_text_comes_in_words(server: ModelServer, path: str) -> None:
    server.script("Bonjour à  tous\n", Reply(token_list=["a", "b c"]))
    assert texts(server, path) == ["Bonjour", " à", "  tous", "\n"]
    assert texts(server, path) == ["a", "b c"]
    assert "".join(texts(server, path)) == "You said: hi"
    assert [request["path"] for request in server.requests] == [path] * 3
    assert server.requests[0]["messages"][0]["content"] == "hi"
    assert server.wait(lambda s: s.connected == 0) and server.cancelled == 0


def test_openai_pieces(server: ModelServer) -> None:
    args = [{"name": "x" * 50}, '{"broken": ']
    server.script(Reply("ok", [("add", args[0]), ("drop", args[1])], thinking="let me see"))
    with ask(server, OPENAI, stream_options={"include_usage": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    found = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert found[-1]["choices"] == [] and found[-1]["usage"]["completion_tokens"] == 1
    assert found[-2]["choices"][0]["finish_reason"] == "tool_calls"
    deltas = [event["choices"][0]["delta"] for event in found[:-1]]
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "let me see"
    pieces = [call for d in deltas for call in d.get("tool_calls", [])]
    assert [c["function"]["name"] for c in pieces if "id" in c] == ["add", "drop"]
    joined = ["", ""]
    for call in pieces:
        joined[call["index"]] += call["function"]["arguments"]
    assert json.loads(joined[0]) == args[0] and joined[1] == args[1]
    assert len(pieces) > 10


def test_ollama_whole_calls(server: ModelServer) -> None:
    server.script(Reply("ok", [("add", {"x": 1}), ("bad", "raw")], thinking="let me see"))
    with ask(server, OLLAMA) as response:
        found = list(events(response, OLLAMA))
    calls = [call["function"] for e in found for call in e["message"].get("tool_calls", [])]
    assert calls == [{"name": "add", "arguments": {"x": 1}}, {"name": "bad", "arguments": "raw"}]
    assert "".join(e["message"].get("thinking", "") for e in found) == "let me see"
    assert [event["done"] for event in found] == [False] * (len(found) - 1) + [True]
    assert found[-1]["eval_count"] == 1


def test_callables_and_repeat() -> None:
    with ModelServer("first", lambda body: body["messages"][-1]["content"], repeat=True) as server:
        assert [texts(server, OLLAMA) for _ in range(3)] == [["first"], ["hi"], ["hi"]]


def test_other_pages(server: ModelServer) -> None:
    def get(path: str) -> Any:
        return httpx2.get(server.url + path).json()

    assert get("/v1/models")["data"][0]["id"] == get("/api/tags")["models"][0]["name"]
    assert get("/api/version")["version"]
    assert "tools" in httpx2.post(server.url + "/api/show", json={}).json()["capabilities"]
    assert server.requests == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset", httpx2.ReadError),
        ("stall", httpx2.ReadTimeout),
        ("stall_mid", httpx2.ReadTimeout),
        ("garbage", json.JSONDecodeError),
        ("wrong_json", (LookupError, TypeError, AttributeError)),
        ("html", json.JSONDecodeError),
    ],
)
def test_faults_that_break_a_client(server: ModelServer, path: str, fault: str, error: Any) -> None:
    server.script(Reply("one two three four", fault=fault), "better")
    heard = []
    with pytest.raises(error), ask(server, path) as response:
        for event in events(response, path):
            heard += [text] if (text := message(event, path).get("content")) else []
    assert heard == ([] if fault in ("stall", "html") else ["one", " two"])
    assert server.wait(lambda s: s.connected == 0)
    assert server.wait(lambda s: s.cancelled == ("stall" in fault))
    assert texts(server, path) == ["better"]


@pytest.mark.parametrize("path", PATHS)
def test_500_and_bad_utf8(server: ModelServer, path: str) -> None:
    server.script(Reply(fault="http500"), Reply("one two", fault="bad_utf8"))
    with ask(server, path) as response:
        assert response.status_code == 500
    with ask(server, path) as response, pytest.raises(UnicodeDecodeError):
        b"".join(response.iter_bytes()).decode()


def test_fault_after_some_chunks(server: ModelServer) -> None:
    server.script(Reply("one two three", fault="garbage", after=1))
    heard = []
    with pytest.raises(json.JSONDecodeError), ask(server, OLLAMA) as response:
        for event in events(response, OLLAMA):
            heard.append(event["message"]["content"])
    assert heard == ["one"]
    with pytest.raises(AssertionError):
        Reply(fault="no such fault")


@pytest.mark.parametrize("path", PATHS)
def test_leaving_an_endless_answer_is_counted(server: ModelServer, path: str) -> None:
    server.script(Reply("round and round ", fault="endless"))
    with ask(server, path) as response:
        stream = events(response, path)
        heard = [message(next(stream), path)["content"] for _ in range(1000)]
        assert heard.count("round") > 100 and server.connected == 1
    assert server.wait(lambda s: s.cancelled == 1 and s.connected == 0)


@pytest.mark.alone
def test_delays(server: ModelServer) -> None:
    server.script(Reply("a b c", first_delay=0.1, delay=0.05))
    start = time.monotonic()
    assert texts(server, OLLAMA) == ["a", " b", " c"]
    assert 0.2 <= time.monotonic() - start < 1


@pytest.mark.alone
def test_stopping_with_open_streams() -> None:
    with ModelServer(Reply(fault="stall")) as server:
        args = (httpx2.HTTPError, texts, server, OLLAMA)
        client = threading.Thread(target=pytest.raises, args=args)
        client.start()
        assert server.wait(lambda s: s.connected == 1)
        start = time.monotonic()
    client.join()
    assert time.monotonic() - start < 2 and server.cancelled == 0


@pytest.mark.alone
def test_20000_tokens(server: ModelServer) -> None:
    server.script(Reply(token_list=["tok "] * 20_000))
    with ask(server, OPENAI) as response:
        assert b"".join(response.iter_raw()).count(b'"tok "') == 20_000


def test_command() -> None:
    command = [sys.executable, Path(__file__).with_name("model_server.py"), "--tokens", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            assert httpx2.post(url + OLLAMA, json={"messages": []}).text.count("word") == 3
        finally:
            process.terminate()
