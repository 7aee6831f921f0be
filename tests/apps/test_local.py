"""Steps in this process: `pipeline.run(…)` gives what a run gives, wherever it is called."""

import asyncio
import io
import signal
import threading
import time
from typing import Annotated

import pytest

from pipulate import BarChart, Choices, File, Pipeline, Secret
from pipulate.apps import local
from pipulate.apps.local import Bar, Ran, aside
from pipulate.core.outputs import Rows
from pipulate.core.problems import Invalid, Problem
from pipulate.plugins.hello import hello

loud = Pipeline("Loud", "Words, louder.")


@loud.step
def word(text: str):
    return text.upper(), "!"


@loud.step
async def rows(word, job, times: int = 2):
    async def one(n):
        return {"n": n, "word": word[0]}

    return await job.map(one, range(times))


@loud.step
async def stream(rows):
    for row in rows:
        yield row | {"more": row["n"] + 1}


@loud.step
def chosen(stream, n: Annotated[int, Choices(lambda stream: [row["n"] for row in stream])]):
    return n


@loud.step(optional=True)
def signed(chosen, name: str):
    return name


@loud.step(when=lambda word: word[0] == "SAY IT")
def said(word, signed):
    return f"{word[0]} {signed}"


@pytest.fixture
def answers(monkeypatch):
    """answers(*texts): what is typed at the questions, which are in the list that is returned."""

    def giving(*texts):
        asked, left = [], list(texts)

        def read(question):
            asked.append(question)
            if not left:
                raise EOFError
            return left.pop(0)

        monkeypatch.setattr("builtins.input", read)
        return asked

    return giving


def test_every_kind_of_step_runs_in_turn_and_gives_what_a_run_would_keep():
    ran = loud.run(text="hey")
    assert ran["word"] == ["HEY", "!"], "as JSON has it"
    assert ran["rows"] == [{"n": 0, "word": "HEY"}, {"n": 1, "word": "HEY"}]
    assert ran["stream"][1] == {"n": 1, "word": "HEY", "more": 2}
    assert ran["chosen"] == 0, "the first choice"
    assert ran["signed"] is None and ran["said"] is None and ran.output is None
    assert loud.run(text="say it", name="Ada", n=1).output == "SAY IT Ada"


def test_a_run_here_gives_the_same_as_a_run_of_the_engine(call):
    kept = call("hello_run", name="Ada", mark=".")
    ran = hello.run(name="Ada", mark=".")
    assert ran.output == kept["output"] == 11
    outputs = {name: call("run_output", run=kept["run"], step=name) for name in ran}
    assert outputs == ran


def test_it_runs_inside_of_a_running_event_loop():
    async def cell():
        return loud.run(text="hey", times=3), hello.run(name="Ada").output

    ran, letters = asyncio.run(cell())
    assert len(ran["stream"]) == 3 and letters == 11


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Loud needs text"),
        ({"texte": "x"}, "asks for no texte. Did you mean 'text'"),
        ({"text": "x", "times": "3"}, "Times needs a whole number"),
        ({"text": "x", "n": 7}, "N must be one of: 0, 1"),
    ],
)
def test_what_does_not_fit_is_named(given, says):
    with pytest.raises(Invalid) as raised:
        loud.run(**given)
    assert says in str(raised.value)


def test_a_value_for_one_step_alone_is_given_by_its_whole_name():
    assert hello.run(**{"person.name": "Ada"})["person"] == "Ada"


def test_what_is_missing_is_said_before_anything_runs():
    both, done = Pipeline("Both"), []

    @both.step
    def first():
        done.append(1)

    @both.step
    def second(first, a: int, b: int, c: int = 1):
        return a + b

    with pytest.raises(Invalid, match="needs a, b"):
        both.run()
    assert done == []


def test_a_step_that_fails_raises_what_it_raised():
    bad = Pipeline("Bad")

    @bad.step
    def divide():
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        bad.run()


def test_a_single_step_takes_outputs_and_inputs_by_name():
    greeting = hello.steps["greeting"]
    assert greeting.run(person="Ada", mark=".") == "Hello, Ada."
    with pytest.raises(Invalid, match="needs person"):
        greeting.run(mark=".")


