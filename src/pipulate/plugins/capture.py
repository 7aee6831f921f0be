"""Capture: pages as the user's own browser shows them: picture, title, accessibility tree, links.

It has the profile that Pipulate keeps. Each page is kept as it comes.
"""

from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pipulate import Between, File, Pipeline, Problem, Text
from pipulate.plugins.pages import listed

MOST = 1_000  # pages of one run
COLUMNS = ("url", "status", "error", "title", "final_url", "links", "picture", "tree")
HREFS = "found => [...new Set(found.map(a => a.href).filter(at => at.startsWith('http')))]"

ABOUT = "Pictures, trees and links of pages, by your browser."

capture = Pipeline("Capture", ABOUT, outside=True, needs="browser")


@capture.step
def addresses(urls: Text = "", file: File | None = None):
    """Which pages? Paste addresses, one a line, or give a file with them: text, CSV, XLSX."""
    found = listed(urls, file, MOST)
    for row in found:
        if urlsplit(row["url"]).scheme.lower() not in ("http", "https"):
            raise Problem(f"{row['url'][:200]!r} is no web address.", "It starts with https://")
    return found


@capture.step
def captured(
    addresses,
    job,
    also: Annotated[Text, "other sites that the pages may load from, one a line; * for all"] = "",
    log_in: Annotated[bool, "wait at the first page, until you are logged in"] = False,
    wait: Annotated[float, Between(0, 60), "seconds before a picture is taken"] = 1.0,
    whole: Annotated[bool, "the whole page, not only what a window shows"] = True,
):
    """A window of your browser opens each. What may pages load, when is the picture taken?"""
    urls, rows = [row["url"] for row in addresses], job.checkpoint_data or []
    sites = [f"{at.scheme}://{at.netloc}" for at in map(urlsplit, urls)]
    job.progress(len(rows), len(urls), "the browser is opened")
    page = job.browser(*sites, *also.split())
    if log_in:
        page.goto(urls[0])
        job.ask("Log in, in the window of the browser; then go on.", ["Go on"])
    for url in urls[len(rows) :]:
        job.progress(len(rows), len(urls), url)
        rows.append(look(page, url, wait, job.files / f"{len(rows) + 1:04}", whole))
        job.checkpoint(rows)
    if all(row["error"] for row in rows):
        raise Problem(f"No page could be captured: {rows[0]['error']}", "Mend the addresses.")
    return rows


def look(page, url, wait, stem, whole):
    """The row of a page, whatever happens; its files begin with `stem`."""
    from playwright.sync_api import Error

    row = dict.fromkeys(COLUMNS, "") | {"url": url}
    try:
        answer = page.goto(url)
        page.wait_for_timeout(wait * 1_000)
        row |= {"status": answer.status if answer else "", "title": page.title()}
        links = page.eval_on_selector_all("a[href]", HREFS)
        row |= {"final_url": page.url, "links": len(links)}
        row["tree"] = written(stem.with_suffix(".tree.txt"), page.locator(":root").aria_snapshot())
        written(stem.with_suffix(".links.txt"), "\n".join(links))
        whole = whole and page.evaluate("!!document.body")  # a drawing (SVG) has none to measure
        page.screenshot(path=stem.with_suffix(".png"), full_page=whole)
        row["picture"] = str(stem.with_suffix(".png"))
    except Error as error:
        if page.is_closed():
            raise
        row["error"] = why(str(error).splitlines()[0])
        print(url, row["error"])
        with suppress(Error):  # else the browser's own page about it breaks off the next one
            page.wait_for_url("chrome-error://**", timeout=2_000)
            page.goto("about:blank")
    return row


def why(said):
    """A fault of the browser in words."""
    if "Download is starting" in said:
        return "It is a file to download: it lies in this run's files."
    if "ERR_SOCKS_CONNECTION_FAILED" in said:
        return "It does not answer, or leads to a site that this run may not open: see the log."
    if "ERR_ABORTED" in said:
        return "It answers, but with nothing to show."
    return said.partition(": ")[2] or said


def written(path, text):
    """A file with this text, as its place."""
    path.write_text(text, "utf-8")
    return str(path)


@captured.view
def draw_captured(output):
    """The first rows."""
    from pipulate import DataTable

    return DataTable([told(row) for row in islice(output, 200)])


def told(row):
    """A row with the names of its files instead of their places."""
    return row | {name: Path(row[name]).name for name in ("picture", "tree")}


@capture.step(auto=True)
def table(captured, job):
    """Writes a CSV with a row for each page."""
    failed = sum(bool(row["error"]) for row in captured)
    file = job.csv("captured.csv", (told(row) for row in captured), COLUMNS)
    return {"pages": len(captured), "with_errors": failed, "file": file}


@capture.step(auto=True)
def links(captured, job):
    """Writes a CSV of links, for the pipeline Links."""
    ends = (
        {"source": row["final_url"], "target": link}
        for row in captured
        if row["tree"]
        for link in Path(row["tree"].replace(".tree.", ".links.")).read_text("utf-8").splitlines()
    )
    return job.csv("links.csv", ends, ["source", "target"])


@capture.step(auto=True)
def pictures(captured):
    """The pictures, and the trees beside them."""
    files = (row[name] for row in captured for name in ("picture", "tree"))
    return [File(path) for path in files if path and Path(path).exists()]
