"""What Botify's answers mean: shapes are checked, errors are told in its own words."""

import contextlib
import html
import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipulate import Problem

HINTS = {
    401: "Enter a new token on the page Botify.",
    403: "Ask whoever manages the account for access, or enter another token on the page Botify.",
    404: "Check owner, project and analysis.",
    429: "Wait a minute, then go on.",
}
OFF = {"1034", "1035", "1036", "1046"}  # a feature that the project lacks
RUNNING = {"1052", "1058"}  # an export is running already
FEWER = {"1027", "1028"}  # more fields than one export may have
LARGE = {"1043"}


def hint(status, code=""):
    """What to do after an answer with this HTTP status and code of Botify's."""
    if code in RUNNING:
        return "Wait until it has ended, then run this step again."
    if code in FEWER:
        return "Choose fewer fields in the step Plan, then go on."
    if code in LARGE:
        return "Choose a smaller depth in the step Plan, then go on."
    rest = "Try again later." if status >= 500 else "Change what was asked, then try again."
    return HINTS.get(status, rest)


def code_of(said):
    """The code of an error in Botify's own envelope, or ""."""
    error = said.get("error") if isinstance(said, dict) else None
    return str(error.get("error_code") or "") if isinstance(error, dict) else ""


def seconds(told):
    """What a Retry-After asks for: seconds, or until a date; None when it says nothing."""
    if re.fullmatch(r"\s*\d{1,9}(\.\d*)?\s*", told):
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def words(said, text):
    """The message of an error: Botify's own envelope, another JSON, or the title of a page."""
    error = said.get("error", said) if isinstance(said, dict) else said
    if isinstance(error, dict):
        words = error.get("message") or error.get("detail") or json.dumps(error)
        return f"{words} [{code}]" if (code := code_of(said)) else str(words)
    if isinstance(error, str):
        return error
    title = re.search(r"(?is)<(title|h1)\b[^>]*>(.{0,500}?)</", text[:20_000])
    return html.unescape(title[2]) if title else re.sub(r"<[^>]{0,500}>", " ", text[:2_000])


def misshapen(wanted, got):
    """An answer that is not what it should be; details["shape"] says so."""
    shown = (got if isinstance(got, str) else json.dumps(got, default=str))[:200]
    what = f"Botify answered with something else than {wanted}: {shown or 'nothing'}"
    return Problem(f"{what}.", "Try again later; what was kept stays.", shape=True)


def part(said, name, kind):
    """A value of an answer, which has to be of this kind. Raises Problem."""
    value = said.get(name) if isinstance(said, dict) else None
    if not isinstance(value, kind):
        raise misshapen(f"{name!r}", said)
    return value


def whole(value):
    """A number, which may be told as text, as a whole one; None where it is something else."""
    try:
        return None if value is None or isinstance(value, bool) else int(float(value))
    except (ValueError, TypeError, OverflowError):
        return None


def project(row, user):
    """Owners are called `organization.slug` in newer answers and `user.login` in older ones."""
    known = {
        name: row[name] for name in ("organization", "user") if isinstance(row.get(name), dict)
    }
    firm, person = known.get("organization", {}), known.get("user", {})
    owner = firm.get("slug") or person.get("login") or person.get("username") or user
    slug = part(row, "slug", str)
    return {"owner": str(owner), "slug": slug, "name": str(row.get("name") or slug)}


def analysis(row):
    """{slug, status, finished (to the minute), pages} of a row of the list of analyses."""
    return {
        "slug": part(row, "slug", str),
        "status": str(row.get("status") or "success"),
        "finished": str(row.get("date_finished") or "")[:16],
        "pages": whole(row.get("urls_done")),
    }


def job(said):
    """Of a job what is known; its id, a number or text, is text here."""
    known = said if isinstance(said, dict) else {}
    key = known.get("job_id") or str(known.get("job_url") or "").rpartition("/")[2]
    if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
        raise misshapen("a job", said)
    return {name: known.get(name) for name in ("error", "date_created", "nb_results")} | {
        "payload": _unpacked(known.get("payload")),
        "results": _unpacked(known.get("results")),
        "job_id": str(key),
        "job_status": str(known.get("job_status") or ""),
    }


def _unpacked(value):
    """An object, which may be told as its JSON; None where it is something else."""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) else None
