"""The five probes of a model: each tells what can be expected of it."""

import re

import pytest

from model_server import ModelServer, Reply
from pipulate.ai import models
from pipulate.ai.models import Model
from pipulate.ai.probes import PROBES, probes

NUMBERS = [f"n{n} " for n in range(40)]


def code(body):
    """What an attentive model answers."""
    return re.search(r"The code is (\w+)", body["messages"][-1]["content"])[1]


def good():
    call, counting = [("look_up", {"city": "Oslo"})], Reply(token_list=NUMBERS, delay=0.002)
    return [counting, '{"colour": "red"}', Reply(tools=call), code, counting, "yes"]


@pytest.fixture
def probed(run):
    """probed(*replies): {probe: (whether it can, what to expect)}, and what was asked."""

    def probing(*replies, ollama=False, context=8_192):
        async def all_of_it(model):
            return [found async for found in probes(model)]

        with ModelServer(*replies) as server:
            found = run(all_of_it(Model(server.url, "m", ollama, context=context)))
        assert [name for name, _, said in found if not said] == [*PROBES], "each is told beforehand"
        return {name: (able, said) for name, able, said in found if said}, server

    return probing


@pytest.mark.parametrize("ollama", [False, True])
def test_of_a_good_model_much_can_be_expected(probed, ollama):
    found, server = probed(*good(), ollama=ollama)
    assert [able for able, _ in found.values()] == [True] * 5, found
    words = ("pieces a second", "(red)", "apps and pipelines", "6,144 tokens ago", "after Stop")
    for (_, said), word in zip(found.values(), words, strict=True):
        assert word in said
    assert server.cancelled == 1, "what is not waited for is ended"


def test_the_prompt_that_is_to_be_remembered_fills_most_of_the_context(probed):
    _, server = probed(*good(), context=4_000)
    size = len(server.requests[3]["messages"][0]["content"]) / 3.2
    assert 2_800 < size < 3_200


def test_a_call_that_is_printed_counts_and_is_said_to_be_printed(probed):
    replies = good()
    replies[2] = '<tool_call>{"name": "look_up", "arguments": {"city": "Oslo"}}</tool_call>'
    able, said = probed(*replies)[0]["Calls a tool"]
    assert able and "as text" in said


def test_of_a_poor_model_it_is_said_what_cannot_be_expected(probed):
    replies = [
        "one",
        "no",
        "still no",
        "no!",
        "It rains.",
        "I forgot",
        "no",
        Reply(fault="http500"),
    ]
    found, _ = probed(*replies)
    words = ("one piece", "no answer that fits", "will not do", "cut", "answered 500")
    for (able, said), word in zip(found.values(), words, strict=True):
        assert not able and word in said


def test_a_model_that_hangs_is_told_of_and_the_other_probes_go_on(probed, monkeypatch):
    monkeypatch.setattr(models, "FIRST", 0.2)
    found, _ = probed(Reply(fault="stall"), *good()[1:])
    assert found["Streams"] == (False, "The model stopped answering. Send it again, or restart it.")
    assert found["Holds its context"][0]
