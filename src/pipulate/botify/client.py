"""The client of Botify's REST API: asynchronous, at Botify's pace, and careful with the token.

The token leaves in one place, `_send`, and only to the origin of the API. What may be repeated is
tried again, with growing random waits; what spends credits is not: it may raise `Unsure`.
"""

import functools
import heapq
import json
import math
import os
import sys
from urllib.parse import quote, urljoin, urlsplit

import httpx2
import tenacity

from pipulate import Problem
from pipulate.botify import answers, pace
from pipulate.botify.slugs import newest_first

PUBLIC = "https://api.botify.com/v1"
TRIES, LIMITED_TRIES = 4, 6  # of what may be repeated; of what came too fast
LONGEST_WAIT = 300.0  # seconds that a Retry-After may ask for
SIZE, PAGES, LIMIT = 500, 2_000, 50_000_000  # rows of a page, pages of a list, bytes of an answer
JOBS = 10_000  # of a project that are looked through: nobody says which of them come first
BARE = 50  # jobs that a list tells too little of, asked for one by one
REDIRECTS = 3
NAMELESS = "Give the user name, too: the first word in the addresses of your own projects."
TIMEOUT = httpx2.Timeout(60, connect=10)
backoff = tenacity.wait_exponential_jitter(initial=1, max=60, jitter=1)


class Unsure(Exception):
    """A request that must not be repeated was sent, and its answer was lost."""


class _Failed(Exception):
    """A try that failed. `acted`: it may have had its effect. `wait`: seconds to wait, if told."""

    def __init__(self, problem, acted=True, wait=None):
        self.problem, self.acted, self.wait = problem, acted, wait
        self.limited = problem.details.get("status") == 429


class Connection:
    """Where the API is, and the token that only goes there. Raises Problem for an unsafe base."""

    def __init__(self, token, url="", demo=False):
        self.token, self.demo = token, demo
        parts = urlsplit(url or os.environ.get("PIPULATE_BOTIFY_URL") or PUBLIC)
        self.url = parts.geturl().rstrip("/")  # its scheme in small letters
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise Problem("A token is not sent unencrypted.", "Use an https address.")


@functools.cache
def _tls():
    """Loading the certificates holds the event loop for 20 ms: once."""
    return httpx2.create_ssl_context()


def _origin(url):
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


