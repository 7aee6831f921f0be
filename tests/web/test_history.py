"""The history page: who did what and when, what it changed, and the way back."""

import re
from datetime import date, timedelta
from html import unescape

import pytest

from serving import hear, serving

HERE = {"HX_Current_URL": "http://x/default/history"}


def add(server, title, **values):
    return server.call("task_add", title=title, **values)["id"]


def newest(server, profile=None):
    return server.call("history", profile)[0]["id"]


def entry(page, words):
    """The entry of a page that holds these words."""
    return next(item for item in re.findall("<li.*?</li>", page, re.DOTALL) if words in item)


def opened(server, event=0):
    """What one event changed, as text."""
    drawn = server.act("GET", f"/default/history/{event or newest(server)}").text
    return unescape(re.sub(r"<[^>]+>", " ", drawn)).split()


def test_the_filter_by_app_lists_each_app_once(server):
    names = re.findall(r"<option[^>]*>(.*?)</option>", server.page("/default/history"))
    assert "Files" in names and len(names) == len({*names})


# -- the list --------------------------------------------------------------------------------


def test_the_history_names_who_did_what_newest_first(server):
    server.act("POST", "/default/tasks", {"title": "by hand", "done": "false"})
    add(server, "by <b>shell</b>")
    page = server.page("/default/history")
    assert 0 < page.index("by &lt;b&gt;shell") < page.index("by hand")
    assert "<h2>Today</h2>" in page
    assert ">Shell<" in entry(page, "&lt;b&gt;") and ">You<" in entry(page, "by hand")


def test_the_history_is_paged_in_both_directions(server):
    server.call("profile_add", name="Busy")
    for n in range(110):
        server.call("task_add", "busy", title=f"nr {n}.")
    first = server.page("/busy/history")
    assert "nr 109." in first and "nr 59." not in first and "Newer" not in first
    second = server.page(unescape(re.search(r'href="([^"]+)">Older', first)[1]))
    assert "nr 59." in second and "nr 9." not in second
    back = server.page(unescape(re.search(r'href="([^"]+)">← Newer', second)[1]))
    assert "nr 109." in back and "nr 59." not in back


@pytest.mark.parametrize(
    "query",
    ["before=x", "before=-1", f"after={'9' * 40}", "day=2026-13-01", "day=9999-12-31", "who=%00"],
)
def test_given_an_odd_address_then_the_page_is_shown_all_the_same(server, query):
    assert server.client.get(f"/default/history?{query}").status_code == 200


def test_the_filters_are_in_the_address_and_hold_together(server):
    key = add(server, "filtered out")
    server.act("PATCH", f"/default/tasks/{key}", {"title": "filtered twice", "version": "1"})
    server.call("note_add", title="filtered")
    today, yesterday = date.today(), date.today() - timedelta(days=1)
    for query, count in {
        "q=filtered": 3,
        "q=FILTERED+out": 1,
        "q=filtered&who=user": 1,
        "q=filtered&app=app_notes": 1,
        f"q=filtered&day={today}": 3,
        f"q=filtered&day={yesterday}": 0,
        "q=filtered&deletions=1": 0,
    }.items():
        page = server.page(f"/default/history?{query}")
        assert page.count('class="entry"') == count, query
        assert count or "Nothing matches" in page


def test_what_is_chosen_in_the_form_becomes_the_address(server):
    given = {"HX_Trigger": "filter"}
    answer = server.act("GET", "/default/history?who=&q=tea&day=", **given)
    assert answer.headers["hx-push-url"] == "/default/history?q=tea"
    assert answer.text.startswith('<div id="listing"')
    assert "hx-push-url" not in server.act("GET", "/default/history?q=tea").headers


def test_given_a_new_home_then_the_page_says_what_will_be_here(tmp_path):
    with serving(tmp_path / "home") as server:
        assert "Every change, by you or the assistant" in server.page("/default/history")


def test_an_open_page_is_told_of_a_new_event_whatever_its_filter(server):
    with server.socket("/default/history?who=model") as tab:
        add(server, "news")
        hear(tab, 'id="again"')


# -- what an event changed -------------------------------------------------------------------


def test_an_entry_opens_to_the_fields_before_and_after(server):
    key = add(server, "oat milk")
    server.call("task_update", id=key, title="soy milk", done=True)
    told = " ".join(opened(server))
    assert told == "Task “soy milk” changed Title oat milk → soy milk Done no → yes"


def test_a_row_that_only_moved_is_said_to_have_moved(server):
    first, second = add(server, "one"), add(server, "two")
    server.call("task_move", id=second, after=first)
    assert opened(server) == ["Task", "“two”", "moved"]


