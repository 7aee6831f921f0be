"""The site: every route, and what the engines tell open tabs. Started by run.py."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fasthtml.components import Button, Div
from fasthtml.core import FastHTML
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from pipulate.ai.chat import Chat
from pipulate.apps.base import Go, Refusal, Visit, origin_tab
from pipulate.apps.house import House
from pipulate.apps.markup import html, notice, problem_card
from pipulate.core.logs import log_fault
from pipulate.core.problems import Missing, Problem
from pipulate.core.profiles import Profile
from pipulate.core.tools import Caller
from pipulate.web import pages, panel
from pipulate.web.guard import Keys
from pipulate.web.layout import Layout
from pipulate.web.live import Hub, Tab

ASSETS = Path(__file__).parent / "assets"
UPLOAD = 8 * 2**30  # bytes of one uploaded file
PROGRESS_EVERY = 0.1  # seconds between two progress fragments of a job


def body_limit(method: str, path: str) -> int | None:
    """The body limit that a route declares for itself, in bytes."""
    return UPLOAD if method == "PUT" and path.startswith("/files/") else None


class Site:
    """A house on the web: its routes, and what its engines tell the open tabs."""

    def __init__(self, house: House, keys: Keys, mcp):
        self.house, self.keys = house, keys
        self.hub, self.layout = Hub(), Layout(house)
        self.chat = Chat(house, self._chat_event)
        self._told: dict[int, float] = {}
        house.db.on_event.append(self._event)
        house.jobs.on_change.append(self._job)
        house.shelf.on_change.append(self._menu)
        house.tools.on_approval.append(self._approval)
        every = ["GET", "POST", "PATCH", "PUT", "DELETE"]
        self.app = FastHTML(
            default_hdrs=False,
            canonical=False,
            sess_cls=None,
            secret_key="unused: the guard signs its own cookie",
            routes=[
                Route("/", self.home, methods=["GET"]),
                Mount("/static", StaticFiles(directory=ASSETS, check_dir=False)),
                WebSocketRoute("/ws", self.socket),
                Route("/mcp", mcp, methods=["GET", "POST", "DELETE"]),
                Route("/shell/call", self.shell_call, methods=["POST"]),
                Route("/shell/launch", self.shell_launch, methods=["POST"]),
                Route("/files/{profile}", self.upload, methods=["PUT"]),
                Route("/files/{profile}/{file:int}", self.download, methods=["GET"]),
                Route("/{profile}/undo/{event:int}", self.page(pages.undo), methods=["POST"]),
                Route("/{profile}/approvals/{id}", self.page(pages.approval), methods=["GET"]),
                Route("/{profile}/approvals/{id}", self.page(pages.decide), methods=["POST"]),
                Route("/{profile}/chat/stop", self.page(pages.stop), methods=["POST"]),
                Route("/{profile}/call/{tool}", self.page(pages.call), methods=["POST"]),
                Route("/{profile}/history", self.page(pages.history), methods=["GET"]),
                Route("/{profile}/search", self.page(pages.search), methods=["GET"]),
                Route("/{profile}/settings", self.page(pages.settings), methods=["GET"]),
                Route("/{profile}/plugin/{name}", self.page(pages.plugin), methods=["GET"]),
                Route("/{profile}", self.page(pages.overview), methods=["GET"]),
                Route("/{profile}/{app}", self.page(pages.app), methods=every),
                Route("/{profile}/{app}/{rest:path}", self.page(pages.app), methods=every),
            ],
        )

    # -- what engines tell open tabs ---------------------------------------------------------

    def _event(self, event: dict[str, Any]) -> None:
        """Rows changed: each app shows them in the tabs that are open on it."""
        names = {image["table"] for image in event["images"]}
        for slug, app in self.house.shelf.apps.items():
            if f"app_{slug}" not in names:
                continue
            shared = getattr(getattr(app, "model", None), "shared", False)
            for profile in self.house.profiles.all():
                if shared or event["profile_id"] in (profile.id, None):
                    text = app.live(self.house, profile, event)
                    self.hub.put(profile.id, text, f"/{profile.slug}/{slug}", origin_tab.get())

    def _approval(self, record: dict[str, Any]) -> None:
        """A program asks for approval while no conversation shows it: say so in open tabs."""
        if record["actor"] == "mcp":
            said = notice(f"A program asks to run {record['tool']}.", link=record["address"])
            self.hub.put(record["profile_id"], html(said))

    def _menu(self) -> None:
        """A plugin came, went or broke: the menus of open tabs follow."""
        for tab in list(self.hub.tabs):
            app = tab.at.split("?")[0].strip("/").split("/")[1:2]
            drawn = self.layout.menu(tab.profile, app[0] if app else "", hx_swap_oob="true")
            self.hub.loop.call_soon_threadsafe(tab.put, html(drawn))

    def _job(self, job) -> None:
        """A step moved on: its progress, at most ten times a second; at its end the whole run."""
        run, key = job.run, job.attempt["id"]
        profile = next((p for p in self.house.profiles.all() if p.id == run["profile_id"]), None)
        if profile is None or run["pipeline"] not in self.house.shelf.apps:
            return
        guided, at = self.house.shelf.pipeline(run["pipeline"]), f"/{profile.slug}/{run['pipeline']}/{run['id']}"
        if key not in self.house.jobs.live:
            self._told.pop(key, None)
            asyncio.ensure_future(self._redraw(guided, profile, run["id"], at))
        elif time.monotonic() - self._told.get(key, job.started) > PROGRESS_EVERY:
            self._told[key] = time.monotonic()
            self.hub.put(profile.id, guided.live_progress(profile, job), at)

    async def _redraw(self, guided, profile: Profile, run_id: int, at: str) -> None:
        drawn = await guided.draw_run(profile, run_id)
        self.hub.put(profile.id, html(drawn(hx_swap_oob="morph")), at)

    def _chat_event(self, profile_id: int, kind: str, row: dict[str, Any]) -> None:
        profile = next((p for p in self.house.profiles.all() if p.id == profile_id), None) if kind != "token" else None
        self.hub.put(profile_id, panel.fragment(kind, row, profile))  # type: ignore[arg-type]

    # -- requests ----------------------------------------------------------------------------

    def page(self, handler: Callable[..., Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint from handler(site, visit, request): Problems drawn, pages framed."""

        async def endpoint(request: Request) -> Response:
            slug, wanted = request.path_params["profile"], _partial(request)
            try:
                profile = self.house.profiles.at(slug)
            except Missing as missing:
                return self._elsewhere(request, missing)
            origin_tab.set(request.headers.get("x-tab", ""))
            title, status = "Pipulate", 200
            try:
                form = {} if request.method == "GET" else {k: str(v) for k, v in (await request.form()).items()}
                caller = Caller("user", profile, confirmed=True)
                visit = Visit(self.house, caller, None, request.path_params, request.query_params, form, wanted)
                result = await handler(self, visit, request)
                title = getattr(visit.app, "title", None) or handler.__name__.capitalize()
            except Problem as problem:
                result, status = _shown(problem_card(problem), wanted), problem.status
            except HTTPException as error:
                unread = Problem(f"That form cannot be read ({error.detail}).", "Send less at once.")
                result, status = _shown(problem_card(unread), wanted), error.status_code
            except Exception as error:
                fault = Problem("Something went wrong here; nothing was saved.", "Try again.")
                result, status = _shown(problem_card(fault, log_fault(error)), wanted), 500
            return self._respond(request, profile, result, title, status, wanted)

        return endpoint

    def _respond(
        self, request: Request, profile: Profile, result, title: str, status: int, wanted: bool
    ) -> Response:
        if isinstance(result, Response):
            return result
        if isinstance(result, Go):
            if wanted:
                return Response(headers={"HX-Redirect": result.address})
            return RedirectResponse(result.address, 303)
        headers = {}
        if isinstance(result, Refusal):
            if result.target:
                swap = "afterbegin" if result.target == "#notices" else "outerHTML"
                headers = {"HX-Retarget": result.target, "HX-Reswap": swap}
            result, status = result.elements, result.status or status
        parts = result if isinstance(result, tuple) else (result,)
        if wanted:
            drawn = html(*parts)
            return HTMLResponse(drawn, status, headers)
        return self.framed(profile, _address(request), title, html(*parts), request.scope["nonce"], status)

    def framed(
        self, profile: Profile, at: str, title: str, main: str, nonce: str, status: int = 200
    ) -> Response:
        talk = panel.column(self.chat, profile)
        text = self.layout.page(profile, quote(at, safe="/?"), title, main, talk, nonce)
        return HTMLResponse(text, status)

    def _elsewhere(self, request: Request, missing: Missing) -> Response:
        moved, slug = missing.details.get("moved"), request.path_params["profile"]
        if moved and request.method == "GET":
            return RedirectResponse(_address(request).replace(f"/{slug}", f"/{moved}", 1), 308)
        first = self.house.profiles.at()
        main = html(problem_card(missing))
        return self.framed(first, f"/{first.slug}", "Not found", main, request.scope["nonce"], 404)

    async def home(self, request: Request) -> Response:
        """Leads to the profile seen last."""
        last = self.house.settings_of().get("last_profile")
        slugs = [p.slug for p in self.house.profiles.all()]
        return RedirectResponse(f"/{last if last in slugs else slugs[0]}", 303)

    async def socket(self, socket: WebSocket) -> None:
        at = socket.query_params.get("at", "/")
        try:
            profile = self.house.profiles.at(at.strip("/").split("/")[0])
        except Missing:
            return await socket.close(4404)
        tab = Tab(socket, profile, at, socket.query_params.get("tab", ""))
        if live := self.chat.streaming.get(profile.id):
            tab.put(panel.fragment("final", live, profile))
        await self._catch_up(tab)

        async def on_message(data: dict[str, Any]) -> None:
            if isinstance(data.get("msg"), str):
                await self.chat.say(profile, data["msg"], at)

        await self.hub.serve(socket, tab, on_message)

    async def _catch_up(self, tab: Tab) -> None:
        """A page drawn before its socket was there may have missed the end of a step.

        Nothing is sent when no step ran lately: it would take back what is being typed."""
        parts = tab.at.strip("/").split("/")
        run = len(parts) == 3 and parts[2].isdecimal() and len(parts[2]) < 19
        if run and parts[1] in self.house.shelf.apps:
            app = self.house.shelf.apps[parts[1]]
            lately = (datetime.now(UTC) - timedelta(seconds=10)).isoformat()
            late = "run_id = ? AND (ended_utc IS NULL OR ended_utc > ?)"
            if hasattr(app, "draw_run") and self.house.runs.attempts(late, (int(parts[2]), lately)):
                try:
                    drawn = await app.draw_run(tab.profile, int(parts[2]))
                    tab.put(html(drawn(hx_swap_oob="morph")))
                except Problem:
                    return

    async def upload(self, request: Request) -> Response:
        """A raw streamed PUT; the answer is the file's reference, such as file:12."""
        name = request.query_params.get("name", "file")
        try:
            profile = self.house.profiles.at(request.path_params["profile"])
            key = await self.house.files.upload(profile, name, request.stream())
        except Problem as problem:
            return Response(str(problem), problem.status)
        return Response(f"file:{key}")

    async def download(self, request: Request) -> Response:
        try:
            profile = self.house.profiles.at(request.path_params["profile"])
            file = self.house.files.get(profile, request.path_params["file"])
        except Problem as problem:
            return HTMLResponse(html(problem_card(problem)), problem.status)
        return FileResponse(file.path, filename=file.name, headers={"cache-control": "no-store"})

    # -- programs ----------------------------------------------------------------------------

    async def shell_call(self, request: Request) -> Response:
        """{tool, values, text, profile, yes, cwd} → {result} or {problem: …}: the shell's door."""
        try:
            said = json.loads(await request.body())
            house, actor = self.house, "mcp" if said.get("actor") == "mcp" else "shell"
            where = {"confirmed": bool(said.get("yes")), "cwd": Path(said.get("cwd") or "/")}
            caller = house.caller(actor, said.get("profile"), **where)
            if said["tool"] in ("tools", "apps"):
                source = house.tools if said["tool"] == "tools" else house.shelf
                return JSONResponse({"result": source.listing()})
            values, text = said.get("values") or {}, said.get("text")
            work = asyncio.create_task(house.tools.call(said["tool"], values, caller, text))
            while not (await asyncio.wait([work], timeout=0.5))[0]:
                if await request.is_disconnected():  # Ctrl-C in the shell
                    work.cancel()
            return JSONResponse({"result": await work})
        except Problem as problem:
            return JSONResponse({"problem": problem.as_dict()})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return JSONResponse({"problem": Problem(f"Unreadable request ({error}).").as_dict()}, 400)

    async def shell_launch(self, request: Request) -> Response:
        return JSONResponse({"token": self.keys.launch_token()})

    async def close(self) -> None:
        for profile_id in list(self.chat.turns):
            await self.chat.stop(profile_id)
        await self.house.close()


def _shown(card, wanted: bool):
    """A problem as a page, or as a notice in the corner of the page that asked."""
    if not wanted:
        return card
    close = Button("×", cls="link", data_close=True, aria_label="Close")
    return Refusal(Div(card, close, cls="notice"), 0, "#notices")


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _partial(request: Request) -> bool:
    headers = request.headers
    return "hx-request" in headers and "hx-history-restore-request" not in headers
