"""One question to the model, its answer checked: what `job.model` asks inside a step.

Servers that take a schema are held to it, the others are told it. What does not fit goes back.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from pipulate.ai.calls import Call, whole
from pipulate.ai.memory import AssistantTools, masked
from pipulate.ai.models import Model, Thought
from pipulate.ai.servers import Choice
from pipulate.apps.house import House
from pipulate.core.fields import digest, dumps
from pipulate.core.jobs import Job
from pipulate.core.kinds import KINDS
from pipulate.core.problems import Invalid, Problem
from pipulate.core.store import Row
from pipulate.core.tools import Caller, tools_of

TEXT = {"type": "string"}
REPAIRS = 2  # times that an answer goes back, with the reason
ASKED = "Answer with JSON alone, no other word, that fits this schema: "


def connect(house: House) -> Choice:
    """Give a house its assistant: what steps ask of a model, and the tools for its own use."""
    choice = Choice(house)
    house.jobs.needs["model"] = partial(_answer, house, choice)
    house.needs["model"] = partial(_model, choice)
    house.tools.replace("assistant", tools_of(AssistantTools(house)))
    return choice


async def _model(choice: Choice, caller: Caller, then: str = "begin") -> Model:
    if model := await choice.model(caller.profile.id):
        return model
    what = "No model server is running, and a step asks one."
    raise Problem(what, f"Start one (see Settings), then {then}.")


async def _answer(house: House, choice: Choice, job: Job, prompt: str, schema: Row) -> Any:
    name = digest(dumps([prompt, schema]))
    about = job.attempt, "model", name, "intent", {"prompt": prompt[:2_000]}
    record, _ = await asyncio.to_thread(house.runs.record, *about)
    if record["state"] == "done":
        return json.loads(record["value"])
    model = await _model(choice, job.caller, "press Resume")

    def tell(line: str) -> None:
        job.note(line)
        house.jobs.changed(job)

    value = await complete(model, masked(house)(prompt), schema, tell)
    await asyncio.to_thread(house.runs.close, record["id"], value)
    return value


async def complete(
    model: Model, prompt: str, schema: Row = TEXT, tell: Callable[[str], Any] = lambda line: None
) -> Any:
    """What the model answers: text for a schema of plain text, else JSON that fits it. `tell` hears

    the text, line by line. Raises Invalid when no answer fits, Problem when the server fails."""
    if schema.get("type") == "string" and not schema.keys() & {"enum", "format"}:
        return await _said(model, [{"role": "user", "content": prompt}], None, tell)
    import jsonschema

    formats = jsonschema.FormatChecker(())
    for kind in KINDS.values():  # jsonschema knows dates alone
        known = formats.checks(kind.schema.get("format", ""), ValueError)
        known(lambda said, take=kind.check: said is None or take(said) is not None)
    fit = schema if schema.get("type") == "object" else object_of("answer", schema)
    asked, why = ASKED + dumps(fit), ""
    talk = [{"role": "user", "content": f"{prompt}\n\n{asked}"}]
    for _ in range(REPAIRS + 1):
        text = await _said(model, talk, fit, tell)
        try:
            # all of it, or from the first brace to the last
            value = json.loads(text[text.find("{") : text.rfind("}") + 1] or text)
            jsonschema.validate(value, fit, format_checker=formats)
            return value if fit is schema else value["answer"]
        except (ValueError, RecursionError, jsonschema.ValidationError) as error:
            why = str(getattr(error, "message", error))[:200]
        again = f"That does not fit ({why}). {asked}"
        talk += {"role": "assistant", "content": text}, {"role": "user", "content": again}
    raise Invalid(f"The model gave no answer that fits: {why}", "Retry, or use a larger model.")


def object_of(name: str, schema: Row) -> Row:
    """The schema of an object that holds this alone: servers want an object."""
    about = {"properties": {name: schema}, "required": [name]}
    return {"type": "object", **about, "additionalProperties": False}


async def _said(
    model: Model, talk: list[Row], schema: Row | None, tell: Callable[[str], Any]
) -> str:
    text, line = "", ""
    async for piece in model.stream(talk, [], schema):
        if not isinstance(piece, Call | Thought):
            text += piece
            *lines, line = (line + piece).split("\n")
            for one in lines:
                tell(one)
    tell(line)
    return whole(text.strip())
