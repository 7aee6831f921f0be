"""The stage: a draft at work in a process of its own; its page: tests/plugins/test__preview.py."""

import sys
import time

import pytest

from pipulate.plugins import _preview, _walls

SMALL = """
import sys
from fasthtml.common import P
from pipulate import CrudApp, Pipeline

class Plant(CrudApp):
    name: str

@Plant.rt("/page", methods=["GET"])
def page():
    return P(DOES)

slow = Pipeline("Slow")

@slow.step
def turns(job):
    for n in range(100_000):
        job.progress(n, 100_000, "turning")
        __import__("time").sleep(0.01)
"""
SECONDS = 60  # a machine may be busy


@pytest.fixture
def stage(tmp_path):
    """stage(does): ask(method, path, **form) of a draft whose page does this; .preview."""
    (tmp_path / "apps").mkdir()

    def staging(does="'so'", text=SMALL):
        preview = _preview.begin(tmp_path, "plants", text.replace("DOES", does), "1")

        def ask(method, path, partial=True, **form):
            about = {"query": {}, "partial": partial, "here": ""}
            return preview.ask(method=method, path=path, form=form, **about)

        ask.preview, ask.home = preview, tmp_path
        return ask

    yield staging
    _preview.end_all()


def test_it_answers_in_parts_of_a_page_and_says_what_is_not_there(stage):
    ask = stage()
    assert "<p>so</p>" in ask("GET", "plants/page")["parts"]
    assert ask("GET", "plnts")["problem"] == ["There is no app 'plnts'.", "Did you mean 'plants'?"]


def test_a_page_that_cannot_be_written_as_html_is_told_and_does_not_end_the_preview(stage):
    ask = stage("'so', title=type('Odd', (), {'__str__': lambda self: 1 / 0})()")
    what, _ = ask("GET", "plants/page")["problem"]
    assert "division by zero" in what and "line None" not in what
    assert ask("GET", "plants")["parts"]


def test_one_whose_parent_is_gone_ends_by_itself(stage):
    ask = stage()
    assert ask("GET", "plants")["parts"]
    ask.preview.process.stdin.close()
    assert ask.preview.process.wait(SECONDS) == 0


def test_a_step_at_work_is_drawn_again_and_again_until_it_is_cancelled(stage):
    ask = stage()
    assert ask("POST", "slow")["go"] == "/default/slow/1"
    ask("POST", "slow/1/turns")
    end = time.monotonic() + SECONDS
    while "turning" not in (page := ask("GET", "slow/1")["parts"][0]):
        assert time.monotonic() < end
    assert 'hx-get="" hx-trigger="every 1s"' in page
    page = ask("POST", "slow/1/turns/cancel")["parts"][0]
    assert "You cancelled this step." in page and "every 1s" not in page


@pytest.mark.skipif(
    sys.platform != "linux" or _walls.call(_walls.CREATE, None, 0, 1) < 1,
    reason="This kernel has no Landlock.",
)
def test_it_stands_behind_the_walls_of_a_trial(stage, tmp_path):
    (tmp_path / "secret.txt").write_text("a secret")
    secret = repr(str(tmp_path / "secret.txt"))
    ask = stage(f"sys.modules['__main__'].KINDS.clear() or open({secret}).read()")
    what, then = ask("GET", "plants/page")["problem"]
    assert "PermissionError" in what and "A preview has no network" in then
