"""Start and stop: the lock on the home, the port, the recovery page, the launch address."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket as sockets
import time
import webbrowser
from collections.abc import Callable
from typing import Any

import uvicorn
from filelock import FileLock, Timeout
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from fasthtml.components import Body, Button, Form, H1, Head, Html, Input, Li, Link, Main, P, Title, Ul

from pipulate.apps.house import House
from pipulate.apps.markup import html, problem_card
from pipulate.core import backups
from pipulate.core.logs import log_fault, open_log
from pipulate.core.problems import Broken, Problem
from pipulate.core.settings import Settings, write_private
from pipulate.web.guard import Guard, Keys
from pipulate.web.server import ASSETS, Site, body_limit

IDLE = 5.0  # seconds a connection may be open without a whole request
LAG = 0.25  # seconds the event loop may be late before it is logged
log = logging.getLogger("pipulate.server")


class Front:
    """What stands behind the guard: the site, or the recovery page while the store is broken."""

    def __init__(self, settings: Settings, keys: Keys, mcp: Callable[[House], Any]):
        self.settings, self.keys, self.mcp = settings, keys, mcp
        self.site: Site | None = None
        self.broken: Broken | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    def open(self) -> None:
        """Open the house; a store that cannot be used leaves the recovery page in its place."""
        try:
            house = House(self.settings)
        except Broken as broken:
            self.broken = broken
            return
        self.broken, self.site = None, Site(house, self.keys, self.mcp(house))
        self._tasks = [asyncio.create_task(house.shelf.watch()), asyncio.create_task(_daily(house))]

    async def __call__(self, scope, receive, send) -> None:
        if self.site:
            return await self.site.app(scope, receive, send)
        if scope["type"] == "http" and scope["path"].startswith("/static/"):
            inside = scope | {"path": scope["path"].removeprefix("/static")}
            await StaticFiles(directory=ASSETS)(inside, receive, send)
        elif scope["type"] == "http":
            response = await self._recover(Request(scope, receive))
            await response(scope, receive, send)

    async def _recover(self, request: Request) -> Response:
        problem: Problem = self.broken or Problem("The store is broken.")
        if request.method == "POST" and request.url.path == "/recover":
            name = str((await request.form()).get("name", ""))
            try:
                await asyncio.to_thread(backups.restore, self.settings, name)
                self.open()
                if self.site:
                    return Response(status_code=303, headers={"location": "/"})
                problem = self.broken or problem
            except Problem as failed:
                problem = failed
        return HTMLResponse(self._recovery_page(problem), 503)

    def _recovery_page(self, problem: Problem) -> str:
        kept = backups.listing(self.settings.folder("backups"))
        items = [
            Li(
                Form(
                    Input(type="hidden", name="name", value=b["name"]),
                    f"{b['made']} · {b['name']} · {b['size']:,} bytes ",
                    Button("Restore a copy of this", cls="outline"), method="post", action="/recover",
                )
            )
            for b in kept
        ]
        safe = "The file was not touched. Restoring puts a copy of a backup in its place and keeps the file."
        css = Link(rel="stylesheet", href="/static/pico.min.css")
        listed = Ul(*items) if items else P("There are no backups in this home.")
        main = Main(H1("Recovery"), problem_card(problem), P(safe), listed, cls="container")
        return html(Html(Head(Title("Recovery · Pipulate"), css), Body(main), lang="en"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self.site:
            await self.site.close()


async def _daily(house: House) -> None:
    """A backup and the pruning of old images, now and then once a day."""
    while True:
        try:
            await asyncio.to_thread(backups.daily, house.db, house.settings.folder("backups"))
            await asyncio.to_thread(house.events.prune)
        except Exception as error:
            log_fault(error)
        await asyncio.sleep(3600)


async def _evict(server: uvicorn.Server) -> None:
    """Close connections that ask for nothing: held open, they would lock the user out."""
    seen: set[Any] = set()
    while True:
        idle = {c for c in server.server_state.connections if getattr(c, "cycle", c) is None}
        for connection in seen & idle:
            connection.transport.close()  # type: ignore[union-attr]
        seen = idle
        await asyncio.sleep(IDLE)


async def _watchdog() -> None:
    """Log when the event loop was held up: something blocks that should be in a thread."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.1)
        late = time.monotonic() - before - 0.1
        if late > LAG:
            log.warning("event loop was %.0f ms late", late * 1000)


