"""Two link graphs compared: what became of each page, from files and from runs, and refusals."""

import csv
from types import SimpleNamespace

import pytest

from pipulate import File, Problem
from pipulate.plugins import compare
from pipulate.plugins.compare import GIVEN, Page, ways

#  before:  / -> /a -> /b -> /c,  / -> /old          after:  / -> /a,  / -> /c -> /b,  /a -> /new
BEFORE = "source,target\n/,/a\n/a,/b\n/b,/c\n/,/old\n"
AFTER = "source,target\n/,/a\n/,/c\n/c,/b\n/a,/new\n/c,/a\n"
NODES = "page,in_degree,out_degree,depth,pagerank,page_type\n"
OLD = NODES + "/,1,1,0,0.5,home\n/x,1,1,1,0.3,<b>\n/y,0,0,,0.2,<b>\n"
NEW = NODES + "/,2,1,0,0.35,home\n/x,1,1,,0.4,<b>\n/y,1,1,4,0.1,list\n/z,0,0,1,0.1,list\n"


@pytest.fixture
def pair(tmp_path):
    """pair(old, new): two files."""

    def write(old=BEFORE, new=AFTER):
        files = {"before_file": tmp_path / "old.csv", "after_file": tmp_path / "new.csv"}
        for path, text in zip(files.values(), (old, new), strict=True):
            path.write_text(text)
        return {name: str(path) for name, path in files.items()}

    return write


def rows_of(file):
    with open(file["$file"], encoding="utf-8", newline="") as text:
        return {row.pop("page"): row for row in csv.DictReader(text)}


def pages(output, way):
    return [row["page"] for row in output["tables"].get(way, [])]


def test_two_files_of_links_are_measured_and_compared_page_by_page(call, pair):
    told = call("compare_run", **pair())["output"]
    assert (told["before"], told["after"], told["shared"]) == ("old.csv", "new.csv", 4)
    assert (pages(told, "New"), pages(told, "Gone")) == (["/new"], ["/old"])
    assert (pages(told, "Shallower"), pages(told, "Deeper")) == (["/c"], [])
    assert pages(told, "More links") == ["/a"]
    assert told["changes"]["New"] == told["changes"]["Gone"] == told["changes"]["Shallower"] == 1
    figures = {row.pop("measured"): row for row in told["figures"]}
    assert figures["pages"] == {"before": 5, "after": 5, "change": 0}
    assert figures["links"] == {"before": 4, "after": 5, "change": 1}
    assert figures["deepest"] == {"before": 3, "after": 2, "change": -1}
    rows = rows_of(told["file"])
    assert (rows["/c"]["depth_before"], rows["/c"]["depth_after"]) == ("3", "1")
    assert rows["/old"]["change"] == "gone" and rows["/old"]["depth_after"] == ""
    assert rows["/c"]["change"].startswith("shallower")
    assert [*rows][-1] == "/old" and len(rows) == 6 and told["types"] == []


def test_which_graph_and_which_links_are_meant_is_said(call, pair):
    told = call("compare_run", **pair())
    chosen = call("run_output", run=told["run"], step="graphs")
    assert {*chosen} == {"before", "after", "before_file", "after_file"}
    assert {"in_degree_before", "in_degree_after"} <= {*told["output"]["tables"]["New"][0]}


def test_tables_of_pages_are_taken_as_they_are_and_added_up_by_page_type(call, pair):
    told = call("compare_run", **pair(OLD, NEW))["output"]
    assert (pages(told, "Out of reach"), pages(told, "In reach again")) == (["/x"], ["/y"])
    assert pages(told, "PageRank gained") == ["/x"]
    assert pages(told, "PageRank lost") == ["/", "/y"]
    kinds = {row.pop("page_type"): row for row in told["types"]}
    assert kinds["list"] == {
        "pages_before": 1,
        "pages_after": 2,
        "new": 1,
        "gone": 0,
        "deeper": 0,
        "shallower": 0,
        "pagerank_before_%": 20.0,
        "pagerank_after_%": 20.0,
    }
    assert rows_of(told["file"])["/z"]["page_type"] == "list"


def test_two_runs_are_chosen_the_newest_against_the_one_before(call, pair):
    files = pair()
    for path in files.values():
        call("links_run", csv=path)
    told = call("compare_run")
    waits = call("run_output", run=told["run"], step="runs")
    names = [row["graph"] for row in waits]
    assert names == ["links 2 (/ new.csv, 5 pages)", "links 1 (/ old.csv, 5 pages)"]
    said = call("compare_run", run=told["run"], before=names[1], after=names[0])["output"]
    assert (said["before"], said["after"]) == (names[1], names[0])
    assert pages(said, "New") == ["/new"]
    back = call("compare_run", "mcp", before=names[0], after=names[1])["output"]
    assert pages(back, "Gone") == ["/new"]


