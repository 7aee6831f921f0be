"""The chat column, and the chat's events as fragments for open tabs; at the end, its script."""

import functools
import json
import re
from html import escape
from keyword import kwlist

from fasthtml.components import A, Button, Code, Details, Div, Form, Input, Label, Li, NotStr, P
from fasthtml.components import Pre, Section, Small, Span, Summary, Textarea, Ul

from pipulate.ai.prompt import app_at
from pipulate.apps.markup import drawn_once, hidden, html, markdown
from pipulate.apps.runner import Runner
from pipulate.core.profiles import Profile
from pipulate.core.store import Row

SHOWN = 100  # messages drawn at once; more are loaded when asked for
HINT = "Ask about this page, or type /help for commands that need no model."
ASKING = {"user": "You", "model": "The assistant", "mcp": "A program"}
ENDINGS = {"stopped": "Stopped.", "cut off": "Cut off before its end."}
NOTHING = "The model answered nothing. Retry asks it again."
ATTACHED = "\n\n[attached] "  # begins what goes along: names, then lines of text
LEADS = {  # beside a run: a button, and what it says to the assistant
    "Explain the next step": "Explain the next step of this run to me, then wait.",
    "Do it for me": "Do the next steps of this run for me; ask me for what only I can know.",
}
CODE = re.compile(r'(?s)<pre><code(?: class="language-([\w+#.-]*)[^"]*")?>(.*?)</code></pre>')
WORDS = "|".join(kwlist) + "|const|function|let|new|null|select|var|where"
LIT = re.compile(  # comments, texts and words of most languages
    rf"""(?P<i>(?<!\S)(?:\#|//|--) .*)|(?P<ins>"[^"\n]*"|'[^'\n]*')|(?P<b>\b(?i:{WORDS})\b)"""
)


def message(row: Row, profile: Profile, left: tuple[int, ...] | None = None):
    """One message: plain text of the user's, markdown of the model's, a chip for a call.

    `left`: the events of its turn that are not undone; None when it changed nothing."""
    key, kind, text, calls = f"m{row['id']}", row["role"], row["text"], row["calls"]
    mark = ""
    if left is not None:  # shown under the turn's last message only
        word = "Undo this turn" if left else "This turn was undone"
        mark = P(A(word, href=f"/{profile.slug}/history/{row['turn']}"), cls="turn")
    if kind == "tool" or (kind == "note" and calls):
        return Div(_chip(row, profile, left or ()), mark, id=key, cls="msg tool")
    if kind == "note" and text.startswith("Approval "):
        said, _, result = text.partition(" Result: ")
        return Div(Details(Summary(said), Pre(result, tabindex="0")), id=key, cls="msg tool")
    if kind == "user":
        edit = Button("Edit", data_edit=row["id"], cls="link")
        return Div(*_said(text), edit, id=key, cls="msg user")
    inner = Div(row["thinking"], id=f"t{row['id']}")
    thought = Details(Summary("Thoughts"), inner, cls="thought")  # the look hides an empty one
    if row["state"] == "streaming":
        return Div(thought, text, id=key, cls="msg live", aria_busy="true")
    if not text and calls:
        return Div(id=key, cls="msg", hidden=True)
    ending = ENDINGS.get(row["state"], "" if text.strip() else NOTHING)
    copy = Button("Copy", data_copy=f"/{profile.slug}/chat/{row['id']}", cls="link")
    said = (thought if row["thinking"] else "", _coded(text), ending and Small(ending), mark, copy)
    return Div(*said, id=key, cls=f"msg {kind}")


def _said(text: str):
    text, _, along = text.partition(ATTACHED)
    name, _, more = along.partition("\n")
    yield Span(text)
    if more:
        yield Details(Summary(f"Attached: {name}"), Pre(more, tabindex="0"))
    elif name:
        yield P(Small(f"Attached: {name}"))


def _coded(text: str) -> NotStr:
    def framed(found: re.Match[str]) -> str:
        copy, code = Button("Copy", data_copy="", cls="link"), found[2]
        if found[1]:
            code = LIT.sub(lambda part: f"<{part.lastgroup}>{part[0]}</{part.lastgroup}>", code)
        return html(Div(Small(found[1]), copy, Pre(Code(NotStr(code)), tabindex="0"), cls="code"))

    return NotStr(CODE.sub(framed, str(markdown(text))))


@functools.lru_cache(maxsize=2_000)
def _drawn(row: tuple, profile: Profile, left: tuple[int, ...] | None) -> str:
    return html(message(dict(row), profile, left))