def bind(port: int) -> sockets.socket:
    """A socket on 127.0.0.1 and nowhere else. Raises Problem when the port is taken."""
    # proto named: asyncio turns Nagle off only then (else 40 ms a page)
    socket = sockets.socket(proto=sockets.IPPROTO_TCP)
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    try:
        socket.bind(("127.0.0.1", port))
    except OSError as error:
        socket.close()
        what = f"Port {port} cannot be used ({error.strerror})."
        raise Problem(what, "Another program has it: choose one with --port, or --port 0.") from None
    return socket


def server_info(settings: Settings) -> dict[str, Any] | None:
    """server.json of a server that is alive, i.e. holds the lock; else None."""
    try:
        with FileLock(settings.folder("locks") / "server.lock", timeout=0):
            return None
    except Timeout:
        path = settings.home / "server.json"
        return json.loads(path.read_text()) if path.exists() else {"url": "(starting)"}
    except OSError:
        return None


async def serve(settings: Settings, mcp: Callable[[House], Any], ready: Callable[[dict[str, Any]], None]) -> None:
    """Serve a home until told to stop. `ready` gets {url, port, pid, home} once it answers.

    Raises Problem: the home is served already, the port is taken, the home cannot be written."""
    settings.make_home()
    lock = FileLock(settings.folder("locks") / "server.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        info = server_info(settings) or {}
        what = f"A server is already running on this home at {info.get('url', '?')}."
        raise Problem(what, "Run `pipulate open` to open it.") from None
    try:
        with bind(settings.port) as socket:
            open_log(settings.folder("logs"))
            await _serve_on(socket, settings, mcp, ready)
    finally:
        (settings.home / "server.json").unlink(missing_ok=True)
        lock.release()


async def _serve_on(socket: sockets.socket, settings: Settings, mcp, ready) -> None:
    port, keys = socket.getsockname()[1], Keys(settings.secret)
    front = Front(settings, keys, mcp)
    front.open()
    guard = Guard(GZipMiddleware(front, minimum_size=800, compresslevel=5), keys, port, body_limit)
    config = uvicorn.Config(
        guard,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=256_000,
        timeout_graceful_shutdown=1,
        limit_concurrency=300,
    )
    server = uvicorn.Server(config)
    dog, evict = asyncio.create_task(_watchdog()), asyncio.create_task(_evict(server))
    told = asyncio.create_task(_tell(server, settings, keys, port, ready))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        await server.serve(sockets=[socket])
    finally:
        for task in (dog, evict, told):
            task.cancel()
        await front.close()


def _leave(number: int, frame) -> None:
    """uvicorn raises the signal that ended it once more: no crash. Another one ends at once."""
    signal.signal(number, signal.SIG_DFL)


async def _tell(server: uvicorn.Server, settings: Settings, keys: Keys, port: int, ready) -> None:
    while not server.started:
        await asyncio.sleep(0.005)
    address = f"http://127.0.0.1:{port}"
    info = {"url": address, "port": port, "pid": os.getpid(), "home": str(settings.home)}
    tokens = {"token": keys.bearer["/mcp"], "shell": keys.bearer["/shell"]}
    write_private(settings.home / "server.json", json.dumps(info | tokens))
    ready(info | {"url": f"{address}/?token={keys.launch_token()}"})


def open_browser(settings: Settings, url: str) -> bool:
    """Open a launch address through an owner-only file, so that no process list shows it."""
    path = settings.home / "open.html"
    write_private(path, f'<!doctype html><meta http-equiv="refresh" content="0;url={url}">')
    return webbrowser.open(path.as_uri())
