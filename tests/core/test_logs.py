"""The log: no secret in it, and a short id leads to a fault's trace."""

import logging
import os
import subprocess
import sys

import pytest

from pipulate.core.logs import log_fault, open_log

PLANTED = "s3cr3tS3CR3T"


@pytest.fixture
def log(tmp_path):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    open_log(tmp_path)
    yield tmp_path / "pipulate.log"
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = before, level


@pytest.mark.parametrize(
    "line",
    [
        f"GET /?token={PLANTED}&x=1",
        f"Authorization: Bearer {PLANTED}",
        f"authorization: Token {PLANTED}",
        f"cookie: pipulate_5001={PLANTED}; x=y",
        f"{{'token': '{PLANTED}'}}",
        f'{{"api_key": "{PLANTED}"}}',
        f"api-key={PLANTED}",
        f"SECRET: {PLANTED}",
    ],
)
def test_a_value_named_like_a_secret_is_not_written(log, line):
    logging.getLogger("x").warning(line)
    assert PLANTED not in log.read_text() and "…" in log.read_text()


def test_a_secret_in_a_trace_is_not_written_either(log):
    log_fault(ValueError(f"refused: token={PLANTED}"))
    assert PLANTED not in log.read_text()


def test_given_a_fault_then_its_id_finds_the_trace(log):
    try:
        {}["nothing"]
    except KeyError as error:
        reference = log_fault(error)
    text = log.read_text()
    assert f"fault {reference}" in text and "KeyError: 'nothing'" in text and "test_logs" in text


def test_the_log_rotates_and_keeps_five(log):
    handler = logging.getLogger().handlers[0]
    assert (handler.maxBytes, handler.backupCount) == (10_000_000, 5)


def test_a_program_with_nothing_to_tell_holds_no_log_that_another_wants_to_rotate(log):
    """Windows moves none that is open: beside a `pipulate mcp` a full log lost every line."""
    assert not log.exists()
    logging.warning("now")
    assert "now" in log.read_text("utf-8")


def test_any_character_is_logged_where_the_machine_speaks_no_utf_8(tmp_path):
    """As on Windows, where the handler dropped the line."""
    code = "import logging, sys; from pathlib import Path; from pipulate.core import logs\n"
    code += "logs.open_log(Path(sys.argv[1])); logging.warning(chr(8594) + ' here')"
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, env={**os.environ, **plain}, capture_output=True, check=True)
    assert "→ here" in (tmp_path / "pipulate.log").read_text("utf-8")
