"""The pages that belong to the house itself, and the door to every app's own routes."""

import json
from urllib.parse import quote

from fasthtml.components import A, Article, Button, Code, Div, Form, H1, H2, Header, Input, Li, P
from fasthtml.components import Pre, Section, Small, Span, Ul
from starlette.responses import Response

from pipulate import __version__
from pipulate.ai.models import NONE_FOUND, find
from pipulate.apps.base import Visit
from pipulate.apps.crud import Crud
from pipulate.apps.markup import markdown, problem_card
from pipulate.apps.query import State
from pipulate.core import backups
from pipulate.core.problems import Missing
from pipulate.core.store import Row
from pipulate.core.tools import limited
from pipulate.web import panel

FIRST_APP = """Save this as `{home}/apps/reading.py` and it is in the menu within a second:

```
from pipulate import CrudApp

class Book(CrudApp):
    "Books to read."
    title: str
    done: bool = False
```"""


def _page(title: str, *parts):
    return Section(Header(H1(title), cls="head"), *parts)


def _button(text: str, address: str, **attrs):
    return Button(text, cls="outline secondary", hx_post=address, **attrs)


async def app(site, visit: Visit, request):
    """Any request below an app: its own route table decides."""
    visit.app = site.house.shelf.get(visit.path["app"])
    rest = visit.path.get("rest", "").strip("/")
    for route in visit.app.routes:
        values = route.match(request.method, rest)
        if values is not None:
            visit.path = values
            return _with_faults(site, visit, await route.run(visit))
    what = f"{visit.app.title} has no page {rest!r} for {request.method}."
    raise Missing(what, "Check the address.")


def _with_faults(site, visit: Visit, drawn):
    """The page of an app whose file has a fault says that the last good version is shown."""
    broken = [p.problem for p in site.house.shelf.failures if visit.app in p.apps]
    if visit.partial or not broken or not hasattr(drawn, "tag"):
        return drawn
    note = P("What you see is the last version that worked.", cls="hint")
    return problem_card(broken[0]), note, drawn


async def overview(site, visit: Visit, request):
    """The profile's first page: what there is, what waits, how to add an app."""
    house, profile = site.house, visit.caller.profile
    remembered, base = house.settings_of(), f"/{profile.slug}"
    if remembered.get("last_profile") != profile.slug:
        remembered["last_profile"] = profile.slug
    cards = [
        Article(A(a.title, href=f"{base}/{slug}"), P(a.description.split("\n")[0]))
        for slug, a in sorted(house.shelf.apps.items())
    ]
    broken = [problem_card(p.problem) for p in house.shelf.failures]
    runs = [r for r in house.runs.listing(profile.id, limit=20) if _unfinished(house, r)]
    opened = Ul(*(_opened(r, base) for r in runs[:5]), cls="runs")
    going = (H2("Runs to take up again"), opened) if runs else ()
    how = markdown(FIRST_APP.format(home=house.settings.home))
    return _page(profile.name, *broken, Div(*cards, cls="cards"), *going, H2("Your own app"), how)


def _opened(run: Row, base: str):
    name, key = run["pipeline"], run["id"]
    link = A(f"{name.capitalize()} run {key}", href=f"{base}/{name}/{key}")
    return Li(link, Span(f"{run['state']} · {run['done']} steps done"))


def _unfinished(house, run: Row) -> bool:
    guided = house.shelf.apps.get(run["pipeline"])
    return run["state"] != "finished" and guided and not guided.complete(run)


async def search(site, visit: Visit, request):
    """Rows of all CRUD apps that hold the words, and apps of that name."""
    q, found = visit.query.get("q", "").strip(), []
    for slug, kind in sorted(site.house.shelf.apps.items()) if q else ():
        link, rows = f"/{visit.caller.profile.slug}/{slug}", []
        if isinstance(kind, Crud):
            rows = (await limited(kind.find, visit.caller, State(q=q)))[0][:8]
        if rows or q.lower() in kind.title.lower():
            items = (Li(A(str(row) or "(empty)", href=f"{link}?f.id={row.id}")) for row in rows)
            found += [H2(A(kind.title, href=link + (f"?q={quote(q)}" if rows else ""))), Ul(*items)]
    hint = f"Nothing matches “{q}”." if q else "Type what to look for in the box above."
    return _page(f"Search: {q}" if q else "Search", *(found or [P(hint, cls="hint")]))


