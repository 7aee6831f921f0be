"""The command line: the same answers with and without a server, exit codes, one line on stderr."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from pipulate.doors import cli
from serving import NOWHERE, serving


def one_line(err):
    return len(err.strip().splitlines()) == 1 and "Traceback" not in err


def test_call_prints_the_result_of_a_tool(shell):
    code, out, err = shell("call", "task_add", "title=Buy milk", "due=2026-05-01", "--json")
    assert (code, err) == (0, "") and len(out.splitlines()) == 1
    made = json.loads(out)
    assert made["title"] == "Buy milk" and made["due"] == "2026-05-01" and made["done"] is False
    code, out, _ = shell("call", "task_get", f"id={made['id']}")
    assert code == 0 and json.loads(out) == made and len(out.splitlines()) > 1


def test_a_proxy_of_the_environment_gets_no_call_to_this_machines_server_and_not_its_token(
    shell, monkeypatch
):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    code, out, err = shell("call", "profile_list", "--json")
    assert (code, err) == (0, "") and json.loads(out)[0]["slug"] == "default"


@pytest.mark.skipif(sys.platform != "linux", reason="Names of files are text there.")
def test_a_command_in_a_folder_whose_name_is_no_text_works_and_a_value_of_odd_bytes_is_refused(
    shell, tmp_path, monkeypatch
):
    (odd := Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xf6\xdfe"))).mkdir()
    monkeypatch.chdir(odd)
    code, out, err = shell("call", "task_add", "title=there", "--json")
    assert (code, err) == (0, "") and json.loads(out)["title"] == "there"
    code, _, err = shell("call", "task_add", os.fsdecode(b"title=gr\xf6\xdfe"))
    assert code == 1 and "holds a character that cannot be stored" in err


def test_values_are_typed_text_json_or_the_text_of_a_file(shell, tmp_path, home):
    (tmp_path / "title.txt").write_text("from a file")
    words = [f"title=@{tmp_path / 'title.txt'}", "done:=true"]
    code, out, _ = shell("call", "task_add", *words, "--json")
    assert code == 0
    assert json.loads(out)["title"] == "from a file" and json.loads(out)["done"] is True
    code, out, _ = shell("call", "task_add", "title==a=b", "--json")
    assert json.loads(out)["title"] == "=a=b"


FORKED = """
import os
from pathlib import Path

from pipulate import Pipeline

os.register_at_fork(after_in_child=Path(__file__).with_suffix(".ran").touch)
forked = Pipeline("Forked")


@forked.step
def one():
    return os.getpid()
