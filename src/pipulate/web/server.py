"""The site: every route, and what the engines tell open tabs. Started by run.py."""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from fasthtml.components import A, Div
from fasthtml.core import FastHTML
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.responses import StreamingResponse
from starlette.routing import Match, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from pipulate.ai.chat import Chat
from pipulate.ai.complete import connect
from pipulate.ai.prompt import place
from pipulate.apps.base import Download, Go, Refusal, Visit, made, origin_tab
from pipulate.apps.crud import Crud
from pipulate.apps.files import shown_as
from pipulate.apps.house import House
from pipulate.apps.rows import AGAIN
from pipulate.apps.markup import CLOSE, html, notice, problem_card
from pipulate.core.logs import problem_of
from pipulate.core.problems import Missing, Problem
from pipulate.core.profiles import ROUTE_WORDS, Profile
from pipulate.core.store import Row
from pipulate.core.tools import Caller, limited
from pipulate.web import assistant, history, inbox, pages, panel, widgets
from pipulate.web.feed import Feed
from pipulate.web.layout import Layout
from pipulate.web.live import Hub, Tab, soon
from pipulate.web.news import News
from pipulate.web.share import Shares

ASSETS = Path(__file__).parent / "assets"
NO_NOTICES = '<div id="notices" hx-swap-oob="innerHTML"></div>'  # a new page: errors are over
UPLOAD = 8 * 2**30  # bytes of one uploaded file
EVERY = "GET POST PATCH PUT DELETE"
CALL = {"tool": str, "values": dict | None, "text": dict | None}  # what a call consists of
CALL |= {"profile": str | None, "cwd": str | None}


def body_limit(method: str, path: str) -> int | None:
    """The body limit that a route declares for itself, in bytes."""
    return UPLOAD if method == "PUT" and path.startswith("/files/") else None


