"""The history: every change from any door, who made it, what it changed; undo, redo, restore."""

import asyncio
import re
from collections import defaultdict
from datetime import date, datetime, timedelta
from html import escape
from itertools import groupby
from urllib.parse import urlencode

from fasthtml.components import H1, H2, A, Button, Div, Form, Header, Input, Label, Nav, NotStr
from fasthtml.components import P, Section, Span, Ul
from starlette.responses import HTMLResponse

from pipulate.apps.base import Refusal, Visit, origin_tab
from pipulate.apps.markup import html, notice, select
from pipulate.apps.refs import numbered
from pipulate.apps.rows import AGAIN
from pipulate.core.events import Filter
from pipulate.core.fields import to_column
from pipulate.core.problems import Conflict
from pipulate.core.store import Row
from pipulate.web.diff import SHOWN, clash_card, diff

PAGE = 50
WHO = {"user": "You", "model": "Assistant", "mcp": "MCP", "shell": "Shell", "system": "Pipulate"}
HOUSE = {"runs": "Runs", "profiles": "Profiles"}  # tables without a class
ABOUT = "Every change, by you or the assistant or others, to look at and undo within 30 days."


async def history(site, visit: Visit, request):
    """What was done in this profile, newest first: ?who= app= q= day= deletions= before= after="""
    at, query = f"/{visit.profile.slug}", defaultdict(str, visit.query)
    log = await asyncio.to_thread(_log, visit, at, query)  # of a million events
    if visit.partial:
        typed = request.headers.get("hx-trigger") == "filter"
        pushed = {"HX-Push-Url": _address(at, query)} if typed else None
        return HTMLResponse(html(log), headers=pushed)
    head = Header(Div(H1("History"), P(ABOUT)), cls="head")
    button = Button("Undo the ticked changes", cls="secondary")
    picked = Form(button, id="picked", hx_post=f"{at}/undo", hx_swap="none")
    return Section(head, _filters(visit, at, query), log, picked, cls="history")


def _address(at: str, query: Row, **place: int) -> str:
    said = urlencode({k: v for k, v in (query | place).items() if v})
    return f"{at}/history?{said}".rstrip("?")


def _filters(visit: Visit, at: str, query: Row):
    def pick(name: str, everything: str, options: dict[str, str]):
        return select({"": everything} | options, query[name], name=name, aria_label=everything)

    apps = {table: app.title for table, app in visit.house.shelf.cruds.items()}
    words = {"name": "q", "placeholder": "Words", "aria_label": "Words of the change"}
    gone = Input(type="checkbox", name="deletions", value="1", checked=bool(query["deletions"]))
    return Form(
        pick("who", "Everybody", WHO),
        pick("app", "Every app", apps | HOUSE),
        Input(type="search", value=query["q"], **words),
        Input(type="date", name="day", value=query["day"], aria_label="Day"),
        Label(gone, "Deletions"),
        id="filter",
        hx_get=f"{at}/history",
        hx_target="#listing",
        hx_swap="outerHTML",
        hx_sync="this:replace",
        hx_trigger="submit, change, input changed delay:250ms from:find [type=search]",
    )


def _log(visit: Visit, at: str, query: Row):
    gone = bool(query["deletions"])
    only = Filter(query["who"], query["app"], query["q"], *_day(query["day"]), gone, True)
    before, after = (numbered(query.pop(name, "")) or 0 for name in ("before", "after"))
    found = visit.house.events.recent(visit.profile.id, PAGE + 1, before or 2**62, after, only)
    more = len(found) > PAGE
    if not (events := found[1:] if more and after else found[:PAGE]):
        every = "Nothing matches. ", A("Show all", href=f"{at}/history")
        empty = ("Nothing was done yet.",) if only == Filter(brief=True) else every
        return Div(P(*empty, cls="empty"), id="listing")
    parts = []
    for when, some in groupby(events, lambda event: _local(event).date()):
        drawn = "".join(_entry(event, at, gone) for event in some)
        parts += H2(_named(when)), Ul(NotStr(drawn), cls="log")
    newer = older = Span()
    if before or (after and more):
        newer = A("← Newer", href=_address(at, query, after=events[0]["id"]))
    if after or more:
        older = A("Older →", href=_address(at, query, before=events[-1]["id"]))
    if before or after or more:
        parts.append(Nav(newer, older, cls="pager", aria_label="Pages of the history"))
    return Div(*parts, id="listing")


def _day(text: str) -> tuple[str, str]:
    """Begin and end of a local day, in UTC; blank when it is none."""
    try:
        first = datetime.strptime(text, "%Y-%m-%d")
        return to_column(first), to_column(first + timedelta(days=1))
    except (ValueError, OverflowError):
        return "", ""


def _local(event: Row) -> datetime:
    return datetime.fromisoformat(event["at_utc"]).astimezone()