def _chip(row: Row, profile: Profile, left: tuple[int, ...]):
    call = json.loads(row["calls"])[0]
    approval = call.get("approval")
    mark = "…" if approval is not None else "⚠" if '"problem":' in row["text"][:60] else "✓"
    shown = Pre(f"{call['arguments'][:8_000]}\n→ {row['text']}", tabindex="0")
    chip = Details(Summary(f"{mark} ", Code(call["name"])), shown)
    if approval:
        address = f"/{profile.slug}/approvals/{approval}"
        ask = Button("Look and decide", hx_get=address, hx_swap="outerHTML", cls="outline")
        return Div(chip, asking(approval, ask))
    events = call.get("events")  # what it changed by itself
    if not events or events[-1] not in left:
        return chip, Small("undone") if events else ""
    address = f"/{profile.slug}/undo/{events[-1]}"
    return chip, Button("Undo", hx_post=address, hx_swap="none", cls="link")


def asking(approval: str, *inner, **attrs):
    """Where an approval is asked for; the answer to a click stands there, too."""
    return Div(*inner, id=f"a-{approval}", hx_target="this", **attrs)


def talk(chat, profile: Profile, before: int = 2**62) -> str:
    """The newest messages (before that one), and a button for those before them."""
    rows = chat.history(profile.id, SHOWN + 1, before)
    more, rows = rows[:-SHOWN], rows[-SHOWN:]
    left = chat.house.events.turns(profile.id, [row["turn"] for row in rows])
    drawn = [_drawn(tuple(row.items()), profile, left.get(row["turn"])) for row in rows]
    if more:
        to = {"hx_get": f"/{profile.slug}/chat/before/{rows[0]['id']}", "hx_swap": "outerHTML"}
        drawn.insert(0, html(Button("Load earlier messages", cls="link", id="earlier", **to)))
    return "".join(drawn)


@drawn_once
def _log(said: str, there: bool, oob: str | None = None):
    hint = P(HINT, cls="empty" if there else "empty alone")
    about = {"aria_live": "polite", "aria_label": "Conversation", "tabindex": "0"}
    look = {"id": "talk", "hx_ext": "morph", "hx_swap_oob": oob, "role": "log"}
    return Section(NotStr(said) or hint, **look, **about)


def column(chat, profile: Profile, at: str) -> str:
    """What the chat column holds on the page of an address."""
    stop = stop_button(profile, profile.id in chat.turns, None)
    return html(_log(talk(chat, profile), chat.there), stop, _leads(chat, at), _box(profile.slug))


def _leads(chat, at: str):
    app, run = app_at(chat.house, at)
    if not (chat.there and run.isdecimal() and isinstance(app, Runner)):
        return ""
    leads = (
        Form(hidden("msg", text), Button(word, cls="outline"), ws_send=True)
        for word, text in LEADS.items()
    )
    return Div(*leads, cls="lead")


@drawn_once
def _box(slug: str):
    box = {"placeholder": "Message, or /help", "aria_label": "Message", "rows": 2, "name": "msg"}
    offered = {"data_options": f"/{slug}/chat/offers", "aria_autocomplete": "list"}
    held = {"placeholder": " ", "aria_label": "Attached file", "cls": "held", "autocomplete": "off"}
    along = "Attach this page"
    return Form(
        Div(id="offers"),
        Textarea(**box, **offered, aria_controls="offers", autocomplete="off"),
        Button("Send"),
        Input(type="hidden", name="again"),
        Input(name="file", **held),
        Input(type="file", id="attach", data_upload="file", cls="sr", aria_label="Attach a file"),
        Label("Attach a file", fr="attach"),
        Label(Input(type="checkbox", name="page", value="1", aria_label=along), along),
        ws_send=True,
        id="say",
    )


def options(found: list[tuple[str, str]]):
    """Ways to complete a command."""
    about = {"role": "option", "aria_selected": "false"}
    items = (
        Li(Code(line), " ", Small(said), data_line=line, id=f"offer-{n}", **about)
        for n, (line, said) in enumerate(found)
    )
    return Ul(*items, role="listbox", aria_label="Commands") if found else ""


@drawn_once
def stop_button(profile: Profile, busy: bool, oob: str | None = "true"):
    """Ends a turn; while the assistant is silent, says it again."""
    word, verb = ("Stop", "stop") if busy else ("Retry", "again")
    to = {"hx_post": f"/{profile.slug}/chat/{verb}", "hx_swap": "none"}
    return Div(Button(word, **to, cls="outline secondary"), id="stop", hx_swap_oob=oob)


def anew(chat, profile: Profile, ends: bool = False) -> str:
    """The conversation as it is now, or as its turn `ends`."""
    stop = stop_button(profile, profile.id in chat.turns and not ends)
    return html(_log(talk(chat, profile), chat.there, "morph"), stop)


def since(chat, profile: Profile, seen: str) -> str:
    """The same, if what a tab has `seen` is not the last: a dot says that it was not whole."""
    newest = "".join(str(row["id"]) for row in chat.history(profile.id, 1))
    return anew(chat, profile) if seen != newest else ""


