"""Profiles: slugs that no route needs, renames that redirect, deletions that come back."""

import time

import pytest

from pipulate.core.problems import Missing, Problem
from pipulate.core.profiles import ROUTE_WORDS, Profiles
from pipulate.core.store import Database


@pytest.fixture
def profiles(house):
    return house.profiles


def slugs(profiles):
    return [p.slug for p in profiles.all()]


def test_a_new_home_has_one_profile(profiles):
    assert [(p.slug, p.name) for p in profiles.all()] == [("default", "Default")]


@pytest.mark.parametrize("word", sorted(ROUTE_WORDS))
def test_given_a_word_that_routes_use_then_the_slug_gets_a_number(profiles, word):
    assert profiles.add(word.title()).slug == f"{word}-2"
    assert profiles.rename(profiles.at("default"), word).slug == f"{word}-3"


def test_the_words_of_the_top_level_routes_are_all_reserved():
    assert {"mcp", "ws", "static", "events", "files", "share", "settings", "shell"} <= ROUTE_WORDS


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Côte d'Azur", "cote-d-azur"),
        ("  Shop  ", "shop"),
        ("../../etc", "etc"),
        ("a/b?c#d", "a-b-c-d"),
        ("日本", "profile"),
        ("Default", "default-2"),
        ("<b>", "b"),
    ],
    ids=["accents", "spaces", "path", "marks", "no letter of ours", "taken", "markup"],
)
def test_a_slug_is_plain_and_the_name_stays(profiles, name, slug):
    made = profiles.add(name)
    assert (made.slug, made.name) == (slug, name.strip())
    assert profiles.at(slug) == made


@pytest.mark.parametrize("name", ["", "  ", "x" * 61])
def test_a_profile_needs_a_name_of_reasonable_length(profiles, name):
    with pytest.raises(Problem, match="1 to 60"):
        profiles.add(name)


def test_without_a_name_the_first_profile_is_meant_in_their_order(profiles):
    shop = profiles.add("Shop")
    assert profiles.at().slug == "default"
    profiles.move(shop, None)
    assert profiles.at() == shop
    blog = profiles.add("Blog")
    profiles.move(shop, blog)
    assert slugs(profiles) == ["default", "blog", "shop"]


def test_given_a_renamed_profile_then_each_old_address_tells_the_new_one(profiles):
    first = profiles.rename(profiles.at(), "Shop")
    profiles.rename(first, "Store")
    for old in ("default", "shop"):
        with pytest.raises(Missing) as caught:
            profiles.at(old)
        assert caught.value.details["moved"] == "store"


def test_given_a_profile_that_takes_an_old_slug_then_it_is_its_own(profiles):
    profiles.rename(profiles.at(), "Shop")
    fresh = profiles.add("Default")
    assert profiles.at("default") == fresh


def test_given_a_rename_back_then_nothing_redirects_in_a_circle(profiles):
    renamed = profiles.rename(profiles.at(), "Shop")
    profiles.rename(renamed, "Default")
    assert profiles.at("default").id == renamed.id
    with pytest.raises(Missing) as caught:
        profiles.at("shop")
    assert caught.value.details["moved"] == "default"


def test_given_a_profile_nobody_has_then_the_known_ones_are_named(profiles):
    with pytest.raises(Missing, match="no profile 'nope'") as caught:
        profiles.at("nope")
    assert caught.value.next_step == "Profiles: default."
    assert caught.value.details["moved"] is None


def test_the_last_profile_stays(profiles):
    with pytest.raises(Problem, match="last profile"):
        profiles.delete(profiles.at())


def test_a_deletion_counts_what_it_hides_and_undo_brings_all_of_it_back(house, call, profiles):
    call("profile_add", name="Shop")
    for title in "ab":
        call("task_add", at="shop", title=title)
    call("task_add", title="in the other profile")
    house.runs.create(profiles.at("shop").id, "hello")
    told = call("profile_delete", confirmed=True, profile="shop")
    assert told == {"deleted": "shop", "hidden": {"tasks": 2, "runs": 1}}
    assert slugs(profiles) == ["default"]
    event = house.events.recent(1, 1)[0]
    assert event["summary"] == "Deleted profile “Shop” with 3 rows"
    call("undo", event=event["id"])
    assert slugs(profiles) == ["default", "shop"]
    assert call("task_list", at="shop")["count"] == 2


def test_the_slug_of_a_deleted_profile_stays_free_for_its_return(house, profiles):
    shop = profiles.add("Shop")
    profiles.delete(shop)
    assert profiles.add("Shop").slug == "shop-2"


@pytest.mark.parametrize(
    ("tool", "values"),
    [
        ("profile_add", {"name": "Shop"}),
        ("profile_rename", {"new_name": "Shop"}),
        ("profile_move", {"after": ""}),
    ],
)
def test_each_change_of_profiles_is_in_the_history_and_undone(house, call, profiles, tool, values):
    profiles.add("Second")
    before = slugs(profiles)
    named = {} if tool == "profile_add" else {"profile": "second"}
    call(tool, text=values | named)
    assert slugs(profiles) != before
    event = house.events.recent(1, 1)[0]
    assert event["verb"] == tool and event["actor"] == "user"
    call("undo", at="default", event=event["id"])
    assert slugs(profiles) == before


def test_profiles_are_read_once_a_second_and_at_once_after_a_change_here(
    profiles, house, monkeypatch
):
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    profiles.all()
    profiles.add("Work")
    assert slugs(profiles) == ["default", "work"]
    other = Profiles(Database(house.db.path))
    other.add("From elsewhere")
    other.db.close()
    assert slugs(profiles) == ["default", "work"]
    clock += 1.1
    assert slugs(profiles) == ["default", "work", "from-elsewhere"]
