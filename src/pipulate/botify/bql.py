"""The part of BQL that the stand-in understands, over the pages of a made-up site."""

import re

GRAPH = "outlinks_internal.graph.url"
FIELDS = {
    "url": "url",
    "depth": "depth",
    "http_code": "http_code",
    "metadata.title.content": "title",
    "segments.pagetype.value": "pagetype",
    "compliant.is_compliant": "compliant",
    "inlinks_internal.nb.unique": "inlinks",
    "outlinks_internal.nb.total": "outlinks",
    GRAPH: "links",
    "internal_page_rank.value": "pagerank",
    "search_console.period_0.count_clicks": "clicks",
    "search_console.period_0.count_impressions": "impressions",
}


class BadQuery(Exception):
    """(error code, message) of a query that is refused."""


def answer(query, pages, crawls):
    """The rows, {dimensions, metrics}, that a query gives. Raises BadQuery."""
    inner, known = query.get("query"), {f"crawl.{slug}" for slug in crawls} | {"search_console"}
    if not isinstance(inner, dict):
        raise BadQuery(1024, "query must be an object")
    for collection in query.get("collections") or [""]:
        if collection not in known:
            raise BadQuery(1022, f"unknown collection {collection!r}")
    if "search_console" in query["collections"] and not query.get("periods"):
        raise BadQuery(1022, "search_console needs periods")
    dimensions = [_named(name, query) for name in inner.get("dimensions") or []]
    sums = (m["args"][0] if isinstance(m, dict) else m for m in inner.get("metrics") or [])
    metrics = [_named(name, query) for name in sums]
    if not dimensions and not metrics:
        raise BadQuery(1016, "no fields")
    chosen = [page for page in pages if _passes(page, inner.get("filters"), query)]
    by_page = "url" in dimensions
    return (_each if by_page else _grouped)(chosen, dimensions, metrics)


def _named(name, query):
    """What a page calls a field. Raises BadQuery for one that its collection lacks."""
    bare = re.sub(r"^crawl\.[\d-]+\.", "", str(name))
    outside = bare.startswith("search_console") and "search_console" not in query["collections"]
    if outside or bare not in FIELDS:
        raise BadQuery(1029, f"unknown field {name!r}")
    if bare != "url" and bare == name and not bare.startswith("search_console"):
        raise BadQuery(1029, f"unknown field {name!r}: its collection is missing")
    return FIELDS[bare]


def _passes(page, said, query):
    match said or {}:
        case {"and": several}:
            return all(_passes(page, one, query) for one in several)
        case {"or": several}:
            return any(_passes(page, one, query) for one in several)
        case {"not": one}:
            return not _passes(page, one, query)
        case {"field": field, "predicate": "lte", "value": wanted}:
            value = page[_named(field, query)]
            return value is not None and value <= wanted
        case {"predicate": predicate}:
            raise BadQuery(1022, f"unknown predicate {predicate!r}")
    return True


def _each(pages, dimensions, metrics):
    """A row for each page; with the links among its fields, a row for each link."""
    for page in pages:
        for link in (page["links"] or [""]) if "links" in dimensions else [""]:
            cells = [link if name == "links" else page[name] for name in dimensions]
            yield {"dimensions": cells, "metrics": [page[name] for name in metrics]}


def _grouped(pages, dimensions, metrics):
    groups = {} if dimensions else {(): [0] * len(metrics)}
    for page in pages:
        key = tuple(page[name] for name in dimensions)
        values = [page[name] for name in metrics]
        groups[key] = [*map(sum, zip(groups.get(key, [0] * len(metrics)), values, strict=True))]
    for key in sorted(groups, key=lambda key: [(cell is None, cell) for cell in key]):
        yield {"dimensions": [*key], "metrics": groups[key]}