def fragment(
    kind: str, row: Row, profile: Profile, left: tuple[int, ...] | None = None, busy: bool = True
) -> str:
    """A chat event as out-of-band HTML; `busy`: its turn was not stopped."""
    if kind == "token":  # the hot path: no elements, one escape
        at = f"#{'t' if row['kind'] == 'thinking' else 'm'}{row['id']}"
        return f'<span hx-swap-oob="beforeend:{at}">{escape(row["text"])}</span>'
    # the talk is morphed: what is put at its end is the element itself
    to = "true" if kind == "final" else "beforeend:#talk"
    calls = row["role"] == "assistant" and row["calls"]  # which are run now
    busy &= bool(calls or row["role"] in ("user", "tool") or row["state"] == "streaming")
    return html(message(row, profile, left)(hx_swap_oob=to), stop_button(profile, busy))


def approval_card(record: Row, profile: Profile):
    """Exactly what would run (but secrets), and two buttons, for this hash only."""
    what, count = Pre(record["shown"]), len(record.get("calls", ()))
    if record["state"] != "waiting":
        return Div(what, P(f"This was {record['state']}."))
    who = ASKING.get(record["actor"], "Somebody")
    those, these = (f" these {count}", f" all {count}") if count > 1 else ("", "")
    return Form(
        P(f"{who} asked to run{those}, once:"),
        what,
        hidden("hash", record["hash"]),
        Button(f"Approve{these}", name="yes", value="yes"),
        Button(f"Reject{these}", name="yes", value="no", cls="secondary"),
        hx_post=f"/{profile.slug}/approvals/{record['id']}",
        cls="approval",
    )


SCRIPT = r"""
// chat: Enter sends; the talk follows its end unless somebody scrolled up
const say = find('#say textarea'), talk = find('#talk'), offered = find('#offers');
let low = true, was, next;
const pick = item => {
  all('li', offered).forEach(one => { one.ariaSelected = one == item; });
  item.scrollIntoView({block: 'nearest'});
  say.setAttribute('aria-activedescendant', item.id);
};
const shut = () => {
  clearTimeout(say.later);
  offered.replaceChildren();
  say.removeAttribute('aria-activedescendant');
};
const take = item => {
  shut();
  say.value = item.dataset.line.replace(/([^=])$/, '$1 ');
  say.focus();
  offer(say);
};
on('mousedown', '#offers li', (item, event) => {
  halt(event);
  take(item);
});
say.addEventListener('keydown', event => {
  const {key} = event, list = all('li', offered);
  const now = list.findIndex(x => x.ariaSelected == 'true');
  const way = {ArrowDown: 1, ArrowUp: -1}[key], tab = key == 'Tab' && !event.shiftKey;
  const taken = key == 'Enter' ? list[now] : tab && list[Math.max(now, 0)];
  if (event.isComposing || key == 'Enter' && event.shiftKey) return;
  if (list.length && way) pick(list.at((now < 0 && way < 0 ? 0 : now) + way) || list[0]);
  else if (list.length && key == 'Escape') shut();
  else if (taken) take(taken);
  else if (key == 'Enter') say.value.trim() && say.form.requestSubmit();
  else return;
  halt(event);
});
on('focusout', '#say textarea', shut);
on('htmx:afterSwap', '#offers', () => say.value[0] == '/' || shut());
on('htmx:wsAfterSend', '#say', form => {
  form.reset();
  form.again.value = '';
  low = true;
  shut();
});
on('click', '[data-edit]', button => {
  say.value = find('span', button.parentNode).textContent;
  say.form.again.value = button.dataset.edit;
  say.focus();
});
on('input', '#say textarea', box => { if (!box.value) box.form.again.value = ''; });
on('wheel', '#talk', (_, {deltaY}) => { low &&= deltaY > 0 || !talk.scrollTop; });
talk.addEventListener('scroll', () => {
  if (talk.scrollTop == was) return;  // not by the reader
  const left = talk.scrollHeight - talk.scrollTop - talk.clientHeight;
  low = left < (talk.scrollTop < was ? 2 : 60);
  was = talk.scrollTop;
});
const follow = () => {
  if (low) was = talk.scrollTop;
  next ||= requestAnimationFrame(() => {
    next = 0;
    if (low) talk.scrollTop = talk.scrollHeight;
  });
};
new MutationObserver(follow).observe(talk, {childList: true, subtree: true});
follow();
on('htmx:beforeSwap', '#earlier', () => {
  const below = talk.scrollHeight - talk.scrollTop;
  setTimeout(() => { talk.scrollTop = talk.scrollHeight - below; });
});
const fold = to => {
  localStorage.folded = document.body.classList.toggle('folded', to) ? 1 : '';
  say.focus();
};
document.body.classList.toggle('folded',  // on a phone it lies over the page
  innerWidth < 800 || !!(localStorage.folded ?? find('.alone')));
on('click', '#fold', () => fold());

// a socket says which message it has seen last, so that none is lost while it was away
htmx.createWebSocket = address => {
  const last = all('.msg', talk).pop();
  const seen = last ? last.id.slice(1) + (last.matches('.live') ? '.' : '') : '';
  return new WebSocket(`${address}&since=${seen}`);
};
"""
