"""The assistant's routes: what goes along with a message, its remarks, its part of Settings."""

import asyncio
from contextlib import suppress
import re
from functools import partial
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from fasthtml.components import Button, Div, Form, H2, Input, Label, Li, P, Progress
from fasthtml.components import Section, Small, Span, Strong, Ul
from starlette.responses import Response

from pipulate.ai.calls import whole
from pipulate.ai.chat import REMARKS
from pipulate.ai.models import Model
from pipulate.ai.probes import PROBES, probes
from pipulate.ai.prompt import app_at, own
from pipulate.ai.servers import WAIT, Server, is_local, none_found, pull, servers
from pipulate.ai.slash import offers as ways
from pipulate.apps.base import Visit
from pipulate.apps.crud import Crud
from pipulate.apps.markup import html, markdown, notice, problem_card, select
from pipulate.apps.runner import Runner
from pipulate.core.fields import SET, Field, dumps, to_json
from pipulate.core.logs import problem_of
from pipulate.core.outputs import Rows
from pipulate.core.problems import Missing, Problem, short
from pipulate.core.profiles import Profile
from pipulate.core.runs import PAST
from pipulate.core.store import Row
from pipulate.core.tools import Caller, limited
from pipulate.web import panel
from pipulate.web.live import Tab

LONGEST, PAGE_TEXT, OUTPUT = 50_000, 6_000, 1_500  # characters: message, page, output
WAITS = {"60": "a minute", "300": "five minutes", "600": "ten minutes"}
SAID = {"quiet": "never", "key": "at key moments", "talkative": "often"}
SIZES = {"step_done": "small", "step_failed": "key", "step_waiting": "key"}

# -- the conversation


async def heard(site, tab: Tab, data: Row):
    """What the chat's box sends: {msg, file, page, again: the message it is said instead of}."""
    typed, again, at = whole(data["msg"]), str(data.get("again") or ""), _here(tab, data)
    said = typed.strip()
    try:
        if len(said) > LONGEST:
            raise Problem(f"That is over {LONGEST:,} characters.", "Attach it as a file.")
        if said and not said.startswith("/"):
            said += await _along(site, tab.profile, at, data)
        if said and again:
            key = int(again[:18]) if again.isdecimal() else -1
            return await site.chat.again(tab.profile, key, said, at)
        await site.chat.say(tab.profile, said, at)
    except Exception as error:  # the box is empty by now: Edit puts it back
        unsaid = {"id": "", "role": "user", "text": typed, "calls": None}
        back = panel.message(unsaid, tab.profile)(hx_swap_oob="beforeend:#talk")
        tab.put(html(back, notice(str(problem_of(error)))))


def _here(tab: Tab, data: Row) -> str:
    with suppress(TypeError, ValueError, KeyError):
        here = urlsplit(str(data["HEADERS"]["HX-Current-URL"]))
        if f"{here.path}/".startswith(f"/{tab.profile.slug}/"):
            return here._replace(scheme="", netloc="", fragment="").geturl()[:2_000]
    return tab.at


async def _along(site, profile: Profile, at: str, data: Row) -> str:
    names, text = [], ""
    if re.fullmatch(r"file:\d{1,15}", file := str(data.get("file"))):
        names = [" ".join(pair) for pair in site.house.files.names(profile, [file]).items()]
    if data.get("page"):
        names.append(f"what is on {at}")
        text = "\n" + short(await _page_text(site, profile, at), PAGE_TEXT)
    return panel.ATTACHED + " and ".join(names) + text if names else ""


async def _page_text(site, profile: Profile, at: str) -> str:
    app, run = app_at(site.house, at)
    tell = partial(site.house.tools.call, caller=Caller("model", profile))
    if isinstance(app, Crud):
        state = app.state_at(at)
        asked = {"q": state.q, "page": state.page, "sort": state.sort}
        return dumps(await tell(f"{app.name}_list", asked | {"filters": {**state.filters}}))
    if isinstance(app, Runner) and run.isdecimal():
        states = app.open(profile, int(run))[1].items()
        kept = {name: _output(state.output) for name, state in states if state.has_output}
        return dumps({"outputs": kept, **await tell("run_get", {"run": int(run)})})
    return dumps(await tell("history" if "/history" in at else "run_list", {}))


def _output(value: Any) -> Any:
    value = value[:20] if isinstance(value, Rows) else to_json(value)
    return value if len(said := dumps(value)) < OUTPUT else short(said, OUTPUT)


async def again(site, visit: Visit, request):
    """The last message once more."""
    await site.chat.again(visit.profile, at=urlsplit(visit.here).path)
    return ""


async def before(site, visit: Visit, request):
    """The messages before one."""
    return panel.NotStr(panel.talk(site.chat, visit.profile, visit.path["id"]))


async def text(site, visit: Visit, request):
    """A message as it was written, to copy, though it is still being saved."""
    key, whose = visit.path["id"], visit.profile.id
    live = site.chat.streaming.get(whose, {})
    row = live if live.get("id") == key else site.chat.table(whose)[key]
    return Response(row["text"], media_type="text/plain")


