"""`pipulate botify token` and `demo`: the token by standard input alone; the tour, labelled."""

import json
import os
import subprocess
import sys

import pytest

from pipulate.botify.stand_in import Service, standing


@pytest.fixture
def service():
    with standing(Service(size=60, polls=0)) as made:
        yield made


@pytest.fixture
def pipulate(tmp_path, service):
    def running(*words, stdin=""):
        command = [sys.executable, "-m", "pipulate", *words, "--home", str(tmp_path / "home")]
        env = {**os.environ, "PIPULATE_BOTIFY_URL": service.url}
        return subprocess.run(command, input=stdin, capture_output=True, text=True, env=env)

    return running


def test_a_token_is_read_from_standard_input_checked_and_kept(pipulate, service):
    wrong = pipulate("botify", "token", stdin="wrong\n")
    assert wrong.returncode == 1 and "not authorised" in wrong.stderr
    done = pipulate("botify", "token", stdin=f"{service.token}\n")
    assert done.stdout == f"Welcome, demo.user. The token is set, ends …{service.token[-4:]}.\n"
    assert json.loads(pipulate("call", "botify_status", "--json").stdout)["user"] == "demo.user"
    assert pipulate("botify", "token", "--token", "x").returncode == 2, "never an option"


def test_a_home_that_knows_botify_keeps_it(pipulate, service):
    assert "botify_status" not in pipulate("tools").stdout
    pipulate("botify", "token", stdin=service.token)
    assert "botify_status" in pipulate("tools").stdout


def test_the_demo_walks_the_whole_pipeline_and_is_labelled(pipulate, service, tmp_path):
    done = pipulate("botify", "demo", "--json")
    assert "Demo data" in done.stderr and done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["data"] == "demo" and report["load"]["data"] == "demo data"
    assert report["load"]["links"] == sum(
        report["measured"][name] for name in ("links", "repeated", "self_links")
    )
    assert service.seen == [], "nobody outside of this machine's stand-in was asked"
    profiles = json.loads(pipulate("call", "profile_list", "--json").stdout)
    assert [p["name"] for p in profiles] == ["Default", "Botify demo"]
    assert json.loads(pipulate("call", "botify_status", "--json").stdout)["demo"] is False


def test_an_unattended_run_spends_what_was_allowed_and_no_more(pipulate, service):
    pipulate("botify", "token", stdin=service.token)
    waits = pipulate("run", "link_graph")
    assert waits.returncode == 3 and "about" in waits.stderr and service.jobs == []
    asked = pipulate("run", "link_graph", "credits=1")
    assert asked.returncode == 3 and service.jobs == []
    done = pipulate("run", "link_graph", "credits=100000", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["pages"] > 20
    assert len(service.jobs) == 1
