"""Fields: an annotation with its bounds, choices and default; and several checked at once."""

import json
from datetime import date
from decimal import Decimal
from http import HTTPMethod
from pathlib import Path
from typing import Annotated, Literal

import jsonschema
import numpy as np
import pytest

from pipulate.core.fields import (
    check_values,
    dumps,
    from_json,
    make_field,
    schema_of,
    to_json,
)
from pipulate.core.kinds import MISSING, Between, Choices, File
from pipulate.core.problems import Invalid, Problem


def named(value):
    name = getattr(value, "__name__", None) or repr(value)
    return name[:24].encode("ascii", "backslashreplace").decode() or "empty"


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (Literal["low", "high"], "low", "medium"),
        (Literal[1, 2], "2", "3"),
        (Annotated[str, Choices(["a", "b"])], "b", "c"),
        (Annotated[int, Between(0, 5)], "5", "6"),
        (Annotated[float, Between(-1, 1)], "-1", "-1.01"),
        (Annotated[int, Between(0, 5)] | None, "0", "-1"),
        (Annotated[int | None, Between(0, 5)], "0", "-1"),
        (Annotated[Literal["x"] | None, "help"], "x", "y"),
    ],
    ids=str,
)
def test_choices_and_bounds_hold_for_text_json_and_schema(annotation, good, bad):
    field = make_field("x", annotation)
    value = field.parse(good)
    assert field.check(value) == value
    jsonschema.validate(value, field.schema)
    with pytest.raises(ValueError, match="must be"):
        field.parse(bad)
    refused = type(value)(bad)
    with pytest.raises(ValueError, match="must be"):
        field.check(refused)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(refused, field.schema)


def test_absent_empty_and_a_value_are_three_things():
    field = make_field("x", int | None, 3)
    assert check_values([field], {}) == {"x": 3}
    assert check_values([field], {"x": None}) == {"x": None}
    assert check_values([field], {"x": ""}, text=True) == {"x": None}
    assert check_values([field], {}, partial=True) == {}


def test_a_default_is_the_value_it_means_and_belongs_to_one_row_alone():
    made = [make_field("price", Decimal, 0), make_field("tags", list[str], ["a"])]
    assert made[0].show(made[0].default) == "0"
    first, second = check_values(made, {}), check_values(made, {})
    first["tags"].append("b")
    assert second == {"price": Decimal(0), "tags": ["a"]} == check_values(made, {})


@pytest.mark.parametrize("said", ["true", "True"])
def test_a_choice_of_true_could_not_be_answered_as_json_and_a_model_write_it(said):
    assert make_field("x", Annotated[bool, Choices((True, False))]).parse(said) is True


def test_none_among_the_choices_makes_a_value_optional():
    field = make_field("x", Literal["a", None])
    assert field.check(None) is field.parse("") is None
    assert field.choices == ("a",) and field.schema["enum"] == ["a", None]


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_required_text_may_not_be_blank_but_text_with_a_default_may(blank):
    with pytest.raises(ValueError, match="blank"):
        make_field("x", str).parse(blank)
    assert make_field("x", str, "").parse(blank) == blank


def test_every_wrong_value_is_told_at_once_by_its_name():
    fields = [make_field("title", str), make_field("rating", Annotated[int, Between(0, 5)], 0)]
    with pytest.raises(Invalid) as caught:
        check_values(fields, {"rating": "9", "ratting": "1"}, text=True)
    said = caught.value.details["fields"]
    assert said == {
        "rating": "must be from 0 to 5",
        "ratting": "is not known here. Did you mean 'rating'?",
        "title": "is needed",
    }
    assert "nothing was saved" in caught.value.next_step


@pytest.mark.parametrize(
    ("annotation", "default", "said"),
    [
        (bytes, MISSING, "no field type 'bytes'"),
        (complex, MISSING, "no field type 'complex'"),
        (HTTPMethod, MISSING, r"Write Literal\['CONNECT', "),
        (int | str, MISSING, "no field type"),
        (int, "three", "needs a whole number"),
        (Literal["a"], "b", "must be one of"),
        (Literal["a", 1], MISSING, "choices are all of one type"),
        (list[Literal[1, 2]], MISSING, "choices are all of one type"),
        (Annotated[str, Between(0, 5)], MISSING, "Between bounds numbers"),
        (Annotated[int, Between(0, 5)], 6, "must be from 0 to 5"),
    ],
    ids=str,
)
def test_given_an_annotation_nobody_knows_or_a_wrong_default_then_it_does_not_load(
    annotation, default, said
):
    with pytest.raises(Problem, match=said) as caught:
        make_field("x", annotation, default, "Book.")
    assert caught.value.what.startswith("Book.x: ")


def test_an_unknown_type_names_the_nearest():
    class Dated:
        pass

    with pytest.raises(Problem) as caught:
        make_field("x", Dated)
    assert caught.value.next_step == "Did you mean 'date'?"


def test_the_schema_of_several_fields_takes_no_others_and_tells_what_is_needed():
    note = Annotated[int, Between(0, 5), "how good"]
    schema = schema_of([make_field("title", str), make_field("rating", note, 0)])
    assert schema == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "rating": {
                "type": "integer",
                "minimum": 0,
                "maximum": 5,
                "default": 0,
                "description": "how good",
            },
        },
        "additionalProperties": False,
        "required": ["title"],
    }
    optional = make_field("x", Literal["a"] | None).schema
    assert optional["type"] == ["string", "null"] and optional["enum"] == ["a", None]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ((1, 2), [1, 2]),
        ({1: {2}}, {"1": [2]}),
        (np.int64(3), 3),
        (np.arange(2), [0, 1]),
        (Path("/a/b"), "/a/b"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 1, 31), "2026-01-31"),
    ],
    ids=repr,
)
def test_common_python_values_become_json(value, kept):
    assert to_json(value) == kept


@pytest.mark.parametrize("value", [object(), float("nan"), {"a": [print]}, b"x"], ids=range(4))
def test_what_json_cannot_hold_is_a_problem_that_says_so(value):
    with pytest.raises(Problem) as caught:
        to_json(value)
    assert "Return" in caught.value.next_step


def test_a_file_comes_back_as_a_file_at_any_depth():
    output = {"rows": [1], "report": File("/a/b.csv"), "more": [File("/c", "see.txt")]}
    assert from_json(json.loads(dumps(output))) == output
    assert output["report"].name == "b.csv"
