"""Open tabs and what is sent to them: rows that changed, progress, tokens of the chat.

One socket a tab, at /ws?at=/{profile}/{app}&tab=ID. What comes fast, or waits for a slow tab, is
joined: a burst of tokens costs no more messages than a screen can show.
"""

import asyncio
from contextlib import ExitStack, suppress
import json
import threading
import time

from pipulate.core.profiles import Profile
from pipulate.core.tools import soon

MOST_TABS = 64
MOST_WAITING = 2_000_000  # characters; a tab that far behind is closed and starts afresh
WINDOW, MANY, FRAME = 0.1, 50, 0.016  # more fragments than this in so many seconds: by frames
SPAN = '<span hx-swap-oob="beforeend:'  # how a token begins, up to its message's number


class Tab:
    """One open page: whose, where, and what waits to be sent."""

    def __init__(self, socket, profile: Profile, at: str, key: str):
        self.socket, self.profile, self.at, self.key = socket, profile, at, key
        self.path = at.partition("?")[0]
        self._waiting = list[str]()
        self._wake = asyncio.Event()
        self._since, self._count, self._busy = 0.0, 0, False

    def put(self, fragment: str):
        now, waiting, head = time.monotonic(), self._waiting, fragment[: fragment.find(">") + 1]
        if now - self._since > WINDOW:
            self._since, self._count, self._busy = now, 0, self._count > MANY
        self._count += 1
        if head.startswith(SPAN) and waiting and waiting[-1].startswith(head):
            waiting[-1] = waiting[-1].removesuffix("</span>") + fragment[len(head) :]
        else:
            waiting.append(fragment)
        self._wake.set()

    async def write(self):
        """Send what waits, joined, as fast as the tab takes it; under load a frame at a time."""
        while True:
            await self._wake.wait()
            if self._busy or self._count > MANY:
                await asyncio.sleep(FRAME)
            self._wake.clear()
            text, self._waiting = "".join(self._waiting), []
            if len(text) > MOST_WAITING:
                return await self.socket.close(1013)
            await self.socket.send_text(text)


class Hub:
    """All open tabs."""

    def __init__(self):
        self.tabs = set[Tab]()
        self.loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    def put(self, profile_id: int | None, fragment: str, at: str = "", skip: str = ""):
        """Send to a profile's tabs (None: all), those at `at` if given, not `skip`. Thread-safe."""
        if threading.get_ident() != self._thread:
            return soon(self.loop, self.put, profile_id, fragment, at, skip)
        for tab in [*self.tabs]:
            meant = profile_id in (None, tab.profile.id) and at in ("", tab.path)
            if meant and not (skip and tab.key == skip):
                tab.put(fragment)

    async def serve(self, socket, tab: Tab, on_message):
        """Keep a tab until it goes; on_message(data) gets the JSON objects that it sends."""
        if len(self.tabs) >= MOST_TABS:
            return await socket.close(1013)
        with ExitStack() as end:
            self.tabs.add(tab)  # from now on it misses nothing
            end.callback(self.tabs.discard, tab)
            await socket.accept()
            end.callback(asyncio.create_task(tab.write()).cancel)
            with suppress(RuntimeError, KeyError):  # it was closed by us, or sent bytes
                async for text in socket.iter_text():
                    await _heard(text, on_message)


async def _heard(text: str, on_message):
    with suppress(ValueError, RecursionError):  # what is odd in it is no fault
        if isinstance(data := json.loads(text), dict):
            await on_message(data)