def test_an_older_crawl_that_was_exported_later_is_the_one_before(tmp_path):
    made = {"nodes": {"$file": str(tmp_path / "nodes.csv")}, "start": "/", "pages": 3, "links": 2}
    about = {"parent": "", "name": ""}
    listed = [
        about | {"id": n, "created_utc": f"2026-01-0{n}", "inputs": f'{{"analysis": "{crawl}"}}'}
        for n, crawl in ((1, "20250101"), (2, "20250314-2"), (3, "20250214"))
    ]
    lists = {"link_graph": listed, "links": []}
    said = {"run_list": lambda pipeline: lists[pipeline], "run_output": lambda run, step: made}
    job = SimpleNamespace(tool=lambda name, **values: said[name](**values))
    runs = compare.runs(job)
    assert compare.newest(runs)[0].startswith("link_graph 2 (20250314-2 /, ")
    assert compare.older(runs)[0].startswith("link_graph 3 (20250214 /, ")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (AFTER, AFTER, "same graph, page by page"),
        (BEFORE, "source,target\n/x,/y\n", "no page in common"),
        (BEFORE, "only one column\n/x\n", "no two columns"),
        (OLD, NEW.replace("0.35", "much"), "row 2: a measure is no number"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_to_do(pair, old, new, why):
    files = {name: File(path) for name, path in pair(old, new).items()}
    with pytest.raises(Problem, match=why) as caught:
        compare.changes.run(graphs=compare.graphs.run(runs=[], before=GIVEN, after=GIVEN, **files))
    assert caught.value.next_step


def test_without_runs_and_files_it_says_what_is_missing(call, pair):
    with pytest.raises(Problem, match="No graph is chosen for 'before'"):
        call("compare_run")
    with pytest.raises(Problem, match="No graph is chosen for 'after'"):
        call("compare_run", before_file=pair()["before_file"])


def test_a_graph_whose_file_is_gone_is_refused(tmp_path):
    runs = [{"graph": "links 1", "nodes": File(tmp_path / "gone.csv")}]
    with pytest.raises(Problem, match=r"gone\.csv is gone"):
        compare.graphs.run(runs=runs, before="links 1", after=GIVEN)


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        (Page(1, 1, 2, 0.5, ""), Page(1, 1, 2, 0.5 + 1e-9, ""), {}),
        (Page(1, 1, 2, 0.5, ""), Page(3, 1, 5, 0.5, ""), {"Deeper": 3, "More links": 2}),
        (
            Page(1, 1, 2, 0.5, ""),
            Page(0, 1, None, 0.5, ""),
            {"Out of reach": 0.5, "Fewer links": 1},
        ),
        (None, Page(0, 0, 1, 0.25, ""), {"New": 0.25}),
        (Page(0, 0, 1, 0.25, ""), None, {"Gone": 0.25}),
    ],
)
def test_what_became_of_a_page(was, now, found):
    assert ways(was, now) == found


def test_the_view_draws_tables_a_chart_and_what_is_not_there(call, pair):
    from pipulate.apps.markup import html

    files = pair(OLD, NEW)
    output = call("compare_run", **files)["output"]
    drawn = html(*compare.draw_changes(output))
    assert drawn.count("<svg") == 1 and "<h3>New (1)</h3>" in drawn
    assert "&lt;b&gt;" in drawn and "<b>" not in drawn
    output |= {"tables": {}}
    assert "No page is new" in html(*compare.draw_changes(output))
    assert "No run has measured links" in html(compare.draw_runs([]))


def test_the_report_is_one_file_that_runs_nothing(call, pair):
    told = call("compare_run", **pair(OLD, NEW))["output"]
    with open(told["report"]["$file"], encoding="utf-8") as text:
        shown = text.read()
    assert "<h1>old.csv → new.csv</h1>" in shown and "3 pages are in both." in shown
    assert (
        "<dt>PageRank gained</dt><dd>1</dd>" in shown
        and "<dt>Out of reach</dt><dd>1</dd>" in shown
        and 'id="by-page-type"' in shown
    )
    assert "&lt;b&gt;" in shown and "<b>" not in shown and "<script" not in shown


def test_two_files_of_one_name_are_told_apart_by_their_folders_or_runs(call, tmp_path):
    files = {}
    for side, text in (("before", BEFORE), ("after", AFTER)):
        (tmp_path / side).mkdir()
        files[f"{side}_file"] = tmp_path / side / "links.csv"
        files[f"{side}_file"].write_text(text)
    given = {name: str(path) for name, path in files.items()}
    told = call("compare_run", **given)["output"]
    assert (told["before"], told["after"]) == ("before/links.csv", "after/links.csv")
    made = call("links_run", csv=given["before_file"])["output"]["nodes"]["$file"]
    told = call("compare_run", before_file=made, after_file=given["after_file"])["output"]
    assert (told["before"], told["after"]) == ("links 2 (/ links.csv, 5 pages)", "links.csv")


def test_depths_that_are_counted_from_two_pages_are_not_compared_unsaid(call, pair):
    told = call("compare_run", **pair(OLD, NEW))["output"]
    assert told["note"] == ""
    assert [row for row in told["figures"] if row["measured"] == "out of reach"] == [
        {"measured": "out of reach", "before": 1, "after": 1, "change": 0}
    ]
    moved = NODES + "/,1,1,1,0.5,home\n/x,1,1,0,0.3,<b>\n"
    told = call("compare_run", **pair(OLD, moved))["output"]
    said = "Depth is counted from / before, from /x after: compare no depths."
    assert told["note"].strip() == said
    assert said in (File(told["report"]["$file"]).path).read_text("utf-8")
