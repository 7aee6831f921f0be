"""Outputs in files: read lazily, as often as wanted, written whole or not at all."""

import json

import pytest

from pipulate.core.fields import File, dumps, foreign, from_json, to_json
from pipulate.core.outputs import Large, Rows, loaded, write_lines


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "runs/1/2/rows.jsonl"
    return Rows(path, write_lines(path, (json.dumps({"n": n}) for n in range(5))))


def test_rows_are_gone_through_as_often_as_wanted(rows):
    assert [r["n"] for r in rows] == [r["n"] for r in rows] == [0, 1, 2, 3, 4]
    assert len(rows) == 5


@pytest.mark.parametrize(("at", "found"), [(0, 0), (4, 4), (-1, 4), (-5, 0)])
def test_one_row_is_found_by_its_place(rows, at, found):
    assert rows[at] == {"n": found}


@pytest.mark.parametrize("at", [slice(1, 3), slice(None, 2), slice(3, None), slice(-2, None)])
def test_a_part_of_the_rows_is_a_list(rows, at):
    assert rows[at] == [*rows][at]


@pytest.mark.parametrize("at", [slice(None, None, -1), slice(4, 1, -2), slice(1, 4, -1)])
def test_rows_read_backwards_are_those_of_a_list_and_no_error(rows, at):
    assert rows[at] == [*rows][at]
    assert Rows(rows.path, 0)[at] == []


@pytest.mark.parametrize("at", [5, -6])
def test_a_place_beyond_the_end_is_refused(rows, at):
    with pytest.raises(IndexError):
        rows[at]


def test_what_lies_in_a_file_survives_being_kept_as_json(rows, tmp_path):
    write_lines(tmp_path / "runs/1/3/output.json", ['{"a": [1]}'])
    kept = {"rows": rows, "large": Large(tmp_path / "runs/1/3/output.json", 10)}
    found = from_json(json.loads(json.dumps(to_json(kept))))
    assert [*found["rows"]] == [*rows] and found["large"].load() == {"a": [1]}
    assert loaded(found["large"]) == {"a": [1]} and loaded("text") == "text"


def test_a_dictionary_that_only_looks_like_a_reference_stays_one():
    odd = {"$rows": "x", "count": 1, "more": 2}
    assert from_json(odd) == odd


@pytest.mark.parametrize(
    "path", ["/etc/output.json", "/home/x/runs/1/2/../../secret/runs/1/2/rows.jsonl", "/runs/1/2/x"]
)
def test_foreign_json_that_looks_like_a_reference_leads_to_no_other_file(path):
    for odd in ({"$rows": path, "count": 1}, {"$json": path, "size": 1}):
        assert from_json(odd) == odd


@pytest.mark.parametrize("count", [None, "3", 1.5])
@pytest.mark.parametrize("path", [5, None, ["/runs/1/2/rows.jsonl"], "/home/x/runs/1/2/rows.jsonl"])
def test_foreign_json_with_a_reference_of_odd_types_stays_what_it_is(path, count):
    for odd in ({"$rows": path, "count": count}, {"$json": path, "size": count}):
        assert from_json(odd) == odd
    assert from_json({"$file": path, "name": 5}) == {"$file": path, "name": 5}


@pytest.mark.parametrize("odd", [
    {"$file": "/etc/passwd", "name": "x"},
    {"$rows": "/h/runs/1/2/rows.jsonl", "count": 1},
    {"$json": "/h/runs/1/2/output.json", "size": 1},
    {"$dict": {"$file": "/etc/passwd", "name": "x"}},
])  # fmt: skip
def test_what_looks_like_a_file_of_ours_comes_back_as_it_was(odd, tmp_path):
    ours = File(tmp_path / "a.csv")
    for value in (odd, [odd], {"deep": [odd, ours], "n": 1}):
        assert from_json(json.loads(dumps(foreign(value)))) == value


def test_given_lines_that_break_off_then_no_file_is_left_half(tmp_path):
    def lines():
        yield "one"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_lines(tmp_path / "rows.jsonl", lines())
    assert not (tmp_path / "rows.jsonl").exists()
