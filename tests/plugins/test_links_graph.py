"""The links pipeline: how files are read, what is counted, and every bad input."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipulate import File, Problem
from pipulate.plugins import links

#  a -> b -> c -> a,  a -> c (twice),  b -> b,  d -> a (d unreached from a),  x -> y apart
GRAPH = [("/a", "/b"), ("/b", "/c"), ("/c", "/a"), ("/a", "/c"), ("/a", "/c"), ("/b", "/b")]
GRAPH += [("/d", "/a"), ("/x/1", "/x/2")]


@pytest.fixture
def job(tmp_path):
    """A stand-in for the framework's job that remembers the progress told."""
    folder = tmp_path / "files"
    folder.mkdir()
    told = []
    return SimpleNamespace(files=folder, told=told, progress=lambda *said: told.append(said))


@pytest.fixture
def write(tmp_path):
    def write_file(content, encoding="utf-8"):
        path = tmp_path / "links.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return File(path)

    return write_file


def sniff(file):
    return links.source(file)


def guessed(source):
    return links.origin_columns(source)[0], links.target_columns(source)[0]


def measure(file, job, start=""):
    source = sniff(file)
    return links.measure(source, links.columns(source, *guessed(source)), job, start)


def as_csv(pairs, header="source,target\n"):
    return header + "".join(f"{source},{target}\n" for source, target in pairs)


