"""Small files from a few words: they load, their own tests hold, and bad words are refused."""

import doctest
import runpy

import pytest

from pipulate import Problem
from pipulate.plugins import _drafts, _scaffold

FIELDS = "title:str by:Text= pages:int=0 due:date? state:new|done price:Decimal? ok:bool=yes"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "apps").mkdir()
    return tmp_path


def holds(path, text):
    """Whether the examples in the docstring of a file hold."""
    path.write_text(text)
    known = runpy.run_path(str(path), run_name=path.stem)
    found = doctest.DocTestParser().get_doctest(known["__doc__"], known, path.stem, str(path), 0)
    return found.examples and doctest.DocTestRunner().run(found).failed == 0


def test_an_app_of_fields_passes_its_trial_and_its_own_test(home):
    text = _scaffold.made(home, "book", "app", FIELDS.replace(" ", "\n"))
    assert 'state: Literal["new", "done"] = "new"' in text and "due: date | None = None" in text
    assert holds(home / "apps/book.py", text)
    with pytest.raises(Problem, match="There is a plugin 'book' already"):
        _scaffold.made(home, "book", "app", "title:str")


def test_a_pipeline_of_steps_passes_its_trial_and_its_own_test(home):
    text = _scaffold.made(home, "audit", "pipeline", "fetch\nparse\nreport")
    assert 'report(parse(fetch("Hello")))' in text and holds(home / "apps/audit.py", text)


def test_the_name_of_a_class_is_taken_for_that_of_its_file(home, monkeypatch):
    monkeypatch.setattr(_drafts, "tried", lambda *_: {"problems": []})
    for name, kind in (("Plant", "Plant"), ("WineBottle", "WineBottle"), ("plant", "Plant")):
        assert f"class {kind}(CrudApp)" in _scaffold.made(home, name, "app", "title:str")


def test_a_field_that_may_be_empty_keeps_its_default(home, monkeypatch):
    monkeypatch.setattr(_drafts, "tried", lambda *_: {"problems": []})
    text = _scaffold.made(home, "film", "app", "year:int?=2000\nseen:date?\nsize:S|M?\nart:a|b")
    wanted = "year: int | None = 2000", "seen: date | None = None"
    wanted += 'size: Literal["S", "M"] | None = None', 'art: Literal["a", "b"] = "a"'
    assert all(line in text for line in wanted)


@pytest.mark.parametrize(
    ("name", "kind", "parts", "said"),
    [
        ("task", "app", "", "There is a plugin 'task' already"),
        ("class", "app", "", "no name for a plugin"),
        ("../x", "app", "", "no name for a plugin"),
        ("film", "app", "title:strr", "Did you mean 'str'"),
        ("film", "app", "class:str", "names no field"),
        ("film", "app", "version:int", "names no field"),
        ("film", "app", "stars:int=many", "no default for int. Leave it out, or write a number"),
        ("film", "app", "seen:bool=maybe", "no default for bool. Leave it out, or write yes or no"),
        ("film", "app", "seen:date=", r"no default for date. Leave it out, or write date\?"),
        ("film", "app", "size:S,M", r"or size:S\|M"),
        ("film", "app", "a:str\na:int", "Two fields"),
        ("film", "screen", "", "There is no kind"),
        ("film", "pipeline", "sum", "'sum' is taken"),
        ("film", "pipeline", "cut\ncut", "'cut' is taken"),
    ],
)
def test_bad_words_are_refused_with_what_would_do(home, monkeypatch, name, kind, parts, said):
    monkeypatch.setattr(_drafts, "tried", lambda *_: pytest.fail("nothing is tried"))
    with pytest.raises(Problem, match=said):
        _scaffold.made(home, name, kind, parts)


def test_a_field_of_a_type_that_cannot_be_is_told_by_the_trial(home):
    with pytest.raises(Problem, match="writer"):
        _scaffold.made(home, "book", "app", "by:Ref[writer]")


@pytest.mark.parametrize(
    ("said", "how"), [("id:int", "'id' is taken"), ("Name:str", "small letters")]
)
def test_a_field_whose_name_is_taken_was_told_to_be_written_as_it_was(said, how):
    with pytest.raises(Problem) as refused:
        _scaffold.field(said)
    assert how in refused.value.next_step
