"""GEXF and GraphML: opened again by programs of others, whatever the pages are called."""

import xml.etree.ElementTree as ElementTree

import igraph
import networkx
import pytest

from pipulate import Problem
from pipulate.plugins._formats import save_as

HOSTILE = '</label><script>"&\ttab\nline\r\x01é{n}'
NODES = f"""page,in_degree,pagerank,page_type,code
/,1,0.5,home,007
"{HOSTILE.replace('"', '""')}",2,2.5e-05,<b>,12
/c,,0.25,,
"""
EDGES = f'''source,target,count
/,"{HOSTILE.replace('"', '""')}",3
"{HOSTILE.replace('"', '""')}",/c,1
/c,/c,2
'''
SAID = HOSTILE.replace("\x01", "\ufffd")
PAGES = [
    {"in_degree": 1, "pagerank": 0.5, "page_type": "home", "code": "007"},
    {"in_degree": 2, "pagerank": 2.5e-05, "page_type": "<b>", "code": "12"},
    {"pagerank": 0.25},
]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "nodes.csv").write_bytes(NODES.encode())
    (tmp_path / "edges.csv").write_bytes(EDGES.encode())
    return tmp_path / "nodes.csv", tmp_path / "edges.csv", tmp_path


@pytest.mark.parametrize(
    ("form", "read"), [("gexf", networkx.read_gexf), ("graphml", networkx.read_graphml)]
)
def test_networkx_finds_the_same_pages_columns_and_links(files, form, read):
    graph = read(save_as(form, *files).path)
    assert graph.is_directed()
    pages = [*graph.nodes.values()]
    assert [page.pop("label") for page in pages] == ["/", SAID, "/c"]
    assert [{k: v for k, v in page.items() if v != ""} for page in pages] == PAGES
    names = [*graph.nodes]
    weights = [(names.index(a), names.index(b), w) for a, b, w in graph.edges(data="weight")]
    assert weights == [(0, 1, 3), (1, 2, 1), (2, 2, 2)]


def test_igraph_opens_the_graphml(files):
    graph = igraph.Graph.Read_GraphML(str(save_as("graphml", *files).path))
    assert graph.vs["label"] == ["/", SAID, "/c"] and graph.es["weight"] == [3, 1, 2]
    assert graph.is_directed() and graph.vs["page_type"][:2] == ["home", "<b>"]


def test_the_gexf_declares_what_its_version_asks_for(files):
    root = ElementTree.parse(save_as("gexf", *files).path).getroot()
    assert root.tag.endswith("/1.3}gexf") and root.get("version") == "1.3"
    kinds = {each.get("title"): each.get("type") for each in root.findall(".//{*}attribute")}
    assert kinds == {
        "in_degree": "long",
        "pagerank": "double",
        "page_type": "string",
        "code": "string",
    }
    known = {each.get("id") for each in root.findall(".//{*}attribute")}
    assert {each.get("for") for each in root.findall(".//{*}attvalue")} == known
    ids = [each.get("id") for each in root.findall(".//{*}edge")]
    assert ids == ["0", "1", "2"]


def test_a_link_between_unknown_pages_is_refused_and_leaves_no_file(files):
    files[1].write_text("source,target,count\n/,/gone,1\n")
    with pytest.raises(Problem, match="lacks: /, /gone"):
        save_as("gexf", *files)
    assert not (files[2] / "graph.gexf").exists()
