"""A pipeline that runs on: skipping, asking, going on by itself, feeding another one."""

import asyncio
import time

import pytest

from pipulate.apps.job import AGAIN as DID_NOT
from pipulate.core.problems import Invalid, Missing, NeedsApproval, Problem, Unknown, Waiting

DEMO = """
    import asyncio, time
    from pipulate import Pipeline

    demo = Pipeline("Demo")

    @demo.step
    def rows(n: int = 5):
        for i in range(n):
            yield {"i": i}

    def half(rows):
        return len(rows) // 2

    @demo.step
    def some(rows, keep: int = half):
        return rows[:keep]

    @demo.step(auto=True)
    def total(some):
        return sum(row["i"] for row in some)

    @demo.step(when=lambda total: total > 100, auto=True)
    def many(total):
        return "many"

    @demo.step(optional=True)
    def note(total, word: str):
        return word

    @demo.step(auto=True)
    async def every(some, job):
        async def one(row):
            return row["i"]
        return await job.map(one, some)

    @demo.step
    def last(note, many, every):
        return [note, many, every]
"""
ASKS = """
    from pipulate import Pipeline

    asks = Pipeline("Asks")

    @asks.step
    def sheet(job):
        (job.files / "tried").touch()
        first = job.ask("Which sheet?", ["one", "two"])
        done = job.once("export", lambda: {"id": len(first)})
        return [first, job.ask("How many?", int), done["id"]]

    @asks.step(seconds=0.4)
    def slow(sheet, job):
        return job.ask("Really?", bool)
"""
WIPE = """
    from pipulate import Pipeline

    wipe = Pipeline("Wipe")

    @wipe.step
    def gone(job, profile: str):
        return job.tool("profile_delete", profile=profile)
"""
KEY = """
    from pipulate import Pipeline, Secret

    key = Pipeline("Key")

    @key.step
    def size(job):
        token = job.ask("Which token?", Secret)
        return len(token) if job.ask("Go on?", bool) else 0
"""
TRIES = """
    import time
    from pipulate import Pipeline, Problem

    tries = Pipeline("Tries")

    def count(job):
        path = job.files.parent / "tries"
        path.write_text(path.read_text() + "x" if path.exists() else "x")
        return len(path.read_text())

    @tries.step(retry=2)
    def flaky(job):
        if count(job) < 2:
            raise OSError("no net")
        return "there"

    @tries.step(retry=2)
    def refuses(job):
        raise Problem(f"Not at try {count(job)}.", "Stop.")

    @tries.step(retry=1)
    async def rows(job):
        n = count(job)
        if n < 2:
            raise OSError
        yield {"n": n}

    @tries.step(seconds=0.3)
    def late():
        time.sleep(30)

    @tries.step
    def hungry():
        return len(bytearray(2**45))
"""
FED = """
    from pipulate import Pipeline

    inner = Pipeline("Inner")

    @inner.step
    def word(text: str):
        return text.upper()

    @inner.step
    def table(word, times: int = 2):
        return [{"word": word}] * times

    counts = Pipeline("Counts")

    @counts.step
    def count(rows: list):
        return len(rows)

    outer = Pipeline("Outer")

    @outer.step
    def greet(name: str):
        return f"hi {name}"

    outer.use(inner, {"text": greet})
    both = inner.then(counts, "Both")
"""


@pytest.fixture
def demo(plugin, house):
    assert plugin(DEMO, "demo").problem is None
    return house.shelf.pipeline("demo")


@pytest.fixture
def asks(plugin, house):
    assert plugin(ASKS, "asks").problem is None
    return house.shelf.pipeline("asks")


@pytest.fixture
def states(house):
    def stating(guided, run=1):
        return guided.open(house.profiles.at(), run)[1]

    return stating


@pytest.fixture
def until(run):
    """until(test): wait for something to become true, two seconds at most."""

    def waiting(test):
        async def main():
            end = time.monotonic() + 4
            while not test():
                assert time.monotonic() < end, "it never came"
                await asyncio.sleep(0.01)

        run(main())

    return waiting


# -- running on ------------------------------------------------------------------------------


def test_it_runs_to_its_end_and_skips_what_is_not_meant_or_not_given(demo, call, states):
    told = call("demo_run")
    assert (told["state"], told["step"], told["output"]) == ("done", "last", [None, None, [0, 1]])
    found = {name: state.state for name, state in states(demo).items()}
    assert found["many"] == found["note"] == "skipped" and found["every"] == "done"


def test_a_default_is_computed_from_earlier_outputs_unless_a_value_is_given(demo, call, states):
    call("demo_run", n=8, to_step="some")
    assert len(states(demo)["some"].output) == 4
    call("demo_run", run=1, keep=1, to_step="some")
    assert len(states(demo)["some"].output) == 1


