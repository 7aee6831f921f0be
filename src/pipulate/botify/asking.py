"""How a step asks Botify: through the tools of the app Botify, patiently, and telling why.

While Botify lets us wait, the step's progress says so; while it refuses the token, the run waits.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor, wait

from pipulate import Problem
from pipulate.botify import plans
from pipulate.botify.answers import words

GO_ON = "Go on"
ANEW = "Run the step Export again with “Anew”; it costs again."
FIRST, GROWS, LONGEST = 1.0, 1.5, 20.0  # seconds between two looks at a job
PATIENCE = 4 * 3_600.0  # seconds for which a job is looked at
QUIET = 1.5  # seconds after which a step says what it waits for


def asked(job, tool, /, **values):
    """What a tool of the app Botify gives. A token that is refused is waited for."""
    while True:
        try:
            return waited(job, tool, values)
        except Problem as problem:
            if problem.details.get("status") not in (401, 403):
                raise
            job.ask(f"{problem} Then:", [GO_ON])


def waited(job, tool, values):
    """The same, but a refused token is a Problem as any other."""
    began = time.monotonic()
    with ThreadPoolExecutor(1) as aside:
        work = aside.submit(job.tool, f"botify_{tool}", **values)
        while not wait([work], 0.2).done:
            if (spent := time.monotonic() - began) > QUIET:
                left = job.tool("botify_status")["wait"]
                said = f"Botify lets us wait: {left:.0f} s" if left > 1 else "Asking Botify"
                job.progress(0, 0, f"{said} ({spent:.0f} s so far)")
        return work.result()


def links_upto(job, crawl, depth):
    """How many links there are down to a depth, by one question."""
    query = plans.links_query(crawl["analysis"], depth)
    rows = asked(job, "query", project=crawl["project"], bql=query)
    return plans.number(rows[0]) if rows else 0


def tried(job, project, query, most=1):
    """The first rows of a query; None where Botify does not take it."""
    try:
        return asked(job, "query", project=project, bql=query, most=most)
    except Problem as problem:
        if problem.details.get("status") not in (400, 404):  # a collection may not be there
            raise
    return None


def exports_of(job, plan):
    """(the export jobs of the project, why they are not known: "" if they are)."""
    try:
        return asked(job, "exports", project=plan["project"]), ""
    except Problem as problem:
        if problem.details.get("status") not in (404, 405):
            raise
    return [], "Botify lists no exports here, so nobody knows whether it has this one already."


def finished_job(job, key):
    """The export job of that id, once it is done. Raises Problem when nothing comes of it."""
    pause, began = FIRST, time.monotonic()
    while True:
        found = _job(job, key)
        state, spent = found["job_status"].upper(), time.monotonic() - began
        if state == "DONE":
            return found
        if state == "FAILED":
            why = found["error"] or "it does not say why"
            said = words(why, json.dumps(why))
            raise Problem(f"Botify's export {key} failed: {said}.", ANEW)
        if spent > PATIENCE:
            what = f"Botify's export {key} is not done after {spent / 3_600:.0f} hours ({state})."
            raise Problem(what, "Run this step again later: it waits for the same export.")
        job.progress(0, 0, f"Botify makes the file ({state.lower()}, {spent:.0f} s so far)")
        time.sleep(pause)
        pause = min(pause * GROWS, LONGEST)


def _job(job, key):
    try:
        return asked(job, "job", job=key)
    except Problem as problem:
        if problem.details.get("status") != 404:
            raise
        raise Problem(f"Botify has no export {key} any more.", ANEW) from None


def link_of(found):
    """Where the file of a finished job is. Raises Problem."""
    link = (found["results"] or {}).get("download_url") or ""
    if not str(link).lower().startswith(("https://", "http://")):
        raise Problem("Botify says that the export is done, but not where its file is.", ANEW)
    return link
