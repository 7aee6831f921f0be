"""Files: served by number, reached only where their caller may."""

import os
import stat
from functools import partial

import pytest

from pipulate.apps import files
from pipulate.apps.house import House
from pipulate.core.fields import File
from pipulate.core.problems import Missing, Problem, Refused
from pipulate.core.settings import Settings


@pytest.fixture
def first(house):
    return house.profiles.at()


@pytest.fixture
def upload(house, run, first):
    def uploading(name, *chunks, profile=None):
        async def body():
            for chunk in chunks or (b"a,b\n",):
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk

        return run(house.files.upload(profile or first, name, body()))

    return uploading


NAMES = [
    ("links.csv", "links.csv"),
    ("../../etc/passwd", "passwd"),
    ("..\\..\\windows\\x.csv", "x.csv"),
    ("/etc/passwd", "passwd"),
    ("..", "file"),
    (".", "file"),
    ("", "file"),
    (".part", "part"),
    ("a\0b.csv", "a_b.csv"),
    ("a\nb.csv", "a_b.csv"),
    ("<b>.csv", "_b_.csv"),
    ("é ü.csv", "é ü.csv"),
    ("C:x.csv", "C_x.csv"),
    ("x" * 300 + ".csv", None),
    ("名" * 300 + ".csv", None),
]


@pytest.mark.parametrize(("name", "kept"), NAMES, ids=[ascii(n)[:24] for n, _ in NAMES])
def test_given_any_name_then_the_file_is_kept_below_the_uploads(house, first, upload, name, kept):
    found = house.files.get(first, upload(name))
    assert found.path.read_bytes() == b"a,b\n"
    assert found.path.parents[1] == (house.files.folder / "uploads").resolve()
    assert kept in (None, found.name) and found.name.endswith(".csv") is name.endswith(".csv")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("CON.csv", "_CON.csv"),
        ("nul", "_nul"),
        ("lpt1.tar.gz", "_lpt1.tar.gz"),
        ("console.csv", "console.csv"),
        ("my com1.csv", "my com1.csv"),
        ("a.csv. ", "a.csv"),
    ],
)
def test_a_name_that_windows_refuses_or_changes_is_kept_as_one_that_any_system_has(
    house, first, upload, name, kept
):
    assert house.files.get(first, upload(name)).path.name == kept


def test_a_body_comes_in_pieces_and_is_kept_whole(house, first, upload):
    found = house.files.get(first, upload("a.csv", b"1,", b"2\n", b"3,4\n"))
    assert found.path.read_bytes() == b"1,2\n3,4\n"


def test_two_uploads_of_one_name_are_two_files(house, first, upload):
    one, two = upload("a.csv", b"1"), upload("a.csv", b"2")
    assert one != two and house.files.get(first, one).path.read_bytes() == b"1"


def test_the_same_file_uploaded_again_is_kept_once(upload, house):
    one, _, again = upload("a.csv", b"1"), upload("b.csv", b"1"), upload("a.csv", b"1")
    assert again == one and len([*house.files.folder.glob("uploads/*")]) == 2


def test_an_empty_file_is_refused(upload, house, first):
    with pytest.raises(Problem, match="empty"):
        upload("a.csv", b"")
    assert house.files.table(first).count() == 0


@pytest.mark.parametrize("error", [RuntimeError("gone"), KeyboardInterrupt()], ids=repr)
def test_given_an_upload_that_breaks_off_then_no_half_file_is_left(upload, house, first, error):
    with pytest.raises(type(error)):
        upload("a.csv", b"1,2\n", error)
    assert house.files.table(first).count() == 0
    assert list(house.files.folder.glob("uploads/*")) == []


def test_a_file_belongs_to_its_profile(house, call, upload, first):
    call("profile_add", name="Shop")
    key = upload("a.csv")
    with pytest.raises(Missing):
        house.files.get(house.profiles.at("shop"), key)


def test_given_a_file_gone_from_disk_then_missing_says_so(house, upload, first):
    key = upload("a.csv")
    house.files.get(first, key).path.unlink()
    with pytest.raises(Missing, match="gone from disk"):
        house.files.get(first, key)


@pytest.mark.parametrize("path", ["../pipulate.db", "/etc/passwd", "a/../../cookie.key", "."])
def test_given_a_row_that_names_a_path_outside_then_it_is_not_served(house, first, path):
    row = house.files.table(first).insert(path=path, name="x", size=1, created_utc="")
    with pytest.raises(Missing):
        house.files.get(first, row["id"])


def test_given_a_link_that_leads_outside_then_it_is_not_served(house, first, tmp_path, upload):
    (tmp_path / "secret").write_text("x")
    found = house.files.get(first, key := upload("a.csv"))
    found.path.unlink()
    found.path.symlink_to(tmp_path / "secret")
    with pytest.raises(Missing):
        house.files.get(first, key)
    with pytest.raises(Refused):
        house.files.resolve(str(found.path), house.caller("model"))


