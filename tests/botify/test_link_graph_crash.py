"""kill -9 at every step of a link graph that asks somebody outside: one export, no lost file."""

import asyncio
import random
import threading
import time

import httpx2
import pytest

from pipulate.apps.house import House
from pipulate.botify.apps.link_graph import START
from serving import serving


@pytest.fixture
def asking(settings, service):
    """A home with a run that waits with the question whether to export."""

    async def work():
        house = House(settings)
        caller = house.caller("user", confirmed=True)
        await house.tools.call("botify_connect", {"token": service.token}, caller)
        run = await house.tools.call("link_graph_run", {}, caller)
        await house.close()
        assert run["step"] == "export", run

    asyncio.run(work())
    return settings.home


@pytest.fixture
def opened(asking, service):
    return lambda: serving(asking, env={"PIPULATE_BOTIFY_URL": service.url})


def steps_of(server):
    return {row["step"]: row for row in server.call("run_get", run=1)["steps"]}


def reach(check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def killed(opened, ready):
    """Answer yes, and kill the program as soon as `ready(server)`."""
    with opened() as server:
        server.call("run_answer", run=1, answer=START)
        reach(lambda: ready(server))
        server.process.kill()
        server.process.wait()


def taken_up(opened, step, service):
    """Go on with the step that was interrupted, to the end; the steps, by name."""
    with opened() as server:
        assert steps_of(server)[step]["state"] == "interrupted"
        server.call("run_resume", run=1, step=step)
        reach(lambda: steps_of(server)[step]["state"] not in ("running", "interrupted"))
        assert steps_of(server)[step]["state"] == "done", steps_of(server)[step]
        reach(lambda: steps_of(server)["load"]["state"] not in ("ready", "running", "blocked"))
        done = server.call("link_graph_run", run=1)
        assert done["state"] == "done" and len(service.jobs) == 1
        return done["output"], server.call("run_output", run=1, step="load")


def complete(service, measured, load):
    """The numbers of an unbroken run."""
    links = sum(len(p["links"]) for p in service.pages if p["depth"] is not None)
    assert load["links"] == links
    assert measured["links"] + measured["repeated"] + measured["self_links"] == links


def test_a_question_outlives_the_program(opened, service):
    with opened() as server:
        assert steps_of(server)["export"]["state"] == "waiting" and service.jobs == []
        server.call("run_answer", run=1, answer=START)
        reach(lambda: steps_of(server)["load"]["state"] == "done")
        assert len(service.jobs) == 1


def test_killed_after_the_order_before_its_answer_the_job_is_taken_up(opened, service):
    service.polls = 0
    service.fault("POST /v1/jobs", "act-then-stall")
    killed(opened, lambda server: service.jobs)
    complete(service, *taken_up(opened, "export", service))
    assert service.asked("POST /v1/jobs") == 1


def test_killed_before_the_order_arrived_nothing_is_ordered_without_being_told(opened, service):
    fault = service.fault("POST /v1/jobs", "stall")
    killed(opened, lambda server: fault.seen)
    with opened() as server:
        server.call("run_resume", run=1, step="export")
        reach(lambda: steps_of(server)["export"]["state"] == "failed")
        assert "lists no such export" in steps_of(server)["export"]["error"]
        assert service.jobs == [] and service.asked("POST /v1/jobs") == 1
        server.call("link_graph_run", run=1, anew=True, credits=10**6)
        assert len(service.jobs) == 1


def test_killed_while_botify_makes_the_file_the_same_job_is_waited_for(opened, service):
    service.job_fate = "never"
    killed(opened, lambda server: service.asked(r"GET /v1/jobs/\d"))
    service.job_fate = ""
    complete(service, *taken_up(opened, "download", service))


def test_killed_while_the_file_comes_it_goes_on_where_it_stopped(opened, service):
    service.polls, service.form.container, service.form.pause = 0, "plain", 0.1
    killed(opened, lambda server: (steps_of(server)["download"]["progress"] or [0])[0] > 8_000)
    service.form.pause = 0
    complete(service, *taken_up(opened, "download", service))
    last = [seen for seen in service.seen if seen["origin"] == "files"][-1]
    assert int(last["headers"]["range"].removeprefix("bytes=").rstrip("-")) > 0


@pytest.mark.long
@pytest.mark.parametrize("moment", range(16))
def test_killed_at_any_moment_a_run_ends_complete_with_one_export(
    settings, service, tmp_path, moment
):
    def home():
        env = {"PIPULATE_BOTIFY_URL": service.url, "PIPULATE_EDITION": settings.edition}
        return serving(settings.home, env=env)

    with home() as server:
        server.call("botify_connect", token=service.token)
        run = threading.Thread(target=asked_for, args=(server,))
        run.start()
        time.sleep(random.Random(moment).uniform(0.1, 6))
        server.process.kill()
        server.process.wait()
        run.join()
    with home() as server:
        done = asked_for(server, server.call("run_list"))
        if "lists no such export" in str(done):  # killed between the order and its arrival
            assert service.jobs == []
            done = server.call("link_graph_run", run=1, anew=True, credits=10**6)
        assert done and done["state"] == "done", done
        assert len(service.jobs) == 1
        complete(service, done["output"], server.call("run_output", run=1, step="load"))


def asked_for(server, runs=()):
    """What a run gives, begun or gone on with; the problem in words; None when nobody answers."""
    said = {"credits": 10**6} | ({"run": runs[-1]["id"]} if runs else {})
    try:
        return server.call("link_graph_run", **said)
    except AssertionError as problem:
        return str(problem)
    except httpx2.HTTPError:
        return None
