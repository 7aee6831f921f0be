"""Which model servers there are, and which model a profile talks to.

Looked for: PIPULATE_MODEL_URL, Ollama, the usual ports, and those added in Settings.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pipulate.ai.models import Model, loaded
from pipulate.ai.wire import DAY, lines, value
from pipulate.apps.house import House
from pipulate.core.problems import Problem
from pipulate.core.settings import Settings
from pipulate.core.store import Row

USUAL = ("http://127.0.0.1:8080", "http://127.0.0.1:1234")  # llama.cpp's server, LM Studio
ADDED, WAIT = "model_servers", "model_wait"  # settings: addresses, seconds for a first word
NONE_FOUND = (
    "No model server is running, so I can only follow commands: type /help. To talk to a model, "
    "install Ollama (ollama.com), run `ollama pull llama3.2`, then send your message again; or set "
    "PIPULATE_MODEL_URL to an OpenAI-compatible server."
)
ADDRESS = re.compile(r"https?://(\[[\da-fA-F:]+\]|[\w.-]+)(:\d{1,5})?(/[\w./-]*)?", re.A)
KEEP = 15.0  # seconds for which a model that was found is taken to be there
LATER = 3.0  # seconds after which one that is used all the same is looked for anew
ASSUMED = 8_192  # tokens of a context that no server tells
TELL = "/props", "/api/v0/models", "/v1/models"  # where llama.cpp's server, LM Studio, vLLM do
LENGTHS = ".context_length", "n_ctx", "loaded_context_length", "max_model_len"  # how it ends there
UNFIT = (OSError, ValueError, LookupError, TypeError, AttributeError, Problem)  # as an answer


@dataclass(frozen=True)
class Server:
    """A server that answers, and the names of its models."""

    url: str
    ollama: bool
    models: tuple[str, ...]


def is_local(url: str) -> bool:
    """Whether what is sent there stays on this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


async def servers(settings: Settings, more: Row | None = None) -> list[Server]:
    """The servers that answer, the configured one first. `more`: {address: key} of others."""
    # who names a server has said where the model is: the usual ports are left alone
    usual = () if settings.model_url or settings.ollama_named else USUAL
    more, own = more or {}, settings.ollama_url
    asked = dict.fromkeys(filter(None, [settings.model_url, own, *more, *usual]), "") | more
    looks = [_look(url, url == own, key) for url, key in asked.items()]
    return [found for found in await asyncio.gather(*looks) if found]


async def _look(url: str, ollama: bool, key: str = "") -> Server | None:
    base = url.removesuffix("/v1")
    with suppress(*UNFIT):
        # by OpenAI's protocol an Ollama cuts silently
        ollama = ollama or "models" in await value(f"{base}/api/ps", key)
    at, name = ("/api/tags", "models") if ollama else ("/v1/models", "data")
    with suppress(*UNFIT):
        listed = (await value(base + at, key))[name]
        return Server(base, ollama, tuple(m.get("name") or m["id"] for m in listed))
    return None


async def find(settings: Settings, more: Row | None = None) -> Model | None:
    """The first model of the first server that has one; the one that settings name."""
    wanted = settings.model
    if wanted and (url := settings.model_url):
        found = await _look(url, False)
        return Model(url.removesuffix("/v1"), wanted, bool(found and found.ollama))
    for server in await servers(settings, more):
        if known := server.models:
            name = wanted if wanted in known else known[0]
            return Model(server.url, name, server.ollama, key=(more or {}).get(server.url, ""))
    return None


def none_found(settings: Settings) -> str:
    """What is said while there is no model."""
    if not (named := settings.model_url or settings.ollama_named and settings.ollama_url):
        return NONE_FOUND
    return f"No model answers at {named}, where the environment says that one is. {NONE_FOUND}"


class Choice:
    """The model of each profile: the one chosen in Settings, else the first that is found."""

    def __init__(self, house: House):
        self.house, self.stored = house, house.settings_of
        self._kept: dict[int, tuple[float, Model]] = {}

    def added(self) -> Row:
        """{address: key} of servers."""
        kept = self.stored()
        return {url: kept.get(f"model_key:{url}", "") for url in kept.get(ADDED, [])}

    def add(self, url: str, key: str = "") -> None:
        """Keep a server. Raises Problem for what is no address."""
        url, kept = url.strip().rstrip("/").removesuffix("/v1"), self.stored()
        if not ADDRESS.fullmatch(url):
            raise Problem("That is no address of a server.", "Write http://127.0.0.1:8080, say.")
        if key and url.startswith("http:") and not is_local(url):
            raise Problem("A key is not sent unencrypted.", "Use the https address.")
        kept[ADDED] = [*dict.fromkeys([*self.added(), url])]
        if key:
            kept.set(f"model_key:{url}", key, secret=True)
        self.forget()

    def remove(self, url: str) -> None:
        kept = self.stored()
        kept[ADDED] = [one for one in self.added() if one != url]
        kept.pop(f"model_key:{url}", None)
        self.forget()

    def choose(self, profile_id: int, model: Row | None) -> None:
        """`model`: {url, name, ollama}; None: whatever is found."""
        self.stored(profile_id)["model"] = model
        self.forget()

    def of(self, profile_id: int) -> Row | None:
        return self.stored(profile_id).get("model")

    def known(self, profile_id: int) -> Model | None:
        """The one found last; an old one is looked for anew while its turn is under way."""
        until, model = self._kept.get(profile_id, (0.0, None))
        if model and until < time.monotonic():
            self._looking = asyncio.create_task(self.model(profile_id, LATER))
        return model

    async def model(self, profile_id: int, after: float = 0) -> Model | None:
        """The model that answers in a profile, with its context; None without a server."""
        await asyncio.sleep(after)
        until, model = self._kept.get(profile_id, (0.0, None))
        if until > time.monotonic():
            return model
        added, found, kept = self.added(), self._kept, self.of(profile_id)
        model = kept and Model(**kept, key=added.get(kept["url"], ""))
        if model := model or await find(self.house.settings, added):
            wait = float(self.stored().get(WAIT) or 0)
            model = replace(model, context=await context(model), wait=wait)
            found[profile_id] = time.monotonic() + KEEP, model
        else:
            found.pop(profile_id, None)
        return model

    def forget(self) -> None:
        self._kept = {}  # what is being looked for still goes to the old one


async def context(model: Model) -> int:
    """Tokens of a model's context, as its server tells it, else ASSUMED."""
    asks = {"/api/show": {"model": model.name}} if model.ollama else dict.fromkeys(TELL)
    for at, body in asks.items():
        with suppress(*UNFIT):
            said = await value(model.url + at, model.key, body)
            own = said.get("model_info") or said.get("default_generation_settings")
            own = own or {one["id"]: one for one in said["data"]}[model.name]
            return int(max(n for name, n in own.items() if name.endswith(LENGTHS))) or ASSUMED
    return ASSUMED


async def pull(url: str, name: str) -> AsyncIterator[tuple[int, int, str]]:
    """Let Ollama fetch a model: (bytes done, bytes in all, what it does). Raises Problem."""
    body = {"model": name, "stream": True}
    async with aclosing(lines(f"{url}/api/pull", "", body, DAY, DAY, most=2**32)) as answer:
        async for line in answer:
            if "error" in (said := loaded(line)):
                raise Problem(f"Ollama: {said['error']}"[:300], "Check the model's name.")
            yield said.get("completed", 0), said.get("total", 0), said.get("status", "")