def test_a_condition_is_asked_anew_when_what_it_depends_on_changes(demo, call, states):
    call("demo_run")
    assert call("demo_run", run=1, n=40, keep=40)["output"][1] == "many"
    assert states(demo)["many"].output == "many"


def test_it_stops_at_the_step_named_and_goes_on_later(demo, call):
    told = call("demo_run", to_step="total")
    assert (told["step"], told["output"]) == ("total", 1)
    assert call("demo_run", run=1)["step"] == "last"
    with pytest.raises(Unknown, match="'totl'.*'total'"):
        call("demo_run", to_step="totl")


def test_a_run_begins_with_the_inputs_of_another(demo, call, house):
    call("demo_run", n=3, word="hey")
    assert call("demo_run", from_run=1)["output"][0] == "hey"
    assert house.runs.get(1, 2)["inputs"] == house.runs.get(1, 1)["inputs"]
    with pytest.raises(Missing):
        call("demo_run", from_run=9)


def test_what_is_done_is_run_again_only_when_told(demo, call, house):
    call("demo_run")
    tries = house.runs.attempts.count()
    call("demo_run", run=1)
    assert house.runs.attempts.count() == tries
    call("demo_run", run=1, again=True)
    assert house.runs.attempts.count() > tries


def test_one_name_asked_twice_is_one_value_unless_given_for_one_step_alone(plugin, call):
    plugin(
        """
        from pipulate import Pipeline
        two = Pipeline("Two")

        @two.step
        def a(mark: str):
            return mark

        @two.step
        def b(a, mark: str):
            return a + mark
        """,
        "two",
    )
    assert call("two_run", mark="!")["output"] == "!!"
    assert call("two_run", run=1, **{"b.mark": "?"})["output"] == "!?"


@pytest.mark.parametrize("name", ["run", "to_step", "from_run", "again"])
def test_a_step_cannot_ask_for_a_word_of_the_run_itself(plugin, name):
    text = f"from pipulate import Pipeline\np = Pipeline('P')\n@p.step\ndef a({name}: int): ..."
    assert "word of the run itself" in plugin(text, "p").problem.what


@pytest.mark.parametrize("kind", ["Secret", "Secret | None"])
def test_a_secret_is_no_input_of_a_step_for_runs_keep_show_and_tell_theirs(plugin, kind):
    text = "from pipulate import Pipeline, Secret\np = Pipeline('P')\n@p.step\n"
    assert "a run keeps" in plugin(f"{text}def a(key: {kind} = None): ...", "p").problem.what


# -- by itself -------------------------------------------------------------------------------


def test_on_the_page_only_auto_steps_run_unasked_and_conditions_skip(
    demo, house, run, states, until
):
    caller = house.caller("user")
    demo.new(caller, {})
    run(demo.begin(caller, 1, "rows", {"n": 4}))
    until(lambda: states(demo)["rows"].state == "done")
    assert states(demo)["some"].state == "ready"
    run(demo.begin(caller, 1, "some", {"keep": 2}))
    until(lambda: states(demo)["every"].state == "done")
    until(lambda: states(demo)["many"].state == "skipped")
    found = {name: state.state for name, state in states(demo).items()}
    assert (found["total"], found["many"], found["note"]) == ("done", "skipped", "ready")
    assert found["last"] == "blocked"


def test_a_revised_step_makes_auto_steps_fresh_again(demo, house, run, states, until, call):
    call("demo_run", n=4, keep=2)
    run(demo.begin(house.caller("user"), 1, "some", {"keep": 3}))
    until(lambda: states(demo)["total"].output == 3)
    assert states(demo)["last"].state == "stale" and states(demo)["last"].why == (
        "an earlier step changed"
    )


# -- questions -------------------------------------------------------------------------------


def test_after_an_answer_on_the_page_auto_steps_run_whoever_began_the_run(
    plugin, house, call, states, until
):
    plugin(
        ASKS + "\n    @asks.step(auto=True)\n    def told(sheet):\n        return sheet\n", "asks"
    )
    asks = house.shelf.pipeline("asks")
    assert call("asks_run", actor="mcp")["question"] == "Which sheet?"
    call("run_answer", run=1, answer="one")
    until(lambda: states(asks)["sheet"].question.get("name") == "How many?")
    call("run_answer", run=1, answer="2")
    until(lambda: states(asks)["told"].state == "done")


def test_a_question_waits_for_an_answer_and_the_step_goes_on(asks, call, states, until):
    told = call("asks_run")
    assert (told["state"], told["question"]) == ("waiting", "Which sheet?")
    call("run_answer", run=1, answer="two")
    until(lambda: states(asks)["sheet"].question.get("name") == "How many?")
    call("run_answer", run=1, answer="3")
    until(lambda: states(asks)["sheet"].state == "done")
    assert states(asks)["sheet"].output == ["two", 3, 3]