class Site:
    """A house on the web: its routes, and what its engines tell the open tabs."""

    def __init__(self, house: House, mcp, shares: Shares):
        self.house, house.shares = house, shares
        self.hub, self.layout, self.feed = Hub(), Layout(house), Feed(house)
        self.chat = Chat(house, connect(house), self._chat_event)
        self.news, self.work = News(house, self.hub), assistant.Work(self)
        self.opened: dict[int, str] = {}  # profile's id → the app seen last
        house.db.on_event.append(self._event)
        house.shelf.on_change.append(self._menu)
        house.tools.on_approval.append(self._approval)
        house.on_progress.append(self.hub.put)
        self.app = FastHTML(
            default_hdrs=False,
            canonical=False,
            sess_cls=None,
            secret_key="unused: the guard signs its own cookie",
            exception_handlers={Problem: lambda _, p: JSONResponse(p.as_dict(), p.status)},
            routes=[
                *(self.route(*row, First) for row in PAGES[-2:]),
                *(Route(path, self.home) for path in ("/", "/docs", "/docs/{name:path}")),
                *widgets.ROUTES,
                Mount("/static", StaticFiles(directory=ASSETS, check_dir=False)),
                WebSocketRoute("/ws", self.socket),
                Route("/mcp", mcp, methods=["GET", "POST", "DELETE"]),
                Route("/shell/call", self.shell_call, methods=["POST"]),
                Route("/events", self.feed.answer),
                Route("/share/{token}", shares.answer),
                Route("/files/{profile}", self.upload, methods=["PUT"]),
                Route("/files/{profile}/{file:int}", self.page(download)),
                Route("/files/{profile}/{file:int}/view", self.page(download)),
                *(self.route(*row) for row in PAGES),
            ],
        )

    # -- what engines tell open tabs

    def _event(self, event: Row):
        names = {image["table"] for image in event["images"]}
        for profile, slug in {(t.profile, place(t.at)[0]) for t in [*self.hub.tabs]}:
            app, ours = self.house.shelf.apps.get(slug), event["profile_id"] in (profile.id, None)
            listed = isinstance(app, Crud) and app.table_name in names
            if (listed and (ours or app.model.shared)) or (ours and slug == "history"):
                self.hub.put(profile.id, AGAIN, f"/{profile.slug}/{slug}", origin_tab.get())
        if event["verb"] in ("undo", "redo"):
            soon(self.hub.loop, self._chat_event, event["profile_id"], "anew", {})
        if self.chat.there:
            soon(self.hub.loop, assistant.moved, self, event)

    def _approval(self, record: Row):
        if record["actor"] == "mcp":
            asks = A(f"A program asks to run {record['tool']}.", href=record["address"])
            self.hub.put(record["profile_id"], html(notice(asks)))

    def _menu(self):
        """A plugin came, went or broke: the menus of open tabs follow; what came back is told."""
        back, self.house.shelf.back = self.house.shelf.back, []
        for tab in [*self.hub.tabs]:
            base = f"/{tab.profile.slug}"
            drawn = self.layout.menu(tab.profile, place(tab.at)[0], hx_swap_oob="true")
            told = (notice(A(words, href=f"{base}/{slug}")) for slug, words in back)
            soon(self.hub.loop, tab.put, html(drawn, *told))

    def _chat_event(self, profile_id: int | None, kind: str, row: Row):
        profile, turn = self.house.profiles.of(profile_id), row.get("turn")
        if not profile:
            return
        if kind in ("anew", "gone"):
            drawn = panel.anew(self.chat, profile, kind == "gone")
        else:
            left = self.house.events.turns(profile_id, [turn]).get(turn) if turn else None
            drawn = panel.fragment(kind, row, profile, left, profile_id in self.chat.turns)
        self.hub.put(profile_id, drawn)

    # -- requests

    def route(self, how: str, path: str, run: Callable[..., Awaitable[Any]], kind=Route):
        return kind(f"/{{profile}}/{path}".rstrip("/"), self.page(run), methods=how.split())

    def page(self, handler: Callable[..., Awaitable[Any]]):
        """An endpoint from handler(site, visit, request): Problems drawn, pages framed."""

        async def endpoint(request):
            headers, path = request.headers, request.path_params
            try:
                profile = self.house.profiles.at(path["profile"])
            except Missing as missing:
                return self._elsewhere(request, missing)
            origin_tab.set(headers.get("x-tab", ""))
            made.set([])
            wanted = "hx-request" in headers and "hx-history-restore-request" not in headers
            caller, here = Caller("user", profile, True), headers.get("hx-current-url", "")
            visit = Visit(self.house, caller, None, path, request.query_params, {}, wanted, here)
            title, at = "Pipulate", "" if wanted else quote(_address(request), safe="/?")
            seen = "" if wanted else str(self.house.events.newest())
            try:
                if request.method != "GET":
                    visit.form = await _form(request)
                result = await handler(self, visit, request)
                title = visit.title or getattr(visit.app, "title", handler.__name__.capitalize())
            except Exception as error:
                result = _refusal(error, wanted)
            if isinstance(result, Go):
                if wanted:
                    return Response(headers={"HX-Redirect": result.address})
                return RedirectResponse(result.address, 303)
            return self._answer(request, profile, at, result, title, seen)

        return endpoint

    def _answer(self, request, profile: Profile, at: str, result, title: str, seen: str):
        """`seen`: the event before a whole page was drawn; "" for a part of one."""
        if isinstance(result, Download):
            return _sent(result)
        if isinstance(result, Response):
            return result
        headers, status = {}, 200
        if isinstance(result, Refusal):
            if target := result.target:
                swap = "afterbegin" if target == "#notices" else "outerHTML"
                headers = {"HX-Retarget": target, "HX-Reswap": swap, "HX-Push-Url": "false"}
            result, status = result.elements, result.status
        drawn = html(*result) if isinstance(result, tuple) else html(result)
        if request.headers.get("hx-target") == "main" and status < 400:
            drawn += NO_NOTICES
        if seen:
            assistant.opened(self, profile, at)
            talk, nonce = panel.column(self.chat, profile, at), request.scope["nonce"]
            drawn = self.layout.page(profile, at, title, drawn, talk, nonce, seen)
        return HTMLResponse(drawn, status, headers)

    def _elsewhere(self, request, missing: Missing):
        """Leads to a renamed profile's new name, or says that there is none.

        An app's bare address, such as a plugin writes, leads to the profile of the page that asks.
        """
        moved, slug = missing.details.get("moved"), request.path_params["profile"]
        if slug in {*self.house.shelf.apps} - ROUTE_WORDS:
            return RedirectResponse(f"/{self._at(request)}{_address(request)}", 307)
        if moved:
            there = re.sub(rf"/{re.escape(slug)}\b", f"/{moved}", _address(request), count=1)
            return RedirectResponse(there, 308)
        first, seen = self.house.profiles.at(), "" if "hx-request" in request.headers else "0"
        said = _refusal(missing, not seen)
        return self._answer(request, first, f"/{first.slug}", said, "Not found", seen)

    async def home(self, request):
        return RedirectResponse(f"/{self._at(request)}{request.url.path.rstrip('/')}", 303)

    def _at(self, request) -> str:
        asks = urlsplit(request.headers.get("hx-current-url", "")).path[1:].partition("/")[0]
        slugs = [p.slug for p in self.house.profiles.all()]
        known = (asks, self.house.settings_of().get("last_profile"), slugs[0])
        return next(slug for slug in known if slug in slugs)

    async def socket(self, socket):
        asked = socket.query_params
        at = asked.get("at", "/")
        try:
            profile = self.house.profiles.at(at.strip("/").split("/")[0])
        except Missing:
            return await socket.close(4404)
        tab = Tab(socket, profile, at, asked.get("tab", ""))
        stale = asked.get("seen", "") not in ("", str(self.house.events.newest()))
        self.news.missed(tab, stale)
        last = asked.get("since")  # of the chat
        if last is not None and (missed := panel.since(self.chat, profile, last)):
            tab.put(missed)

        async def on_message(data: Row):
            if isinstance(data.get("msg"), str):
                await assistant.heard(self, tab, data)

        await self.hub.serve(socket, tab, on_message)

    async def upload(self, request):
        """A raw streamed PUT; the answer is the file's reference, such as file:12."""
        name = request.query_params.get("name", "file")
        try:
            profile = self.house.profiles.at(request.path_params["profile"])
            key = await self.house.files.upload(profile, name, request.stream())
        except Problem as problem:
            return Response(str(problem), problem.status)
        return Response(f"file:{key}")

    # -- programs

    async def shell_call(self, request):
        """The shell's door: what House.answer takes → {result}, {problem: …} or a download."""
        try:
            work = asyncio.create_task(self.house.answer(_readable(await request.body())))
            while not (await asyncio.wait([work], timeout=0.5))[0]:
                if await request.is_disconnected():  # Ctrl-C in the shell
                    work.cancel()
            if work.cancelled():
                return Response()
            if isinstance(result := work.result(), Download):
                return _sent(result)
            return JSONResponse({"result": result})
        except Exception as error:
            problem = problem_of(error)
            return JSONResponse({"problem": problem.as_dict()}, problem.status)

    async def close(self):
        await self.house.jobs.close()  # before the turns: nobody cancels their steps
        for profile_id in list(self.chat.turns):
            await self.chat.stop(profile_id)
        self.work.stop()
        await self.house.close()


