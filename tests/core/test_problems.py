"""Problems: what every door needs of them, and the nearest known name."""

import pytest

from pipulate.core import problems
from pipulate.core.problems import Conflict, Problem, from_dict, nearest, short

KINDS = Problem.__subclasses__()
TREE = {line.split()[1]: line.split() for line in problems.__doc__.splitlines() if "──" in line}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_each_kind_has_the_status_and_exit_code_that_the_tree_tells(kind):
    told = TREE[kind.__name__]
    assert [str(kind.status), str(kind.exit_code)] == [told[2], told[4]]


@pytest.mark.parametrize("kind", [Problem, *KINDS], ids=lambda k: k.__name__)
def test_given_a_problem_when_it_travels_as_a_dict_then_the_same_problem_arrives(kind):
    sent = kind("It broke.", "Mend it.", fields={"a": "is odd"})
    got = from_dict(sent.as_dict())
    assert type(got) is kind
    assert (got.what, got.next_step, got.details) == ("It broke.", "Mend it.", sent.details)


def test_given_a_kind_nobody_knows_then_a_plain_problem_arrives():
    assert type(from_dict({"problem": "x", "kind": "nonsense"})) is Problem


def test_a_problem_reads_as_what_happened_and_what_to_do():
    assert str(Problem("It broke.", "Mend it.")) == "It broke. Mend it."
    assert str(Problem("It broke.")) == "It broke."


def test_what_ends_in_brackets_ends_in_a_full_stop_before_the_next_sentence():
    assert (
        str(Problem("It broke (a.py, line 3)", "Mend it.")) == "It broke (a.py, line 3). Mend it."
    )


def test_details_stay_beside_the_sentence():
    conflict = Conflict("Changed.", "Compare.", mine={"a": 1}, theirs={"a": 2})
    assert conflict.as_dict()["theirs"] == {"a": 2}


def test_a_text_that_is_cut_says_so():
    assert short("a" * 80) == "a" * 80
    assert short("a" * 81) == "a" * 80 + "…"


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("tsak_add", ["task_add", "undo"], "Did you mean 'task_add'?"),
        ("zzz", ["a", "b"], "Known: a, b."),
        ("zzz", [], ""),
    ],
    ids=["close", "far", "nothing known"],
)
def test_nearest_names_the_closest_or_lists_a_few(name, known, said):
    assert nearest(name, known) == said
