"""The pages that belong to the house itself, and the door to every app's own routes."""

import asyncio
import contextlib
from functools import partial
from signal import SIGTERM, raise_signal
from urllib.parse import quote

from fasthtml.components import FT, A, Article, Button, Code, Div, Form, H1, H2, Header, Input, Li
from fasthtml.components import NotStr, P, Pre, Section, Small, Span, Ul

from pipulate import __version__
from pipulate.apps.base import Go, Refusal, Visit, origin_tab
from pipulate.apps.card import title, words
from pipulate.apps.markup import html, labelled, markdown, problem_card
from pipulate.apps.outputs import Place, draw
from pipulate.apps.rows import AGAIN
from pipulate.core import backups
from pipulate.core.fields import pretty
from pipulate.core.kinds import LINE
from pipulate.core.problems import Invalid, Missing, Problem, from_dict
from pipulate.core.store import now
from pipulate.core.tools import limited
from pipulate.web import assistant, panel

OLD = P("The last version that worked stays in use meanwhile.", cls="hint")
FIRST = """[Add a task]({base}/tasks), [try Hello]({base}/hello), or
[connect a model]({base}/settings)."""
FIRST_APP = """Save this as `{home}/apps/reading.py` and it is in the menu within a second
([more of it](/docs/first-app.md)):

```
from pipulate import CrudApp

class Book(CrudApp):
    "Books to read."
    title: str
    done: bool = False
```"""


def _page(title: str, *parts):
    return Section(Header(H1(title), cls="head"), *filter(None, parts))


async def app(site, visit: Visit, request):
    """Any request below an app."""
    shelf = site.house.shelf
    visit.app = shelf.get(visit.path["app"])
    owner = shelf.of(visit.app)
    if owner and owner.folded and not visit.partial:
        return _card(visit, owner)
    drawn = await shelf.answer(visit, request.method, visit.path.get("rest", "").strip("/"))
    parts = drawn if isinstance(drawn, tuple) else (drawn,)
    if visit.partial or not all(isinstance(part, FT | NotStr | str) for part in parts):
        return drawn
    text = html(*parts)
    if "<h1" not in text:  # a page of the class's own leads back to it
        text = html(Header(H1(A(visit.app.title, href=visit.base)), cls="head")) + text
    broken = (_fault(visit, owner), OLD) if owner and owner.problem else ()
    return *broken, NotStr(text)


def _ask(visit: Visit, tool: str, word: str, *inputs, **more):
    return assistant.ask(f"/{visit.profile.slug}/call/{tool}", word, *inputs, **more)


def _fault(visit: Visit, plugin):
    does, sure = ("plugin_retry", "Try again"), None
    if "accept" in plugin.problem.details:
        does = "plugin_accept", "Lose those values, and load it"
        sure = "The values named above will be gone from the app; a backup is made first."
    return problem_card(plugin.problem)(_ask(visit, *does, confirm=sure, plugin=plugin.name))


def _card(visit: Visit, plugin):
    old = plugin.apps and not plugin.folded and OLD
    return _page(plugin.path.name, _fault(visit, plugin), old, P(Code(str(plugin.path))))


async def overview(site, visit: Visit, request):
    """The profile's first page: what there is, what waits, how to add an app."""
    house, profile = site.house, visit.profile
    remembered, base = house.settings_of(), f"/{profile.slug}"
    if remembered.get("last_profile") != profile.slug:
        with contextlib.suppress(Problem):  # a full disk: the page is there all the same
            await limited(remembered.update, {"last_profile": profile.slug})
    listed = house.shelf.menu()
    cards = (
        Article(A(said, href=f"{base}/{a.slug}"), P(a.description.split("\n")[0]))
        for plugin, said, a in listed
        if not plugin.folded
    )
    opened = [
        Li(
            A(title(run), href=f"{base}/{run['pipeline']}/{run['id']}"),
            Span(f"{run['state']} · {run['done']} steps done"),
        )
        for run in house.runs.listing(profile.id, limit=20)
        if run["state"] not in ("finished", "done") and run["pipeline"] in house.shelf.apps
    ]
    bare = all(plugin.bundled for plugin, *_ in listed)
    return _page(
        profile.name,
        house.trouble and problem_card(house.trouble),
        *(_fault(visit, broken) for broken in house.shelf.failures),
        not house.events.recent(profile.id, 1) and markdown(FIRST.format(base=base)),
        Div(*cards, cls="cards"),
        opened and H2("Runs to take up again"),
        opened and Ul(*opened[:5], cls="runs"),
        bare and H2("Your own app"),
        bare and markdown(FIRST_APP.format(home=house.settings.home)),
    )


async def search(site, visit: Visit, request):
    """What the tool `search` finds, as links."""
    q, found = visit.query.get("q", "").replace("\0", "")[:LINE].strip(), []
    for app in await visit.call("search", {"q": q}) if q else ():
        items = (Li(A(row["name"] or "(empty)", href=row["address"])) for row in app["rows"])
        more = f"?q={quote(q)}" if app["rows"] else ""
        found += [H2(A(app["title"], href=app["address"] + more)), Ul(*items)]
    hint = f"Nothing matches “{q}”." if q else "Type what to look for in the box above."
    return _page(f"Search: {q}" if q else "Search", *(found or [P(hint, cls="hint")]))


