"""The assistant's routes: what goes along with a message, its part of Settings, its remarks."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fasthtml.components import Button, Div, Form, H2, Input, Label, Li, Option, P, Progress
from fasthtml.components import Section, Select, Small, Span, Strong, Ul
from starlette.responses import Response

from pipulate.ai.chat import REMARKS
from pipulate.ai.models import Model
from pipulate.ai.probes import PROBES, probes
from pipulate.ai.servers import NONE_FOUND, Server, is_local, pull, servers
from pipulate.ai.slash import offers as ways
from pipulate.apps.base import Visit
from pipulate.apps.crud import Crud
from pipulate.apps.markup import html, markdown, notice, problem_card
from pipulate.apps.runner import Runner
from pipulate.core.fields import dumps, to_json
from pipulate.core.kinds import SET
from pipulate.core.outputs import Rows
from pipulate.core.problems import Missing, Problem
from pipulate.core.profiles import Profile
from pipulate.core.runs import PAST
from pipulate.core.store import Row
from pipulate.core.tools import Caller
from pipulate.web import panel
from pipulate.web.live import Tab
from pipulate.web.news import place

PAGE_TEXT, OUTPUT = 6_000, 1_500  # characters of a page that go along, of one output on it
SAID = {"quiet": "none", "key": "at key moments", "talkative": "often"}

# -- the conversation


async def heard(site, tab: Tab, data: Row):
    """What the box of the chat sends: {msg, file, page, again: a message said anew}."""
    said, at = str(data["msg"]), _here(tab, data)
    try:
        if said.strip() and not said.startswith("/"):
            said += await _along(site, tab.profile, at, data)
        again = str(data.get("again") or "")
        if said.strip() and again.isdecimal():
            return await site.chat.again(tab.profile, int(again[:18]), said, at)
        await site.chat.say(tab.profile, said, at)
    except Problem as problem:
        tab.put(html(notice(str(problem))))


def _here(tab: Tab, data: Row) -> str:
    """The address that the page has by now."""
    with contextlib.suppress(TypeError, ValueError, KeyError):
        here = urlsplit(str(data["HEADERS"]["HX-Current-URL"]))
        if f"{here.path}/".startswith(f"/{tab.profile.slug}/"):
            return here._replace(scheme="", netloc="", fragment="").geturl()
    return tab.at


async def _along(site, profile: Profile, at: str, data: Row) -> str:
    """What goes along with a message: the reference of a file, the text of a page."""
    names, lines = [], []
    if re.fullmatch(r"file:\d{1,15}", file := str(data.get("file"))):
        known = site.house.files.names(profile, [file])
        names += [f"{ref} {name}" for ref, name in known.items()]
    if data.get("page"):
        names.append(f"what is on {at}")
        lines.append((await page_text(site, profile, at))[:PAGE_TEXT])
    return "\n".join([panel.ATTACHED + " and ".join(names), *lines]) if names else ""


async def page_text(site, profile: Profile, at: str) -> str:
    """What is on a page, as the model's own tools tell it: rows, a run with its outputs."""
    (slug, run), house, caller = place(at), site.house, Caller("model", profile)
    app = house.shelf.apps.get(slug)
    if isinstance(app, Crud):
        state = app.state(dict(parse_qsl(urlsplit(at).query)))
        asked = {n: getattr(state, n) for n in ("q", "page", "sort")}
        asked |= {"filters": {**state.filters}}
        return dumps(await house.tools.call(f"{app.name}_list", asked, caller))
    if isinstance(app, Runner) and run.isdecimal():
        told = await house.tools.call("run_get", {"run": int(run)}, caller)
        states = app.open(profile, int(run))[1]
        kept = {name: state.output for name, state in states.items() if state.has_output}
        outputs = await asyncio.to_thread(lambda: {n: _output(v) for n, v in kept.items()})
        return dumps({"outputs": outputs} | told)
    tool = {"history": "history"}.get(slug, "run_list")
    return dumps(await house.tools.call(tool, {}, caller))


def _output(value: Any) -> str:
    return dumps(value[:20] if isinstance(value, Rows) else to_json(value))[:OUTPUT]


async def again(site, visit: Visit, request):
    """The user's last message once more."""
    await site.chat.again(visit.caller.profile, at=urlsplit(visit.here).path)
    return ""


async def before(site, visit: Visit, request):
    """The messages before one."""
    return panel.NotStr(panel.talk(site.chat, visit.caller.profile, visit.path["id"]))


async def text(site, visit: Visit, request):
    """A message as it was written, to copy."""
    found = site.chat.table(visit.caller.profile.id)("id = ?", (visit.path["id"],))
    if not found:
        raise Missing("That message is gone.", "Reload the page.")
    headers = {"cache-control": "no-store"}
    return Response(found[0]["text"], media_type="text/plain", headers=headers)


async def offers(site, visit: Visit, request):
    """Ways to go on with a command: ?q="""
    line = visit.query.get("q", "")[:500]
    return panel.options(ways(line, site.house.tools) if line.startswith("/") else [])


