"""Versions in quarantine: kept, approved by their hash, and nothing else gets into apps/."""

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipulate import Problem
from pipulate.plugins import _drafts

ONE = "from pipulate import CrudApp\nclass Plant(CrudApp):\n    name: str\n"
TWO = ONE + "    place: str = ''\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home; a trial of its own takes a second, and is tested elsewhere."""
    monkeypatch.setattr(_drafts, "tried", lambda *_: {"problems": [], "apps": []})
    for name in ("apps", "quarantine"):
        (tmp_path / name).mkdir()
    return tmp_path


def drafted(home, text):
    return _drafts.draft(home, "plants", text, "a test")["hash"]


def states(home):
    found = sorted(_drafts.versions(home, "plants"), key=lambda v: v["version"])
    return [(v["version"], v["origin"], v["state"]) for v in found]


def test_of_many_drafts_at_once_two_are_tried_and_the_others_wait(tmp_path, monkeypatch):
    (tmp_path / "apps").mkdir()
    at_work, most, third = [], [], threading.Event()

    def child(*_):
        at_work.append(1)
        most.append(len(at_work))
        third.wait(0.1)  # nobody sets it: time for others to come in
        at_work.pop()
        return "ended"

    monkeypatch.setattr(_drafts, "child", child)
    with ThreadPoolExecutor(6) as threads:
        found = [*threads.map(lambda n: _drafts.tried(tmp_path, f"a{n}", ONE), range(6))]
    assert len(found) == 6 and max(most) <= 2
    monkeypatch.setattr(_drafts, "TURN", 0)
    with (
        _drafts.TRIALS,
        _drafts.TRIALS,
        pytest.raises(Problem, match="Other drafts are being tried"),
    ):
        _drafts.tried(tmp_path, "late", ONE)


def test_a_draft_waits_until_its_hash_is_approved(home):
    key = drafted(home, ONE)
    assert not any((home / "apps").iterdir())
    _drafts.approve(home, "plants", key)
    assert (home / "apps/plants.py").read_text() == ONE
    assert states(home) == [(1, "a test", "approved")]


def test_a_wish_to_change_a_plugin_got_a_draft_from_before_the_version_that_runs(home):
    drafted(home, ONE)
    assert _drafts.newest(home, "plants") == ONE, "it waits"
    _drafts.approve(home, "plants", drafted(home, TWO))
    assert _drafts.newest(home, "plants") == TWO


def test_what_was_in_its_place_stays_a_version_to_go_back_to(home):
    (home / "apps/plants.py").write_text(ONE)
    _drafts.approve(home, "plants", drafted(home, TWO))
    assert states(home) == [(1, "a test", "approved"), (2, "own file", "replaced")]
    _drafts.approve(home, "plants", _drafts.digest(ONE))
    assert (home / "apps/plants.py").read_text() == ONE
    assert states(home) == [(1, "a test", "replaced"), (2, "own file", "approved")]


def test_a_version_that_was_replaced_came_as_if_it_were_the_newest(home, monkeypatch):
    times = iter("abcdef")
    monkeypatch.setattr(_drafts, "now", lambda: next(times))
    keys = [drafted(home, text) for text in (ONE, TWO)]
    for key in keys:
        _drafts.approve(home, "plants", key)
    assert [v["hash"] for v in _drafts.versions(home, "plants")] == keys[::-1]


def test_a_version_whose_file_was_changed_afterwards_is_not_approved(home):
    key = drafted(home, ONE)
    (home / f"quarantine/plants/{key}.py").write_text(TWO)
    with pytest.raises(Problem, match="no such version"):
        _drafts.approve(home, "plants", key)
    assert not any((home / "apps").iterdir())


@pytest.mark.parametrize("key", ["../../x", "", "0" * 64])
def test_a_hash_that_nobody_kept_is_not_approved(home, key):
    drafted(home, ONE)
    with pytest.raises(Problem, match="no such version"):
        _drafts.approve(home, "plants", key)


def test_a_faulty_version_is_kept_to_be_mended_and_not_approved(home):
    key = drafted(home, "def f(:\n")
    assert states(home) == [(1, "a test", "faulty")]
    with pytest.raises(Problem, match="did not pass"):
        _drafts.approve(home, "plants", key)


def test_the_same_text_is_one_version_and_waits_again_once_rejected(home):
    key = drafted(home, ONE)
    _drafts.mark(home, _drafts.read(home, "plants", key)[0], "rejected")
    assert drafted(home, ONE) == key
    assert states(home) == [(1, "a test", "waiting")]


def test_what_is_live_has_the_hash_of_the_file_however_its_lines_end(home):
    (home / "apps/plants.py").write_bytes(ONE.replace("\n", "\r\n").encode())
    assert _drafts.digest(_drafts.live(home, "plants")) != _drafts.digest(ONE)
    _drafts.approve(home, "plants", drafted(home, TWO))
    before = next(v["hash"] for v in _drafts.versions(home) if v["state"] == "replaced")
    _drafts.approve(home, "plants", before)
    assert (home / "apps/plants.py").read_bytes() == ONE.replace("\n", "\r\n").encode()


def test_a_file_in_another_encoding_is_told_and_is_no_fault(home):
    (home / "apps/plants.py").write_bytes(ONE.replace("name", "näme").encode("latin-1"))
    with pytest.raises(Problem, match="plants.py is not written in UTF-8"):
        _drafts.newest(home, "plants")


def test_a_trial_reads_and_prints_utf_8_on_any_machine_as_steps_do(tmp_path):
    (tmp_path / "apps").mkdir()
    found = _drafts.tried(tmp_path, "plants", f"import sys\nassert sys.flags.utf8_mode\n{ONE}")
    assert found["problems"] == [] and found["apps"]


def test_a_killed_program_left_the_homes_of_its_trials_for_ever(home, tmp_path, monkeypatch):
    with subprocess.Popen(["true"]) as ended:
        pass
    monkeypatch.setattr(_drafts.tempfile, "gettempdir", lambda: str(tmp_path))
    names = f"{ended.pid}-left", "1-at-work", f"{os.getpid()}-own", "odd"
    for name in names:
        (tmp_path / f"pipulate-trial-{name}/apps").mkdir(parents=True)
    with _drafts.place(home, "plants", ONE) as made:
        kept = {path.name for path in tmp_path.glob("pipulate-trial-*")}
    assert kept == {f"pipulate-trial-{name}" for name in names[1:]} | {Path(made).name}
