"""Kinds: what each type takes and refuses, as text, as JSON, as a column and in its schema."""

import json
import sqlite3
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipulate.core.fields import (
    dumps,
    make_field,
    to_column,
    to_json,
)
from pipulate.core.problems import Problem
from pipulate.core.kinds import KINDS, MISSING, Email, File, Moment, Ref, Secret, Tags, Text, Url

TYPES = {t.__name__: t for t in KINDS} | {"Ref": Ref["author"]}
COLORS = list[Literal["red", "dark blue", "a,b"]]
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

# type, text as typed, the Python value it means
GOOD = [
    (str, "milk", "milk"),
    (str, " a  b ", " a  b "),
    (str, "naïve 🙂 \u202e", "naïve 🙂 \u202e"),
    (Text, "two\r\nlines", "two\r\nlines"),
    (Url, "https://example.org/a?b#c", "https://example.org/a?b#c"),
    (Url, " http://localhost:1 ", "http://localhost:1"),
    (int, "12", 12),
    (int, " -7 ", -7),
    (int, "+0007", 7),
    (int, str(2**63 - 1), 2**63 - 1),
    (float, "1.5", 1.5),
    (float, ".5", 0.5),
    (float, "1e3", 1000.0),
    (Decimal, "0.10", Decimal("0.10")),
    (bool, "on", True),
    (bool, "No", False),
    (date, "2024-02-29", date(2024, 2, 29)),
    (datetime, "2026-01-31T14:00+02:00", NOON),
    (datetime, "2026-01-31T12:00:00Z", NOON),
    (Decimal, "1e2", Decimal(100)),
    (Email, " ann@example.org ", "ann@example.org"),
    (Tags, "red, dark blue,,red", ["red", "dark blue"]),
    (list[str], '"a, b", [c', ["a, b", "[c"]),
    (COLORS, '["a,b", "red"]', ["red", "a,b"]),
    (Ref["author"], " #12 ", 12),
    (Ref["author"], "Apollo #11", "Apollo #11"),
    (Ref["author"], " Ann Leckie ", "Ann Leckie"),
    (dict, '{"a": [1, null]}', {"a": [1, None]}),
    (list, "[1, 2]", [1, 2]),
]

# type, text as typed, a part of the reason
BAD_TEXT = [
    (str, "a\nb", "one line"),
    (str, "nul \0", "cannot be stored"),
    (str, "half \ud800", "cannot be stored"),
    (str, "x" * 1001, "1,000 is the most"),
    (Text, "x" * 1_000_001, "1,000,000 is the most"),
    (Url, "javascript:alert(1)", "http://"),
    (Url, "https://", "http://"),
    (Url, "ftp://example.org", "http://"),
    (int, "1_000", "whole number"),
    (int, "1.0", "whole number"),
    (int, "1e3", "whole number"),
    (int, "٣", "whole number"),
    (int, str(2**63), "whole number"),
    (int, "9" * 5000, "whole number"),
    (int, "", "may not be empty"),
    (float, "nan", "number"),
    (float, "inf", "number"),
    (float, "1e999", "number"),
    (float, "1,5", "number"),
    (float, "0x10", "number"),
    (Decimal, "NaN", "number"),
    (Decimal, "1 000", "number"),
    (Decimal, "1e999", "100 digits"),
    (Email, "ann", "ann@example.org"),
    (Email, "ann@x,bob@y", "ann@example.org"),
    (Secret, "set, ends …1234", "the value itself"),
    (COLORS, "red, green", "must be one of: red, dark blue"),
    (Tags, '"a"b, c', "words between commas"),
    (Tags, '"a, b', "words between commas"),
    (Tags, 'x, "y" z', "words between commas"),
    (bool, "maybe", "yes or no"),
    (bool, "", "may not be empty"),
    (date, "2026-02-30", "day"),
    (date, "31.1.2026", "2026-01-31"),
    (date, "2026-1-31", "2026-01-31"),
    (date, "２０２６-01-31", "needs a date like 2026-01-31"),
    (datetime, "yesterday", "2026-01-31T14:30"),
    (datetime, "0001-01-01T00:00+14:00", "2026-01-31T14:30"),
    (dict, "{", "JSON"),
    (dict, "[1]", "object"),
    (list, '{"a": 1}', "array"),
    (list, "[NaN]", "JSON"),
    (list, "[" * 100_000, "JSON"),
    (list, '["\\ud800"]', "JSON"),
    (File, "  ", "may not be empty"),
]

