"""A visitor of web sites that none of them minds.

robots.txt is honoured; a host is asked for one page after the other, no faster than was said and
than its Crawl-delay; a site that says "later" is waited for; one that fails again and again is left
alone. `fetch` reads the open internet only.
"""

import asyncio
import time
from collections import defaultdict
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import urljoin, urlsplit

from anyio import to_thread

from pipulate import Problem, fetch

AGENT = "Pipulate"
SECONDS, PATIENCE = 10, 60  # for one page; the longest wait between two that a site may ask for
# of a page that says "later"; in a row, of faults or 429, after which a host is left alone
TRIES, FAULTS = 3, 5
REDIRECTS, SOON = 5, 0.1  # seconds that "at once" means


class Host:
    """A site: whose turn it is, when it may be asked, what it allows, why it is shut."""

    def __init__(self, pause):
        self.turn, self.pause = asyncio.Lock(), pause
        self.free, self.faults, self.rules, self.shut = 0.0, 0, None, ""


class Visitor:
    """Reads pages of some hosts at once; `pause`: seconds between two of one host."""

    def __init__(self, pause, at_once):
        self.places = asyncio.Semaphore(at_once)
        self.hosts = defaultdict(lambda: Host(pause))

    async def followed(self, url, trail):
        """The page at the end of the redirects, each as polite as the first; `trail` gets them."""
        for _ in range(REDIRECTS + 1):
            page = await self.ask(url)
            if not page.leads_to:
                return page
            url = page.leads_to
            trail.append(f"{page.status} {url}")
        raise Problem(f"It was redirected over {REDIRECTS} times.")

    async def ask(self, url):
        """What an address gives, once its host lets us."""
        parts = urlsplit(url)
        host = self.hosts[f"{parts.scheme}://{parts.netloc}".lower()]
        async with host.turn:
            if host.rules is None and not host.shut:
                await self.learn(host, url)
            if host.shut:
                raise Problem(host.shut)
            if not host.rules.can_fetch(url, AGENT):
                raise Problem("robots.txt does not allow it.")
            return await self.patient(host, url, follow=False)

    async def learn(self, host, url):
        """Read robots.txt, once. None allows everything, a broken one nothing (RFC 9309)."""
        from protego import Protego

        try:
            page = await self.patient(host, urljoin(url, "/robots.txt"), limit=500_000)
        except Problem as problem:
            host.shut = host.shut or f"robots.txt could not be read: {problem.what}"
            return
        if page.status >= 500 or page.status == 429:
            host.shut = f"robots.txt answered {page.status}: nothing may be read now."
        host.rules = Protego.parse(page.text if page.status == 200 else "")
        host.pause = max(host.pause, min(host.rules.crawl_delay(AGENT) or 0, PATIENCE))

    async def patient(self, host, url, **how):
        """A page; one that says "later" is asked for again, within limits."""
        for _ in range(TRIES):
            page = await self.read(host, url, **how)
            wait = later(page)
            if wait > PATIENCE:
                host.shut = f"The site asks to come back after {wait:,.0f} s."
                raise Problem(host.shut, status=page.status)
            if not wait:
                break
            host.free = time.monotonic() + wait
        return page

    async def read(self, host, url, **how):
        """One request, when its time has come."""
        await asyncio.sleep(host.free - time.monotonic())
        async with self.places:
            host.free = time.monotonic() + host.pause
            try:
                page = await to_thread.run_sync(partial(fetch, url, seconds=SECONDS, **how))
            except Problem as problem:
                host.faults = 0 if "status" in problem.details else host.faults + 1
                if host.faults >= FAULTS:
                    host.shut = f"{FAULTS} in a row could not be read; the last: {problem.what}"
                raise
        host.faults = host.faults + 1 if page.status == 429 else 0
        if host.faults >= FAULTS:  # and it did not say until when
            host.shut = f"{FAULTS} in a row were refused as too many (429)."
        return page


def later(page):
    """Seconds after which a site asks to be asked again; 0 when it does not."""
    said = page.headers.get("retry-after", "").strip()
    if page.status not in (429, 503):
        return 0
    if said.isdecimal():
        return max(int(said[:9]), SOON)
    try:
        when = parsedate_to_datetime(said)
        return max(when.replace(tzinfo=when.tzinfo or UTC).timestamp() - time.time(), SOON)
    except (ValueError, OverflowError):
        return 0