async def settings(site, visit: Visit, request):
    """Profiles, the model server, backups."""
    house, everyone = site.house, site.house.profiles.all()
    kept = backups.listing(house.settings.folder("backups"))
    listed = (Li(Span(b["name"]), Small(f"{b['made']} · {b['size']:,} bytes")) for b in kept)
    name = Input(name="name", placeholder="Name of a new profile", required=True, aria_label="Name")
    return _page(
        "Settings",
        H2("Profiles"),
        Ul(*map(partial(_profile, visit), everyone, [None, *everyone]), cls="events"),
        _ask(visit, "profile_add", "Add profile", name),
        assistant.part(site, visit.profile),
        H2("Backups"),
        Ul(*listed, cls="events"),
        P("Restore one with ", Code("pipulate restore NAME"), " while Pipulate is not running."),
        Small(f"Pipulate {__version__} · home {house.settings.home}"),
    )


def _profile(visit: Visit, profile, above):
    told, name, slug = visit.house.held(profile) or "no rows", profile.name, profile.slug
    ask = partial(_ask, visit)
    sure = f"Delete the profile “{name}” with {told}? History can bring it back."
    box, up = Input(name="new_name", value=name, aria_label=f"Name of {name}"), f"Move {name} up"
    return Li(
        ask("profile_rename", "Rename", box, profile=slug),
        Span(Small(told)),
        above and ask("profile_move", "↑", label=up, profile=above.slug, after=slug),
        ask("profile_delete", "Delete…", confirm=sure, profile=slug),
    )


async def form(site, visit: Visit, request):
    """What a tool asks for; below it what it answered."""
    tool, typed, bad, answer = site.house.tools.get(visit.path["tool"]), visit.query, {}, ""
    if request.method == "POST":
        typed = visit.form
        try:
            answer = draw(await visit.call(tool.name, text=typed), Place())
        except Invalid as problem:
            bad = {**problem.details.get("fields", {"": str(problem)})}
    refused, boxes = bool(bad), []
    fresh = await limited(lambda: [f.show(f.initial) for f in tool.fields])
    for f, text in zip(tool.fields, fresh, strict=True):
        shown, why = typed.get(f.name, text), bad.pop(f.name, "")
        boxes.append(labelled(f, shown, why, autofocus=bool(why)))
    word, at = words(tool.name).capitalize(), {"hx_post": request.url.path, "hx_target": "#main"}
    parts = *boxes, P(*bad.values(), cls="error"), Button(word)
    ask = Form(*parts, cls="question", novalidate=True, **at)
    plugin, base = site.house.shelf.plugins.get(tool.owner), f"/{visit.profile.slug}"
    back = (P(A(f"← {a.title}", href=f"{base}/{a.slug}")) for a in getattr(plugin, "apps", ()))
    drawn = _page(word, P(tool.description), ask, answer, *back)
    return Refusal(drawn) if refused else drawn


async def call(site, visit: Visit, request):
    """A form posted to a tool of the house by its name; it leads on, or the page is drawn anew."""
    tool = site.house.tools.get(visit.path["tool"])
    if not visit.form:
        raise Invalid("That form held nothing.", "Reload the page and send it again.")
    said = await visit.call(tool.name, text=visit.form)
    profiles = site.house.profiles
    here = profiles.of(visit.profile.id) or profiles.at()
    back = "" if tool.name.startswith("plugin_") else "/settings"
    leads = said.get("address") if isinstance(said, dict) else ""
    return Go(leads or f"/{here.slug}{back}")


async def plugin(site, visit: Visit, request):
    """The card of a plugin file that has a fault."""
    for found in site.house.shelf.failures:
        if found.name == visit.path["name"]:
            return _card(visit, found)
    raise Missing("This plugin works now, or is gone.", "Open it from the menu.")


async def approval(site, visit: Visit, request):
    """What the assistant asks to run, exactly, with the two buttons; below it, all of its turn."""
    profile, tools = visit.profile, site.house.tools
    asked = tools.approval(visit.path["id"], profile)
    cards, turn = [panel.approval_card(asked, profile)], asked["turn"]
    if turn and asked["state"] == "waiting" and asked["expires_utc"] >= now():
        several = tools.approval(turn, profile)
        if len(several["calls"]) > len(asked["calls"]):
            cards.append(panel.approval_card(several, profile))
    return panel.asking(asked["id"], *cards)


async def decide(site, visit: Visit, request):
    """The user's click on an approval: the stored call runs, or is refused."""
    yes, profile, key = visit.form.get("yes") == "yes", visit.profile, visit.path["id"]
    asked = site.house.tools.approval(key, profile)
    result = await site.house.tools.decide(key, visit.form.get("hash", ""), yes, profile)
    site.news.count()
    over = [panel.asking(call["id"], hx_swap_oob="true") for call in asked["calls"]]
    site.hub.put(profile.id, html(*over), skip=origin_tab.get())
    site.hub.put(None, AGAIN, f"/{profile.slug}/inbox", origin_tab.get())  # here the result stands
    await site.chat.decided(profile, key, result, asked["actor"])
    said = P("Rejected; nothing was done.")
    if isinstance(result, dict) and "problem" in result:
        said = P("Approved, but it was not done:"), problem_card(from_dict(result))
    elif yes:
        said = P("Approved. The result:", Pre(pretty(result)[:2_000]))
    return said, *(one for one in over if one.id != request.headers.get("hx-target"))  # its place


async def stop(site, visit: Visit, request):
    """End the assistant's turn."""
    await site.chat.stop(visit.profile.id)
    site.hub.put(visit.profile.id, html(panel.stop_button(visit.profile, False)))
    return ""


async def end(site, visit, request):
    """End the program, as Ctrl-C does, once this answer is on its way."""
    asyncio.get_running_loop().call_later(0.1, raise_signal, SIGTERM)
    then = " to start again. This page goes on when it runs on this port."
    said = P("Pipulate has ended — run ", Code("pipulate"), then)
    return Section(H1("Until next time"), said, id="ended")
