"""The door: a server that falls is begun again, and what brought it down rests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from pipulate import __main__ as door
from serving import serving

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nobody watches without fork")

EVIL = """
import ctypes
import os
import re
import signal
from pipulate import CrudApp, tool

class Evil(CrudApp):
    title: str

    @tool
    def fault(self):
        "Of compiled code."
        ctypes.string_at(0)

    @tool
    def kill(self):
        "As when there is no memory left."
        os.kill(os.getpid(), signal.SIGKILL)

    @tool
    def hang(self):
        "One call that keeps Python's lock."
        re.match("(a+)+$", "a" * 32 + "b")
"""


SOON = 6  # seconds after which a server that hangs is ended here, in place of SILENT
HASTY = ("-c", f"from pipulate import __main__ as door\ndoor.SILENT = {SOON}\ndoor.main()")

SLOW = """
import time
from pipulate import CrudApp, tool

class Slow(CrudApp):
    title: str

    @tool
    def wait(self):
        "A little."
        time.sleep(0.7)
        return "waited"
"""


def children(pid):
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    pairs = [map(int, line.split()) for line in listed.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def within(seconds, check):
    end = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def answers(server):
    try:
        return server.client.get("/default/tasks").status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.fixture
def evil(tmp_path):
    """A server whose apps/evil.py has a row, and tools that bring it down."""
    (tmp_path / "home/apps").mkdir(parents=True)
    (tmp_path / "home/apps/evil.py").write_text(EVIL)
    with serving(tmp_path / "home", program=HASTY) as server:
        server.call("task_add", title="kept")
        server.call("evil_add", title="x")
        yield server


def call(server, tool):
    with pytest.raises(httpx2.HTTPError):
        server.client.timeout = 60
        server.call(tool, id=1)


def test_given_a_fault_of_compiled_code_then_the_server_is_there_again_and_the_file_rests(evil):
    before = evil.keys
    call(evil, "evil_fault")
    assert within(15, lambda: answers(evil)), "the cookie and the address hold"
    assert evil.call("task_list")["rows"][0]["title"] == "kept"
    page = evil.page("/default")
    assert "evil.py may have ended the program" in page and "Try again" in page
    assert evil.keys["pid"] == before["pid"] == evil.process.pid
    falls = (evil.home / "logs/falls.log").read_text()
    assert "fell (SIGSEGV)" in falls and "evil.py" in falls
    assert evil.act("POST", "/default/call/plugin_retry", {"plugin": "evil"}).status_code == 200
    assert evil.call("evil_list")["count"] == 1


def test_given_one_call_that_keeps_pythons_lock_then_it_is_ended_and_the_file_rests(evil):
    call(evil, "evil_hang")
    assert within(15, lambda: answers(evil))
    assert "evil.py may have ended the program" in evil.page("/default")


def test_given_a_file_that_hangs_in_one_call_while_it_is_loaded_then_all_others_are_there(tmp_path):
    (tmp_path / "home/apps").mkdir(parents=True)
    (tmp_path / "home/apps/bad.py").write_text('import re\nre.match("(a+)+$", "a" * 40 + "b")\n')
    (tmp_path / "home/apps/evil.py").write_text(EVIL)
    with serving(tmp_path / "home", program=HASTY) as server:  # its one line comes
        page = server.page("/default")
        assert "bad.py may have ended the program" in page and "/default/evils" in page


def test_given_a_kill_from_outside_then_it_begins_again_and_says_nothing_more_on_stdout(evil):
    for _ in range(door.ALL):
        assert len(found := children(evil.process.pid)) == 1
        os.kill(found[0], signal.SIGKILL)
        assert within(15, lambda: answers(evil) and children(evil.process.pid) != found)
    page = evil.page("/default")
    assert "evil.py may have ended the program" in page, "after three falls, whoever it was"
    evil.process.terminate()
    assert evil.process.wait(8) == 0 and evil.process.stdout.read() == ""


def test_given_a_watcher_that_is_killed_then_the_server_ends_at_once(evil):
    (child,) = children(evil.process.pid)
    evil.process.kill()
    evil.process.wait(5)
    assert within(1, lambda: not answers(evil))
    stat = ["ps", "-o", "stat=", "-p", str(child)]
    assert within(2, lambda: subprocess.run(stat, capture_output=True).stdout[:1] in (b"", b"Z"))


def test_given_a_server_that_falls_again_and_again_then_it_is_left_alone(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(sys, "argv", ["pipulate", "--home", str(tmp_path)])
    monkeypatch.setattr(os, "fork", forked := Forks())
    with pytest.raises(SystemExit, match="6 times in a row"):
        door.keep()
    assert forked.count == door.MOST and sys.argv == ["pipulate", "--home", str(tmp_path)]
    assert capfd.readouterr().err.count("begins again") == door.MOST - 1


class Forks:
    """os.fork, but that each child is killed at once."""

    def __init__(self):
        self.count, self.fork = 0, os.fork

    def __call__(self):
        self.count += 1
        if not (child := self.fork()):
            os.kill(os.getpid(), signal.SIGKILL)
        return child


@pytest.mark.parametrize("words", [["--version"], ["serve", "--help"], ["serve", "--port", "x"]])
def test_a_command_that_ends_by_itself_has_its_own_exit_code(words):
    command = [sys.executable, "-m", "pipulate", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == (2 if "x" in words else 0)
    assert "fell" not in done.stderr


def test_of_the_threads_of_a_fall_the_one_at_fault_is_accused(tmp_path):
    (tmp_path / "apps").mkdir()
    (tmp_path / "locks").mkdir()
    for name in ("one", "two"):
        (tmp_path / "apps" / f"{name}.py").write_text(name)
    at = 'File "{}/apps/{}.py", line 1 in x'.format
    door.accuse(
        tmp_path,
        f"Thread 0x1:\n{at(tmp_path, 'one')}\n\nCurrent thread 0x2:\n{at(tmp_path, 'two')}",
    )
    assert len([*(tmp_path / "locks").iterdir()]) == 1
    door.accuse(tmp_path, f"Thread 0x1:\n{at(tmp_path, 'one')}\n\nCurrent thread 0x2:\nFile x")
    assert len([*(tmp_path / "locks").iterdir()]) == 2


@pytest.mark.parametrize(
    ("words", "home"),
    [
        ([], "/given"),
        (["--home", "/one"], "/one"),
        (["serve", "--home=/two", "--port", "0"], "/two"),
        (["--home", "/one", "--home", "/two"], "/two"),
        (["--home"], "/given"),
    ],
)
def test_the_watcher_means_the_same_home(monkeypatch, words, home):
    monkeypatch.setenv("PIPULATE_HOME", "/given")
    assert str(door.home_of(["pipulate", *words])) == home


def test_ctrl_c_in_a_terminal_is_one_signal_and_an_answer_on_its_way_is_waited_for(tmp_path):
    (tmp_path / "home/apps").mkdir(parents=True)
    (tmp_path / "home/apps/slow.py").write_text(SLOW)
    with serving(tmp_path / "home") as server:
        server.call("slow_add", title="x")
        (child,) = children(server.process.pid)
        assert os.getpgid(child) == child, "the terminal's signal does not reach it"
        with ThreadPoolExecutor(1) as aside:
            answer = aside.submit(server.call, "slow_wait", id=1)
            time.sleep(0.2)
            server.process.send_signal(signal.SIGINT)
            assert answer.result(5) == "waited"
        assert server.process.wait(5) == 0
