"""The inbox: what waits for the user in all profiles."""

from collections import Counter

from fasthtml.components import A, Button, Div, H1, Header, Li, P, Section, Small, Span, Strong, Ul

from pipulate.apps.base import Visit
from pipulate.apps.card import local, press, question_form, title, words
from pipulate.apps.markup import drawn_once, notice
from pipulate.core.runs import STOPPED
from pipulate.core.store import Row, now

ABOUT = "What waits for you in all profiles: questions, approvals, drafts, steps that stopped."


def waiting(house) -> list[Row]:
    """Approvals, what Runs.inbox lists, drafts of plugins; each with its `profile`."""
    asked = house.tools.approvals("state = 'waiting' AND expires_utc > ?", (now(),))
    rows = [row | {"kind": "approval"} for row in asked] + house.runs.inbox()
    about = {"kind": "draft", "profile_id": house.profiles.at().id}
    rows += [row | about for row in house.shelf.drafts]
    known = (row | {"profile": house.profiles.of(row["profile_id"])} for row in rows)
    return [row for row in known if row["profile"]]


def counter(house, oob: str | None = None):
    """How many wait, for the top of every page."""
    return _counted(len(waiting(house)), oob)


@drawn_once
def _counted(count: int, oob: str | None):
    said = f"{count} waiting" if count else None
    return Strong(count or "", id="waiting", aria_label=said, hx_swap_oob=oob)


async def inbox(site, visit: Visit, request):
    """The list; a question is answered in place."""
    rows, at = waiting(site.house), f"/{visit.profile.slug}/inbox"
    items = (_item(site.house, row) for row in rows)
    drawn = Ul(*items, cls="runs") if rows else P("Nothing waits for you.", cls="empty")
    listing = Div(drawn, *_clearing(at, rows), id="listing", hx_swap="none")
    head = Header(Div(H1("Inbox"), P(ABOUT)), cls="head")
    return listing if visit.partial else Section(head, listing, cls="inbox")


async def discard(site, visit: Visit, request):
    """Forget all that failed or was interrupted, or one kind of it; the notice takes it back."""
    done = await visit.call("run_discard_all", visit.form)
    return notice(f"Discarded {done['discarded']:,}.", visit.undo)


def _clearing(at: str, rows: list[Row]):
    counts = Counter(row["kind"] for row in rows if row["kind"] in STOPPED)
    if len(counts) > 1:
        counts[""] = counts.total()
    for kind, count in counts.items():
        word = f"Discard {count:,} {kind or 'in all'}"
        if count > 1:
            act = {"hx_vals": {"kind": kind}, "hx_confirm": f"{word}? It can be undone."}
            yield Button(word, cls="outline", hx_post=at, **act)


def _item(house, row: Row):
    base, kind = f"/{row['profile'].slug}", row["kind"]
    badge, place = Span(kind, cls=f"state {kind}"), Small(row["profile"].name)
    if kind == "approval":
        at, key = f"{base}/approvals/{row['id']}", f"approval-{row['id']}"
        look = Button("Look and decide", hx_get=at, hx_target=f"#{key}", hx_swap="innerHTML")
        card = Div(id=key, hx_swap="innerHTML", hx_preserve="true")  # being read, it stays open
        return Li(badge, Div(A(row["tool"], href=at), " ", place, card, cls="inputs"), look)
    if kind == "draft":
        told = A(f"{row['name']}.py", href=f"{base}/plugins/{row['name']}"), P(row["said"])
        return Li(badge, Div(*told, cls="inputs"), Small(local(row["at_utc"])))
    run, step, does = row["run"], row["step"], []
    at = f"{base}/{row['pipeline']}/{run}"
    if kind == "question":
        record = house.runs.question(row["profile_id"], run, step, row["said"])
        said = question_form(record, at, hx_preserve="true")
    else:
        said = P(row["said"] or "The program ended while this step ran.")
        does = [press(at, "resume", "Go on", step=step)]  # from what it kept, or from its start
        does += [press(at, "discard", "Discard", "link", step=step)]
    link = A(title(row), href=f"{at}#step-{run}-{step}")
    told = Div(link, f" · {words(step)} ", place, said, cls="inputs")
    return Li(badge, told, Small(local(row["at_utc"])), *does)
