"""The manual as pages of the app: every page is there, is found, and leads where its links say."""

import re
from html import unescape

import pytest

from pipulate.plugins._manual import FOLDER, page


@pytest.fixture(scope="module")
def pages(server):
    """{name: its HTML, without the frame} of every page of the manual, as the app shows it."""
    names = sorted(path.name for path in FOLDER.glob("*.md"))
    return {n: server.act("GET", f"/default/docs/{n}").text for n in names}


def test_every_page_of_the_manual_is_shown_and_is_in_its_list(pages):
    assert "first-app.md" in pages
    listed = set(re.findall(r'href="([\w-]+\.md)', pages["README.md"]))
    assert listed | {"README.md"} == pages.keys()
    for name, drawn in pages.items():
        assert "<h1" in drawn and "<!--" not in unescape(drawn), name


def test_links_of_the_pages_lead_to_pages_and_headings_that_are_there(pages):
    for name, drawn in pages.items():
        for target, anchor in re.findall(r'href="([\w./-]*)#?([\w-]*)"', drawn):
            found = pages[target or name]
            assert not anchor or f'id="{anchor}"' in found, f"{name} leads to {target}#{anchor}"


def test_pictures_of_the_manual_are_shown(server, pages):
    (source,) = set(re.findall(r'<img src="([^"]+)"', pages["first-pipeline.md"]))
    answer = server.client.get(f"/default/docs/{source}")
    assert answer.headers["content-type"] == "image/png"


def test_ten_pages_of_the_manual_in_ten_tabs_are_told_apart(server):
    assert "<title>Start in five minutes · Pipulate<" in server.page("/default/docs/start.md")


def test_the_manual_is_searched_by_words(server):
    found = server.act("GET", "/default/docs/README.md?q=xtra+handle").text
    assert 'href="xtra.md"' in found and "start.md" not in found
    line = re.search(
        r'href="botify.md".*?<small>(.*?)</small>', server.page("/default/docs/README.md?q=gexf")
    )[1]
    assert "gexf" in line and not {*"|`*"} & {*line}, "words, not the marks of their page"
    nothing = server.act("GET", "/default/docs/README.md?q=%3Cqwxz%3E").text
    assert "No page holds these words." in nothing and "<qwxz" not in nothing


def test_the_page_where_the_words_stand_together_is_found_first_with_that_paragraph(server):
    drawn = server.act("GET", "/default/docs/README.md?q=undo+import").text
    (name, title, line), *_ = re.findall(r'href="(\w+\.md)">([^<]*)</a>\s*<small>(.*?)<', drawn)
    assert (name, title) == ("rows.md", "Working with rows")
    assert "import" in line.lower() and "undo" in line.lower(), "the best paragraph"
    assert not re.search(r"[*`|#]|]\(", line), "as plain text"
    assert 'href="first-app.md"' in server.act("GET", "/default/docs/README.md?q=crudapp").text


@pytest.mark.parametrize("path", ["/docs", "/docs/start.md"])
def test_the_manual_has_an_address_without_a_profile(server, path):
    answer = server.client.get(path, follow_redirects=True)
    assert answer.status_code == 200 and re.search(r"/default/docs/\w+\.md$", str(answer.url))
    assert 'href="/default/docs"' in answer.text, "Help in the menu"


@pytest.mark.parametrize("name", ["nothing.md", "..%2f..%2fREADME.md", "%2fetc%2fpasswd", "images"])
def test_only_pages_of_the_manual_are_given_out(server, name):
    answer = server.client.get(f"/default/docs/{name}")
    assert answer.status_code == 404 and "The manual has no page" in answer.text


def test_the_manual_is_behind_the_guard(server):
    assert server.client.build_request("GET", "/docs").headers.get("cookie")
    with type(server.client)(base_url=server.url) as stranger:
        assert stranger.get("/docs/start.md").status_code == 403


def test_markup_in_a_page_is_text():
    assert "<script>" not in str(page("# A\n\n<script>x</script> `<script>`\n"))
