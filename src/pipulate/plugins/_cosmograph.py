"""A graph opened in Cosmograph: what is told before, the two addresses, the end of it."""

from urllib.parse import urlencode

from fasthtml.common import H1, A, Button, Form, Header, Hidden, Li, P, Section, Strong, Ul

from pipulate import Problem

SITE = "https://cosmograph.app"
OTHERS = (
    "Cosmograph is a web app of somebody else. These files, with all addresses of pages in them, "
    "can be read by it in your browser for ten minutes; what it does with them is up to it. Your "
    "browser may ask whether that site may reach this machine."
)
HEAD = Header(H1("Open in Cosmograph"), cls="head")


def ask(visit, edges: str = "", nodes: str = ""):
    """Whether two CSV files, by number, shall go out."""
    given = {"edges": edges, "nodes": nodes}
    files = [_file(visit, number) for number in given.values()]
    listed = (Li(f"{f.name} ({f.path.stat().st_size:,} bytes)") for f in files)
    kept = (Hidden(number, name=name) for name, number in given.items())
    go = Form(*kept, Button("Share them for ten minutes"), **_to(visit))
    return Section(HEAD, P(OTHERS), Ul(*listed), P(Strong("Nothing was sent so far.")), go)


def share(visit, edges: str = "", nodes: str = "", stop: bool = False):
    """The link for these two, in place of what was shared before; or `stop` alone."""
    visit.house.shares.kept.clear()
    if stop:
        return Section(HEAD, P("Nothing is shared any more."))
    link = _link(visit.house, *(_file(visit, number).path for number in (edges, nodes)))
    with visit.house.db.writing():
        visit.house.db.current.summary = "Shared a graph with Cosmograph for ten minutes"
    out = A("Open Cosmograph", href=link, target="_blank", rel="noopener noreferrer", role="button")
    end = Button("Stop sharing", cls="outline secondary", name="stop", value="1", **_to(visit))
    return Section(HEAD, P(OTHERS), P(out, " ", end))


def _to(visit):
    return {"hx_post": visit.base, "hx_target": "#main"}


def _file(visit, number: str):
    if not number.isdecimal() or len(number) > 15:
        missing = Problem("There is no such file.", "Open it from the page of a run.")
        missing.status = 404
        raise missing
    if (file := visit.house.files.get(visit.profile, int(number))).path.suffix != ".csv":
        raise Problem(f"{file.name} is no CSV.", "Only the tables of a graph can be opened there.")
    return file


def _link(house, links, pages) -> str:
    """Its words are as the documentation of that site has them."""
    with pages.open("rb") as file:
        colour = "page_type" if b",page_type" in file.readline(1 << 16) else "depth"
    base, add = house.tools.url, house.shares.add
    said = {"data": base + add(links, "source"), "source": "source", "target": "target"}
    said |= {"meta": base + add(pages, "id"), "nodeColor": colour, "nodeSize": "pagerank"}
    return f"{SITE}/run/?{urlencode(said)}"
