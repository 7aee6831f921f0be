"""A server with the scripted model behind it, shared by a module: `model` is its script."""

import pytest


@pytest.fixture(scope="module")
def server(talking):
    return talking


@pytest.fixture(autouse=True)
def nothing_left_to_say(request):
    """What a failed test left in the script is not said in the next one."""
    yield
    if "model" in request.fixturenames:
        request.getfixturevalue("model").queue.clear()
