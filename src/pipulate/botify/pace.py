"""At most five requests a second to Botify, shared by all that this process does, and fairly.

Whoever asks gets the next free moment; of several that wait, the one whose `who` (a run) has been
served least lately. When Botify says to wait, all wait.
"""

import asyncio
import bisect
import itertools
import time

PER_SECOND = 5.0


class Pace:
    """Start-time fair queueing: each asker's next place lies one behind its last."""

    def __init__(self, per_second=PER_SECOND):
        self.gap, self.free, self.served = 1 / per_second, 0.0, 0
        self._last = {}  # by asker: the place after its newest one
        self._queue = []
        self._numbers = itertools.count()

    @property
    def wait(self):
        return max(0.0, self.free - time.monotonic())

    def hold(self, seconds):
        self.free = max(self.free, time.monotonic() + seconds)

    async def turn(self, who=""):
        rank = max(self.served, self._last.get(who, 0))
        self._last = {w: n for w, n in self._last.items() if n > self.served} | {who: rank + 1}
        place = rank, next(self._numbers)
        bisect.insort(self._queue, place)
        try:
            while self.wait or self._queue[0] != place:
                await asyncio.sleep(max(self.wait, 0.005))
            self.served = rank
            self.hold(self.gap)
        finally:
            self._queue.remove(place)


PACE = Pace()
