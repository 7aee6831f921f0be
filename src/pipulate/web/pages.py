"""The pages that belong to the house itself, and the door to every app's own routes."""

from __future__ import annotations

import json
from datetime import datetime
from urllib.parse import quote
from typing import Any

from fasthtml.components import A, Article, Button, Code, Div, Form, H1, H2, Header, Input, Li, P
from fasthtml.components import Pre, Section, Small, Span, Ul

from starlette.responses import Response

from pipulate import __version__
from pipulate.ai.models import NONE_FOUND, find
from pipulate.apps.base import Visit, origin_tab
from pipulate.apps.crud import Crud
from pipulate.apps.markup import markdown, notice, problem_card
from pipulate.core import backups
from pipulate.core.problems import Missing
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


async def app(site, visit: Visit, request):
    """Any request below an app: its own route table decides."""
    visit.app = site.house.shelf.get(visit.path["app"])
    rest = visit.path.get("rest", "").strip("/")
    for route in visit.app.routes:
        values = route.match(request.method, rest)
        if values is not None:
            visit.path = values
            return _with_faults(site, visit, await route.run(visit))
    raise Missing(f"{visit.app.title} has no page {rest!r} for {request.method}.", "Check the address.")


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
    if house.settings_of().get("last_profile") != profile.slug:
        house.settings_of()["last_profile"] = profile.slug
    cards = [
        Article(A(a.title, href=f"/{profile.slug}/{slug}"), P(a.description.split("\n")[0]))
        for slug, a in sorted(house.shelf.apps.items())
    ]
    broken = [problem_card(p.problem) for p in house.shelf.failures]
    runs = [r for r in house.runs.listing(profile.id, limit=20) if _unfinished(house, r)][:5]
    opened = [
        Li(A(f"{r['pipeline'].capitalize()} run {r['id']}", href=f"/{profile.slug}/{r['pipeline']}/{r['id']}"),
           Span(f"{r['state']} · {r['done']} steps done"))
        for r in runs
    ]
    going = (H2("Runs to take up again"), Ul(*opened, cls="runs")) if opened else ()
    how = markdown(FIRST_APP.format(home=house.settings.home))
    return Section(
        Header(H1(profile.name), cls="head"), *broken, Div(*cards, cls="cards"), *going,
        H2("Your own app"), how,
    )


def _unfinished(house, run: dict[str, Any]) -> bool:
    guided = house.shelf.apps.get(run["pipeline"])
    return run["state"] != "finished" and guided and not guided.complete(run)


async def history(site, visit: Visit, request):
    """What was done in this profile, newest first, with undo."""
    shown = visit.query.get("before", "")
    before = int(shown) if shown.isdecimal() and len(shown) < 19 else 2**62
    profile = visit.caller.profile
    events = site.house.events.recent(profile.id, 100, before)
    items = [_event(e, profile) for e in events]
    empty = P("Nothing was done yet. Every change, by you or the assistant, is listed here.", cls="hint")
    older = A("Older →", href=f"?before={events[-1]['id']}") if len(events) == 100 else ""
    return Section(Header(H1("History"), cls="head"), Ul(*items, cls="events") if items else empty, older)


def _event(event: dict[str, Any], profile):
    undo = Button("Undo", cls="outline secondary", hx_post=f"/{profile.slug}/undo/{event['id']}", hx_swap="none")
    if event["undone"]:
        undo = Small("undone")
    when = f"{datetime.fromisoformat(event['at_utc']).astimezone():%F %T}"
    return Li(
        Small(when), Code(event["actor"]), Span(event["summary"]),
        undo if event["undoable"] or event["undone"] else "",
    )


async def undo(site, visit: Visit, request):
    """Take one event back; the notice offers to take that back in turn."""
    origin_tab.set("")  # this tab wants to see what came back, too
    said = await visit.call("undo", event=int(visit.path["event"]))
    if "/history" in request.headers.get("hx-current-url", ""):
        return Response(headers={"HX-Refresh": "true"})
    newest = site.house.events.recent(visit.caller.profile.id, 1)[0]["id"]
    return notice(said, f"/{visit.caller.profile.slug}/undo/{newest}")


async def search(site, visit: Visit, request):
    """Rows of all CRUD apps that hold the words, and apps of that name."""
    q, profile = visit.query.get("q", "").strip(), visit.caller.profile
    found: list[Any] = []
    for slug, kind in sorted(site.house.shelf.apps.items()):
        rows = (await limited(kind.find, visit.caller, q))[0][:8] if q and isinstance(kind, Crud) else []
        if not rows and (not q or q.lower() not in kind.title.lower()):
            continue
        link = f"/{profile.slug}/{slug}" + (f"?q={quote(q)}" if rows else "")
        found += [H2(A(kind.title, href=link)), Ul(*(Li(str(row)) for row in rows))]
    hint = f"Nothing matches “{q}”." if q else "Type what to look for in the box above."
    return Section(Header(H1(f"Search: {q}" if q else "Search"), cls="head"), *(found or [P(hint, cls="hint")]))


