"""What the assistant remembers: notes found and forgotten, never a secret; the talk searched."""

import json
import time

import pytest

from pipulate.ai.complete import connect
from pipulate.ai.memory import masked, recalled
from pipulate.core.problems import Invalid, Missing, Refused
from pipulate.core.store import now


@pytest.fixture(autouse=True)
def assistant(house):
    connect(house)


@pytest.fixture
def recall(call):
    return lambda words, **more: [row["note"] for row in call("recall", words=words, **more)]


def test_a_note_is_kept_found_and_forgotten_and_that_can_be_undone(call, recall, house):
    note = call("remember", actor="model", note="The user's site is about tea")
    assert recall("what is the site about") == ["The user's site is about tea"]
    event = house.events.recent(1, 1)[0]
    assert event["actor"] == "model" and "about tea" in event["summary"]
    call("forget", id=note["id"])
    assert recall("site") == []
    call("undo", event=house.events.recent(1, 1)[0]["id"])
    assert recall("site") == ["The user's site is about tea"]


def test_notes_that_hold_more_and_rarer_words_come_first(call, recall):
    for n in range(30):
        call("remember", note=f"The report of week {n} is done")
    call("remember", note="The report goes to Ada")
    call("remember", note="Ada prefers tea")
    assert recall("who is the report of Ada for")[:2] == [
        "The report goes to Ada",
        "Ada prefers tea",
    ]
    assert len(recall("the report")) == 20, "what does not matter is not all told"


def test_a_note_was_forgotten_once_there_were_two_thousand_newer_ones(call, recall, house):
    call("remember", note="The zebra lives in Oslo")
    notes = house.db.table("app_memories", scoped=True).xtra(profile_id=1)
    with house.db.change(actor="system", verb="filled", profile_id=1, summary="Filled"):
        for n in range(2_001):
            notes.insert(note=f"filler {n}", position=n)
    assert recall("where is the zebra") == ["The zebra lives in Oslo"]


@pytest.mark.parametrize("words", ["a", "zzz", "%", "_", "'; DROP TABLE app_memories", '"*('])
def test_words_that_no_note_holds_find_nothing(call, recall, words):
    call("remember", note="Milk is in the fridge")
    assert recall(words) == []


def test_a_long_text_finds_its_notes_soon(call, house):
    call("remember", note="The encyclopaedia stands upstairs")
    text = " ".join(f"w{n}" for n in range(20_000)) + " encyclopaedia"
    begun = time.process_time()
    (note,) = recalled(house, house.profiles.at(), text)
    assert "upstairs" in note["note"] and time.process_time() - begun < 0.5


def test_notes_of_another_profile_are_not_found(call, recall, house):
    call("profile_add", name="Other")
    call("remember", at="other", note="theirs alone")
    assert recall("theirs alone") == [] and recall("theirs", at="other") == ["theirs alone"]
    assert recalled(house, house.profiles.at("default"), "theirs alone") == []


def test_a_note_that_is_not_there_cannot_be_forgotten(call):
    with pytest.raises(Missing):
        call("forget", id=99)


def test_without_the_app_nothing_is_recalled_and_that_is_no_fault(house):
    (path,) = (p for p in house.shelf.plugins if p.stem == "memory")
    house.shelf.plugins[path].apps = []
    assert recalled(house, house.profiles.at(), "anything") == []


# -- secrets -----------------------------------------------------------------------------------

LOGIN = "from pipulate import *\nclass Login(CrudApp):\n    site: str\n    key: Secret\n"
KEPT = "hunter-two"


@pytest.fixture
def secrets(house, plugin, call):
    """A secret of a row, and one of the settings."""
    plugin(LOGIN, "logins")
    call("login_add", site="a", key=KEPT)
    house.settings_of().set("model_key:x", 'sk-ab"cd', secret=True)


