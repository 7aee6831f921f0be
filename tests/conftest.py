"""What every test stands on: a home in a temporary folder, a real house, a real server.

run(coro)      run a coroutine on this test's event loop; jobs go on between two calls
house          a House on `settings` (no server), closed at the end
plugin(text)   a file in the house's apps/, scanned; returns its Plugin
serve          a real `pipulate serve` process, logged in: .url .client .port .home .info
chromium       the browser of steps, as a test can start it
launch(…)      the same with a home, arguments or environment of one's own
model          a scripted model server, for a module; talking: a server with it behind
"""

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from filelock import ReadWriteLock

from model_server import ModelServer
from pipulate.apps.browser import find_browser
from pipulate.apps.house import House
from pipulate.core.settings import Settings
from serving import serving

START_SECONDS = 20
NOWHERE = "127.0.0.1:9"  # no test talks to a model server that happens to run here
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles all it imports


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Tests run side by side; one that holds the program to a second or two (`alone`) has the

    machine for itself: what a neighbour takes from it, such as a graph that is drawn without a
    graphics card, is no fault of the program's."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    room = ReadWriteLock(item.config.cache.mkdir("room") / "lock")
    with room.write_lock() if item.get_closest_marker("alone") else room.read_lock():
        return (yield)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No setting of the machine reaches a test, and every file is made as in a usual shell."""
    for name in [n for n in os.environ if n.startswith("PIPULATE_") and n != "PIPULATE_BROWSER"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OLLAMA_HOST", NOWHERE)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    old = os.umask(0o022)
    yield
    os.umask(old)


@pytest.fixture(scope="module")
def model():
    with ModelServer() as started:
        yield started


@pytest.fixture(scope="module")
def talking(tmp_path_factory, model):
    with serving(tmp_path_factory.mktemp("home"), env={"PIPULATE_MODEL_URL": model.url}) as started:
        yield started


@pytest.fixture
def settings(tmp_path):
    return Settings(
        home=tmp_path / "home", browser=False, ollama_url=f"http://{NOWHERE}", ollama_named=True
    )


@pytest.fixture
def run():
    """run(coro): its result. One event loop for the whole test."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def open_house(settings, run):
    """open_house(): a House on this test's home, as the program opens it; closed at the end."""
    opened = []

    def opening():
        opened.append(House(settings))
        return opened[-1]

    yield opening
    for house in opened:
        run(house.close())


@pytest.fixture
def house(open_house):
    return open_house()


@pytest.fixture
def call(house, run):
    """call(tool, **values): a tool's result; by the user in the first profile unless told `at`."""

    def calling(tool, actor="user", at=None, text=None, confirmed=False, **values):
        caller = house.caller(actor, at, confirmed=confirmed)
        return run(house.tools.call(tool, values, caller, text))

    return calling


@pytest.fixture
def plugin(house):
    """plugin(text, name): save a file in apps/ and let the shelf see it; returns its Plugin."""

    def saving(text, name="mine"):
        path = house.settings.folder("apps") / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        house.shelf.scan()
        return house.shelf.plugins[path]

    return saving


@dataclass
class Served:
    """A server process. `info` is its JSON line; `client` has the cookie of the launch address."""

    process: subprocess.Popen
    info: dict
    home: Path
    client: httpx2.Client = field(default_factory=httpx2.Client)

    @property
    def port(self):
        return self.info["port"]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def log_in(self):
        self.client = httpx2.Client(base_url=self.url, timeout=10)
        answer = self.client.get(self.info["url"])
        assert answer.status_code == 200 and len(self.client.cookies) == 1, answer.text

    def kill(self):
        """As a crash would: at once and without a word."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        """As Ctrl-C would; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)

    def close(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(6)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process.stdout.close()


def first_line(process, seconds=START_SECONDS):
    """The first line a process prints, without waiting for ever."""
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if ready else ""


@pytest.fixture
def launch(tmp_path):
    """launch(*arguments, home=…, env={…}): a Served; all of them are stopped at the end."""
    started = []

    def starting(*arguments, home=None, env=None):
        home = home or tmp_path / "served"
        command = [sys.executable, "-m", "pipulate", "serve", "--home", str(home), "--port", "0"]
        process = subprocess.Popen(
            [*command, "--no-browser", "--json", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        line = first_line(process)
        served = Served(process, json.loads(line or "{}"), home)
        started.append(served)
        assert line, f"the server ended with {process.poll()} before it was ready"
        served.log_in()
        return served

    yield starting
    for served in started:
        served.close()


@pytest.fixture
def serve(launch):
    return launch()


@pytest.fixture
def chromium(tmp_path, monkeypatch):
    """The browser of job.browser() starts without its sandbox, which containers do not have."""
    path = tmp_path / "chromium"
    path.write_text(f'#!/bin/sh\nexec "{find_browser()}" --no-sandbox "$@"\n')
    path.chmod(0o700)
    monkeypatch.setenv("PIPULATE_BROWSER", str(path))


@pytest.fixture
def until():
    """until(check): wait until check() is true, and return what it gave; fails after 5 s."""

    def waiting(check, seconds=5.0):
        end = time.monotonic() + seconds
        while not (found := check()):
            assert time.monotonic() < end, f"not within {seconds} s: {check}"
            time.sleep(0.02)
        return found

    return waiting


@pytest.fixture
def alive():
    """alive(pid): whether that process still runs (a zombie does not)."""

    def looking(pid):
        stat = Path(f"/proc/{pid}/stat")
        if Path("/proc/self").exists():
            return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
        said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
        return bool(re.match(r"[^Z\s]", said.stdout.strip()))

    return looking
