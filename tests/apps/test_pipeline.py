"""A pipeline at work: its tool, its list of runs, and the page of a run with steps as cards."""

import asyncio
import contextlib
import json
import time

import pytest

from pipulate.apps.base import Go, Refusal, Visit
from pipulate.apps.markup import html
from pipulate.apps.pipeline import LISTED
from pipulate.core.problems import Invalid, Locked, Missing, Problem

SHOP = """
    from typing import Annotated, Literal
    from fasthtml.common import B
    from pipulate import Between, Choices, File, Pipeline

    shop = Pipeline("Shop", "Buys something.")

    @shop.step
    def shelf(kind: Literal["fruit", "tools"], count: Annotated[int, Between(1, 9)] = 2):
        "What are you looking for?"
        return [f"{kind} {n}" for n in range(count)]

    def offers(shelf):
        return shelf

    @shop.step
    def basket(shelf, article: Annotated[str, Choices(offers)]):
        return {"article": article}

    @basket.view
    def shown(output):
        return B(output["article"])

    @shop.step
    def table(job, source: File | None = None):
        return source.path.read_text() if source else None

    @shop.step
    def slow(job, basket):
        import time
        job.progress(1, 2, "<b>half</b>")
        time.sleep(30)
"""


@pytest.fixture
def shop(house, plugin):
    found = plugin(SHOP, "shop")
    assert found.problem is None, found.problem
    return house.shelf.pipeline("shop")


@pytest.fixture
def visit(house, shop, run):
    """visit(method, path, **form): what the page answers."""

    def visiting(method, path, at=None, partial=True, query=None, here="", **form):
        matched = ((r, v) for r in shop.routes if (v := r.match(method, path)) is not None)
        route, values = next(matched)
        caller = house.caller("user", at, confirmed=True)
        made = Visit(house, caller, shop, values, query or {}, form, partial, here)

        async def answer():
            result = await route.run(made)
            while jobs := [j for j in house.jobs.live.values() if j.attempt["step"] != "slow"]:
                await house.jobs.wait(jobs[0])
            return result

        return run(answer())

    return visiting


@pytest.fixture
def page(visit):
    """page(): the page of run 1 as HTML."""
    return lambda: html(visit("GET", "1"))


@pytest.fixture
def states(house, shop):
    def told():
        found = house.runs.states(house.runs.get(1, 1), shop.pipeline)
        return {name: state.state for name, state in found.items()}

    return told


def test_given_choices_that_loop_then_each_visit_waited_five_seconds_for_ever(
    house, plugin, run, monkeypatch
):
    from pipulate.core import tools

    own = plugin(SHOP.replace("return shelf", "\n            while True: pass", 1), "shop")
    monkeypatch.setattr(tools.limited, "__kwdefaults__", {"seconds": 0.2})
    guided, caller = house.shelf.pipeline("shop"), house.caller("user", confirmed=True)
    made = guided.new(caller, {"kind": "fruit"})["id"]
    with pytest.raises(Problem, match="was stopped"):
        run(guided.run_on(caller, made))
    for _ in range(3):
        assert own.problem is None
        drawn = html(run(guided.draw_run(caller.profile, made)))
        assert "took over 0.2 s" in drawn
    assert own.folded and "shop.py, line" in own.problem.what


# -- the tool --------------------------------------------------------------------------------


def test_the_tool_asks_for_everything_and_needs_nothing(house, shop):
    tool = house.tools.get("shop_run").as_dict()
    assert list(tool["schema"]["properties"]) == [
        *("run", "from_run", "to_step", "again", "kind", "count", "article", "source")
    ]
    assert "required" not in tool["schema"]
    assert tool["schema"]["properties"]["kind"]["enum"] == ["fruit", "tools", None]
    assert tool["description"].endswith("Steps: shelf → basket → table → slow.")


def test_it_runs_on_until_an_input_is_missing_and_says_which(shop, call):
    told = call("shop_run", actor="mcp")
    assert told == {
        "run": 1,
        "address": "/default/shop/1",
        "state": "waiting",
        "step": "shelf",
        "waiting_for": ["kind"],
    }


