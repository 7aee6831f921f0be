"""Pages: a list of web addresses is read politely; what each page says, and where it links.

What polite means is in _visitor.py. Whatever goes wrong with a page is a row with the reason. A run
that was broken off goes on behind the rows it has.
"""

import re
from collections import Counter
from functools import partial
from itertools import islice
from typing import Annotated
from urllib.parse import urldefrag, urljoin, urlsplit

from anyio import to_thread

from pipulate import Between, File, Pipeline, Problem, Text, read_sheet
from pipulate.plugins._visitor import Visitor

MOST, LINKS = 50_000, 5_000  # pages of one run; links of one page that are kept
COLUMNS = ("url", "status", "error", "title", "description", "h1", "canonical", "robots")
COLUMNS += ("words", "internal", "external", "final_url", "redirects")

about = "Reads web pages politely: status, title, description, links."
pages = Pipeline("Pages", about, outside=True)


@pages.step
def addresses(urls: Text = "", file: File | None = None):
    """Which pages? Paste addresses, one a line, or give a file with them: text, CSV, XLSX."""
    return listed(urls, file, MOST)


def listed(urls, file, most):
    """A row for each address, each once. Raises Problem when there are none, or over `most`."""
    lines = [*urls.splitlines(), *(lines_of(file) if file else ())]
    found = dict.fromkeys(addressed(line) for line in lines if line.strip())
    if not found or len(found) > most:
        raise Problem(f"There are {len(found):,} addresses.", f"Give 1 to {most:,}, one a line.")
    return [{"url": url} for url in found]


def addressed(line):
    """An address with its scheme and without a fragment."""
    line = line.strip().partition("#")[0]
    return line if re.match(r"[a-z]+:(?!\d)", line, re.I) else f"https://{line}"


def lines_of(file):
    """The addresses in a file: its lines, or the column of a table that has most of them."""
    if file.path.suffix.lower() not in (".csv", ".tsv", ".json", ".xlsx", ".ods", ".xls"):
        return file.path.read_text("utf-8", errors="replace").lstrip("\ufeff").splitlines()
    web = re.compile(r"https?://\S", re.I)
    sheet = read_sheet(file.path, header=lambda rows: not any(map(web.match, map(str, rows[0]))))
    cells = [[c.strip() if isinstance(c, str) else "" for c in row] for _, row in sheet.rows]
    counts = Counter(at for row in cells for at, cell in enumerate(row) if web.match(cell))
    if not counts:
        what = f"No column of {file.name} holds addresses: {', '.join(sheet.columns)[:200]}."
        raise Problem(what, "A full address starts so: https://")
    best = max(counts, key=lambda at: (counts[at], -at))
    return [row[best] for row in cells if len(row) > best]


@pages.step
def visited(
    addresses,
    job,
    per_second: Annotated[float, Between(0.01, 100)] = 1.0,
    hosts_at_once: Annotated[int, Between(1, 32)] = 8,
):
    """How fast? Pages a second from each host, and how many hosts at once."""
    visitor, urls = Visitor(1 / per_second, hosts_at_once), [row["url"] for row in addresses]
    # all wait at once, each for the turn of its host
    yield from job.map(partial(look, visitor), urls, at_once=len(urls))


async def look(visitor, url):
    """The row of a page, whatever happens."""
    row, trail = dict.fromkeys([*COLUMNS, "links"], "") | {"url": url}, []
    try:
        page = await visitor.followed(url, trail)
        row |= {"status": page.status} | await to_thread.run_sync(told, page)
    except Exception as error:
        known = isinstance(error, Problem)
        row["status"] = error.details.get("status", "") if known else ""
        row["error"] = error.what if known else f"{type(error).__name__}: {error}"
    if row["error"]:
        print(url, row["error"])
    return row | {"redirects": " → ".join(trail)}


def told(page):
    """What a page says of itself, by column; its distinct links, one a line."""
    from selectolax.lexbor import LexborHTMLParser

    row = {"final_url": urldefrag(page.url).url, "words": len(page.text.split())}
    row["error"] = "" if page.complete else f"Only {len(page.text):,} characters of it were read."
    if "html" not in page.headers.get("content-type", "html"):
        return row
    tree = LexborHTMLParser(page.text)
    base = joined(page.url, line(tree, "base", "href"))
    hrefs = (joined(base, a.attributes["href"] or "") for a in tree.css("a[href]"))
    links = [link for link in dict.fromkeys(hrefs) if link.startswith("http")][:LINKS]
    inside = sum(host_of(link) == host_of(page.url) for link in links)
    canonical = line(tree, 'link[rel~="canonical" i]', "href")
    robots = line(tree, 'meta[name="robots" i]', "content"), page.headers.get("x-robots-tag", "")
    row |= {"title": page.title[:500], "h1": line(tree, "h1")[:500]}
    row["description"] = line(tree, 'meta[name="description" i]', "content")
    row["canonical"] = joined(base, canonical) if canonical else ""
    row["robots"] = ", ".join(filter(None, robots))
    row |= {"internal": inside, "external": len(links) - inside, "links": "\n".join(links)}
    tree.strip_tags(["script", "style", "noscript", "template"])
    return row | {"words": len(tree.body.text(separator=" ").split()) if tree.body else 0}


def line(tree, selector, attribute=""):
    """The text, or an attribute, of the first element of a kind, on one line."""
    if not (node := tree.css_first(selector)):
        return ""
    said = node.attributes.get(attribute) if attribute else node.text(separator=" ")
    return " ".join((said or "").split())[:2_000]


def joined(base, href):
    """Where a link leads, without fragment, or nothing."""
    try:
        return urldefrag(urljoin(base, href.strip())).url
    except ValueError:  # such as http://[half
        return ""


def host_of(url):
    """Host and port of an address, in small letters."""
    return urlsplit(url).netloc.lower()


@pages.step(auto=True)
def table(visited, job):
    """Writes a CSV with a row for each page."""
    kinds = Counter(str(row["status"] or "not read") for row in visited)
    return {
        "pages": len(visited),
        "with_errors": sum(bool(row["error"]) for row in visited),
        "statuses": sorted(kinds.items()),
        "first": [{name: row[name] for name in COLUMNS} for row in islice(visited, 200)],
        "file": job.csv("pages.csv", visited, COLUMNS),
    }


@table.view
def draw_table(output):
    """How many of each status, and the first rows."""
    from pipulate import BarChart, DataTable

    return BarChart(output["statuses"], "Pages by status"), DataTable(output["first"])


@pages.step(auto=True)
def links(visited, job, external: bool = False):
    """Writes a CSV of links, for the pipeline Links. Those to other sites, too?"""
    if not any(row["final_url"] for row in visited):
        what = f"None of the pages ({len(visited):,}) could be read."
        why = f" The first: {visited[0]['error']}"
        raise Problem(what + why, "The table has the reason of each.")
    ends = (
        {"source": row["final_url"], "target": link}
        for row in visited
        for link in row["links"].splitlines()
        if external or host_of(link) == host_of(row["final_url"])
    )
    return job.csv("links.csv", ends, ["source", "target"])
