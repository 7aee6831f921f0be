"""What Botify knows of a page stands beside its measures; sums by page type and depth."""

import csv

import pytest

from pipulate import Problem
from pipulate.botify.apps import link_graph
from pipulate.botify.joined import UNKNOWN, join

MEASURED = """page,in_degree,out_degree,depth,component,pagerank
/,2,3,0,1,0.5
/a,1,1,1,1,0.25
'=b,1,0,1,1,0.15
/lost,0,2,,2,0.1
"""
KNOWN = """id,page_type,title,depth,clicks
/,home,"Home, sweet",0,10
/a,article,A,1,5
'=b,article,B,1,
"""


@pytest.fixture
def joined(tmp_path):
    (tmp_path / "measured.csv").write_text(MEASURED)
    (tmp_path / "known.csv").write_text(KNOWN)
    found = join(tmp_path / "measured.csv", tmp_path / "known.csv", tmp_path / "nodes.csv")
    with (tmp_path / "nodes.csv").open(newline="") as text:
        return found, [*csv.DictReader(text)]


def test_each_page_has_its_measures_and_what_is_known_of_it(joined):
    found, rows = joined
    assert [row["page"] for row in rows] == ["/", "/a", "'=b", "/lost"]
    assert rows[0] == {
        "page": "/",
        "in_degree": "2",
        "out_degree": "3",
        "depth": "0",
        "component": "1",
        "pagerank": "0.5",
        "page_type": "home",
        "title": "Home, sweet",
        "botify_depth": "0",
        "clicks": "10",
    }
    assert rows[3]["page_type"] == "" and found["known"] == 3
    assert found["top"][1] | {"page": "/a", "in_degree": 1, "clicks": 5} == found["top"][1]


def test_page_types_add_up_and_none_is_left_out(joined):
    types = {row.pop("page_type"): row for row in joined[0]["types"]}
    assert types["article"] == {
        "pages": 2,
        "links_in": 1,
        "links_out": 0.5,
        "depth": 1,
        "pagerank_percent": 40,
        "clicks": 5,
    }
    assert [*types] == ["home", "article", UNKNOWN] and types[UNKNOWN]["depth"] is None
    assert sum(row["pages"] for row in types.values()) == 4


def test_a_word_among_the_clicks_adds_nothing(tmp_path):
    (tmp_path / "measured.csv").write_text(MEASURED)
    (tmp_path / "known.csv").write_text(KNOWN.replace(",0,10", ",0,n/a"))
    types = join(*(tmp_path / f"{name}.csv" for name in ("measured", "known", "nodes")))["types"]
    clicks = {row["page_type"]: row["clicks"] for row in types}
    assert clicks == {"home": 0, "article": 5, UNKNOWN: 0}


def test_links_are_summed_by_the_depth_of_their_pages(joined):
    assert joined[0]["levels"] == [[0, 3], [1, 1]]


def test_without_page_types_there_is_no_table_of_them(tmp_path):
    (tmp_path / "measured.csv").write_text(MEASURED)
    (tmp_path / "known.csv").write_text("id,title\n/,Home\n")
    assert not join(tmp_path / "measured.csv", tmp_path / "known.csv", tmp_path / "n.csv")["types"]
    (tmp_path / "known.csv").unlink()
    with pytest.raises(Problem, match=r"known\.csv is gone"):
        join(tmp_path / "measured.csv", tmp_path / "known.csv", tmp_path / "n.csv")


def test_pages_without_any_link_are_counted_and_told(tmp_path):
    (tmp_path / "measured.csv").write_text(MEASURED)
    (tmp_path / "known.csv").write_text(KNOWN + "/alone,article,C,3,\n")
    found = join(*(tmp_path / f"{name}.csv" for name in ("measured", "known", "nodes")))
    assert (found["known"], found["without_links"]) == (3, 1)
    assert link_graph.told_alone(1).startswith("1 page of the export is not in the graph")
    assert link_graph.told_alone(0) == ""
