"""A real llama.cpp server with a small model of random weights; outside the default suite.

`make test-llama` runs it: PIPULATE_LLAMA names a Python that has xllamacpp and gguf.
"""

import asyncio
import json
import os
import subprocess
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from pipulate.ai.calls import printed
from pipulate.ai.chat import Chat
from pipulate.ai.complete import complete, connect
from pipulate.ai.models import Model
from pipulate.ai.servers import context, servers

ASKED = [{"role": "user", "content": "Count from 1 to 10000, in words."}]
TITLE = {"type": "string", "pattern": "^[a-z]{3,12}$"}
CALL = {
    "type": "object",
    "properties": {
        "name": {"enum": ["task_add"]},
        "arguments": {
            "type": "object",
            "properties": {"title": TITLE},
            "required": ["title"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "arguments"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """The address of the server; what it says is in a file, as nobody reads it."""
    folder, script = tmp_path_factory.mktemp("llama"), Path(__file__).with_name("serve_llama.py")
    command = [os.environ["PIPULATE_LLAMA"], script, folder]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        lines = iter(server.stdout.readline, "")
        said = next((line for line in lines if line.startswith("{")), None)
        assert said, (folder / "log").read_text()[-2_000:]
        yield json.loads(said)["url"]
        server.kill()


@pytest.fixture
def model(llama):
    return Model(llama, "random.gguf", False)


def test_it_is_found_with_its_model_and_its_context(run, house, llama):
    (found,) = run(servers(replace(house.settings, model_url=llama)))
    assert found.models and not found.ollama
    assert run(context(Model(llama, found.models[0], False))) == 8_192


def test_it_streams_piece_by_piece_and_is_free_again_when_it_is_left(run, model):
    async def some(most):
        pieces, began = [], time.monotonic()
        async with aclosing(model.stream(ASKED, [])) as stream:
            async for piece in stream:
                pieces.append((piece, time.monotonic() - began))
                if len(pieces) == most:
                    break
        return pieces

    first = run(some(50))
    print(f"\nfirst piece after {first[0][1]:.3f} s, 50 after {first[-1][1]:.3f} s")
    assert len(first) == 50 and first[0][1] < first[-1][1]
    assert run(some(1))[0][1] < 10, "the one slot was freed at once"


def test_a_stopped_turn_is_kept_and_the_next_one_is_answered(run, house, llama):
    house.settings = replace(house.settings, model_url=llama, model="random.gguf")
    profile = house.profiles.at()

    async def talk():
        begun = asyncio.Event()
        chat = Chat(house, connect(house), lambda key, kind, row: kind == "token" and begun.set())
        await chat.say(profile, "Tell me a long story")
        await asyncio.wait_for(begun.wait(), 60)
        before = time.monotonic()
        await chat.stop(profile.id)
        took = time.monotonic() - before
        (row,) = chat.history(profile.id)[1:]
        begun.clear()
        await chat.say(profile, "Another")
        await asyncio.wait_for(begun.wait(), 60)
        await chat.stop(profile.id)
        return took, row

    took, row = run(talk())
    print(f"\nstopped after {took:.3f} s with {row['text'][:40]!r}")
    assert took < 2 and row["state"] == "stopped" and row["text"]


def test_a_call_held_to_its_schema_is_made(run, house, call, model):
    async def said():
        pieces = [piece async for piece in model.stream(ASKED, [], CALL)]
        return "".join(pieces)

    text = run(said())
    (made,) = printed(text, house.tools.by_name)
    row = call(made.name, actor="model", **made.values())
    print(f"\n{text} → row {row['id']}")
    assert call("task_list")["rows"][0]["title"] == made.values()["title"]


def test_an_answer_held_to_a_schema_fits_it(run, model):
    colour = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}}
    schema = colour | {"required": ["colour"], "additionalProperties": False}
    value = run(complete(model, "Name a colour.", schema, bool))
    assert value["colour"] in ("red", "blue")
