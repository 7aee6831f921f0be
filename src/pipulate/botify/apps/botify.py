"""Botify: the page where the token is entered and a project chosen, and the tools of the API.

The tools ask Botify in the process of the engine and give what it answers, never the token: so
steps, which are processes of their own, and the model can use Botify and cannot know it.
"""

from fasthtml.common import H1, H2, Article, Button, Details, Div, Form, Header, Input, Label
from fasthtml.common import Option, P, Select, Small, Span, Strong, Summary
from starlette.responses import RedirectResponse

from pipulate import CrudApp, Problem, Secret, tool
from pipulate.botify import pace
from pipulate.botify.account import DEMO, Account, age
from pipulate.botify.slugs import read_address

STACK, LINE = "display:grid;gap:.8rem", "display:flex;flex-wrap:wrap;gap:.6rem;align-items:end"
WIDE, NARROW = "flex:0 1 36rem", "flex:0 1 18rem"
WHERE = "You find it in Botify under your account (app.botify.com/account)."


class Botify(CrudApp):
    """Connect with Botify and choose a project; then start a link graph."""

    plural, menu_icon, menu_place = "botify", "☍", 5

    @staticmethod
    @tool
    async def connect(table, caller, token: Secret, username: str = ""):
        """Check a Botify token and keep it. Only a person may; username: if Botify cannot tell."""
        if caller.actor not in ("user", "shell"):
            raise Problem("A token is entered by a person.", "See the page Botify.")
        account = Account(table, caller)
        if account.demo:
            raise Problem("This profile shows demo data.", "Leave the demo first.")
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise Problem("That is no token.", f"Copy it once more. {WHERE}")
        async with account.client(token) as botify:
            user = await botify.user(username)
        about = {"actor": caller.actor, "verb": "botify_connect", "profile_id": caller.profile.id}
        with table.db.change(**about, summary=f"Connected to Botify as {user}"):
            account.keep_token(token, user)
        return {"user": user, "token": account.shown}

    @staticmethod
    @tool
    def disconnect(table, caller):
        """Delete the Botify token from this machine."""
        account = Account(table, caller)
        account.forget()
        table.db.current.summary = "Deleted the Botify token"
        return {"token": account.shown}

    @staticmethod
    @tool
    def demo(table, caller, on: bool = True):
        """Let this profile show a made-up site from a stand-in (demo data), or leave that again."""
        Account(table).own["botify_demo"] = on
        return {"demo": on, "note": DEMO if on else ""}

    @staticmethod
    @tool(kind="read")
    def status(table, caller):
        """Whether Botify is connected and as whom; the chosen project; seconds to wait."""
        account = Account(table, caller)
        about = {"user": account.user, "token": account.shown, "demo": account.demo}
        return about | {"site": account.own.get(account.key), "wait": round(pace.PACE.wait, 1)}

    @staticmethod
    @tool(kind="read")
    async def projects(table, caller, refresh: bool = False):
        """The projects of the account, {rows: [{owner, slug, name}], at}; kept until refreshed."""
        account = Account(table, caller)
        return await account.listed(refresh, "projects", account.user)

    @staticmethod
    @tool(kind="read")
    async def analyses(table, caller, project: str, refresh: bool = False):
        """The analyses of a project (owner/project), newest first; kept until refreshed."""
        site = read_address(project)
        return await Account(table, caller).listed(refresh, "analyses", site.owner, site.project)

    @staticmethod
    @tool
    def choose(table, caller, address: str):
        """Remember a project, and an analysis if named, for this profile: any Botify address."""
        site = Account(table).site = read_address(address)
        return {"owner": site.owner, "project": site.project, "analysis": site.analysis}

    @staticmethod
    @tool(kind="read")
    async def query(table, caller, project: str, bql: dict, most: int = 2_000):
        """The first rows of a BQL query {collections, periods, query} on a project. It is free."""
        site = read_address(project)
        return await Account(table, caller).ask("query", site.owner, site.project, bql, most)

    @staticmethod
    @tool(kind="read")
    async def columns(table, caller, project: str, collection: str):
        """The names of the fields that a project has in a collection, such as crawl.20250314."""
        site, account = read_address(project), Account(table, caller)
        return sorted(await account.ask("fields", site.owner, site.project, collection))

    @staticmethod
    @tool(kind="outside")
    async def export(table, caller, payload: dict):
        """Start an export job, which spends credits: {job_id …}, or {unsure} if nobody knows."""
        from pipulate.botify.client import Unsure

        try:
            return await Account(table, caller).ask("export", payload)
        except Unsure as unsure:
            return {"unsure": str(unsure)}

    @staticmethod
    @tool(kind="read")
    async def exports(table, caller, project: str):
        """The export jobs of a project that Botify lists; without the addresses of their files."""
        jobs = await Account(table, caller).ask("exports", read_address(project).project)
        return [job | {"results": None} for job in jobs]

    @staticmethod
    @tool(kind="read")
    async def job(table, caller, job: str):
        """How far an export job is. Only a step is told where its file is: that opens it."""
        found = await Account(table, caller).ask("job", job)
        return found if caller.parent else found | {"results": None}


