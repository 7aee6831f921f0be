"""Real servers on loopback: Pipulate on a home of its own, the baselines, the scripted model."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "bench" / "results" / "pycache"  # as after an installation, wherever this runs
NOWHERE = "127.0.0.1:9"  # no figure depends on a model server that happens to run here
READY = 20  # seconds a server may take to answer


def baseline_file(name: str) -> Path | None:
    """A baseline program of ours or in PIPULATE_BASELINES; None when it is not on this machine."""
    folder = Path(os.environ.get("PIPULATE_BASELINES") or ROOT.parent / "shared" / "bench")
    paths = ROOT / "bench" / name, folder.resolve() / name
    return next((path for path in paths if path.is_file()), None)


def environment(more: dict[str, str]) -> dict[str, str]:
    """Of a measured program: no settings of this machine, and compiled modules are kept."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PIPULATE_", "PYTHON"))}
    kept = {"OLLAMA_HOST": NOWHERE, "PYTHONPYCACHEPREFIX": str(CACHE)}
    return {**own, **kept, **more}


class Server:
    """A child process that serves HTTP; `cpu`, `rss` and requests over one kept connection."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str], port: int = 0):
        own = environment(env)
        self.began = time.perf_counter()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        told = quiet if port else {"stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=folder, env=own, text=True, **told)
        self.headers: dict[str, str] = {}
        self.info = self._first_line() if not port else {"url": f"http://127.0.0.1:{port}"}
        self.port = port or int(self.info["url"].split(":")[2].split("/")[0])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY)

    def _first_line(self) -> dict[str, Any]:
        assert self.process.stdout
        ready = select.select([self.process.stdout], [], [], READY)[0]
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.close()
            sys.exit(f"{self.process.args} was not ready within {READY} s.")
        return json.loads(line)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """CPU seconds of the server so far and of who watches over it, all threads (Linux)."""
        return sum(map(_cpu, [self.process.pid, *_own(self.process.pid)]))

    def rss(self) -> float:
        """Resident MB of the process and of its children."""
        return sum(map(_rss, [self.process.pid, *_children(self.process.pid)]))

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> bytes:
        """The body of an answer, as it came; form fields or bytes as the request's own."""
        given = {k.replace("_", "-"): v for k, v in headers.items()}
        said = method, path, body, {**self.headers, **given}
        try:
            self.connection.request(*said)
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError):  # it was idle for too long
            self.connection.close()
            self.connection.request(*said)
            answer = self.connection.getresponse()
        text = answer.read()
        self.answer = answer
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return text

    def visit(self, path: str = "/") -> bytes:
        """A page as a browser asks for it: compressed, with redirects."""
        text = self.ask(path, accept_encoding="gzip")
        while self.answer.status in (303, 307, 308):
            text = self.ask(self.answer.headers["location"], accept_encoding="gzip")
        return text

    def post(self, path: str, form: str) -> bytes:
        """A form as htmx sends it."""
        kind = "application/x-www-form-urlencoded"
        return self.ask(path, "POST", form, content_type=kind, hx_request="true", origin=self.url)

    def wait(self) -> None:
        """Until the port answers."""
        while time.perf_counter() - self.began < READY:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.005)
        self.close()
        sys.exit(f"{self.process.args} did not answer within {READY} s.")

    def close(self) -> None:
        """End the process, by force after five seconds."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.close()


def _rss(pid: int) -> float:
    with suppress(OSError):
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def _cpu(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | 2)  # to the nanosecond


def _own(pid: int) -> list[int]:
    """The children of a process."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _children(pid: int) -> list[int]:
    """All descendants of a process."""
    return [below for child in _own(pid) for below in (child, *_children(child))]


def ours(home: Path, model: str = "") -> Server:
    """`pipulate serve` on this home, its launch address used: the next page is the first one."""
    command = [sys.executable, "-m", "pipulate", "serve", "--home", str(home), "--port", "0"]
    env = {"PIPULATE_MODEL_URL": model} if model else {}
    server = Server([*command, "--no-browser", "--json"], home.parent, env)
    server.ask(server.info["url"].removeprefix(server.url))
    server.headers["Cookie"] = server.answer.headers["set-cookie"].split(";")[0]
    return server


def baseline(name: str, folder: Path, model: str = "") -> Server:
    """A baseline program as it is, once its port answers. Its rows are in folder/todos.db."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {"PORT": str(port), "DB": str(folder / "todos.db"), "LLM_URL": model}
    server = Server([sys.executable, str(baseline_file(name))], folder, env, port)
    server.wait()
    return server


def model_server(tokens: int, delay: float = 0.0) -> Server:
    """The scripted model: every answer has this many tokens, `delay` seconds apart."""
    script = str(ROOT / "tests" / "model_server.py")
    options = ["--port", "0", "--tokens", str(tokens), "--delay", str(delay)]
    return Server([sys.executable, script, *options], ROOT, {})
