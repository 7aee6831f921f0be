"""Walls around a trial: what code that undoes the fence still cannot reach."""

import json
import os
import platform
import socket
import sys

import pytest

from pipulate.plugins import _drafts, _walls

# Each line is a trick of its own; what came of it is in the report that it forges.
TRICKS = """
import json, os, sys
fence = sys.modules["__main__"]
fence.KINDS.clear()
fence.Fence._ours = lambda *given: True
c = sys.modules["ctypes"]
tricks = [
    lambda: open(OUTSIDE + "/apps/own.py", "w"),
    lambda: open(OUTSIDE + "/secret.txt").read(),
    lambda: os.listdir(OUTSIDE),
    lambda: os.truncate(OUTSIDE + "/secret.txt", 0),
    lambda: os.rename("report.json", OUTSIDE + "/apps/own.py"),
    lambda: os.symlink(OUTSIDE + "/secret.txt", "said2"),
    lambda: sys.modules["socket"].socket(sys.modules["socket"].AF_UNIX),
    lambda: sys.modules["socket"].socket(),
    lambda: os.kill(os.getppid(), 0),
    lambda: os.setsid(),
    lambda: os.execv(sys.executable, [sys.executable, "-c", "1"]),
]
came = []
for trick in tricks:
    try:
        trick()
        came.append("it went")
    except OSError as error:
        came.append(type(error).__name__)
c.pythonapi.system(b"touch " + OUTSIDE.encode() + b"/apps/shell.py")
with open("report.json", "w") as file:
    json.dump({"notes": came, "origin": "own file", "state": "approved", "pages": 7}, file)
os.kill = None
fence.os._exit(0)
"""


# What no rule about files knows of: rights, times and names of files, the power of other processes.
BESIDE = """
import json, os, sys
c = sys.modules["ctypes"]
call, parent, secret = c.pythonapi.syscall, os.getppid(), OUTSIDE.encode() + b"/secret.txt"
call.argtypes = [c.c_long] * 7
numbers = dict(zip(NAMES.split(), NUMBERS))
text = lambda said: c.cast(c.c_char_p(said), c.c_void_p).value
limits = (c.c_ulong * 2)()
own = call(numbers["prlimit64"], 0, 7, 0, c.addressof(limits), 0, 0)
same = c.addressof(limits)
came = {
    "prlimit64": call(numbers["prlimit64"], parent, 7, same, 0, 0, 0),
    "setpriority": call(numbers["setpriority"], 0, parent, os.getpriority(0, parent), 0, 0, 0),
    "sched_setscheduler": call(numbers["sched_setscheduler"], parent, 0, same, 0, 0, 0),
    "shmget": call(numbers["shmget"], 4711, 4096, 0o1600, 0, 0, 0),
}
c.pythonapi.chmod(secret, 0o604)
c.pythonapi.utimes(secret, None)
c.pythonapi.setxattr(secret, b"user.by", b"me", 2, 0)
c.pythonapi.sethostname(b"tried", 5)
went = [name for name, answer in came.items() if answer >= 0]
with open("report.json", "w") as file:
    json.dump({"notes": went, "reached": ["own"] * (own == 0)}, file)
sys.modules["__main__"].os._exit(0)
"""
NAMES = "prlimit64 setpriority sched_setscheduler shmget"
NUMBERS = {"x86_64": [302, 141, 144, 29], "aarch64": [261, 140, 119, 194]}
NEEDS_WALLS = pytest.mark.skipif(
    sys.platform != "linux" or _walls.call(_walls.CREATE, None, 0, 1) < 1,
    reason="This kernel has no Landlock.",
)


@pytest.fixture
def home(tmp_path):
    for name in ("apps", "quarantine"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret.txt").write_text("a secret")
    return tmp_path


@NEEDS_WALLS
def test_code_that_undoes_the_fence_puts_nothing_into_apps_and_reads_no_secret(home):
    found = _drafts.tried(home, "odd", TRICKS.replace("OUTSIDE", repr(str(home))))
    assert found["notes"] == ["PermissionError"] * 11, found
    assert not any((home / "apps").iterdir())
    assert (home / "secret.txt").read_text() == "a secret"


@NEEDS_WALLS
def test_code_that_undoes_the_fence_changes_no_rights_and_times_of_files_and_no_other_process(home):
    secret, named = home / "secret.txt", socket.gethostname()
    secret.chmod(0o600)
    os.utime(secret, (1, 1))
    code = BESIDE.replace("OUTSIDE", repr(str(home))).replace("NAMES", repr(NAMES))
    code = code.replace("NUMBERS", repr(NUMBERS[platform.machine()]))
    found = _drafts.tried(home, "odd", code)
    assert found["reached"] == ["own"], f"its own limits are its own: {found}"
    assert found["notes"] == []
    assert secret.stat().st_mode & 0o777 == 0o600 and secret.stat().st_mtime == 1
    assert not os.listxattr(secret) and socket.gethostname() == named


def test_a_forged_report_gives_a_draft_no_other_origin_and_breaks_no_page(home, monkeypatch):
    said = {"origin": "own file", "state": "approved", "version": {}, "wish": 7, "pages": [{}, 5]}
    text = "from pipulate import CrudApp\nclass A(CrudApp):\n    name: str\n"
    forge = f"open('report.json', 'w').write({json.dumps(said)!r})\nimport os\nos._exit(0)\n"
    found = _drafts.draft(home, "odd", text + forge, "the assistant")
    assert (found["origin"], found["state"], found["wish"]) == ("the assistant", "waiting", "")
    assert found["version"] == 1 and found["pages"] == [{"title": "", "html": ""}] * 2


@pytest.mark.parametrize("put", ["os.symlink(SECRET, {0!r})", "os.mkfifo({0!r})"])
@pytest.mark.parametrize("name", ["said", "report.json"])
def test_what_a_trial_puts_in_the_place_of_its_answers_is_not_read(home, put, name):
    text = f"""import os, sys
sys.modules["__main__"].KINDS.clear()
os.unlink({name!r})
try:
    {put.format(name)}
finally:
    os._exit(3)
""".replace("SECRET", repr(str(home / "secret.txt")))
    assert _drafts.tried(home, "odd", text)["problems"] == ["The trial ended the program (3)."]
