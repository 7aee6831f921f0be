"""What open tabs are told of runs: each soon, once, and only where it belongs."""

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipulate.web.news import place
from serving import hear, serving

STEPS = """
import time
from pipulate import Pipeline

told = Pipeline("Told")

@told.step
def quick(text: str = "a"):
    return text

@told.step
def halts(job):
    job.progress(1, 4, "first")
    time.sleep(0.06)
    job.progress(2, 4, "the last word")
    time.sleep(30)

@told.step
def asks(job):
    return job.ask("Which one?", ["one", "two"])

@told.step
def fails():
    return 1 / 0

@told.step(auto=True)
def later(quick):
    time.sleep(0.2)
    return "by itself"

@told.step
def long():
    time.sleep(3.2)
"""
SLOW = """
import time
from pipulate import CrudApp

class Slow(CrudApp):
    title: str

    def __ft__(self):
        time.sleep(0.8)
        return self.title
"""
ANEW = 'id="again"'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("news")
    (home / "apps").mkdir()
    (home / "apps" / "told.py").write_text(STEPS)
    (home / "apps" / "slow.py").write_text(SLOW)
    with serving(home) as started:
        started.call("profile_add", name="Other")
        yield started


@pytest.fixture
def begun(server):
    """begun(step): the address of a new run in which this step was begun by a click."""

    def beginning(step="", profile="default"):
        run = server.act("POST", f"/{profile}/told").headers["hx-redirect"]
        assert not step or server.act("POST", f"{run}/{step}").status_code == 200
        return run

    return beginning


def silence(socket, seconds=0.5):
    """All that a socket says in that time."""
    heard = ""
    with contextlib.suppress(TimeoutError):
        while True:
            heard += str(socket.recv(timeout=seconds))
    return heard


@pytest.mark.parametrize(
    ("at", "meant"),
    [
        ("/default/told", ("told", "")),
        ("/default/told?q=1", ("told", "")),
        ("/default/told/12", ("told", "12")),
        ("/default/tasks/import", ("tasks", "-")),
        (f"/default/told/{'9' * 5_000}", ("told", "-")),
        ("/", ("", "")),
    ],
    ids=lambda v: str(v)[:30],
)
def test_where_a_tab_is_can_be_told_from_its_address(at, meant):
    assert place(at) == meant


def test_the_list_of_runs_follows_what_happens_elsewhere(server, begun):
    with server.socket("/default/told") as tab, server.socket("/other/told") as stranger:
        run = begun()
        hear(tab, ANEW, 2.0)
        server.call("run_name", run=int(run.split("/")[-1]), name="Named by a tool")
        hear(tab, ANEW, 2.0)
        assert ANEW not in silence(stranger)
    assert "Named by a tool" in server.page("/default/told")


def test_a_list_that_missed_a_run_before_its_socket_opened_draws_itself_anew(server, begun):
    seen = re.search(r"seen=(\w+)", server.page("/default/told"))[1]
    begun()
    with server.socket("/default/told", seen=seen) as tab:
        hear(tab, ANEW, 2.0)


def test_a_list_that_missed_a_row_while_it_was_drawn_draws_itself_anew(server):
    server.call("slow_add", title="there before")
    with ThreadPoolExecutor() as aside:
        drawing = aside.submit(server.page, "/default/slows")
        time.sleep(0.4)
        server.call("slow_add", title="meanwhile")
        page = drawing.result()
    assert "there before" in page and "meanwhile" not in page
    seen = re.search(r"seen=(\d+)", page.split("ws-connect")[1])[1]
    with server.socket("/default/slows", seen=seen) as tab:
        hear(tab, ANEW, 2.0)


def test_a_run_that_was_named_while_its_tab_was_away_is_drawn_anew(server, begun):
    run = begun()
    seen = re.search(r"seen=(\d+)", server.page(run).split("ws-connect")[1])
    server.call("run_name", run=int(run.split("/")[-1]), name="Named meanwhile")
    with server.socket(run, seen=seen[1]) as tab:
        hear(tab, "Named meanwhile", 2.0)


