"""What open tabs are told of runs."""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from fasthtml.components import A

from pipulate.ai.prompt import app_at, place
from pipulate.apps.card import progress, title, words
from pipulate.apps.feeds import Feeds
from pipulate.apps.house import House
from pipulate.apps.markup import html, notice
from pipulate.apps.rows import AGAIN
from pipulate.core.jobs import Job
from pipulate.core.problems import Missing, Problem
from pipulate.core.profiles import Profile
from pipulate.core.store import Row
from pipulate.web.inbox import counter
from pipulate.web.live import Hub, Tab, soon

SOON, LONG = 0.1, 3.0  # seconds in which changes are one, of work whose end is worth a notice
OURS = re.compile(r"(run|step)_|.*_run$|profile_|attempts/")  # verbs or targets of events


class News:
    """Progress, pages drawn anew, what waits, how it ended: each is told soon, and once."""

    def __init__(self, house: House, hub: Hub):
        self.house, self.hub = house, hub
        self._due = set[Any]()
        self._asked = dict[int, tuple[int, ...]]()  # questions by attempt
        self._since = dict[int, float]()  # when the work on a run began
        house.db.on_event.append(self._event)
        house.jobs.on_change.append(self._job)
        house.tools.on_approval.append(lambda record: self.moved())
        house.shelf.on_change.append(partial(self.moved, lists=False))

    def moved(self, profile_id: int | None = None, run: str = "", lists: bool = True) -> None:
        """All runs, or this one, moved on; and so did their lists."""
        soon(self.hub.loop, self._moved, profile_id, run, lists)

    def _moved(self, profile_id: int | None, run: str, lists: bool) -> None:
        self._soon("", self.count)
        for tab in [*self.hub.tabs]:
            app, rest = app_at(self.house, tab.at)
            ours = isinstance(app, Feeds) and profile_id in (None, tab.profile.id)
            shown = run in ("", rest) if rest.isdecimal() else lists and not rest
            if ours and shown or place(tab.at)[0] in ("inbox", "plugins"):
                self._soon(tab.path, partial(self._anew, tab.profile, tab.path))

    def _soon(self, key: Any, work: Callable[[], Any]) -> None:
        if key not in self._due:
            self._due.add(key)
            self.hub.loop.call_later(SOON, self._now, key, work)

    def _now(self, key: Any, work: Callable[[], Any]) -> None:
        self._due.discard(key)
        if made := work():
            asyncio.ensure_future(made)

    def count(self) -> None:
        self.hub.put(None, html(counter(self.house, "true")))

    async def _anew(self, profile: Profile, at: str) -> None:
        slug, run = place(at)
        if not run:
            return self.hub.put(profile.id, AGAIN, at)
        with contextlib.suppress(Problem):
            guided = self.house.shelf.pipeline(slug)
            try:
                drawn = await guided.draw_run(profile, int(run))
            except Missing:
                drawn = guided.gone(profile, run)
            self.hub.put(profile.id, html(drawn), at)

    def missed(self, tab: Tab, stale: bool) -> None:
        """A page that is `stale`, or of a run at work, is drawn anew."""
        slug, run = place(tab.at)
        app, works = self.house.shelf.apps.get(slug), "run_id = ? AND state = 'running'"
        ran = isinstance(app, Feeds) and self.house.runs.attempts(works, (run,))
        if ran or (stale and (slug in ("history", "inbox") or (app and run != "-"))):
            self._soon(tab.path, partial(self._anew, tab.profile, tab.path))

    def _event(self, event: Row) -> None:
        verb, target = event["verb"], event["target"]
        if (found := re.match(r"runs/(\d+)", target)) or OURS.match(verb) or OURS.match(target):
            self.moved(event["profile_id"], found[1] if found else "")

    def _job(self, job: Job) -> None:
        run, key, asked = job.run, job.attempt["id"], tuple(job.questions)
        ended = self.house.jobs.live.get((run["id"], job.attempt["step"])) is not job
        if ended or asked != self._asked.get(key, ()):
            self._asked[key] = asked
            self.moved(run["profile_id"], str(run["id"]))
            self._tell(job, ended, asked)
        elif not asked:
            self._soon(key, partial(self._progress, job))

    def _progress(self, job: Job) -> None:
        run, step = job.run["id"], job.attempt["step"]
        if self.house.jobs.live.get((run, step)) is job and (at := self._at(job)):
            drawn = progress(f"{at}/{step}", f"progress-{run}-{step}", job)
            self.hub.put(job.run["profile_id"], html(drawn(hx_swap_oob="morph")), at)

    def _at(self, job: Job) -> str:
        profile = self.house.profiles.of(job.run["profile_id"])
        return f"/{profile.slug}/{job.run['pipeline']}/{job.run['id']}" if profile else ""

    def _tell(self, job: Job, ended: bool, asked: tuple[int, ...]) -> None:
        since = self._since.setdefault(job.run["id"], job.started)
        if asked:
            self._notice(job, "asks you something")
        if ended:
            self._asked.pop(job.attempt["id"], None)
            state, long = job.result()[0], time.monotonic() - since > LONG
            if state == "failed":
                self._notice(job, "failed")
            self._soon(("end", job.run["id"]), partial(self._end, job, state == "done" and long))

    def _end(self, job: Job, told: bool) -> None:
        if any(run == job.run["id"] for run, _ in self.house.jobs.live):
            return
        self._since.pop(job.run["id"], None)
        if told:
            self._notice(job, "is done")

    def _notice(self, job: Job, said: str) -> None:
        if job.caller.actor == "user" and (at := self._at(job)):
            name, step = title(job.run), words(job.attempt["step"])
            self.hub.put(None, html(notice(A(f"{name}: {step} {said}.", href=at))))
