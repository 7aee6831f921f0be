"""The feed of events: live, whole, resumed without a gap, closed cleanly, behind a token."""

import asyncio
import contextlib
import json
import signal
import threading
import time

import httpx2
import pytest

from pipulate.web import feed as feeds
from pipulate.web.feed import Feed
from serving import serving


def key(server, name="shell"):
    return {"Authorization": f"Bearer {server.keys[name]}"}


@contextlib.contextmanager
def listening(server, query="", **headers):
    """The lines that come, as a client reads them."""
    given = {**key(server), **{k.replace("_", "-"): v for k, v in headers.items()}}
    with (
        httpx2.Client(timeout=5) as client,
        client.stream("GET", f"{server.url}/events{query}", headers=given) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == ": open"
        yield lines


def told(lines, count):
    """So many events, as [{…data}]; `id` of the stream and of the data agree."""
    found, number = [], ""
    while len(found) < count:
        name, _, text = next(lines).partition(": ")
        number = text if name == "id" else number
        if name == "data":
            found.append(json.loads(text))
            assert number == str(found[-1]["id"])
    return found


@pytest.mark.alone
def test_what_is_done_is_heard_at_once_with_who_and_what_and_no_rows(server):
    with listening(server) as lines:
        begun = time.monotonic()
        server.call("task_add", title="Heard outside")
        (event,) = told(lines, 1)
        assert time.monotonic() - begun < 2
    assert (event["actor"], event["verb"], event["profile"]) == ("shell", "task_add", "default")
    assert "Heard outside" in event["summary"] and event["changed"] == 1
    assert not {"images", "before", "after"} & event.keys()


def test_a_client_that_comes_back_gets_all_that_it_missed_and_nothing_twice(server):
    with listening(server) as lines:
        server.call("task_add", title="before")
        (last,) = told(lines, 1)
    for n in range(feeds.PAGE + 30):  # more than is read at once
        server.call("task_add", title=f"missed {n}")
    with listening(server, last_event_id=str(last["id"])) as lines:
        missed = told(lines, feeds.PAGE + 30)
        server.call("task_add", title="live again")
        (live,) = told(lines, 1)
    assert [f"missed {n}”" in e["summary"] for n, e in enumerate(missed)].count(True) == len(missed)
    ids = [last["id"], *(e["id"] for e in missed), live["id"]]
    assert ids == sorted(set(ids)) and "live again" in live["summary"]


@pytest.mark.parametrize("odd", ["", "x", "-1", "1e9", "9" * 18, "9" * 5_000, "½"])
def test_an_odd_last_id_begins_now_and_is_no_fault(server, odd):
    faults = server.log.count("ERROR")
    odd = odd.encode().decode("latin-1")
    with listening(server, last_event_id=odd.encode("latin-1")) as lines:
        server.call("task_add", title="only this")
        assert "only this" in told(lines, 1)[0]["summary"]
    assert server.log.count("ERROR") == faults


def test_a_profile_hears_its_own_events_and_those_of_none(server):
    if "elsewhere" not in [p["slug"] for p in server.call("profile_list")]:
        server.call("profile_add", name="Elsewhere")
    with listening(server, "?profile=elsewhere") as lines, listening(server) as every:
        server.call("task_add", title="not for you")
        server.call("task_add", profile="elsewhere", title="for you")
        (event,) = told(lines, 1)
        assert "for you" in event["summary"] and event["profile"] == "elsewhere"
        assert ["not" in e["summary"] for e in told(every, 2)] == [True, False]


def test_a_profile_that_is_not_there_is_a_404_with_the_names_there_are(server):
    answer = httpx2.get(f"{server.url}/events?profile=nobody", headers=key(server))
    assert answer.status_code == 404 and "default" in answer.json()["next_step"]


def test_only_who_has_the_token_of_the_shell_listens(server):
    for given in (
        {},
        {"Authorization": "Bearer x"},
        key(server, "token"),
        {"Cookie": server.cookie},
    ):
        assert httpx2.get(f"{server.url}/events", headers=given).status_code == 401


def test_a_secret_is_in_no_event(tmp_path):
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    own = "from pipulate import *\nclass Login(CrudApp):\n    key: Secret\n    site: str = ''\n"
    (home / "apps/logins.py").write_text(own)
    with serving(home) as server, listening(server) as lines:
        row = server.call("login_add", key="hunter2-is-planted", site="a")
        server.call("login_update", id=row["id"], key="hunter2-was-changed", site="b")
        server.call("login_delete", id=row["id"])
        said = json.dumps(told(lines, 3))
    assert "hunter2" not in said and '"login_delete"' in said


def test_events_of_threads_that_commit_at_once_come_whole_and_in_order(server):
    with listening(server) as lines:
        adding = [
            threading.Thread(
                target=server.call, args=("task_add",), kwargs={"title": f"at once {n}"}
            )
            for n in range(12)
        ]
        for thread in adding:
            thread.start()
        events = told(lines, 12)
        for thread in adding:
            thread.join()
    assert [e["id"] for e in events] == sorted(e["id"] for e in events)
    assert len({e["summary"] for e in events}) == 12


def test_it_closes_cleanly_when_the_server_ends(tmp_path):
    with serving(tmp_path / "home") as server, listening(server) as lines:
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert [line for line in lines if line] == []  # it ends, and is not broken off
        assert server.process.wait(5) == 0 and time.monotonic() - begun < 5
        assert "ERROR" not in server.log


# -- in one process ----------------------------------------------------------------------------


@pytest.fixture
def feed(house, run):
    async def make():
        return Feed(house)

    return run(make())


def test_in_silence_a_comment_shows_that_the_line_is_open(feed, run, monkeypatch):
    monkeypatch.setattr(feeds, "BEAT", 0.01)

    async def three():
        lines = feed.lines(None, 0)
        heard = [await anext(lines) for _ in range(3)]
        await lines.aclose()
        return heard

    assert run(three()) == [": open\n\n", ": still here\n\n", ": still here\n\n"]
    assert feed.clients == set()


def test_a_client_that_reads_nothing_costs_nothing(feed, house, run):
    """There is no queue: what it has not read is in the log."""

    async def slow():
        lines = feed.lines(None, 0)
        await anext(lines)
        for n in range(300):
            await house.tools.call("task_add", {"title": f"{n}"}, house.caller("user"))
        await asyncio.sleep(0)
        held = [*feed.clients]
        heard = [await anext(lines) for _ in range(300)]
        await lines.aclose()
        return held, heard

    held, heard = run(slow())
    assert len(held) == 1 and isinstance(held[0], asyncio.Event)
    assert len({line.split()[1] for line in heard}) == 300


def test_more_clients_than_there_may_be_are_told_so(server):
    with contextlib.ExitStack() as stack:
        for _ in range(feeds.MOST):
            stack.enter_context(listening(server))
        answer = httpx2.get(f"{server.url}/events", headers=key(server))
        assert answer.status_code == 503 and "Close one" in answer.json()["next_step"]
    # the place of one that left is free again
    end = time.monotonic() + 3
    while time.monotonic() < end:
        with contextlib.suppress(AssertionError), listening(server):
            return
    raise AssertionError("no place became free")