def rows_of(file):
    with open(file.path, encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


# What is counted


def test_every_row_is_accounted_for(write, job):
    result = measure(write(as_csv([*GRAPH, ("", "/q"), ("/r", " ")]) + "/alone\n\n"), job)
    counts = {key: result[key] for key in ("pages", "links", "repeated", "self_links", "blank")}
    assert counts == {"pages": 6, "links": 6, "repeated": 1, "self_links": 1, "blank": 3}
    assert sum(int(row["count"]) for row in rows_of(result["edges"])) == len(GRAPH)
    assert {row["page"] for row in rows_of(result["nodes"])}.isdisjoint({"/q", "/r", "/alone"})


def test_small_graph_by_hand(write, job):
    result = measure(write(as_csv(GRAPH)), job, "/a")
    nodes = {row["page"]: row for row in rows_of(result["nodes"])}
    degrees = {page: (row["in_degree"], row["out_degree"]) for page, row in nodes.items()}
    assert degrees == {
        "/a": ("2", "2"),
        "/b": ("1", "1"),
        "/c": ("2", "1"),
        "/d": ("0", "1"),
        "/x/1": ("0", "1"),
        "/x/2": ("1", "0"),
    }
    assert {page: row["depth"] for page, row in nodes.items()} == {
        "/a": "0", "/b": "1", "/c": "1", "/d": "", "/x/1": "", "/x/2": "",
    }  # fmt: skip
    assert [nodes[page]["component"] for page in ("/a", "/d", "/x/1", "/x/2")] == list("1122")
    summary = {k: result[k] for k in ("components", "largest_component", "unreached", "max_depth")}
    assert summary == {"components": 2, "largest_component": 4, "unreached": 3, "max_depth": 1}
    assert result["degrees"] == [["0", 2], ["1", 2], ["2", 2]]
    assert result["depths"] == [["0", 1], ["1", 2]]
    edges = [tuple(row.values()) for row in rows_of(result["edges"])]
    assert ("/a", "/c", "2") in edges and ("/b", "/b", "1") in edges and len(edges) == 7


def test_orphans_and_dead_ends_are_counted_and_the_start_is_no_orphan(write, job):
    result = measure(write(as_csv([("/", "/a"), ("/b", "/a"), ("/b", "/c")])), job, "/")
    assert (result["orphans"], result["dead_ends"]) == (1, 2)


def test_output_is_json_but_for_its_files(write, job):
    result = measure(write(as_csv(GRAPH)), job)
    files = {key for key, value in result.items() if isinstance(value, File)}
    assert files == {"nodes", "edges"}
    json.dumps({key: value for key, value in result.items() if key not in files}, allow_nan=False)
    columns = ["page", "in_degree", "out_degree", "depth", "component", "pagerank"]
    assert list(result["top"][0]) == columns and len(result["top"]) == 6
    assert sorted(path.name for path in job.files.iterdir()) == ["edges.csv", "nodes.csv"]


def test_nodes_are_ordered_by_pagerank_and_top_has_fifty(write, job):
    result = measure(write(as_csv((f"/p{n}", f"/p{n // 2}") for n in range(1, 200))), job)
    ranks = [float(row["pagerank"]) for row in rows_of(result["nodes"])]
    assert ranks == sorted(ranks, reverse=True) and len(result["top"]) == 50
    assert sum(ranks) == pytest.approx(1, abs=1e-6)
    assert result["top"][0]["pagerank"] == pytest.approx(ranks[0], rel=1e-8)


def test_only_self_links_still_make_a_page(write, job):
    result = measure(write("source,target\n/a,/a\n"), job)
    assert (result["pages"], result["links"], result["self_links"]) == (1, 0, 1)
    assert result["top"][0]["pagerank"] == pytest.approx(1)


# The start page


@pytest.mark.parametrize(
    ("pages", "linking", "expected"),
    [
        (["https://a.org/deep/page", "https://a.org/", "https://a.org/x"], [0, 1, 2], 1),
        (["https://a.org/deep", "https://a.org/", "https://a.org/x"], [0, 2], 2),
        (["bugs.html", "library/os.html", "index.html"], [0, 1, 2], 2),
        (["Zoe with a long name", "Al"], [0, 1], 0),
        (["77", "5"], [0, 1], 0),
        (["https://a.org/deep", "'=SUM(1)", "https://a.org/"], [0, 1, 2], 2),
    ],
)
def test_start_is_guessed(pages, linking, expected):
    assert links.find_start(pages, "", linking) == expected


@pytest.mark.parametrize(
    ("said", "near"), [("/abuot", "/about"), ("ABOUT", "/about"), ("/b", "/b1")]
)
def test_unknown_start_names_the_nearest(write, job, said, near):
    with pytest.raises(Problem) as caught:
        measure(write(as_csv([("/about", "/b1"), ("/contact", "/about")])), job, said)
    assert said in str(caught.value) and repr(near) in str(caught.value)
    assert not list(job.files.iterdir())


def test_a_named_start_counts_from_there(write, job):
    result = measure(write(as_csv(GRAPH)), job, " /d ")
    assert (result["start"], result["max_depth"], result["unreached"]) == ("/d", 2, 2)


# How the file is written


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings(write, job, encoding, found):
    file = write("source,target\n/caf\u00e9,/\u201equoted\u201d\n", encoding)
    assert sniff(file)["encoding"] == found and sniff(file)["columns"] == ["source", "target"]
    assert {row["page"] for row in measure(file, job)["top"]} == {
        "/caf\u00e9",
        "/\u201equoted\u201d",
    }


def test_utf_16_big_endian_and_latin_1(write):
    assert sniff(write(b"\xfe\xff" + "/a,/b\n".encode("utf-16-be")))["encoding"] == "utf-16"
    assert sniff(write(b"/a,/b\x81\xe9\n"))["encoding"] == "latin-1"


def test_encoding_is_judged_by_the_whole_file(write, job):
    file = write(as_csv([("/a", "/b")] * 40_000).encode() + b"/caf\xe9,/a\n")
    assert sniff(file)["encoding"] == "cp1252"
    assert measure(file, job)["pages"] == 3


@pytest.mark.parametrize("delimiter", ",;\t|")
def test_delimiters(write, job, delimiter):
    rows = [
        ["source", "target", "text"],
        ["/a,1;x|y", "/b", "one, two; three|four"],
        ["/b", "/c", ""],
    ]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    assert sniff(write(text))["delimiter"] == delimiter
    assert measure(write(text), job)["links"] == 2


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("http://a/x;id=1,http://a/y;id=2\nhttp://a/y;id=2,http://a/z;id=3\n", ","),
        ("from;to\n/a,1.html;/b,2.html\n/b,2.html;/c,3.html\n", ";"),
        ("source\ttarget\tanchor\n/a\t/b\tone, two\n/b\t/c\tthree, four\n", "\t"),
    ],
)
def test_delimiters_inside_addresses(write, text, delimiter):
    assert sniff(write(text))["delimiter"] == delimiter


