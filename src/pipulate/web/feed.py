"""`/events`: the event log as server-sent events, live, for other programs on this machine.

Each has its number as `id`: a client that comes back with `Last-Event-ID` gets all that it missed.
Nothing is queued: a change only wakes a client up, and it reads on in the log.
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from pipulate.apps.house import House
from pipulate.core.fields import dumps
from pipulate.core.problems import Busy
from pipulate.web.live import soon

MOST, PAGE = 32, 200  # clients at once, events read at once
BEAT = 15.0  # seconds of silence before a sign of life
# no images, which hold rows; of a secret an event knows nothing
LOG = f"""SELECT e.id, at_utc, profile_id, p.slug AS profile, actor, verb, target, summary, turn,
    changed, deleted FROM events e LEFT JOIN profiles p ON p.id = profile_id
    WHERE e.id > ? ORDER BY e.id LIMIT {PAGE}"""


class Feed:
    """Who listens."""

    def __init__(self, house: House):
        self.house, self.clients, self.ended = house, set[asyncio.Event](), False
        self.loop = asyncio.get_running_loop()
        house.db.on_event.append(lambda event: self.clients and soon(self.loop, self._wake))

    def _wake(self) -> None:
        for client in self.clients:
            client.set()

    def end(self) -> None:
        self.ended = True
        self._wake()

    async def answer(self, request) -> Response:
        """GET /events[?profile=NAME]; without a name of all. Raises Problem."""
        if len(self.clients) >= MOST:
            raise Busy(f"{MOST} programs listen already.", "Close one.")
        name = request.query_params.get("profile")
        profile = self.house.profiles.at(name).id if name else None
        newest, said = self.house.events.newest(), request.headers.get("last-event-id", "")
        seen = min(int(said), newest) if said.isdecimal() and len(said) < 19 else newest
        return StreamingResponse(self.lines(profile, seen), media_type="text/event-stream")

    async def lines(self, profile_id: int | None, seen: int) -> AsyncIterator[str]:
        """The events after that one, of a profile or of all, and signs of life."""
        self.clients.add(wake := asyncio.Event())
        try:
            yield ": open\n\n"
            while not self.ended:
                wake.clear()
                rows = await asyncio.to_thread(self.house.db.all, LOG, (seen,))
                for row in rows:
                    seen = row["id"]
                    if not profile_id or row["profile_id"] in (None, profile_id):
                        yield f"id: {seen}\ndata: {dumps(row)}\n\n"
                try:
                    await asyncio.wait_for(wake.wait(), BEAT if len(rows) < PAGE else 0)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self.clients.discard(wake)