# -- the page ----------------------------------------------------------------------------------


@Botify.rt("/", methods=["GET"])
def page(table, profile):
    """The connection, then the project; without a token the form for it, and the tour."""
    account, at = Account(table), f"/{profile.slug}/botify"
    head = Header(H1("Botify"), cls="head")
    if account.demo or account.shown:
        first = demo_card(at) if account.demo else token_card(account, at)
        return head, Div(first, site_card(account, profile), style=STACK)
    ask = Article(H2("Connect"), token_form(at, "Check and keep", autofocus=True))
    return head, Div(ask, tour_card(at), style=STACK)


def acts(at, path, **more):
    """What sends a form or a click to a route, whose answer is the page drawn anew."""
    return {"hx_post": f"{at}/{path}", "hx_target": "#main", "hx_push_url": at, **more}


def token_form(at, word, **more):
    """A token is never shown again, so the field starts empty."""
    box = {"autocomplete": "off", "required": True, "aria_label": "API token", **more}
    key = Input(type="password", name="token", placeholder="API token", **box)
    called = "User name, only if it is asked for"
    name = Input(name="username", placeholder=called, aria_label=called, autocomplete="off")
    said = Small(f"{WHERE} It is checked, kept on this machine and only sent to Botify's API.")
    boxes = Span(key, style=WIDE), Span(name, style=NARROW)
    return Form(*boxes, Button(word), said, style=LINE, **acts(at, "token"))


def token_card(account, at):
    """Who is connected, how the token is shown, and the ways to leave or replace it."""
    gone = Button("Delete the token", cls="outline secondary", **acts(at, "forget"))
    said = "Botify refused the token." if account.refused else f"Welcome, {account.user}."
    return Article(
        P(Strong(said), f" The token is {account.shown}. ", gone),
        Details(
            Summary("Another token"), token_form(at, "Check and replace"), open=account.refused
        ),
    )


def tour_card(at):
    """The offer of made-up data to those without an account."""
    go = acts(at, "demo", hx_vals='{"on": "true"}')
    said = P(Strong("No account? "), "Take the tour with a made-up site. ", DEMO)
    return Article(said, P(Button("Show demo data", cls="outline", **go)))


def demo_card(at):
    """Says that all that is shown is made up, and the way out."""
    leave = acts(at, "demo", hx_vals='{"on": "false"}')
    out = Button("Leave the demo", cls="outline secondary", **leave)
    return Article(P(Strong("Demo. "), DEMO), P(out), role="note")