"""


def test_a_server_runs_no_code_in_a_copy_of_itself_where_a_lock_of_a_thread_would_hold_it_for_ever(
    tmp_path,
):
    file = tmp_path / "home" / "apps" / "forked.py"
    file.parent.mkdir(parents=True)
    file.write_text(FORKED)
    with serving(tmp_path / "home") as server:
        assert server.call("forked_run")["output"] != server.process.pid
    assert not file.with_suffix(".ran").exists()


WRONG = {
    "no such command": (["tassk_list"], 2, "There is no command"),
    "no such tool": (["call", "task_lst"], 2, "task_list"),
    "no such option": (["tools", "--jsn"], 2, "--json"),
    "no tool named": (["call"], 2, "TOOL"),
    "no such pipeline": (["run", "helo"], 2, "no pipeline"),
    "no such step": (["step", "hello.nobody"], 2, "no step"),
    "no pipeline of a step": (["step", "nothing.at_all"], 2, "no pipeline"),
    "not a value": (["call", "task_add", "milk"], 1, "key=text"),
    "no JSON": (["call", "task_add", "title:={"], 1, "not JSON"),
    "deep JSON": (["call", "task_add", "title:=" + "[" * 9000], 1, "not JSON"),
    "no such file": (["call", "task_add", "title=@/nowhere/at/all"], 1, "cannot be read"),
    "a binary file": (["call", "task_add", f"title=@{sys.executable}"], 1, "cannot be read"),
    "missing value": (["call", "task_add"], 1, "Title"),
    "unknown value": (["call", "task_add", "title=x", "tittle=y"], 1, "tittle"),
    "does not fit": (["call", "task_add", "title=x", "due=soon"], 1, "Due"),
    "no such row": (["call", "task_get", "id=999999"], 1, "999999"),
    "no such profile": (["call", "task_list", "--profile", "nobody"], 1, "no profile"),
    "run of another pipeline": (["run", "hello", "run=99999"], 1, "no run"),
    "no such port": (["serve", "--port", "99999", "--no-browser"], 2, "--port"),
    "no such backup": (["restore", "none.db", "--yes"], 1, ""),
}


@pytest.mark.parametrize("words, code, hint", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_with_the_next_action(shell, words, code, hint):
    found, out, err = shell(*words)
    assert found == code, (out, err)
    assert one_line(err) and out == "", err
    assert hint in err


def test_what_cannot_be_undone_waits_for_a_yes(shell):
    shell("call", "profile_add", "name=Old client")
    code, out, err = shell("call", "profile_delete", "profile=old-client")
    assert code == 3 and one_line(err) and "--yes" in err
    assert "old-client" in shell("call", "profile_list", "--json")[1]
    code, out, err = shell("call", "profile_delete", "profile=old-client", "--yes", "--json")
    assert code == 0 and json.loads(out)["deleted"] == "old-client"


def test_a_profile_is_chosen_by_name_and_is_the_first_one_else(shell):
    shell("call", "profile_add", "name=Second")
    shell("call", "task_add", "title=of the second", "--profile", "second")
    assert "of the second" not in shell("call", "task_list")[1]
    assert "of the second" in shell("call", "task_list", "--profile", "second")[1]


def test_a_run_goes_on_until_an_input_is_missing_and_is_taken_up_again(shell):
    code, out, err = shell("run", "hello")
    assert code == 3 and one_line(err) and "name" in err and out == ""
    number = err.split("run=")[1].split()[0]
    code, out, err = shell("run", "hello", f"run={number}", "name=Ada", "--json")
    assert (code, out.strip()) == (0, "11"), err
    assert shell("run", "hello", "name=Grace", "mark=.")[1].strip() == "13"
    listed = json.loads(shell("runs", "--json")[1])
    assert {r["pipeline"] for r in listed} == {"hello"} and len(listed) >= 2
    assert "hello" in shell("runs")[1]


def test_listings_are_json_or_a_table(shell):
    for name in ("tools", "apps"):
        rows = json.loads(shell(name, "--json")[1])
        text = shell(name)[1]
        assert len(text.splitlines()) == len(rows) and rows[0]["name"] in text
    tools = json.loads(shell("tools", "--json")[1])
    assert all(set(row) == {"name", "description", "class", "schema"} for row in tools)
    assert {"task_add", "hello_run", "undo"} <= {row["name"] for row in tools}


def test_the_doctor_finds_everything_in_order(shell, home, monkeypatch):
    monkeypatch.setenv("PIPULATE_BROWSER", sys.executable)
    code, out, _ = shell("doctor", "--json")
    report = json.loads(out)
    assert code == 0 and report["store"] == "ok" and report["assets"] is True
    assert report["home"] == str(home) and report["model"] is None
    assert report["window"] == sys.executable
    assert "store" in shell("doctor")[1]


def test_a_damaged_store_makes_the_doctor_and_every_command_fail_with_a_sentence(shell, tmp_path):
    home = tmp_path / "broken"
    home.mkdir()
    (home / "pipulate.db").write_bytes(b"this is no database" * 100)
    code, out, _ = shell("doctor", "--json", at=home)
    assert code == 1 and "not a Pipulate store" in json.loads(out)["store"]
    code, out, err = shell("call", "task_list", at=home)
    assert code == 1 and one_line(err)
    assert (home / "pipulate.db").read_bytes() == b"this is no database" * 100


def test_while_a_server_only_recovers_its_store_a_command_leads_to_what_is_wrong(tmp_path, shell):
    (tmp_path / "pipulate.db").write_bytes(b"this is no database" * 100)
    with serving(tmp_path):
        code, _, err = shell("call", "task_list", at=tmp_path)
        assert code == 1 and one_line(err) and "`pipulate doctor`" in err
        assert "not a Pipulate store" in shell("doctor", at=tmp_path)[1]


def test_a_home_that_cannot_be_made_is_a_sentence(shell, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = shell("call", "task_list", at=tmp_path / "file" / "home")
    assert code == 1 and one_line(err) and "--home" in err


def test_a_backup_is_made_and_restored(shell, tmp_path):
    home = tmp_path / "kept"
    shell("call", "task_add", "title=before", at=home)
    code, out, _ = shell("backup", at=home)
    assert code == 0
    shell("call", "task_add", "title=after", at=home)
    name = os.path.basename(out.strip())
    assert shell("restore", name, at=home)[0] == 3, "not without a yes"
    assert shell("restore", name, "--yes", at=home)[0] == 0
    listed = shell("call", "task_list", at=home)[1]
    assert "before" in listed and "after" not in listed


def test_a_running_server_refuses_a_restore(shell, server):
    code, _, err = shell("restore", "any.db", "--yes", at=server.home)
    assert code == 1 and "Stop it first" in err


def test_so_does_one_that_was_started_while_the_restore_was_asked_about(
    shell, tmp_path, monkeypatch
):
    home, started = tmp_path / "home", []
    _, kept, _ = shell("backup", at=home)

    def agreed(question):
        started.append(FileLock(home / "locks" / "server.lock"))
        started[0].acquire()
        (home / "server.json").write_text('{"url": "http://127.0.0.1:1"}')
        return True

    monkeypatch.setattr(cli, "_agreed", agreed)
    code, _, err = shell("restore", Path(kept.strip()).name, at=home)
    assert started and code == 1 and "Stop it first" in err


def test_open_gives_a_fresh_address_that_works_once(shell, server, bare_home):
    code, out, _ = shell("open", "--no-browser", at=server.home)
    assert code == 0 and out.startswith(f"{server.url}/?token=")
    import httpx2

    assert httpx2.get(out.strip()).status_code == 200
    assert httpx2.get(out.strip()).status_code == 403
    code, _, err = shell("open", "--no-browser", at=bare_home)
    assert code == 1 and one_line(err) and "pipulate" in err


def test_a_command_goes_through_the_running_server_and_its_tabs_see_it(shell, server):
    with server.socket("/default/tasks") as tab:
        shell("call", "task_add", "title=live from the shell", at=server.home)
        assert 'id="again"' in tab.recv(timeout=2), "the list draws itself anew"


def test_a_file_named_in_the_shell_is_found_from_where_it_stands(shell, tmp_path, monkeypatch):
    (tmp_path / "edges.csv").write_text("source,target\n/,/a\n/a,/\n")
    monkeypatch.chdir(tmp_path)
    code, out, err = shell(
        "run", "links", "csv=edges.csv", "origin=source", "target=target", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["pages"] == 2


def test_help_and_version_say_what_there_is(shell, monkeypatch, capsys):
    for words in (["--help"], ["--version"], ["call", "--help"]):
        monkeypatch.setattr(sys, "argv", ["pipulate", *words])
        cli.main()
        assert len(capsys.readouterr().out) > 10


# -- as a program of its own -----------------------------------------------------------------


def start(*words, **options):
    env = {**os.environ, "OLLAMA_HOST": NOWHERE}
    command = [sys.executable, "-m", "pipulate", *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=env, **{**pipes, **options})


def test_ctrl_c_cancels_a_run_and_leaves_no_worker(tmp_path):
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    (home / "apps" / "slow.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom pipulate import Pipeline\n"
        "slow = Pipeline('Slow', 'Waits.')\n\n@slow.step\ndef wait(job):\n    'Waits.'\n"
        f"    Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n    time.sleep(60)\n"
    )
    process = start("run", "slow", "--home", str(home))
    end = time.monotonic() + 10
    while not (tmp_path / "pid").exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=5)
    assert process.returncode == 130 and "Traceback" not in err, err
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", (tmp_path / "pid").read_text()], capture_output=True, text=True
    )
    assert listed.stdout.strip()[:1] in ("", "Z")


def test_step_is_a_filter_of_the_shell(tmp_path):
    process = start("step", "hello.greeting", "--home", str(tmp_path / "home"))
    out, err = process.communicate('{"person": "Ada", "mark": "."}', timeout=10)
    assert (process.returncode, json.loads(out), err) == (0, "Hello, Ada.", "")


def test_a_command_without_standard_output_does_its_work(tmp_path):
    command = f"'{sys.executable}' -m pipulate call task_add title=x --home '{tmp_path}' >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_is_no_trace(tmp_path):
    home = str(tmp_path / "home")
    command = f"{sys.executable} -m pipulate tools --home {home} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=20)
    assert "Traceback" not in done.stderr


def test_whoever_has_enough_of_an_export_ends_it_as_that_of_any_filter(tmp_path):
    (tmp_path / "rows.csv").write_text("title\n" + "a task with a long title\n" * 5_000)
    program, at = (sys.executable, "-m", "pipulate"), ("--home", "home")
    subprocess.run([*program, "import", "tasks", "rows.csv", *at], check=True, cwd=tmp_path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([*program, "export", "tasks", *at], **pipes) as export:
        assert export.stdout.readline() == "id,title,priority,due,done\n"
        export.stdout.close()
        assert (export.stderr.read(), export.wait(20)) == ("", 141)


def test_serve_prints_exactly_one_line_of_json_once_it_answers(tmp_path):
    with serving(tmp_path / "home") as server:
        assert set(server.info) == {"url", "port", "pid", "home"}
        assert server.info["pid"] == server.process.pid
        assert server.info["home"] == str(tmp_path / "home")
        server.process.terminate()
        assert server.process.stdout.read() == ""
        assert server.process.wait(5) == 0


def test_rows_go_out_and_come_in_by_the_shell(shell, tmp_path):
    code, out, err = shell("import", "notes", "-", stdin="Title,Body,Stars\nIn,=1+1,5\n,x,1\n")
    assert (code, err) == (0, "") and out.splitlines()[0].startswith("1 added · 0 changed")
    assert "row 3: title may not be blank" in out and "columns left out: Stars" in out
    code, text, _ = shell("export", "notes", "--where", "q=In")
    assert code == 0 and "'=1+1" in text and text.startswith("id,title,")
    (tmp_path / "notes.csv").write_text(text, newline="")
    code, out, _ = shell(
        "import", "note", str(tmp_path / "notes.csv"), "--match", "id", "--json", "--map", "body="
    )
    assert code == 0 and json.loads(out)["unchanged"] == 1 and "body" in json.loads(out)["ignored"]
    code, raw, _ = shell("export", "notes", "--raw", "--format", "json")
    assert json.loads(raw)[0]["body"] == "=1+1"


def test_a_dry_run_of_the_shell_changes_nothing(shell):
    before = shell("export", "notes")
    code, out, _ = shell("import", "notes", "-", "--dry-run", stdin="title\nNever\n")
    assert code == 0 and out.startswith("1 to add") and shell("export", "notes") == before


def test_an_import_takes_the_yes_that_other_commands_take(shell):
    code, out, err = shell("import", "notes", "-", "--yes", stdin="title\nSure\n")
    assert (code, err) == (0, "") and out.startswith("1 added")


def test_the_shell_says_and_is_told_how_days_are_written(shell):
    code, out, _ = shell("import", "tasks", "-", stdin="title;due\nMilk;31.12.2026\n")
    assert code == 0 and "due: day first" in out
    given = "title,due\nTea,03/04/2026\n"
    code, out, _ = shell("import", "tasks", "-", stdin=given)
    assert "1 left out" in out and "say which" in out
    shell("import", "tasks", "-", "--notation", "due=month first", stdin=given)
    assert "2026-03-04" in shell("export", "tasks")[1]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["export", "nots"], 2, "Did you mean 'notes'"),
        (["import", "nots", "-"], 2, "Did you mean 'notes'"),
        (["import", "notes", "nowhere.csv"], 1, "no file"),
        (["import", "notes", "-"], 1, "nothing in it"),
        (["import", "notes", "-", "--match", "isbn"], 1, "no field 'isbn'"),
        (["export", "notes", "--format", "xml"], 2, "xml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_go_in_or_out_is_one_line(shell, words, code, says):
    found, out, err = shell(*words, stdin="title\nx\n" if "isbn" in words else "")
    assert (found, out) == (code, "") and one_line(err) and says in err


def test_a_tool_is_shown_whole_by_its_name_and_an_unknown_one_with_the_nearest(shell):
    code, out, _ = shell("tools", "task_add")
    assert code == 0 and "title" in json.loads(out)["schema"]["properties"]
    code, _, err = shell("tools", "task_ad")
    assert code == 2 and "task_add" in err and one_line(err)


def test_standard_input_is_utf_8_whatever_the_machine_speaks(monkeypatch, capsys, bare_home):
    """As on Windows, where a pipe was read as cp1252."""
    words = ["pipulate", "call", "task_add", "title=@-", "--home", str(bare_home)]
    given = io.BytesIO("Zoë → ✓\r\n".encode())
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given, encoding="cp1252"))
    cli.main()
    assert json.loads(capsys.readouterr().out)["title"] == "Zoë → ✓"
