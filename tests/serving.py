"""Server processes for a whole module, or one with things around it that a fixture cannot know."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import ClientConnection, connect

NOWHERE = "127.0.0.1:9"  # no test talks to a model server that happens to run here
HTMX = {"HX-Request": "true"}


@dataclass
class Server:
    """A running `pipulate serve`; `client` has its cookie, `ask` and `act` speak as htmx does."""

    process: subprocess.Popen[str]
    info: dict[str, Any]
    home: Path
    client: httpx2.Client = field(default_factory=httpx2.Client)

    @property
    def port(self) -> int:
        return self.info["port"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())

    @property
    def keys(self) -> dict[str, Any]:
        return json.loads((self.home / "server.json").read_text())

    @property
    def log(self) -> str:
        return (self.home / "logs" / "pipulate.log").read_text()

    def log_in(self) -> None:
        self.client = httpx2.Client(base_url=self.url, timeout=15)
        assert self.client.get(self.info["url"]).status_code == 200

    def page(self, path: str) -> str:
        """A whole page, as a visit to its address shows it."""
        answer = self.client.get(path)
        assert answer.status_code == 200, (answer.status_code, answer.text[:500])
        return answer.text

    def act(
        self, method: str, path: str, data: dict[str, Any] | None = None, **headers: str
    ) -> Any:
        """A request as htmx sends it from a page."""
        given = {**HTMX, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.client.request(method, path, data=data, headers=given)

    def call(self, tool: str, profile: str | None = None, **values: Any) -> Any:
        """A tool by the door of the shell: how a test prepares rows."""
        said = {"tool": tool, "values": values, "profile": profile, "yes": True}
        key = {"Authorization": f"Bearer {self.keys['shell']}"}
        answer = self.client.post("/shell/call", json=said, headers=key).json()
        assert "result" in answer, answer
        return answer["result"]

    def socket(self, at: str = "/default", tab: str = "", seen: str = "") -> ClientConnection:
        """The socket of an open tab at that address, whose page had seen that event."""
        address = f"ws://127.0.0.1:{self.port}/ws?at={at}&tab={tab}&seen={seen}"
        own = [("Origin", self.url), ("Cookie", self.cookie)]
        return connect(address, additional_headers=own, compression=None, max_size=None)


def hear(socket: ClientConnection, wanted: str, seconds: float = 5.0) -> str:
    """All that a socket says until `wanted` is in it."""
    heard = ""
    with contextlib.suppress(TimeoutError):
        while wanted not in heard:
            heard += str(socket.recv(timeout=seconds))
    assert wanted in heard, f"{wanted!r} did not come in {seconds} s; came: {heard[-800:]}"
    return heard


@contextlib.contextmanager
def serving(
    home: Path,
    *arguments: str,
    env: dict[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "pipulate"),
) -> Iterator[Server]:
    """A logged-in server on this home; ended with the block."""
    command = [sys.executable, *program, "serve", "--home", str(home), "--port", "0"]
    own = {k: v for k, v in os.environ.items() if not re.match("PIPULATE_(?!BROWSER)", k)}
    process = subprocess.Popen(
        [*command, "--no-browser", "--json", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**own, "OLLAMA_HOST": NOWHERE, **(env or {})},
    )
    assert process.stdout
    with contextlib.ExitStack() as stack:
        stack.callback(end, process)
        ready = select.select([process.stdout], [], [], 20)[0]
        line = process.stdout.readline() if ready else ""
        assert line, f"the server ended with {process.poll()} before it was ready"
        server = Server(process, json.loads(line), home)
        server.log_in()
        stack.callback(server.client.close)
        yield server


def end(process: subprocess.Popen[str]) -> None:
    """Stop a process politely, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(6)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
    if process.stdout:
        process.stdout.close()
