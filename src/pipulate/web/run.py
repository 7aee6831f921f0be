"""Start and stop: the lock on the home, the port, the recovery page, the launch address."""

import asyncio
import contextlib
import json
import logging
import os
import socket as sockets
import time
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from subprocess import DEVNULL, Popen
from typing import Any

import anyio.to_thread
import uvicorn
from fasthtml.components import Button, Form, P
from filelock import Timeout
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pipulate.apps.browser import find_browser
from pipulate.apps.house import House
from pipulate.apps.markup import html, problem_card
from pipulate.core import backups, process
from pipulate.core.logs import open_log, problem_of
from pipulate.core.problems import Broken, Problem, from_dict
from pipulate.core.process import server_info, server_lock, stay
from pipulate.core.settings import Settings, write_private
from pipulate.core.store import Row
from pipulate.web.guard import Guard, Keys
from pipulate.web.live import soon
from pipulate.web.server import ASSETS, Site, body_limit

IDLE = 5.0  # seconds a connection may be open without a whole request
BEAT = 1.0  # seconds between two looks at the clock, for the date of answers
PAGE = """<!doctype html><html lang="en"><title>Recovery · Pipulate</title>
<meta name="htmx-config" content='{"includeIndicatorStyles":false,
"responseHandling":[{"code":"...","swap":true}]}'>
<link rel="stylesheet" href="/static/pico.min.css"><script src="/static/htmx.min.js"></script>
<body><main class="container"><h1>Recovery</h1>%s
<p>The file was not touched. Restoring puts a backup's copy in its place and keeps the file.</p>
%s</main>"""
LAG = 0.25  # seconds the event loop may be late before it is logged
Ready = Callable[[Row], None]


class Front:
    """Behind the guard: the site, or the recovery page while the store is broken."""

    def __init__(self, settings: Settings, keys: Keys, mcp: Callable[[House], Any]):
        self.settings, self.keys, self.mcp = settings, keys, mcp
        self.url, self.site = f"http://127.0.0.1:{settings.port}", None
        self._tasks = set[asyncio.Task[Any]]()
        self.own = Starlette(
            routes=[
                Route("/shell/launch", self._launch, methods=["POST"]),
                Mount("/static", StaticFiles(directory=ASSETS)),
                Route("/recover", self._recover, methods=["POST"]),
                Route("/{path:path}", lambda request: self._page(self.broken)),
            ]
        )

    def open(self):
        """Open the site, or leave the recovery page in its place."""
        try:
            house = House(self.settings)
        except Broken as broken:
            self.broken = from_dict(broken.as_dict())  # its trace would hold the file open
            return
        house.tools.url = self.url
        self.site = Site(house, self.mcp(house), self.keys.shares)
        self.begin(house.shelf.watch(), _daily(house), self.site.chat.look())

    def begin(self, *works):
        """Do this aside, until `close`."""
        self._tasks.update(map(asyncio.create_task, works))

    async def __call__(self, scope, receive, send):
        ready = self.site and scope["path"] != "/shell/launch"
        await (self.site.app if ready else self.own)(scope, receive, send)

    async def _launch(self, request) -> Response:
        return JSONResponse({"token": self.keys.launch_token()})

    async def _recover(self, request) -> Response:
        name = str((await request.form()).get("name", ""))
        try:
            await asyncio.to_thread(backups.restore, self.settings, name)
            self.open()
        except Problem as problem:
            return self._page(problem)
        return Response(headers={"HX-Redirect": "/"}) if self.site else self._page(self.broken)

    def _page(self, problem: Problem) -> Response:
        kept = backups.listing(self.settings.folder("backups"))
        rows = [*map(_restore, kept)] or [P("There are no backups in this home.")]
        # by htmx: under our no-referrer policy a browser's own form says Origin: null
        form = Form(*rows, hx_post="/recover", hx_target="body")
        return HTMLResponse(PAGE % (html(problem_card(problem)), html(form)), 503)

    def tell(self, ready: Ready):
        """Say where it is, in server.json and to `ready`."""
        home, port, bearer = self.settings.home, self.settings.port, self.keys.bearer
        info = {"url": self.url, "port": port, "pid": process.pid, "home": str(home)}
        tokens = {"token": bearer["/mcp"], "shell": bearer["/shell"]}
        write_private(home / "server.json", json.dumps(info | tokens))
        ready(info | {"url": f"{self.url}/?token={self.keys.launch_token()}"})

    async def close(self):
        for task in self._tasks:
            task.cancel()
        if self.site:
            await self.site.close()


def _restore(kept: Row):
    button = Button("Restore a copy of this", name="name", value=kept["name"], cls="outline")
    return P(button, f" {kept['made']} · {kept['name']} · {kept['size']:,} bytes")


