"""Pipulate as a program of the machine: what lets a browser install it as a window, and its end."""

import asyncio
import json
import signal

from fasthtml.components import Code, H1, P, Section
from starlette.responses import Response
from starlette.routing import Route

SIZES = (192, 512)  # of icons, which hatch_build.py draws
ICONS = [{"src": f"/static/icon-{n}.png", "sizes": f"{n}x{n}", "type": "image/png"} for n in SIZES]
MANIFEST = {
    "id": "/",
    "name": "Pipulate",
    "start_url": "/",
    "scope": "/",
    "display": "standalone",
    "theme_color": "#0172ad",
    "background_color": "#13171f",
    "icons": [*ICONS, {**ICONS[-1], "purpose": "maskable"}],
}


ROUTES = [
    Route(
        "/static/app.webmanifest",
        lambda request: Response(json.dumps(MANIFEST), media_type="application/manifest+json"),
    )
]


async def end(site, visit, request):
    """End the program, as Ctrl-C does, once this answer is on its way."""
    asyncio.get_running_loop().call_later(0.1, signal.raise_signal, signal.SIGTERM)
    then = " to start again. This page goes on when it runs on this port."
    said = P("Pipulate has ended — run ", Code("pipulate"), then)
    return Section(H1("Until next time"), said, id="ended")