def test_given_an_answer_that_does_not_fit_then_the_step_waits_on(asks, call, states):
    call("asks_run")
    with pytest.raises(Invalid, match="must be one of: one, two"):
        call("run_answer", run=1, answer="three")
    assert states(asks)["sheet"].state == "waiting"


WHAT = """
    from typing import Annotated
    from pipulate import Between, Pipeline, Secret

    what = Pipeline("What")

    @what.step
    def asked(job):
        return str(job.ask("What?", {kind}))
"""


@pytest.mark.parametrize(
    ("kind", "refused", "answer", "output"),
    [
        ("Annotated[int, Between(1, 5)]", "9", "3", "3"),
        ("Annotated[float, Between(0, 1)] | None", "1.5", "", "None"),
        ("int | None", "many", "7", "7"),
        ("int | None", "1_0", "", "None"),
        ("Secret | None", "a\nb", "", "None"),
        ("Secret | None", "a\nb", "hush", "hush"),
    ],
)
def test_an_answer_out_of_bounds_goes_back_and_one_that_may_be_empty_may_be_left_out(
    plugin, call, kind, refused, answer, output
):
    assert plugin(WHAT.format(kind=kind), "what").problem is None
    call("what_run")
    with pytest.raises(Invalid):
        call("run_answer", run=1, answer=refused)
    call("run_answer", run=1, answer=answer)
    assert call("what_run", run=1)["output"] == output


def test_a_secret_that_may_be_left_out_is_kept_as_one(plugin, call, house):
    plugin(WHAT.format(kind="Secret | None").replace("str(", "len("), "what")
    call("what_run")
    call("run_answer", run=1, answer="hunter2-with-a-tail")
    assert call("what_run", run=1)["output"] == 19
    assert "hunter2" not in str(house.db.all("SELECT * FROM records"))


def test_where_there_is_nothing_to_choose_the_question_says_so(plugin, call):
    plugin(WHAT.format(kind="[]"), "what")
    with pytest.raises(Problem, match=r"There is nothing to choose from: What\?"):
        call("what_run")


def test_given_a_restart_then_the_step_runs_from_its_top_with_the_recorded_answers(
    settings, plugin, house, call, run, open_house, until
):
    plugin(ASKS, "asks")
    call("asks_run")
    call("run_answer", run=1, answer="two")
    until(lambda: house.runs.records("state = 'waiting' AND name = 'How many?'"))
    run(house.close())
    house = open_house()
    guided, caller = house.shelf.pipeline("asks"), house.caller("user")
    state = guided.open(caller.profile, 1)[1]["sheet"]
    assert (state.state, state.question["name"], state.at_work) == ("waiting", "How many?", False)
    run(house.tools.call("run_answer", {"run": 1, "answer": "4"}, caller))
    until(lambda: guided.open(caller.profile, 1)[1]["sheet"].state == "done")
    assert guided.open(caller.profile, 1)[1]["sheet"].output == ["two", 4, 3]


def test_a_secret_that_answers_a_question_is_in_plain_nowhere_but_among_the_secrets(
    house, plugin, call, run, open_house
):
    plugin(KEY, "key")
    call("key_run")
    call("run_answer", run=1, answer="hunter2-with-a-tail")
    told = call("key_run", run=1)
    assert told["question"] == "Go on?"
    tables = [row["name"] for row in house.db.all("SELECT name FROM sqlite_schema")]
    tables = [name for name in tables if name != "secrets" and house.db.columns(name)]
    kept = str([house.db.all(f'SELECT * FROM "{name}"') for name in tables])
    assert "hunter2" not in kept and "Go on?" in kept
    assert "hunter2" not in str([told, call("run_get", run=1), house.events.recent(1)])
    run(house.close())
    house = open_house()
    house.db.execute("UPDATE secrets SET created_utc = '2000-01-01'")
    house.events.prune()
    caller = house.caller("user")
    run(house.tools.call("run_answer", {"run": 1, "answer": "true"}, caller))
    assert run(house.tools.call("key_run", {"run": 1}, caller))["output"] == 19
    steps = run(house.tools.call("run_get", {"run": 1}, caller))["steps"]
    assert steps[0]["answers"] == {"Go on?": True}


def test_what_a_step_may_destroy_is_for_a_person_to_say_and_not_for_a_model(plugin, call, house):
    plugin(WIPE, "wipe")
    call("profile_add", name="Doomed")
    told = call("wipe_run", "shell", profile="doomed", confirmed=True)
    assert "profile_delete" in told["question"] and told["choices"] == ["no", "yes"]
    with pytest.raises(NeedsApproval):
        call("run_answer", "model", run=1, answer="yes")
    assert len(house.profiles.all()) == 2
    call("run_answer", run=1, answer="yes")
    assert call("wipe_run", run=1)["state"] == "done" and len(house.profiles.all()) == 1