def test_a_file_is_given_by_its_path_and_what_a_step_writes_stays(tmp_path):
    files = Pipeline("Files")

    @files.step
    def copy(source: File, job):
        (job.files / "copy.txt").write_text(source.path.read_text())
        return File(job.files / "copy.txt")

    (tmp_path / "a.txt").write_text("kept")
    assert files.run(source=str(tmp_path / "a.txt")).output.path.read_text() == "kept"


def test_a_folder_that_nothing_was_written_to_does_not_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(local.tempfile, "tempdir", str(tmp_path))
    loud.run(text="x")
    assert [*tmp_path.iterdir()] == []


def test_many_rows_are_kept_in_a_file_and_handed_on_from_there(monkeypatch):
    monkeypatch.setattr("pipulate.apps.job.INLINE", 100)
    ran = loud.run(text="x", times=50)
    assert isinstance(ran["stream"], Rows) and len(ran["stream"]) == 50
    assert ran["chosen"] == 0 and "50 rows" in ran._repr_html_()


def test_a_pipeline_of_pipelines_runs_here_too():
    short = Pipeline("Short")

    @short.step
    def start(letters: str):
        return letters[:2]

    both = short.then(hello, "Short hello")
    assert both.run(letters="Adam")["hello"] == len("Hello, Ad!")


# -- job ----------------------------------------------------------------------------------------


def asking(text, answer=str):
    pipeline = Pipeline("Asking")

    @pipeline.step
    def ask(job):
        return job.ask(text, answer)

    @pipeline.step
    async def again(ask, job):
        return await job.ask("Sure?", [True, False]) and ask

    return pipeline


def test_a_question_is_asked_on_the_spot_until_the_answer_fits(answers, capsys):
    asked = answers("c", "b", "True")
    assert asking("Which sheet?", ["a", "b"]).run().output == "b"
    assert asked == ["Which sheet? (a, b) "] * 2 + ["Sure? (True, False) "]
    assert "must be one of: a, b" in capsys.readouterr().out


def test_an_answer_has_the_type_that_was_asked_for(answers):
    answers("12", "True")
    assert asking("How many?", int).run()["ask"] == 12


def test_a_secret_that_a_step_asks_for_in_a_notebook_was_shown_while_it_was_typed(
    answers, monkeypatch
):
    asked = answers("True")
    monkeypatch.setattr("getpass.getpass", lambda question: "hunter2")
    assert asking("Which key?", Secret).run()["ask"] == "hunter2"
    assert asked == ["Sure? (True, False) "]


def test_a_question_that_nobody_is_there_to_answer_is_a_problem(answers):
    answers()
    with pytest.raises(Problem, match="Nobody is here to answer: Which"):
        asking("Which sheet?").run()


@pytest.mark.parametrize("need", ["tool", "model"])
def test_tools_and_the_model_need_a_home(need):
    pipeline = Pipeline("Needs")

    @pipeline.step
    def needs(job):
        return getattr(job, need)("task_add")

    with pytest.raises(Problem, match="needs tools or a model.*Run it in a home"):
        pipeline.run()


def test_what_a_step_kept_before_it_failed_is_there_when_it_runs_again():
    paid, pipeline = [], Pipeline("Paid")

    @pipeline.step
    def export(job, name: str):
        before = job.checkpoint_data
        number = job.once("create export", lambda: paid.append(name) or len(paid))
        job.checkpoint({"number": number})
        if before is None:
            raise Problem("The line went dead.")
        return [number, before]

    for name in ("a", "b"):
        with pytest.raises(Problem, match="dead"):
            pipeline.run(name=name)
    assert pipeline.run(name="a").output == [1, {"number": 1}] and paid == ["a", "b"]
    with pytest.raises(Problem, match="dead"):
        pipeline.run(name="a")
    assert paid == ["a", "b", "a"], "what ended well is forgotten: the next run is a new one"


def test_what_a_step_kept_for_one_output_of_an_earlier_step_is_not_taken_for_another():
    pipeline, seen = Pipeline("Two"), []

    @pipeline.step
    def first(job, name: str):
        path = job.files / "a.txt"
        path.write_text(name)
        return {"name": name, "file": File(path)}

    @pipeline.step
    def second(first, job):
        seen.append(job.checkpoint_data)
        job.checkpoint(str(first["name"]))
        raise Problem("The line went dead.")

    for name in ("a", "b", "b"):
        with pytest.raises(Problem, match="dead"):
            pipeline.run(name=name)
    assert seen == [None, None, "b"]
    with pytest.raises(Problem, match="dead"):
        pipeline.steps["second"].run(first={"name": object()})


