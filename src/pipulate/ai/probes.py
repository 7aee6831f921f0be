"""What a model can do: five probes, and what to expect of it."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from pipulate.ai.calls import Call, printed
from pipulate.ai.complete import TEXT, complete, object_of
from pipulate.ai.models import Model
from pipulate.ai.prompt import PER_TOKEN
from pipulate.core.problems import Problem

LONGEST = 32_000  # tokens of the prompt in which a word is to be found
SOON = 10.0  # seconds in which a model that was stopped begins its next answer
Found = tuple[bool, str]  # whether it can do it, and what that means


LOOK_UP = {"name": "look_up", "description": "Look up the weather of a city."}
LOOK_UP |= {"schema": object_of("city", TEXT)}


async def _first(model: Model, text: str, most: int) -> tuple[float, float, int]:
    """(seconds to the first piece, seconds in all, pieces) of an answer, `most` of them."""
    start, first, count = time.monotonic(), 0.0, 0
    async with aclosing(model.stream([{"role": "user", "content": text}], [])) as pieces:
        async for _ in pieces:
            first, count = first or time.monotonic() - start, count + 1
            if count == most:
                break
    return first, time.monotonic() - start, count


async def _streams(model: Model) -> Found:
    first, whole, count = await _first(model, "Count from 1 to 40, in words.", 200)
    if count < 5:
        return False, "Answers come in one piece: you wait for their end."
    rate = (count - 1) / max(whole - first, 0.001)
    return True, f"The first word came after {first:.1f} s, then {rate:,.0f} pieces a second."


async def _follows(model: Model) -> Found:
    value = await complete(model, "Name a colour.", object_of("colour", TEXT))
    return True, f"Steps that ask it get the form they want ({str(value['colour'])[:30]})."


async def _calls(model: Model) -> Found:
    asked = {"role": "user", "content": "What is the weather in Oslo? Look it up."}
    pieces = [piece async for piece in model.stream([asked], [LOOK_UP])]
    calls, spelled = [piece for piece in pieces if isinstance(piece, Call)], ""
    if not calls:
        spelled = " It prints its calls as text, which is understood."
        calls = printed("".join(map(str, pieces)), ["look_up"])
    if any(call.name == "look_up" and "city" in call.values() for call in calls):
        return True, f"It can work with your apps and pipelines.{spelled}"
    return False, "It talks, but will not do things for you."


async def _holds(model: Model) -> Found:
    word, size = secrets.token_hex(3), min(model.context * 3 // 4, LONGEST)
    line = "The ship went on through the night, and nobody on board said a word.\n"
    filler = line * int(size * PER_TOKEN / len(line))
    asked = f"The code is {word}.\n{filler}\nWhat is the code? Answer with it alone."
    if word in await complete(model, asked):
        return True, f"It finds a word {size:,} tokens ago; its context is {model.context:,}."
    return False, f"It lost a word {size:,} tokens ago: long talks and long texts will be cut."


async def _stops(model: Model) -> Found:
    await _first(model, "Count from 1 to 10000, in words.", 3)
    first, _, _ = await _first(model, "Say yes.", 1)
    if 0 < first < SOON:
        return True, f"The next answer began {first:.1f} s after Stop."
    return False, "It works on after Stop, so that the next answer is late."


PROBES = {
    "Streams": _streams,
    "Follows a schema": _follows,
    "Calls a tool": _calls,
    "Holds its context": _holds,
    "Stops when told": _stops,
}


async def probes(model: Model) -> AsyncIterator[tuple[str, bool, str]]:
    """(what is tried, whether it can, what to expect: "" before it is known)."""
    for name, probe in PROBES.items():
        yield name, False, ""
        try:
            found = await probe(model)
        except Problem as problem:
            found = False, str(problem)
        yield name, *found
