"""One server for all tests of a module that only ask; tests that change how it runs start another."""

import pytest

from serving import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("home")) as started:
        yield started
