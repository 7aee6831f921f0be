"""Link graph: from a Botify project to its measured links.

What asks Botify is a tool of the app Botify: this process has no token. No second export is
ordered, whenever a run was stopped: a job that Botify has is taken up, an uncertain one looked for.
"""

import math
from pathlib import Path
from typing import Annotated

from pipulate import Between, Choices, File, Invalid, Pipeline, Problem
from pipulate.botify import plans
from pipulate.botify.answers import whole
from pipulate.botify.asking import ANEW, asked, exports_of, finished_job, link_of, links_upto
from pipulate.botify.asking import tried, waited
from pipulate.botify.download import Download
from pipulate.botify.joined import join
from pipulate.botify.slugs import read_address
from pipulate.plugins.links import Formats, draw_report, figures, links, pictured

PASTE = "(paste an address below)"
START, LEAVE = "Start the export", "No"
LIMIT = "rows at most"  # what `most` is called on the page

ABOUT = "The internal links of a Botify project, exported and measured."
link_graph = Pipeline("Link graph", ABOUT)


class Lost(Exception):
    """The answer to an order was lost. No Problem: those mean that nothing was begun."""


class Uncertain(Invalid, status=409):
    """Nobody knows whether an export was begun. (Kinds of Problem itself are the framework's.)"""


# -- project and analysis ----------------------------------------------------------------------


@link_graph.step(auto=True)
def account(job, refresh: bool = False):
    """Asks Botify for your projects. Ask anew, although the list is kept?"""
    note = ""
    try:
        found = waited(job, "projects", {"refresh": refresh})
    except Problem as problem:
        if problem.details.get("status") == 401:
            found = asked(job, "projects", refresh=True)
        else:  # an address can be pasted all the same
            found, note = {"rows": [], "at": ""}, str(problem)
    status = job.tool("botify_status")
    projects = [f"{row['owner']}/{row['slug']}" for row in found["rows"]]
    about = {"user": status["user"], "data": "demo data" if status["demo"] else "Botify"}
    return about | {"site": status["site"], "projects": projects, "at": found["at"], "note": note}


@account.view
def draw_account(output):
    """Who, how many projects, whose data, in a line."""
    count = len(output["projects"])
    said = f"{count:,} project{'s' * (count != 1)}"
    return " · ".join(filter(None, [output["user"], said, output["data"], output["note"]]))


def known_projects(account):
    """owner/project: that used last first; where there is none, the wish to paste one."""
    last = "/".join((account["site"] or "").split("/")[:2])
    return [*dict.fromkeys(filter(None, [last, *account["projects"]]))] or [PASTE]


@link_graph.step
def site(account, job, project: Annotated[str, Choices(known_projects)], address: str = ""):
    """Which project? Choose one, or paste any Botify address: what is pasted counts."""
    pasted = read_address(address or ("" if project == PASTE else project))
    rows = asked(job, "analyses", project=pasted.name, refresh=True)["rows"]
    done = [row["slug"] for row in rows if row["status"] == "success"]
    if not done:
        what = f"{pasted.name} has no finished analysis."
        raise Problem(what, "Wait for Botify to finish one, or choose another project.")
    if pasted.analysis and pasted.analysis not in done:
        what = f"{pasted.name} has no finished analysis {pasted.analysis}."
        raise Problem(what, f"The newest is {done[0]}.")
    last = account["site"] or ""
    before = last.rpartition("/")[2] if last.startswith(f"{pasted.name}/") else ""
    first = pasted.analysis or (before if before in done else done[0])
    about = {"name": pasted.name, "data": account["data"], "analyses": rows}
    return about | {"finished": [first, *(slug for slug in done if slug != first)]}


@site.view
def draw_site(output):
    """The analyses as a table."""
    from pipulate import DataTable

    return DataTable(output["analyses"])


def finished(site):
    """The analyses that are done: the one of the address or used last, then newest first."""
    return site["finished"]


@link_graph.step
def crawl(site, job, analysis: Annotated[str, Choices(finished)]):
    """Which analysis?"""
    asked(job, "choose", address=f"{site['name']}/{analysis}")
    return {"project": site["name"], "analysis": analysis, "data": site["data"]}


# -- how deep, and with what -------------------------------------------------------------------


@link_graph.step(auto=True)
def depths(crawl, job, limit: Annotated[int, Between(1, 100_000_000)] = 1_000_000):
    """Counts the links of each depth. How many rows may one export have, by your plan?"""
    project, analysis = crawl["project"], crawl["analysis"]
    rows = tried(job, project, plans.links_query(analysis), plans.DEEPEST)
    if rows is None:
        levels = plans.search_levels(lambda depth: links_upto(job, crawl, depth), limit)
    else:
        levels = plans.levels_of(rows)
    table = plans.depth_table(levels, limit)
    best = plans.deepest_fit(table, limit)
    there, bare = fields_there(job, project, analysis)
    return {"table": table, "best": best, "fields": there, "bare": bare, "limit": limit}


