"""Pipulate as a program of the machine: what lets a browser install it as a window, and its end."""

import asyncio
import functools
import json
import math
import signal
import struct
import zlib

from fasthtml.components import Code, H1, P, Section
from starlette.responses import Response
from starlette.routing import Route

BLUE, SIZES = (1, 114, 173), (192, 512)
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


@functools.cache
def icon(size: int) -> bytes:
    """A white P on blue, so many pixels wide, as PNG: a ring and a stem, smooth at the edges."""

    def shade(x: float, y: float) -> int:
        ring = abs(math.hypot(x - 0.52, y - 0.42) - 0.14)
        stem = math.hypot(x - 0.38, y - min(max(y, 0.42), 0.76))
        return round(255 * min(1.0, max(0.0, 0.5 - size * (min(ring, stem) - 0.055))))

    def chunk(kind: bytes, body: bytes) -> bytes:
        own = kind + body
        return struct.pack(">I", len(body)) + own + struct.pack(">I", zlib.crc32(own))

    at = [(n + 0.5) / size for n in range(size)]
    rows = b"".join(b"\0" + bytes(shade(x, y) for x in at) for y in at)
    colours = bytes(c + (255 - c) * n // 255 for n in range(256) for c in BLUE)
    head = struct.pack(">2I5B", size, size, 8, 3, 0, 0, 0)  # a byte a pixel: which colour
    parts = (b"IHDR", head), (b"PLTE", colours), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _route(name: str, kind: str, draw) -> Route:
    return Route(f"/static/{name}", lambda request: Response(draw(), media_type=kind))


ROUTES = [
    _route("app.webmanifest", "application/manifest+json", lambda: json.dumps(MANIFEST)),
    *(_route(f"icon-{n}.png", "image/png", functools.partial(icon, n)) for n in SIZES),
]


async def end(site, visit, request):
    """End the program, as Ctrl-C does, once this answer is on its way."""
    asyncio.get_running_loop().call_later(0.1, signal.raise_signal, signal.SIGTERM)
    then = " to start again. This page goes on when it runs on this port."
    said = P("Pipulate has ended — run ", Code("pipulate"), then)
    return Section(H1("Until next time"), said, id="ended")
