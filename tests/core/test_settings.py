"""Settings: where the home is, and that what is in it is for its owner alone."""

import os
import stat
from pathlib import Path

import pytest

from pipulate.core.problems import Problem
from pipulate.core.settings import FOLDERS, Settings, read_settings, write_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        ("/a", "/b", "/a"),
        (None, "/b", "/b"),
        (None, None, "~/pipulate"),
        ("~/x", None, "~/x"),
        ("relative", None, "./relative"),
    ],
    ids=["option wins", "variable", "default", "tilde", "made absolute"],
)
def test_the_home_comes_from_the_option_then_the_variable_then_the_default(
    monkeypatch, tmp_path, option, variable, expected
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    if variable:
        monkeypatch.setenv("PIPULATE_HOME", variable)
    assert read_settings(option).home == Path(expected).expanduser().absolute()


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("127.0.0.1:11500", "http://127.0.0.1:11500"),
        ("https://box:1/", "https://box:1"),
        ("", "http://127.0.0.1:11434"),
    ],
    ids=["host and port", "address", "empty"],
)
def test_the_ollama_host_is_read_as_ollama_itself_reads_it(monkeypatch, said, url):
    monkeypatch.setenv("OLLAMA_HOST", said)
    assert read_settings("/x").ollama_url == url


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("localhost", "localhost:11434"),
        ("0.0.0.0", "127.0.0.1:11434"),
        ("http://0.0.0.0:5", "127.0.0.1:5"),
        ("[::]:5", "127.0.0.1:5"),
        ("[::1]", "[::1]:11434"),
        (":5", "127.0.0.1:5"),
        ("http://box", "box"),
    ],
)
def test_an_ollama_host_may_lack_a_part_and_one_that_binds_to_all_is_this_machine(
    monkeypatch, said, at
):
    monkeypatch.setenv("OLLAMA_HOST", said)
    assert read_settings("/x").ollama_url == f"http://{at}"


def test_a_model_url_may_lack_its_scheme(monkeypatch):
    monkeypatch.setenv("PIPULATE_MODEL_URL", "127.0.0.1:8080/v1")
    assert read_settings("/x").model_url == "http://127.0.0.1:8080/v1"


def test_the_model_server_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("PIPULATE_MODEL_URL", "http://127.0.0.1:8080/v1/")
    monkeypatch.setenv("PIPULATE_MODEL", "small")
    read = read_settings("/x", port=0)
    assert (read.model_url, read.model, read.port) == ("http://127.0.0.1:8080/v1", "small", 0)


def test_reading_the_settings_makes_every_later_file_private(tmp_path):
    read_settings(str(tmp_path))
    (tmp_path / "new").write_text("x")
    assert mode(tmp_path / "new") == 0o600


def test_given_an_open_home_when_it_is_made_again_then_it_is_closed_to_others(settings):
    settings.home.mkdir(mode=0o755)
    settings.make_home()
    assert {mode(settings.home), *(mode(settings.folder(n)) for n in FOLDERS)} == {0o700}


def test_given_a_file_in_the_homes_place_then_a_problem_says_what_to_do(tmp_path):
    (tmp_path / "home").write_text("x")
    with pytest.raises(Problem) as caught:
        Settings(home=tmp_path / "home").make_home()
    assert "--home" in caught.value.next_step


def test_a_secret_is_made_once_and_private(settings):
    settings.make_home()
    first = settings.secret("cookie")
    assert first == settings.secret("cookie") != settings.secret("mcp")
    assert len(bytes.fromhex(first)) == 32
    assert mode(settings.home / "cookie.key") == 0o600


def test_given_a_failure_while_writing_then_the_old_content_stays(tmp_path):
    path = tmp_path / "x.json"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "half \ud800")
    assert path.read_text() == "old"


def test_a_private_file_is_private_whatever_the_umask(tmp_path):
    os.umask(0)
    write_private(tmp_path / "x", "y")
    assert mode(tmp_path / "x") == 0o600
