"""The measures of a graph against slow and plain ones, and its tables as CSV."""

import random
from collections import deque

import numpy as np
import pytest

from pipulate.plugins import _graph


def plain_pagerank(n, pairs, rounds=400):
    out = [[] for _ in range(n)]
    for a, b in pairs:
        out[a].append(b)
    rank = [1 / n] * n
    for _ in range(rounds):
        lost = sum(rank[page] for page in range(n) if not out[page])
        following = [0.15 / n + 0.85 * lost / n] * n
        for page in range(n):
            for target in out[page]:
                following[target] += 0.85 * rank[page] / len(out[page])
        rank = following
    return rank


def plain_reach(n, pairs, start):
    near = [[] for _ in range(n)]
    for a, b in pairs:
        near[a].append(b)
    depth, queue = {start: 0}, deque([start])
    while queue:
        page = queue.popleft()
        for target in near[page]:
            if target not in depth:
                depth[target] = depth[page] + 1
                queue.append(target)
    return depth


@pytest.mark.parametrize("seed", range(8))
def test_measures_agree_with_plain_ones(seed):
    rng = random.Random(seed)
    n = rng.choice([3, 20, 120])
    pairs = {(rng.randrange(n), rng.randrange(n)) for _ in range(rng.choice([n // 2, n, 3 * n]))}
    pairs = sorted((a, b) for a, b in pairs if a != b)
    a, b = (np.array([pair[end] for pair in pairs], dtype=np.int64) for end in (0, 1))
    assert _graph.pagerank(n, a, b) == pytest.approx(
        plain_pagerank(n, pairs), abs=1e-7
    )  # 0.85 ** 100
    first = np.append(0, np.cumsum(np.bincount(a, minlength=n)))
    reach = plain_reach(n, pairs, 0)
    assert _graph.depths(first, b, 0).tolist() == [reach.get(page, -1) for page in range(n)]
    component, sizes = _graph.components(n, a, b)
    both = pairs + [(b, a) for a, b in pairs]
    for page in range(n):
        together = {other for other in range(n) if component[other] == component[page]}
        assert together == set(plain_reach(n, both, page))
        assert sizes[component[page] - 1] == len(together)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)


def test_a_long_chain_is_one_component_and_as_deep_as_long():
    n = 5_000
    order = np.random.default_rng(1).permutation(n)
    link = np.argsort(order[:-1])
    a, b = order[:-1][link], order[1:][link]
    first = np.append(0, np.cumsum(np.bincount(a, minlength=n)))
    assert _graph.depths(first, b, order[0]).max() == n - 1
    assert _graph.components(n, a, b)[1].tolist() == [n]


def test_bars():
    assert _graph.bars(np.array([0, 2, 2])) == [["0", 1], ["1", 0], ["2", 2]]
    many = _graph.bars(np.array([0, 1, 2, 3, 4, 7, 8, 40]))
    assert many == [
        ["0", 1],
        ["1", 1],
        ["2–3", 2],
        ["4–7", 2],
        ["8–15", 1],
        ["16–31", 0],
        ["32–63", 1],
    ]


def test_each_of_the_first_depths_has_a_bar_however_deep_a_site_is():
    """A chain of 200 pages hid depths 2 to 7, where all others are, in two bars."""
    deep = _graph.bars(np.array([0, 3, 3, 4, 15, 16, 31, 32, 200]), 16)
    assert [label for label, _ in deep[:16]] == [str(depth) for depth in range(16)]
    assert deep[:5] == [["0", 1], ["1", 0], ["2", 0], ["3", 2], ["4", 1]]
    assert deep[15:] == [["15", 1], ["16–31", 2], ["32–63", 1], ["64–127", 0], ["128–255", 1]]
    assert sum(pages for _, pages in deep) == 9
    assert len(_graph.bars(np.array([30]), 16)) == 31


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a", "a"),
        ("=a", "'=a"),
        ("\ta", '"\'\ta"'),
        ("\ra", '"\'\ra"'),
        ("-5", "-5"),
        ('a"b', '"a""b"'),
        ("a\nb", '"a\nb"'),
        ("=a,b", '"\'=a,b"'),
    ],
)
def test_cell(text, written):
    assert _graph.cell(text) == written


@pytest.mark.parametrize("first", "＝＋－＠")
def test_a_formula_in_wide_letters_is_defused_too(first):
    assert _graph.cell(f"{first}1+cmd") == f"'{first}1+cmd"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "nodes.csv"
    path.write_text("old")
    with pytest.raises(TypeError):
        _graph.save(path, ("page",), np.array(["a\n", None], object))
    assert path.read_text() == "old"