async def settings(site, visit: Visit, request):
    """Profiles, the model server, backups."""
    house, here = site.house, visit.caller.profile
    model = await find(house.settings)
    said = P(f"{model.name} at {model.url}") if model else markdown(NONE_FOUND)
    add = Form(
        Input(name="name", placeholder="Name of a new profile", required=True, aria_label="Name"),
        Button("Add profile"), hx_post=f"/{here.slug}/call/profile_add", cls="inline",
    )
    everyone = house.profiles.all()
    rows = [_profile(site, here, p, everyone[n - 1] if n else None) for n, p in enumerate(everyone)]
    kept = backups.listing(house.settings.folder("backups"))
    listed = [Li(Span(b["name"]), Small(f"{b['made']} · {b['size']:,} bytes")) for b in kept]
    return Section(
        Header(H1("Settings"), cls="head"), H2("Profiles"), Ul(*rows, cls="events"), add,
        H2("Assistant"), said, H2("Backups"), Ul(*listed, cls="events"),
        P("Restore one with ", Code("pipulate restore NAME"), " while Pipulate is not running."),
        Small(f"Pipulate {__version__} · home {house.settings.home}"),
    )


def _profile(site, here, profile, above):
    base = f"/{here.slug}/call"
    held = site.house.profiles.holdings(profile)
    told = ", ".join(f"{n} {name}" for name, n in held.items()) or "nothing in it"
    rename = Form(
        Input(type="hidden", name="profile", value=profile.slug),
        Input(name="new_name", value=profile.name, aria_label=f"Name of {profile.name}"),
        Button("Rename", cls="outline secondary"), hx_post=f"{base}/profile_rename", cls="inline",
    )
    up = Button(
        "↑", cls="outline secondary", aria_label=f"Move {profile.name} up", hx_post=f"{base}/profile_move",
        hx_vals=json.dumps({"profile": above.slug, "after": profile.slug}),
    ) if above else ""
    erase = Button(
        "Delete…", cls="outline secondary", hx_post=f"{base}/profile_delete",
        hx_vals=json.dumps({"profile": profile.slug}),
        hx_confirm=f"Delete the profile “{profile.name}” with {told}? History can bring it back.",
    )
    return Li(rename, Span(Small(told)), up, erase)


async def call(site, visit: Visit, request):
    """A form posted to a tool of the house by its name; the page is drawn anew."""
    await visit.call(visit.path["tool"], text=visit.form)
    slugs = [p.slug for p in site.house.profiles.all()]
    here = visit.caller.profile
    same = next((p.slug for p in site.house.profiles.all() if p.id == here.id), slugs[0])
    return Response(headers={"HX-Redirect": f"/{same}/settings"})


async def plugin(site, visit: Visit, request):
    """The card of a plugin file that has a fault."""
    for found in site.house.shelf.failures:
        if found.name == visit.path["name"]:
            old = P("The last version that worked stays in use meanwhile.") if found.apps else ""
            return Section(H1(found.path.name), problem_card(found.problem), old, P(Code(str(found.path))))
    raise Missing("This plugin works now, or is gone.", "Open it from the menu.")


async def approval(site, visit: Visit, request):
    """What the assistant asks to run, exactly, with the two buttons."""
    table = site.house.db.table("approvals", logged=False, scoped=True)
    record = table.xtra(profile_id=visit.caller.profile.id)[visit.path["id"]]
    return panel.approval_card(record, visit.caller.profile)


async def decide(site, visit: Visit, request):
    """The user's click on an approval: the stored call runs, or is refused."""
    yes, profile = visit.form.get("yes") == "yes", visit.caller.profile
    key, digest = visit.path["id"], visit.form.get("hash", "")
    asked = site.house.db.one("SELECT actor FROM approvals WHERE id = ?", (key,)) or {}
    result = await site.house.tools.decide(key, digest, yes, profile)
    if asked.get("actor") == "model":
        await site.chat.decided(profile, key, result)
    said = "Rejected; nothing was done." if not yes else "Approved. The result:"
    return P(said, Pre(json.dumps(result, indent=1, ensure_ascii=False)[:2_000]))


async def stop(site, visit: Visit, request):
    """End the assistant's turn."""
    await site.chat.stop(visit.caller.profile.id)
    return panel.stop_button(visit.caller.profile, False)(hx_swap_oob="true")