class Client:
    """`async with Client(connection, who) as botify`: `who` shares the pace fairly with others.

    All methods raise Problem in Botify's own words, with `status` in its details if it answered."""

    def __init__(self, connection, who=""):
        self.connection, self.who = connection, who

    async def __aenter__(self):
        away = self.connection.url.startswith("https")  # else this machine: no proxy leads there
        how = {"verify": _tls() if away else False, "trust_env": away}
        self._http = httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, **how)
        return self

    async def __aexit__(self, kind, error, _):
        await self._http.aclose()
        if isinstance(error, Problem):  # whatever the service has put into its answer
            error.what = self._clean(error.what, 1_000)

    # -- what Botify knows

    async def user(self, username=""):
        """The name of the token's user. Where the service cannot tell, `username` is tried."""
        try:
            said = await self._ask("GET", "authentication/profile")
            return str(answers.part(answers.part(said, "data", dict), "username", str))
        except Problem as problem:
            if problem.details.get("status") != 404 and "shape" not in problem.details:
                raise
            if not username:
                what = f"Botify does not say whose token this is. {problem.what}"
                raise Problem(what, NAMELESS, **problem.details) from None
        try:
            await self._ask("GET", f"projects/{_quoted(username)}", params={"size": 1})
        except Problem as problem:
            if problem.details.get("status") != 404:
                raise
            what = f"Botify knows no user {username[:80]!r}. {problem.what}"
            raise Problem(what, NAMELESS, status=404) from None
        return username

    async def projects(self, user=""):
        """[{owner, slug, name}] of all projects that a user can see, by owner and name."""
        user = user or await self.user()
        paths = f"users/{_quoted(user)}/projects", f"projects/{_quoted(user)}"
        found = [answers.project(row, user) for row in await self._either(*paths, (403, 404))]
        return sorted(found, key=lambda row: (row["owner"] != user, row["owner"], row["name"]))

    async def analyses(self, owner, project):
        """[{slug, status, finished, pages}] of a project, newest first."""
        path, how = f"analyses/{_quoted(owner)}/{_quoted(project)}", {"only_success": "false"}
        found = map(answers.analysis, await self._either(f"{path}/light", path, (404,), params=how))
        return sorted(found, key=lambda row: newest_first(row["slug"]), reverse=True)

    async def fields(self, owner, project, collection):
        """The fields of a collection, without its name; empty where it does not list them."""
        path = f"{_project_path(owner, project)}/collections/{_quoted(collection)}"
        said = await self._ask("GET", path)
        sets = said.get("datasets") if isinstance(said, dict) else None
        parts = (one.get("fields") for one in sets or () if isinstance(one, dict))
        rows = (row for part in parts for row in part or () if isinstance(row, dict))
        names = (str(row["id"]) for row in rows if row.get("id"))
        return {name.removeprefix(f"{collection}.") for name in names}

    async def query(self, owner, project, query, most=2_000):
        """The first rows, {dimensions, metrics}, that a BQL query gives."""
        path = f"{_project_path(owner, project)}/query"
        rows = await self._listed("POST", path, json=query, most=most)
        return [{n: answers.part(row, n, list) for n in ("dimensions", "metrics")} for row in rows]

    async def export(self, payload):
        """Start an export, which spends credits; returns its job. Never repeated: raises Unsure."""
        body = {"job_type": "export", "payload": payload}
        try:
            return answers.job(await self._ask("POST", "jobs", safe=False, json=body))
        except Problem as problem:
            if "shape" in problem.details:  # it answered, but who knows what
                raise Unsure(self._clean(problem.what)) from None
            raise

    async def exports(self, project, most=JOBS):
        """The export jobs that Botify lists of a project, as it lists them, at most so many.

        Where the list leaves out what they ask for, the newest of them are asked one by one."""
        how = {"job_type": "export", "project": project}
        jobs = [*map(answers.job, await self._listed("GET", "jobs", params=how, most=most))]
        bare = [n for n, job in enumerate(jobs) if job["payload"] is None]
        for n in heapq.nlargest(BARE, bare, key=lambda n: jobs[n]["date_created"] or ""):
            try:
                jobs[n] = await self.job(jobs[n]["job_id"])
            except Problem as problem:  # one that is gone is no loss
                if problem.details.get("status") != 404:
                    raise
        return jobs

    async def job(self, job_id):
        return answers.job(await self._ask("GET", f"jobs/{_quoted(job_id)}"))

    # -- requests; `how`: what httpx2 takes, params and json

    async def _either(self, path, other, gone, **how):
        """All rows of a list; of the `other` one where the answer's status is one of `gone`."""
        try:
            return await self._listed("GET", path, **how)
        except Problem as problem:
            if problem.details.get("status") not in gone:
                raise
        return await self._listed("GET", other, **how)

    async def _listed(self, method, path, most=sys.maxsize, params=None, **how):
        """The first rows, page after page. `next` only says that there is more: its address is

        not used, so nothing can lead the token elsewhere."""
        rows = []
        for page in range(1, PAGES + 1):
            asked = {**(params or {}), "page": page, "size": SIZE}
            said = await self._ask(method, path, params=asked, **how)
            found = said if isinstance(said, list) else answers.part(said, "results", list)
            if not all(isinstance(row, dict) for row in found):
                raise answers.misshapen("a list of rows", found)
            rows += found
            more = isinstance(said, dict) and said.get("next") and found
            if not more or len(rows) >= most:
                return rows[:most]
        what = f"Botify's list has more than {PAGES:,} pages, or never ends."
        raise Problem(what, "Ask for less at once.")

    async def _ask(self, method, path, safe=True, **how):
        """The JSON of an answer. `safe`: it may be asked again. Raises Problem, Unsure."""
        again = tenacity.retry_if_exception(functools.partial(_again, safe))
        tries = tenacity.AsyncRetrying(retry=again, stop=_enough, wait=_pause, reraise=True)
        try:
            return await tries(self._once, method, path, how)
        except _Failed as failed:
            if failed.acted and not safe:
                raise Unsure(failed.problem.what) from None
            raise failed.problem from None

    async def _once(self, method, path, how):
        base = f"{self.connection.url}/"
        url = urljoin(base, path)
        for _ in range(REDIRECTS + 1):
            await pace.PACE.turn(self.who)
            answer, content = await self._send(method, url, how)
            if not answer.is_redirect:
                return self._meaning(answer, content)
            url, how = urljoin(url, answer.headers["location"]), {}
            if method != "GET" or _origin(url) != _origin(base):
                break
        what = "Botify's answer leads elsewhere, and the token does not go there."
        if _origin(url) == _origin(base):
            what = "Botify's answer leads elsewhere again and again."
        raise Problem(what, "Try again later.", status=answer.status_code, shape=True)

    async def _send(self, method, url, how):
        key, content = {"Authorization": f"Token {self.connection.token}"}, bytearray()
        try:
            async with self._http.stream(method, url, headers=key, **how) as answer:
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > LIMIT:
                        raise Problem("Botify's answer is too long.", "Ask for less.", shape=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _Failed(self._lost("cannot be reached", error), acted=False) from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _Failed(self._lost("did not answer to the end", error)) from None
        return answer, bytes(content)

    def _lost(self, what, error):
        said = self._clean(str(error) or type(error).__name__)
        return Problem(f"Botify {what} ({said}).", "Check the network, then go on.")

    def _clean(self, text, most=300):
        """Words of the service, on one line, bounded, and never with the token in them."""
        return " ".join(text.replace(self.connection.token or "\0", "…").split())[:most]

    def _meaning(self, answer, content):
        """The JSON of a good answer. Raises Problem for a bad one, _Failed for a fault."""
        status, text = answer.status_code, content.decode(errors="replace")
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if status < 300 and isinstance(said, dict | list):
            return said
        if status < 300:
            raise answers.misshapen("data", self._clean(text))
        words = self._clean(answers.words(said, text))
        told = f"Botify: {words} ({status})." if words else f"Botify answered with {status}."
        code = answers.code_of(said)
        known = 400 if status == 403 and code in answers.OFF else status  # no matter of the token
        problem = Problem(told, answers.hint(status, code), status=known)
        if status == 429:
            wait = answers.seconds(answer.headers.get("retry-after", ""))
            if (wait or 0) > LONGEST_WAIT:
                problem.next_step = f"Go on in {math.ceil(wait / 60):,} minutes: so Botify asks."
            raise _Failed(problem, acted=False, wait=wait)
        if status >= 500:
            raise _Failed(problem)
        raise problem


def _again(safe, error):
    if not isinstance(error, _Failed) or (error.wait or 0) > LONGEST_WAIT:
        return False
    return safe or not error.acted


def _enough(state):
    limited = state.outcome.exception().limited
    return state.attempt_number >= (LIMITED_TRIES if limited else TRIES)


def _pause(state):
    """Seconds to the next try; what came too fast lets everybody wait."""
    failed = state.outcome.exception()
    wait = backoff(state) if failed.wait is None else failed.wait
    if failed.limited:
        pace.PACE.hold(wait)
        return 0
    return wait


def _quoted(name):
    return quote(str(name), safe="")


def _project_path(owner, project):
    return f"projects/{_quoted(owner)}/{_quoted(project)}"
