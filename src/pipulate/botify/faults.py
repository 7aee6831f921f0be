"""Everything that may go wrong on the way to the stand-in, by request: chosen, counted, noted."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
Json = dict[str, Any]


@dataclass
class Fault:
    """What happens instead to requests whose "METHOD path" matches, so many times."""

    where: str
    kind: str
    times: int = 1
    wait: str = ""  # a Retry-After
    seen: int = 0


class Faulty:
    """Stands before an application: notes requests, asks for the token, lets things go wrong."""

    def __init__(self, service: Any, app: Any, origin: str):
        self.service, self.app, self.origin = service, app, origin

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {k.decode(): v.decode("latin-1") for k, v in scope["headers"]}
        about = {"method": scope["method"], "path": scope["path"], "origin": self.origin}
        self.service.seen.append(about | {"headers": headers})
        transport = send.__self__.transport
        scope["hang_up"], reset = transport.close, transport.abort  # the latter: a pulled cable
        kind, wait = self._fault(f"{scope['method']} {scope['path']}")
        if kind == "reset":
            return reset()
        if kind == "stall":
            return await asyncio.sleep(3_600)
        if kind.startswith("act-then"):
            send = _swallow(reset if kind == "act-then-reset" else None)
        elif answer := self._answer(kind, wait, headers, scope):
            return await answer(scope, receive, send)
        await self.app(scope, receive, send)

    def _fault(self, at: str) -> tuple[str, str]:
        for fault in self.service.faults:
            if fault.seen < fault.times and re.search(fault.where, at):
                fault.seen += 1
                return fault.kind, fault.wait
        return "", ""

    def _answer(self, kind: str, wait: str, headers: dict[str, str], scope: Any) -> Response | None:
        if self.origin == "files" and not kind:
            return None
        known = headers.get("authorization") == f"Token {self.service.token}"
        if kind == "429":
            more = {"retry-after": wait} if wait else {}
            return refusal(429, 1053, "too many requests", more)
        if kind in ("401", "403", "404", "409", "500"):
            code = {"401": 1001, "403": 1002, "404": 1010, "409": 1052, "500": 1000}[kind]
            return refusal(int(kind), code, f"refused with {kind}: {headers.get('authorization')}")
        if not known and self.origin == "api":
            return refusal(401, 1001, "not authorised")
        made = {
            "502": lambda: HTMLResponse(GATEWAY, 502),
            "html": lambda: HTMLResponse(GATEWAY),
            "empty": lambda: Response(b""),
            "json": lambda: Response('{"results": [', media_type="application/json"),
            "shape": lambda: JSONResponse({"results": "none", "data": [], "token": headers}),
            "redirect": lambda: RedirectResponse(f"{scope['path']}?page=1&size=500&again=1", 307),
            "away": lambda: RedirectResponse(f"{self.service.files}/signed/1/1/x", 302),
            "loop": lambda: RedirectResponse(scope["path"], 302),
        }
        return made[kind]() if kind in made else None


def _swallow(reset: Any) -> Any:
    """A `send` that lets the application act, and breaks off or waits before it can say so."""

    async def send(message: Json) -> None:
        if not reset:
            await asyncio.sleep(3_600)
        reset()

    return send


def refusal(
    status: int, code: int, message: str, headers: dict[str, str] | None = None
) -> Response:
    said = {"error": {"message": message, "error_code": str(code), "error_detail": {}}}
    return JSONResponse(said, status, headers)
