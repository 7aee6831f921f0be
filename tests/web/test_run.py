"""Starting and stopping: locks, ports, broken stores, signals, crashes."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import httpx2
import pytest

from model_server import Reply
from pipulate.core.backups import open_store
from pipulate.core.process import server_info, server_lock
from pipulate.web.guard import Keys
from pipulate.web.run import Front
from serving import NOWHERE, serving

SLOW = """
import os, time
from pathlib import Path
from pipulate import Pipeline

slow = Pipeline("Slow", "Waits.")

@slow.step
def wait(job):
    "Waits."
    start = job.checkpoint_data or 0
    job.checkpoint(start + 1)
    print(f"started {start}")
    if start == 0:
        (Path(__file__).parents[1] / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    return start
"""


def start(home, *more):
    command = [
        sys.executable,
        "-m",
        "pipulate",
        "serve",
        "--home",
        str(home),
        "--no-browser",
        "--json",
    ]
    env = {**os.environ, "OLLAMA_HOST": NOWHERE}
    return subprocess.run([*command, *more], capture_output=True, text=True, env=env, timeout=15)


def within(seconds, check):
    end = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def at_work(server):
    """A run whose step sleeps; returns its address."""
    (server.home / "apps").mkdir(exist_ok=True)
    (server.home / "apps" / "slow.py").write_text(SLOW)
    assert within(3, lambda: server.client.get("/default/slow").status_code == 200)
    run = server.act("POST", "/default/slow").headers["hx-redirect"]
    server.act("POST", f"{run}/wait")
    assert within(5, lambda: (server.home / "pid").exists())
    time.sleep(0.05)
    return run


def gone(pid):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] in ("", "Z")


def test_a_second_server_on_a_home_refuses_and_names_the_first(server):
    done = start(server.home, "--port", "0")
    assert done.returncode == 1 and done.stdout == ""
    assert server.url in done.stderr and "pipulate open" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert server.client.get("/default").status_code == 200
    assert (server.home / "server.json").exists()


def test_a_port_that_is_taken_is_a_clear_error(server, tmp_path):
    done = start(tmp_path / "other", "--port", str(server.port))
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert str(server.port) in done.stderr and "--port" in done.stderr


def test_a_home_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    done = start(tmp_path / "file" / "home", "--port", "0")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert "--home" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_it_within_five_seconds_with_a_step_at_work_and_tabs_open(tmp_path, number):
    with serving(tmp_path / "home") as server:
        run = at_work(server)
        with server.socket(run):
            begun = time.monotonic()
            server.process.send_signal(number)
            assert server.process.wait(5) == 0
            assert time.monotonic() - begun < 5
        assert gone((server.home / "pid").read_text())
        assert not (server.home / "server.json").exists()
    with serving(tmp_path / "home") as server:
        page = server.page(run)
        assert "interrupted" in page and "Resume" in page


def test_a_kill_during_a_step_leaves_it_interrupted_and_resume_goes_on_from_its_checkpoint(
    tmp_path,
):
    with serving(tmp_path / "home") as first:
        run = at_work(first)
        first.process.kill()
        first.process.wait(5)
        pid = (first.home / "pid").read_text()
        assert within(3, lambda: gone(pid)), "no worker outlives its engine"
    with serving(tmp_path / "home") as second:
        page = second.page(run)
        assert "interrupted" in page and "Resume" in page
        second.act("POST", f"{run}/wait")
        assert within(5, lambda: 'class="step done"' in second.page(run))
        with sqlite3.connect(f"file:{second.home}/pipulate.db?mode=ro", uri=True) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


def test_what_the_page_showed_as_saved_survives_a_kill(tmp_path):
    with serving(tmp_path / "home") as first:
        for n in range(10):
            assert first.act("POST", "/default/tasks", {"title": f"row {n}"}).status_code == 200
        first.process.kill()
        first.process.wait(5)
    with serving(tmp_path / "home") as second:
        assert second.call("task_list")["count"] == 10


def test_after_a_kill_the_old_server_json_is_not_believed(tmp_path):
    with serving(tmp_path / "home") as first:
        first.process.kill()
        first.process.wait(5)
    words = ["call", "task_list", "--home", str(tmp_path / "home"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "pipulate", *words], capture_output=True, text=True
    )
    assert done.returncode == 0 and json.loads(done.stdout)["count"] == 0


def test_a_command_that_comes_while_a_server_starts_waits_for_its_address(settings):
    settings.make_home()
    with server_lock(settings):
        say = (settings.home / "server.json").write_text
        soon = threading.Timer(0.2, say, ['{"url": "http://127.0.0.1:9"}'])
        soon.start()
        assert server_info(settings) == {"url": "http://127.0.0.1:9"}
        soon.join()
    assert server_info(settings) is None


def made_home(home):
    """A home with one row and one backup of it."""
    for words in (["call", "task_add", "title=kept"], ["backup"]):
        command = [sys.executable, "-m", "pipulate", *words, "--home", str(home)]
        subprocess.run(command, capture_output=True, check=True)


def newer(path):
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.commit()
    db.close()


BROKEN = {
    "no database": lambda path: path.write_bytes(b"no database at all" * 500),
    "torn header": lambda path: path.write_bytes(b"\0" * 64 + path.read_bytes()[64:]),
    "torn page": lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 9000),
    "newer schema": newer,
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_store_that_cannot_be_used_opens_the_recovery_page_and_a_backup_restores(
    tmp_path, damage
):
    home = tmp_path / "home"
    made_home(home)
    for suffix in ("-wal", "-shm"):
        (home / f"pipulate.db{suffix}").unlink(missing_ok=True)
    damage(home / "pipulate.db")
    before = (home / "pipulate.db").read_bytes()
    with serving(home) as server:
        answer = server.client.get("/default/tasks")
        assert answer.status_code == 503 and "Recovery" in answer.text
        assert "Traceback" not in answer.text and "not touched" in answer.text
        assert "content-security-policy" in answer.headers
        name = re.search(r"pipulate-[\d-]+\.db", answer.text)[0]
        assert httpx2.get(f"{server.url}/default").status_code == 403, "behind the guard, too"
        assert (home / "pipulate.db").read_bytes() == before
        wrong = server.client.post("/recover", data={"name": "../../etc/passwd"})
        assert wrong.status_code == 503 and "no backup" in wrong.text
        done = server.client.post("/recover", data={"name": name})
        assert done.headers["hx-redirect"] == "/"
        assert "kept" in server.page("/default/tasks")
        aside = list((home / "backups").glob("replaced-*.db"))
        assert len(aside) == 1 and aside[0].read_bytes() == before


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs a list of open files")
@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_store_that_cannot_be_used_is_not_held_open_which_would_keep_windows_from_replacing_it(
    settings, damage
):
    settings.make_home()
    open_store(settings).close()
    damage(settings.database)
    front = Front(settings, Keys(settings.secret), mcp=None)
    front.open()
    assert "Restore" in front.broken.next_step or "restore" in front.broken.next_step
    held = [os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")]
    assert not [at for at in held if at.startswith(str(settings.database))]


def test_no_plugins_leaves_the_users_files_alone(tmp_path):
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    (home / "apps" / "bomb.py").write_text("raise SystemExit('no')")
    with serving(home, "--no-plugins") as server:
        assert "bomb" not in server.page("/default")
        assert server.client.get("/default/tasks").status_code == 200


@pytest.mark.parametrize(
    "text", ["raise SystemExit(3)", "import os; os.abort", "1/0", "\0", "(" * 500]
)
def test_a_plugin_file_that_fails_in_any_way_does_not_stop_the_start(tmp_path, text):
    from pipulate.apps.house import House
    from pipulate.core.settings import Settings

    settings = Settings(home=tmp_path / "home")
    settings.make_home()
    (settings.folder("apps") / "bad.py").write_text(text)
    import asyncio

    async def opened():
        house = House(settings)
        failures = [p.name for p in house.shelf.failures]
        await house.close()
        return failures

    assert asyncio.run(opened()) == ["bad"]


def test_the_launch_address_is_opened_through_a_file_for_the_owner_alone(settings, monkeypatch):
    from pipulate.web import run as web_run

    opened = []
    monkeypatch.setattr(web_run.webbrowser, "open", lambda url: opened.append(url) or True)
    settings.make_home()
    assert web_run.open_browser(settings, "http://127.0.0.1:1/?token=secret")
    assert "secret" not in opened[0] and opened[0].startswith("file://")
    assert (settings.home / "open.html").stat().st_mode & 0o077 == 0


@pytest.fixture
def chromium(tmp_path):
    """(settings of the environment, what stands in for a browser was called with: a list)."""
    program, called = tmp_path / "chromium", tmp_path / "called"
    program.write_text(f'#!/bin/sh\necho "$@" >> {called}.part\nmv {called}.part {called}\n')
    program.chmod(0o755)
    env = {**os.environ, "OLLAMA_HOST": NOWHERE, "PIPULATE_BROWSER": str(program)}

    def asked():
        assert within(20, called.exists), "no browser was started"
        return called.read_text().split()

    return env, asked, called.unlink


def test_a_window_of_its_own_is_opened_through_that_file_and_once_more_while_it_runs(
    chromium, tmp_path
):
    (env, asked, forget), home = chromium, tmp_path / "home"
    command = [sys.executable, "-m", "pipulate", "--home", str(home), "--window"]
    pipes = {"stdout": subprocess.PIPE, "text": True, "env": env}
    with subprocess.Popen([*command, "--port", "0", "--json"], **pipes) as server:
        try:
            url = json.loads(server.stdout.readline())["url"]
            subprocess.run(command, env=env, check=True, timeout=30, capture_output=True)
            assert asked() == [f"--app={(home / 'open.html').as_uri()}"]
            address = re.search(r"url=([^\"]*)", (home / "open.html").read_text())[1]
            assert address.split("=")[0] == url.split("=")[0] and address != url
            assert httpx2.get(address).status_code == 200
        finally:
            server.terminate()
    forget()
    with subprocess.Popen([*command, "--port", "0"], **pipes) as server:
        try:
            assert "Pipulate is at" in server.stdout.readline()
            assert asked() == [f"--app={(home / 'open.html').as_uri()}"]
        finally:
            server.terminate()


def test_without_such_a_browser_a_window_is_a_tab_of_the_usual_one(settings, monkeypatch):
    from pipulate.web import run as web_run

    opened = []
    monkeypatch.setattr(web_run.webbrowser, "open", lambda url: opened.append(url) or True)
    monkeypatch.setattr(web_run, "find_browser", lambda: None)
    settings.make_home()
    assert web_run.open_browser(settings, "http://127.0.0.1:1/?token=secret", window=True)
    assert opened == [(settings.home / "open.html").as_uri()]


def test_a_backup_that_could_not_be_made_is_told_on_the_first_page_until_one_is(
    house, run, monkeypatch
):
    import asyncio
    from types import SimpleNamespace as Thing

    from pipulate.apps.base import Visit
    from pipulate.apps.markup import html
    from pipulate.core.problems import Problem
    from pipulate.web import pages, run as web_run

    def refused(*_):
        raise Problem("A backup needs 9 bytes; 1 are free.", "Free some space.")

    async def first_page():
        daily = asyncio.create_task(web_run._daily(house))
        while house.trouble is told:
            await asyncio.sleep(0.01)
        daily.cancel()
        return html(await pages.overview(Thing(house=house), Visit(house, caller, None), None))

    caller, told = house.caller("user"), None
    monkeypatch.setattr(web_run.backups, "daily", refused)
    assert "needs 9 bytes" in run(first_page())
    monkeypatch.setattr(web_run.backups, "daily", lambda *_: None)
    told = house.trouble
    assert "needs 9 bytes" not in run(first_page())


def test_an_event_loop_that_is_held_up_is_logged(run, caplog, monkeypatch):
    import asyncio

    from pipulate.web import run as web_run

    async def blocked():
        dog = asyncio.create_task(web_run._watchdog())
        await asyncio.sleep(0.05)
        time.sleep(0.5)
        await asyncio.sleep(0.15)
        dog.cancel()

    run(blocked())
    assert "late" in caplog.text


def test_an_idle_server_does_not_look_again_and_again_whether_it_shall_end(run, monkeypatch):
    import asyncio
    from types import SimpleNamespace as Thing

    from pipulate.web import run as running

    monkeypatch.setattr(running, "BEAT", 3600)
    front, looks = Thing(tell=lambda ready: ready(), site=None), []

    async def main():
        begun = asyncio.Event()
        server = running.Server(running.uvicorn.Config(None), front, begun.set)

        async def look(_):
            looks.append(server.should_exit)
            return server.should_exit

        monkeypatch.setattr(server, "on_tick", look)
        work = asyncio.create_task(server.main_loop())
        await begun.wait()
        await asyncio.sleep(0.25)
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.wait_for(work, 20)

    run(main())
    assert looks == [False, True]


def test_a_second_signal_waits_for_no_answer_that_is_still_being_made(run):
    from types import SimpleNamespace as Thing

    from pipulate.web import run as running

    async def main():
        server = running.Server(running.uvicorn.Config(None), Thing(site=None), None)
        for forced in (False, True):
            server.handle_exit(signal.SIGINT, None)
            assert (server.should_exit, server.force_exit) == (True, forced)

    run(main())


def test_connections_that_ask_nothing_are_closed_and_others_stay(run, monkeypatch):
    import asyncio
    from types import SimpleNamespace as Thing

    from pipulate.web import run as running

    monkeypatch.setattr(running, "IDLE", 0.01)
    closed = []
    made = [
        Thing(name=n, transport=Thing(close=lambda n=n: closed.append(n)), **more)
        for n, more in (("idle", {"cycle": None}), ("busy", {"cycle": 1}), ("socket", {}))
    ]
    connections = {Hashed(thing) for thing in made}
    server = Thing(server_state=Thing(connections=connections))

    async def main():
        task = asyncio.create_task(running._evict(server))
        await asyncio.sleep(0.1)
        task.cancel()

    run(main())
    assert set(closed) == {"idle"}


class Hashed:
    """A namespace that may stand in a set."""

    def __init__(self, thing):
        self.__dict__.update(vars(thing))


def test_a_thread_that_a_plugin_keeps_does_not_keep_the_program_from_ending(tmp_path):
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    (home / "apps" / "keeps.py").write_text(source)
    with serving(home) as server:
        server.process.terminate()
        assert server.process.wait(5) == 0


def test_a_step_that_the_assistant_runs_is_interrupted_not_cancelled_when_the_program_ends(
    tmp_path, model
):
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    (home / "apps" / "slow.py").write_text(SLOW)
    model.script(Reply(tools=[("slow_run", {})]))
    with serving(home, env={"PIPULATE_MODEL_URL": model.url}) as server:
        with server.socket() as tab:
            tab.send(json.dumps({"msg": "Run it"}))
            assert within(15, (home / "pid").exists)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
    with contextlib.closing(sqlite3.connect(home / "pipulate.db")) as db:
        assert db.execute("SELECT state FROM attempts").fetchall() == [("interrupted",)]