def test_while_a_person_is_awaited_no_time_counts(asks, call, run, states, until):
    call("asks_run")
    call("run_answer", run=1, answer="two")
    until(lambda: states(asks)["sheet"].question.get("name") == "How many?")
    call("run_answer", run=1, answer="1")
    until(lambda: states(asks)["sheet"].state == "done")
    assert call("asks_run", run=1)["question"] == "Really?"
    run(asyncio.sleep(0.6))
    call("run_answer", run=1, answer="yes")
    until(lambda: states(asks)["slow"].state == "done")
    assert states(asks)["slow"].output is True


def test_steps_that_wait_keep_no_others_from_working(house, plugin, call, run):
    plugin(ASKS, "asks")
    plugin(DEMO, "demo")
    for _ in range(6):
        assert call("asks_run")["state"] == "waiting"
    assert call("demo_run")["state"] == "done"


def test_an_answer_that_comes_while_its_step_is_cancelled_is_no_fault(asks, call, house, run):
    call("asks_run")
    asked = house.runs.question(1, 1)

    async def both():
        job = house.jobs.cancel(1, "sheet")
        await asyncio.sleep(0)
        house.jobs.keep_answer(asked, "two")
        house.jobs.wake(asked)
        await house.jobs.wait(job)

    run(both())
    assert not house.jobs.live


def test_steps_that_are_cancelled_while_they_wait_keep_no_others_from_working(
    house, plugin, call, run
):
    plugin(ASKS, "asks")
    plugin(DEMO, "demo")
    for _ in range(6):
        told = call("asks_run")
        run(house.jobs.wait(house.jobs.cancel(told["run"], "sheet")))
    caller = house.caller("user")
    told = run(asyncio.wait_for(house.tools.call("demo_run", {}, caller), 10))
    assert told["state"] == "done"


def test_given_a_step_that_waits_then_it_can_be_cancelled_and_its_question_is_gone(
    asks, call, house, run, states
):
    call("asks_run")
    run(house.jobs.wait(house.jobs.cancel(1, "sheet")))
    assert states(asks)["sheet"].state == "cancelled"
    with pytest.raises(Missing, match="asks nothing"):
        call("run_answer", run=1, answer="two")


def test_a_second_click_on_an_answer_is_none_to_the_next_question(asks, call, states, until):
    first = call("asks_run")["question"]
    call("run_answer", run=1, answer="two", question=first)
    until(lambda: states(asks)["sheet"].question.get("name") == "How many?")
    with pytest.raises(Missing, match="asks that no more"):
        call("run_answer", run=1, answer="two", question=first)
    assert states(asks)["sheet"].question["name"] == "How many?"


def test_of_two_questions_at_once_each_gets_its_own_answer(plugin, house, call, until):
    plugin(
        """
        import asyncio
        from pipulate import Pipeline

        both = Pipeline("Both")

        @both.step
        async def names(job):
            return await asyncio.gather(job.ask("First?"), job.ask("Last?"))
        """
    )
    told, guided = call("both_run"), house.shelf.pipeline("both")
    until(lambda: len(house.runs.records("state = 'waiting'")) == 2)
    shown = guided.open(house.profiles.at(), 1)[1]["names"].question["name"]
    assert house.runs.question(1, 1)["name"] == shown == told["question"]
    for said in ("Last?", "First?"):
        call("run_answer", run=1, answer=f"to {said}", question=said)
    until(lambda: house.runs.attempts("state = 'done'"))
    assert call("run_output", run=1, step="names") == ["to First?", "to Last?"]


def test_a_question_is_not_discarded_under_a_step_that_waits_for_its_answer(asks, call, states):
    call("asks_run")
    with pytest.raises(Problem, match="sheet is at work"):
        call("run_discard", run=1, step="sheet")
    assert states(asks)["sheet"].question["name"] == "Which sheet?"


def test_a_program_that_answers_shows_the_user_the_question_it_answers(plugin, house, call):
    plugin(ASKS.replace('Pipeline("Asks")', 'Pipeline("Asks", outside=True)'), "asks")
    call("asks_run", confirmed=True)
    with pytest.raises(NeedsApproval) as held:
        call("run_answer", "mcp", run=1, answer="two")
    shown = house.tools.approval(held.value.details["approval"], house.profiles.at())["shown"]
    assert '"question":"Which sheet?"' in shown and '"step":"sheet"' in shown


# -- faults ----------------------------------------------------------------------------------


