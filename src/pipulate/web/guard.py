"""The guard: one ASGI layer in front of everything, HTTP, sockets and mounted apps alike.

Order: Host → Origin and Sec-Fetch-Site → credential → size → app. Nothing behind it needs to know;
nothing can be reached around it. Why each check is there: docs/security.md.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.websockets import WebSocketClose

from pipulate.core.logs import log_fault

LAUNCH_SECONDS, COOKIE_SECONDS = 300, 30 * 86_400
BODY = 1_000_000  # bytes of a request body, unless its route declares another limit
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
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


class Refusal(BaseException):
    """(status, what, next step) of a request that does not come in. No Exception, so that nothing

    behind the guard that reads a body takes it for a fault of its own."""


class Keys:
    """Launch tokens, the signed cookie and the bearer tokens of a home."""

    def __init__(self, secret: Callable[[str], str]):
        self._signer = TimestampSigner(secret("cookie"), digest_method=hashlib.sha256)
        self.bearer = {"/mcp": secret("mcp"), "/shell": secret("shell")}
        self._launch: dict[str, float] = {}
        self._good: dict[str, float] = {}  # cookies seen to be signed by us, until when

    def launch_token(self) -> str:
        """A token that opens the door once, within five minutes."""
        self._launch = {t: at for t, at in self._launch.items() if at > time.monotonic()}
        token = secrets.token_urlsafe(24)
        self._launch[token] = time.monotonic() + LAUNCH_SECONDS
        return token

    def use_launch_token(self, token: str) -> bool:
        same = (t for t in self._launch if hmac.compare_digest(t.encode(), token.encode()))
        known = next(same, None)
        return known is not None and self._launch.pop(known) > time.monotonic()

    def make_cookie(self) -> str:
        return self._signer.sign(secrets.token_urlsafe(8)).decode()

    def cookie_is_good(self, value: str) -> bool:
        if self._good.get(value, 0) > time.time():
            return True
        try:
            _, made = self._signer.unsign(value, max_age=COOKIE_SECONDS, return_timestamp=True)
        except BadSignature:
            return False
        self._good[value] = made.timestamp() + COOKIE_SECONDS
        return True


class Guard:
    """Wraps an ASGI app. `limits(method, path)` gives a route's own body limit, or None."""

    def __init__(self, app, keys: Keys, port: int, limits: Callable[[str, str], int | None]):
        self.app, self.keys, self.limits = app, keys, limits
        self.cookie = f"pipulate_{port}"  # cookies are shared by all ports of a host
        names = {"127.0.0.1", "localhost", "[::1]"}
        self.hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        self.checks = [self.check_host, self.check_origin, self.check_credential, self.check_size]

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        scope["nonce"], headers = secrets.token_urlsafe(12), Headers(scope=scope)
        send = send if scope["type"] == "websocket" else _with_headers(scope, send)
        try:
            for check in self.checks[:2]:
                check(scope, headers)
            if self._launches(scope):
                return await self._open(scope, receive, send)
            for check in self.checks[2:]:
                check(scope, headers)
        except Refusal as refusal:
            return await _refuse(scope, receive, send, *refusal.args)
        await self._enter(scope, _counted(receive, self._limit(scope)), send)

    async def _enter(self, scope, receive, send):
        started = False

        async def watched(message):
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Refusal as refusal:
            if not started:
                await _refuse(scope, receive, send, *refusal.args)
        except Exception as error:
            reference = log_fault(error)
            if not started and scope["type"] == "http":
                text = f"Something went wrong here. Reference {reference} in the log."
                await HTMLResponse(text, 500)(scope, receive, send)

    # -- the checks, each removable by the mutation script -----------------------------------

    def check_host(self, scope, headers: Headers):
        """Only our own names: a foreign one is a page that rebinds DNS."""
        host = headers.getlist("host")
        if len(host) != 1 or host[0].lower() not in self.hosts:
            what = "This name is not served here."
            raise Refusal(421, what, "Use http://127.0.0.1 and the port.")

    def check_origin(self, scope, headers: Headers):
        """Nothing another page started: compare whole origins, sockets need one."""
        own = f"http://{headers.get('host', '').lower()}"
        origin = headers.getlist("origin") or None
        foreign = Refusal(403, "Another page asked for this.", "Do it in Pipulate's own page.")
        if scope["type"] == "websocket":
            if origin != [own]:
                raise foreign
            return
        site = headers.getlist("sec-fetch-site") or ["none"]
        visiting = headers.getlist("sec-fetch-mode") == ["navigate"] and scope["method"] in SAFE
        if site not in (["same-origin"], ["none"]) and not visiting:
            raise foreign
        if scope["method"] in SAFE:
            return
        if origin is not None and origin != [own]:
            raise foreign
        referer = headers.get("referer")
        if origin is None and "sec-fetch-site" not in headers and referer:
            inside = f"{referer}/".lower().startswith(f"{own}/")
            if not inside:
                raise foreign

    def check_credential(self, scope, headers: Headers):
        """The launch cookie; for programs the bearer token of their door. Before any routing."""
        for prefix, token in self.keys.bearer.items():
            if scope["path"] == prefix or scope["path"].startswith(prefix + "/"):
                given = headers.get("authorization", "").encode()
                if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                    raise Refusal(401, "This door needs its token.", "It is in server.json.")
                return
        cookies = (c.strip().partition("=") for c in ";".join(headers.getlist("cookie")).split(";"))
        if not any(n == self.cookie and self.keys.cookie_is_good(value) for n, _, value in cookies):
            what = "This browser has not been let in."
            raise Refusal(403, what, "In a terminal, run: pipulate open")

    def check_size(self, scope, headers: Headers):
        """A body that says it is too large is not read at all; see _counted for the others."""
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limit(scope):
            raise Refusal(413, f"That is over {self._limit(scope):,} bytes.", "Send less at once.")

    def _limit(self, scope) -> int:
        return self.limits(scope.get("method", ""), scope["path"]) or BODY

    # -- the launch address ------------------------------------------------------------------

    def _launches(self, scope) -> bool:
        if (scope.get("method"), scope["path"]) != ("GET", "/"):
            return False
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return len(tokens) == 1 and self.keys.use_launch_token(tokens[0])

    async def _open(self, scope, receive, send):
        flags = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_SECONDS}"
        cookie = f"{self.cookie}={self.keys.make_cookie()}; {flags}"
        # A page that moves on, not a redirect: a Strict cookie does not follow a foreign redirect.
        response = HTMLResponse(OPENED, headers={"set-cookie": cookie})
        await response(scope, receive, send)