def _named(day: date) -> str:
    names = {0: "Today", 1: "Yesterday"}
    return names.get((date.today() - day).days, f"{day:%A} {day.day} {day:%B %Y}")


def _entry(event: Row, at: str, restore: bool) -> str:
    """One event as HTML text (elements are slow): a line that opens to what it changed.

    The line is kept as it is, open or ticked, when the log is drawn anew."""
    key, said, actor = event["id"], escape(event["summary"]), event["actor"]
    state = "undone" if event["undone"] else ""
    rows = f" <small>{event['changed']:,} rows</small>" if event["changed"] > 1 else ""
    line = (
        f"<time>{_local(event):%H:%M}</time>"
        f'<small class="who {escape(actor)}">{escape(WHO.get(actor, actor))}</small>'
        f"<span>{said}{rows}</span>"
    )
    opened = (
        f'<details hx-get="{at}/history/{key}" hx-trigger="toggle once" hx-target="find .diff" '
        f'hx-swap="outerHTML"><summary>{line}</summary><div class="diff">…</div></details>'
    )
    tick = (
        f'<input type="checkbox" name="more[]" value="{key}" form="picked" '
        f'aria-label="Tick: {said}">'
    )
    return (
        f'<li class="{state}"><div class="entry" id="d{key}{state}" hx-preserve="true">'
        f"{tick if event['undoable'] else '<i></i>'}"
        f"{opened if event['changed'] else f'<p>{line}</p>'}</div>"
        f"{_action(event, at, restore)}</li>"
    )


def _action(event: Row, at: str, restore: bool) -> str:
    redo, key = event["verb"] == "undo", event["id"]
    if event["undoable"]:
        word = "Redo" if redo else "Restore" if restore else "Undo"
        attrs = f'id="u{key}" hx-swap="none" class="outline secondary"'
        return f'<button hx-post="{at}/undo/{key}" {attrs}>{word}</button>'
    if event["undone"]:
        return f"<small>{'redone' if redo else 'undone'}</small>"
    return "<small>too old to undo</small>" if event["changed"] else ""


async def change(site, visit: Visit, request):
    """What one event changed, of the first fifty rows; of the model's, a link to its turn."""
    profile, events = visit.profile, visit.house.events
    event = events.get(visit.path["event"], profile.id)
    images = events.images(event["id"], limit=SHOWN)
    turn = event["turn"]
    link = turn and P(A("All of this turn", href=f"/{profile.slug}/history/{turn}"))
    drawn = Div(diff(visit, images, event["changed"], event["kept"]), link, cls="diff")
    return drawn if visit.partial else Section(H1(event["summary"]), drawn)


async def turn(site, visit: Visit, request):
    """All that the assistant changed in one turn, as one diff, and the button that undoes it."""
    profile, key, log = visit.profile, visit.path["turn"], visit.house.events
    events, base = log.of_turn(key, profile.id), f"/{profile.slug}"
    parts = [P("This turn changed nothing.", cls="empty")]
    if events:
        by, total = {event["undone"] for event in events}, sum(e["changed"] for e in events)
        state = Button("Undo this turn", hx_post=f"{base}/history/{key}", hx_swap="none")
        if not log.turns(profile.id, [key])[key]:
            redo = Button("Redo", hx_post=f"{base}/undo/{max(by)}", hx_swap="none")
            state = P("This turn was undone. ", redo if len(by) == 1 else "")
        images = log.images(*(event["id"] for event in reversed(events)), limit=20 * SHOWN)
        drawn = diff(visit, images, total, any(e["kept"] for e in events))
        parts = state, H2("Before and after"), Div(drawn, cls="diff")
    page = Div(*parts, id="listing")
    back = A("← History", href=f"{base}/history")
    head = Header(H1("What the assistant did in this turn"), back, cls="head")
    return page if visit.partial else Section(head, page, cls="history")


async def undo(site, visit: Visit, request):
    """Take back the event or the turn in the address, or the ticked events.

    The notice offers to redo it."""
    origin_tab.set("")  # this tab wants to see what came back, too
    ticked = [int(key) for key in re.findall(r"\b\d{1,18}\b", visit.form.get("more", ""))]
    first, *more = [visit.path["event"]] if "event" in visit.path else ticked or [0]
    tool, what = "undo", {"event": first, "more": more}
    if "turn" in visit.path:
        tool, what = "undo_turn", {"turn": visit.path["turn"]}
    try:
        said = await visit.call(tool, **what, on_conflict=visit.form.get("on_conflict", "refuse"))
    except Conflict as problem:
        if "clashes" not in problem.details:
            raise
        return Refusal(clash_card(visit, problem, request.url.path), 409, "#notices")
    told = notice(said, visit.undo)
    return (told, NotStr(AGAIN)) if "/history" in visit.here else told