@pytest.mark.parametrize("first", ["sep=;\n", "sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
def test_a_sep_line_settles_the_delimiter(write, job, first):
    file = write(first + "source;target\n/a,1;/b,1\n/b,1;/c,1\n")
    found = sniff(file)
    assert (found["delimiter"], found["columns"]) == (";", ["source", "target"])
    assert measure(file, job)["pages"] == 3


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("source,target\nAl,Bo\n", True),
        ("Von,Nach\n/a,/b\n/b,/c\n", True),
        ("person,friend,weight\nAl,Bo,3\nBo,Cy,2\n", True),
        ("/a,/b\n/b,/c\n", False),
        ("https://a.org,https://a.org/b\n", False),
        ("1,2\n2,3\n", False),
        ("Al,Bo\nBo,Cy\n", False),
    ],
)
def test_header(write, job, text, header):
    found = sniff(write(text))
    assert found["header"] is header
    assert measure(write(text), job)["links"] == len(text.splitlines()) - header
    if not header:
        assert found["columns"] == ["Column 1", "Column 2"]


def test_column_names_are_distinct_and_sample_has_five_rows(write):
    found = sniff(write("url,url,,target\n" + "/a,/b,1,/c\n" * 9))
    assert found["columns"] == ["url", "url (2)", "Column 3", "target"]
    assert found["sample"] == [["/a", "/b", "1", "/c"]] * 5


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("source,target", ("source", "target")),
        ("target,source", ("source", "target")),
        ("Type,Source,Destination,Anchor", ("Source", "Destination")),
        ("Target URL,Weight,URL", ("URL", "Target URL")),
        ("from_url,to_url", ("from_url", "to_url")),
        (
            "Referring page title,Referring page URL,Target URL",
            ("Referring page URL", "Target URL"),
        ),
        ("alpha,beta", ("alpha", "beta")),
    ],
)
def test_columns_are_guessed(write, columns, expected):
    cells = ["/x" if "title" not in name else "A title" for name in columns.split(",")]
    found = sniff(write(columns + "\n" + ",".join(cells) + "\n"))
    assert guessed(found) == expected
    assert sorted(links.target_columns(found)) == sorted(found["columns"])


def test_a_column_that_says_how_links_open_is_not_taken_for_where_they_lead(write):
    text = "Typ,Quelle,Ziel,Target\nHyperlink,https://a.example/,https://a.example/b,{}\n"
    for opens in ("_blank", ""):
        assert guessed(sniff(write(text.format(opens)))) == ("Quelle", "Ziel")


def test_guess_without_header_skips_numbers(write):
    assert guessed(sniff(write("3,/a,/b\n4,/b,/c\n"))) == ("Column 2", "Column 3")


def test_the_user_corrects_the_columns(write, job):
    source = sniff(write("source,target\n/a,/b\n"))
    result = links.measure(source, links.columns(source, "target", "source"), job)
    assert rows_of(result["edges"]) == [{"source": "/b", "target": "/a", "count": "1"}]


def test_quotes_and_line_breaks_in_cells(write, job):
    pages = ["/a", '/say "hi"', "/two\nlines", "/two\r\nlines", "/with,comma", "/semi;colon"]
    body = "".join('/a,"' + page.replace('"', '""') + '"\n' for page in pages[1:])
    result = measure(write("source,target\n" + body), job)
    assert {row["page"] for row in rows_of(result["nodes"])} == set(pages)
    assert {row["target"] for row in rows_of(result["edges"])} == set(pages[1:])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(write, job, end):
    assert measure(write(end.join(["source,target", "/a,/b", "/b,/c", ""])), job)["links"] == 2


def test_a_row_cut_by_the_guessing_is_read_whole(write, job):
    pairs = [(f"/page/{n:06d}", f"/page/{n + 1:06d}") for n in range(9_000)]
    file = write(as_csv(pairs))
    assert file.path.stat().st_size > 1 << 17
    assert measure(file, job)["links"] == 9_000


def test_progress_is_told_a_few_dozen_times(write, job):
    measure(write(as_csv((f"/{n % 500}", f"/{n % 37}") for n in range(150_000))), job)
    assert 3 < len(job.told) < 60
    shares = [done / total for done, total, _ in job.told]
    assert shares == sorted(shares) and shares[-1] <= 1


# What spreadsheets would run


def test_formulas_are_defused_and_numbers_stay(write, job):
    pages = ['=HYPERLINK("x")', "+cmd|x", "-1+2", "@sum", "-12.5", "+7", "plain"]
    body = "".join('plain,"' + page.replace('"', '""') + '"\n' for page in pages)
    result = measure(write("source,target\n" + body), job)
    shown = {row["page"] for row in rows_of(result["nodes"])}
    assert shown == {"'" + page for page in pages[:4]} | set(pages[4:])
    assert {row["target"] for row in rows_of(result["edges"])} == shown
    assert {row["page"] for row in result["top"]} == set(pages)