def remark(site, event: Row):
    """Let the assistant say a word about a run that moved on, where the profile wants that."""
    found = re.fullmatch(r"runs/(\d+)/.*", event["target"])
    profile = site.profile(event["profile_id"])
    if not found or not profile or event["verb"] not in MOMENTS:
        return
    with contextlib.suppress(Problem):
        run = site.house.runs.get(profile.id, int(found[1]))
        app = site.house.shelf.pipeline(run["pipeline"])
        at, states = app.at(profile, run["id"]), app.open(profile, run["id"])[1]
        open_at = {tab.at.partition("?")[0] for tab in site.hub.others("")}
        said, size = event["summary"], MOMENTS[event["verb"]]
        if event["verb"] == "step_done" and all(s.state in PAST for s in states.values()):
            said, size = f"{said}, and so the whole run", "key"
        if not (event["verb"] == "step_waiting" and at in open_at):
            site.chat.remark(profile, size, said, at)


MOMENTS = {"step_done": "small", "step_failed": "key", "step_waiting": "key"}

# -- its part of Settings


class Works:
    """Long work that Settings shows while it goes on, one of a kind: a pull, a check."""

    def __init__(self, site):
        self.site, self.shown = site, dict[str, Any]()
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, kind: str, steps: AsyncIterator[Any]):
        """Draw each step, in place of the one before, in every open tab at Settings."""
        self.stop(kind)
        self.tasks[kind] = asyncio.create_task(self._go(kind, steps))

    def stop(self, kind: str):
        if task := self.tasks.pop(kind, None):
            task.cancel()

    def drawn(self, kind: str):
        return Div(self.shown.get(kind, ""), id=kind)

    async def _go(self, kind: str, steps: AsyncIterator[Any]):
        try:
            async for step in steps:
                self._show(kind, step)
        except Problem as problem:
            self._show(kind, problem_card(problem))
        except asyncio.CancelledError:
            self._show(kind, P("Cancelled."))
            raise

    def _show(self, kind: str, drawn):
        self.shown[kind] = drawn
        self.tell(lambda profile: self.drawn(kind))

    def tell(self, draw: Callable[[Profile], Any]):
        """Replace a part of Settings wherever it is open."""
        for profile in self.site.house.profiles.all():
            drawn = html(draw(profile)(hx_swap_oob="true"))
            self.site.hub.put(profile.id, drawn, f"/{profile.slug}/settings")


def part(site, profile: Profile):
    """The assistant in Settings; which servers there are is asked when it is open."""
    works = site.works.drawn("check"), site.works.drawn("pull")
    inner = H2("Assistant"), _soon(profile), *works
    return Section(*inner, hx_target="#assistant", hx_swap="outerHTML", cls="assistant")


def _soon(profile: Profile):
    to = {"hx_get": f"/{profile.slug}/assistant", "hx_trigger": "load"}
    return Div(P("Looking for model servers…", cls="hint"), id="assistant", **to)


async def settings(site, visit: Visit, request):
    """What was found, what this profile uses, and what can be changed."""
    choice, profile = site.chat.choice, visit.caller.profile
    added = choice.added()
    found = await servers(site.house.settings, added)
    model, base = await choice.model(profile.id), f"/{profile.slug}/assistant"
    site.chat.there = bool(model)
    used = markdown(NONE_FOUND)
    if model:
        says = f" at {model.url}, {_where(model.url)}, reads {model.context:,} tokens at once. "
        check = Button("Check this model", hx_post=f"{base}/check", cls="outline")
        used = P("In use: ", Strong(model.name), says, check)
    listed = dict.fromkeys(added) | {server.url: server for server in found}
    rows = (_server(base, url, server, added.get(url)) for url, server in listed.items())
    address = Input(name="url", placeholder="Address", aria_label="Address", required=True)
    hidden = {"type": "password", "autocomplete": "new-password"}
    key = Input(name="key", placeholder="Key, if it needs one", aria_label="Key", **hidden)
    return Div(
        used,
        _picks(site, profile, found, base),
        Ul(*rows, cls="events"),
        Form(address, key, Button("Add server"), hx_post=f"{base}/add", cls="inline"),
        *(_pulls(base, server) for server in found if server.ollama),
        id="assistant",
    )


def _in(url: str, found: list[Server]) -> bool:
    return any(server.url == url for server in found)


def _where(url: str) -> str:
    return "on this machine" if is_local(url) else "leaves this machine"


def _server(base: str, url: str, server: Server | None, key: str | None):
    """One server; `key` is None for one that was found, not added."""
    says = [_where(url), "does not answer"]
    if server:
        count = len(server.models)
        kind = "Ollama" if server.ollama else "OpenAI's protocol"
        says[1:] = [kind, f"{count} model{'s' * (count != 1)}"]
    says += [f"key {SET}{key[-4:]}"] if key else []
    values = {"hx_post": f"{base}/remove", "hx_vals": json.dumps({"url": url})}
    gone = Button("Remove", cls="outline secondary", **values, aria_label=f"Remove {url}")
    return Li(Span(url), Small(" · ".join(says)), gone if key is not None else "")