def test_what_a_step_kept_for_many_rows_is_not_taken_for_as_many_others(tmp_path):
    seen, many = [], Pipeline("Many")

    @many.step
    def lines():
        """Given."""

    @many.step
    def work(lines, job):
        seen.append(job.checkpoint_data)
        job.checkpoint(next(iter(lines)))
        raise ZeroDivisionError

    for n, word in enumerate(("old", "old", "new")):
        path = tmp_path / f"pipulate-{n}/rows.jsonl"
        path.parent.mkdir()
        path.write_text(f'{{"word": "{word}"}}\n')
        with pytest.raises(ZeroDivisionError):
            work.run(lines=Rows(path, 1))
    assert seen == [None, {"word": "old"}, None]


def test_an_effect_whose_end_was_lost_is_not_repeated_without_asking(answers):
    done, pipeline = [], Pipeline("Lost")

    @pipeline.step
    def effect(job):
        def work():
            done.append(1)
            if len(done) == 1:
                raise KeyboardInterrupt

        return job.once("send", work)

    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    asked = answers("It happened: go on")
    pipeline.run()
    assert done == [1] and "“send” was begun" in asked[0]


def test_interrupt_stops_the_step_that_works_aside():
    begun, ended = threading.Event(), threading.Event()

    def work():
        try:
            begun.set()
            while True:
                time.sleep(0.01)
        finally:
            ended.set()

    def interrupt():
        begun.wait(5)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    async def cell():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as a notebook's kernel does
        threading.Thread(target=interrupt).start()
        aside(work)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    assert ended.wait(5)


# -- what is seen -------------------------------------------------------------------------------


def test_it_draws_itself_as_the_page_does_and_all_text_stays_text():
    pipeline = Pipeline("Drawn")

    @pipeline.step
    def text(raw: str):
        return raw

    @pipeline.step
    def table(text):
        return [{"name": text}]

    @pipeline.step
    def chart(table):
        return 3

    @chart.view
    def draw(output):
        return "<i>", BarChart([("<b>", output)], "Chart")

    @pipeline.step
    def broken(chart):
        return "safe"

    @broken.view
    def fails(output):
        return 1 / 0

    drawn = pipeline.run(raw="<script>")._repr_html_()
    assert drawn.count("<h4>") == 4 and "<table" in drawn and "<svg" in drawn
    assert "<script>" not in drawn and "&lt;script&gt;" in drawn
    assert "<i>" not in drawn and "<b>" not in drawn
    assert "ZeroDivisionError" in drawn and "safe" in drawn
    assert "href" not in drawn, "nothing answers in a notebook"


def test_as_text_it_is_short():
    ran = Ran(loud, {"word": "x" * 1_000, "rows": [*range(1_000)]})
    assert repr(ran).startswith("<Loud word: 'xxx") and len(repr(ran)) < 120
    assert hello.show(letters=11).output == 11 and repr(hello.show(letters=11)) == (
        "<Hello letters: 11>"
    )


def test_a_bar_is_one_line_that_is_written_over_and_nothing_in_it_acts():
    screen = io.StringIO()
    bar = Bar(screen, shown=True)
    bar.show("read", 1, 4, "at \x1b[2Jrow\n1")
    bar.show("read", 4, 4)
    bar.show("write")
    bar.end("done")
    first, second, third, fourth = screen.getvalue().split("\r")[1:]
    assert first.startswith("read [#####---------------] 1 of 4 · at  [2Jrow 1")
    assert second == "read [####################] 4 of 4\x1b[K\n"
    assert third == "write [--------------------]\x1b[K" and fourth == "write: done\x1b[K\n"


def test_a_bar_says_how_long_it_takes_still(monkeypatch):
    screen = io.StringIO()
    bar = Bar(screen, shown=True)
    clock = iter([100.0, 105.0])
    monkeypatch.setattr(local.time, "monotonic", lambda: next(clock))
    bar.show("read")
    bar.show("read", 2, 10)
    bar.show("read", 4, 10)
    assert "about 15 s left" in screen.getvalue()


def test_progress_is_quiet_where_there_is_no_screen(capsys):
    assert hello.run(name="Ada").output == 11
    assert capsys.readouterr() == ("", "")
