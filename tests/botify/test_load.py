"""An exported file in every form: the same links, and every oddity counted."""

import csv
import errno
import gzip
import io
import zipfile
from types import SimpleNamespace

import pytest

from pipulate import Problem
from pipulate.botify import parcel
from pipulate.botify.load import load

GRAPH = "crawl.20250314.outlinks_internal.graph.url"
PAYLOAD = {
    "formatter_config": {"print_header": True, "print_delimiter": True, "header_format": "verbose"},
    "query": {"query": {"dimensions": ["url", GRAPH, "crawl.20250314.http_code"], "metrics": []}},
}
A, B, C = (f"https://shop.example/{name}" for name in "abc")
LINKS = [(A, B, 200), (A, C, 200), (A, C, 200), (B, B, 404), (C, "", 200)]
ROWS = [{"dimensions": [*row], "metrics": []} for row in LINKS]
EDGES = [[A, B], [A, C], [A, C], [B, B]]


@pytest.fixture
def loaded(tmp_path):
    """loaded(content): (what was found, edges, nodes) of a file with that content."""

    def loading(content, columns=("status code",)):
        (tmp_path / "export").write_bytes(content)
        found = load(tmp_path / "export", tmp_path, [*columns])
        tables = []
        for name in ("edges.csv", "nodes.csv"):
            with (tmp_path / name).open(encoding="utf-8", newline="") as text:
                tables.append([*csv.reader(text)])
        return found, *tables

    return loading


def made(rows=ROWS, **form):
    return parcel.write(parcel.Form(**form), PAYLOAD, rows)


@pytest.mark.parametrize("container", ["gzip", "zip", "plain"])
@pytest.mark.parametrize("sep", [True, False])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("wording", ["verbose", "slug", "collection_slug"])
@pytest.mark.parametrize(("bom", "end"), [(True, "\r\n"), (False, "\n")])
def test_every_form_of_the_file_gives_the_same_links(
    loaded, container, sep, header, wording, bom, end
):
    about = {"container": container, "sep": sep, "header": header}
    found, edges, nodes = loaded(made(**about, wording=wording, bom=bom, line_end=end))
    assert edges == [["source", "target"], *EDGES]
    assert nodes == [["id", "status_code"], [A, "200"], [B, "404"], [C, "200"]]
    assert about.items() <= found.items()
    assert (found["rows"], found["links"], found["self_links"], found["blank_target"]) == (
        5,
        4,
        1,
        1,
    )


def test_no_row_disappears_unseen_in_a_hostile_file(loaded):
    found, edges, nodes = loaded(made(hostile=True))
    assert (
        found["rows"]
        == 5 + len(parcel.HOSTILE)
        == sum(found[name] for name in ("links", "blank_target", "blank_source", "short"))
    )
    odd = {"formulas": 1, "line_breaks": 1, "long": 1, "short": 1, "blank_source": 1}
    assert odd.items() <= found.items()
    assert ["'=HYPERLINK(1)", "'@SUM(1+1)"] in edges, "a spreadsheet runs nothing of it"
    assert [
        "https://www.demo-shop.example/line\nbreak",
        'https://www.demo-shop.example/"quoted"',
    ] in edges
    assert max(len(cell) for row in edges for cell in row) > 6_000
    assert {row[0] for row in edges[1:]} | {C} == {row[0] for row in nodes[1:]}


def test_columns_are_taken_by_their_names_when_these_are_known(loaded):
    text = f"target,http_code,url\n{B},200,{A}\n"
    _, edges, nodes = loaded(text.encode())
    assert edges[1:] == [[A, B]] and nodes[1:] == [[A, "200"]]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_found_out_or_told_by_the_first_line(loaded, delimiter):
    line = delimiter.join([A, B, "200"])
    assert loaded(f"{line}\n".encode())[1][1:] == [[A, B]]
    assert loaded(f"sep={delimiter}\n{line}\n".encode())[0]["sep"]


@pytest.mark.parametrize("wide", [True, False])
def test_semicolons_in_addresses_and_bars_in_titles_part_no_cells(loaded, wide):
    page = f"{A};jsessionid=1;colour=red|blue"
    line = f"{page},{B}" + ",Home | Shop | Buy; x | y" * wide
    found, edges, nodes = loaded(f"{line}\n{line}\n".encode(), ["title"])
    assert edges[1:] == [[page, B], [page, B]] and found["short"] == 0
    assert nodes[1:] == [[page, "Home | Shop | Buy; x | y" * wide]]


