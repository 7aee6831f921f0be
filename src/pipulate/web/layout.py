"""The page around everything: navigation, main column, chat column. Cached per profile."""

import json
import secrets
from functools import lru_cache
from html import escape

from fasthtml.components import H2, A, Article, Aside, Body, Button, Details, Dialog, Div, Form
from fasthtml.components import Head, Html, Input, Kbd, Li, Link, Main, Meta, Nav, NotStr, Script
from fasthtml.components import Strong, Summary, Table, Td, Th, Tr, Ul

from pipulate import __version__
from pipulate.ai.prompt import place
from pipulate.apps.house import House
from pipulate.apps.markup import html
from pipulate.core.profiles import Profile
from pipulate.web.inbox import counter
from pipulate.web.script import SCRIPT
from pipulate.web.style import THEME
from pipulate.web.widgets import own

HTMX = {
    "allowEval": False,
    "allowScriptTags": False,
    "selfRequestsOnly": True,
    "includeIndicatorStyles": False,
    "historyCacheSize": 0,
    "defaultSettleDelay": 0,
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "[23]..", "swap": True},
        {"code": "[45]..", "swap": True, "error": True},
    ],
}
KEYS = """n: new row
j or ↓, k or ↑: next row, row before
e or Enter: edit the row in focus
Space: flip its first yes or no
x: tick it (with Shift and a click: a range)
d or Delete: delete it
Alt+↑, Alt+↓: move it, in a list that has its own order
Esc: leave an edit, or a box for the list
/: search
f: filter columns
c: chat
?: this sheet"""
SURE = "End Pipulate? Steps at work stop, and can be resumed."
SHOWN = 5  # apps in the navigation bar
LOOK, MOVES = own("css", THEME), own("js", SCRIPT)
SCRIPTS = ("htmx.min.js", "ws.min.js", "idiomorph-ext.min.js")


class Layout:
    """Pages of a house. The frame is drawn once per profile and menu, then filled as text."""

    def __init__(self, house: House):
        self.house = house
        self._framed = lru_cache(200)(lambda *key: html(self._draw(*key[1:])))

    def page(
        self, profile: Profile, at: str, title: str, main: str, talk: str, nonce: str, seen=""
    ) -> str:
        """A whole document; `main` and `talk` are HTML, `at` its percent-encoded address."""
        values = {"main": main, "talk": talk, "nonce": nonce, "at": at, "seen": seen}
        values |= {"title": f"<title>{escape(title)} · Pipulate</title>"}
        values |= {"tab": secrets.token_hex(4), "waiting": html(counter(self.house))}
        app, everyone = place(at)[0], tuple(self.house.profiles.all())
        frame = self._framed(self.house.shelf.version, profile, app, everyone)
        return "".join(values.get(part, part) for part in frame.split("\0"))

    def _draw(self, profile: Profile, app: str, everyone: tuple[Profile, ...]):
        with_cookie = {"crossorigin": "use-credentials"}
        pairs = (line.split(": ", 1) for line in KEYS.splitlines())
        keys = Table(*(Tr(Th(Kbd(key), scope="row"), Td(said)) for key, said in pairs))
        nonce, socket = "\0nonce\0", "/ws?at=\0at\0&tab=\0tab\0&seen=\0seen\0"
        head = Head(
            NotStr("\0title\0"),
            Meta(charset="utf-8"),
            Meta(name="viewport", content="width=device-width, initial-scale=1"),
            Meta(name="color-scheme", content="light dark"),
            Meta(name="htmx-config", content=json.dumps(HTMX)),
            Link(rel="stylesheet", href=f"/static/pico.min.css?{__version__}"),
            Link(rel="icon", href=f"/static/icon-192.png?{__version__}"),
            Link(rel="manifest", href=f"/static/app.webmanifest?{__version__}", **with_cookie),
            Link(rel="stylesheet", href=LOOK, nonce=nonce),
        )
        body = Body(
            A("Skip to content", href="#main", cls="sr"),
            self._nav(profile, app, everyone),
            Main(NotStr("\0main\0"), id="main"),
            Aside(NotStr("\0talk\0"), id="chat", ws_connect=socket),
            Div(id="notices", aria_live="polite"),
            Dialog(Article(H2("Keys"), keys, Form(Button("Close"), method="dialog")), id="keys"),
            *(Script(src=f"/static/{name}?{__version__}") for name in SCRIPTS),
            Script(src=MOVES),  # a nonce would let its imports go anywhere
            hx_ext="ws",
            hx_headers='{"X-Tab": "\0tab\0"}',
            data_profile=profile.slug,
        )
        return Html(head, body, lang="en")

    def menu(self, profile: Profile, app: str, **attrs):
        """The links to all apps, the user's own first, and to files that have a fault.

        Under "More" are all but the open one: a narrow bar cuts off some."""
        base, shown, more = f"/{profile.slug}", [], []
        for _, said, a in self.house.shelf.menu():
            here = a.slug == app
            link = A(said, href=f"{base}/{a.slug}", aria_current="page" if here else None)
            shown += [link] * (here or len(shown) < SHOWN)
            more += [link] * (not here)
        for broken in self.house.shelf.failures:
            shown.append(A(f"⚠ {broken.name}", href=f"{base}/plugin/{broken.name}", cls="broken"))
        rest = Details(Summary("More"), Ul(*map(Li, more)), cls="dropdown") if more else ""
        return Div(Div(*shown, cls="apps"), rest, cls="menu", id="menu", **attrs)

    def _nav(self, profile: Profile, app: str, everyone: tuple[Profile, ...]):
        base, below = f"/{profile.slug}", f"/{app}" if app in self.house.shelf.apps else ""
        leave = {"hx_post": f"{base}/quit", "hx_target": "#main", "hx_confirm": SURE}
        own = (
            *(A(p.name, href=f"/{p.slug}{below}") for p in everyone),
            A("Settings, profiles…", href=f"{base}/settings"),
            A("Help", href=f"{base}/docs"),
            Button("Quit", cls="link", **leave),
        )
        box = Input(type="search", name="q", placeholder="Search all", aria_label="Search all apps")
        quiet = {"cls": "outline secondary"}
        more = (  # on a phone: what the button "Menu" opens
            self.menu(profile, app),
            Form(box, action=f"{base}/search", role="search"),
            A("History", href=f"{base}/history"),
            Button("?", id="help", title="Keys (?)", aria_label="Keys", **quiet),
        )
        return Nav(
            A(Strong("Pipulate"), href=base),
            Details(Summary(profile.name), Ul(*map(Li, own)), cls="dropdown"),
            Button("☰", popovertarget="more", aria_label="Menu", **quiet),
            Div(*more, id="more", popover=True),
            A("Inbox ", NotStr("\0waiting\0"), href=f"{base}/inbox"),
            Button("Chat", id="fold", title="Fold or unfold (c)", **quiet),
        )
