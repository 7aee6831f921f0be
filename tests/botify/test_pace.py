"""The pace: five a second at most, in turns, and a wait that all keep."""

import asyncio
import time

from pipulate.botify.pace import Pace


def test_turns_are_a_fifth_of_a_second_apart_whoever_asks(run):
    pace, times = Pace(50), []

    async def one(who):
        await pace.turn(who)
        times.append(time.monotonic())

    async def work():
        await asyncio.gather(*(one(n % 3) for n in range(6)))

    run(work())
    assert min(b - a for a, b in zip(times, times[1:], strict=False)) > 0.019
    assert Pace().gap == 0.2


def test_a_run_with_many_requests_does_not_keep_another_waiting(run):
    pace, served = Pace(200), []

    async def one(who):
        await pace.turn(who)
        served.append(who)

    async def work():
        many = [asyncio.create_task(one("many")) for _ in range(20)]
        await asyncio.sleep(0.012)
        for _ in range(3):
            await one("few")
        await asyncio.gather(*many)

    run(work())
    places = [n for n, who in enumerate(served) if who == "few"]
    assert places[-1] < 12, served


def test_who_gives_up_leaves_the_queue(run):
    pace = Pace(100)

    async def work():
        pace.hold(0.05)
        first = asyncio.create_task(pace.turn("a"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await pace.turn("b")

    run(asyncio.wait_for(work(), 2))


def test_when_botify_says_to_wait_all_wait(run):
    pace, begun = Pace(1_000), time.monotonic()
    pace.hold(0.1)
    assert 0.05 < pace.wait <= 0.1
    run(pace.turn("anybody"))
    assert time.monotonic() - begun >= 0.1
