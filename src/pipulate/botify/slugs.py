"""What an address of Botify says: owner, project, analysis. Nobody is asked.

app.botify.com/acme-org/acme-shop/20250314-2/…   what a browser shows; the rest does not matter
api.botify.com/v1/projects/acme-org/acme-shop    what programs ask
acme-org/acme-shop/20250314                      the bare names
"""

import re
from dataclasses import dataclass
from datetime import date
from urllib.parse import unquote, urlsplit

from pipulate import Problem

APP, API = "app.botify.com", "api.botify.com"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
ANALYSIS = re.compile(r"(\d{4})(\d\d)(\d\d)(?:-([1-9]\d{0,3}))?")
# First words of addresses that are no owner's.
PAGES = {"account", "admin", "api", "help", "login", "logout", "settings", "signup", "static"}
LONGEST = 2_000
COPY = f"Open the project at {APP} and copy its address, or write owner/project."


@dataclass(frozen=True)
class Site:
    """A project of an owner (a person or an organisation), and an analysis if one is named."""

    owner: str
    project: str
    analysis: str = ""

    @property
    def name(self):
        return f"{self.owner}/{self.project}"


def crawl_date(slug):
    """The day of an analysis; 20250314-2 is the second one of its day. Raises Problem."""
    found = ANALYSIS.fullmatch(slug)
    try:
        if found:
            return date(*map(int, found.groups()[:3]))
    except ValueError:
        pass
    raise Problem(f"{slug[:50]!r} is no analysis.", "Those are called like 20250314 or 20250314-2.")


def newest_first(slug):
    """What analyses are sorted by, largest first: day, then number within the day."""
    day, _, number = slug.partition("-")
    return day, int(number) if number.isdecimal() else 1


def read_address(text):
    """The project that a pasted address or a bare owner/project means. Raises Problem: why not."""
    text = text.strip()
    if not text:
        raise Problem("No address was given.", COPY)
    if len(text) > LONGEST or re.search(r"[\s\0\\]", text):
        raise Problem("That is no single address.", COPY)
    names = [unquote(part) for part in _path(text).split("/") if part]
    if names and names[0].lower() in PAGES:
        raise Problem(f"That is Botify's own page {names[0]!r}, not a project's.", COPY)
    if len(names) < 2:
        raise Problem("That names no project: it takes an owner, too.", COPY)
    for name in names[:2]:
        if not NAME.fullmatch(name):
            raise Problem(f"{name[:50]!r} cannot be the name of an owner or a project.", COPY)
    third = next(filter(ANALYSIS.fullmatch, names[2:3]), "")  # else a section of the app
    if third:
        crawl_date(third)
    return Site(*names[:2], third)


def _path(text):
    """The path below the host, without what the API puts before an owner."""
    text = text.removeprefix("//")
    if "://" not in text and text.split("/")[0].lower() not in (APP, API):
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
            raise Problem("That is no web address.", COPY)
        return re.split(r"[?#]", text)[0]
    try:
        url = urlsplit(text if "://" in text else f"https://{text}")
        host, port = (url.hostname or "").rstrip("."), url.port
    except ValueError:
        raise Problem("That address cannot be read.", COPY) from None
    if url.scheme.lower() not in ("http", "https") or url.username is not None:
        raise Problem("That is no plain web address.", COPY)
    if host not in (APP, API) or port not in (None, 80, 443):
        raise Problem(f"That is an address of {host[:80] or 'nowhere'}, not of {APP}.", COPY)
    asked = re.fullmatch(r"(/api)?/v1/(projects|analyses)(/.*)?", url.path)
    if host == API and not asked:
        raise Problem("That address of Botify's API names no project.", COPY)
    return (asked[3] or "") if asked else url.path
