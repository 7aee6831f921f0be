"""The stand-in service, over real HTTP, and a client of it that does not wait long."""

import asyncio
from dataclasses import replace

import pytest
import tenacity

from pipulate.apps.job import JobHandle
from pipulate.botify import client, pace
from pipulate.botify.client import Client, Connection
from pipulate.botify.stand_in import Service, standing


@pytest.fixture
def quick(monkeypatch):
    """No pause between two tries, no five requests a second."""
    monkeypatch.setattr(client, "backoff", tenacity.wait_fixed(0.01))
    monkeypatch.setattr(pace, "PACE", pace.Pace(1_000))


@pytest.fixture(scope="session")
def served():
    with standing(Service(size=120)) as made:
        yield made


@pytest.fixture
def service(served, quick):
    """One server for all tests, as new for each."""
    at = {"url": served.url, "files": served.files}
    vars(served).update(vars(Service(size=120)) | at)
    yield served
    vars(served).update(at)


@pytest.fixture
def ask(service, run):
    """ask("projects", …): what a method of a client of the service gives."""

    def asking(method, *args, token="", **how):
        async def work():
            about = Connection(token or service.token, service.url)
            async with Client(about) as botify:
                return await getattr(botify, method)(*args, **how)

        return run(work())

    return asking


@pytest.fixture
def settings(settings, service, monkeypatch):
    """A home of the Botify edition, whose Botify is the stand-in."""
    monkeypatch.setenv("PIPULATE_BOTIFY_URL", service.url)
    return replace(settings, edition="pipulate.botify.apps")


@pytest.fixture
def connected(house, call, service):
    """The house, connected with the stand-in."""
    call("botify_connect", token=service.token)
    return house


class StepJob(JobHandle):
    """`job` of a step that runs here, with the tools of a real house. `kept`: what outlives it."""

    def __init__(self, house, folder, kept=None, answers=(), actor="user"):
        self.kept = {} if kept is None else kept
        self.answers, self.asked, self.said = [*answers], [], []
        self.caller = house.caller(actor, confirmed=actor == "user", parent="1/step")
        self.house = house
        super().__init__(self.said.append, self.needed, folder, self.kept.get("checkpoint"))

    def needed(self, kind, *values):
        match kind, values:
            case "call", [name, given]:
                return asyncio.run(self.house.tools.call(name, given, self.caller))
            case "checkpoint", [data]:
                self.kept["checkpoint"] = data
            case "ask", [question, _]:
                self.asked.append(question)
                answer = self.answers.pop(0)
                return answer() if callable(answer) else answer
            case "once", [name]:
                state, value = self.kept.get(name, ("new", None))
                self.kept.setdefault(name, ("unknown", None))
                return {"record": name, "state": state, "value": value}
            case "kept", [name, True, value]:
                self.kept[name] = ("done", value)
            case "kept", [name, False, _]:
                del self.kept[name]


@pytest.fixture
def step_job(connected, tmp_path):
    """step_job(kept={…}, answers=[…]): a `job` for a step called plainly."""
    return lambda **how: StepJob(connected, tmp_path / "work", **how)
