"""What Windows lacks is not needed, as far as that can be seen on another system.

Every process of this test starts without the modules and functions that only Unix has: no fcntl
(what locks then is filelock's fallback; on Windows it is its LockFileEx), no resource, no uvloop,
no process groups, no alarms. What Windows does otherwise (paths, handles) is not seen here.
"""

import json
import os
import subprocess
import sys

import pytest

from serving import NOWHERE, serving

WITHOUT = """
import os, signal, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios", "uvloop"):
    sys.modules[name] = None
for name in ("fork", "forkpty", "geteuid", "getpgid", "getuid", "killpg", "mkfifo", "setsid"):
    delattr(os, name)
for name in ("SIGALRM", "SIGHUP", "alarm", "setitimer"):
    delattr(signal, name)
"""


@pytest.fixture
def lacking(tmp_path):
    """The environment of such a process."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT)
    return {"PYTHONPATH": str(tmp_path / "without"), "OLLAMA_HOST": NOWHERE}


def test_without_what_only_unix_has_it_serves_runs_steps_and_guards_its_home(lacking, tmp_path):
    home, env = tmp_path / "home", {**os.environ, **lacking}

    def typed(*words):
        command = [sys.executable, "-m", "pipulate", *words, "--home", str(home)]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)

    with serving(home, env=lacking) as server:
        assert "Tasks" in server.page("/default/tasks")
        done = typed("run", "hello", "name=Ada", "--json")
        assert json.loads(done.stdout) == len("Hello, Ada!"), done.stderr
        assert "only soft file lock" in done.stderr, "else nothing is shown here"
        second = typed("serve", "--no-browser", "--json", "--port", "0")
        assert second.returncode == 1 and f"already running on this home at {server.url}" in (
            second.stderr
        )
    step = typed("step", "hello.person", "name=Ada")
    assert json.loads(step.stdout) == "Ada", step.stderr
