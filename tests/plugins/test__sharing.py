"""A shared plugin on the page: what goes out is the shell's file; what comes in, waits."""

import json
import re

import pytest
from click.testing import CliRunner

from pipulate import Problem
from pipulate.doors.cli import cli
from pipulate.plugins import _drafts
from serving import serving

BOOK = '"""Books."""\n\nfrom pipulate import CrudApp\n\n\nclass Book(CrudApp):\n    title: str\n'
TAKE = "/default/call/plugin_take"
SECONDS = 60  # a trial is a process of its own


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("home")) as started:
        started.client.timeout = SECONDS
        yield started


@pytest.fixture
def upload(server):
    """upload(name, text): the reference of an uploaded file, as the page's script gets it."""

    def uploading(name, text):
        address = f"/files/default?name={name}"
        answer = server.client.put(address, content=text.encode())
        assert answer.status_code == 200, answer.text
        return answer.text

    return uploading


def leads(answer):
    return answer.headers.get("hx-redirect") or answer.text


def test_a_shared_file_waits_on_the_page_for_a_yes_and_then_brings_its_rows(server, upload, until):
    rows = [{"id": 3, "title": "Emma"}, {"id": 5, "title": "Persuasion"}]
    package = {"name": "book", "source": BOOK, "data": {"books": rows}}
    form = {"file": upload("book.json", json.dumps(package))}
    assert 'data-upload="file"' in server.page("/default/plugins")
    at = leads(server.act("POST", TAKE, form))
    assert re.fullmatch("/default/plugins/book/[0-9a-f]{64}", at)
    page = server.page(at)
    assert "With 2 rows: bring the file in again after your approval." in page
    assert "from book.json" in page and not (server.home / "apps/book.py").exists()
    server.act("POST", f"{at}/approve")
    until(lambda: "books" in [row["name"] for row in server.call("apps")], seconds=SECONDS)
    for _ in range(2):
        assert leads(server.act("POST", TAKE, form)) == "/default/books"
        assert sorted(row["title"] for row in server.call("book_list")["rows"]) == [
            "Emma",
            "Persuasion",
        ], "none of them twice"
    share = 'href="/default/plugins/book/share'
    assert f'{share}" download' in server.page("/default/plugins")
    for query, words in (("", []), ("?data=yes", ["--data"])):
        answer = server.client.get(f"/default/plugins/book/share{query}")
        assert "attachment" in answer.headers["content-disposition"]
        command = ["share", "book", *words, "--home", str(server.home)]
        said = CliRunner().invoke(cli, command, catch_exceptions=False)
        assert answer.text.strip() == said.stdout.strip(), "one file, whichever door it leaves by"
        assert bool(json.loads(answer.text)["data"]) == bool(query)


def test_a_plain_file_that_does_not_pass_is_shown_with_its_problems(server, upload):
    form = {"file": upload("odd.py", BOOK.replace("title: str", "title: strr"))}
    page = server.page(leads(server.act("POST", TAKE, form)))
    assert "It did not pass its trial" in page and "/approve" not in page


HALF = '{"name": "x", "source": "# \\ud800", "data": {}}'  # of a letter: it had a trace in the log


@pytest.mark.parametrize(
    "text", ["[]", '{"name": "x", "source": BOOK}', "[" * 100_000, HALF], ids=len
)
def test_what_is_no_shared_plugin_is_refused_on_the_page(server, upload, text):
    answer = server.act("POST", TAKE, {"file": upload("x.json", text)})
    assert answer.status_code == 400 and "That is no shared plugin." in answer.text


def test_a_model_and_a_program_take_nothing_in_without_a_click(call, house, tmp_path):
    path = house.files.new_folder("uploads") / "book.py"
    path.write_text(BOOK)
    for actor in ("model", "mcp"):
        with pytest.raises(Problem, match="waits for the user's approval"):
            call("plugin_take", actor=actor, file=str(path))
    assert not _drafts.versions(house.settings.home)


def test_rows_that_came_along_plant_nothing_in_other_apps(call, house, plugin, tmp_path):
    plugin(BOOK, "book")
    data = {"books": [{"title": "Emma"}], "tasks": [{"title": "Planted"}]}
    (path := tmp_path / "book.json").write_text(
        json.dumps({"name": "book", "source": BOOK, "data": data})
    )
    with pytest.raises(Problem, match="rows of tasks, which is no app of its own"):
        call("plugin_take", file=str(path), confirmed=True)
    assert call("task_list")["count"] == call("book_list")["count"] == 0


