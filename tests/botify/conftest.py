"""The stand-in service, over real HTTP, and a client of it that does not wait long."""

import pytest
import tenacity

from pipulate.botify import client, pace
from pipulate.botify.client import Client, Connection
from pipulate.botify.stand_in import Service, standing


@pytest.fixture
def quick(monkeypatch):
    """No pause between two tries, no five requests a second."""
    monkeypatch.setattr(client, "backoff", tenacity.wait_fixed(0.01))
    monkeypatch.setattr(client, "PACE", pace.Pace(1_000))


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
