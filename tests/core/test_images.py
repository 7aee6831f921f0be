"""Images: what an event changed, kept in parts, read back whole and folded to one per row."""

import pytest

from pipulate.core.images import PART, fold, pack, unpack
from pipulate.core.problems import Problem


def image(key, before, after):
    return {"table": "t", "id": key, "before": before, "after": after}


@pytest.mark.parametrize("count", [0, 1, PART, PART + 1, 2 * PART])
def test_images_come_back_in_order_from_parts_of_a_thousand(count):
    images = [image(n, None, {"id": n, "title": "“x” 🙂" * 9}) for n in range(count)]
    parts = [*pack(images)]
    assert len(parts) == -(-count // PART)
    assert [i for part in parts for i in unpack(part)] == images


def test_a_short_part_is_text_and_a_long_one_is_deflated():
    (short,), (long,) = pack([image(1, None, {})]), pack([image(1, None, {"a": "x" * 9_000})])
    assert isinstance(short, str) and isinstance(long, bytes) and len(long) < 900


def test_what_json_cannot_hold_is_a_problem():
    with pytest.raises(Problem, match="bytes"):
        list(pack([image(1, None, {"a": b"x"})]))


A, B, C = ({"title": word, "rating": 1, "version": n} for n, word in enumerate("abc"))


@pytest.mark.parametrize(
    ("steps", "fields"),
    [
        ([(A, B), (B, C)], {"title": ("a", "c")}),
        ([(None, A), (A, B)], {"title": (None, "b"), "rating": (None, 1)}),
        ([(A, B), (B, None)], {"title": ("a", None), "rating": (1, None)}),
        ([(None, A), (A, None)], {}),
        ([(A, B), (B, {**A, "version": 9})], {}),
        ([(A, B), ({**B, "rating": 2}, {**C, "rating": 2})], {"title": ("a", "c")}),
    ],
    ids=["twice changed", "added and changed", "changed and deleted", "came and went", "as before",
         "somebody else between"],
)  # fmt: skip
def test_several_changes_of_a_row_are_one_from_first_to_last(steps, fields):
    folded = fold(image(1, before, after) for before, after in steps)
    ends = image(1, steps[0][0], steps[-1][1])
    assert folded == ([{**ends, "fields": fields}] if fields else [])


def test_rows_of_two_tables_are_not_mixed_up():
    images = [image(1, None, A), {**image(1, None, B), "table": "u"}]
    assert [(row["table"], row["after"]) for row in fold(images)] == [("t", A), ("u", B)]
