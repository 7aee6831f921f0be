"""The bundled Notes app: Markdown that is drawn, edited as typed, and found again."""

import pytest

BODY = "# Plan\n\n- **one**\n- <script>alert(1)</script>\n\n[out](javascript:alert(1))"


@pytest.fixture
def page(house, call):
    """page(**query): the list as HTML, with one note in it."""
    call("note_add", title="Launch", body=BODY, tags=["work", "site"])
    app, caller = house.shelf.get("notes"), house.caller("user")

    def drawing(**query):
        rows, _ = app.find(caller, app.state(query))
        return app.drawn_rows(rows, caller)

    return drawing


def test_the_body_is_drawn_as_markdown_and_nothing_in_it_runs(page):
    drawn = page()
    assert "<h1>Plan</h1>" in drawn and "<strong>one</strong>" in drawn
    assert "<script" not in drawn and 'href="javascript' not in drawn


def test_the_body_is_edited_as_it_was_typed(house, page):
    app, caller = house.shelf.get("notes"), house.caller("user")
    assert "# Plan\n\n- **one**" in app.editor(app.rows(caller)[1], caller, "body")


@pytest.mark.parametrize("words", ["launch", "plan one", "work"], ids=["title", "body", "tag"])
def test_a_note_is_found_by_any_of_its_words(call, page, words):
    assert call("note_list", q=words)["count"] == 1
    assert call("note_list", q=f"{words} elsewhere")["count"] == 0


def test_notes_are_filtered_by_a_tag(call, page):
    assert call("note_list", filters={"tags": "site"})["count"] == 1
    assert call("note_list", filters={"tags": "home"})["count"] == 0