async def offers(site, visit: Visit, request):
    """Ways to go on with a command, ?q=; those of the app that is open come first."""
    line, first = visit.query.get("q", "")[:500], own(site.house, urlsplit(visit.here).path)

    def rows(field: Field, typed: str) -> list[str]:
        return site.house.shelf.crud(field.target).options(visit.caller, typed)

    found = await limited(ways, line, site.house.tools, first, rows) if line[:1] == "/" else []
    return panel.options(found)


def opened(site, profile: Profile, at: str):
    """Let the assistant say a word about an app that was opened."""
    app, _ = app_at(site.house, at)
    if app and site.opened.get(profile.id) != app.slug:
        _drop(site, profile.id)
        site.chat.remark(profile, "small", f"the user opened {app.title}", at)
    site.opened[profile.id] = app and app.slug


def _drop(site, profile_id: int | None):
    """End a remark on its way: the user does something else."""
    if (task := site.chat.turns.get(profile_id)) and task.get_name() == "remark":
        task.cancel()


def moved(site, event: Row):
    """The same of an account that was connected, of a step that is done, failed or asks."""
    verb, said = event["verb"], event["summary"]
    if event["actor"] == "user" and verb[:5] != "step_":  # those may run by themselves
        _drop(site, event["profile_id"])
    size = "key" if verb.endswith("_connect") else SIZES.get(verb)
    tabs = [tab for tab in [*site.hub.tabs] if tab.profile.id == event["profile_id"]]
    if not (size and tabs):
        return
    at, profile, found = tabs[0].path, tabs[0].profile, re.match(r"runs/(\d+)/", event["target"])
    with suppress(Problem):  # the run was deleted
        if found:
            run = site.house.runs.get(profile.id, int(found[1]))
            app = site.house.shelf.pipeline(run["pipeline"])
            at, states = app.at(profile, run["id"]), app.open(profile, run["id"])[1].values()
            if size == "small" and all(state.state in PAST for state in states):
                size, said = "key", f"{said}, and so the whole run"
            if verb == "step_waiting" and at in [tab.path for tab in tabs]:
                return
        site.chat.remark(profile, size, said, at)


# -- its part of Settings


class Work:
    """What Settings shows while it goes on, one at a time: a pull, a check."""

    def __init__(self, site):
        self.site, self.shown, self.task = site, "", None

    def begin(self, steps: AsyncIterator[Any]):
        """Show each step, in place of the one before, in every tab at Settings."""
        self.stop()
        self.task = asyncio.create_task(self._go(steps))

    def stop(self):
        if self.task:
            self.task.cancel()

    def drawn(self):
        return Div(self.shown, id="work")

    async def _go(self, steps: AsyncIterator[Any]):
        try:
            async for step in steps:
                self._show(step)
        except Exception as error:
            self._show(problem_card(problem_of(error)))
        except asyncio.CancelledError:
            self._show(P("Cancelled."))
            raise

    def _show(self, drawn):
        self.shown = drawn
        for profile in self.site.house.profiles.all():
            out = html(self.drawn()(hx_swap_oob="true"))
            self.site.hub.put(profile.id, out, f"/{profile.slug}/settings")


def part(site, profile: Profile):
    """The assistant in Settings; servers are looked for when it is open."""
    hint = P("Looking for model servers…", cls="hint")
    soon = Div(hint, id="assistant", hx_trigger="load", hx_get=f"/{profile.slug}/assistant")
    inner = H2("Assistant"), soon, site.work.drawn()
    return Section(*inner, hx_swap="none", hx_ext="morph", cls="assistant")


def ask(at: str, word: str, *inputs, confirm=None, label=None, **values: str):
    """A button that posts these inputs and values."""
    button = Button(word, cls="outline secondary", aria_label=label)
    to = {"hx_post": at, "hx_vals": values, "hx_confirm": confirm}
    return Form(*inputs, button, cls="inline", **to)


def _pick(at: str, said: str, names: dict[str, str], chosen: str):
    box = select(names, chosen, name="value", aria_label=said)
    return Form(Label(said, box), cls="inline", hx_post=at, hx_trigger="change")


