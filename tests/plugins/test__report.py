"""The report of a link graph: one file with the figures, whatever the pages are called."""

import re
from html.parser import HTMLParser

import pytest

from pipulate import File
from pipulate.plugins import _report
from pipulate.plugins._report import page_type, write_report

HEAD = "page,in_degree,out_degree,depth,component,community,pagerank,page_type\n"
NODES = [
    "/,9,2,0,1,1,0.5,home",
    "/b,3,1,1,1,1,0.2,<i>list</i>",
    "/c,5,0,7,1,2,0.1,<i>list</i>",
    "=</td><script>alert(1)</script>,0,1,,2,3,0.1,",
    "javascript:alert(1),0,0,,2,3,0.1,",
]
MEASURED = {
    "pages": 5,
    "links": 1234,
    "start": "/",
    "modularity": 0.25,
    "left_out": {"images": 3},
    "depths": [["0", 1], ["1", 1]],
    "degrees": [["0", 2], ["1–2", 3]],
}


class Seen(HTMLParser):
    """The tags of a document, their attributes, and below each heading the first cell of rows."""

    def __init__(self):
        super().__init__()
        self.tags, self.attrs, self.text, self.below, self.title = [], [], [], {}, ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += attrs
        self.fresh = tag in ("tr", "h2")
        self.inside = tag

    def handle_data(self, data):
        self.text.append(data)
        if self.inside == "h2":
            self.title = data
        elif self.fresh or self.inside == "td":
            self.below.setdefault(self.title, []).append(data)
            self.inside = ""


def report(tmp_path, nodes=NODES, head=HEAD, **more):
    (tmp_path / "nodes.csv").write_text(head + "".join(f"{row}\n" for row in nodes))
    measured = MEASURED | {"nodes": File(tmp_path / "nodes.csv")} | more
    text = write_report("Links of </title>.csv", measured, tmp_path).path.read_text()
    seen = Seen()
    seen.feed(text)
    return text, seen


def rows_below(seen, title):
    """The first cells of the rows of a table."""
    cells = seen.below[title]
    return [cell for cell in cells if cell.startswith(("/", "=", "java"))]


def test_it_needs_nothing_but_itself_and_runs_nothing(tmp_path):
    text, seen = report(tmp_path)
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(seen.tags)
    assert "default-src 'none'" in text and text.startswith("<!doctype html>")
    names = {name for name, _ in seen.attrs}
    assert names.isdisjoint({"src", "action"}) and not any(n.startswith("on") for n in names)
    addresses = [value for name, value in seen.attrs if name == "href"]
    assert addresses and all(re.fullmatch(r"#[\w-]+", one) for one in addresses)
    ids = [value for name, value in seen.attrs if name == "id"]
    assert sorted(addresses) == sorted(f"#{one}" for one in ids)


def test_what_pages_and_files_are_called_is_text(tmp_path):
    text, seen = report(tmp_path)
    assert "alert" in text and "<i>" not in text and "<script" not in text
    assert "Links of </title>.csv" in seen.text and "=</td><script>alert(1)</script>" in seen.text


def test_each_table_has_the_pages_that_it_names(tmp_path):
    _, seen = report(tmp_path)
    assert rows_below(seen, "Most linked")[:3] == ["/", "/c", "/b"]
    assert rows_below(seen, "Highest PageRank")[:3] == ["/", "/b", "/c"]
    assert rows_below(seen, "Deepest") == ["/c", "/b", "/"]
    lost = ["=</td><script>alert(1)</script>", "javascript:alert(1)"]
    assert rows_below(seen, "Out of reach from the start") == lost
    assert rows_below(seen, "Orphans: no page links to them") == lost
    assert rows_below(seen, "Dead ends: they link to no page") == ["/c", lost[1]]


def test_figures_and_charts_are_those_that_were_measured(tmp_path):
    text, seen = report(tmp_path)
    shown = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert shown == {
        "Pages": "5",
        "Links": "1,234",
        "Start": "/",
        "Modularity": "0.25",
        "Images left out": "3",
        "Orphans": "2",
        "Dead ends": "2",
    }
    assert text.count("<svg") == 6
    assert "Pages by page type: &lt;i&gt;list&lt;/i&gt; 2" in text


def test_groups_are_added_up_the_largest_first(tmp_path):
    text, _ = report(tmp_path)
    table = text.partition('id="by-page-type"')[2].partition("</section>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    assert cells[0] == ["&lt;i&gt;list&lt;/i&gt;", "2", "30", "4", "0", "/b"]
    assert [row[0] for row in cells[1:]] == ["(none)", "home"]


def test_its_words_are_explained_and_its_numbers_stand_alike(tmp_path):
    nodes = ["/,9,2,0,1,1,0.00424444,home", "/b,3,1,1,1,1,0.0041742,list"]
    text, _ = report(tmp_path, nodes, start="https://ex.invalid/om/")
    for word in ("In-degree", "Out-degree", "Depth", "PageRank"):
        assert f"{word}: " in text
    assert re.findall(r'class="number">(0\.0.*?)<', text)[:2] == ["0.0042444", "0.0041742"]
    assert "<dd>https://<wbr>ex.invalid/<wbr>om/</dd>" in text
    ranked = text.partition('id="highest-pagerank"')[2]
    for name in ("component", "community"):
        assert re.search(f'<th class="number">{name}<', ranked)


def test_a_graph_without_groups_or_pages_of_a_kind_says_none(tmp_path):
    head = "page,in_degree,out_degree,depth,component,pagerank\n"
    text, seen = report(tmp_path, ["/,1,1,0,1,0.5", "/b,1,1,1,1,0.5"], head)
    assert text.count("<svg") == 2 and not any("By " in title for title in seen.below)
    assert text.count("<p>None.</p>") == 3


def test_a_long_table_is_cut_and_says_of_how_many(tmp_path, monkeypatch):
    monkeypatch.setattr(_report, "MOST", 2)
    text, seen = report(tmp_path)
    assert rows_below(seen, "Most linked") == ["/", "/c"] and "The first 2 of 5." in text


@pytest.mark.parametrize(
    ("columns", "found"),
    [(["page", "Page Type"], "Page Type"), (["segment"], "segment"), (["title", "depth"], None)],
)
def test_a_column_of_page_types_is_known_by_its_name(columns, found):
    assert page_type(columns) == found


def test_it_says_what_a_file_of_links_cannot_know(tmp_path):
    shown, _ = report(tmp_path)
    assert "a page with no link at all is not in it" in shown
    assert "Repeated, self links, blank: rows with a link that was there before" in shown
