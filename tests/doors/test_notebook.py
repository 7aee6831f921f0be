"""`pipulate notebook`: a file that plain Jupyter runs from top to bottom, with the same results."""

import json
import warnings

import pytest

from pipulate.core.problems import Unknown
from pipulate.doors.filter import find
from pipulate.doors.notebook import notebook_of
from pipulate.doors.runs import notebook as write

PLUGIN = """\
import csv
from datetime import date
from decimal import Decimal
from typing import Annotated

from pipulate import Between, Choices, DataTable, Email, File, Pipeline, Url

table = Pipeline("Table", "Reads a table.")


@table.step
def lines(csv: File, since: date = date(2026, 1, 2), price: Decimal = Decimal("0.10")):
    '''Which file?

    One line, then another.'''
    with csv.path.open() as text:
        return [[*row, str(price), since.year] for row in reader(text)]


def reader(text):
    return csv.reader(text)  # the module, whatever a cell is called


def firsts(lines):
    return [line[0] for line in lines]


@table.step
def line(lines, first: Annotated[str, Choices(firsts)]):
    "Which line?"
    return next(line for line in lines if line[0] == first)


@table.step
async def counted(line, job):
    "Counts."
    await job.progress(1, 1)
    for number, cell in enumerate(line):
        yield {"n": number, "cell": cell}


@counted.view
def draw(output):
    return DataTable(output)


@table.step(optional=True)
def signed(counted, name: str):
    "Who?"
    return name


@table.step(when=lambda line: line[0] == "never")
def never(line):
    return 1


@table.step
def both(line, counted, signed):
    return firsts([line]) + [len(counted), signed]


short = Pipeline("Short")


@short.step
def start(person: str, at: Annotated[int, Between(1, 3)], mail: Email, seen: Url, when: date):
    return person[:at]


from pipulate.plugins.hello import hello

joined = short.then(hello, "Joined")
"""
ASKS = """\
from datetime import date
from pipulate import Pipeline

asks = Pipeline("Asks")


@asks.step
def sheet(job):
    return [job.ask("Which?", ["a", "b"]), job.ask("When?", date).year]
"""