async def settings(site, visit: Visit, request):
    """What was found, what this profile uses, and what can be changed."""
    choice, profile = site.chat.choice, visit.profile
    at, kept, added = f"/{profile.slug}/assistant", choice.of(profile.id), choice.added()
    found = {server.url: server for server in await servers(site.house.settings, added)}
    model, used = await choice.model(profile.id), markdown(none_found(site.house.settings))
    site.chat.there = bool(model)
    if model:
        says = f" at {model.url}, {_where(model.url)}, reads {model.context:,} tokens at once. "
        used = Div("In use: ", Strong(model.name), says, ask(f"{at}/check", "Check this model"))
    names = {"": "whatever is found first"}
    chosen = f"{kept['url']} {kept['name']}" if kept else ""
    names |= {f"{u} {n}": f"{n} · {u} · {_where(u)}" for u, s in found.items() for n in s.models}
    names.setdefault(chosen, f"{chosen} · does not answer")
    remarks = site.house.settings_of(profile.id).get("remarks") or "key"
    hidden = {"type": "password", "autocomplete": "new-password"}
    name = Input(name="name", placeholder="llama3.2", aria_label="Model to pull", required=True)
    return Div(
        used,
        _pick(f"{at}/choose", "This profile talks to", names, chosen),
        _pick(f"{at}/remarks", "It speaks unasked", SAID, remarks),
        _pick(f"{at}/wait", "Its first word may take", WAITS, site.house.settings_of().get(WAIT)),
        Ul(*(_server(at, url, found.get(url), added) for url in {**found, **added}), cls="events"),
        ask(
            f"{at}/add",
            "Add server",
            Input(name="url", placeholder="Address", aria_label="Address", required=True),
            Input(name="key", placeholder="Key, if it needs one", aria_label="Key", **hidden),
        ),
        *(ask(f"{at}/pull", "Pull into Ollama", name, url=u) for u, s in found.items() if s.ollama),
        id="assistant",
        hx_swap_oob="morph",  # out of band: what was clicked may be gone when the answer comes
    )


def _where(url: str) -> str:
    return "on this machine" if is_local(url) else "leaves this machine"


def _server(at: str, url: str, server: Server | None, added: Row):
    says = "does not answer"
    if server:
        kind = "Ollama" if server.ollama else "OpenAI's protocol"
        says = f"{kind} · models: {len(server.models)}"
    key = f" · key {SET}{added[url][8:][-4:]}" if added.get(url) else ""
    gone = ask(f"{at}/remove", "Remove", url=url) if url in added else ""
    return Li(Span(url), Small(f"{_where(url)} · {says}{key}"), gone)


async def act(site, visit: Visit, request):
    """What a form of that part does; the part is drawn anew."""
    choice, form, profile = site.chat.choice, visit.form, visit.profile
    url, value, kept = form.get("url", ""), form.get("value", ""), site.house.settings_of
    aside = asyncio.to_thread  # as somebody may be saving
    match visit.path["verb"]:
        case "choose":
            await aside(choice.choose, profile.id, await _chosen(site, value))
        case "remarks" if value in REMARKS:
            await aside(kept(profile.id).set, "remarks", value)
        case "wait" if value in WAITS:
            await aside(kept().set, WAIT, value)
            choice.forget()
        case "add":
            await aside(choice.add, url, form.get("key", "").strip())
        case "remove":
            await aside(choice.remove, url)
        case "pull":
            site.work.begin(_pulling(site, profile, url, form.get("name", "").strip()))
        case "check":
            site.work.begin(_checking(await choice.model(profile.id), profile))
        case "cancel":
            site.work.stop()
        case verb:
            raise Missing(f"There is nothing called {verb!r} here.", "Reload the page.")
    return await settings(site, visit, request)


async def _chosen(site, value: str) -> Row | None:
    if not value:
        return None
    url, _, name = value.partition(" ")
    for s in await servers(site.house.settings, site.chat.choice.added()):
        if s.url == url and name in s.models:
            return {"url": url, "name": name, "ollama": s.ollama}
    raise Problem("That model is not there any more.", "Choose another.")


async def _pulling(site, profile: Profile, url: str, name: str):
    found = await servers(site.house.settings, site.chat.choice.added())
    if url not in [s.url for s in found if s.ollama]:
        raise Problem("That Ollama does not answer.", "Start it, then try again.")
    at = f"/{profile.slug}/assistant"
    async for done, total, said in pull(url, name):
        size = f" · {done / 1e9:.2f} of {total / 1e9:.2f} GB" if total else ""
        bar = Progress(value=done if total else None, max=total or None)
        yield P(f"{name}: {said}{size}"), bar, ask(f"{at}/cancel", "Cancel")
    site.chat.choice.forget()
    yield P(f"{name} is here: choose it above.", hx_get=at, hx_trigger="load")


async def _checking(model: Model | None, profile: Profile):
    if not model:
        raise Problem("There is no model to check.", "Start its server, or choose another.")
    said, stop = dict.fromkeys(PROBES, "…"), ask(f"/{profile.slug}/assistant/cancel", "Cancel")
    async for name, good, expect in probes(model):
        said[name] = f"{'✓' if good else '✗'} {expect}" if expect else "…"
        lines = (Li(Strong(name), Span(about)) for name, about in said.items())
        yield P(f"{model.name}:"), Ul(*lines, cls="events"), stop if "…" in said.values() else ""


PAGES = (
    ("GET", "assistant", settings),
    ("POST", "assistant/{verb}", act),
    ("POST", "chat/again", again),
    ("GET", "chat/before/{id:int}", before),
    ("GET", "chat/offers", offers),
    ("GET", "chat/{id:int}", text),
)
