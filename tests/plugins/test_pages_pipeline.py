"""The bundled Pages pipeline: what a page says, whatever is wrong with it, and what comes out."""

import asyncio
import csv
import functools
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipulate import File, Problem
from pipulate.apps.job import JobHandle
from pipulate.core import fetch
from pipulate.core.fetch import Page
from pipulate.core.problems import NeedsApproval
from pipulate.plugins import _visitor, pages
from web_site import Site

PAGE = b"""<!doctype html><html><head><title>A &amp; B</title>
<meta name="Description" content=" What it\nis "><meta name=ROBOTS content=noindex>
<link rel="canonical" href="/canonical#x"></head>
<body><h1>The <b>first</b></h1><script>no words here</script><p>one two three</p>
<a href="/in">in</a> <a href="in#part">in</a> <a href="http://b.test/">out</a>
<a href="mailto:x@example.test">no</a> <a href="http://[half">no</a> <a>no</a></body></html>"""


@pytest.fixture
def site(monkeypatch):
    """A server on this machine, let through by the test alone."""
    with Site() as made:
        made.page("/robots.txt", status=b"404 Not Found")
        through = functools.partial(fetch.fetch, allow=[made.at])
        monkeypatch.setattr(_visitor, "fetch", through)
        yield made


@pytest.fixture
def job(tmp_path):
    return JobHandle(lambda said: None, lambda *need: None, tmp_path / "files")


@pytest.fixture
def look(site, job):
    """look(*paths or addresses): the rows of these pages."""

    def looking(*where, **how):
        urls = [w if ":" in w else f"http://{site.at}{w}" for w in where]
        return [*pages.visited([{"url": u} for u in urls], job, **{"per_second": 100} | how)]

    return looking


def read(file):
    with file.path.open(encoding="utf-8", newline="") as text:
        return [*csv.DictReader(text)]


# -- which pages -----------------------------------------------------------------------------


def test_addresses_are_pasted_one_a_line_each_once_without_fragment():
    text = " http://a.test/#top \n\nexample.test/x\nlocalhost:80/\nHTTPS://b.test\nhttp://a.test/\n"
    assert [row["url"] for row in pages.addresses(text)] == [
        *("http://a.test/", "https://example.test/x", "https://localhost:80/", "HTTPS://b.test")
    ]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("list.txt", "\ufeffhttp://a.test/1,2\nb.test\n", ["http://a.test/1,2", "https://b.test"]),
        ("list.csv", "http://a.test/\nhttp://b.test/\n", ["http://a.test/", "http://b.test/"]),
        ("t.csv", "name;url\nAnn;http://a.test/;\n;http://b.test/,1\n;\n",
         ["http://a.test/", "http://b.test/,1"]),
        ("t.csv", "ref,page\nhttp://r.test/,http://a.test/\n,http://b.test/\n",
         ["http://a.test/", "http://b.test/"]),
        ("t.json", '[{"u": "http://a.test/"}, {"v": 1}]', ["http://a.test/"]),
    ],
)  # fmt: skip
def test_a_file_gives_its_lines_or_the_column_that_holds_most_addresses(
    tmp_path, name, text, found
):
    (tmp_path / name).write_text(text)
    assert [row["url"] for row in pages.addresses(file=File(tmp_path / name))] == found


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", " \n", "0 addresses"),
        ("a.csv", "name,city\nAnn,Rome\n", "No column of a.csv holds addresses: name, city"),
        ("a.csv", "", "nothing in it"),
    ],
)
def test_given_no_addresses_then_a_problem_says_where_they_were_looked_for(
    tmp_path, name, text, said
):
    (tmp_path / name).write_text(text)
    with pytest.raises(Problem, match=said):
        pages.addresses("", File(tmp_path / name))


def test_more_pages_than_one_run_takes_are_refused():
    with pytest.raises(Problem, match="50,001 addresses"):
        pages.addresses("\n".join(f"a.test/{n}" for n in range(50_001)))