def test_given_the_missing_input_later_then_it_goes_on_without_doing_it_twice(plugin, call, house):
    plugin("""
        from pipulate import Pipeline
        two = Pipeline("Two")

        @two.step
        def one(a: int):
            return a

        @two.step
        def other(one, b: int):
            return one + b
    """)
    assert call("two_run", a=1)["waiting_for"] == ["b"]
    assert call("two_run", run=1, b=2)["output"] == 3
    assert len(house.runs.attempts("run_id = 1")) == 2
    assert call("two_run", run=1)["output"] == 3
    assert len(house.runs.attempts("run_id = 1")) == 2, "a finished run runs nothing"
    assert call("two_run", run=1, a=5)["output"] == 7, "a changed input runs what depends on it"


@pytest.mark.parametrize(
    ("values", "said"),
    [({"kind": "meat"}, "must be one of"), ({"kind": "fruit", "count": 0}, "from 1 to 9")],
    ids=str,
)
def test_wrong_values_are_refused_before_anything_is_made(shop, call, house, values, said):
    with pytest.raises(Invalid, match=said):
        call("shop_run", **values)
    assert house.runs.listing(1) == []


def test_a_choice_that_is_not_on_offer_is_refused(shop, call):
    with pytest.raises(Invalid, match="fruit 0, fruit 1"):
        call("shop_run", kind="fruit", article="fruit 7")


def test_a_failing_step_is_a_problem_with_the_run_to_go_on_with(plugin, call):
    plugin("""
        from pipulate import Pipeline
        bad = Pipeline("Bad")

        @bad.step
        def fails(x: int = 0):
            return 1 / x
    """)
    with pytest.raises(Problem, match="fails: ZeroDivisionError") as caught:
        call("bad_run", actor="model")
    assert caught.value.details["run"] == 1 and caught.value.next_step
    assert call("bad_run", run=1, x=2)["output"] == 0.5


def test_given_a_caller_that_goes_away_then_the_step_is_stopped(house, shop, run, states):
    async def main():
        values = {"kind": "fruit"}
        calling = asyncio.ensure_future(house.tools.call("shop_run", values, house.caller("shell")))
        while not any(job.message for job in house.jobs.live.values()):
            await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        while states()["slow"] == "running":
            await asyncio.sleep(0.01)

    run(asyncio.wait_for(main(), 8))
    assert states()["slow"] == "cancelled"


def test_a_model_gives_no_path_outside_of_the_home(shop, call, tmp_path):
    (tmp_path / "secret").write_text("x")
    with pytest.raises(Problem, match="outside"):
        call("shop_run", actor="model", kind="fruit", source=str(tmp_path / "secret"))


def test_a_model_does_not_run_on_with_a_path_that_the_user_gave_outside_of_the_home(
    shop, call, house, tmp_path
):
    (tmp_path / "secret").write_text("x")
    run = house.runs.create(1, "shop", {"kind": "fruit", "source": str(tmp_path / "secret")})["id"]
    with pytest.raises(Problem, match="outside"):
        call("shop_run", actor="model", run=run)
    assert {a["step"] for a in house.runs.attempts("run_id = ?", [run])} == {"shelf", "basket"}


# -- the page --------------------------------------------------------------------------------


def test_the_page_lists_runs_and_a_click_makes_one(visit, house):
    assert "No runs yet" in html(visit("GET", ""))
    assert visit("POST", "") == Go("/default/shop/1")
    listed = html(visit("GET", ""))
    assert 'href="/default/shop/1"' in listed and "0 of 4 steps" in listed
    assert house.events.recent(1, 1)[0]["summary"] == "Started run 1 of Shop"


def test_a_run_shows_each_step_as_a_card_and_a_form_where_it_can_go_on(visit, page):
    visit("POST", "")
    text = page()
    assert [text.count(f'id="step-1-{n}"') for n in ("shelf", "basket", "table", "slow")] == [1] * 4
    assert "What are you looking for?" in text and 'name="kind"' in text
    assert 'name="article"' not in text and "waits for earlier steps" in text