# Bad input


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"sep=,\n", "no two columns"),
        (b"url\n/a\n/b\n", "no two columns"),
        (b"source,target\n", "no rows"),
        (b"sep=;\r\nsource;target\r\n\r\n", "no rows"),
        (b"PK\x03\x04\x00\x00\x00\xff", "not a text file"),
        (b"source,target\n/a,/b\n" * 90_000 + b"\0", "not a text file"),
        ("/a,/b\n".encode("utf-16-le"), "not a text file"),
        (b"\xff\xfe/\x00a", "utf-16"),
        (b"\xef\xbb\xbf/a,/b\n\xe9,/c\n", "utf-8-sig"),
    ],
)
def test_bad_files_are_problems_with_a_next_step(write, content, says):
    with pytest.raises(Problem) as caught:
        sniff(write(content))
    assert says in caught.value.what and caught.value.next_step


@pytest.mark.parametrize("path", ["missing.csv", "."])
def test_missing_file_and_folder(tmp_path, path):
    with pytest.raises(Problem, match="There is no file"):
        sniff(File(tmp_path / path))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('source,target\n/a,/b\n"/c,/d\n/e,/f\n', "line 4"),
        ('source,target\n/a,"/b"x\n', "line 2"),
        ('source,target\n/a,"' + "/b\n" * 70_000, "line"),
    ],
)
def test_broken_quotes_name_the_line(write, job, text, line):
    with pytest.raises(Problem) as caught:
        measure(write(text), job)
    assert line in caught.value.what and "quote" in caught.value.next_step
    assert not list(job.files.iterdir())


def test_no_row_names_two_pages(write, job):
    with pytest.raises(Problem, match="None of 2 rows"):
        measure(write("source,target\n/a,\n,/b\n"), job)


TITLES = "Title,To\nNo heading,shop.invalid\nTwo headings,shop.invalid\n"


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        (TITLES, "'Title'"),
        ("from,to\nAda,Ben\nEve,Kim\n", "'from' and 'to'"),
        ("from,to\n/a,Read more\n/b,Read more\n", "'to'"),
        ("from,to\nAda,Ben\nBen,Ada\n", ""),  # names are pages when they are at both ends
        ("from,to\na.org,/x\nb.org,/y\n", ""),
    ],
)
def test_columns_that_hold_no_pages_are_measured_with_a_word_of_doubt(write, job, text, odd):
    source = sniff(write(text))
    chosen = links.columns(source, *source["columns"])
    result = links.measure(source, chosen, job)
    assert chosen.get("note") == result.get("note") and bool(odd) == ("note" in chosen)
    assert chosen.get("note", "").startswith(f"Most cells of {odd} are no address" if odd else "")
    assert chosen.get("note", "") == links.draw_columns(chosen)[-1] == links.draw_measure(result)[0]


def test_the_same_column_twice_is_refused(write):
    source = sniff(write("source,target\n/a,/b\n"))
    with pytest.raises(Problem, match="Both ends"):
        links.columns(source, "source", "source")


# The house


def test_views_draw_the_output(write, job):
    from pipulate.apps.markup import html

    drawn = html(links.measure.draw(measure(write(as_csv(GRAPH)), job)))
    assert "/x/1" in drawn and drawn.count("<svg") == 2 and drawn.count("<table") == 2


def test_choices_and_titles():
    assert links.links.slug == "links"
    names = ["source", "columns", "measure", "report"]
    assert [step.name for step in links.links.steps.values()] == names
    assert all(step.description for step in links.links.steps.values())


def test_importing_the_plugin_loads_neither_numpy_nor_fasthtml():
    code = (
        "import sys, pipulate.plugins.links as _; print({'numpy', 'fasthtml'} & set(sys.modules))"
    )
    src = Path(links.__file__).parents[2]
    run = [sys.executable, "-c", code]
    done = subprocess.run(
        run, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(src)}
    )
    assert done.stdout.strip() == "set()"


def test_pages_that_differ_only_in_name_are_told(write, job):
    pairs = [("/", "/a"), ("/a", "/a/"), ("/", "/b#top"), ("/b#top", "/b"), ("/", "/c#top")]
    pairs += [("http://x.test/", "https://x.test/")]
    note = measure(write(as_csv(pairs)), job)["note"]
    what = "1 by a slash at the end, 1 by http and https, 1 by what follows a #"
    assert (
        note == f"Pages that differ from another only in name, and are counted beside it: {what}."
    )
    assert "note" not in measure(write(as_csv(GRAPH)), job)
