"""What to export: how deep, with which fields, for how many credits. Pure: nobody is asked here.

depth   the clicks from the start page; the links of a depth are those on its pages
limit   the rows that one export may have; a link is a row, and a tenth of a credit
"""

import json
import math
from datetime import timedelta

from pipulate import Problem
from pipulate.botify.answers import whole
from pipulate.botify.slugs import crawl_date

CREDITS = 0.1  # for a row that is tied to the links graph, as Botify publishes it
DEEPEST = 4_096  # where the search for an end stops; some sites never end
DAYS = 30  # of search data, up to the day of the analysis
SEARCH = "search_console"
GRAPH = "outlinks_internal.graph.url"
FIELDS = {  # label → field of a crawl
    "page type": "segments.pagetype.value",
    "status code": "http_code",
    "title": "metadata.title.content",
    "compliant": "compliant.is_compliant",
    "depth": "depth",
    "inlinks": "inlinks_internal.nb.unique",
    "PageRank": "internal_page_rank.value",
}
METRICS = {  # label → field of search data
    "clicks": f"{SEARCH}.period_0.count_clicks",
    "impressions": f"{SEARCH}.period_0.count_impressions",
}


# -- how deep ----------------------------------------------------------------------------------


def links_query(analysis, deepest=None):
    """The number of links of each depth; or of all depths down to one, as one number."""
    crawl = f"crawl.{analysis}"
    total = {"function": "sum", "args": [f"{crawl}.outlinks_internal.nb.total"]}
    query = {"dimensions": [f"{crawl}.depth"], "metrics": [total]}
    if deepest is not None:
        query |= {"dimensions": [], "filters": _upto(crawl, deepest)}
    return {"collections": [crawl], "query": query}


def _upto(crawl, depth):
    return {"field": f"{crawl}.depth", "predicate": "lte", "value": depth}


def number(row):
    """The first metric of a row as a whole number, 0 where there is none."""
    return whole((row.get("metrics") or [0])[0]) or 0


def levels_of(rows):
    """(depth, links) from the rows of `links_query`; pages that nothing leads to have no depth."""
    known = ((whole(row["dimensions"][0]), number(row)) for row in rows if row["dimensions"])
    return sorted((depth, links) for depth, links in known if depth is not None)


def search_levels(total, limit):
    """The same with few questions, where depths cannot be grouped: `total(depth)` counts all links

    down to a depth. Doubles until nothing is added or the limit is passed, then halves."""
    known, low, high = {0: total(0)}, 0, 1
    while high <= DEEPEST:
        known[high] = total(high)
        if known[high] > limit or known[high] == known[low] and high > 2:
            break
        low, high = high, high * 2
    while high - low > 1 and known.get(high, 0) > limit:
        middle = (low + high) // 2
        known[middle] = total(middle)
        low, high = (middle, high) if known[middle] <= limit else (low, middle)
    depths = sorted(known)
    before = [0, *(known[depth] for depth in depths)]
    return [(depth, known[depth] - old) for depth, old in zip(depths, before, strict=False)]


def depth_table(levels, limit):
    """[{depth, links, total, fits, note}] of (depth, links); `limit`: rows of one export.

    Where depths were searched, a row may stand for several."""
    rows, total, before = [], 0, -1
    for depth, links in levels:
        total += links
        note = "over the limit" if total > limit else "" if links else "adds nothing"
        several = f"depths {before + 1} to {depth}" if depth > before + 1 else ""
        note, before = ", ".join(filter(None, [several, note])), depth
        row = {"depth": depth, "links": links, "total": total, "fits": total <= limit}
        rows.append(row | {"note": note})
    return rows


def deepest_fit(table, limit):
    """The largest depth that fits one export and adds links. Raises Problem when none does."""
    if not any(row["links"] for row in table):
        raise Problem("This analysis has no internal links.", "Choose another analysis.")
    fits = [row["depth"] for row in table if row["fits"] and row["links"]]
    if not fits:
        first = next(row for row in table if row["links"])
        raise Problem(
            f"The pages of depth {first['depth']} alone have {first['links']:,} links, "
            f"and one export takes {limit:,}.",
            "If your plan allows more, give that as the limit.",
        )
    return max(fits)


# -- what an export asks for -------------------------------------------------------------------


def export_query(analysis, depth, labels, bare=False):
    """A row for each link: its page, its target, and what is asked of the page."""
    crawl = f"crawl.{analysis}"
    asked = _page_query(analysis, [*labels], bare, f"{crawl}.{GRAPH}")
    asked["query"]["filters"] = _upto(crawl, depth)
    return asked


def probe(analysis, *labels, bare=False):
    """A query of pages that is refused where a project lacks one of the fields."""
    return _page_query(analysis, labels, bare)


def _page_query(analysis, labels, bare, *more):
    """`bare`: segments are fields of the project, and named without the crawl."""
    crawl = f"crawl.{analysis}"
    names = [FIELDS[label] for label in labels if label in FIELDS]
    own = [n if bare and n.startswith("segments.") else f"{crawl}.{n}" for n in names]
    metrics = [METRICS[label] for label in labels if label in METRICS]
    asked = {"query": {"dimensions": ["url", *more, *own], "metrics": metrics}}
    if not metrics:
        return asked | {"collections": [crawl]}
    end = crawl_date(analysis)
    days = [str(end - timedelta(days=DAYS - 1)), str(end)]
    return asked | {"collections": [crawl, SEARCH], "periods": [days]}


def ordered(labels):
    """The columns of the file behind source and target: fields, then metrics."""
    chosen = [*labels]
    return [label for label in (*FIELDS, *METRICS) if label in chosen]


def payload_of(owner, project, query, rows):
    """An export job: CSV with a plain header, for direct download."""
    header = {"print_header": True, "print_delimiter": False, "header_format": "slug"}
    return {
        "username": owner,
        "project": project,
        "connector": "direct_download",
        "formatter": "csv",
        "formatter_config": header,
        "export_size": rows,
        "query": query,
    }


def credits_of(rows):
    """What an export of so many rows costs, in credits, rounded up."""
    return math.ceil(rows * CREDITS)


# -- jobs that are there already ---------------------------------------------------------------


def adoptable(jobs, payload, besides=()):
    """The newest job that asks for the same, and has not failed; but none of those `besides`."""
    wanted, left_out = _asked(payload), {*besides}
    found = [
        job
        for job in jobs
        if _asked(job["payload"]) == wanted
        and job["job_status"].upper() != "FAILED"
        and job["job_id"] not in left_out
    ]

    def age(job):
        key = job["job_id"]
        return job["date_created"] or "", int(key) if key.isdecimal() else 0, key

    return max(found, key=age, default=None)


def _asked(payload):
    """What a job asks for, however it is written; "" if that is not known."""
    if not isinstance(payload, dict):
        return ""
    whole = payload.get("query") or {}
    inner = whole.get("query") or {}
    parts = [payload.get(name) or "" for name in ("username", "project", "formatter")]
    parts += [sorted(whole.get("collections") or []), whole.get("periods") or []]
    parts += [inner.get(name) or [] for name in ("dimensions", "metrics", "filters")]
    return json.dumps(parts, sort_keys=True, default=str)
