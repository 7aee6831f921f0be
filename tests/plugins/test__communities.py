"""Communities: found where they are plain to see, the same each time, and asked for by name."""

import csv
import sys
from array import array

import numpy as np
import pytest

from pipulate import File, Problem
from pipulate.plugins import links
from pipulate.plugins._communities import communities
from pipulate.plugins._graph import Graph

SIZES = [9, 7, 5]


def cliques(sizes):
    """Groups whose pages all link to one another, each hanging on the first by one link."""
    pairs, at = [], 0
    for size in sizes:
        group = range(at, at + size)
        pairs += [(a, b) for a in group for b in group if a != b]
        pairs += [(0, at)] if at else []
        at += size
    return at, *(np.array(end) for end in zip(*sorted(pairs), strict=True))


def test_groups_that_link_among_themselves_are_found_the_largest_first():
    found, sizes, modularity = communities(*cliques(SIZES))
    assert found.tolist() == [n for n, size in enumerate(SIZES, 1) for _ in range(size)]
    assert sizes.tolist() == SIZES and 0.5 < modularity < 1


def test_the_same_graph_has_the_same_communities_each_time():
    rng = np.random.default_rng(3)
    graph = 300, rng.integers(0, 300, 900), rng.integers(0, 300, 900)
    first = communities(*graph)
    np.random.seed(7)
    assert communities(*graph)[0].tolist() == first[0].tolist()
    assert sorted(first[1].tolist(), reverse=True) == first[1].tolist() and first[1].sum() == 300


def test_pages_without_links_are_communities_of_their_own():
    none = np.array([], np.int64)
    assert communities(3, none, none)[0].tolist() == [1, 2, 3]
    found, sizes, _ = communities(4, np.array([0]), np.array([1]))
    assert sizes.tolist() == [2, 1, 1] and found[0] == found[1] == 1


def test_they_are_a_column_of_the_table_of_pages(tmp_path):
    n, *ends = cliques(SIZES)
    graph = Graph(n, array("i", np.stack(ends, 1).ravel().tolist()))
    counts = graph.measured(0) | graph.grouped()
    assert (counts["communities"], counts["largest_community"]) == (3, 9)
    made = graph.tables(tmp_path, [f"/{page}" for page in range(n)])
    with open(made["nodes"].path, encoding="utf-8", newline="") as text:
        rows = {row["page"]: row for row in csv.DictReader(text)}
    assert [*rows["/0"]][-3:] == ["component", "community", "pagerank"]
    assert {page: row["community"] for page, row in rows.items()} | {"/0": "1", "/9": "2"} == {
        f"/{n}": str(1 + (n > 8) + (n > 15)) for n in range(21)
    }
    assert made["top"][0]["community"] == int(rows[made["top"][0]["page"]]["community"])


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.csv").write_text("source,target\n/,/a\n/a,/\n")
    return tmp_path / "site.csv"


def test_they_are_worked_out_when_they_are_asked_for(call, site):
    without = call("links_run", csv=str(site))["output"]
    assert "communities" not in without and "community" not in without["top"][0]
    told = call("links_run", csv=str(site), communities=True)
    assert told["output"]["communities"] == 1 and told["output"]["top"][0]["community"] == 1


def test_without_the_package_links_are_measured_and_communities_say_how_to_get_it(
    monkeypatch, site, tmp_path
):
    monkeypatch.setitem(sys.modules, "igraph", None)
    assert links.links.run(csv=File(site)).output["pages"] == 2
    with pytest.raises(Problem, match="need the package igraph") as caught:
        links.links.run(csv=File(site), communities=True)
    assert "pipx inject pipulate igraph" in caught.value.next_step