def test_an_app_without_rows_brings_none(call, plugin, tmp_path):
    plugin(BOOK, "book")
    (path := tmp_path / "book.json").write_text(
        json.dumps(call("plugin_share", name="book", data=True))
    )
    found = call("plugin_take", file=str(path), confirmed=True)
    assert found == {"name": "book", "address": "/default/books", "added": {"books": 0}}


def test_a_pipeline_is_shared_with_rows_though_it_has_none(call, plugin, tmp_path):
    plugin(
        """
        from pipulate import Pipeline
        pay = Pipeline("Pay", "Pays.")

        @pay.step
        def amount(euro: int):
            return euro
        """,
        "pay",
    )
    package = call("plugin_share", name="pay", data=True)
    assert (package["data"], package["files"]) == ({}, {}) and "def amount" in package["source"]


FRIEND = """
from pipulate import CrudApp, File, Ref, Secret

class Book(CrudApp):
    title: str
    author: Ref["author"] | None = None
    cover: File | None = None
    key: Secret | None = None
    after: Ref["book"] | None = None

class Author(CrudApp):
    name: str
"""


@pytest.fixture
def carried(call, plugin, house, tmp_path):
    """carried(): a shared plugin with two books, of which one has a cover and an author."""
    plugin(FRIEND, "books")
    (cover := tmp_path / "cover.bin").write_bytes(b"\0\xff bytes")
    keys = [call("author_add", name=name)["id"] for name in ("Ann", "Bob")]
    one = call("book_add", title="One", author=keys[1], cover=str(cover), key="hidden-word")
    call("book_add", title="Two", after=one["id"])
    return call("plugin_share", name="books", data=True)


def bring(call, path, package):
    path.write_text(json.dumps(package))
    return call("plugin_take", file=str(path), confirmed=True)["added"]


def test_a_shared_row_with_a_file_was_left_out_and_another_row_was_its_author(
    carried, call, house, tmp_path
):
    assert "hidden-word" not in json.dumps(carried)
    for app in ("book", "author"):
        for row in sorted(call(f"{app}_list")["rows"], key=lambda row: -row["id"]):
            call(f"{app}_delete", id=row["id"])
    for name in ("Zoe", "Yan"):  # numbers mean others here
        call("author_add", name=name)
    path = tmp_path / "books.json"
    assert bring(call, path, carried) == {"books": 2, "authors": 2}
    assert bring(call, path, carried) == {"books": 0, "authors": 0}
    books = {row["title"]: row for row in call("book_list")["rows"]}
    assert call("author_get", id=books["One"]["author"])["name"] == "Bob"
    assert books["Two"]["after"] == books["One"]["id"]
    file = house.files.resolve(books["One"]["cover"], house.caller("user"))
    assert (file.name, file.path.read_bytes()) == ("cover.bin", b"\0\xff bytes")


def test_rows_that_refer_to_others_came_to_stand_before_the_rest_of_their_list(
    call, plugin, tmp_path
):
    plugin(FRIEND, "books")
    books = [{"title": "One"}, {"title": "Two", "author": "Ann #1"}, {"title": "Three"}]
    data = {"books": books, "authors": [{"id": 1, "name": "Ann"}]}
    package = {"name": "books", "source": FRIEND, "data": data}
    assert bring(call, tmp_path / "books.json", package) == {"books": 3, "authors": 1}
    rows = call("book_list")["rows"]
    assert [row["title"] for row in rows] == ["One", "Two", "Three"]


def test_rows_of_a_shared_file_that_lack_something_are_told(call, plugin, tmp_path):
    plugin(FRIEND, "books")
    data = {
        "books": [{"title": "One", "author": "Nobody #7"}, {"title": "Two", "cover": "/etc/hosts"}]
    }
    package = {"name": "books", "source": FRIEND, "data": data}
    with pytest.raises(Problem, match="Left out of books: 1, such as row 1: author .*no"):
        bring(call, tmp_path / "books.json", package)
    assert [(r["title"], r["cover"]) for r in call("book_list")["rows"]] == [("Two", None)]


def test_rows_that_were_brought_in_led_to_a_pipeline_of_the_same_file(call, plugin, tmp_path):
    source = (
        BOOK
        + """
from pipulate import Pipeline
audit = Pipeline("Audit", "Counts.")


@audit.step
def counted(text: str):
    return len(text)
"""
    )
    plugin(source, "book")
    given = {"name": "book", "source": source, "data": {"books": [{"title": "Emma"}]}}
    (path := tmp_path / "book.json").write_text(json.dumps(given))
    found = call("plugin_take", file=str(path), confirmed=True)
    assert (found["address"], found["added"]) == ("/default/books", {"books": 1})