@pytest.fixture
def tried(plugin, house, run, monkeypatch):
    """tried(step): its state after it was run."""
    plugin(TRIES, "tries")
    guided, caller = house.shelf.pipeline("tries"), house.caller("user")
    guided.new(caller, {})

    def trying(step):
        async def main():
            await house.jobs.wait(await guided.begin(caller, 1, step, {}))

        run(main())
        return guided.open(caller.profile, 1)[1][step]

    return trying


@pytest.mark.parametrize(("step", "output"), [("flaky", "there"), ("rows", [{"n": 2}])])
def test_a_step_that_says_so_is_tried_again(tried, step, output):
    state = tried(step)
    assert state.output == output and "try 1 failed: OSError" in state.attempt["log"]


def test_a_problem_is_meant_and_never_tried_again(tried):
    assert tried("refuses").error["problem"] == "Not at try 1."


def test_a_step_past_its_time_limit_is_stopped(tried):
    assert tried("late").error["problem"] == "The step took over 0.3 s and was stopped."


def test_a_step_that_wants_all_memory_fails_alone(tried):
    state = tried("hungry")
    assert state.state == "failed" and "MemoryError" in state.error["problem"]
    assert tried("late").state == "failed"


# -- pipelines of pipelines ------------------------------------------------------------------


@pytest.fixture
def feeding(plugin):
    assert plugin(FED, "fed").problem is None


def test_a_pipeline_is_a_step_of_another_and_runs_as_a_run_of_its_own(feeding, call, house):
    told = call("outer_run", name="ann", times=3)
    assert told["output"] == [{"word": "HI ANN"}] * 3
    inner, outer = house.runs.listing(1)
    assert (inner["pipeline"], inner["parent"]) == ("inner", f"{outer['id']}/inner")


def test_one_pipeline_then_the_other_is_a_third(feeding, house, run):
    values = {"text": "a", "times": 4}
    assert run(house.tools.call("both_run", values, house.caller("user")))["output"] == 4


def test_a_pipeline_that_waits_inside_another_says_where_to_go_on(plugin, call):
    plugin(ASKS + "\n    outer = Pipeline('Outer')\n    outer.use(asks)\n", "asks")
    with pytest.raises(Problem, match="Run 2 of asks waits for Which sheet") as told:
        call("outer_run")
    assert "/default/asks/2" in told.value.next_step


def test_of_a_pipeline_that_waits_inside_another_the_question_ended_with_two_marks(plugin, call):
    asks = """
        from pipulate import Pipeline
        tea = Pipeline("Tea")

        @tea.step
        def made(job):
            return job.ask("Colour of tea?")

        outer = Pipeline("Outer")
        outer.use(tea)
        """
    plugin(asks, "tea")
    with pytest.raises(Problem, match=r"Run 2 of tea waits for Colour of tea\. Go on there"):
        call("outer_run")


NESTED = """
    from pathlib import Path
    from pipulate import File, Pipeline

    world = Path(__file__).with_suffix(".world")

    def did(letter):
        world.open("a").write(letter)
        return letter

    inner = Pipeline("Inner")

    @inner.step
    def paid(file: File, job):
        return job.once("pay", lambda: did("p")) + file.path.read_text()

    @inner.step
    def worked(paid):
        did("w")
        if world.read_text().count("w") == 1:
            raise OSError("broken off")
        return paid

    outer = Pipeline("Outer")

    @outer.step
    def rows(name: str):
        return [{"name": name}]

    outer.use(inner, {"file": rows})
"""


@pytest.fixture
def broken_off(plugin, call):
    """A step that uses another pipeline, which failed in there; gives what was done outside."""
    path = plugin(NESTED, "nested").path
    with pytest.raises(Problem, match="broken off"):
        call("outer_run", name="ann")
    return path.with_suffix(".world").read_text


def test_a_step_that_broke_off_inside_another_pipeline_goes_on_in_the_same_run_and_pays_once(
    broken_off, call, house
):
    assert "ann" in call("outer_run", run=1)["output"]
    assert broken_off() == "pww"
    assert [row["state"] for row in house.runs.listing(1)] == ["done", "done"]


def test_a_step_that_uses_another_pipeline_runs_all_of_it_again_when_told_and_pays_once(
    broken_off, call, house
):
    call("outer_run", run=1)
    assert "ann" in call("outer_run", run=1, again=True)["output"]
    assert broken_off() == "pwww"
    assert len(house.runs.listing(1, "inner")) == 1


def test_with_other_values_or_a_locked_one_the_pipeline_inside_begins_a_new_run(
    broken_off, call, house
):
    call("outer_run", run=1)
    assert "bob" in call("outer_run", run=1, name="bob")["output"]
    call("run_finish", run=house.runs.listing(1, "inner")[0]["id"])
    call("outer_run", run=1, again=True)
    assert broken_off().count("p") == 3 == len(house.runs.listing(1, "inner"))


