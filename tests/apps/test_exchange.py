"""Rows in and out on the page and as tools: downloads, the preview of an import, its button."""

import json
import re

import pytest

from pipulate.apps.base import Download, Visit
from pipulate.apps.exchange import export
from pipulate.apps.markup import html
from pipulate.core.problems import Confirm, NeedsApproval, Unknown
from workbooks import workbook

APPS = """
    from decimal import Decimal
    from pipulate import CrudApp, Ref, Secret

    class Author(CrudApp):
        name: str
        key: Secret | None = None

    class Book(CrudApp):
        title: str
        price: Decimal | None = None
        author: Ref["author"] | None = None
        done: bool = False
"""


@pytest.fixture
def book(plugin):
    return {app.name: app for app in plugin(APPS, "apps").apps}["book"]


@pytest.fixture
def author(house, book):
    return house.shelf.crud("author")


@pytest.fixture
def visit(house, book, run):
    """visit(method, path, form, **query): what the app's page answers."""

    def visiting(method, path, form=None, **query):
        route = next(r for r in book.routes if r.match(method, path) is not None)
        caller = house.caller("user", confirmed=True)
        answer = run(route.run(Visit(house, caller, book, {}, query, form or {}, True)))
        if isinstance(answer, Download):
            return answer
        return html(*answer) if isinstance(answer, tuple) else html(answer)

    return visiting


@pytest.fixture
def file(house, run):
    """file(text, name): the reference of an uploaded file."""

    def uploading(text, name="books.csv"):
        async def body():
            yield text.encode()

        profile = house.profiles.at()
        return f"file:{run(house.files.upload(profile, name, body()))}"

    return uploading


def text_of(drawn):
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", drawn))


# -- out -----------------------------------------------------------------------------------------


def test_a_download_is_the_list_as_the_address_describes_it(visit, call):
    for title, done in (("Dune", True), ("=Emma", False), ("Cosmos", False)):
        call("book_add", title=title, done=done, price="-1.50")
    made = visit("GET", "export", sort="title", **{"f.done": "no"})
    assert re.fullmatch(r"books-\d{4}-\d\d-\d\d\.csv", made.name) and made.rows == 2
    lines = "".join(made.chunks).splitlines()
    assert lines[0] == "\ufeffid,title,price,author,done"
    assert lines[1:] == ["2,'=Emma,-1.50,,false", "3,Cosmos,-1.50,,false"]
    some = visit("GET", "export", cols="done,title", raw="1", sort="-title", format="json")
    rows = json.loads("".join(some.chunks))
    assert len(rows) == 3 and rows[0] == {"id": 1, "done": True, "title": "Dune"}
    assert [*rows[0]] == ["id", "done", "title"]


def test_a_reference_goes_out_as_a_name_with_its_number(visit, call):
    key = call("author_add", name="Ann")["id"]
    call("book_add", title="Dune", author=key)
    assert f"Dune,,Ann #{key},false" in "".join(visit("GET", "export").chunks)


def test_secrets_stay_at_home(house, author, call):
    call("author_add", name="Ann", key="hunter2hunter2")
    for form in ("csv", "json"):
        out = "".join(export(author, house.caller("user"), author.state_of(""), form).chunks)
        assert "Ann" in out and "key" not in out and "ter2" not in out


def test_a_row_that_goes_while_a_download_runs_is_left_out(house, book, call):
    for n in range(3):
        call("book_add", title=f"Book {n}")
    made = export(book, house.caller("user"), book.state_of("sort=title"))
    call("book_delete", id=2)
    assert "".join(made.chunks).count("Book") == 2


# -- the page of an import -------------------------------------------------------------------------


def test_without_a_file_the_page_says_what_to_do(visit):
    drawn = visit("GET", "import")
    assert "data-upload" in drawn and "data-paste" in drawn


def test_the_preview_shows_each_column_with_its_first_values_and_its_field(visit, file):
    drawn = visit("GET", "import", file=file("id,Title,Cost\n7,Dune,3.5\n8,Emma,\n"))
    assert "Dune · Emma" in drawn and "books.csv" in drawn
    assert re.search(r'<option value="title" selected[^>]*>Title', drawn)
    assert re.search(r'name="c.Cost".*?<option value="" selected', drawn)
    assert 'name="c.id"' not in drawn and 'name="m.id"' in drawn and 'name="m.price"' not in drawn