# type, a JSON value that is not quite one
BAD_JSON = [
    (str, 1),
    (str, None),
    (str, ["a"]),
    (int, True),
    (int, 1.0),
    (int, "1"),
    (int, 2**63),
    (float, True),
    (float, "1"),
    (float, float("nan")),
    (float, 10**400),
    (Decimal, 0.1),
    (Decimal, True),
    (bool, "true"),
    (bool, 1.0),
    (bool, 2),
    (date, "2026-01-31T00:00"),
    (date, 20260131),
    (datetime, 0),
    (dict, [1]),
    (list, {"a": 1}),
    (list, [float("inf")]),
    (File, 3),
]


def named(value):
    name = getattr(value, "__name__", None) or repr(value)
    return name[:24].encode("ascii", "backslashreplace").decode() or "empty"


@pytest.mark.parametrize(("kind", "text", "value"), GOOD, ids=named)
def test_given_good_text_then_it_is_read_exactly_and_shown_so_that_it_reads_again(
    kind, text, value
):
    field = make_field("x", kind)
    read = field.parse(text)
    assert read == value and type(read) in (type(value), str)
    assert field.parse(field.show(read)) == read


@pytest.mark.parametrize(("kind", "text", "value"), GOOD, ids=named)
def test_given_a_value_then_it_survives_json_a_column_and_its_own_schema(kind, text, value):
    field = make_field("x", kind)
    as_json = json.loads(dumps(value))
    jsonschema.validate(as_json, field.schema)
    assert field.check(as_json) == value
    with sqlite3.connect(":memory:") as db:
        db.execute(f"CREATE TABLE t (x {field.kind.column})")
        db.execute("INSERT INTO t VALUES (?)", (to_column(value),))
        assert field.load(db.execute("SELECT x FROM t").fetchone()[0]) == value
    db.close()


def test_a_secret_is_loaded_as_how_it_is_shown():
    assert make_field("key", Secret).load("1234 f00") == "set, ends …1234"


def test_a_ref_without_an_app_is_refused_with_what_to_write():
    with pytest.raises(Problem, match=r'Write Ref\["author"\]'):
        make_field("author", Ref)


@pytest.mark.parametrize("kind", [str, Text, Url, Email])
def test_an_optional_text_that_is_blank_is_none_from_every_door(kind):
    field = make_field("x", kind | None)
    assert field.check("  ") is field.parse(" ") is field.check(None) is None


@pytest.mark.parametrize(("kind", "text", "why"), BAD_TEXT, ids=named)
def test_given_bad_text_then_the_reason_says_what_would_do(kind, text, why):
    with pytest.raises(ValueError, match="(?i)" + why):
        make_field("x", kind).parse(text)


@pytest.mark.parametrize(("kind", "value"), BAD_JSON, ids=named)
def test_given_a_json_value_of_another_type_then_it_is_refused(kind, value):
    with pytest.raises(ValueError):
        make_field("x", kind).check(value)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_each_type_has_a_column_an_input_and_a_schema(kind):
    field = make_field("due_by", kind)
    assert field.kind.column in ("TEXT", "INTEGER", "REAL") and field.kind.input
    jsonschema.Draft202012Validator.check_schema(field.schema)
    assert field.label == "Due by"
    assert field.show(None) == field.show(MISSING) == ""


@pytest.mark.parametrize("optional", [False, True], ids=["plain", "optional"])
@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_text_is_read_and_shown_back_or_refused(kind, optional, data):
    field = make_field("x", kind | None if optional else kind)
    text = data.draw(
        st.text(max_size=30) | st.from_regex(r"-?[0-9._eE+:TZ-]{1,24}", fullmatch=True)
    )
    try:
        value = field.parse(text)
    except ValueError:
        return
    assert field.parse(field.show(value)) == value
    assert field.check(json.loads(dumps(value))) == value


@pytest.mark.parametrize("read", [lambda f: f.parse('"'), lambda f: f.check([" "])])
def test_optional_tags_without_any_word_are_none_and_stay_so(read):
    field = make_field("x", Tags | None)
    assert read(field) is None and field.parse(field.show(read(field))) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
@settings(max_examples=30, deadline=None)
@given(value=JSON)
def test_any_json_value_is_taken_exactly_or_refused(kind, value):
    field = make_field("x", kind)
    try:
        taken = field.check(value)
    except ValueError:
        return
    dumps(taken).encode()
    assert field.check(json.loads(dumps(taken))) == taken


