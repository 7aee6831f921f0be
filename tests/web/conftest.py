"""One server for the tests of a module; those that change how it runs start another."""

import pytest

from serving import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("home")) as started:
        yield started
