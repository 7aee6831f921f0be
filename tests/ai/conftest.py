"""A server with the scripted model behind it, shared by a module: `model` is its script."""

import pytest

from model_server import ModelServer
from serving import serving


@pytest.fixture(scope="module")
def model():
    with ModelServer() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory, model):
    with serving(tmp_path_factory.mktemp("home"), env={"PIPULATE_MODEL_URL": model.url}) as started:
        yield started


@pytest.fixture(autouse=True)
def nothing_left_to_say(request):
    """What a failed test left in the script is not said in the next one."""
    yield
    if "model" in request.fixturenames:
        request.getfixturevalue("model").queue.clear()