def _picks(site, profile: Profile, found: list[Server], base: str):
    """The model of this profile, and how often it speaks unasked; both hold at once."""
    kept = site.chat.choice.of(profile.id)
    chosen = f"{kept['url']} {kept['name']}" if kept else ""
    names = {"": "Whatever is found first"}
    names |= {f"{s.url} {n}": f"{n} · {s.url} · {_where(s.url)}" for s in found for n in s.models}
    names.setdefault(chosen, f"{chosen} · does not answer")
    remarks = site.house.settings_of(str(profile.id)).get("remarks") or "key"
    pick = {"hx_trigger": "change", "cls": "inline"}

    def options(names: dict[str, str], chosen: str):
        return (Option(said, value=v, selected=v == chosen) for v, said in names.items())

    model = Select(*options(names, chosen), name="model", aria_label="Model")
    often = Select(*options(SAID, remarks), name="remarks", aria_label="Remarks")
    return Div(
        Form(Label("This profile talks to ", model), hx_post=f"{base}/choose", **pick),
        Form(Label("It speaks unasked ", often), hx_post=f"{base}/remarks", **pick),
    )


def _pulls(base: str, server: Server):
    url = Input(type="hidden", name="url", value=server.url)
    name = {"name": "name", "placeholder": "llama3.2", "aria_label": "Model to pull"}
    button = Button("Pull into Ollama", cls="outline")
    return Form(url, Input(required=True, **name), button, hx_post=f"{base}/pull", cls="inline")


async def act(site, visit: Visit, request):
    """What a button in the assistant's part of Settings does; the part is drawn anew."""
    choice, form, profile = site.chat.choice, visit.form, visit.caller.profile
    url, name = form.get("url", ""), form.get("name", "").strip()
    match visit.path["verb"]:
        case "choose":
            await _choose(site, profile, form.get("model", ""))
        case "remarks" if form.get("remarks") in REMARKS:
            site.house.settings_of(str(profile.id))["remarks"] = form["remarks"]
        case "add":
            choice.add(url, form.get("key", "").strip())
        case "remove":
            choice.remove(url)
        case "pull":
            site.works.begin("pull", _pulling(site, profile, url, name))
        case "check":
            if model := await choice.model(profile.id):
                site.works.begin("check", _checking(model, profile))
        case "cancel":
            site.works.stop(form.get("kind", ""))
        case verb:
            raise Missing(f"There is nothing called {verb!r} here.", "Reload the page.")
    return await settings(site, visit, request)


async def _choose(site, profile: Profile, chosen: str):
    choice = site.chat.choice
    for server in await servers(site.house.settings, choice.added()):
        for name in server.models:
            if chosen == f"{server.url} {name}":
                about = {"url": server.url, "name": name, "ollama": server.ollama}
                return choice.choose(profile.id, about)
    if chosen:
        raise Problem("That model is not there any more.", "Choose another.")
    choice.choose(profile.id, None)


def _cancel(profile: Profile, kind: str):
    to = {"hx_post": f"/{profile.slug}/assistant/cancel", "hx_vals": json.dumps({"kind": kind})}
    return Button("Cancel", cls="outline secondary", **to)


async def _pulling(site, profile: Profile, url: str, name: str):
    if not _in(url, await servers(site.house.settings)):
        raise Problem("That Ollama does not answer.", "Start it, then try again.")
    until = 0.0
    async for done, total, said in pull(url, name):
        if time.monotonic() > until:
            until = time.monotonic() + 0.2
            size = f" · {done / 1e9:.2f} of {total / 1e9:.2f} GB" if total else ""
            bar = Progress(value=done, max=total) if total else Progress()
            yield Div(P(f"{name}: {said}{size}"), bar, _cancel(profile, "pull"))
    site.chat.choice.forget()
    site.works.tell(_soon)
    yield P(f"{name} is here.", role="status")


async def _checking(model: Model, profile: Profile):
    """Five lines, one after the other."""
    said = dict.fromkeys(PROBES, Small("…"))

    def drawn(*more):
        lines = (Li(Strong(name), Span(about)) for name, about in said.items())
        return Div(P(f"{model.name}:"), Ul(*lines, cls="events"), *more)

    yield drawn(_cancel(profile, "check"))
    async for name, good, expect in probes(model):
        said[name] = Span("✓ " if good else "✗ ", expect)
        yield drawn(_cancel(profile, "check"))
    yield drawn()


PAGES = (  # (methods, path, handler)
    ("GET", "/{profile}/assistant", settings),
    ("POST", "/{profile}/assistant/{verb}", act),
    ("POST", "/{profile}/chat/again", again),
    ("GET", "/{profile}/chat/before/{id:int}", before),
    ("GET", "/{profile}/chat/offers", offers),
    ("GET", "/{profile}/chat/{id:int}", text),
)
