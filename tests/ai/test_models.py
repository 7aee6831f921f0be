"""Model servers: which one is found, and what of their streams is understood."""

import pytest

from model_server import ModelServer, Reply
from pipulate.ai.models import Call, Model, _message
from pipulate.ai.servers import find
from pipulate.core.problems import Problem
from pipulate.core.settings import Settings

PROTOCOLS = {"OpenAI": False, "Ollama": True}


@pytest.fixture(params=PROTOCOLS.values(), ids=PROTOCOLS)
def ollama(request):
    return request.param


@pytest.fixture
def hear(run, ollama):
    """hear(reply, messages): (text, calls) that the stream of one reply brings."""

    def hearing(reply, messages=(), tools=()):
        with ModelServer(reply) as server:

            async def stream():
                model = Model(server.url, "stand-in", ollama)
                text, calls = "", []
                async for piece in model.stream(list(messages), list(tools)):
                    if isinstance(piece, str):
                        text += piece
                    else:
                        calls.append((piece.name, piece.values()))
                return text, calls

            return *run(stream()), server.requests[-1]

    return hearing


def test_text_comes_in_pieces_that_join_to_the_whole(hear):
    assert hear("Grüße, 世界 🌍!\n\nTwo lines.")[0] == "Grüße, 世界 🌍!\n\nTwo lines."


def test_calls_are_put_together_from_their_pieces(hear):
    long = {"title": "long " * 100, "n": [1, 2, {"a": None}]}
    asked = hear(Reply("Wait.", tools=[("task_add", long), ("task_list", {})]))
    assert asked[:2] == ("Wait.", [("task_add", long), ("task_list", {})])


def test_tools_and_messages_are_sent_as_the_protocol_wants_them(hear, ollama):
    tool = {"name": "add", "description": "Adds.", "schema": {"type": "object"}, "class": "read"}
    said = [
        {"role": "user", "content": "add"},
        {
            "role": "assistant",
            "content": "",
            "calls": [{"id": "c1", "name": "add", "arguments": {"x": 1}}],
        },
        {"role": "tool", "content": "2", "tool_call_id": "c1", "tool_name": "add"},
    ]
    body = hear("ok", said, [tool])[2]
    assert body["stream"] is True and body["tools"][0]["function"]["name"] == "add"
    call = body["messages"][1]["tool_calls"][0]
    assert call["function"]["arguments"] == ({"x": 1} if ollama else '{"x": 1}')
    assert body["path"] == ("/api/chat" if ollama else "/v1/chat/completions")


@pytest.mark.parametrize("fault", ["html", "http500", "reset", "garbage"])
def test_a_fault_is_a_problem_that_says_what_came(hear, fault):
    with pytest.raises(Problem) as raised:
        hear(Reply("some words before it", fault=fault))
    assert raised.value.next_step and len(raised.value.what) < 400


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "5", '"x"', "[" * 5_000, '{"a": ' + "[" * 5_000]
)
def test_arguments_that_are_no_object_are_refused_with_a_reason(text):
    if not text:
        assert Call("x", text).values() == {}
        return
    with pytest.raises(Problem):
        Call("x", text).values()


@pytest.mark.parametrize(
    "line",
    [
        ": keep-alive",
        "event: message",
        "id: 5",
        "retry: 100",
        "data: [DONE]",
        "data:[DONE]",
        "data: {}",
        'data: {"choices": []}',
        'data: {"choices": [{"delta": null}]}',
    ],
)
def test_lines_of_the_event_stream_without_text_bring_nothing(line):
    assert _message(line) == {}


@pytest.mark.parametrize(
    "line", ["<html>", "data: <html>", "data: [", "oops", '{"error": 1', "data: 5"]
)
def test_a_line_that_is_no_protocol_is_a_problem(line):
    with pytest.raises(Problem) as raised:
        _message(line)
    assert "answered wrongly" in raised.value.what


def test_the_server_of_the_setting_is_used_and_its_first_model(run, tmp_path):
    with ModelServer() as server:
        for url in (server.url, f"{server.url}/v1"):
            found = run(find(Settings(home=tmp_path, model_url=url)))
            assert found == Model(server.url, "stand-in", False)
        named = run(find(Settings(home=tmp_path, model_url=server.url, model="mine")))
        assert named.name == "mine"
        llama = run(find(Settings(home=tmp_path, ollama_url=server.url)))
        assert llama == Model(server.url, "stand-in", True)


ODD = [
    [],
    {},
    {"data": None},
    {"data": "x"},
    {"data": [None]},
    {"data": [5]},
    {"data": [{}]},
    5,
    None,
]


@pytest.mark.parametrize("page", ODD, ids=map(str, ODD))
def test_a_server_that_lists_no_models_is_no_model(run, tmp_path, page):
    with ModelServer() as server:
        server.pages["/v1/models"] = page
        assert run(find(Settings(home=tmp_path, model_url=server.url))) is None


def test_where_nobody_answers_there_is_no_model(run, settings):
    assert run(find(settings)) is None
