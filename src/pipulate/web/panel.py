"""The chat column: messages as elements, and the chat's events as fragments for open tabs."""

import functools
import json
from html import escape

from fasthtml.components import Button, Code, Details, Div, Form, NotStr, P, Pre, Section
from fasthtml.components import Small, Summary, Textarea

from pipulate.apps.markup import html, markdown
from pipulate.core.profiles import Profile
from pipulate.core.store import Row

HINT = "Ask about this page, or type /help for commands that need no model."
ENDINGS = {"stopped": "Stopped.", "cut off": "Cut off before its end."}
BOX = Textarea(name="msg", rows=2, placeholder="Message, or /help", aria_label="Message")
SAY = html(Form(BOX, Button("Send"), ws_send=True, id="say"))  # the same on every page


def message(row: Row, profile: Profile):
    """One message: text as it is for the user, markdown for the model, a chip for a tool call."""
    key, kind, text = f"m{row['id']}", row["role"], row["text"]
    if kind == "user":
        return Div(text, id=key, cls="msg user")
    if kind == "tool" or (kind == "note" and row["calls"]):
        return Div(_chip(row, profile), id=key, cls="msg tool")
    if row["state"] == "streaming":
        return Div(text, id=key, cls="msg live")
    if not text and row["calls"]:
        return Div(id=key, hidden=True)
    ending = ENDINGS.get(row["state"])
    return Div(markdown(text), Small(ending) if ending else "", id=key, cls=f"msg {kind}")


@functools.lru_cache(maxsize=2_000)
def _drawn(row: tuple, profile: Profile) -> str:
    return html(message(dict(row), profile))


def _chip(row: Row, profile: Profile):
    call = json.loads(row["calls"])[0]
    approval = call.get("approval")
    mark = "…" if approval else "⚠" if '"problem":' in row["text"][:60] else "✓"
    shown = Pre(f"{call['arguments'][:8_000]}\n→ {row['text']}")
    chip = Details(Summary(f"{mark} ", Code(call["name"])), shown)
    if not approval:
        return chip
    address = f"/{profile.slug}/approvals/{approval}"
    ask = Button("Look and decide", hx_get=address, hx_target=f"#a{row['id']}", cls="outline")
    return Div(chip, Div(ask, id=f"a{row['id']}"))


def column(chat, profile: Profile) -> str:
    """What the chat column holds, as HTML."""
    rows = (tuple(row.items()) for row in chat.history(profile.id))
    talk = [NotStr(_drawn(row, profile)) for row in rows] or [P(HINT, cls="empty")]
    live = {"role": "log", "aria_live": "polite", "aria_label": "Conversation", "tabindex": "0"}
    log = Section(*talk, id="talk", **live)
    return html(log, stop_button(profile, profile.id in chat.turns), SAY)


def stop_button(profile: Profile, busy: bool):
    """The button that ends a turn; empty while the assistant is silent."""
    button = Button("Stop", hx_post=f"/{profile.slug}/chat/stop", hx_swap="none", cls="secondary")
    return Div(button if busy else "", id="stop")


def fragment(kind: str, row: Row, profile: Profile) -> str:
    """A chat event as out-of-band HTML. A token is the hot path: no elements, one escape."""
    if kind == "token":
        return f'<span hx-swap-oob="beforeend:#m{row["id"]}">{escape(row["text"])}</span>'
    final, drawn = kind == "final", message(row, profile)
    drawn = drawn(hx_swap_oob="true") if final else Div(drawn, hx_swap_oob="beforeend:#talk")
    busy = not final and (row["role"] in ("user", "tool") or row["state"] == "streaming")
    return html(drawn, stop_button(profile, busy)(hx_swap_oob="true"))


def approval_card(record: Row, profile: Profile):
    """Exactly what would run, and two buttons; they answer for this hash only."""
    address = f"/{profile.slug}/approvals/{record['id']}"
    what = Pre(f"{record['tool']} {record['arguments']}")
    if record["state"] != "waiting":
        return Div(what, P(f"This was {record['state']}."))

    def button(word: str, yes: str, cls: str):
        vals = json.dumps({"hash": record["hash"], "yes": yes})
        return Button(word, hx_post=address, hx_vals=vals, hx_target="closest div", cls=cls)

    buttons = button("Approve", "yes", ""), button("Reject", "no", "secondary")
    return Div(P("The assistant asks to run, once:"), what, *buttons, cls="approval")
