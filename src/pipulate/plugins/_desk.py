"""The pages of Plugins: what waits, one version whole, and what a person may do with it.

Only a click here, on a hash, puts a plugin into apps/.
"""

import json
from datetime import datetime
from difflib import unified_diff

from fasthtml.common import H1, H2, A, Button, Code, Del, Details, Div, Form, Header, Input, Ins
from fasthtml.common import Label, Li, NotStr, Option, P, Pre, Section, Select, Small, Span, Strong
from fasthtml.common import Summary, Textarea, Ul, to_xml
from starlette.responses import HTMLResponse, Response

from pipulate import Problem, Text
from pipulate.plugins import _cleaned, _drafts, _preview, _scaffold, _sharing

CODE = {"style": "font-family:monospace", "aria_label": "Source", "spellcheck": "false"}
WITHIN = "contain:content;max-height:32rem;overflow:auto"  # it covers nothing outside
BROAD = "flex:1 1 12rem;overflow-wrap:anywhere"  # an address is one long word
BELOW = "display:grid;gap:.4rem;justify-items:start"
WIDE = {"style": "width:min(40rem,100cqw)"}  # of the main column
PARTS = "title:str\nrating:int=0"
NO_NOTICES = '<div id="notices" hx-swap-oob="innerHTML"></div>'  # why the text before was refused
AGAIN = {"hx_target": "#desk", "hx_swap": "outerHTML", "hx_push_url": "false"}


def index(table, profile, visit):
    """What there is, and three ways to begin."""
    at, home, told = f"/{profile.slug}/plugins", _drafts.home_of(table), {}
    for record in _drafts.fit_first(_drafts.versions(home)):
        told.setdefault(record["name"], about(record))
    for path in sorted((home / "apps").glob("[a-z]*.py")):
        told.setdefault(path.stem, [Small("your own file")])
        told[path.stem] = [*told[path.stem], _sharing.links(profile, path)]
    items = [Li(A(name, href=f"{at}/{name}"), *parts) for name, parts in told.items()]
    listed = Ul(*items, cls="events") if items else P("None yet.", cls="hint")
    listing = Div(listed, id="listing")  # what came meanwhile is told to an open page
    if visit.partial:
        return listing
    new = Form(
        Label("Name", Input(name="name", placeholder="book", required=True)),
        Label("Kind", Select(Option("app"), Option("pipeline"), name="kind")),
        Label("Parts", Textarea(name="parts", rows=3, placeholder=PARTS, **WIDE)),
        Small("A field a line (name:type=default), or a step a line."),
        Button("Make a file", cls="secondary"),
        hx_post=f"{at}/new",
        hx_target="#main",
        style=BELOW,
    )
    return Section(
        Header(H1("Plugins"), cls="head"),
        H2("In your words"),
        wished(profile, "An app for my plants, with watering dates"),
        H2("From a few words, without a model"),
        new,
        H2("From a file that was shared"),
        _sharing.form(profile, style=BELOW),
        H2("Versions"),
        listing,
        id="desk",
    )


def wished(profile, example, plugin=""):
    """A form that begins the pipeline Builder."""
    box = Textarea(name="wish", rows=2, required=True, placeholder=example, **WIDE)
    hidden = Input(type="hidden", name="plugin", value=plugin)
    parts = Label("Your wish", box), hidden, Button("Write it")
    where = A("Settings", href=f"/{profile.slug}/settings")
    needs = Small("A model writes it: see in ", where, " whether one is there.")
    return Form(*parts, needs, hx_post=f"/{profile.slug}/builder", style=BELOW)


def about(record):
    """A version in a line: its wish, number, origin, local time, state."""
    at = datetime.fromisoformat(record["at"]).astimezone()
    told = f"version {record['version']} · {record['origin']} · {at:%Y-%m-%d %H:%M}"
    wish = Span(record["wish"][:120], style=BROAD if record["wish"] else None)
    return wish, Small(told), Span(record["state"], cls="badge")


def newest(table, profile, visit, name: str):
    """The newest version of a plugin that is fit; a file changed by hand is one, too."""
    home = _drafts.home_of(table)
    found, text = _drafts.fit_first(_drafts.versions(home, name)), _drafts.live(home, name)
    waits = found and found[0]["state"] == "waiting"
    if text and not waits and _drafts.digest(text) not in {version["hash"] for version in found}:
        _drafts.replaced(home, name)
        found = [_drafts.keep(home, name, text, {"state": "approved"})]
    if not found:
        raise Problem(f"There is no version of {name!r}.", "See Plugins.")
    return look(table, profile, visit, name, found[0]["hash"])


def look(table, profile, visit, name: str, hash: str):
    """One version: what it is, what it reaches for, how it looks, its source, the others."""
    home, base = _drafts.home_of(table), f"/{profile.slug}/plugins/{name}"
    record, text = _drafts.read(home, name, hash)
    at, before, changes = f"{base}/{hash}", _drafts.live(home, name), ""
    if before and before != text:
        changes = Details(Summary("What it changes"), difference(before, text), open=True)
    reached = (one.replace("programs", "other programs") for one in record.get("reached", []))
    powers = ", ".join(sorted({*record["powers"], *reached}))
    reach = f"It reaches for: {powers}." if powers else "It keeps to its own rows."
    versions = _drafts.versions(home, name)
    return Section(
        Header(H1(f"{name}.py"), Span(record["state"], cls="badge"), cls="head"),
        P(record["wish"]) if record["wish"] else "",
        decision(at, profile, record, text == before),
        held(profile, visit.house, home, name) if text == before else "",
        faults("It did not pass its trial", record["problems"]),
        P(reach) if powers or not record["problems"] else "",  # it may be past reading
        faults("What could not be tried", record["notes"]),
        _preview.invitation(at, record),
        *(preview(n, page) for n, page in enumerate(record["pages"])),
        changes,
        H2("Source"),
        Form(
            Textarea(text, name="source", rows=min(40, text.count("\n") + 2), **CODE),
            Button("Try what I edited", cls="secondary"),
            hx_post=f"{at}/edit",
            **AGAIN,
        ),
        H2("Ask for a change"),
        wished(profile, "Make step 3 sort by date", name),
        H2("Versions"),
        Ul(
            *(Li(A(r["hash"][:12], href=f"{base}/{r['hash']}"), *about(r)) for r in versions),
            cls="events",
        ),
        id="desk",
    )