TWICE = """
    from pipulate import Pipeline

    inner = Pipeline("Inner")

    @inner.step
    def count(n: int = 1):
        return n

    outer = Pipeline("Outer")

    @outer.step
    def counts(job):
        return [job.run("inner", {}), job.run("inner", {"n": 2})]
"""


def test_a_step_that_runs_a_pipeline_twice_takes_up_each_run_with_its_own_values(
    plugin, call, house
):
    assert plugin(TWICE, "twice").problem is None
    assert call("outer_run")["output"] == [1, 2]
    assert call("outer_run", run=1, again=True)["output"] == [1, 2]
    assert call("outer_run")["output"] == [1, 2]
    assert len(house.runs.listing(1)) == 2 + 4


def test_a_pipeline_that_asked_inside_another_is_done_once_it_was_answered_there(plugin, call):
    plugin(ASKS + "\n    outer = Pipeline('Outer')\n    outer.use(asks)\n", "asks")
    with pytest.raises(Problem, match="Run 2 of asks waits for Which sheet"):
        call("outer_run")
    for answer in ("one", "3", "yes"):
        call("run_answer", run=2, answer=answer)
        call("asks_run", run=2)
    assert call("outer_run", run=1)["output"] is True


def test_pipelines_inside_pipelines_never_take_all_places_for_themselves(feeding, house, run):
    async def main():
        caller = house.caller("user")
        calls = (house.tools.call("outer_run", {"name": str(n)}, caller) for n in range(8))
        return await asyncio.wait_for(asyncio.gather(*calls), 20)

    assert len(run(main())) == 8


def test_an_imported_pipeline_belongs_to_its_own_file(plugin, house):
    text = "from pipulate import Pipeline\nfrom pipulate.plugins.hello import hello\n"
    found = plugin(text + "more = Pipeline('More')\nmore.use(hello)\n", "more")
    assert found.problem is None and [*found.pipelines] == ["more"]


# -- resuming --------------------------------------------------------------------------------


def test_resume_needs_the_inputs_to_be_there(demo, call, run):
    call("demo_run", to_step="total")
    with pytest.raises(Waiting, match="note needs word"):
        call("run_resume", run=1, step="note")


AGAIN = """
    from pipulate import Pipeline

    again = Pipeline("Again")

    @again.step
    def work(job):
        world = job.files.parent / "world"
        def one(n):
            world.open("a").write("m")
            return n
        job.map(one, range(3))
        name = job.ask("Which?")
        job.once("paid", lambda: world.open("a").write("p"))
        return [name, world.read_text()]
"""


def test_a_done_step_that_is_run_again_asks_and_maps_anew_but_pays_once(
    plugin, house, call, run, until
):
    plugin(AGAIN, "again")
    guided = house.shelf.pipeline("again")

    def output():
        state = guided.open(house.profiles.at(), 1)[1]["work"]
        return state.output if state.state == "done" else None

    call("again_run")
    call("run_answer", run=1, answer="ann")
    until(output)
    assert output() == ["ann", "mmmp"]
    assert not [*(house.runs.files / "runs/1").glob(".work-*")]
    call("run_resume", run=1, step="work")
    until(lambda: house.runs.records("state = 'waiting'"))
    call("run_answer", run=1, answer="bob")
    until(lambda: (output() or [""])[0] == "bob")
    assert sorted(output()[1]) == list("mmmmmmp")


def test_a_stopped_step_goes_on_with_its_rows_or_begins_anew_without(plugin, house, call, until):
    plugin(AGAIN, "again")
    call("again_run")
    for fresh, mapped in ((False, "mmm"), (True, "mmmmmm")):
        house.jobs.cancel(1, "work")
        until(lambda: not house.jobs.live)
        call("run_resume", run=1, step="work", fresh=fresh)
        until(lambda: house.runs.records("state = 'waiting'"))
        assert (house.runs.files / "runs/1/world").read_text() == mapped


def test_a_question_for_a_file_is_answered_by_its_path_and_gives_a_file(
    plugin, house, call, until, tmp_path
):
    plugin(
        """
        from pipulate import File, Pipeline
        reads = Pipeline("Reads")

        @reads.step
        def text(job):
            return job.ask("Which file?", File).path.read_text()
        """,
        "reads",
    )
    (tmp_path / "a.txt").write_text("found")
    call("reads_run")
    with pytest.raises(Problem, match="There is no file"):
        call("run_answer", run=1, answer=str(tmp_path / "b.txt"))
    call("run_answer", run=1, answer=str(tmp_path / "a.txt"))
    state = lambda: house.shelf.pipeline("reads").open(house.profiles.at(), 1)[1]["text"]  # noqa: E731
    until(lambda: state().state == "done")
    assert state().output == "found"


