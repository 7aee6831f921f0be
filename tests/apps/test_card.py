"""A step's card: how it stands, what it asks, what can be done with it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest

from pipulate.apps.card import MANY, brief, heading, kept_log, local, press, progress
from pipulate.apps.card import question_form, span, step_form
from pipulate.apps.markup import html
from pipulate.core.fields import File, dumps, make_field, to_json
from pipulate.core.kinds import Choices
from pipulate.core.runs import StepState

AT = "/default/shop/1/shelf"


def state(name="ready", optional=False, **attempt):
    step = SimpleNamespace(name="shelf", optional=optional, source="s")
    return StepState(step, name, "key", {"kind": "fruit"}, attempt)


def form(said, fields=(), kept=False, first=True, wrong=None, typed=None):
    drawn = step_form(AT, said, fields, wrong or {}, typed or {}, kept=kept, first=first)
    return html(drawn)


def buttons(text):
    return re.findall(r"<button[^>]*>([^<]*)", text)


@pytest.mark.parametrize(
    ("said", "kept", "first", "shown"),
    [
        (state("ready"), False, True, ["Run", "Run the rest"]),
        (state("ready"), False, False, ["Run"]),
        (state("ready", optional=True), False, False, ["Run", "Skip"]),
        (state("stale"), False, True, ["Run again", "Run the rest"]),
        (state("done"), False, False, ["Run again"]),
        (state("skipped"), False, False, ["Run again"]),
        (state("failed"), False, False, ["Retry", "Discard"]),
        (state("failed"), True, False, ["Resume", "Retry from its start", "Discard"]),
        (state("interrupted"), True, False, ["Resume", "Retry from its start", "Discard"]),
        (state("cancelled", optional=True), False, False, ["Retry", "Discard", "Skip"]),
    ],
    ids=lambda said: f"{said.state} {said.step.optional}" if isinstance(said, StepState) else None,
)
def test_each_state_offers_what_means_something_in_it(said, kept, first, shown):
    assert buttons(form(said, kept=kept, first=first)) == shown


def test_the_focus_does_not_go_from_run_the_rest_to_discard_when_the_step_fails():
    """The page keeps an element by its id, else by its place, which Discard takes."""
    for said in (state("ready"), state("failed")):
        (rest,) = re.findall(r'<button[^>]* id="rest"[^>]*>([^<]*)', form(said))
        assert rest == "Run the rest"


def test_a_past_step_is_folded_with_its_inputs_on_one_line():
    field = make_field("kind", str)
    text = form(state("done"), (field,), first=False)
    assert text.startswith("<details") and "Revise" in text and "kind: fruit" in text
    assert 'value="fruit"' in text, "one click away, as it was"
    assert not form(state("ready"), (field,)).startswith("<details")
    assert " open" in form(state("done"), (field,), wrong={"kind": "is odd"}).split(">")[0]


def test_a_button_for_a_tool_sends_nothing_of_the_form_around_it():
    text = html(press("/default/shop/1", "skip", "Skip", step="shelf"))
    assert 'hx-post="/default/shop/1/-/skip"' in text and 'hx-params="step"' in text
    assert 'hx-params="none"' in html(press("/default/shop/1", "copy", "Duplicate"))


def test_of_very_many_choices_one_is_typed():
    choices = Choices(tuple(str(n) for n in range(MANY + 1)))
    text = form(state(), (make_field("one", Annotated[str, choices]),))
    assert "<option" not in text and f"one of {MANY + 1:,}" in text


@pytest.mark.parametrize(
    ("about", "shown"),
    [
        ({"choices": ["one", "two"], "type": ""}, "<option"),
        ({"choices": None, "type": "int"}, 'inputmode="numeric"'),
        ({"choices": None, "type": "bool"}, 'type="checkbox"'),
        ({"choices": None, "type": "str"}, 'type="text"'),
        ({"choices": None, "type": "date"}, 'type="date"'),
    ],
    ids=str,
)
def test_a_question_has_the_input_that_fits(about, shown):
    record = {"id": 7, "step": "shelf", "name": "Which <one>?", "about": dumps(about)}
    text = html(question_form(record, "/default/shop/1"))
    assert shown in text and "Which &lt;one&gt;?" in text and buttons(text) == ["Answer"]
    assert 'hx-post="/default/shop/1/-/answer"' in text


# -- how it stands


def test_the_heading_says_how_long_it_took_and_when_or_why_it_is_stale():
    now = datetime.now(UTC)
    times = {"started_utc": (now - timedelta(seconds=90)).isoformat(), "ended_utc": now.isoformat()}
    text = html(heading(2, state("done", **times)))
    assert "2. Shelf" in text and "done · 1 min 30 s · " in text
    changed = state("stale", source="s", inputs='{"kind": "tools"}')
    assert "stale: its inputs changed" in html(heading(1, changed))
    assert "stale: its code changed" in html(heading(1, state("stale", source="other")))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min")],
)
def test_a_length_of_time_reads_well(seconds, said):
    assert span(seconds) == said


def test_a_moment_is_told_in_local_time_with_its_day_unless_it_is_today():
    now = datetime.now(UTC)
    assert local(now.isoformat()) == f"{now.astimezone():%H:%M}"
    old = datetime(2020, 1, 31, 12, tzinfo=UTC)
    assert local(old.isoformat()) == f"{old.astimezone():%Y-%m-%d %H:%M}"


def test_inputs_are_short_and_a_file_is_its_name():
    inputs = to_json({"csv": File(Path("/a/b.csv")), "text_of_it": "x" * 900, "none": None})
    assert brief(inputs) == f"csv: b.csv · text of it: {'x' * 60}"


def test_inputs_on_one_line_are_no_python():
    inputs = {
        "formats": ["gexf", "graphml"],
        "start": "",
        "none": [],
        "whole": True,
        "log_in": False,
    }
    assert brief(to_json(inputs)) == "formats: gexf, graphml · whole: yes · log in: no"
    assert brief(to_json({"count": 1, "least": 0})) == "count: 1 · least: 0"


def test_a_list_of_inputs_that_is_cut_says_so():
    fields = ["page type", "status code", "title", "depth", "PageRank"] * 2
    told = brief(to_json({"fields": fields}))
    assert len(told) == len("fields: ") + 60 and told.endswith("…")


# -- at work


def job(log=(), done=0.0, total=0.0, left=0.0, message="", questions=()):
    share = done / total if total else None
    about = {"done": done, "total": total, "share": share, "message": message}
    return SimpleNamespace(**about, seconds_left=left, log=log, questions=dict.fromkeys(questions))


def test_progress_says_how_far_how_fast_and_how_long_yet():
    text = html(progress(AT, "p", job(done=50, total=200, left=75, message="<at> 50")))
    assert "&lt;at&gt; 50 · 50 of 200 · 2 a second · about 1 min 15 s left" in text
    assert 'value="0.25"' in text and 'aria-live="polite"' in text and buttons(text)[0] == "Cancel"


def test_progress_of_a_million_rows_is_told_without_an_exponent():
    text = html(progress(AT, "p", job(done=1_234_567, total=2_000_000, left=600)))
    assert "1,234,567 of 2,000,000 · 1,280 a second" in text


def test_a_log_that_grows_is_bounded():
    text = html(progress(AT, "p", job(log=["x" * 5_000] * 5_000)))
    assert len(text) < 30_000


def test_while_it_waits_for_an_answer_no_bar_moves():
    assert "<progress" in html(progress(AT, "p", job()))
    assert "<progress" not in html(progress(AT, "p", job(questions=[1])))


def test_the_log_stays_with_the_attempt_as_text():
    text = html(kept_log({"log": "one\n<b>two</b>"}))
    assert "<small>2</small>" in text and "&lt;b&gt;two" in text
    assert "trace" in html(kept_log({"log": "", "error": '{"log": ["a trace"]}'}))
    assert html(kept_log({"log": "", "error": None})) == ""