def decision(at, profile, record, live):
    """The buttons, which act on exactly this hash."""
    said = P(Small("SHA-256 ", Code(record["hash"], style="overflow-wrap:anywhere")))
    links = [A(app["title"], href=f"/{profile.slug}/{app['slug']}") for app in record["apps"]]
    if live:
        named = [part for link in links for part in (", ", link)][1:]
        return Div(P("This is in apps/ now: ", *named or ["the menu leads to it."]), said)
    if record["problems"]:
        return said
    yes = Button("Approve: put it into apps/", hx_post=f"{at}/approve", **AGAIN)
    no = Button("Reject", cls="secondary", hx_post=f"{at}/reject", **AGAIN)
    return Div(said, Div(yes, no, cls="bar approval"))


def held(profile, house, home, name):
    """Why the file in apps/ is not at work, and where to help; nothing when it is."""
    failed = house.shelf.plugins.get(home / "apps" / f"{name}.py")
    if not failed or not failed.problem:
        return ""
    card = A("See what to do", href=f"/{profile.slug}/plugin/{name}")
    return P(Strong("It is not at work: "), failed.problem.what, " ", card, role="alert")


def faults(title, lines):
    """A list under a title; nothing when it is empty."""
    return Div(P(f"{title}:"), Ul(*map(Li, lines))) if lines else ""


def preview(number, page):
    """A page as the trial drew it: nothing in it acts, no address is asked, no key reaches it."""
    said, clean = f"{page['title']}, with rows that the trial made up", _cleaned.still(page["html"])
    return Details(Summary(said), Div(NotStr(clean), inert=True, style=WITHIN), open=not number)


def difference(before, after):
    """The lines that change, with three around them."""
    marks = {"+": Ins, "-": Del}
    lines = [*unified_diff(before.splitlines(), after.splitlines(), lineterm="")][2:]
    return Pre(*(marks.get(line[0], Span)(f"{line}\n") for line in lines), cls="diff")


def approve(table, profile, name: str, hash: str):
    """The user's click: exactly this content goes into apps/."""
    record = _drafts.approve(_drafts.home_of(table), name, hash)
    _preview.end(_drafts.home_of(table), name, hash)
    noted(table, f"Approved plugin {name}, version {record['version']} ({hash[:12]})")
    at = f"/{profile.slug}/plugins/{name}/{hash}"
    soon = P("It goes live…", hx_get=at, hx_trigger="load delay:1s", **AGAIN)
    return Section(H1(f"{name}.py"), soon, id="desk")


def reject(table, profile, visit, name: str, hash: str):
    """It stays as a version and does not run."""
    home = _drafts.home_of(table)
    record, text = _drafts.read(home, name, hash)
    if text == _drafts.live(home, name):
        what = "This version is in apps/ by now, and stays."
        raise Problem(what, "Approve another one in its place, or delete the file.")
    _drafts.mark(home, record, "rejected")
    _preview.end(home, name, hash)
    noted(table, f"Rejected plugin {name} ({hash[:12]})")
    return look(table, profile, visit, name, hash)


def noted(table, summary):
    """Have the history say this of the click."""
    table.db.begin()
    table.db.current.summary = summary


async def edit(table, profile, visit, name: str, hash: str, source: Text):
    """What was typed, as a version of its own, which has its own address."""
    text = source.replace("\r\n", "\n").rstrip() + "\n"
    record = _drafts.draft(_drafts.home_of(table), name, text, "edited on the page")
    page, at = look(table, profile, visit, name, record["hash"]), f"/{profile.slug}/plugins/{name}"
    own = at in visit.here  # a run of Builder keeps its own address
    head = {"HX-Push-Url": f"{at}/{record['hash']}"} if own else {}
    return HTMLResponse(to_xml(page) + NO_NOTICES, headers=head)


async def new(table, profile, name: str, kind: str = "app", parts: Text = ""):
    """A file from a few words, as a version that waits."""
    home, name = _drafts.home_of(table), _scaffold.spelled(name)
    text = _scaffold.made(home, name, kind, parts)
    record = _drafts.draft(home, name, text, "made on the page")
    address = f"/{profile.slug}/plugins/{name}/{record['hash']}"
    return Response(headers={"HX-Location": json.dumps({"path": address, "target": "#main"})})


ROUTES = [
    ("/", ["GET"], index),
    ("/new", ["POST"], new),
    ("/{name}", ["GET"], newest),
    ("/{name}/share", ["GET"], _sharing.download),
    ("/{name}/{hash}", ["GET"], look),
    ("/{name}/{hash}/approve", ["POST"], approve),
    ("/{name}/{hash}/reject", ["POST"], reject),
    ("/{name}/{hash}/edit", ["POST"], edit),
    *_preview.ROUTES,
]