# -- what a page says ------------------------------------------------------------------------


def test_a_page_is_a_row(site, look):
    head = b"content-type: text/html\r\nx-robots-tag: nofollow\r\n"
    site.page("/a", PAGE, head=head)
    (row,) = look("/a")
    at = f"http://{site.at}"
    assert row == {
        "url": f"{at}/a",
        "status": 200,
        "final_url": f"{at}/a",
        "redirects": "",
        "title": "A & B",
        "description": "What it is",
        "canonical": f"{at}/canonical",
        "h1": "The first",
        "robots": "noindex, nofollow",
        "internal": 1,
        "external": 1,
        "words": 11,
        "error": "",
        "links": f"{at}/in\nhttp://b.test/",
    }


def test_links_are_meant_as_the_base_of_the_page_says(site, look):
    site.page("/a", b'<base href="/x/"><a href="y">y</a>')
    assert look("/a")[0]["links"] == f"http://{site.at}/x/y"


def test_what_is_no_html_has_words_but_no_links(site, look):
    site.page("/a", b"one <a href=/b>two</a>", head=b"content-type: text/plain\r\n")
    (row,) = look("/a")
    assert (row["words"], row["links"], row["title"]) == (3, "", "")


def test_redirects_are_followed_and_told(site, look):
    site.leads("/old", "/new")
    site.page("/new", b"<title>New</title>")
    (row,) = look("/old")
    assert (row["url"], row["final_url"]) == (f"http://{site.at}/old", f"http://{site.at}/new")
    assert (row["status"], row["title"]) == (200, "New")
    assert row["redirects"] == f"302 http://{site.at}/new"


def test_a_page_that_fails_is_a_row_with_its_reason_and_the_others_are_read(site, look):
    site.page("/image", b"\x89PNG", head=b"content-type: image/png\r\n")
    site.page("/gone", b"<title>Gone</title>", status=b"410 Gone")
    site.page("/fine", b"<title>Fine</title>")
    site.leads("/round", "/round")
    site.leads("/inside", "http://169.254.169.254/latest/meta-data/")
    rows = look("/image", "/gone", "/round", "/inside", "ftp://a.test/", "http://:0/", "/fine")
    said = [(row["status"], row["error"]) for row in rows]
    assert said[0] == (200, "127.0.0.1 sent 'image/png', which is no text.")
    assert said[1] == (410, "") and said[-1] == (200, "")
    assert said[2][1] == "It was redirected over 5 times." and "→" in rows[2]["redirects"]
    assert "private network" in said[3][1] and "169.254.169.254" in rows[3]["redirects"]
    assert all(error for _, error in said[4:6])


def test_an_address_on_this_machine_is_never_asked(job):
    with Site() as inside:
        (row,) = pages.visited([{"url": f"http://{inside.at}/"}], job)
        assert "this machine" in row["error"] and inside.asked == []


def test_a_page_that_was_cut_says_so(site, look):
    site.page("/long", b"x " * 1_500_000)
    assert look("/long")[0]["error"] == "Only 2,000,000 characters of it were read."


ODD = "<a href= > <h1> </h1> \" ' <base href=// http://[ &#0; <title> <!-- <template> <svg> \0"


@given(st.text() | st.lists(st.sampled_from(ODD.split())).map(" ".join))
def test_no_page_is_too_odd_to_be_told(text):
    row = pages.told(Page("http://a.test/", 200, {}, text))
    assert row.keys() <= {*pages.COLUMNS, "links"}
    assert not any("\n" in str(row[name]) for name in row.keys() - {"links"})


# -- what comes out --------------------------------------------------------------------------