def test_a_tab_at_a_run_that_is_deleted_elsewhere_says_so_and_shows_it_once_it_is_back(
    server, begun
):
    run = begun()
    number = int(run.split("/")[-1])
    with server.socket(run) as tab:
        server.call("run_delete", run=number)
        hear(tab, f"Run {number} was deleted", 2.0)
        server.call("undo")
        hear(tab, f"· run {number}", 2.0)


def test_a_run_is_drawn_anew_where_it_is_shown_when_the_shell_runs_it(server, begun):
    run, other = begun(), begun()
    number = int(run.split("/")[-1])
    with server.socket(run) as tab, server.socket(other) as beside:
        server.call("told_run", run=number, text="by the shell", to_step="quick")
        hear(tab, "by the shell", 2.0)
        assert "by the shell" not in silence(beside)


def test_what_runs_by_itself_is_seen_without_a_click(server, begun):
    run = begun()
    with server.socket(run) as tab:
        server.act("POST", f"{run}/quick", {"text": "a"})
        hear(tab, "by itself", 3.0)


def test_the_last_word_of_a_step_that_then_is_silent_is_shown(server, begun):
    run = begun()
    with server.socket(run) as tab:
        server.act("POST", f"{run}/halts")
        hear(tab, "the last word", 3.0)
        server.act("POST", f"{run}/halts/cancel")
        hear(tab, "You cancelled this step", 2.0)


def test_the_open_page_of_a_run_shows_at_once_that_its_file_was_changed(server, begun):
    run, file = begun("quick"), server.home / "apps" / "told.py"
    with server.socket(run) as tab, server.socket("/default/told") as listed:
        silence(tab), silence(listed)
        file.write_text(STEPS.replace("def asks(", "def inquires("))
        heard = hear(tab, "The file was changed since this run was begun", 3.0)
        assert "inquires is new" in heard
        assert ANEW not in silence(listed)
        file.write_text(STEPS)
        hear(tab, 'id="run', 3.0)


def test_a_question_is_a_notice_and_a_number_on_every_page(server, begun):
    with server.socket("/other/notes") as tab, server.socket("/other/inbox") as inbox:
        run = begun("asks")
        heard = hear(tab, "asks you something", 3.0) + hear(tab, 'id="waiting"', 2.0)
        assert f'href="{run}"' in heard and 'class="notice"' in heard
        hear(inbox, ANEW, 2.0)
        server.act("POST", f"{run}/-/answer", {"step": "asks", "answer": "one"})
        hear(inbox, ANEW, 2.0)


def test_a_failure_is_a_notice_but_not_of_what_the_shell_runs(server, begun):
    with server.socket("/default/notes") as tab:
        begun("fails")
        hear(tab, "fails failed", 3.0)
        silence(tab)
        said = {"tool": "told_run", "values": {"text": "a", "to_step": "fails"}, "yes": True}
        key = {"Authorization": f"Bearer {server.keys['shell']}"}
        run = begun("quick").split("/")[-1]
        for step in ("halts", "asks"):  # out of the way
            server.call("run_skip", run=int(run), step=step)
        said["values"] |= {"run": int(run)}
        answer = server.client.post("/shell/call", json=said, headers=key).json()
        assert "ZeroDivisionError" in answer["problem"]["problem"]
        assert 'class="notice"' not in silence(tab)


def test_the_end_of_long_work_is_a_notice_and_that_of_short_work_is_not(server, begun):
    with server.socket("/default/notes") as tab:
        begun("quick")
        begun("long")
        heard = hear(tab, "long is done", 6.0)
        assert "quick is done" not in heard


def test_a_run_that_was_deleted_meanwhile_is_no_fault(server, begun):
    faults, run = server.log.count("ERROR"), begun("quick")
    with server.socket(run) as tab:
        server.act("POST", f"{run}/-/delete")
        silence(tab)
    assert server.log.count("ERROR") == faults