def test_long_text_is_shown_from_where_it_begins_to_differ(server):
    key = server.call("note_add", title="long", body="same " * 200 + "end")["id"]
    server.call("note_update", id=key, body="same " * 200 + "finish")
    told = " ".join(opened(server))
    assert "end → …" in told and "finish" in told and len(told) < 400


def test_of_a_large_batch_the_first_fifty_rows_are_shown_and_all_counted(server):
    file = server.home / "many.csv"
    file.write_text("title\n" + "".join(f"many {n}\n" for n in range(120)))
    server.call("rows_import", app="tasks", file=str(file))
    told = " ".join(opened(server))
    assert told.count("added") == 50 and told.endswith("These are 50 of 120 rows.")
    assert "<small>120 rows</small>" in server.page("/default/history")


def test_given_an_event_without_rows_or_of_nobody_then_nothing_breaks(server):
    assert server.client.get("/default/history/999999").status_code == 404
    assert server.client.get(f"/default/history/{'9' * 30}").status_code == 404
    assert "changed nothing" in server.page("/default/history/turn-of-nobody")


# -- undo, redo, restore ---------------------------------------------------------------------


def test_undo_from_the_page_draws_its_list_anew_and_offers_redo(server):
    add(server, "there and back")
    event = newest(server)
    said = server.act("POST", f"/default/undo/{event}", **HERE)
    assert 'id="again"' in said.text and ">Redo</button>" in said.text
    page = server.page("/default/history")
    assert "undone</small>" in entry(page, ">Added task “there and back”")
    redo = re.search(r"/default/undo/\d+", entry(page, "Undid: Added task “there and back”"))[0]
    said = server.act("POST", redo)
    assert "Redid: Added task “there and back”" in said.text and ">Undo</button>" in said.text
    assert "redone</small>" in entry(server.page("/default/history"), "Undid: Added task “there")


def test_a_deleted_row_is_restored_from_the_deletions(server):
    key = add(server, "thrown away")
    server.call("task_delete", id=key)
    found = entry(server.page("/default/history?deletions=1&q=thrown"), "Deleted")
    assert ">Restore</button>" in found
    server.act("POST", re.search(r"/default/undo/\d+", found)[0])
    assert server.call("task_get", id=key)["title"] == "thrown away"


def test_ticked_changes_are_undone_as_one(server):
    keys = [add(server, f"ticked {n}") for n in range(3)]
    events = [e["id"] for e in server.call("history")[:3]]
    said = server.act("POST", "/default/undo", {"more[]": [events[0], events[2]]})
    assert "Undid 2 changes: Added task “ticked 0”; Added task “ticked 2”" in said.text
    assert server.call("task_get", id=keys[1])["title"] == "ticked 1"
    for odd in ({}, {"more": "x'; --"}, {"more[]": ["1" * 40]}):
        assert server.act("POST", "/default/undo", odd).status_code == 404


@pytest.fixture
def met(server):
    """The address of an undo that meets a later change, and the row."""
    key = add(server, "first")
    server.call("task_update", id=key, title="second", done=True)
    event = newest(server)
    server.call("task_update", id=key, title="<i>third</i>")
    return f"/default/undo/{event}", key


def test_an_undo_that_meets_a_later_change_shows_both_values_and_asks(server, met):
    answer = server.act("POST", met[0])
    assert (answer.status_code, answer.headers["hx-retarget"]) == (409, "#notices")
    said = "now “&lt;i&gt;third&lt;/i&gt;”; undo would make it “first”"
    assert said in answer.text and answer.text.count("hx-post") == 2
    assert server.call("task_get", id=met[1])["done"] is True


@pytest.mark.parametrize(
    ("choice", "title"), [("skip", "<i>third</i>"), ("overwrite", "first")]
)  # fmt: skip
def test_the_user_chooses_what_happens_to_a_later_change(server, met, choice, title):
    answer = server.act("POST", met[0], {"on_conflict": choice})
    assert answer.status_code == 200
    row = server.call("task_get", id=met[1])
    assert (row["title"], row["done"]) == (title, False)


def test_given_a_choice_that_is_none_then_it_is_refused(server, met):
    assert server.act("POST", met[0], {"on_conflict": "x"}).status_code == 422


def test_an_undo_that_meets_a_deletion_says_so(server):
    key = add(server, "gone")
    server.call("task_update", id=key, title="gone soon")
    event = newest(server)
    server.call("task_delete", id=key)
    said = server.act("POST", f"/default/undo/{event}").text
    assert "the row was deleted since; undo would put it back with “gone”" in said
