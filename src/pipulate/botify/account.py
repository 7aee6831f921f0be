"""What is kept of Botify: the token, lists with their age, the project chosen in each profile.

The token is a secret of the whole home. It is read in one place, `Account.connection`, in the
process of the engine; steps are other processes. A profile in the demo talks to the stand-in.
"""

import functools
from datetime import UTC, datetime

from pipulate import DictLikeDB, Problem
from pipulate.botify.slugs import read_address

DEMO = "Demo data: a made-up site from a stand-in on this machine. This is not Botify."


@functools.cache
def demo_service():
    """The stand-in of this process, started when it is first asked for."""
    from pipulate.botify.stand_in import Service, start

    service = Service()
    start(service)
    return service


class Account:
    """The settings of a profile (`table`) as they are of Botify; `kept` belongs to all profiles."""

    def __init__(self, table, caller=None):
        self.own, self.caller = DictLikeDB(table), caller
        self.demo = bool(self.own.get("botify_demo"))
        self.key = "botify_demo_site" if self.demo else "botify_site"
        self.kept = DictLikeDB(table.xtra(scope="botify demo" if self.demo else "botify"))

    def connection(self, token=""):
        """Where to ask and with which token. Raises Problem (status 401) without one."""
        from pipulate.botify.client import Connection

        if self.demo:
            service = demo_service()
            return Connection(service.token, service.url, demo=True)
        token = token or self.kept.get("token") or ""
        if not token:
            then = "Enter it on the page Botify, or run `pipulate botify token`."
            raise Problem("There is no Botify token yet.", then, status=401)
        return Connection(token)

    def client(self, token=""):
        from pipulate.botify.client import Client

        who = self.caller.parent.partition("/")[0] or self.caller.actor if self.caller else ""
        return Client(self.connection(token), who)

    @property
    def shown(self):
        """ "set, ends …1234", or "" without a token."""
        return dict(self.kept.items()).get("token", "")

    def keep_token(self, token, user):
        """Keep a token that was checked; what was listed for another one is forgotten."""
        self.forget()
        self.kept.set("token", token, secret=True)
        self.kept["user"] = user

    def forget(self):
        """Delete the token, and all that was listed with it."""
        with self.kept.store.db.change() as change:
            change.forgets = True
            for name in [*self.kept]:
                del self.kept[name]

    @property
    def user(self):
        return self.kept.get("user") or ""

    @property
    def refused(self):
        """Whether Botify did not take the token when it was asked last."""
        return bool(self.kept.get("refused"))

    # -- the project of a profile

    @property
    def site(self):
        """The project, and analysis, chosen last in this profile."""
        kept = self.own.get(self.key)
        return read_address(kept) if kept else None

    @site.setter
    def site(self, site):
        self.own[self.key] = "/".join(filter(None, [site.name, site.analysis]))

    # -- asking

    async def ask(self, what, *about):
        """What the client gives; whether Botify takes the token is kept for the page."""
        try:
            async with self.client() as botify:
                found = await getattr(botify, what)(*about)
        except Problem as problem:
            if problem.details.get("status") == 401 and self.shown:
                self.kept["refused"] = True
            raise
        if self.refused:
            del self.kept["refused"]
        return found

    async def listed(self, refresh, what, *about):
        """{rows, at} of a list; asked for when it is not kept yet, or to `refresh` it."""
        name = " ".join([what, "/".join(about)]).strip()
        known = self.kept.get(name)
        if refresh or not known:
            rows = await self.ask(what, *about)
            known = self.kept[name] = {"rows": rows, "at": datetime.now(UTC).isoformat()}
        return known


def age(at):
    """How long ago a moment (ISO, with its zone) was, in words: "2 hours ago"."""
    seconds = max(0, (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'s' * (count > 1)} ago"
    return "just now"
