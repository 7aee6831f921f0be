"""Tool calls that models print as text: which replies are calls, and which only talk of one."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipulate.ai.calls import Call, printed
from pipulate.core.problems import Problem

KNOWN = {"task_add", "task_list", "note_add"}
ONE = '{"name": "task_add", "arguments": {"title": "Milk"}}'
TWO = '{"name": "task_list", "arguments": {}}'
MILK, LIST = ("task_add", {"title": "Milk"}), ("task_list", {})


def read(text):
    return [(call.name, call.values()) for call in printed(text, KNOWN)]


ARE_CALLS = {
    "bare": (ONE, [MILK]),
    "bare with space around": (f"\n\n  {ONE}\n", [MILK]),
    "over several lines": (json.dumps(json.loads(ONE), indent=4), [MILK]),
    "fenced": (f"```json\n{ONE}\n```", [MILK]),
    "fenced without a word": (f"```\n{ONE}\n```", [MILK]),
    "fenced as a tool call": (f"```tool_call\n{ONE}\n```", [MILK]),
    "fenced on one line": (f"```json {ONE} ```", [MILK]),
    "a fence that was not closed": (f"```json\n{ONE}", [MILK]),
    "in a tag": (f"<tool_call>{ONE}</tool_call>", [MILK]),
    "in a tag over lines": (f"<tool_call>\n{ONE}\n</tool_call>\n", [MILK]),
    "in a tag that was not closed": (f"<tool_call>\n{ONE}", [MILK]),
    "in another tag": (f"<function_call>{ONE}</function_call>", [MILK]),
    "in a short tag": (f"<tool>{ONE}</tool>", [MILK]),
    "in a tag and a fence": (f"<tool_call>\n```json\n{ONE}\n```\n</tool_call>", [MILK]),
    "Mistral's mark": (f"[TOOL_CALLS][{ONE}]", [MILK]),
    "Llama's mark": (f"<|python_tag|>{ONE}<|eom_id|>", [MILK]),
    "a list": (f"[{ONE}, {TWO}]", [MILK, LIST]),
    "a list in a fence": (f"```json\n[{ONE}]\n```", [MILK]),
    "two in a row": (f"{ONE}\n{TWO}", [MILK, LIST]),
    "two with a comma": (f"{ONE}, {TWO}", [MILK, LIST]),
    "two with a semicolon": (f"{ONE}; {TWO}", [MILK, LIST]),
    "two tags": (f"<tool_call>{ONE}</tool_call>\n<tool_call>{TWO}</tool_call>", [MILK, LIST]),
    "two fences": (f"```json\n{ONE}\n```\n\n```json\n{TWO}\n```", [MILK, LIST]),
    "the same twice": (ONE + ONE, [MILK, MILK]),
    "OpenAI's form": (f'{{"type": "function", "function": {ONE}}}', [MILK]),
    "OpenAI's form with text for arguments": (
        '{"function": {"name": "task_add", "arguments": "{\\"title\\": \\"Milk\\"}"}}',
        [MILK],
    ),
    "parameters": ('{"name": "task_add", "parameters": {"title": "Milk"}}', [MILK]),
    "args": ('{"tool": "task_add", "args": {"title": "Milk"}}', [MILK]),
    "action and input": ('{"action": "task_add", "input": {"title": "Milk"}}', [MILK]),
    "function as a name": ('{"function": "task_add", "arguments": {"title": "Milk"}}', [MILK]),
    "as OpenAI wraps them": (f'{{"tool_calls": [{ONE}, {TWO}]}}', [MILK, LIST]),
    "a brace too many": (f"{ONE}}}", [MILK]),
    "Phi's mark": (f"<|tool_call|>[{ONE}]<|/tool_call|>", [MILK]),
    "Qwen's other tag": (f"<tools>{ONE}</tools>", [MILK]),
    "a mark of the end": (f"{ONE}<|im_end|>", [MILK]),
    "an old mark of the end": (f"{ONE}</s>", [MILK]),
    "tool and its input": ('{"tool": "task_add", "tool_input": {"title": "Milk"}}', [MILK]),
    "action input": ('{"action": "task_add", "action_input": {"title": "Milk"}}', [MILK]),
    "no arguments": ('{"name": "task_list"}', [LIST]),
    "marks inside a value are the value's": (
        json.dumps({"name": "task_add", "arguments": {"title": "```json <tool> [TOOL_CALLS]"}}),
        [("task_add", {"title": "```json <tool> [TOOL_CALLS]"})],
    ),
    "other letters": (
        '{"name": "task_add", "arguments": {"title": "牛乳 🥛"}}',
        [("task_add", {"title": "牛乳 🥛"})],
    ),
}
ARE_NONE = {
    "nothing": "",
    "space": "  \n ",
    "prose": "I would add a task now.",
    "quoted in prose": f"You could call {ONE} to add it.",
    "prose, then a fence": f"This adds it:\n```json\n{ONE}\n```",
    "a fence, then prose": f"```json\n{ONE}\n```\nShall I?",
    "prose between two": f"{ONE}\nand then\n{TWO}",
    "a tag in prose": f"Write <tool_call>{ONE}</tool_call> and it runs.",
    "a bullet": f"- {ONE}",
    "in quotation marks": f"“{ONE}”",
    "inline code": f"`{ONE}`",
    "another language": f"```python\n{ONE}\n```",
    "a tool that is not there": '{"name": "rm_rf", "arguments": {}}',
    "one of two is not there": f'{ONE}\n{{"name": "rm_rf"}}',
    "a name of none, then an object": 'rm_rf {"title": "Milk"}',
    "calls that are none": '{"tool_calls": 5}',
    "an object with a list of names": '{"tool_calls": ["task_add"]}',
    "a nameless object": '{"arguments": {"title": "Milk"}}',
    "an empty name": '{"name": "", "arguments": {}}',
    "a name that is no text": '{"name": 5, "arguments": {}}',
    "an object of another kind": '{"title": "Milk", "done": false}',
    "a number": "42",
    "a text": '"task_add"',
    "null": "null",
    "an empty list": "[]",
    "a list of names": '["task_add", "task_list"]',
    "a list within a list": f"[[{ONE}]]",
    "a call and a number": f"{ONE} 42",
    "cut off": ONE[:-3],
    "single quotes": "{'name': 'task_add', 'arguments': {'title': 'Milk'}}",
    "a comment": f"{ONE} // adds milk",
    "a trailing comma within": '{"name": "task_add", "arguments": {"title": "Milk",}}',
    "deep": "[" * 100_000,
    "deep in the arguments": '{"name": "task_add", "arguments": ' + "[" * 100_000,
}


@pytest.mark.parametrize("text, calls", ARE_CALLS.values(), ids=ARE_CALLS)
def test_a_reply_that_is_nothing_but_calls_is_these(text, calls):
    assert read(text) == calls


@pytest.mark.parametrize("text", ARE_NONE.values(), ids=ARE_NONE)
def test_a_reply_that_says_anything_else_is_none(text):
    assert printed(text, KNOWN) == []


def test_each_has_an_id_of_its_own():
    assert len({call.id for call in printed(f"{ONE}{ONE}{TWO}", KNOWN)}) == 3


MEGABYTE = 1_000_000
LONG = {
    "a long value": f'{{"name": "task_add", "arguments": {{"title": "{"x" * MEGABYTE}"}}}}',
    "prose": "word " * (MEGABYTE // 5),
    "opening tags": "<tool_call>" * (MEGABYTE // 11),
    "fences": "```" * (MEGABYTE // 3),
    "a fence and empty lines": "```" + "\n" * MEGABYTE,
    "empty lines and a word": "\n" * MEGABYTE + "x",
    "objects": "{}" * (MEGABYTE // 2),
    "calls": TWO * (MEGABYTE // len(TWO)),
    "brackets": "[" * MEGABYTE,
    "quotes": '"' * MEGABYTE,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_megabyte_takes_no_more_than_its_time(text):
    begun = time.process_time()
    printed(text, KNOWN)
    assert time.process_time() - begun < 1


@given(
    st.text(
        alphabet=st.sampled_from('{}[]":,`<>/ \n\\ntask_addnameargumentsjsontool_call'), max_size=80
    )
)
def test_no_text_is_a_fault(text):
    assert all(call.name in KNOWN for call in printed(text, KNOWN))


# -- native calls, in pieces -------------------------------------------------------------------


def piece(name="", arguments="", **more):
    return {"function": {"name": name, "arguments": arguments}, **more}


@given(st.dictionaries(st.text(max_size=5), st.text() | st.integers(), max_size=4), st.data())
def test_arguments_in_any_pieces_are_the_whole(values, data):
    text = json.dumps(values)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    call = Call(id="")
    call.join(piece("task_add", id="c1"))
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        call.join(piece(arguments=text[start:end]))
    assert (call.name, call.id, call.values()) == ("task_add", "c1", values)


def test_arguments_that_come_as_an_object_are_kept_as_json():
    call = Call()
    call.join(piece("task_add", {"title": "Milk"}))
    assert call.values() == {"title": "Milk"} and call.id.startswith("call-")


@pytest.mark.parametrize("odd", [{}, {"function": None}, {"function": {}}, {"id": None}])
def test_a_piece_without_anything_changes_nothing(odd):
    call = Call("a", "{}", "c")
    call.join(odd)
    assert call == Call("a", "{}", "c")


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", "5", '"x"', "[" * 5_000, '{"a": ' + "1" * 5_000]
)
def test_arguments_that_are_no_object_are_refused_with_a_reason(text):
    with pytest.raises(Problem) as raised:
        Call("x", text).values()
    assert raised.value.next_step


def test_no_arguments_at_all_are_none():
    assert Call("x").values() == {}