def test_a_table_without_a_heading_is_noticed(visit, file):
    drawn = visit("GET", "import", file=file("Dune\t3.5\nEmma\t2\n"))
    assert re.search(r'name="c.Column 1".*?value="title" selected', drawn)
    assert "2 to add" in visit("GET", "import", file=file("Dune\t3.5\nEmma\t2\n"))


@pytest.mark.parametrize(
    "text",
    ["Buchtitel;Preis\nDune;3.5\nEmma;2\n", "Preis;Jahr;Wer\n3.5;1965;Ann\n2;1815;Bob\n"],
    ids=["no value of its field", "unlike the rows below"],
)
def test_a_heading_in_which_no_field_is_named_is_noticed_too(visit, file, text):
    drawn = visit("GET", "import", file=file(text))
    assert re.search(r'name="header"[^>]* checked', drawn) and "in the order of the fields" in drawn
    first = text.partition(";")[0]
    assert re.search(rf'name="c.{first}".*?value="title" selected', drawn)
    assert "2 to add" in drawn or "left out" in drawn


@pytest.mark.parametrize("text", ["1984;3.5\nEmma;2\n", "Dune;n/a;Ann;yes\nEmma;2;Bob;no\n"])
def test_a_first_row_with_one_odd_cell_is_no_heading(visit, file, text):
    drawn = visit("GET", "import", file=file(text))
    assert 'name="c.Column 1"' in drawn and not re.search(r'name="header"[^>]* checked', drawn)


def test_given_a_heading_of_unknown_names_is_ticked_then_no_column_is_left_out(visit, file):
    query = {"file": file("Buchtitel;Autor\nDune;3.5\n"), "header": "true"}
    drawn = visit("GET", "import", **query)
    assert re.search(r'name="c.Buchtitel".*?value="title" selected', drawn)
    assert re.search(r'name="c.Autor".*?value="price" selected', drawn)
    assert "1 to add" in drawn and "in the order of the fields" in drawn
    chosen = visit("GET", "import", **query, **{"c.Autor": ""})
    assert re.search(r'name="c.Autor".*?value="" selected', chosen)


def test_one_of_several_sheets_is_chosen(visit, tmp_path):
    sheets = {"One": [["title"], ["Dune"]], "Two": [["title"], ["Emma"]]}
    given = {"file": str(workbook(tmp_path / "t.xlsx", sheets))}
    assert "Dune" in visit("GET", "import", **given)
    drawn = visit("GET", "import", sheet="Two", **given)
    assert "Emma" in drawn and re.search(r"<option[^>]*selected[^>]*>Two", drawn)


def test_what_cannot_be_read_is_said_where_another_can_be_chosen(visit, file):
    drawn = visit("GET", "import", file=file("%PDF-1.7"))
    assert "is no table" in drawn and "data-upload" in drawn
    assert "There is no file" in visit("GET", "import", file="/nowhere.csv")


def test_the_check_says_what_would_happen_and_why_rows_are_left_out(visit, file, call):
    call("book_add", title="Dune")
    rows = "".join(f",{n}\n" for n in range(60))
    query = {"file": file(f"Title,Price\nDune,1\nEmma,2\n<b>,x\n{rows}"), "m.title": "true"}
    drawn = visit("GET", "import", **query)
    said = text_of(drawn)
    assert "1 to add · 1 to change · 61 left out" in said and "Import 2 rows" in said
    assert (
        "4 Price needs a number" in said
        and "5 Title may not be blank" in said
        and "and 11 more" in said
    )
    assert [row["title"] for row in call("book_list")["rows"]] == ["Dune"]


def test_a_number_that_is_none_is_a_reason_too(visit, file):
    query = {"file": file("id,Title\nx,Dune\n"), "m.id": "true"}
    assert "2 id needs a whole number" in text_of(visit("GET", "import", **query))