def test_the_tables_hold_every_page_and_every_link_and_no_formulas(site, look, job):
    site.page("/a", b"<title>=HYPERLINK(1)</title><a href=/b><a href='http://b.test/x'>")
    site.page("/b", b"<a href=/a>")
    rows = look("/a", "/b", "http://:0/")
    found = pages.table(rows, job)
    assert (found["pages"], found["with_errors"]) == (3, 1)
    assert found["statuses"] == [("200", 2), ("not read", 1)]
    assert [row["title"] for row in read(found["file"])] == ["'=HYPERLINK(1)", "", ""]
    at = f"http://{site.at}"
    inside = [[row["source"], row["target"]] for row in read(pages.links(rows, job))]
    assert inside == [[f"{at}/a", f"{at}/b"], [f"{at}/b", f"{at}/a"]]
    every = read(pages.links(rows, job, external=True))
    assert len(every) == 3 and {"source": f"{at}/a", "target": "http://b.test/x"} in every


def test_a_run_of_which_no_page_could_be_read_fails_with_the_first_reason(look, job):
    rows = look("http://:0/", "ftp://a.test/")
    assert pages.table(rows, job)["with_errors"] == 2, "the table is there all the same"
    with pytest.raises(Problem, match=r"pages \(2\) could be read. The first: ") as raised:
        pages.links(rows, job)
    assert rows[0]["error"] in raised.value.what


# -- the whole of it, in the engine ----------------------------------------------------------


@pytest.fixture
def pid_file(tmp_path):
    """Where the process that loaded the pipeline last, its worker, tells its number."""
    return tmp_path / "pid"


@pytest.fixture
def engine(house, plugin, pid_file):
    """engine(at): the pipeline in a file of the user's that lets the test's server through."""

    def loading(at):
        text = Path(pages.__file__).read_text("utf-8") + (
            "\n\nimport functools\nfrom pipulate import fetch\n"
            "from pipulate.plugins import _visitor\n"
            "from pipulate.plugins.links import links as ends\n"
            f"_visitor.fetch = functools.partial(fetch, allow=[{at!r}])\n"
            'site = pages.then(ends, "Site")\n'
            f"import os, pathlib\npathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        )
        assert plugin(text, "pages").problem is None

    return loading


def test_its_links_are_measured_by_the_pipeline_links(engine, call):
    with Site() as site:
        site.page("/robots.txt", status=b"404 Not Found")
        site.page("/", b"<a href=/a><a href=/b>")
        site.page("/a", b"<a href=/b>")
        site.page("/b", b"<a href=/>")
        engine(site.at)
        urls = "\n".join(f"http://{site.at}/{name}" for name in ("", "a", "b"))
        told = call("site_run", urls=urls, per_second=100.0, confirmed=True)
        assert (told["state"], told["output"]["pages"], told["output"]["links"]) == ("done", 3, 4)


def test_given_a_worker_that_is_killed_then_only_what_was_in_flight_is_read_again(
    engine, call, house, run, pid_file
):
    with Site() as site:
        site.page("/robots.txt", status=b"404 Not Found")
        for n in range(60):
            site.page(f"/{n}", b"<title>%d</title>" % n)
        engine(site.at)
        urls = "\n".join(f"http://{site.at}/{n}" for n in range(60))
        caller = house.caller("user", confirmed=True)

        async def killed():
            work = asyncio.ensure_future(
                house.tools.call("pages_run", {"urls": urls, "per_second": 60.0}, caller)
            )
            while len(site.asked) < 20:
                await asyncio.sleep(0.01)
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            with pytest.raises(Problem, match="ended without an answer"):
                await work

        run(killed())
        before = len(site.asked)
        assert before < 60
        told = call("pages_run", run=1, confirmed=True)
        assert told["state"] == "done"
        asked = [said.split()[1] for said in site.asked]
        assert len(asked) <= 60 + 2 + 1, "each page once, robots.txt twice, one in flight"
        assert {*asked} == {b"/robots.txt", *(b"/%d" % n for n in range(60))}


@pytest.mark.parametrize("tool", ["pages_run", "site_run"])
def test_the_model_needs_the_users_click_to_read_the_web(engine, call, tool):
    with Site() as site:
        engine(site.at)
        with pytest.raises(NeedsApproval):
            call(tool, actor="model", urls=f"http://{site.at}/?secret")
        assert site.asked == []
