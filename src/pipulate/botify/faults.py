"""Everything that may go wrong on the way to the stand-in, by request: chosen, counted, noted."""

import asyncio
import re
from dataclasses import dataclass

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
CODES = {"401": 1001, "403": 1002, "404": 1010, "409": 1052, "500": 1000}


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

    def __init__(self, service, app):
        self.service, self.app = service, app

    async def __call__(self, scope, receive, send):
        origin = "files" if self.service.files.endswith(f":{scope['server'][1]}") else "api"
        about = {"method": scope["method"], "path": scope["path"], "origin": origin}
        about["headers"] = {k.decode(): v.decode("latin-1") for k, v in scope["headers"]}
        self.service.seen.append(about)
        transport = send.__self__.transport
        scope["hang_up"], reset = transport.close, transport.abort  # the latter: a pulled cable
        kind, wait = self._fault(f"{scope['method']} {scope['path']}")
        if kind == "reset":
            return reset()
        if kind == "stall":
            return await asyncio.sleep(3_600)
        if kind.startswith("act-then"):
            send = _swallow(reset if kind == "act-then-reset" else None)
        elif answer := self._answer(kind, wait, about):
            return await answer(scope, receive, send)
        await self.app(scope, receive, send)

    def _fault(self, at):
        for fault in self.service.faults:
            if fault.seen < fault.times and re.search(fault.where, at):
                fault.seen += 1
                return fault.kind, fault.wait
        return "", ""

    def _answer(self, kind, wait, about):
        key, path = about["headers"].get("authorization"), about["path"]
        made = {
            "429": lambda: refusal(429, 1053, "too many requests", {"retry-after": wait}),
            "502": lambda: HTMLResponse(GATEWAY, 502),
            "html": lambda: HTMLResponse(GATEWAY),
            "empty": lambda: Response(b""),
            "json": lambda: Response('{"results": [', media_type="application/json"),
            "shape": lambda: JSONResponse({"results": "none", "data": [], "token": key}),
            "redirect": lambda: RedirectResponse(f"{path}?page=1&size=500&again=1", 307),
            "away": lambda: RedirectResponse(f"{self.service.files}/signed/1/1/x", 302),
            "loop": lambda: RedirectResponse(path, 302),
        }
        if kind in CODES:
            return refusal(int(kind), CODES[kind], f"refused with {kind}: {key}")
        if kind in made:
            return made[kind]()
        known = about["origin"] == "files" or key == f"Token {self.service.token}"
        return None if known else refusal(401, 1001, "not authorised")


def _swallow(reset):
    """A `send` that lets the application act, and breaks off or waits before it can say so."""

    async def send(message):
        if not reset:
            await asyncio.sleep(3_600)
        reset()

    return send


def refusal(status, code, message, headers=None):
    """A refusal in the service's own form; `code`: its error_code."""
    said = {"error": {"message": message, "error_code": str(code), "error_detail": {}}}
    return JSONResponse(said, status, headers)