async def settings(site, visit: Visit, request):
    """Profiles, the model server, backups."""
    house, base = site.house, f"/{visit.caller.profile.slug}/call"
    model = await find(house.settings)
    said = P(f"{model.name} at {model.url}") if model else markdown(NONE_FOUND)
    add = Form(
        Input(name="name", placeholder="Name of a new profile", required=True, aria_label="Name"),
        Button("Add profile"),
        hx_post=f"{base}/profile_add",
        cls="inline",
    )
    everyone = house.profiles.all()
    rows = [_profile(house, base, *pair) for pair in zip(everyone, [None, *everyone], strict=False)]
    kept = backups.listing(house.settings.folder("backups"))
    listed = [Li(Span(b["name"]), Small(f"{b['made']} · {b['size']:,} bytes")) for b in kept]
    return _page(
        "Settings",
        H2("Profiles"),
        Ul(*rows, cls="events"),
        add,
        H2("Assistant"),
        said,
        H2("Backups"),
        Ul(*listed, cls="events"),
        P("Restore one with ", Code("pipulate restore NAME"), " while Pipulate is not running."),
        Small(f"Pipulate {__version__} · home {house.settings.home}"),
    )


def _profile(house, base: str, profile, above):
    held = house.profiles.holdings(profile)
    told = ", ".join(f"{n} {name}" for name, n in held.items()) or "nothing in it"
    rename = Form(
        Input(type="hidden", name="profile", value=profile.slug),
        Input(name="new_name", value=profile.name, aria_label=f"Name of {profile.name}"),
        Button("Rename", cls="outline secondary"),
        hx_post=f"{base}/profile_rename",
        cls="inline",
    )
    up = (
        _button(
            "↑",
            f"{base}/profile_move",
            aria_label=f"Move {profile.name} up",
            hx_vals=json.dumps({"profile": above.slug, "after": profile.slug}),
        )
        if above
        else ""
    )
    erase = _button(
        "Delete…",
        f"{base}/profile_delete",
        hx_vals=json.dumps({"profile": profile.slug}),
        hx_confirm=f"Delete the profile “{profile.name}” with {told}? History can bring it back.",
    )
    return Li(rename, Span(Small(told)), up, erase)


async def call(site, visit: Visit, request):
    """A form posted to a tool of the house by its name; the page is drawn anew."""
    await visit.call(visit.path["tool"], text=visit.form)
    here = site.profile(visit.caller.profile.id) or site.house.profiles.at()
    return Response(headers={"HX-Redirect": f"/{here.slug}/settings"})


async def plugin(site, visit: Visit, request):
    """The card of a plugin file that has a fault."""
    for found in site.house.shelf.failures:
        if found.name == visit.path["name"]:
            old = P("The last version that worked stays in use meanwhile.") if found.apps else ""
            card, path = problem_card(found.problem), P(Code(str(found.path)))
            agree = _accept(visit, found) if "accept" in found.problem.details else ""
            return Section(H1(found.path.name), card, agree, old, path)
    raise Missing("This plugin works now, or is gone.", "Open it from the menu.")


def _accept(visit: Visit, found):
    return _button(
        "Lose those values, and load it",
        f"/{visit.caller.profile.slug}/call/plugin_accept",
        hx_vals=json.dumps({"plugin": found.name}),
        hx_confirm="The values named above will be gone from the app; a backup is made first.",
    )


async def approval(site, visit: Visit, request):
    """What the assistant asks to run, exactly, with the two buttons."""
    profile = visit.caller.profile
    table = site.house.tools.approvals.xtra(profile_id=profile.id)
    return panel.approval_card(table[visit.path["id"]], profile)


async def decide(site, visit: Visit, request):
    """The user's click on an approval: the stored call runs, or is refused."""
    yes, profile, key = visit.form.get("yes") == "yes", visit.caller.profile, visit.path["id"]
    asked = site.house.db.one("SELECT actor FROM approvals WHERE id = ?", (key,)) or {}
    result = await site.house.tools.decide(key, visit.form.get("hash", ""), yes, profile)
    if asked.get("actor") == "model":
        await site.chat.decided(profile, key, result)
    said = "Approved. The result:" if yes else "Rejected; nothing was done."
    return P(said, Pre(json.dumps(result, indent=1, ensure_ascii=False)[:2_000]))


async def stop(site, visit: Visit, request):
    """End the assistant's turn."""
    await site.chat.stop(visit.caller.profile.id)
    return panel.stop_button(visit.caller.profile, False)(hx_swap_oob="true")
