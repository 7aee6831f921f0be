"""Open tabs: what changes in one place is seen in the others, and only where it belongs."""

import asyncio
import contextlib
import json
import re
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipulate.web import live, panel
from pipulate.web.live import MOST_TABS, Hub, Tab
from serving import hear


ANEW = 'id="again"'  # the list draws itself anew


def silent(socket, word, seconds=0.6):
    """What a socket says meanwhile does not hold the word."""
    heard = ""
    with contextlib.suppress(TimeoutError):
        while True:
            heard += socket.recv(timeout=seconds)
    assert word not in heard


@pytest.mark.alone
def test_another_tab_of_the_profile_sees_a_change_within_a_second(server):
    with server.socket("/default/tasks") as tab:
        server.act("POST", "/default/tasks", {"title": "seen at once", "done": "false"})
        hear(tab, ANEW, 1.0)
        key = re.search(r'id="task-(\d+)"', server.page("/default/tasks"))[1]
        server.act("PATCH", f"/default/tasks/{key}", {"title": "changed", "version": "1"})
        hear(tab, ANEW, 1.0)
        server.act("DELETE", f"/default/tasks/{key}")
        hear(tab, ANEW, 1.0)


def test_a_change_by_the_shell_reaches_the_page_too(server):
    with server.socket("/default/tasks") as tab:
        server.call("task_add", title="from a terminal")
        hear(tab, ANEW, 1.0)


def test_tabs_of_another_profile_or_another_app_hear_nothing(server):
    server.call("profile_add", name="Other")
    places = ("/other/tasks", "/default/hello", "/default", "/default/tasksandmore")
    with contextlib.ExitStack() as stack:
        tabs = [stack.enter_context(server.socket(at)) for at in places]
        server.call("task_add", title="private matter")
        for tab in tabs:
            silent(tab, ANEW, 0.3)


def test_a_tab_that_searches_or_pages_is_still_on_its_app(server):
    with server.socket("/default/tasks?q=word") as tab:
        server.call("task_add", title="a word more")
        hear(tab, ANEW, 1.0)


def test_the_tab_that_asked_is_not_told_again(server):
    with (
        server.socket("/default/tasks", "tab1") as asker,
        server.socket("/default/tasks", "t2") as other,
    ):
        server.act(
            "POST", "/default/tasks", {"title": "mine already", "done": "false"}, X_Tab="tab1"
        )
        hear(other, ANEW, 1.0)
        silent(asker, ANEW)


def test_the_progress_and_the_end_of_a_step_reach_every_tab_of_the_run(server):
    run = server.act("POST", "/default/hello").headers["hx-redirect"]
    with server.socket(run) as one, server.socket(run) as two:
        server.act("POST", f"{run}/person", {"name": "Ada"})
        for tab in (one, two):
            hear(tab, 'class="step done"')


def test_a_socket_for_no_profile_is_closed(server):
    with pytest.raises((ConnectionClosed, InvalidStatus)), server.socket("/nobody/tasks") as tab:
        tab.recv(timeout=2)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "no json",
        "[]",
        "5",
        "null",
        "{}",
        '{"msg": 5}',
        '{"msg": null}',
        '{"msg": "   "}',
        "[" * 50_000,
        '{"msg": "\\ud800"}',
        '{"msg": "\\u0000"}',
        '{"msg": {"$": 1}}',
    ],
)
def test_an_odd_message_neither_closes_the_socket_nor_is_a_fault(server, message):
    faults = server.log.count("ERROR")
    with server.socket() as tab:
        tab.send(message)
        tab.send(json.dumps({"msg": "/help task_add"}))
        hear(tab, "task_add")
    assert server.log.count("ERROR") == faults


def test_a_message_over_the_limit_closes_the_socket(server):
    with server.socket() as tab, pytest.raises(ConnectionClosed):
        tab.send(json.dumps({"msg": "x" * 300_000}))
        while True:
            tab.recv(timeout=5)


def test_so_many_tabs_and_no_more(server):
    with contextlib.ExitStack() as stack:
        tabs = [stack.enter_context(server.socket()) for _ in range(MOST_TABS)]
        with pytest.raises((ConnectionClosed, InvalidStatus)):
            stack.enter_context(server.socket()).recv(timeout=2)
        tabs[0].send(json.dumps({"msg": "/help"}))
        hear(tabs[-1], "Commands work")
    time.sleep(0.2)
    with server.socket() as tab:
        tab.send(json.dumps({"msg": "/help"}))
        hear(tab, "Commands work")


class Slow:
    """A socket whose other side does not read until it is told to."""

    def __init__(self, gate):
        self.gate, self.sent, self.code = gate, [], None

    async def send_text(self, text):
        self.sent.append(text)
        await self.gate.wait()

    async def close(self, code):
        self.code = code


def test_what_waits_for_a_slow_tab_is_joined_and_one_too_far_behind_is_closed(run, monkeypatch):
    monkeypatch.setattr(live, "MOST_WAITING", 1_000)

    async def slow():
        gate = asyncio.Event()
        tab = Tab(Slow(gate), None, "/default", "t")
        writer = asyncio.create_task(tab.write())
        for word in ("one ", "two ", "three "):
            tab.put(word)
            await asyncio.sleep(0)
        assert tab.socket.sent == ["one "] or tab.socket.sent == ["one two three "]
        gate.set()
        await asyncio.sleep(0.01)
        assert "".join(tab.socket.sent) == "one two three " and len(tab.socket.sent) < 3
        gate.clear()
        for _ in range(200):
            tab.put("much ")
        tab.put("more " * 50)
        await asyncio.sleep(0.01)
        gate.set()
        await asyncio.wait_for(writer, 1)
        return tab.socket.code

    assert run(slow()) == 1013


@pytest.mark.parametrize(("pause", "low", "high"), [(0.0001, 10, 90), (0.01, 30, 30)])
def test_tokens_that_come_fast_share_frames_and_slow_ones_go_at_once(run, pause, low, high):
    async def streaming():
        gate, end = asyncio.Event(), time.monotonic() + 0.4
        gate.set()
        tab, count = Tab(Slow(gate), None, "/default", "t"), 0
        writer = asyncio.create_task(tab.write())
        while count < 30 or (pause < 0.001 and time.monotonic() < end):
            tab.put(panel.fragment("token", {"id": 7, "text": f"{count},", "kind": "text"}, None))
            count += 1
            await asyncio.sleep(pause)
        await asyncio.sleep(0.05)
        writer.cancel()
        return tab.socket.sent, count

    frames, count = run(streaming())
    fast = count > 400  # a busy machine makes them slow ones
    assert low <= len(frames) <= (high if fast or pause > 0.001 else count)
    assert "".join(re.findall(r">([\d,]+)<", "".join(frames))) == "".join(
        f"{n}," for n in range(count)
    )
    assert all(frame.count("<span") == 1 for frame in frames)


def test_a_fragment_put_when_nobody_looks_is_forgotten(run):
    async def make():
        return Hub()

    hub = run(make())
    hub.put(1, "text")
    assert not hub.tabs
