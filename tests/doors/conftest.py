"""One server for the tests of a module; those that change how it runs start another."""

import io
import sys

import pytest

from pipulate.doors import cli
from serving import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture(scope="module")
def bare_home(tmp_path_factory):
    return tmp_path_factory.mktemp("bare") / "home"


@pytest.fixture(params=["no server", "server"])
def home(request, bare_home):
    """A home that nobody serves, and one that a server does."""
    return bare_home if request.param == "no server" else request.getfixturevalue("server").home


@pytest.fixture
def shell(monkeypatch, capsys, home):
    """shell(*words, stdin, at): (exit code, stdout, stderr) of `pipulate …` on the home."""

    def typing(*words, stdin="", at=None):
        monkeypatch.setattr(sys, "argv", ["pipulate", *words, "--home", str(at or home)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return typing
