"""What a picture of a graph sends to the page: numbers as bytes, names and rows when asked for."""

import re
from array import array

import pytest

from pipulate import Problem
from pipulate.plugins import _picture
from pipulate.plugins._drawing import SCRIPT
from pipulate.plugins._picture import Picture

NODES = """page,depth,pagerank,component,page_type
/home,0,0.5,1,start
"/a,b",1,0.25,1,article
/c,2,0.125,1,article
/lost,,0.0625,2,
"""
EDGES = """source,target,count
/home,"/a,b",1
"/a,b",/c,3
/c,/home,1
/home,/home,2
/c,/nowhere,1
"""


@pytest.fixture
def picture(tmp_path):
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "edges.csv").write_text(EDGES)
    return Picture(tmp_path / "nodes.csv", tmp_path / "edges.csv")


def numbers(part):
    return array("f", part).tolist()


def test_links_are_pairs_of_places_without_self_links_and_pages_that_are_not_drawn(picture):
    about, (ends, *_) = picture.graph(None, [])
    assert numbers(ends) == [0, 1, 1, 2, 2, 0]
    assert (about["pages"], about["links"], about["of"]) == (4, 3, [4, 3])


def test_a_column_of_numbers_has_its_range_and_what_is_empty_is_no_number(picture):
    about, (_, depth, rank, *_) = picture.graph(None, [])
    assert about["columns"][0] == {"name": "depth", "low": 0, "high": 2}
    assert numbers(depth)[:3] == [0, 1, 2] and numbers(depth)[3] != numbers(depth)[3]
    assert numbers(rank) == [0.5, 0.25, 0.125, 0.0625]


def test_a_column_of_words_or_of_numbers_that_are_names_is_its_most_frequent_values(picture):
    about, (*_, component, kind) = picture.graph(None, [])
    assert about["columns"][2]["words"] == ["1", "2"] and numbers(component) == [0, 0, 0, 1]
    assert about["columns"][3]["words"] == ["article", "start", ""]
    assert numbers(kind) == [1, 0, 0, 2]


def test_rare_values_of_a_column_share_one_place(picture, monkeypatch):
    monkeypatch.setattr(_picture, "WORDS", 1)
    about, (*_, kind) = picture.graph(None, [])
    assert about["columns"][3]["words"] == ["article", "others"]
    assert numbers(kind) == [1, 0, 0, 1]


def test_a_column_of_words_that_hardly_repeat_is_shown_with_its_page_only(picture, monkeypatch):
    monkeypatch.setattr(_picture, "WORDS", 1)
    picture.nodes.write_text(NODES.replace("page_type", "title"))
    about, parts = picture.graph(None, [])
    assert [column["name"] for column in about["columns"]] == [
        "depth",
        "pagerank",
        "component",
        "title",
    ]
    picture.nodes.write_text(
        NODES.replace("page_type", "title").replace("1,article\n/c", "1,a\n/c")
    )
    about, parts = picture.graph(None, [])
    assert [column["name"] for column in about["columns"]] == ["depth", "pagerank", "component"]
    assert len(parts) == 4 and picture.rows([1], [])[0][0]["title"] == "a"


def test_of_a_graph_that_is_too_large_the_first_pages_are_drawn_and_it_says_of_how_many(
    picture, monkeypatch
):
    monkeypatch.setattr(_picture, "PAGES", 2)
    about, (ends, depth, *_) = picture.graph(None, [])
    assert (about["pages"], about["of"], numbers(ends)) == (2, [4, 1], [0, 1])
    assert numbers(depth) == [0, 1]
    monkeypatch.setattr(_picture, "PAGES", 9)
    monkeypatch.setattr(_picture, "LINKS", 2)
    about, (ends, *_) = picture.graph(None, [])
    assert (about["links"], about["of"], len(numbers(ends))) == (2, [4, 3], 4)


def test_rows_come_in_the_order_in_which_they_were_asked_for(picture):
    rows, _ = picture.rows([2, 0, 99], [])
    assert [row["page"] for row in rows] == ["/c", "/home"]
    assert rows[0] == {
        "page": "/c",
        "depth": "2",
        "pagerank": "0.125",
        "component": "1",
        "page_type": "article",
    }
    assert picture.rows([], []) == ([], [])


def test_a_search_finds_words_in_any_case_the_most_important_page_first(picture):
    assert picture.find("/", [])[0][:2] == [[0, "/home"], [1, "/a,b"]]
    assert picture.find("LOS", [])[0] == [[3, "/lost"]]
    assert picture.find("nothing", [])[0] == []


def test_a_file_that_is_gone_is_said(picture):
    picture.edges.unlink()
    with pytest.raises(Problem, match=r"edges\.csv is gone"):
        picture.graph(None, [])


def test_a_table_without_rows_is_a_graph_without_pages(picture):
    picture.nodes.write_text("page,depth\n")
    about, parts = picture.graph(None, [])
    assert (about["pages"], about["links"], parts) == (0, 0, [b""])


def test_the_colours_of_numbers_are_seen_on_a_light_and_on_a_dark_page():
    def light(hex_colour):
        parts = (int(hex_colour[at : at + 2], 16) / 255 for at in (0, 2, 4))
        linear = (x / 12.92 if x <= 0.04 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) + 0.05

    ramp = re.findall("#(\\w{6})", re.search(r"RAMP = \[(.*?)\]", SCRIPT)[1])
    assert len(ramp) == 5
    for colour in ramp:
        assert light("ffffff") / light(colour) > 3 and light(colour) / light("13171f") > 3


def test_a_small_pagerank_is_shown_without_an_exponent():
    shown = [f"{row['pagerank']:.6g}" for row in _picture.evened([{"pagerank": 1.0927e-05}])]
    assert shown == ["0.000010927"] and f"{_picture.Share(0.0536219):.6g}" == "0.053622"


def test_the_bars_of_depths_have_the_pages_out_of_reach_too():
    depths = [["0", 1], ["1", 4]]
    assert _picture.depth_bars({"depths": depths, "unreached": 7})[-1] == ["out of reach", 7]
    assert _picture.depth_bars({"depths": depths, "unreached": 0}) == depths