async def _refuse(scope, receive, send, status: int, what: str, then: str):
    answer = HTMLResponse(f"<!doctype html><title>Pipulate</title><p><b>{what}</b> {then}", status)
    if scope["type"] == "websocket":
        await receive()
        answer = WebSocketClose(4403)
    await answer(scope, receive, send)


def _counted(receive, limit: int):
    """Count a body as it comes: a length that was not given, or was a lie, stops at the limit."""
    seen = 0

    async def counted():
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise Refusal(413, f"That is over {limit:,} bytes.", "Send less at once.")
        return message

    return counted


def _with_headers(scope, send):
    """The headers of every response, errors and downloads included."""
    fixed = [*HEADERS, (b"content-security-policy", CSP.format(scope["nonce"]).encode())]

    async def sending(message):
        if message["type"] == "http.response.start":
            own = [(k, v) for k, v in message["headers"] if k.lower() not in (b"server", b"date")]
            lasting = scope["path"].startswith("/static/") and message["status"] < 400
            age = b"max-age=31536000, immutable" if lasting else b"no-store"
            aged = any(k.lower() == b"cache-control" for k, _ in own)
            keep = [] if aged else [(b"cache-control", age)]
            message["headers"] = [*own, *fixed, *keep]
        await send(message)

    return sending