@pytest.fixture
def home(settings, tmp_path):
    settings.make_home()
    (settings.folder("apps") / "table.py").write_text(PLUGIN)
    (tmp_path / "t.csv").write_text("a,b\nc,d\n")
    return settings


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    """jupyter(notebook): the outputs of its cells, as a real kernel gives them."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))

    def running(notebook):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, not ours
            import nbformat
            from nbclient import NotebookClient

            read = nbformat.reads(json.dumps(notebook), 4)
            nbformat.validate(read)
            NotebookClient(read, timeout=60, resources={}).execute()
        return [drawn(cell) for cell in read.cells if cell.cell_type == "code"][1:]

    return running


def drawn(cell):
    """{text/plain, text/html} that a cell shows at its end."""
    found = [out["data"] for out in cell["outputs"] if out["output_type"] == "execute_result"]
    return dict(found[0]) if found else {}


def sources(notebook, kind="code"):
    return [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_it_is_the_file_then_a_cell_for_each_step(settings):
    pipeline = find(settings, "hello")
    notebook = notebook_of(pipeline, {})
    assert sources(notebook, "markdown")[:2] == [
        "# Hello\n\nGreets somebody, then counts the letters.",
        "## 1. Person\n\nWho shall be greeted?",
    ]
    file, person, greeting, letters = sources(notebook)
    assert file == pipeline.content.decode().strip()
    assert person.splitlines() == [
        "name = 'name'  # say which",
        'person = hello.steps["person"].run(name=name)',
        "hello.show(person=person)",
    ]
    assert "greeting = hello.steps" in greeting and ".run(person=person, mark=mark)" in greeting


def test_it_runs_in_plain_jupyter_and_so_does_the_pipeline_at_once(settings, jupyter):
    notebook = notebook_of(find(settings, "hello"), {"person": {"inputs": {"name": "<Ada>"}}})
    cells = ['hello.run(name="Ada")', "print(hello.run(name='Bob').output)"]
    for number, source in enumerate(cells):
        cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}
        notebook["cells"].append(cell | {"execution_count": None, "id": f"more-{number}"})
    person, greeting, letters, whole, _ = jupyter(notebook)
    assert person["text/html"] == "<h4>Person</h4><div><p>&lt;Ada&gt;</p></div>"
    assert greeting["text/plain"] == "<Hello greeting: 'Hello, <Ada>!'>"
    assert "<strong>13</strong>" in letters["text/html"]
    assert whole["text/plain"] == "<Hello person: 'Ada', greeting: 'Hello, Ada!', letters: 11>"
    assert whole["text/html"].count("<h4>") == 3


def test_a_run_comes_with_its_inputs_and_outputs_and_gives_them_again(
    home, call, tmp_path, jupyter
):
    kept = call("table_run", csv=str(tmp_path / "t.csv"), first="c")
    steps = {step["step"]: step for step in call("run_get", run=kept["run"])["steps"]}
    for name, step in steps.items():
        step["output"] = call("run_output", run=kept["run"], step=name)
    notebook = notebook_of(find(home, "table"), steps)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][1:]
    assert "csv_ = " in cells[0]["source"], "the file's functions use the module of that name"
    assert "first = 'c'" in cells[1]["source"] and "signed = None" in cells[3]["source"]
    saved = [drawn(cell) for cell in cells]
    assert "<table" in saved[2]["text/html"] and saved[3:5] == [{}, {}], "those were skipped"
    assert "['c', 4, None]" in saved[5]["text/plain"]
    again = jupyter(notebook)
    assert again[:3] == saved[:3] and again[5] == saved[5]


def test_a_run_comes_with_the_answers_to_what_its_steps_asked(home, call, plugin, jupyter):
    plugin(ASKS, "asks")
    call("asks_run")
    call("run_answer", run=1, answer="b")
    call("asks_run", run=1)
    call("run_answer", run=1, answer="2026-01-31")
    assert call("asks_run", run=1)["output"] == ["b", 2026]
    steps = {step["step"]: step for step in call("run_get", run=1)["steps"]}
    steps["sheet"]["output"] = ["b", 2026]
    notebook = notebook_of(find(home, "asks"), steps)
    saved = drawn(notebook["cells"][-1])
    assert jupyter(notebook) == [saved] and "['b', 2026]" in saved["text/plain"]


def test_a_run_is_written_however_many_files_the_home_has(home, call, tmp_path, capsys):
    for number in range(16):  # of so many is remembered what they defined
        (home.folder("apps") / f"more_{number}.py").write_text("")
    kept = call("table_run", csv=str(tmp_path / "t.csv"), first="c")
    write.callback("table", kept["run"], home, None)
    assert "first = 'c'" in sources(json.loads(capsys.readouterr().out))[2]


def test_what_is_computed_is_left_to_the_step_and_what_is_missing_stands_there_to_be_filled(home):
    notebook = notebook_of(find(home, "table"), {})
    _, lines, line, counted, signed, never, both = sources(notebook)
    assert lines.splitlines()[:3] == [
        "csv_ = 'csv'  # say which",
        "since = '2026-01-02'",
        "price = '0.10'",
    ]
    assert "## 1. Lines\n\nWhich file?\n\nOne line, then another." in sources(notebook, "markdown")
    assert "# first = …  # unless it is given here" in line and ".run(lines=lines)" in line
    assert "# name = …  # give it, else this step is left out" in signed


def test_what_may_be_given_in_a_cell_is_said_to_belong_into_the_call_too(home):
    _, _, line, _, signed, *_ = sources(notebook_of(find(home, "table"), {}))
    assert "here and in the call: computed" in line, "alone above the call it does nothing"
    assert "left out; in the call too" in signed


def test_a_pipeline_of_pipelines_runs_in_jupyter(home, jupyter):
    notebook = notebook_of(find(home, "joined"), {})
    values = sources(notebook)[1]
    assert "at = 1" in values and "mail = 'ann@example.org'" in values, "each fits its field"
    assert jupyter(notebook)[1]["text/plain"] == f"<Joined hello: {len('Hello, p!')}>"


def test_one_value_of_two_steps_is_one_variable(home, settings):
    (settings.folder("apps") / "twice.py").write_text(
        "from pipulate import Pipeline\ntwice = Pipeline('Twice')\n"
        "@twice.step\ndef one(n: int = 1):\n    return n\n"
        "@twice.step\ndef two(n: int = 1):\n    return n\n"
    )
    pipeline = find(settings, "twice")
    _, one, two = sources(notebook_of(pipeline, {}))
    assert "n = 1" in one and "n = 1" not in two
    _, one, two = sources(notebook_of(pipeline, {"two": {"inputs": {"n": 2}}}))
    assert "n = 1" in one and "n = 2" in two


def test_a_pipeline_of_the_botify_edition_is_found_too(settings):
    assert find(settings, "link_graph").title == "Link graph"


def test_a_pipeline_that_nobody_has_is_unknown(settings):
    with pytest.raises(Unknown, match="Did you mean 'hello'"):
        find(settings, "helo")