@pytest.mark.parametrize(
    "note",
    [
        f"The key is {KEPT}",
        f"{KEPT}",
        'It is sk-ab"cd or so',
        "The password is swordfish",
        "password: swordfish",
        "His PIN is 1234",
        "api key = abc",
        "API_KEY:abc",
        "token: x",
        "Use ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "sk-proj-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c",
        "AKIAIOSFODNN7EXAMPLE1234",
        "The password for the router in the cellar is swordfish",
        "The password of ada: swordfish",
        "Use swordfish as the password",
        "swordfish is my password for the wifi",
        "Her password “swordfish” is old",
        "Her PIN, 4711, is new",
        "It is on https://ada:swordfish@site.example/x",
        "Das Passwort lautet Schwertfisch",
    ],
)
@pytest.mark.parametrize("actor", ["model", "user"])
def test_a_secret_is_never_remembered(secrets, call, recall, house, note, actor):
    with pytest.raises((Refused, Invalid)) as raised:
        call("remember", actor=actor, note=note)
    assert note not in str(raised.value)
    assert house.db.all("SELECT * FROM app_memories") == []


@pytest.mark.parametrize(
    "note",
    [
        "Ada likes cookie dough",
        "The secret of good tea is fresh water",
        "The token ring is in the cellar",
        "What is in the cellar is a token ring",
        "I change my password every year, in May",
        "Tokens of a model are pieces of words, 1,000 of them are 750 words",
        "Ask before a password is changed? No: never ask",
        "Report 2024-05-01: 1,234 pages, https://site.example/a/long/path/to/a/page",
        "The run of the pipeline Links took 12.5 seconds",
    ],
)
def test_what_only_speaks_of_such_things_is_remembered(call, recall, note):
    call("remember", note=note.replace("a password is changed", "passwords change"))
    assert len(recall(note)) == 1


def test_every_secret_that_is_kept_is_hidden_in_a_text(secrets, house):
    hide = masked(house)
    assert hide(f"a {KEPT} b {KEPT}") == "a … b …"
    assert hide('x sk-ab"cd y') == "x … y" == hide(json.loads('"x sk-ab\\"cd y"'))
    assert "ab" not in hide(json.dumps({"key": 'sk-ab"cd'}))
    assert hide("hunter two") == "hunter two"


def test_where_no_secret_is_kept_nothing_is_hidden(house):
    assert masked(house)("all of it …") == "all of it …"


def test_a_value_too_short_to_be_a_secret_does_not_blot_out_every_text(house):
    house.settings_of().set("k", "a", secret=True)
    assert masked(house)("banana") == "banana"


# -- tools and talk ----------------------------------------------------------------------------


def test_tools_are_found_by_words_of_their_names_and_descriptions(call):
    names = [tool["name"] for tool in call("find_tool", words="add a bookmark")]
    assert names[0] == "bookmark_add" and len(names) == 8
    assert "rows_import" in [t["name"] for t in call("find_tool", words="import csv")]
    assert call("find_tool", words="zzz qqq") == []
    assert set(call("find_tool", words="undo")[0]) == {"name", "description", "class", "schema"}


@pytest.fixture
def said(house):
    def saying(role, text, at=None):
        table = house.db.table("messages", scoped=True, logged=False)
        about = {"role": role, "text": text, "state": "done", "at_utc": now()}
        table.xtra(profile_id=house.profiles.at(at).id).insert(about)

    return saying


def test_the_whole_talk_is_searched_newest_first(call, said):
    for n in range(300):
        said("user", f"Question {n} of cheese")
        said("assistant", f"Answer {n}")
    said("tool", "a result with cheese")
    found = call("talk_search", words="cheese question 7")
    assert [row["text"] for row in found][:2] == [
        "Question 297 of cheese",
        "Question 287 of cheese",
    ]
    assert {*found[0]} == {"id", "role", "at_utc", "text"} and len(found) == 20
    assert all(row["role"] == "user" for row in found), "results are not the talk"
    assert call("talk_search", words="Answer 12")[0]["role"] == "assistant"


def test_talk_is_found_by_words_in_letters_of_other_alphabets_and_a_sign_stands_for_itself(
    call, said
):
    said("user", "Überweisung an СТАНЦИЯ, 100% sicher")
    said("user", "a_name")
    said("user", "another name of 1000")
    for words in ("überweisung", "станция", "100%"):
        assert [row["text"][:4] for row in call("talk_search", words=words)] == ["Über"], words
    assert [row["text"] for row in call("talk_search", words="a_name")] == ["a_name"]


def test_talk_of_another_profile_is_not_found_and_long_messages_are_cut(call, said):
    call("profile_add", name="Other")
    said("user", "theirs alone", "other")
    said("user", "mine " * 1_000)
    assert call("talk_search", words="theirs") == []
    assert len(call("talk_search", words="mine")[0]["text"]) == 500