def test_given_a_file_with_a_fault_then_what_runs_is_said_to_be_the_last_good_version(plugin, call):
    good = "from pipulate import Pipeline\np = Pipeline('P')\n@p.step\ndef a(job): return 1\n"
    assert plugin(good, "p").problem is None
    plugin(good + "def b(:", "p")
    assert "line 5: SyntaxError" in call("p_run")["note"]


def test_a_value_that_a_later_step_refuses_is_not_said_to_be_unsaved(plugin, call, house):
    plugin("""
        from typing import Annotated
        from pipulate import Choices, Pipeline
        pick = Pipeline("Pick")

        @pick.step
        def names(words: str):
            return words.split()

        def offered(names):
            return names

        @pick.step
        def chosen(names, name: Annotated[str, Choices(offered)]):
            return name
    """)
    with pytest.raises(Invalid) as refused:
        call("pick_run", words="a b", name="c")
    assert "Run 1 was begun" in refused.value.next_step and "nothing" not in str(refused.value)
    assert house.runs.listing(1)[0]["inputs"] == '{"words":"a b","name":"c"}'
    assert call("pick_run", run=1, name="b")["output"] == "b"


def test_a_choice_whose_file_is_given_is_not_told_as_taken(plugin, call, tmp_path):
    plugin("""
        from typing import Annotated
        from pipulate import Choices, File, Pipeline
        pair = Pipeline("Pair")

        @pair.step
        def known():
            return ["old", "new"]

        def offered(known):
            return known

        @pair.step
        def read(known, *, one: Annotated[str, Choices(offered)], one_file: File | None = None):
            return one_file.name if one_file else one
    """)
    assert call("pair_run")["note"] == "read took one=old."
    (tmp_path / "a.csv").write_text("a")
    told = call("pair_run", one_file=str(tmp_path / "a.csv"))
    assert told["output"] == "a.csv" and "note" not in told


# -- never twice by accident -----------------------------------------------------------------


def test_a_step_that_ends_after_a_yes_while_its_run_is_taken_up_does_not_run_a_second_time(
    plugin, call, house, monkeypatch
):
    plugin(WIPE, "wipe")
    call("profile_add", name="Doomed")
    call("wipe_run", "shell", profile="doomed", confirmed=True)
    call("run_answer", run=1, answer="yes")
    guided = house.shelf.pipeline("wipe")
    fields = guided.fields

    async def slow(*about):  # the run was looked at, and what to do is not decided yet
        while house.jobs.live:
            await asyncio.sleep(0.01)
        return await fields(*about)

    monkeypatch.setattr(guided, "fields", slow)
    assert call("wipe_run", run=1)["state"] == "done"
    assert house.runs.attempts.count() == 1


def test_an_answer_that_comes_the_moment_it_is_asked_for_is_not_lost(
    asks, call, house, run, states, monkeypatch
):
    ask = house.runs.ask

    def answered(*about):
        record = ask(*about)  # from here on it is seen, and may be answered
        answer = house.tools.call("run_answer", {"run": 1, "answer": "two"}, house.caller("user"))
        asyncio.run_coroutine_threadsafe(answer, loop).result(5)
        monkeypatch.setattr(house.runs, "ask", ask)
        return record

    async def main():
        nonlocal loop
        loop = asyncio.get_running_loop()
        return await house.tools.call("asks_run", {}, house.caller("user"))

    loop = None
    monkeypatch.setattr(house.runs, "ask", answered)
    assert run(asyncio.wait_for(main(), 10))["question"] == "How many?"


def test_a_question_is_asked_on_the_page_though_the_file_was_saved_anew_meanwhile(
    asks, call, states, plugin, house
):
    call("asks_run")
    plugin(ASKS.replace('"export"', '"an export"'), "asks")
    guided = house.shelf.pipeline("asks")
    assert states(guided)["sheet"].question.get("name") == "Which sheet?"
    assert call("asks_run", run=1)["question"] == "Which sheet?"


def test_a_step_that_is_left_out_asks_no_more(asks, call, house, run, open_house):
    call("asks_run")
    run(house.close())
    house = open_house()
    caller = house.caller("user")
    run(house.tools.call("run_skip", {"run": 1, "step": "sheet"}, caller))
    assert house.runs.inbox() == [] and house.runs.listing(1)[0]["state"] == "open"


def test_a_question_of_before_a_restart_waits_no_more_once_an_earlier_step_is_another(
    plugin, call, house, run, open_house
):
    plugin("""
        from pipulate import Pipeline

        picks = Pipeline("Picks")

        @picks.step
        def first(n: int = 1):
            return n

        @picks.step
        def sheet(first, job):
            return job.ask("Which sheet?")
    """)
    assert call("picks_run")["question"] == "Which sheet?"
    run(house.close())
    house = open_house()
    assert [row["kind"] for row in house.runs.inbox()] == ["question"]
    caller, again = house.caller("user"), {"run": 1, "n": 2, "to_step": "first"}
    run(house.tools.call("picks_run", again, caller))
    assert house.runs.inbox() == [] and house.runs.listing(1)[0]["state"] == "open"