@pytest.mark.parametrize("actor", ["model", "mcp"])
@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "~/.bashrc", "../pipulate.db", "{files}/../pipulate.db", "{home}/cookie.key",
     "/nowhere/at/all", "{files}2/x"],
)  # fmt: skip
def test_a_model_reaches_no_path_outside_and_learns_nothing_of_it(house, actor, path):
    said = path.format(files=house.files.folder, home=house.settings.home)
    with pytest.raises(Refused, match="outside"):
        house.files.resolve(said, house.caller(actor))


@pytest.mark.parametrize("actor", ["user", "shell", "model", "mcp"])
def test_everybody_reaches_uploads_and_outputs_by_number_and_by_path(house, upload, actor, first):
    key = upload("a.csv")
    path = house.files.get(first, key).path
    for said in (f"file:{key}", f" file:{key} ", str(path), File(path)):
        assert house.files.resolve(said, house.caller(actor)).path.resolve() == path


def test_a_person_names_any_file_relative_to_where_they_are(house, tmp_path):
    (tmp_path / "a.csv").write_text("x")
    caller = house.caller("shell", cwd=tmp_path)
    assert house.files.resolve("a.csv", caller).path == tmp_path / "a.csv"
    with pytest.raises(Problem, match="There is no file"):
        house.files.resolve("b.csv", caller)


def test_a_path_in_quotes_as_windows_copies_it_is_that_path(house, tmp_path):
    (tmp_path / "my links.csv").write_text("a,b\n")
    said = f'"{tmp_path / "my links.csv"}"'
    assert house.files.resolve(said, house.caller("user")).path == tmp_path / "my links.csv"


def test_a_path_in_the_home_has_an_address_and_others_have_none(house, first, upload, tmp_path):
    address = partial(house.files.address, first)
    key = upload("a.csv")
    path = next(p for p in house.files.folder.rglob("a.csv"))
    assert address(path) == f"/files/default/{key}" == address(path)
    (tmp_path / "b.csv").write_text("x")
    assert address(tmp_path / "b.csv") == "" == address(house.files.folder / "never")


def test_a_running_programs_files_are_all_for_their_owner_alone(launch, tmp_path):
    os.umask(0o022)
    served = launch(home=tmp_path / "home")
    body = {"title": "x"}
    assert served.client.post("/default/tasks", data=body).status_code in (200, 303)
    answer = served.client.put("/files/default?name=a.csv", content=b"a,b\n")
    assert answer.text.startswith("file:")
    paths = [served.home, *served.home.rglob("*")]
    there = (p for p in paths if p.exists())  # the daily backup may be made just now
    modes = {str(p.relative_to(served.home)): stat.S_IMODE(p.stat().st_mode) for p in there}
    assert "pipulate.db-wal" in modes
    wrong = {n: oct(m) for n, m in modes.items() if m & 0o077}
    assert wrong == {}


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "~nobodyatall/x", "a" * 5000, "/root/\udcff"])
def test_given_a_path_that_cannot_be_one_then_it_is_a_file_that_is_not_there(house, path):
    with pytest.raises(Problem, match="There is no file"):
        house.files.resolve(path, house.caller("user"))


def test_a_file_of_a_run_belongs_to_its_profile_and_no_other_run_is_looked_at(house, first, call):
    other = call("profile_add", name="Other")["id"]
    for profile in (first.id, other):
        house.runs.create(profile, "hello")
    paths = ("runs/2/x.csv", "runs/23/y.csv", "runs2/z.csv", "2.csv")
    for path in paths:
        house.db.execute(files.ENTER, (path, path, 1, "2026"))
    kept = {row["path"]: row["profile_id"] for row in house.db.table("files")()}
    assert kept == dict.fromkeys(paths, first.id) | {"runs/2/x.csv": other}
    plan = house.db.all(f"EXPLAIN QUERY PLAN {files.ENTER}", ("runs/2/x.csv", "x", 1, "2026"))
    assert "SEARCH runs USING INTEGER PRIMARY KEY (rowid=?)" in [step["detail"] for step in plan]


def test_a_file_of_a_home_that_is_reached_by_a_link_is_kept_by_its_own_path_too(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    house = House(Settings(tmp_path / "link", browser=False))
    there = tmp_path / "home/files/a.txt"
    there.write_text("hello")
    for path in (there, tmp_path / "link/files/a.txt"):
        assert house.files.take_in(path, house.caller("user")) == "file:1"
    house.db.close()


def test_a_file_given_twice_by_its_path_is_copied_once(house, tmp_path):
    (path := tmp_path / "a.txt").write_text("one")
    caller = house.caller("user")
    first = house.files.take_in(str(path), caller)
    assert house.files.take_in(str(path), caller) == first
    path.write_text("two")
    assert house.files.take_in(str(path), caller) != first
    assert house.files.resolve(first, caller).path.read_text() == "one"
