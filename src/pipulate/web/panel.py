"""The chat column: messages as elements, and the chat's events as fragments for open tabs."""

import functools
import json
from html import escape

from fasthtml.components import A, Button, Code, Details, Div, Form, Input, NotStr, P, Pre
from fasthtml.components import Section, Small, Summary, Textarea

from pipulate.apps.markup import html, markdown
from pipulate.core.profiles import Profile
from pipulate.core.store import Row

HINT = "Ask about this page, or type /help for commands that need no model."
ENDINGS = {"stopped": "Stopped.", "cut off": "Cut off before its end."}
BOX = Textarea(name="msg", rows=2, placeholder="Message, or /help", aria_label="Message")
SAY = html(Form(BOX, Button("Send"), ws_send=True, id="say"))  # the same on every page


def message(row: Row, profile: Profile, undone: bool | None = None):
    """One message: text as it is for the user, markdown for the model, a chip for a tool call.

    `undone`: whether what its turn changed was taken back; None when that was nothing."""
    key, kind, text, calls = f"m{row['id']}", row["role"], row["text"], row["calls"]
    mark = "" if undone is None else turn_mark(row["turn"], undone, profile)
    if kind == "tool" or (kind == "note" and calls):
        return Div(_chip(row, profile), mark, id=key, cls="msg tool")
    if kind == "user":
        return Div(text, id=key, cls="msg user")
    thought = Div(row["thinking"], id=f"t{row['id']}")
    thought = Details(Summary("Thoughts"), thought, cls="thought")  # the look hides an empty one
    if row["state"] == "streaming":
        return Div(thought, text, id=key, cls="msg live")
    if not text and calls:
        return Div(id=key, cls="msg", hidden=True)
    ending = ENDINGS.get(row["state"], "")
    said = (thought if row["thinking"] else "", markdown(text), ending and Small(ending), mark)
    return Div(*said, id=key, cls=f"msg {kind}")


def turn_mark(turn: str, undone: bool, profile: Profile, **attrs):
    """Leads to what a turn changed; the page's look shows it under the turn's last message only."""
    word = "This turn was undone" if undone else "Undo this turn"
    link = A(word, href=f"/{profile.slug}/history/{turn}")
    return P(link, cls=f"turn {turn}", **attrs)


def turn_marks(chat, profile: Profile) -> str:
    """The marks of all turns in the conversation, to take the place of those that are there."""
    known = _undone(chat, profile, chat.history(profile.id)).items()
    marks = (turn_mark(*pair, profile, hx_swap_oob=f"outerHTML:.{pair[0]}") for pair in known)
    return html(*marks)


def _undone(chat, profile: Profile, rows: list[Row]) -> dict[str, bool]:
    turns = dict.fromkeys(row["turn"] for row in rows if row["turn"])
    return chat.house.events.turns(profile.id, [*turns])


@functools.lru_cache(maxsize=2_000)
def _drawn(row: tuple, profile: Profile, undone: bool | None) -> str:
    return html(message(dict(row), profile, undone))


def _chip(row: Row, profile: Profile):
    call = json.loads(row["calls"])[0]
    approval = call.get("approval")
    mark = "…" if approval else "⚠" if '"problem":' in row["text"][:60] else "✓"
    shown = Pre(f"{call['arguments'][:8_000]}\n→ {row['text']}")
    chip = Details(Summary(f"{mark} ", Code(call["name"])), shown)
    if not approval:
        return chip
    key, address = f"a{row['id']}", f"/{profile.slug}/approvals/{approval}"
    ask = Button("Look and decide", hx_get=address, hx_target=f"#{key}", cls="outline")
    return Div(chip, Div(ask, id=key))


def column(chat, profile: Profile) -> str:
    """What the chat column holds, as HTML."""
    rows = chat.history(profile.id)
    undone = _undone(chat, profile, rows)
    drawn = (_drawn(tuple(row.items()), profile, undone.get(row["turn"])) for row in rows)
    talk = [*map(NotStr, drawn)] or [P(HINT, cls="empty" if chat.there else "empty alone")]
    live = {"role": "log", "aria_live": "polite", "aria_label": "Conversation", "tabindex": "0"}
    log = Section(*talk, id="talk", **live)
    return html(log, stop_button(profile, profile.id in chat.turns), SAY)


def stop_button(profile: Profile, busy: bool):
    """The button that ends a turn; empty while the assistant is silent."""
    button = Button("Stop", hx_post=f"/{profile.slug}/chat/stop", hx_swap="none", cls="secondary")
    return Div(button if busy else "", id="stop")


def fragment(kind: str, row: Row, profile: Profile, undone: bool | None = None) -> str:
    """A chat event as out-of-band HTML. A token is the hot path: no elements, one escape."""
    if kind == "token":
        at = f"#{'t' if row['kind'] == 'thinking' else 'm'}{row['id']}"
        return f'<span hx-swap-oob="beforeend:{at}">{escape(row["text"])}</span>'
    if kind == "gone":
        return f'<i id="m{row["id"]}" hx-swap-oob="delete"></i>'
    final, drawn = kind == "final", message(row, profile, undone)
    drawn = drawn(hx_swap_oob="true") if final else Div(drawn, hx_swap_oob="beforeend:#talk")
    busy = not final and (row["role"] in ("user", "tool") or row["state"] == "streaming")
    return html(drawn, stop_button(profile, busy)(hx_swap_oob="true"))


def approval_card(record: Row, profile: Profile):
    """Exactly what would run (but secrets), and two buttons; they answer for this hash only."""
    what = Pre(record["shown"])
    if record["state"] != "waiting":
        return Div(what, P(f"This was {record['state']}."))
    return Form(
        P("The assistant asks to run, once:"),
        what,
        Input(type="hidden", name="hash", value=record["hash"]),
        Button("Approve", name="yes", value="yes"),
        Button("Reject", name="yes", value="no", cls="secondary"),
        hx_post=f"/{profile.slug}/approvals/{record['id']}",
        cls="approval",
    )