RETRIED = """
    from pipulate import Pipeline

    retried = Pipeline("Retried")

    @retried.step(retry=2)
    def paid(job):
        world = job.files.parent / "world"
        job.once("export", lambda: world.open("a").write("p"))
        if not job.checkpoint_data:
            job.checkpoint("paid")
            raise OSError("no net")
        return world.read_text()
"""


def test_what_is_done_once_or_kept_is_not_lost_when_its_step_is_tried_again(plugin, call):
    plugin(RETRIED, "retried")
    assert call("retried_run")["output"] == "p"


BREAKS = """
    import os
    from pipulate import Pipeline

    breaks = Pipeline("Breaks")

    @breaks.step
    def paid(job):
        world = job.files.parent / "world"
        def export():
            with world.open("a") as file:
                file.write("p")
            os._exit(1)
        job.once("export", export)
"""


def test_who_said_that_it_did_not_happen_is_asked_again_when_it_is_lost_again(plugin, call, house):
    plugin(BREAKS, "breaks")
    with pytest.raises(Problem, match="ended without an answer"):
        call("breaks_run")
    assert "was begun" in call("breaks_run", run=1)["question"]
    call("run_answer", run=1, answer=DID_NOT)
    with pytest.raises(Problem, match="ended without an answer"):
        call("breaks_run", run=1)
    assert "was begun" in call("breaks_run", run=1)["question"]
    assert (house.runs.files / "runs/1/world").read_text() == "pp"


def test_a_step_that_fails_after_its_answer_while_its_run_is_taken_up_is_not_tried_again(
    plugin, call, house, monkeypatch
):
    pause = '__import__("time").sleep(0.5) or '  # else it may have failed before it is taken up
    plugin(ASKS.replace('job.once("export"', f'{pause}job.nonsense("export"'), "asks")
    call("asks_run")
    call("run_answer", run=1, answer="two")
    guided = house.shelf.pipeline("asks")

    async def slow(*about):
        while house.jobs.live:
            await asyncio.sleep(0.01)
        return True

    monkeypatch.setattr(guided, "meant", slow)
    with pytest.raises(Problem, match="nonsense"):
        call("asks_run", run=1)
    assert house.runs.attempts.count() == 1


MENDED = """
    from pipulate import Pipeline

    mended = Pipeline("Mended")

    @mended.step
    def paid(job, size: int = 1):
        world = job.files.parent / "world"
        key = job.once("export", lambda: world.open("a").write("p" * size))
        return [key, world.read_text(), {}["wrong"]]
"""


def test_what_was_paid_is_not_paid_again_when_the_file_is_mended_but_is_for_other_inputs(
    plugin, call
):
    plugin(MENDED, "mended")
    with pytest.raises(Problem, match="KeyError"):
        call("mended_run")
    plugin(MENDED.replace('{}["wrong"]', '"right"'), "mended")
    assert call("mended_run", run=1)["output"] == [1, "p", "right"]
    assert call("mended_run", run=1, size=2)["output"] == [2, "ppp", "right"]


def test_what_was_paid_in_a_home_of_an_older_version_is_not_paid_again_after_an_update(
    plugin, call, house
):
    plugin(MENDED, "mended")
    with pytest.raises(Problem, match="KeyError"):
        call("mended_run")
    # there it lay under the key of the try, which counts the source, too
    tried = "(SELECT key FROM attempts WHERE step = 'paid')"
    house.db.execute(f"UPDATE records SET key = {tried} WHERE kind = 'effect'")
    plugin(MENDED.replace('{}["wrong"]', '"right"'), "mended")
    assert call("mended_run", run=1)["output"] == [1, "p", "right"]
    assert call("mended_run", run=1, size=2)["output"] == [2, "ppp", "right"]
    house.db.execute("UPDATE records SET state = 'intent' WHERE kind = 'effect'")
    assert call("mended_run", run=1, size=1, again=True)["question"], "nobody knows of it any more"


def test_after_a_no_it_is_asked_anew_though_the_step_has_not_ended_yet(
    plugin, call, house, monkeypatch
):
    plugin(WIPE, "wipe")
    call("profile_add", name="Doomed")
    about = {"actor": "shell", "confirmed": True}
    call("wipe_run", profile="doomed", **about)
    call("run_answer", run=1, answer="no")
    assert house.jobs.live
    assert "Go on?" in call("wipe_run", run=1, **about)["question"]
