"""A model on its server: what is sent to it, and what of its stream is understood."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server import ModelServer, Reply
from pipulate.ai.models import SMALLEST, Model, Thinking, Thought, _message
from pipulate.core.problems import Problem

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


@pytest.mark.parametrize("fault", ["html", "http500", "reset", "garbage", "wrong_json"])
def test_a_fault_is_a_problem_that_says_what_came(hear, fault):
    with pytest.raises(Problem) as raised:
        hear(Reply("some words before it", fault=fault))
    assert raised.value.next_step and len(raised.value.what) < 400


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
    "line",
    [
        "<html>",
        "data: <html>",
        "data: [",
        "oops",
        '{"error": 1',
        "data: 5",
        "data: null",
        'data: {"choices": 5}',
        'data: {"choices": [5]}',
        'data: {"choices": [[]]}',
        'data: {"choices": [{"delta": "x"}]}',
        '{"message": ["x"]}',
        '{"message": "x"}',
        "data: " + "[" * 100_000,
    ],
)
def test_a_line_that_is_no_protocol_is_a_problem(line):
    with pytest.raises(Problem) as raised:
        _message(line)
    assert "answered wrongly" in raised.value.what and len(raised.value.what) < 300


@pytest.mark.parametrize("said", ['"no such model"', '{"message": "out of memory"}', "null"])
def test_an_error_in_the_stream_is_told_as_the_server_says_it(said):
    with pytest.raises(Problem, match="The model server said"):
        _message(f'data: {{"error": {said}}}')
    with pytest.raises(Problem, match="said: out of memory. Check"):
        _message('data: {"error": {"message": "out of memory", "code": 500}}')


@pytest.mark.parametrize(
    "line",
    [
        'data: {"choices": [{"delta": {"content": "and"}, "finish_reason": "length"}]}',
        '{"message": {"content": "and"}, "done": true, "done_reason": "length"}',
    ],
)
def test_an_answer_that_ends_at_the_model_s_limit_is_not_taken_for_a_whole_one(
    run, monkeypatch, line
):
    async def lines(self, body):
        yield line

    async def stream():
        async for piece in Model("http://x", "x", False).stream([], []):
            came.append(piece)

    came = []
    monkeypatch.setattr(Model, "_lines", lines)
    with pytest.raises(Problem, match="cut off. Say “go on” to continue."):
        run(stream())
    assert came == ["and"]


def told(run, monkeypatch, *said, ollama=False):
    """What comes of these lines of a server, and the Problem at their end, if any."""

    async def lines(self, body):
        for line in said:
            yield line

    async def stream():
        async for piece in Model("http://x", "x", ollama).stream([], []):
            came.append(piece)

    came, problem = [], None
    monkeypatch.setattr(Model, "_lines", lines)
    try:
        run(stream())
    except Problem as error:
        problem = error
    return came, problem


def delta(finish=None, **said):
    return "data: " + json.dumps({"choices": [{"delta": said, "finish_reason": finish}]})


def calling(name, arguments, **more):
    return delta(tool_calls=[{"function": {"name": name, "arguments": arguments}, **more}])


@pytest.mark.parametrize(
    "lines",
    [
        [delta(content="Half an"), calling("undo", "", index=0)],
        ['{"message": {"content": "Half an"}, "done": false}'],
    ],
    ids=["OpenAI", "Ollama"],
)
def test_half_a_call_of_an_answer_that_was_cut_off_without_a_word_was_made(run, monkeypatch, lines):
    came, problem = told(run, monkeypatch, *lines)
    assert came == ["Half an"], "no call: a server that tells no length just hangs up"
    assert "broke off" in problem.what and problem.details["broken"]


@pytest.mark.parametrize(
    "end",
    [
        ["data: [DONE]"],
        [delta("stop")],
        [delta("tool_calls"), "data: " + json.dumps({"choices": [], "usage": {"n": 1}})],
        ['{"message": {"content": ""}, "done": true}'],
        ['{"message": {"content": ""}, "done": true, "done_reason": "stop"}'],
    ],
)
def test_an_answer_that_tells_its_end_in_any_way_is_whole(run, monkeypatch, end):
    came, problem = told(run, monkeypatch, delta(content="All"), *end)
    assert came == ["All"] and problem is None


def test_an_answer_that_said_its_end_waits_for_no_hanging_up(run, monkeypatch):
    said = [delta(content="All"), "data: [DONE]\r", delta(content="of a server that stays")]
    assert told(run, monkeypatch, *said) == (["All"], None)


ONE, TWO = ("task_add", '{"title": "A"}'), ("note_list", "{}")


@pytest.mark.parametrize(
    "lines",
    [
        [calling(*ONE, id="a"), calling(*TWO, id="b")],
        [calling(*ONE, id="a", index=0), calling(*TWO, id="b", index=0)],
        [calling(*ONE, index=None), calling(*TWO, index=1)],
        [calling("task_add", '{"title":', index=0), calling("task_add", ' "A"}', index=0),
         calling(*TWO, index=1)],
        [calling("task_add", '{"title":'), calling(None, ' "A"}'), calling("note_list", "")],
    ],
    ids=["no numbers", "all number 0", "null", "the name with each piece", "pieces, no numbers"],
)  # fmt: skip
def test_calls_of_a_server_that_does_not_number_them_became_one(run, monkeypatch, lines):
    came, problem = told(run, monkeypatch, *lines, "data: [DONE]")
    assert [(call.name, call.values()) for call in came] == [
        ("task_add", {"title": "A"}),
        ("note_list", {}),
    ]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_under_each_of_their_names_are_thoughts_and_told_once(run, monkeypatch, name):
    said = {name: "Hm.", "reasoning": "Hm."}
    came, _ = told(run, monkeypatch, delta(**said), delta("stop", content="Yes."))
    assert came == ["Hm.", "Yes."] and [type(piece) for piece in came] == [Thought, str]


def test_an_answer_of_long_pieces_without_end_is_cut_at_a_megabyte(run, monkeypatch):
    async def lines(self, body):
        while True:
            yield json.dumps({"message": {"content": "x" * 50_000}})

    async def stream():
        async for piece in Model("http://x", "x", True).stream([], []):
            came.append(len(piece))

    came = []
    monkeypatch.setattr(Model, "_lines", lines)
    with pytest.raises(Problem, match="no end"):
        run(stream())
    assert 1_000_000 <= sum(came) <= 1_100_000


ODD = {
    "content is a list": {"content": [{"type": "text"}]},
    "content is a number": {"content": 5},
    "a call is a text": {"tool_calls": ["task_add"]},
    "calls are a number": {"tool_calls": 5},
    "a name is a number": {"tool_calls": [{"function": {"name": 5}}]},
    "an index is a list": {"tool_calls": [{"index": [], "function": {}}]},
}


@pytest.mark.parametrize("message", ODD.values(), ids=ODD)
def test_a_message_of_other_types_is_a_problem_and_no_fault(run, monkeypatch, message):
    async def lines(self, body):
        yield "data: " + json.dumps({"choices": [{"delta": message}]})

    async def stream():
        return [piece async for piece in Model("http://x", "x", False).stream([], [])]

    monkeypatch.setattr(Model, "_lines", lines)
    with pytest.raises(Problem, match="answered wrongly"):
        run(stream())


# -- what is sent ------------------------------------------------------------------------------


def test_ollama_is_asked_for_a_context_that_grows_with_the_prompt(run):
    def asked(characters, context):
        with ModelServer("ok") as server:

            async def ask():
                model = Model(server.url, "stand-in", True, context=context)
                said = [{"role": "user", "content": "x" * characters}]
                return [piece async for piece in model.stream(said, [])]

            run(ask())
            return server.requests[-1]["options"]["num_ctx"]

    sizes = [asked(n, 131_072) for n in (10, 20_000, 40_000, 100_000, 300_000)]
    assert sizes == sorted(sizes) and sizes[0] == SMALLEST
    for characters, size in zip((10, 20_000, 40_000, 100_000, 300_000), sizes, strict=True):
        assert size >= characters / 3 and size & (size - 1) == 0, "powers of two: it loads anew"
    assert asked(300_000, 16_384) == 16_384, "never more than the model has"


def test_a_key_is_in_no_text_of_a_model(run):
    """What is logged or shown of a model is its repr at most."""
    with ModelServer(Reply(fault="http500")) as server:

        async def ask():
            async for _ in Model(server.url, "m", False, key="sk-planted").stream([], []):
                pass

        with pytest.raises(Problem) as raised:
            run(ask())
        assert "sk-planted" not in str(raised.value) + json.dumps(server.requests)
    assert "sk-planted" not in repr(Model("http://x", "m", False, key="sk-planted"))


@pytest.mark.parametrize("ollama", [False, True])
def test_a_schema_is_sent_as_the_protocol_wants_it(ollama):
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}}
    body = Model("http://x", "m", ollama)._body([], [], schema)
    known = body["format"] if ollama else body["response_format"]["json_schema"]["schema"]
    assert known == schema


# -- thinking ----------------------------------------------------------------------------------


def heard(pieces):
    """(thoughts, text) of a stream that comes in these pieces."""
    thinking, found = Thinking(), []
    for piece in pieces:
        found += thinking.parts(piece)
    found += [thinking.end()] if thinking.rest else []
    thoughts = "".join(part for part in found if isinstance(part, Thought))
    return thoughts, "".join(part for part in found if not isinstance(part, Thought))


SAID = {
    "thinks, then speaks": ("<think>Hm, 2 + 2.</think>\n\nIt is 4.", "Hm, 2 + 2.", "It is 4."),
    "begins with space": ("\n <think>Hm.</think> Yes.", "Hm.", "Yes."),
    "thinks nothing": ("<think>\n</think>\n\nYes.", "\n", "Yes."),
    "speaks only": ("It is 4.", "", "It is 4."),
    "speaks after space": ("\n\n It is 4.", "", "\n\n It is 4."),
    "speaks of the mark": ("Write <think>x</think> so.", "", "Write <think>x</think> so."),
    "has another tag": ("<thing>x</thing>", "", "<thing>x</thing>"),
    "never ends to think": ("<think>On and on </thin", "On and on </thin", ""),
    "begins a mark alone": ("<thi", "", "<thi"),
    "marks within a thought": ("<think>a < b </ c</think>d", "a < b </ c", "d"),
    "thinks twice": ("<think>a</think>b <think>c</think>", "a", "b <think>c</think>"),
    "nothing": ("", "", ""),
}


@pytest.mark.parametrize("said, thought, text", SAID.values(), ids=SAID)
@given(data=st.data())
def test_what_is_thought_is_told_apart_wherever_the_stream_is_cut(said, thought, text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=12)))
    pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    assert heard(pieces) == (thought, text)


@given(st.lists(st.text(alphabet="<>/think \nab", max_size=6), max_size=12))
def test_however_it_is_cut_it_means_the_same(pieces):
    assert heard(pieces) == heard(["".join(pieces)])


def test_what_can_be_told_is_told_at_once():
    thinking = Thinking()
    assert [*thinking.parts("<think>a long")] == ["a long"]
    assert [*thinking.parts(" thought</th")] == [" thought"]
    assert [*thinking.parts("ink>\nHello")] == ["Hello"] and [*thinking.parts(" \n")] == [" \n"]


def test_thoughts_of_servers_that_tell_them_apart_are_thoughts(run, ollama):
    with ModelServer(Reply("It is 4.", thinking="Two and two")) as server:

        async def stream():
            model = Model(server.url, "stand-in", ollama)
            return [piece async for piece in model.stream([], [])]

        pieces = run(stream())
    assert "".join(p for p in pieces if isinstance(p, Thought)) == "Two and two"
    assert "".join(p for p in pieces if not isinstance(p, Thought)) == "It is 4."
