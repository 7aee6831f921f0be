"""Commands: words to tool calls, with no model in between."""

import io
import sys

import pytest

from pipulate.ai.slash import offers, read_words, slash, without_secrets
from pipulate.core.problems import Invalid, Problem, Unknown


@pytest.fixture
def say(house, run):
    """say(line): the markdown a command answers with."""
    return lambda line: run(slash(line, house.tools, house.caller("user")))


@pytest.mark.parametrize(
    "line",
    [
        '/task add title="Buy milk"',
        "/task_add title='Buy milk'",
        '/task add title:=\\"Buy\\ milk\\"',
        "/task  add   title=Buy\\ milk",
    ],
)
def test_a_command_is_the_tool_of_that_name(say, call, line):
    assert "Buy milk" in say(line)
    assert call("task_list")["rows"][0]["title"] == "Buy milk"


def test_words_are_text_or_json(tmp_path):
    (tmp_path / "f").write_text("inside")
    assert read_words(["a=1", "b:=1", "c=", "d=x=y", "e:=[1, 2]"]) == (
        {"a": "1", "c": "", "d": "x=y"},
        {"b": 1, "e": [1, 2]},
    )
    assert read_words([f"a=@{tmp_path}/f"], files=True) == ({"a": "inside"}, {})
    assert read_words([f"a=@{tmp_path}/f"]) == ({"a": f"@{tmp_path}/f"}, {}), (
        "the chat reads no files"
    )


def test_a_file_of_one_line_is_that_line_and_a_minus_is_standard_input(tmp_path, monkeypatch):
    (tmp_path / "f").write_text("one line\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
    typed, _ = read_words([f"title=@{tmp_path}/f", "text=@-"], files=True)
    assert typed == {"title": "one line", "text": "two\nlines\n"}


@pytest.mark.parametrize(
    "word", ["", "milk", "=x", "a b=c", "1=2", "a:={", "a:=" + "[" * 5_000, "a-b=c"]
)
def test_a_word_of_no_form_is_refused(word):
    with pytest.raises(Problem):
        read_words([word])


def test_help_lists_every_tool_and_explains_one(say, house):
    everything = say("/help")
    for name in house.tools.by_name:
        assert name.replace("_", " ", 1) in everything
    about = say("/help task_add")
    assert "title" in about and "Things to do" in about
    assert say("/") == everything


def test_help_did_not_say_what_a_command_needs_nor_what_it_takes(say):
    about = say("/help task_add")
    assert "`title` str, needed" in about and "`priority` str, high or normal or low" in about


@pytest.mark.parametrize(
    "line, near", [("/task ad title=x", "task add"), ("/tsk_list", "task list"), ("/zzz", "/help")]
)
def test_an_unknown_command_names_the_nearest(say, line, near):
    with pytest.raises(Unknown) as raised:
        say(line)
    assert near in str(raised.value)


def test_a_command_may_begin_with_a_large_letter_as_phones_write_it(say, call):
    say("/Task Add title=Milk")
    assert call("task_list")["rows"][0]["title"] == "Milk"


def test_a_value_that_a_command_does_not_know_is_told_in_whole_sentences(say):
    with pytest.raises(Invalid, match="^limit is not known here. Change that"):
        say("/history limit=2")


def test_the_hint_for_a_command_is_a_command_with_its_slash(say):
    with pytest.raises(Unknown, match="'/task list'"):
        say("/tsk_list")


@pytest.mark.parametrize("line", ["/task add title=x", "/task add title='a b'"])
def test_behind_a_value_that_was_typed_the_fields_that_are_left_are_offered(house, line):
    assert offers(line, house.tools)[0][0] == f"{line} priority="
    assert not offers("/task add title='a b", house.tools), "the value goes on"


def test_for_a_reference_names_of_rows_are_offered(house, plugin, call):
    plugin(
        "from pipulate import *\nclass Pet(CrudApp):\n    name: str\n"
        'class Visit(CrudApp):\n    pet: Ref["pet"]\n    day: str = ""\n',
        "pets",
    )
    call("pet_add", name="Rex the dog")
    pets = house.shelf.crud("pet")

    def ways(line):
        def rows(field, typed):
            return pets.options(house.caller("user"), typed)

        return [line for line, _ in offers(line, house.tools, rows=rows)]

    assert ways("/visit add pet=re") == ["/visit add pet='Rex the dog #1'"]
    assert ways("/visit add pet='Rex the dog #1'") == ["/visit add pet='Rex the dog #1' day="]
    assert ways("/visit add pet=") == ways("/visit add pet=re")


@pytest.mark.parametrize(
    "line", ['/task add title="open', "/task add title", "/task add", "/task add x=1 title=y"]
)
def test_what_does_not_fit_is_said_and_nothing_is_done(say, call, line):
    with pytest.raises(Problem):
        say(line)
    assert call("task_list")["count"] == 0


def test_run_starts_a_pipeline(say):
    assert "11" in say("/run hello name=Ada")
    assert "waiting" in say("/hello run")


def test_a_long_answer_is_cut(say, call):
    for n in range(50):
        call("task_add", title=f"row {n} " + "x" * 200)
    assert len(say("/task list")) < 5_000


SECRETS = ["key=hunter2", 'key="hunter2 two"', "key:=hunter2", "key='hunter2"]


@pytest.mark.parametrize("said", SECRETS)
def test_a_secret_in_a_command_is_not_kept_in_the_conversation(plugin, house, said):
    own = "from pipulate import *\nclass Login(CrudApp):\n    name: str\n    key: Secret"
    plugin(own, "logins")
    kept = without_secrets(f"/login add name=a {said}", house.tools)
    assert "hunter2" not in kept and "name=a" in kept and "key" in kept


def test_what_a_step_asked_for_is_not_kept_in_the_conversation_as_it_may_be_a_secret(house):
    assert (
        without_secrets("/run answer run=3 answer='a b'", house.tools)
        == "/run answer run=3 answer=…"
    )


def test_a_run_that_waits_says_so_in_words_with_the_way_on(say, plugin):
    plugin("""
        from pipulate import Pipeline
        asks = Pipeline("Asks")

        @asks.step
        def which(word: str, job):
            return job.ask("Which one?", [word, "b"])
    """)
    needs = say("/asks run")
    assert "[Run 1](/default/asks/1) is waiting for word." in needs and "{" not in needs
    assert "`/asks run run=1 word=…`" in needs
    asked = say("/asks run run=1 word=a")
    assert "> Which one? (a, b)" in asked and "`/run answer run=1 answer=…`" in asked
    assert "done" in say("/run answer run=1 answer=b"), "the way it names is one"


PAIR = """
    from pipulate import Pipeline
    both = Pipeline("Two Words")

    @both.step
    def first(text: str):
        return text

    @both.step
    def second(first, text: str):
        return f"{first} and {text}"
"""


def test_a_value_that_two_steps_ask_for_may_be_said_of_each_by_itself(say, plugin):
    plugin(PAIR)
    assert "a and b" in say("/two_words run first.text=a second.text=b")


def test_the_way_on_that_is_named_for_a_pipeline_of_two_words_is_one(say, plugin):
    plugin(PAIR)
    assert "`/two words run run=1 text=…`" in say("/two_words run")
    assert "a and a" in say("/two words run run=1 text=a")