def fields_there(job, project, analysis):
    """(the fields that the project has, whether its segments are named without the crawl).

    All are tried at once, then those that are not listed one by one."""
    labels = [*plans.FIELDS, *plans.METRICS]

    def takes(*labels, bare):
        return tried(job, project, plans.probe(analysis, *labels, bare=bare)) is not None

    for bare in (True, False):
        if takes(*labels, bare=bare):
            return labels, bare
    listed, bare = set(), takes("page type", bare=True)
    try:
        listed = {*asked(job, "columns", project=project, collection=f"crawl.{analysis}")}
    except Problem as problem:
        print(f"The list of fields: {problem}")
    there = [n for n in labels if plans.FIELDS.get(n) in listed or takes(n, bare=bare)]
    return there, bare


@depths.view
def draw_depths(output):
    """Links by depth, as a table and as bars."""
    from pipulate import BarChart, DataTable

    bars = [(row["depth"], row["links"]) for row in output["table"]]
    return DataTable(output["table"]), BarChart(bars, "Links by depth")


def fitting(depths):
    """The depths that fit one export, the largest that adds links first, then down.

    Those between two that were searched fit, too; their links are counted once they are chosen."""
    deepest = max(row["depth"] for row in depths["table"] if row["fits"])
    fits = range(deepest, -1, -1)
    return [depths["best"], *(depth for depth in fits if depth != depths["best"])]


def available(depths):
    """The fields that this project has."""
    return depths["fields"]


@link_graph.step
def plan(
    crawl,
    depths,
    depth: Annotated[int, Choices(fitting)],
    fields: Annotated[list[str], Choices(available)] = available,
    job=None,
):
    """How deep, and what shall be known of each page?"""
    labels, known = plans.ordered(fields), {row["depth"]: row["total"] for row in depths["table"]}
    rows = known[depth] if depth in known else links_upto(job, crawl, depth)
    owner, project = crawl["project"].split("/")
    query = plans.export_query(crawl["analysis"], depth, labels, depths["bare"])
    payload = plans.payload_of(owner, project, query, depths["limit"])
    about = {"depth": depth, "rows": rows, "credits": plans.credits_of(rows), "fields": labels}
    return crawl | about | {"payload": payload}


@plan.view
def draw_plan(output):
    """What would be exported, as figures."""
    return figures("planned", output | {"fields": ", ".join(output["fields"])})


# -- export, download, load --------------------------------------------------------------------


@link_graph.step
def export(plan, job, credits: Annotated[int, Between(0, 10**9)] = 0, anew: bool = False):
    """Starts the export, unless Botify has it. Credits: what may be spent without asking again.

    Anew: although Botify has such an export already."""
    listed, unlisted = exports_of(job, plan)
    found = None if anew else plans.adoptable(listed, plan["payload"])
    if found:
        return ordered(plan, found, "Botify had it already; nothing was spent.")
    before = job.checkpoint_data  # what was listed when this step first ran; it may be nothing
    if before is None:
        before = [row["job_id"] for row in listed]
        job.checkpoint(before)
    if plan["credits"] > credits:
        agreed(plan, job, unlisted)

    def mine(note):
        taken = plans.adoptable(exports_of(job, plan)[0], plan["payload"], before)
        return taken and ordered(plan, taken, note)

    def begin():
        if taken := mine("Ordered meanwhile by another run."):
            return taken
        said = asked(job, "export", payload=plan["payload"])
        if "unsure" not in said:
            return ordered(plan, said, f"Ordered for {spent(plan)}.")
        print(f"The answer was lost: {said['unsure']}")
        if taken := mine("Ordered; the answer was lost, and the job was found."):
            return taken
        raise Lost

    def looked_up():
        if taken := mine("Ordered; its end was not seen, and the job was found."):
            return taken
        what = "An export was begun and its answer was lost; Botify lists no such export so far."
        if unlisted:
            raise Problem(f"An export was begun and its answer was lost. {unlisted}", ANEW)
        raise Problem(what, f"Run this step again in some minutes, or look at Botify. {ANEW}")

    try:
        return job.once("export", begin, lookup=looked_up)
    except Lost:
        what = "The export may have begun: its answer was lost, and it is not listed yet."
        raise Uncertain(what, "Run this step again in some minutes: it is looked for.") from None


def agreed(plan, job, unlisted=""):
    """Ask whether the credits may be spent. Raises Problem when not."""
    question = (
        f"Export {plan['rows']:,} links of {plan['project']} {plan['analysis']} down to depth "
        f"{plan['depth']}? That spends {spent(plan)}."
    )
    if job.ask(f"{question} {unlisted}".strip(), [START, LEAVE]) == LEAVE:
        raise Problem("The export was not started.", "Change the plan, or run this step again.")


def spent(plan):
    """What an export costs, in words."""
    nothing = "" if plan["data"] == "Botify" else " (demo data: nothing is spent)"
    return f"about {plan['credits']:,} credits of Botify{nothing}"