def test_a_left_out_row_shows_the_value_that_did_not_fit_but_no_secret(visit, file, call):
    drawn = text_of(visit("GET", "import", file=file("Title,Done\nDune,hgh\n")))
    assert "2 Done needs yes or no (it is 'hgh')" in drawn
    given = file('name,key\nAnn,"two\nparts"\n', "a.csv")
    (left,) = call("rows_import", app="author", file=given, dry_run=True)["skipped"]
    assert "key" in left["why"] and left["was"] == {}


def test_a_column_whose_first_word_is_a_field_is_guessed(visit, file):
    drawn = visit("GET", "import", file=file("Title,Price in euro\nDune,9\n"))
    assert re.search(r'name="c.Price in euro".*?<option[^>]*value="price"[^>]*selected', drawn)


def test_two_columns_for_one_field_are_a_message_not_a_failure(visit, file):
    query = {"file": file("a,b\n1,2\n"), "c.a": "title", "c.b": "title", "header": "true"}
    assert "2 columns of the file" in visit("GET", "import", **query)


def test_given_a_notation_is_unclear_then_it_is_chosen_on_the_page(visit, file, call):
    query = {"file": file("title;price\nDune;1,234\nEmma;2,500\n")}
    drawn = visit("GET", "import", **query)
    assert "decimal point or decimal comma: say which" in drawn and "2 left out" in drawn
    assert re.search(r'name="n.price".*?<option[^>]*>decimal comma', drawn)
    assert 'name="n.title"' not in drawn
    query["n.price"] = "decimal comma"
    drawn = visit("GET", "import", **query)
    assert "Price: decimal comma" in text_of(drawn) and "Import 2 rows" in text_of(drawn)
    assert re.search(r"<option[^>]*selected[^>]*>decimal comma", drawn)
    visit("POST", "import", query)
    assert [row["price"] for row in call("book_list")["rows"]] == ["1.234", "2.500"]


def test_the_button_imports_what_was_checked_and_offers_undo(visit, file, call):
    form = {"file": file("A,B\nDune,1.50\n"), "c.A": "title", "c.B": "price", "header": "true"}
    drawn = visit("POST", "import", form)
    assert "1 added" in drawn and "/default/undo/" in drawn
    assert call("book_list")["rows"][0]["price"] == "1.50"
    event = re.search(r"/default/undo/(\d+)", drawn)[1]
    call("undo", event=int(event))
    assert call("book_list")["count"] == 0


def test_the_page_is_told_how_far_a_long_import_is(visit, file, house, monkeypatch):
    told, clock = [], iter(range(1_000_000))
    monkeypatch.setattr("pipulate.apps.exchange.time.monotonic", lambda: next(clock) * 2)
    house.on_progress.append(lambda *said: told.append(said))
    rows = "".join(f"Book {n}\n" for n in range(2_500))
    visit("POST", "import", {"file": file("title\n" + rows)})
    profile, said, at = told[-1]
    assert (profile, at) == (house.profiles.at().id, "/default/books/import")
    assert "2,000 rows read" in said and 'hx-swap-oob="true"' in said


# -- tools -----------------------------------------------------------------------------------------


def test_rows_export_leaves_a_file(call, house, book):
    call("book_add", title="Dune")
    made = call("rows_export", app="books", format="json")
    kept = house.files.get(house.profiles.at(), int(made["file"].removeprefix("file:")))
    assert made["rows"] == 1 and json.loads(kept.path.read_text())[0]["title"] == "Dune"
    assert kept.path.is_relative_to(house.files.folder / "exports")
    again = call("rows_import", app="book", file=made["file"], match=["id"], confirmed=True)
    assert again["unchanged"] == 1


@pytest.mark.parametrize(("actor", "kind"), [("model", NeedsApproval), ("shell", Confirm)])
def test_a_program_asks_before_an_import_but_not_for_a_dry_run(call, file, actor, kind, book):
    given = {"app": "books", "file": file("title\nDune\n"), "actor": actor}
    assert call("rows_import", dry_run=True, **given)["add"] == 1
    with pytest.raises(kind):
        call("rows_import", **given)
    assert call("book_list")["count"] == 0
    assert call("rows_import", confirmed=True, **given)["done"]
    assert call("book_list")["count"] == 1


def test_an_app_nobody_has_is_unknown(call, file, book):
    with pytest.raises(Unknown, match="'books'"):
        call("rows_import", app="boks", file=file("title\nDune\n"), confirmed=True)