async def download(site: Site, visit: Visit, request):
    """A file by its number; /view shows pictures and plain text, in which nothing runs."""
    file = site.house.files.get(visit.profile, visit.path["file"])
    shown = shown_as(file.name) if request.url.path.endswith("/view") else ""
    headers, way = {"content-security-policy": "sandbox"}, "inline" if shown else "attachment"
    return FileResponse(
        file.path, 200, headers, shown or None, filename=file.name, content_disposition_type=way
    )


def _refusal(error: Exception, wanted: bool) -> Refusal:
    card = problem_card(problem := problem_of(error))
    if not wanted:
        return Refusal(card, problem.status)
    return Refusal(Div(card, CLOSE, cls="notice"), problem.status, "#notices")


def _readable(body: bytes) -> Row:
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(body)
        if isinstance(said, dict) and all(isinstance(said.get(n), k) for n, k in CALL.items()):
            return said
    raise Problem("Unreadable request.")


async def _form(request) -> dict[str, str]:
    """The values of a form, those of `name[]` as one JSON list under `name`.

    What htmx sends is read at once."""
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs = parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True)
    else:
        try:
            pairs = [(name, str(value)) for name, value in (await request.form()).multi_items()]
        except HTTPException as error:
            what = f"That form cannot be read ({error.detail})."
            raise Problem(what, "Send less at once.") from None
    form: dict[str, str] = dict(pairs)
    for name in {name for name in form if name.endswith("[]")}:
        form[name[:-2]] = json.dumps([value for key, value in pairs if key == name and value])
    return form


def _sent(file: Download) -> StreamingResponse:
    saved, made = f"attachment; filename*=UTF-8''{quote(file.name)}", iter(file.chunks)

    async def pieces():
        while (piece := await limited(next, made, None)) is not None:
            yield piece

    return StreamingResponse(pieces(), 200, {"content-disposition": saved}, file.media_type)


def _address(request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


PAGES = (  # (methods, path below the profile, handler)
    ("POST", "undo", history.undo),
    ("POST", "undo/{event:int}", history.undo),
    ("GET", "history", history.history),
    ("GET", "history/{event:int}", history.change),
    ("GET", "history/{turn}", history.turn),
    ("POST", "history/{turn}", history.undo),
    ("GET", "approvals/{id}", pages.approval),
    ("POST", "approvals/{id}", pages.decide),
    ("POST", "chat/stop", pages.stop),
    ("POST", "quit", pages.end),
    *assistant.PAGES,
    *((how, "call/{tool}/form", pages.form) for how in ("GET", "POST")),
    ("POST", "call/{tool}", pages.call),
    ("GET", "inbox", inbox.inbox),
    ("POST", "inbox", inbox.discard),
    ("GET", "search", pages.search),
    ("GET", "settings", pages.settings),
    ("GET", "plugin/{name}", pages.plugin),
    ("GET", "", pages.overview),
    (EVERY, "{app}", pages.app),
    (EVERY, "{app}/{rest:path}", pages.app),
)
WORDS = {path.partition("/")[0] for _, path, _ in PAGES}


class First(Route):
    """An address of an app, asked for the most, before the others: each route costs its look."""

    def matches(self, scope):
        match, found = super().matches(scope)
        said = found.get("path_params", {})
        others = said.get("profile") in ROUTE_WORDS or said.get("app") in WORDS
        return (Match.NONE, {}) if others else (match, found)
