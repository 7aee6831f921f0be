"""A made-up site for the stand-in: pages, links and fields, the same for the same seed and size.

It has what real sites have: repeats, self-links, pages without links, pages nobody links to.
"""

import random
from collections import deque

HOST = "www.demo-shop.example"
KINDS = ("home", "category", "product", "article")


def make_site(size=400, seed=7, deepest=8):
    """`size` pages, the home page first: {url, depth, pagetype, http_code, title, compliant,

    inlinks, outlinks, pagerank, clicks, impressions, links: [url, …]}; no depth: none leads."""
    chance = random.Random(f"{seed} {size}")
    pages = [_page(n, chance) for n in range(size)]
    level = [0]
    for n, page in enumerate(pages[1:], 1):
        parent = _parent(n, level, deepest, chance)
        level.append(level[parent] + 1)
        if chance.random() > 0.02:  # some have nobody who leads to them
            pages[parent]["links"].append(page["url"])
    for page in pages:
        _link(page, pages, chance)
    _measure(pages)
    return pages


def earlier(pages):
    """A site as it was a month before, to compare with: some pages are not there yet, some still

    have their old address, some links are missing, and the home page has others."""
    chance = random.Random(f"earlier {len(pages)}")
    there = pages[: len(pages) - len(pages) // 20]
    names = {page["url"]: page["url"] for page in there}
    for page in there[1:]:
        if chance.random() < 0.03:
            names[page["url"]] += "/old"
    before = []
    for page in there:
        links = [names[url] for url in page["links"] if url in names and chance.random() > 0.05]
        before.append(page | {"url": names[page["url"]], "links": links})
    nearer = [page["url"] for page in before[1:] if chance.random() < 0.03]
    before[0]["links"] += nearer  # they are deeper now
    _measure(before)
    return before


def _page(n, chance):
    kind = KINDS[0] if not n else chance.choices(KINDS[1:], (1, 6, 3))[0]
    gone = chance.random() < 0.03
    return {
        "url": f"https://{HOST}/" + (f"{kind}/{n}" if n else ""),
        "pagetype": kind,
        "http_code": 404 if gone and n else 200,
        "title": f"{kind.capitalize()} {n}, “made up”" if n else "Demo shop: made-up data",
        "compliant": not (gone or chance.random() < 0.1),
        "clicks": chance.randrange(200),
        "impressions": chance.randrange(5_000),
        "links": [],
    }


def _parent(n, level, deepest, chance):
    """An earlier page, rather a near one, that is not too deep to have pages below it."""
    for _ in range(20):
        parent = int(n * chance.random() ** 1.5)
        if level[parent] < deepest:
            return parent
    return 0


def _link(page, pages, chance):
    links = page["links"]
    if not links and chance.random() < 0.3:
        return  # a dead end
    near = chance.choices(pages[: 1 + len(pages) // 20], k=3)
    links += [p["url"] for p in (pages[0], *near)]
    if chance.random() < 0.1:
        links.append(page["url"])
    if chance.random() < 0.1:
        links.append(links[0])


def _measure(pages):
    by_url = {page["url"]: page for page in pages}
    for page in pages:
        page |= {"depth": None, "inlinks": 0, "outlinks": len(page["links"])}
    pages[0]["depth"], queue = 0, deque(pages[:1])
    while queue:
        page = queue.popleft()
        for url in page["links"]:
            if by_url[url]["depth"] is None:
                by_url[url]["depth"] = page["depth"] + 1
                queue.append(by_url[url])
    for page in pages:
        for url in {*page["links"]} - {page["url"]}:
            by_url[url]["inlinks"] += 1
    most = max(page["inlinks"] for page in pages) or 1
    for page in pages:
        page["pagerank"] = round(10 * page["inlinks"] / most, 2)