def site_card(account, profile):
    """The chosen project; the lists come when the page is there."""
    at, site = f"/{profile.slug}/botify", account.site
    named = f"{site.name} {site.analysis}".strip() if site else "none yet"
    begin = Button("Start a link graph", hx_post=f"/{profile.slug}/link_graph")
    box = Input(name="address", placeholder="Any Botify address, or owner/project")
    lists = (
        Div(
            P(f"Asking Botify for {name} …", cls="hint"),
            id=name,
            **gets(at, name),
            hx_trigger="load",
        )
        for name in (("projects", "analyses") if site else ("projects",))
    )
    chosen = P("Chosen: ", Strong(named), ". ", begin)
    paste = chooser(at, "Paste an address", box)
    return Article(H2("Project"), Div(chosen, paste, *lists, style=STACK))


def gets(at, name, more=""):
    """The htmx attributes by which a list is fetched into the element of its name."""
    return {"hx_get": f"{at}/{name}{more}", "hx_target": f"#{name}", "hx_swap": "innerHTML"}


def chooser(at, label, box, *more):
    """A form that remembers the address in `box`."""
    use = Button("Use it", cls="outline")
    return Form(Label(label, box, style=WIDE), use, *more, style=LINE, **acts(at, "site"))


async def listing(at, name, label, ask, option, chosen=""):
    """A list to choose from: `ask`ed for, or kept and so old; `option(row)` → (address, words).

    `chosen`: the address that is selected."""
    try:
        found = await ask
    except Problem as problem:
        return P(Strong(problem.what), " ", problem.next_step, role="alert")
    rows = map(option, found["rows"])
    options = [Option(words, value=value, selected=value == chosen) for value, words in rows]
    words = f" {len(options):,} in the list, which was asked for {age(found['at'])} "
    told = Span(Small(words), style="padding-block:.3rem")  # in line with the buttons
    anew = Button("Ask again", cls="link", type="button", **gets(at, name, "?refresh=true"))
    if not options:
        return P(f"This account sees no {name}. ", told, anew)
    return chooser(at, label, Select(*options, name="address"), told, anew)


@Botify.rt("/projects", methods=["GET"])
async def projects(table, profile, caller, refresh: bool = False):
    """Those that the token may see, to choose one."""

    def option(row):
        name = f"{row['owner']}/{row['slug']}"
        return name, f"{row['name']} ({name})"

    at, ask = f"/{profile.slug}/botify", Botify.projects(table, caller, refresh)
    site = Account(table).site
    return await listing(at, "projects", "Or choose one", ask, option, site and site.name)


@Botify.rt("/analyses", methods=["GET"])
async def analyses(table, profile, caller, refresh: bool = False):
    """Those of the chosen project, newest first."""
    site = Account(table).site
    if site is None:
        return P("Choose a project first.")

    def option(row):
        size = f"{row['pages']:,} pages" if isinstance(row["pages"], int) else ""
        said = (row["slug"], row["finished"][:10], size, row["status"])
        return f"{site.name}/{row['slug']}", " · ".join(filter(None, said))

    at, ask = f"/{profile.slug}/botify", Botify.analyses(table, caller, site.name, refresh)
    chosen = f"{site.name}/{site.analysis}"
    return await listing(at, "analyses", f"Analysis of {site.name}", ask, option, chosen)


def back(profile):
    """An answer that leads back to this page."""
    return RedirectResponse(f"/{profile.slug}/botify", 303)


@Botify.rt("/token", methods=["POST"])
async def set_token(table, profile, caller, token: Secret, username: str = ""):
    """Check a token and keep it."""
    await Botify.connect(table, caller, token, username)
    return back(profile)


@Botify.rt("/forget", methods=["POST"])
def forget(table, profile, caller):
    """Delete the token."""
    Botify.disconnect(table, caller)
    return back(profile)


@Botify.rt("/demo", methods=["POST"])
def set_demo(table, profile, caller, on: bool = True):
    """Begin with the made-up data, or leave it."""
    Botify.demo(table, caller, on)
    return back(profile)


@Botify.rt("/site", methods=["POST"])
def set_site(table, profile, caller, address: str):
    """Remember the project and analysis of an address."""
    Botify.choose(table, caller, address)
    return back(profile)