def test_fields_are_taken_by_their_names_in_whichever_order(loaded):
    head = "metadata.title.content,url,outlinks_internal.graph.url,http_code"
    _, edges, nodes = loaded(f"{head}\nHome,{A},{B},200\n".encode(), ["status code", "title"])
    assert edges[1:] == [[A, B]] and nodes[1:] == [[A, "200", "Home"]]


def test_a_file_with_fewer_columns_than_were_asked_for_gives_its_links(loaded):
    _, edges, nodes = loaded(f"Full URL,Links\n{A},{B}\n".encode())
    assert edges[1:] == [[A, B]] and nodes[1:] == [[A, ""]]


def test_a_first_row_without_header_is_no_header(loaded):
    found, edges, _ = loaded(f"{A},{B},200\n{B},{C},200\n".encode())
    assert len(edges) == 3 and not found["header"]


def test_broken_letters_are_counted_and_kept_apart(loaded):
    found, edges, _ = loaded(f"{A},{B}?q=\xe9,200\n".encode("latin-1"))
    assert found["unreadable"] == 1 and edges[1][1].endswith("\ufffd")


def test_a_file_in_a_folder_of_the_archive_is_found(loaded):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("about.txt", "hello")
        archive.writestr("out/", "")
        archive.writestr("out/links.CSV", f"{A},{B},200\n")
    assert loaded(packed.getvalue())[1][1:] == [[A, B]]


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


EMPTY_ZIP = io.BytesIO()
zipfile.ZipFile(EMPTY_ZIP, "w").close()


def test_what_a_mac_puts_into_an_archive_is_no_table(loaded):
    files = {"__MACOSX/._links.csv": b"\0\5", ".hidden.csv": "x", "links.csv": f"{A},{B},200\n"}
    assert loaded(zipped(**files))[1][1:] == [[A, B]]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (zipped(**{"1.csv": f"{A},{B}\n", "2.csv": f"{B},{C}\n"}), "holds 2 files: 1.csv, 2.csv"),
        (zipped(**{"links.csv.gz": made()}), "no text in UTF-8"),
        (gzip.compress(made()), "no text in UTF-8"),
        (f"{A},{B}\n".encode("utf-16"), "no text in UTF-8"),
    ],
    ids=range(4),
)
def test_of_several_tables_none_is_dropped_and_bytes_are_no_links(loaded, content, why):
    with pytest.raises(Problem, match=why):
        loaded(content)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"sep=,\n", "is empty"),
        (made()[:-9], "damaged or breaks off"),
        (made()[:40], "damaged or breaks off"),
        (made(container="zip")[:-30], "damaged or breaks off"),
        (gzip.compress(b"x" * 10**5)[:60] + b"\xff" * 99, "damaged or breaks off"),
        (EMPTY_ZIP.getvalue(), "zip file is empty"),
        (b"<?xml version='1.0'?><Error>Expired</Error>", "no export: <.xml"),
        (b'{"error": "no such file"}', "no export: {"),
        (b"<html>502</html>", "no export: <html>"),
    ],
    ids=range(11),
)
def test_what_is_no_whole_export_is_refused(loaded, content, why):
    with pytest.raises(Problem, match=why) as problem:
        loaded(content)
    assert "export anew" in problem.value.next_step


def test_the_step_hears_how_far_it_is(tmp_path):
    (tmp_path / "x").write_text(f"{A},{B}\n" * 45_000)
    told = []
    load(tmp_path / "x", tmp_path, [], told.append)
    assert told == [20_000, 40_000]


def test_a_disk_that_is_full_leaves_no_half_table(tmp_path, monkeypatch):
    (tmp_path / "x").write_text(f"{A},{B}\n")

    def full(*about, **how):
        yield "id\n"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        "pipulate.botify.load.CsvFile", lambda *_, **__: SimpleNamespace(chunks=full())
    )
    with pytest.raises(OSError, match="No space"):
        load(tmp_path / "x", tmp_path / "out", [])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["edges.csv"]
