"""One question to the model inside a step: the answer fits its type, or a Problem says why not."""

import asyncio
import json
import textwrap
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from model_server import ModelServer, Reply
from pipulate.ai.complete import complete, connect
from pipulate.ai.models import Model
from pipulate.core.fields import make_field
from pipulate.core.kinds import Url
from pipulate.core.problems import Problem
from pipulate.doors.door import Door

STEPS = """
    from typing import Annotated, Literal
    from pipulate import Between, Pipeline

    ask = Pipeline("Ask")

    @ask.step
    async def kind(job, page: str):
        return await job.model(f"Classify {page}", Literal["news", "shop"])

    @ask.step
    def count(job, kind):
        return job.model("How many?", Annotated[int, Between(1, 9)])

    @ask.step
    async def several(job, count):
        async def one(row):
            return await job.model(f"Say {row}")
        return await job.map(one, ["a", "b", "a"], at_once=1)
"""


@pytest.fixture
def asked(house, plugin, run, call):
    """asked(*replies, **inputs): what the pipeline gives with these replies, and the server."""
    assert plugin(STEPS, "ask").problem is None

    def asking(*replies, step=None, **inputs):
        with ModelServer(*replies) as server:
            url = {"model_url": server.url, "model": "stand-in"}
            house.settings = replace(house.settings, **url)
            connect(house)
            try:
                return call("ask_run", to_step=step, **inputs), server
            except Problem as problem:
                return problem, server

    return asking


def answer(value):
    return json.dumps({"answer": value})


@pytest.fixture(params=[False, True], ids=["OpenAI", "Ollama"])
def ask(request, run):
    """ask(type, *replies): (value or Problem, the requests, the lines told)."""

    def asking(kind, *replies):
        schema, told = make_field("answer", kind).schema, []
        with ModelServer(*replies) as server:
            model = Model(server.url, "stand-in", request.param)
            try:
                said = run(complete(model, "Which?", schema, told.append))
            except Problem as problem:
                said = problem
            return said, server.requests, told

    return asking


def test_an_answer_of_many_lines_ended_a_step_that_had_asked_for_no_type(asked):
    poem = "\n".join(["a line of a poem"] * 100)
    said, _ = asked(answer("news"), answer(1), *[poem] * 2, step="several", page="x")
    assert said["output"] == [poem] * 3


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [(date, "tomorrow", "2026-01-31"), (Url, "shop", "https://a.example/"), (Decimal, "x", "0")],
)
def test_an_answer_that_is_no_date_or_address_was_kept_and_failed_for_ever(ask, kind, wrong, right):
    said, requests, _ = ask(kind | None, answer(wrong), answer(right))
    assert said == right and len(requests) == 2
    assert f"{wrong!r} is not a" in requests[1]["messages"][-1]["content"]
    assert ask(kind | None, answer(None))[0] is None


def test_text_is_given_as_it_comes_without_what_was_thought(ask):
    said, requests, told = ask(str, "<think>hm, {}</think>\nTwo\nlines.")
    assert said == "Two\nlines." and told[-1] == "lines."
    assert not {"format", "response_format"} & requests[0].keys()


def test_a_type_is_sent_as_the_schema_of_an_object(ask):
    said, requests, _ = ask(int, Reply(answer(7)))
    body = requests[0]
    schema = body.get("format") or body["response_format"]["json_schema"]["schema"]
    assert said == 7 and schema["properties"]["answer"]["type"] == "integer"
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"answer": 7}\n```',
        'Sure! {"answer": 7} Anything else?',
        '<think>{</think>{"answer":7}',
    ],
    ids=["fenced", "in prose", "after thinking"],
)
def test_json_is_found_in_what_a_small_model_writes_around_it(ask, text):
    assert ask(int, text)[0] == 7


def test_given_an_answer_that_does_not_fit_then_it_goes_back_with_the_reason(ask):
    said, requests, _ = ask(int, answer("seven"), "no JSON", answer(7))
    assert said == 7 and len(requests) == 3
    assert "'seven' is not of type 'integer'" in requests[1]["messages"][-1]["content"]


def test_given_three_answers_that_do_not_fit_then_the_step_is_told_why(ask):
    said, requests, _ = ask(int, *[answer("seven")] * 3)
    assert "no answer that fits: 'seven' is not of type" in said.what and len(requests) == 3


def test_given_a_server_that_refuses_schemas_then_it_is_asked_without_one(ask):
    said, requests, _ = ask(int, Reply(fault="http500"), answer(7))
    assert said == 7 and not {"format", "response_format"} & requests[1].keys()


def test_a_server_that_refuses_schemas_and_then_says_nothing_was_a_fault(ask):
    refused = Reply(fault="http500")
    said, requests, _ = ask(int, refused, Reply(token_list=[]), refused, answer(7))
    assert said == 7 and len(requests) == 4


def test_a_step_gets_python_values_and_each_question_is_asked_once(asked):
    told, server = asked(answer("shop"), answer(3), "A", "B", page="a page")
    assert told["output"] == ["A", "B", "A"] and len(server.requests) == 4


def test_given_a_step_that_failed_after_an_answer_then_the_answer_is_not_asked_for_again(asked):
    failed, first = asked(answer("shop"), answer(3), "A", Reply(fault="http500"), page="a page")
    assert "500" in failed.what and len(first.requests) == 4
    told, second = asked("B", run=1)
    assert told["output"] == ["A", "B", "A"] and len(second.requests) == 1


def test_what_the_model_says_is_in_the_log_of_the_step(asked, house):
    asked(answer("shop"), page="a page", step="kind")
    kept = house.runs.attempts("step = 'kind'")[0]
    assert "shop" in kept["log"]


def test_given_no_model_server_then_the_step_says_how_to_go_on(house, plugin, run, call):
    plugin(STEPS, "ask")
    connect(house)
    with pytest.raises(Problem, match="No model server is running.*Resume"):
        call("ask_run", page="a page")


def test_a_pipeline_that_needs_a_model_says_so_before_a_run_is_begun(house, plugin, call):
    plugin(STEPS.replace('"Ask"', '"Ask", needs="model"'), "ask")
    connect(house)
    with pytest.raises(Problem, match="No model server is running.*then begin"):
        call("ask_run", page="a page")
    assert call("run_list") == []


def test_given_a_model_that_never_ends_then_cancel_stops_it_at_once(asked, house, run):
    async def cancelled():
        caller = house.caller("user")
        guided = house.shelf.pipeline("ask")
        with ModelServer(Reply(fault="stall")) as server:
            house.settings = replace(house.settings, model_url=server.url, model="stand-in")
            connect(house)
            job = await guided.begin(caller, guided.new(caller, {})["id"], "kind", {"page": "x"})
            while not server.requests:
                await asyncio.sleep(0.01)
            house.jobs.cancel(job.run["id"], "kind")
            await asyncio.wait_for(house.jobs.wait(job), 2)
            return house.runs.attempts("step = 'kind'")[0]["state"]

    assert run(cancelled()) == "cancelled"


def test_in_a_shell_without_a_server_a_step_asks_a_model_all_the_same(settings, run):
    settings.make_home()
    (settings.folder("apps") / "ask.py").write_text(textwrap.dedent(STEPS))
    with ModelServer(answer("shop")) as server:
        door = Door(replace(settings, model_url=server.url, model="stand-in"))
        said = run(door.call("ask_run", {"page": "a page", "to_step": "kind"}))
    assert said["output"] == "shop"
