"""What a value stands for: a row of another app, a file of the home, a secret kept apart."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from every import EVERY
from model_server import ModelServer, Reply
from pipulate.core.problems import Conflict, Invalid, Problem
from serving import serving

NAMES = ["Ann", "1984", "Apollo #11", "Twin", "twin", "Ann #9"]  # ids 1 to 6
TREE = """
    from pipulate import CrudApp, Ref

    class Book(CrudApp):
        title: str
        author: Ref["author"] | None = None
"""
KEYS = """
    from pipulate import CrudApp, Secret, tool

    class Account(CrudApp):
        name: str
        key: Secret | None = None

        @tool
        def renew(self, key: Secret):
            "Take another key."
            self.table.update(id=self.id, key=key)
            return "Done."

        @tool
        def copied(self):
            self.table.insert(name="copy", key=self.key)

        @tool
        def length(self):
            return len(self.follow("key") or "")
"""


@pytest.fixture
def apps(plugin, call):
    plugin(EVERY, "every")
    for name in NAMES:
        call("author_add", name=name)
    return {"author": "Authors", "thing": "Things"}


@pytest.fixture
def author_of(apps, call):
    return lambda said: call("thing_add", title="x", author=said)["author"]


# -- references ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (1, 1),
        ("1", 1),
        ("#1", 1),
        ("Ann", 1),
        (" ann ", 1),
        ("Ann #1", 1),
        ("Renamed since #1", 1),
        ("1984", 2),
        ("Apollo #11", 3),
        ("Ann #9", 6),
        ("Twin #4", 4),
        (None, None),
        ("", None),
    ],
)
def test_a_reference_is_given_by_number_or_by_name(author_of, said, meant):
    assert author_of(said) == meant


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("nobody", "Authors has no 'nobody'"),
        (99, "Authors has no '#99'"),
        ("Ann #99", "Authors has no 'Ann #99'"),
        ("9" * 30, "Authors has no"),
        ("Twin", "Several authors are called 'Twin'. Add the number: #12."),
        (True, "needs a whole number"),
        (1.5, "needs a whole number"),
        ("x\0", "cannot be stored"),
    ],
)
def test_a_reference_that_is_not_clear_is_refused_at_its_field(author_of, call, said, why):
    with pytest.raises(Invalid) as caught:
        author_of(said)
    assert why in caught.value.details["fields"]["author"]
    assert call("thing_list")["count"] == 0


MEET = """
    from pipulate import CrudApp, File, Pipeline, Ref, tool

    class Person(CrudApp):
        name: str

        @tool
        def meet(self, other: Ref["person"] | None = None, photo: File | None = None):
            found = self.tables("person")[other] if other else self
            return [found.name, photo and photo.path.read_text()]

    look = Pipeline("Look")

    @look.step
    def at(job, person: Ref["person"]):
        return job.tool("person_get", id=person)["name"]