def test_a_step_runs_from_its_form_and_its_output_is_drawn(visit, page, states):
    visit("POST", "")
    visit("POST", "1/shelf", kind="fruit", count="3")
    assert states()["shelf"] == "done"
    text = page()
    assert "fruit 2" in text and 'value="fruit 1"' in text, "the next step offers what came out"
    visit("POST", "1/basket", article="fruit 1")
    assert "<b>fruit 1</b>" in page(), "drawn by the step's own view"


def test_given_wrong_input_then_the_form_comes_back_with_what_was_typed(visit, states):
    visit("POST", "")
    answer = visit("POST", "1/shelf", kind="fruit", count="77")
    assert isinstance(answer, Refusal) and answer.status == 422
    drawn = html(answer.elements)
    assert "must be from 1 to 9" in drawn and 'value="77"' in drawn
    assert states()["shelf"] == "ready"


def test_given_a_revised_step_then_later_cards_are_stale_and_keep_their_output(visit, page):
    visit("POST", "")
    visit("POST", "1/shelf", kind="fruit")
    visit("POST", "1/basket", article="fruit 1")
    visit("POST", "1/shelf", kind="tools")
    text = page()
    assert "stale: an earlier step changed" in text and "<b>fruit 1</b>" in text


def test_progress_is_shown_as_text_and_cancel_stops_it(visit, page, house, run, states):
    visit("POST", "")
    visit("POST", "1/shelf", kind="fruit")
    visit("POST", "1/basket", article="fruit 1")
    visit("POST", "1/slow")
    (job,) = house.jobs.live.values()

    async def begun():
        while not job.message:
            await asyncio.sleep(0.01)

    run(asyncio.wait_for(begun(), 5))
    text = page()
    assert "&lt;b&gt;half&lt;/b&gt;" in text and "1 of 2" in text and "/cancel" in text
    drawn = html(visit("POST", "1/slow/cancel"))
    assert states()["slow"] == "cancelled" and "You cancelled this step." in drawn


def test_given_another_profile_then_it_sees_and_stops_nothing_here(visit, call, house, states, run):
    call("profile_add", name="Shop")
    visit("POST", "")
    visit("POST", "1/shelf", kind="fruit")
    visit("POST", "1/basket", article="fruit 1")
    visit("POST", "1/slow")
    paths = "1/shelf", "1/slow/cancel", *(f"1/-/{verb}" for verb in ("finish", "delete", "again"))
    looks = "1", "1/shelf/output", "1/shelf/output.json", "1/shelf/use"
    for method, path in [*(("POST", p) for p in paths), *(("GET", p) for p in looks)]:
        with pytest.raises(Missing):
            visit(method, path, at="shop", kind="fruit")
    assert states()["slow"] == "running"


def test_a_locked_run_shows_no_form_and_refuses_on_the_server(visit, page, states, call):
    visit("POST", "")
    visit("POST", "1/shelf", kind="fruit")
    assert "Reopen" in html(visit("POST", "1/-/finish"))
    assert 'name="kind"' not in page()
    with pytest.raises(Locked):
        visit("POST", "1/shelf", kind="tools")
    visit("POST", "1/-/reopen")
    assert 'name="kind"' in page()


def test_a_locked_run_says_so_at_its_top(visit, page):
    visit("POST", "")
    assert "finished and locked</h1>" not in page()
    visit("POST", "1/shelf", kind="fruit")
    visit("POST", "1/-/finish")
    assert "finished and locked</h1>" in page()


def test_deleting_a_run_offers_to_take_it_back(visit, call, house):
    visit("POST", "")
    assert 'hx-post="/default/undo/' in html(visit("POST", "1/-/delete"))
    with pytest.raises(Missing):
        visit("GET", "1")
    call("undo", event=house.events.recent(1, 1)[0]["id"])
    visit("GET", "1")


def test_a_run_is_named_in_place_and_found_by_its_name_number_and_inputs(visit, page):
    for _ in range(2):
        visit("POST", "")
    visit("POST", "2/shelf", kind="tools")
    assert 'value="The &lt;first&gt;"' in html(visit("POST", "1/-/name", name="The <first>"))
    for q, found, left in [("first", 1, 2), ("TOOLS", 2, 1), ("2", 2, 1)]:
        text = html(visit("GET", "", query={"q": q}))
        assert (
            f'href="/default/shop/{found}"' in text and f'href="/default/shop/{left}"' not in text
        )
    assert "No run matches “nothing”" in html(visit("GET", "", query={"q": "nothing"}))