async def _daily(house: House):
    def work():
        house.tools.expire()
        if backups.daily(house.db, house.settings.folder("backups")):
            house.events.prune()

    while True:
        try:
            await anyio.to_thread.run_sync(work, abandon_on_cancel=True)  # no end waits for it
            house.trouble = None
        except Exception as error:
            house.trouble = problem_of(error)
        await asyncio.sleep(600)


async def _evict(server: uvicorn.Server):
    """Close connections that ask for nothing: many of them would lock the user out."""
    seen = set[Any]()
    while True:
        idle = {c for c in server.server_state.connections if getattr(c, "cycle", c) is None}
        for connection in seen & idle:
            connection.transport.close()
        seen = idle
        await asyncio.sleep(IDLE)


async def _watchdog():
    while True:
        due = time.monotonic() + 0.1
        await asyncio.sleep(0.1)
        if (late := time.monotonic() - due) > LAG:
            logging.getLogger("pipulate.server").warning("event loop was %.0f ms late", late * 1000)


class Server(uvicorn.Server):
    """uvicorn's, but that one looks ten times a second whether it shall end."""

    def __init__(self, config: uvicorn.Config, front: Front, ready: Ready):
        super().__init__(config)
        self.front, self.ready = front, ready
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()

    async def main_loop(self):
        self.front.tell(self.ready)
        while not await self.on_tick(0):  # it sets the date of answers, too
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), BEAT)
        if self.front.site:
            self.front.site.feed.end()  # answers that would never end by themselves

    def handle_exit(self, sig, frame):
        self.force_exit = self.should_exit  # a second one waits for no answer
        self.should_exit = True  # uvicorn's raises the signal once more at the end: no crash
        soon(self.loop, self.ended.set)


def bind(port: int) -> sockets.socket:
    """A socket on 127.0.0.1 and nowhere else. Raises Problem when the port is taken."""
    # proto named: asyncio turns Nagle off only then (else 40 ms a page)
    socket = sockets.socket(proto=sockets.IPPROTO_TCP)
    if os.name == "posix":  # on Windows it would let two have one port
        socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    try:
        socket.bind(("127.0.0.1", port))
    except OSError as error:
        socket.close()
        what = f"Port {port} cannot be used ({error.strerror})."
        raise Problem(what, "Choose another one with --port, or --port 0.") from None
    return socket


async def serve(settings: Settings, mcp: Callable[[House], Any], ready: Ready):
    """Serve a home until told to stop. `ready` gets {url, port, pid, home} once it answers.

    Raises Problem: the home is served already, the port is taken, the home cannot be written."""
    settings.make_home()
    stay()
    lock = server_lock(settings)
    try:
        lock.acquire()
    except Timeout:
        info = server_info(settings) or {}
        what = f"A server is already running on this home at {info.get('url', '?')}."
        raise Problem(what, "Run `pipulate open` to open it.") from None
    told = settings.home / "server.json"
    try:
        told.unlink(missing_ok=True)
        with bind(settings.port) as socket:
            open_log(settings.folder("logs"))
            await _serve_on(socket, settings, mcp, ready)
    finally:
        told.unlink(missing_ok=True)
        lock.release()


async def _serve_on(socket: sockets.socket, settings: Settings, mcp, ready: Ready):
    port, keys = socket.getsockname()[1], Keys(settings.secret)
    front = Front(replace(settings, port=port), keys, mcp)
    front.open()
    guard = Guard(GZipMiddleware(front, minimum_size=800, compresslevel=5), keys, port, body_limit)
    quiet = {"log_config": None, "access_log": False, "server_header": False}
    quiet |= {"ws_per_message_deflate": False}  # it costs time, and saves none on one machine
    limits = {"ws_max_size": 256_000, "timeout_graceful_shutdown": 1, "limit_concurrency": 300}
    config = uvicorn.Config(guard, lifespan="off", proxy_headers=False, **quiet, **limits)
    server = Server(config, front, ready)
    front.begin(_watchdog(), _evict(server))
    try:
        await server.serve(sockets=[socket])
    finally:
        await front.close()


def open_browser(settings: Settings, url: str, window: bool = False) -> bool:
    """Open a launch address through an owner-only file, so that no process list shows it.

    `window`: without the browser's bars, where Chromium, Chrome or Edge is found."""
    path = settings.home / "open.html"
    write_private(path, f'<!doctype html><meta http-equiv="refresh" content="0;url={url}">')
    if not (program := window and find_browser()):
        return webbrowser.open(path.as_uri())
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), DEVNULL)
    Popen([program, f"--app={path.as_uri()}"], start_new_session=True, **quiet)
    return True