"""


def test_a_tool_and_a_step_are_given_a_row_by_its_name_too(plugin, call, tmp_path, visit):
    plugin(MEET, "meet")
    for name in ("Ann", "Bob"):
        call("person_add", name=name)
    photo = tmp_path / "photo.txt"
    photo.write_text("a face")
    assert call("person_meet", id=1, other="bob", photo=str(photo)) == ["Bob", "a face"]
    assert call("person_meet", id=1) == ["Ann", None]
    with pytest.raises(Problem, match="Persons has no 'Cid'"):
        call("person_meet", id=1, other="Cid")
    for said in ("Bob", "#2", 2):
        made = call("look_run", person=said)
        assert made["output"] == "Bob"
    shown = visit("look", str(made["run"]))
    assert 'data-options="/default/look/options/person"' in shown and 'value="#2"' in shown
    assert 'value="Bob #2"' in visit("look", "options/person", q="bo")


def test_a_row_refers_to_its_own_app_and_follows_from_row_to_row(apps, call, house):
    for title, parent in (("root", None), ("branch", "root"), ("leaf", "branch")):
        call("thing_add", title=title, parent=parent, author="Ann")
    thing = house.shelf.crud("thing")
    leaf = thing.rows(house.caller("user"))[3]
    assert leaf.follow("parent").follow("parent").title == "root"
    assert leaf.follow("parent").follow("parent").follow("parent") is None
    assert leaf.follow("author").name == "Ann"


def test_a_row_that_is_used_is_not_deleted_and_the_refusal_says_by_whom(apps, call):
    for title in "abcd":
        call("thing_add", title=title, author=1)
    for delete in (("author_delete", {"id": 1}), ("rows_delete", {"app": "author", "ids": [1]})):
        with pytest.raises(Conflict, match="Used by 4 things: “a”, “b”, “c”"):
            call(delete[0], **delete[1])
    call("rows_delete", app="thing", where="all=1")
    call("author_delete", id=1)


def test_the_adding_of_a_row_that_is_used_is_not_undone_and_the_refusal_says_by_whom(apps, call):
    added = next(e["id"] for e in call("history") if "Ann" in e["summary"])
    for title in "ab":
        call("thing_add", title=title, author="Ann #6")
    for choice in ("refuse", "skip", "overwrite"):
        with pytest.raises(Conflict, match="Used by 2 things: “a”, “b”. Change or delete"):
            call("undo", event=added, on_conflict=choice)
    assert call("author_get", id=6)["name"] == "Ann #9"
    things = [e["id"] for e in call("history") if e["verb"] == "thing_add"]
    call("undo", event=added, more=things)  # those that go along do not count
    back = call("history")[0]["id"]
    call("undo", event=back)
    assert call("thing_list", filters={"author": "#6"})["count"] == 2
    call("undo", event=call("history")[0]["id"])  # redone: all go again


def test_an_undo_that_would_refer_to_what_is_gone_says_so_and_works_once_that_is_back(apps, call):
    call("thing_add", title="a", author=1)
    call("thing_update", id=1, author=2)
    change = call("history")[0]["id"]
    call("author_delete", id=1)
    deleted = call("history")[0]["id"]
    for choice in ("refuse", "skip", "overwrite"):
        with pytest.raises(Conflict, match="“a” would refer to author #1: it is gone. Bring"):
            call("undo", event=change, on_conflict=choice)
    assert call("thing_get", id=1)["author"] == 2
    call("undo", event=deleted)
    call("undo", event=change)
    assert call("thing_get", id=1)["author"] == 1


def test_an_undo_of_several_changes_of_one_row_leaves_no_reference_to_what_is_gone(apps, call):
    call("thing_add", title="a", author=1)
    call("thing_update", id=1, title="b")
    call("thing_update", id=1, author=2)
    last, title = (event["id"] for event in call("history")[:2])
    call("author_delete", id=1)
    with pytest.raises(Conflict, match="would refer to author #1: it is gone"):
        call("undo", event=last, more=[title])
    assert call("thing_get", id=1)["author"] == 2


def test_an_undo_brings_back_no_reference_to_a_row_that_has_never_been(plugin, call):
    text = "from pipulate import CrudApp, Ref\nclass Thing(CrudApp):\n    title: str\n    more: "
    plugin(f"{text}bool = False\n")
    call("thing_add", title="a")
    call("thing_delete", id=1)
    deleted = call("history")[0]["id"]
    plugin(f'{text}Ref["thing"] | None = None\n')
    with pytest.raises(Conflict, match="would refer to thing #0: it is gone"):
        call("undo", event=deleted)


def test_a_first_author_and_its_use_are_taken_back_as_one_though_no_author_is_left(plugin, call):
    plugin(EVERY, "every")
    call("thing_add", title="a")
    call("author_add", name="Ann")
    call("thing_update", id=1, author=1)
    used, added = (event["id"] for event in call("history")[:2])
    call("undo", event=used, more=[added])
    assert call("thing_get", id=1)["author"] is None and call("author_list")["count"] == 0


def test_a_whole_tree_goes_at_once_though_its_rows_use_each_other(apps, call):
    call("thing_add", title="root")
    call("thing_add", title="leaf", parent=1)
    call("thing_update", id=1, parent=1)
    with pytest.raises(Conflict, match="Used by 1 thing: “leaf”"):
        call("thing_delete", id=1)
    assert call("rows_delete", app="thing", ids=[1, 2]) == {"deleted": 2}


def test_a_reference_stays_within_its_profile(author_of, call):
    call("profile_add", name="Shop")
    call("author_add", at="shop", name="Zoe")
    with pytest.raises(Invalid, match="has no"):
        author_of("Zoe")


def test_rows_of_all_profiles_refer_to_a_shared_one(apps, plugin, call):
    plugin(EVERY.replace("    name: str\n", "    name: str\n    shared = True\n"), "every")
    call("profile_add", name="Shop")
    key = call("author_add", name="Common")["id"]
    assert call("thing_add", at="shop", title="far", author="Common")["author"] == key
    with pytest.raises(Conflict, match="Used by 1 thing: “far”"):
        call("author_delete", id=key)


def test_given_an_app_that_is_missing_then_the_rows_that_refer_to_it_can_still_be_worked_with(
    plugin, call, visit
):
    author = plugin("from pipulate import CrudApp\nclass Author(CrudApp):\n    name: str\n", "a")
    plugin(TREE, "books")
    call("author_add", name="Ann")
    call("book_add", title="Dune", author="Ann")
    author.path.unlink()
    call("profile_list")
    author_gone(visit)
    for where in ({"q": "dune"}, {"filters": {"author": "1"}}, {"sort": "-author"}):
        assert call("book_list", **where)["count"] == 1
    assert call("book_update", id=1, title="Dune 2", author=1)["author"] == 1
    for tool, values in (("book_add", {"title": "x"}), ("book_update", {"id": 1})):
        with pytest.raises(Invalid, match="refers to 'author', which is no app"):
            call(tool, author=2, **values)
    for part in ("", "1", "1/author", "1/*"):
        assert "#1" in visit("books", part)
    assert "Dune 2" in visit("books", "export")


def author_gone(visit):
    visit.house.shelf.scan()
    assert "authors" not in visit.house.shelf.apps


@pytest.fixture
def visit(house, run):
    """visit(app, path): what the page of an app shows."""
    from pipulate.apps.base import Download, Visit
    from pipulate.apps.markup import html

    def visiting(slug, path="", method="GET", **query):
        app = house.shelf.apps[slug]
        route, values = next((r, v) for r in app.routes if (v := r.match(method, path)) is not None)
        caller = house.caller("user", confirmed=True)
        drawn = run(route.run(Visit(house, caller, app, values, query, {}, True)))
        if isinstance(drawn, Download):
            return "".join(drawn.chunks)
        return html(*drawn) if isinstance(drawn, tuple) else html(drawn)

    visiting.house = house
    return visiting


def test_names_are_offered_with_their_numbers_while_one_is_typed(apps, visit):
    offered = re.findall('value="([^"]*)"', visit("things", "options/author", q="twin #4"))
    assert offered == ["twin #5", "Twin #4"]
    assert len(re.findall("<option", visit("things", "options/author"))) == len(NAMES)
    with pytest.raises(Problem, match="refers to no rows"):
        visit("things", "options/title")


def test_a_list_shows_sorts_and_searches_by_the_names_of_what_it_refers_to(apps, call, visit):
    for title, author in (("first", "1984"), ("second", "Ann"), ("third", None)):
        call("thing_add", title=title, author=author)
    shown = visit("things")
    assert '<a href="/default/authors?f.id=1">Ann</a>' in shown
    assert [r["title"] for r in call("thing_list", sort="author")["rows"]] == [
        "first",
        "second",
        "third",
    ]
    assert [r["title"] for r in call("thing_list", sort="-author")["rows"]] == [
        "second",
        "first",
        "third",
    ]
    assert [r["title"] for r in call("thing_list", q="ann")["rows"]] == ["second"]
    call("thing_update", id=2, parent="first")
    call("thing_update", id=1, parent="third")
    assert [r["title"] for r in call("thing_list", sort="parent")["rows"]][:2] == [
        "second",
        "first",
    ]
    assert "Ann #1" in visit("things", "2/author")


# -- files -----------------------------------------------------------------------------------


@pytest.fixture
def shell(house, run, tmp_path):
    """shell(actor, **values): thing_add as a program calls it, from a folder of its own."""

    def calling(actor="shell", tool="thing_add", **values):
        caller = house.caller(actor, cwd=tmp_path)
        return run(house.tools.call(tool, values, caller))

    return calling


def test_a_file_of_this_machine_is_copied_into_the_home(apps, shell, house, tmp_path, visit):
    (tmp_path / "report.csv").write_text("a,b\n")
    kept = shell(title="x", paper="report.csv")["paper"]
    (tmp_path / "report.csv").unlink()
    file = house.files.resolve(kept, house.caller("user"))
    assert file.path.read_text() == "a,b\n" and house.files.folder in file.path.parents
    assert ">report.csv</a>" in visit("things")
    assert shell(title="y", paper=kept)["paper"] == kept  # not copied again
    assert [r["title"] for r in shell(tool="thing_list", filters={"paper": "REPORT"})["rows"]] == [
        "y",
        "x",
    ]


@pytest.mark.parametrize("actor", ["model", "mcp"])
def test_the_model_gives_only_files_of_the_home(apps, shell, tmp_path, house, actor):
    (tmp_path / "private").write_text("x")
    for path in ("private", str(tmp_path / "private"), "../../../etc/passwd", "/etc/passwd"):
        with pytest.raises(Invalid, match="outside of Pipulate's files"):
            shell(actor, title="x", paper=path)
    inside = house.files.folder / "ours.txt"
    inside.write_text("x")
    assert shell(actor, title="x", paper=str(inside))["paper"].startswith("file:")


@pytest.mark.parametrize("said", ["nothing.txt", "file:99", "file:x", "/", "x" * 5_000, "~nobody"])
def test_a_file_that_is_not_there_is_refused(apps, shell, said):
    with pytest.raises(Invalid) as caught:
        shell(title="x", paper=said)
    assert "paper" in caught.value.details["fields"]


def test_a_row_whose_file_is_gone_can_still_be_edited(apps, shell, house, tmp_path, visit):
    (tmp_path / "a.txt").write_text("x")
    row = shell(title="x", paper="a.txt")
    house.files.resolve(row["paper"], house.caller("user")).path.unlink()
    changed = shell(tool="thing_update", id=1, title="y", paper=row["paper"])
    assert (changed["title"], changed["paper"]) == ("y", row["paper"])
    assert "a.txt" in visit("things")
    assert shell(tool="thing_update", id=1, paper=None)["paper"] is None


# -- secrets ---------------------------------------------------------------------------------


@pytest.fixture
def account(plugin, call):
    plugin(KEYS, "keys")
    return lambda key=None: call("account_add", name="Bank", key=key)


@pytest.mark.parametrize(
    ("plain", "shown"),
    [
        ("hunter2-hunter2", "set, ends …ter2"),
        ("correct horse b at", "set, ends …b at"),
        ("short", "set, ends …"),
        ("ünïcödé-…-🙂🙂", "set, ends ……-🙂🙂"),
    ],
)
def test_a_secret_is_shown_by_its_end_and_followed_to_its_text(account, call, house, plain, shown):
    assert account(plain)["key"] == call("account_get", id=1)["key"] == shown
    row = house.shelf.crud("account").rows(house.caller("user"))[1]
    assert row.follow("key") == plain and call("account_length", id=1) == len(plain)


def test_a_secret_is_replaced_removed_and_brought_back_by_undo(account, call):
    account("the first one")
    call("account_update", id=1, name="Other")
    assert call("account_length", id=1) == len("the first one")
    call("account_update", id=1, key="a second key")
    assert call("account_length", id=1) == len("a second key")
    call("account_update", id=1, key=None)
    assert call("account_get", id=1)["key"] is None and call("account_length", id=1) == 0
    for length in (len("a second key"), len("the first one")):
        newest = next(e for e in call("history") if e["undoable"] and e["verb"] != "undo")
        call("undo", event=newest["id"])
        assert call("account_length", id=1) == length


def test_a_secret_that_a_method_writes_is_kept_apart_too(account, call, house):
    account("the first one")
    call("account_renew", id=1, key="a third, better key")
    assert call("account_get", id=1)["key"] == "set, ends … key"
    assert call("account_length", id=1) == len("a third, better key")
    with pytest.raises(Invalid, match="only how key is shown"):
        call("account_copied", id=1)
    assert "better" not in str([*house.events.images(*range(9))])


def test_a_secret_is_dropped_thirty_days_after_its_row_and_never_while_undo_may_need_it(
    account, call, house
):
    def pruned(days):
        """The secrets that are left after so many days."""
        at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        house.db.execute("UPDATE events SET at_utc = ?", (at,))
        house.db.execute("UPDATE secrets SET created_utc = ?", (at,))
        house.events.prune()
        return {row["value"] for row in house.db.all("SELECT value FROM secrets")}

    account("the first isn't")
    account("kept for long")
    both = {"the first isn't", "kept for long"}
    assert pruned(400) == both, "rows hold them"
    call("account_delete", id=1)
    house.db.execute("UPDATE secrets SET created_utc = '2020'")
    house.events.prune()
    call("undo", event=call("history")[0]["id"])
    assert call("account_length", id=1) == len("the first isn't"), "undo needed it"
    call("account_update", id=1, key=None)
    assert pruned(29) == both
    assert pruned(31) == {"kept for long"}
    assert call("account_length", id=2) == len("kept for long")


def test_given_a_plugin_is_gone_then_the_secrets_of_its_rows_stay(account, house):
    account("the first one")
    (house.settings.folder("apps") / "keys.py").unlink()
    house.shelf.scan()
    house.db.execute("UPDATE secrets SET created_utc = '2020'")
    house.db.execute("UPDATE events SET at_utc = '2020'")
    house.events.prune()
    assert house.db.one("SELECT value FROM secrets")["value"] == "the first one"


def test_given_the_reference_of_a_kept_secret_then_it_is_taken_for_text(account, call, house):
    account("the first one")
    kept = house.db.one("SELECT key FROM app_accounts")["key"]
    call("account_add", name="Thief", key=kept)
    assert call("account_length", id=2) == len(kept) != len("the first one")
    house.shelf.crud("account").rows(house.caller("user")).update(id=1, key=kept, name="x")
    assert call("account_length", id=1) == len("the first one")  # a row as it was read


def test_how_a_secret_is_shown_is_no_secret(account):
    with pytest.raises(Invalid, match="the value itself"):
        account("set, ends …1234")


PLAIN = "Xq7-planted-Plaintext-Zz9"


def test_a_planted_secret_is_found_in_no_page_log_event_export_answer_or_prompt(tmp_path):
    home = tmp_path / "home"
    (home / "apps").mkdir(parents=True)
    (home / "apps" / "keys.py").write_text(re.sub("(?m)^    ", "", KEYS))
    seen = {}
    with (
        ModelServer() as model,
        serving(home, env={"PIPULATE_MODEL_URL": model.url, "PIPULATE_MODEL": "m"}) as server,
    ):
        own = "/default/accounts"
        seen["add"] = server.act("POST", own, {"name": "Bank", "key": PLAIN}).text
        seen["refused"] = server.act("POST", own, {"name": "", "key": PLAIN}).text
        seen["edit"] = server.act("PATCH", f"{own}/1", {"name": " ", "key": PLAIN}).text
        assert "may not be blank" in seen["edit"] and "Type it again" in seen["edit"]
        seen["bulk"] = server.act(
            "POST",
            f"{own}/bulk",
            {"bulk.ids[]": "1", "bulk.do": "set", "bulk.field": "key", "key": PLAIN},
        ).text
        seen["renew"] = str(server.call("account_renew", id=1, key=PLAIN))
        seen["long"] = str(server.act("PATCH", f"{own}/1", {"key": PLAIN * 999}).text)
        pages = ["", "/1", "/1/key", "/1/*", "?q=planted", "?sort=key", "?f.key=planted"]
        pages += ["/totals", "/export", "/export?format=json", "/bulk/key", "/import"]
        for page in pages:
            seen[page] = server.client.get(own + page, headers={"HX-Request": "true"}).text
        for page in ("/history", "/history/1", "/search?q=planted", "", "/plugin/keys"):
            seen[page] = server.client.get("/default" + page).text
        for tool in ("account_list", "rows_totals", "rows_export", "history"):
            values = {} if tool in ("account_list", "history") else {"app": "account"}
            seen[tool] = str(server.call(tool, **values))
        model.script(Reply(tools=[("account_list", {})]), Reply(tools=[("history", {})]), "So.")
        with server.socket(own) as socket:
            socket.send('{"msg": "Which accounts do I have?"}')
            said = ""
            while "So." not in said:
                said += str(socket.recv(timeout=10))
        seen["chat"] = said
        seen["prompt"] = str(model.requests)
        seen["log"] = server.log
    for path in home.glob("files/exports/**/*.csv"):
        seen[path.name] = path.read_text()
    assert {name: text for name, text in seen.items() if "Plaintext" in text} == {}
    store = apsw_rows(home / "pipulate.db")
    assert [name for name, text in store.items() if PLAIN in text] == ["secrets"]


def apsw_rows(path):
    """{table: all that it holds, images unpacked, as text}."""
    import apsw

    from pipulate.core.images import unpack

    db = apsw.Connection(str(path))
    names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    held = {name: str(list(db.execute(f'SELECT * FROM "{name}"'))) for name in names}
    held["images"] = str([unpack(body) for (body,) in db.execute("SELECT body FROM images")])
    db.close()
    return held