def test_a_thousand_runs_are_listed_page_by_page_and_quickly(visit, house):
    with house.db.change():
        for n in range(1_000):
            house.runs.create(1, "shop", {"kind": f"kind {n}"})
    started = time.process_time()
    first = html(visit("GET", ""))
    assert time.process_time() - started < 0.5
    assert first.count("<li>") == LISTED and "kind 999" in first and "page=2" in first
    last = html(visit("GET", "", query={"page": str(1_000 // LISTED)}))
    assert "kind 0" in last and "Newer" in last and "Older" not in last


def test_a_copy_has_the_inputs_and_the_name_and_can_be_taken_back(visit, house):
    visit("POST", "")
    visit("POST", "1/shelf", kind="tools")
    visit("POST", "1/-/name", name="Mine")
    assert visit("POST", "1/-/copy") == Go("/default/shop/2")
    new = house.runs.get(1, 2)
    assert json.loads(new["inputs"])["kind"] == "tools" and new["name"] == "Mine"
    told = html(visit("POST", "1/-/copy", here="http://x/default/shop?q=a"))
    assert 'href="/default/shop/3"' in told and 'hx-post="/default/shop/3/-/delete"' in told


def test_a_copy_shows_the_name_of_an_upload_and_still_reads_it(visit, house, run, tmp_path):
    async def body():
        yield b"a,b"

    key = run(house.files.upload(house.profiles.at(), "links.csv", body()))
    visit("POST", "")
    visit("POST", "1/table", source=f"file:{key}")
    visit("POST", "1/-/copy")
    text = html(visit("GET", "2"))
    assert 'value="links.csv"' in text and str(house.files.folder) not in text
    visit("POST", "2/table", source="links.csv")
    assert "a,b" in html(visit("GET", "2"))
    (own := tmp_path / "own.csv").write_text("c,d")
    visit("POST", "2/table", source=str(own))
    text = html(visit("GET", "2"))
    assert "c,d" in text and f'value="{own}"' in text, "a path that a person gave stays one"


def test_the_rest_runs_as_far_as_inputs_allow_and_says_what_is_missing(visit, states, run):
    visit("POST", "")
    drawn, told = visit("POST", "1/table", query={"rest": "1"})
    assert "Shelf needs kind" in html(told) and states()["table"] == "ready"
    visit("POST", "1/shelf", kind="fruit", count="1", query={"rest": "1"})

    async def arrived():
        while states()["slow"] != "running":
            await asyncio.sleep(0.02)

    run(asyncio.wait_for(arrived(), 8))
    assert states() == {"shelf": "done", "basket": "done", "table": "done", "slow": "running"}


def test_run_all_again_runs_what_is_done_too(visit, house, states, run):
    visit("POST", "")
    visit("POST", "1/shelf", kind="fruit")
    visit("POST", "1/basket", article="fruit 1")
    visit("POST", "1/-/again")

    async def arrived():
        while states()["slow"] != "running":
            await asyncio.sleep(0.02)

    run(asyncio.wait_for(arrived(), 8))
    assert house.runs.attempts.count("run_id = 1 AND step = 'shelf'") == 2


CHOOSY = """
    from pipulate import Pipeline

    choosy = Pipeline("Choosy")

    @choosy.step
    def word(text: str = "a"):
        return text

    @choosy.step(optional=True)
    def note(word, more: str):
        return word + more

    @choosy.step(auto=True)
    def after(note):
        return [note]

    @choosy.step
    def asks(word, job):
        return job.ask("Really?", ["yes", "no"])
"""


@pytest.fixture
def click(house, plugin, run):
    """click(path, **form): a click in run 1 of Choosy, and what the page is once all is quiet."""
    assert plugin(CHOOSY, "choosy").problem is None
    caller = house.caller("user", confirmed=True)
    house.shelf.pipeline("choosy").new(caller, {})

    async def clicking(path, form):
        guided = house.shelf.pipeline("choosy")
        matched = ((r, v) for r in guided.routes if (v := r.match("POST", path)) is not None)
        route, values = next(matched)
        await route.run(Visit(house, caller, guided, values, {}, form, True))
        while jobs := [job for job in house.jobs.live.values() if not job.questions]:
            await house.jobs.wait_or_ask(jobs[0])
        await asyncio.sleep(0.05)
        return html(await guided.draw_run(caller.profile, 1))

    return lambda path, **form: run(clicking(path, form))


def card(text, name):
    return text.split(f'id="step-1-{name}"')[1].split("</article>")[0]


def test_an_optional_step_is_skipped_and_what_runs_by_itself_goes_on(click):
    assert "Skip" in card(click("1/word", text="a"), "note")
    text = click("1/-/skip", step="note")
    assert "skipped" in card(text, "note") and "Run it after all" in card(text, "note")
    assert "done" in card(text, "after"), "it runs by itself"


def test_a_step_that_asks_shows_its_question_until_it_is_answered(click):
    click("1/word", text="a")
    asking = card(click("1/asks"), "asks")
    assert "waits for your answer" in asking and "Really?" in asking and "<option" in asking
    answered = card(click("1/-/answer", step="asks", answer="no"), "asks")
    assert "Really?" not in answered and "<p>no</p>" in answered


def test_what_was_to_run_to_its_end_goes_on_when_a_question_on_the_way_is_answered(
    click, plugin, house, run
):
    plugin(CHOOSY + "\n    @choosy.step\n    def last(asks):\n        return asks\n", "choosy")
    guided, profile = house.shelf.pipeline("choosy"), house.profiles.at()

    async def arrived(name, state):
        while guided.open(profile, 1)[1][name].state != state:
            await asyncio.sleep(0.02)

    click("1/-/again")
    run(asyncio.wait_for(arrived("asks", "waiting"), 8))
    assert "Really?" in html(run(guided.draw_run(profile, 1)))
    click("1/-/answer", step="asks", answer="no")
    run(asyncio.wait_for(arrived("last", "done"), 8))


def test_a_run_that_waits_is_not_told_as_whole_while_later_steps_are_stale(click, house):
    for path, form in (("1/word", {"text": "a"}), ("1/asks", {}), ("1/-/answer", {"answer": "no"})):
        click(path, **form)
    click("1/word", text="b")
    click("1/asks")
    listed = house.runs.listing(1)[0]
    assert (listed["state"], listed["done"]) == ("waiting", 1)


def test_an_answer_that_does_not_fit_comes_back_in_its_form_with_the_reason(click, house, run):
    click("1/word", text="a")
    click("1/asks")
    guided, caller = house.shelf.pipeline("choosy"), house.caller("user", confirmed=True)
    form = {"step": "asks", "answer": "perhaps"}
    visit = Visit(house, caller, guided, {"run": "1", "verb": "answer"}, {}, form, True)
    refused = run(guided.tell(visit))
    assert isinstance(refused, Refusal) and refused.target.startswith("#question-")
    drawn = html(refused.elements)
    assert "must be one of" in drawn and 'role="alert"' in drawn and "perhaps" in drawn


def test_an_edited_file_is_told_and_what_came_out_of_gone_steps_stays(click, plugin, house, run):
    click("1/word", text="lost word")
    plugin(CHOOSY.replace("word", "first"), "choosy")
    guided = house.shelf.pipeline("choosy")
    text = html(run(guided.draw_run(house.profiles.at(), 1)))
    assert "word is gone" in text and "first is new" in text and "Still done: nothing" in text
    lost = text.split("step lost")[1]
    assert "lost word" in lost and "/default/choosy/1/word/output.txt" in lost


def test_a_file_that_only_changed_inside_its_steps_is_no_other_pipeline(click, plugin, house, run):
    click("1/word", text="a")
    plugin(CHOOSY.replace("return text", "return text * 2"), "choosy")
    text = html(run(house.shelf.pipeline("choosy").draw_run(house.profiles.at(), 1)))
    assert "The file was changed" not in text and "stale: its code changed" in text


@pytest.mark.parametrize("path", ["9", "x", "-1", "1e3", "٣", "9" * 30])
def test_a_run_that_is_not_there_is_missing(visit, path):
    visit("POST", "")
    with pytest.raises(Missing):
        visit("GET", path)


def test_given_a_view_that_fails_then_the_output_is_shown_without_it(plugin, house, run):
    plugin("""
        from pipulate import Pipeline
        odd = Pipeline("Odd")

        @odd.step
        def one():
            return "the output"

        @one.view
        def draw(output):
            return output.nonsense
    """)
    guided, caller = house.shelf.pipeline("odd"), house.caller("user")
    run(house.tools.call("odd_run", {}, caller))
    text = html(run(guided.draw_run(caller.profile, 1)))
    assert "The view of this step failed (AttributeError" in text and "the output" in text


@pytest.mark.parametrize("drawn", ["output", "(output, output)", "[output]", "Exception(output)"])
def test_given_a_view_that_returns_text_then_markup_in_it_stays_text(plugin, house, run, drawn):
    plugin(f"""
        from pipulate import Pipeline
        odd = Pipeline("Odd")

        @odd.step
        def one():
            return '<div hx-post="/default/call/profile_delete" hx-trigger="load">'

        @one.view
        def draw(output):
            return {drawn}
    """)
    guided, caller = house.shelf.pipeline("odd"), house.caller("user")
    run(house.tools.call("odd_run", {}, caller))
    text = html(run(guided.draw_run(caller.profile, 1)))
    assert "&lt;div hx-post" in text and '<div hx-post="/default/call' not in text


def test_given_a_file_of_another_profile_in_an_output_then_the_run_is_shown_without_its_link(
    plugin, house, run, call
):
    call("profile_add", name="Other")
    path = house.files.folder / "runs" / "theirs.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("a")
    house.files.record(house.profiles.at("other"), path)
    plugin(f"""
        from pipulate import File, Pipeline
        odd = Pipeline("Odd")

        @odd.step
        def one():
            return File({str(path)!r})
    """)
    guided, caller = house.shelf.pipeline("odd"), house.caller("user")
    run(house.tools.call("odd_run", {}, caller))
    text = html(run(guided.draw_run(caller.profile, 1)))
    assert "theirs.csv" in text and "/files/" not in text


TRIP = """
    from pipulate import Pipeline

    trip = Pipeline("Trip", "Two values in one step.")

    @trip.step
    def stay(city: str, nights: int):
        return f"{city} {nights}"
"""


def test_values_given_one_at_a_time_add_up_instead_of_asking_in_circles(plugin, call):
    plugin(TRIP, "trip")
    first = call("trip_run", city="Rome")
    assert first["waiting_for"] == ["nights"]
    again = call("trip_run", run=first["run"], nights=3)
    assert (again["state"], again["output"]) == ("done", "Rome 3")


def test_given_a_broken_save_then_the_version_that_stays_in_the_menu_also_runs(plugin, call):
    plugin(TRIP, "trip")
    broken = plugin(TRIP + "\n    def (", "trip")
    assert broken.problem
    assert call("trip_run", city="Rome", nights=1)["output"] == "Rome 1"


def test_given_a_step_at_work_then_its_run_is_not_finished(plugin, call, house, run, states):
    plugin(TRIP.replace('return f"', 'import time; time.sleep(30); return f"'), "trip")
    caller = house.caller("user")

    async def finish_while_it_works():
        work = asyncio.create_task(
            house.tools.call("trip_run", {"city": "Rome", "nights": 1}, caller)
        )
        while not house.jobs.live:
            await asyncio.sleep(0.01)
        job = next(iter(house.jobs.live.values()))
        try:
            with pytest.raises(Problem, match="at work"):
                await house.tools.call("run_finish", {"run": job.run["id"]}, caller)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    run(finish_while_it_works())


@pytest.mark.parametrize("fault", ['raise KeyError("seed")', "os._exit(7)"])
def test_a_step_that_failed_three_times_in_a_row_folds_its_card_with_the_reason_and_a_retry(
    plugin, house, run, fault
):
    plugin(f"""
        import os
        from pipulate import Pipeline
        odd = Pipeline("Odd")

        @odd.step
        def one(seed: str):
            {fault}
    """)
    guided, caller = house.shelf.pipeline("odd"), house.caller("user")
    for times in range(1, 5):
        with pytest.raises(Problem):
            run(guided.run_on(caller, **({"run": 1} if times > 1 else {"seed": "pip"})))
        text = html(run(guided.draw_run(caller.profile, 1)))
        often = times > 2
        assert (f"failed {times} times in a row" in text) == often
        assert ("KeyError" if "Key" in fault else "7") in text.split('class="problem"')[1], "why"
        assert ">Retry</button>" in text, "it stays in sight"
        folded = text.split("<details>")[1] if "<details>" in text else ""
        assert ('value="pip"' in folded) == often, "what it was given is one click away"
        assert ('<a href="/default/plugins/mine">Edit the plugin</a>' in text) == often


def test_a_step_that_worked_or_was_discarded_in_between_has_not_failed_in_a_row(plugin, house, run):
    plugin("""
        from pipulate import Pipeline
        odd = Pipeline("Odd")

        @odd.step
        def one(number: int):
            return 1 / number
    """)
    guided, caller = house.shelf.pipeline("odd"), house.caller("user")
    for number in (0, 0, 1, 0, 0):
        with contextlib.suppress(Problem):
            known = {"run": 1} if guided.runs.listing(1) else {}
            run(guided.run_on(caller, number=number, **known))
    assert "times in a row" not in html(run(guided.draw_run(caller.profile, 1)))
    guided.runs.discard(1, 1, "one")
    with pytest.raises(Problem):
        run(guided.run_on(caller, run=1))
    assert "times in a row" not in html(run(guided.draw_run(caller.profile, 1)))


def test_a_view_that_failed_three_times_in_a_row_rests_beside_the_output_until_it_is_mended(
    plugin, house, run
):
    text = """
        from pathlib import Path
        from pipulate import Pipeline
        odd = Pipeline("Odd")

        @odd.step
        def one():
            return "the output"

        @one.view
        def draw(output):
            with Path("{path}").open("a") as file:
                file.write("x")
            return output.nonsense
    """
    tries = house.settings.home / "tries"
    plugin(text.replace("{path}", str(tries)))
    caller = house.caller("user")

    def drawn():
        return html(run(house.shelf.pipeline("odd").draw_run(caller.profile, 1)))

    run(house.tools.call("odd_run", {}, caller))
    shown = [drawn() for _ in range(5)][-1]
    assert "The view of this step failed (AttributeError" in shown
    assert "the output" in shown and len(tries.read_text()) == 3
    plugin(text.replace("{path}", str(tries)).replace("output.nonsense", "output.upper()"))
    assert "THE OUTPUT" in drawn(), "a mended file is tried again at once"


FEEDING = """
    from datetime import datetime
    from pipulate import CrudApp, Pipeline, Ref

    class Cow(CrudApp):
        name: str

    feeding = Pipeline("Feeding")

    @feeding.step
    def meal(cow: Ref["cow"], day: datetime, amounts: dict):
        return amounts

    @feeding.step
    def last(meal):
        return meal
"""


def test_what_a_step_was_given_reads_as_a_person_wrote_it(plugin, house, call, run):
    assert plugin(FEEDING).problem is None
    key = call("cow_add", name="Elsa")["id"]
    call("feeding_run", cow=f"#{key}", day="2020-01-31T14:30", amounts={"hay": 2}, to_step="meal")
    feeding = house.shelf.pipeline("feeding")
    profile = house.profiles.at()
    card = html(run(feeding.draw_run(profile, 1)))
    told = 'cow: 1 · day: 2020-01-31 14:30 · amounts: {"hay":2}'
    assert told in card and 'value="#1"' in card
    assert 'value="2020-01-31T14:30"' in card, "the box keeps what it reads itself"
    listed = Visit(house, house.caller("user"), feeding, partial=True)
    assert told in html(run(feeding.page(listed)))
