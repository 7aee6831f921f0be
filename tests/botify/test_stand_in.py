"""The stand-in: the same site for the same seed, and the protocol as it is written down."""

import httpx2
import pytest

from pipulate.botify.bql import BadQuery, answer
from pipulate.botify.made_up import HOST, make_site
from pipulate.botify.stand_in import OWNER, PROJECT, Service, standing

CRAWL = "crawl.20250314"


def test_the_same_seed_and_size_make_the_same_site():
    assert make_site(50) == make_site(50) != make_site(50, seed=8)
    site = make_site(300)
    assert site[0]["depth"] == 0 and {page["depth"] for page in site} >= {None, 1, 2, 3}
    links = [(page["url"], link) for page in site for link in page["links"]]
    assert len({*links}) < len(links), "repeats"
    assert any(page == link for page, link in links) and any(not page["links"] for page in site)
    assert all(page["url"].startswith(f"https://{HOST}/") for page in site)


def test_the_analyses_of_the_demo_differ_so_that_a_comparison_shows_something():
    service = Service()

    def urls(slug):
        query = {"collections": [f"crawl.{slug}"], "query": {"dimensions": ["url"]}}
        return {row["dimensions"][0] for row in service._rows(query)}

    now, before = urls("20250314-2"), urls("20250214")
    assert before == urls("20250214") and now - before and before - now and now & before
    assert urls("20250314") == now, "a second crawl of one day"
    site, was = service._site("20250314"), service._site("20250214")
    depths, then = ({page["url"]: page["depth"] for page in pages} for pages in (site, was))
    shared = [(then[url], depths[url]) for url in {*depths} & {*then}]
    assert any(None not in pair and pair[0] < pair[1] for pair in shared), "deeper"


def test_links_are_counted_by_depth_and_filtered():
    site = make_site(100)
    total = {"function": "sum", "args": [f"{CRAWL}.outlinks_internal.nb.total"]}
    upto = {"field": f"{CRAWL}.depth", "predicate": "lte", "value": 2}

    def ask(**query):
        said = {"collections": [CRAWL], "query": {"metrics": [total], **query}}
        return [*answer(said, site, ["20250314"])]

    by_depth = ask(dimensions=[f"{CRAWL}.depth"])
    few = sum(row["metrics"][0] for row in by_depth[:3])
    assert ask(dimensions=[], filters=upto) == [{"dimensions": [], "metrics": [few]}]
    deeper = ask(dimensions=[], filters={"and": [{"not": upto}, {"or": [upto, upto, {}]}]})
    assert deeper == [{"dimensions": [], "metrics": [sum(len(p["links"]) for p in site) - few]}]
    assert ask(dimensions=[], filters=upto | {"value": -1}) == [{"dimensions": [], "metrics": [0]}]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"collections": [CRAWL], "query": "x"}, 1024),
        ({"collections": ["crawl.1"], "query": {}}, 1022),
        ({"collections": [CRAWL], "query": {}}, 1016),
        ({"collections": [CRAWL], "query": {"dimensions": ["depth"]}}, 1029),
        ({"collections": [CRAWL, "search_console"], "query": {"dimensions": ["url"]}}, 1022),
        (
            {
                "collections": [CRAWL],
                "query": {
                    "dimensions": ["url"],
                    "filters": {"field": f"{CRAWL}.depth", "predicate": "like"},
                },
            },
            1022,
        ),
    ],
)
def test_a_query_that_is_wrong_has_its_code(query, code):
    with pytest.raises(BadQuery) as bad:
        list(answer(query, make_site(10), ["20250314"]))
    assert bad.value.args[0] == code


def test_without_its_token_it_tells_nothing_and_downloads_need_none(service):
    at = f"{service.url}/projects/{OWNER}/{PROJECT}/collections"
    assert httpx2.get(at).status_code == 401
    key = {"Authorization": f"Token {service.token}"}
    assert [row["id"] for row in httpx2.get(at, headers=key).json()][-1] == "search_console"
    assert httpx2.get(f"{service.files}/signed/1/1/x").status_code == 404


def test_it_stops_when_it_is_told():
    with standing(Service(size=5)) as service:
        url = f"{service.url}/jobs"
        assert httpx2.get(url).status_code == 401
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)
