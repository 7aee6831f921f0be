"""The guard: one ASGI layer in front of everything, HTTP, sockets and mounted apps alike.

Order: Host → Origin and Sec-Fetch-Site → launch address → credential → size → app. Nothing behind
it needs to know; nothing can be reached around it. Why each check is there: docs/security.md.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from itsdangerous import TimestampSigner
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import HTMLResponse
from starlette.websockets import WebSocketClose

from pipulate.core.logs import problem_of
from pipulate.web.share import Shares

LAUNCH_SECONDS, COOKIE_SECONDS = 300, 30 * 86_400
BODY = 1_000_000  # bytes of a request body, unless its route declares another limit
SAFE = ("GET", "HEAD", "OPTIONS")
OURS = ([], ["same-origin"], ["none"])  # Sec-Fetch-Site of what no other page started
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
CSP = (
    "default-src 'self'; script-src 'self' 'nonce-{0}'; style-src 'self' 'nonce-{0}'; "
    "style-src-attr 'unsafe-inline'; worker-src 'self' blob:; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'"
)
OPENED = (
    '<!doctype html><link rel="icon" href="data:,"><meta http-equiv="refresh" content="0;url=/">'
    "<title>Pipulate</title>"
    '<p>Opening your workspace… <a href="/">Go on</a>'
)


class Answer(BaseException):
    """What ends a request. No Exception: whoever reads a body must not take it for a fault."""


def refusal(status: int, what: str, then: str) -> Answer:
    """What was wrong, and what to do; in the corner of a page that is open."""
    text = f'<!doctype html><title>Pipulate</title><p class="notice"><b>{what}</b> {then}'
    corner = {"HX-Retarget": "#notices", "HX-Reswap": "innerHTML", "HX-Push-Url": "false"}
    return Answer(HTMLResponse(text, status, corner))


class Keys:
    """Launch tokens, the signed cookie and the bearer tokens of a home."""

    def __init__(self, secret: Callable[[str], str]):
        self._signer = TimestampSigner(secret("cookie"), digest_method=hashlib.sha256)
        shell = secret("shell")
        self.bearer = {"/mcp": secret("mcp"), "/shell": shell, "/events": shell}
        self._launch: dict[str, float] = {}  # token → until when
        self._good: dict[str, float] = {}  # cookie seen to be good → when to look again
        self.shares = Shares()

    def launch_token(self) -> str:
        """A token that opens the door once, within five minutes."""
        moment, token = time.monotonic(), secrets.token_urlsafe(24)
        self._launch = {t: until for t, until in self._launch.items() if until > moment}
        self._launch[token] = moment + LAUNCH_SECONDS
        return token

    def use_launch_token(self, token: str) -> bool:
        same = (t for t in self._launch if hmac.compare_digest(t.encode(), token.encode()))
        return self._launch.pop(next(same, ""), 0) > time.monotonic()

    def make_cookie(self) -> str:
        return self._signer.sign(secrets.token_urlsafe(8)).decode()

    def cookie_is_good(self, value: str) -> bool:
        moment = time.time()
        if self._good.get(value, 0) < moment:
            good = self._signer.validate(value, max_age=COOKIE_SECONDS)
            self._good = {**self._good, value: moment + 60} if good else {}
        return value in self._good


class Guard:
    """Wraps an ASGI app. `limits(method, path)` gives a route's own body limit, or None."""

    def __init__(self, app, keys: Keys, port: int, limits: Callable[[str, str], int | None]):
        self.app, self.keys, self.limits = app, keys, limits
        self.cookie = f"pipulate_{port}"  # cookies are shared by all ports of a host
        names = {"127.0.0.1", "localhost", "[::1]"}
        self.hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())

    async def __call__(self, scope, receive, send):
        scope["nonce"], headers = secrets.token_urlsafe(12), Headers(scope=scope)
        send, begun = _with_headers(scope, send)
        try:
            self.check_host(scope, headers)
            if not self.keys.shares.let_in(scope, headers):
                self.check_origin(scope, headers)
                self.check_launch(scope, headers)
                self.check_credential(scope, headers)
            self.check_size(scope, headers)
            return await self.app(scope, _counted(receive, self._limit(scope)), send)
        except Answer as said:
            answer = said.args[0]
        except Exception as error:
            answer = HTMLResponse(str(problem_of(error)), 500)
        if not begun:
            answer = WebSocketClose(4403) if scope["type"] == "websocket" else answer
            await answer(scope, receive, send)

    # -- the checks, each removable by the mutation script

    def check_host(self, scope, headers: Headers):
        """Only our own names: a foreign one is a page that rebinds DNS."""
        host, use = headers.getlist("host"), "Use http://127.0.0.1 and the port."
        if len(host) != 1 or host[0].lower() not in self.hosts:
            raise refusal(421, "This name is not served here.", use)

    def check_origin(self, scope, headers: Headers):
        """Nothing that another page started: whole origins are compared, sockets need one."""
        own = [f"http://{headers['host'].lower()}"]
        origin, site = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        referer = headers.get("referer")
        if scope["type"] == "websocket":
            good = origin == own
        elif scope["method"] in SAFE:
            good = site in OURS or headers.getlist("sec-fetch-mode") == ["navigate"]
        elif referer and not origin and not site:
            good = f"{referer}/".lower().startswith(f"{own[0]}/")
        else:
            good = site in OURS and origin in ([], own)
        if not good:
            raise refusal(403, "Another page asked for this.", "Do it in Pipulate's own page.")

    def check_launch(self, scope, headers: Headers):
        """The launch address: an answer with the cookie, once for its token."""
        if (scope.get("method"), scope["path"]) != ("GET", "/"):
            return
        tokens = QueryParams(scope["query_string"]).getlist("token")
        if len(tokens) == 1 and self.keys.use_launch_token(tokens[0]):
            flags = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_SECONDS}"
            cookie = f"{self.cookie}={self.keys.make_cookie()}; {flags}"
            # A page that moves on: a Strict cookie does not follow a redirect from elsewhere.
            raise Answer(HTMLResponse(OPENED, headers={"set-cookie": cookie}))

    def check_credential(self, scope, headers: Headers):
        """The launch cookie; for programs the bearer token of their door."""
        for door, token in self.keys.bearer.items():
            if f"{scope['path']}/".startswith(f"{door}/"):
                given = headers.get("authorization", "").encode()
                if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                    raise refusal(401, "This door needs its token.", "It is in server.json.")
                return
        cookies = (c.strip().partition("=") for c in ";".join(headers.getlist("cookie")).split(";"))
        if not any(n == self.cookie and self.keys.cookie_is_good(value) for n, _, value in cookies):
            how = "In a terminal, run: pipulate open"
            raise refusal(403, "This browser has not been let in.", how)

    def check_size(self, scope, headers: Headers):
        """A body that says it is too large is not read at all."""
        length, limit = headers.get("content-length", "0"), self._limit(scope)
        if not length.isdecimal() or int(length) > limit:
            raise _too_large(limit)

    def _limit(self, scope) -> int:
        return self.limits(scope.get("method", ""), scope["path"]) or BODY


def _too_large(limit: int) -> Answer:
    return refusal(413, f"That is over {limit:,} bytes.", "Send less at once.")


def _counted(receive, limit: int):
    """A length that was not given, or was a lie, stops at the limit."""
    seen = 0

    async def counted():
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return counted


def _with_headers(scope, send):
    """(send, what was sent): the headers of every response, errors and downloads included."""
    fixed = [*HEADERS, (b"content-security-policy", CSP.format(scope["nonce"]).encode())]
    begun: set[str] = set()

    async def sending(message):
        begun.add(message["type"])
        if message["type"] == "http.response.start":
            lasting = scope["path"].startswith("/static/") and message["status"] < 400
            message["headers"] = [*message["headers"], *fixed]
            headers = MutableHeaders(scope=message)
            own = headers.get("cache-control", "")
            if lasting:
                headers.setdefault("cache-control", "max-age=31536000, immutable")
            elif "no-store" not in own:  # what is private is kept by nobody, whatever else it says
                headers["cache-control"] = f"{own}, no-store".lstrip(", ")
        await send(message)

    return sending, begun