def ordered(plan, found, note):
    """{job, note, project, rows, credits, most}: what later steps have to know of an export.

    `most`: the rows that it may have; one that was ordered elsewhere may have another limit."""
    about = {"job": found["job_id"], "note": note, "project": plan["project"]}
    most = (found["payload"] or plan["payload"]).get("export_size")
    return about | {"rows": plan["rows"], "credits": plan["credits"], "most": most}


@export.view
def draw_export(output):
    """What was ordered, in words and figures."""
    return figures("ordered", {LIMIT if name == "most" else name: output[name] for name in output})


@link_graph.step(auto=True)
def download(export, job):
    """Waits until Botify has made the file, then fetches it."""
    ready = finished_job(job, export["job"])
    kept = job.checkpoint_data or {}
    part = Path(kept.get("part") or job.files / "export.part")

    def far(done, total):
        job.progress(done, total, "bytes")

    def keep(tag):
        job.checkpoint({"part": str(part), "tag": tag})

    def renew():
        return link_of(finished_job(job, export["job"]))

    size = Download(part, kept.get("tag", ""), far).fetch(link_of(ready), keep, renew)
    job.files.mkdir(parents=True, exist_ok=True)
    moved = part.replace(job.files / "export.csv")
    said = ready | ready["results"]
    lines = [said.get(name) for name in ("nb_lines", "row_count", "nb_results")]
    announced = next((n for n in map(whole, lines) if n is not None), None)
    return {"file": File(moved), "bytes": size, "announced": announced, "most": export["most"]}


@download.view
def draw_download(output):
    """How much came, and how many rows Botify said that it has."""
    told = {"bytes": output["bytes"], "rows announced": output["announced"]}
    return figures("fetched", told | {LIMIT: output["most"]})


@link_graph.step(auto=True)
def load(download, plan, job):
    """Unpacks the file and reads its links; everything odd in it is counted."""
    from pipulate.botify.load import load as load_links  # numpy only for those who load

    path = download["file"].path
    if not path.is_file():
        raise Problem("The downloaded file is gone.", "Run the step Download again.")

    def far(rows):
        job.progress(rows, max(plan["rows"], rows), "rows")

    found = load_links(path, job.files, plan["fields"], far)
    announced = download["announced"]
    if announced is not None and found["rows"] < announced - 2:  # its own first lines may count
        what = f"The file has {found['rows']:,} rows, and Botify announced {announced:,}."
        raise Problem(what, "Run the step Download again; if it stays so, export anew.")
    if not found["links"]:
        raise Problem("The file has no links.", "Choose another depth or analysis.")
    files = {"edges": File(job.files / "edges.csv"), "nodes": File(job.files / "nodes.csv")}
    about = {"planned": plan["rows"], "data": plan["data"]}
    if found["rows"] >= (download["most"] or math.inf):
        about["note"] = (
            f"The export may have {download['most']:,} rows and has: links may be missing."
        )
    return files | found | about


@load.view
def draw_load(output):
    """What was in the file, as figures; before them whether it seems to be cut off."""
    first = {name: output[name] for name in ("data", "pages", "links", "rows", "planned")}
    return output.get("note", ""), figures("found", first | output | {"note": None})


measured = link_graph.use(links, {"csv": load})


@measured.view
def draw_counts(output):
    """The measures as figures."""
    return figures("measured", output)


@link_graph.step(auto=True)
def graph(load, links, job):
    """Joins what was exported of each page to its measures, and draws the whole."""
    job.files.mkdir(parents=True, exist_ok=True)
    nodes = job.files / "nodes.csv"
    found = join(links["nodes"].path, load["nodes"].path, nodes)
    own = {name: value for name, value in links.items() if name != "report"}  # made anew below
    notes = " ".join(filter(None, [links.get("note"), told_alone(found["without_links"])]))
    own |= {"note": notes} if notes else {}
    return {**own, **found, "nodes": File(nodes), "data": load["data"]}


def told_alone(pages):
    """How many pages have no link at all, in a sentence; "" if none has."""
    few = "page of the export is" if pages == 1 else "pages of the export are"
    return f"{pages:,} {few} not in the graph: no link leads there or away." if pages else ""


@graph.view
def draw_graph(output):
    """The picture, and charts by depth and by page type."""
    from pipulate import BarChart, DataTable

    drawn = [output.get("note", ""), *pictured(output)]
    drawn += [BarChart(output["levels"], "Links by clicks from the start")]
    if types := output["types"]:
        ranks = [(row["page_type"], row["pagerank_percent"]) for row in types]
        drawn += [DataTable(types), BarChart(ranks, "PageRank by page type, %")]
    return tuple(drawn)


@link_graph.step(auto=True)
def report(crawl, graph, job, formats: Formats = []):  # noqa: B006
    """Writes a report that any browser opens; other formats by Revise."""
    from pipulate.plugins._report import published

    return published(f"Links of {crawl['project']}, {crawl['analysis']}", graph, formats, job)


report.view(draw_report)
