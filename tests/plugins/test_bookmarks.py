"""The bundled Bookmarks app: addresses, tags, and a title that is fetched when asked for."""

import functools

import pytest

from pipulate.core import fetch
from pipulate.core.problems import Invalid, NeedsApproval, Problem, Refused
from web_site import Site


@pytest.fixture
def site(house, monkeypatch):
    """A server on this machine, let through by the test alone: a bookmark has no such power."""
    with Site() as made:
        through = functools.partial(fetch.fetch, allow=[made.at])
        method = house.shelf.get("bookmarks").model.fetch_title
        monkeypatch.setitem(method.__globals__, "fetch", through)
        yield made


def test_only_an_address_is_needed_and_it_has_to_be_one(call):
    made = call("bookmark_add", text={"url": "https://example.test/", "tags": "a, b"})
    assert (made["title"], made["tags"]) == ("", ["a", "b"])
    with pytest.raises(Invalid, match="http"):
        call("bookmark_add", text={"url": "javascript:alert(1)"})


def test_the_title_is_fetched_on_demand(call, site):
    site.page("/a", b"<title>A page &amp; more</title>")
    call("bookmark_add", url=f"http://{site.at}/a")
    assert call("bookmark_get", id=1)["title"] == "" and site.asked == []
    assert "A page & more" in call("bookmark_fetch_title", id=1, confirmed=True)
    assert call("bookmark_get", id=1)["title"] == "A page & more"


def test_fetching_can_be_undone(house, call, site):
    site.page("/a", b"<title>Fetched</title>")
    call("bookmark_add", title="Mine", url=f"http://{site.at}/a")
    call("bookmark_fetch_title", id=1, confirmed=True)
    call("undo", event=house.events.recent(1, 1)[0]["id"])
    assert call("bookmark_get", id=1)["title"] == "Mine"


def test_an_address_on_this_machine_is_never_read(call):
    with Site() as inside:
        call("bookmark_add", url=f"http://{inside.at}/")
        with pytest.raises(Refused, match="this machine"):
            call("bookmark_fetch_title", id=1, confirmed=True)
        assert inside.asked == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(b"404 Not Found", b"<title>Oops</title>", "404"), (b"200 OK", b"hello", "no title .200.")],
)
def test_a_page_that_is_gone_or_has_no_title_changes_nothing(call, site, status, body, said):
    site.page("/a", body, status=status)
    call("bookmark_add", title="Mine", url=f"http://{site.at}/a")
    with pytest.raises(Problem, match=said):
        call("bookmark_fetch_title", id=1, confirmed=True)
    assert call("bookmark_get", id=1)["title"] == "Mine"


def test_a_title_is_text_and_cut_to_what_a_field_takes(call, site, house):
    site.page("/a", b"<title><script>x</script>" + b"y" * 5000 + b"</title>")
    call("bookmark_add", url=f"http://{site.at}/a")
    call("bookmark_fetch_title", id=1, confirmed=True)
    app, caller = house.shelf.get("bookmarks"), house.caller("user")
    assert len(call("bookmark_get", id=1)["title"]) == 300
    assert "<script>" not in app.drawn_rows(app.rows(caller)(), caller)


@pytest.mark.parametrize("actor", ["model", "mcp"])
def test_the_model_needs_the_users_click_to_reach_the_web(call, site, actor):
    call("bookmark_add", url=f"http://{site.at}/a")
    with pytest.raises(NeedsApproval):
        call("bookmark_fetch_title", actor=actor, id=1)
    assert site.asked == []