def test_given_a_time_without_offset_then_it_is_the_machines_and_kept_in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        field = make_field("x", datetime)
        moment = field.parse("2026-01-31T07:00")
        assert moment == NOON and moment.tzinfo is UTC
        assert to_json(moment) == "2026-01-31T12:00:00+00:00"
        assert field.show(moment) == "2026-01-31T07:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture
def new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_of_a_row_is_the_users_own_and_stands_beside_a_plain_one(new_york):
    field = make_field("x", datetime)
    moment, plain = field.load("2026-02-01T03:30:00+00:00"), datetime(2026, 1, 31, 22)
    assert f"{moment:%Y-%m-%d %H:%M}" == "2026-01-31 22:30"
    assert moment > plain < moment + timedelta(hours=1) and plain != moment
    assert moment - plain == timedelta(minutes=30) == -(plain - moment)
    assert moment == plain.replace(minute=30) and hash(moment) == hash(moment.astimezone(UTC))
    assert to_json(moment) == field.text(moment) == "2026-02-01T03:30:00+00:00"
    assert to_column(plain) == "2026-02-01T03:00:00+00:00"


def test_a_time_of_a_row_whose_zone_was_taken_off_is_a_plain_one(new_york):
    moment, plain = make_field("x", datetime).load("2026-02-01T03:30Z"), datetime(2026, 1, 31, 22)
    bare = moment.replace(tzinfo=None)
    assert bare > plain and bare - plain == timedelta(minutes=30) == -(plain - bare)
    assert bare == datetime(2026, 1, 31, 22, 30) and to_column(bare) == to_column(moment)


def test_a_time_that_is_none_in_the_users_zone_is_refused_before_it_breaks_a_list(new_york):
    with pytest.raises(ValueError, match="needs a date and time"):
        make_field("x", datetime).parse("0001-01-01T00:00+00:00")


def on_windows(moment, tz=None):
    """As datetime.astimezone, where the zone of the machine is known from 1970 to 3000 only."""
    if (tz is None or moment.tzinfo is None) and not 1970 <= moment.year <= 3000:
        raise OSError(22, "Invalid argument")
    return datetime.astimezone(moment, tz)


@pytest.mark.parametrize(
    ("typed", "in_utc"),
    [
        ("0999-06-01T10:00", "0999-06-01T15:00:00+00:00"),
        ("1900-01-01T00:00", "1900-01-01T05:00:00+00:00"),
        ("9999-06-30T12:00", "9999-06-30T17:00:00+00:00"),
    ],
)
def test_a_time_for_which_windows_knows_no_zone_is_kept_there_and_shown_as_typed(
    typed, in_utc, new_york, monkeypatch
):
    limited = type("limited", (datetime,), {"astimezone": on_windows})
    monkeypatch.setattr("pipulate.core.kinds.datetime", limited)
    monkeypatch.setattr(Moment, "astimezone", on_windows, raising=False)
    field = make_field("x", datetime)
    assert to_column(field.parse(typed)) == in_utc == to_column(limited.fromisoformat(typed))
    row = field.load(in_utc)
    assert field.show(row) == typed and to_column(row) == in_utc
    assert row == limited.fromisoformat(typed)


def test_given_a_time_with_seconds_then_showing_it_loses_nothing():
    field = make_field("x", datetime)
    moment = datetime(2026, 1, 31, 12, 0, 7, 5, tzinfo=UTC)
    assert field.parse(field.show(moment)) == moment


def test_a_list_tells_of_its_items_as_servers_of_models_want_it():
    """OpenAI's refuses every request that offers a tool with an array without them."""
    assert KINDS[list].schema == {"type": "array", "items": {}}
    assert KINDS[dict].schema == {"type": "object"}


@pytest.mark.parametrize(("said", "kept"), [("1E+3", "1000"), ("1.50", "1.50"), ("1e-9", None)])
def test_a_decimal_is_kept_as_it_is_shown_and_goes_out(said, kept):
    kind = KINDS[Decimal]
    value = kind.check(kind.parse(said))
    assert value == Decimal(said) and str(value) == (kept or "1E-9")
    assert kind.check(kind.show(value)).as_tuple() == value.as_tuple()


def test_a_secret_of_spaces_alone_is_none():
    kind = KINDS[Secret]
    assert kind.check("  ") == "" and kind.check(" a ") == " a "
