"""Reading a web address for the user, so that none leads back into this machine or its net.

A name is resolved once, where connections are made, and connected at the very address that was
checked; redirects pass there, too. No cookies, no proxies, no credentials.
"""

import functools
import html
import ipaddress
import json
import re
import socket
import ssl
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import anyio.from_thread
import anyio.to_thread

from pipulate.core.problems import Problem, Refused

LIMIT = 2_000_000  # bytes of a page, unpacked
SECONDS = 4.0  # for all of it: names, redirects, body
REDIRECTS = 5
HEADERS = {"accept": "text/html,*/*;q=0.8", "accept-encoding": "gzip", "user-agent": "Pipulate"}
READABLE = re.compile(r"(?is)(text/|application/([\w.-]+\+)?(xml|json|x-gzip|gzip)\b).*|")
CHARSETS = re.compile(
    r"utf-?(8|16|32)(le|be)?|(iso|win|cp|latin|us|ascii|gb|big5|shift|euc|koi|mac)[\w-]*"
)
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
UNSEEN = re.compile(r"(?is)<!--.*?(?:-->|\Z)|<(script|style|svg)\b.*?(?:</\1|\Z)")
TITLE = re.compile(r"(?is)<title\b[^>]{0,500}>(.{0,2000})")
allowed = True  # not in a step of a pipeline that does not say that it reaches outside
OPEN_IPV6 = ipaddress.ip_network("2000::/3")
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 as networks without it write it


@dataclass(frozen=True)
class Page:
    """What the last address after redirects gave. Header names are lower-case."""

    url: str
    status: int
    headers: dict[str, str]
    text: str
    complete: bool = True  # False: the text was cut at the limit
    leads_to: str = ""  # where a redirect leads that was not followed

    @property
    def title(self) -> str:
        """Of an HTML page, on one line; else ""."""
        # html.parser takes minutes for a megabyte of open tags
        found = TITLE.search(UNSEEN.sub("", self.text))
        said = re.split("(?i)</title", found[1])[0] if found else ""
        return re.sub(r"[\0-\x20\s]+", " ", html.unescape(said)).strip()


def fetch(
    address: str,
    *,
    data: Any = None,
    seconds: float = SECONDS,
    limit: int = LIMIT,
    follow: bool = True,
    allow: Collection[str] = (),
) -> Page:
    """The page at an http or https address, whatever its status, for a tool or a hook.

    `data` is posted as JSON. Unless `follow`, or with `data`, a redirect is a page of its own.
    `limit`: bytes. `allow`: "address:port" read although not public, for tests.
    Raises Refused when it is not public, Problem (with the status, if it answered) when unread."""
    import httpcore2
    import httpx2

    check_allowed()
    faults = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)

    async def within() -> Page:
        with anyio.fail_after(seconds):
            network, url = _Checked(allow, seconds), httpx2.URL(address)
            return await _follow(url, network, limit, follow and data is None, data)

    try:
        with anyio.from_thread.start_blocking_portal() as portal:  # a loop may run here
            return portal.call(within)
    except TimeoutError:
        raise Problem(f"Reading took over {seconds:g} s.", "Try again later.") from None
    except httpx2.InvalidURL as error:
        raise Problem(f"That is no web address ({error}).", "Check it.") from None
    except (*faults, zlib.error) as error:
        what = f"That address could not be read ({str(error) or type(error).__name__})."
        raise Problem(what, "Check it, or try again later.") from None


def check_allowed() -> None:
    """Raises Refused in a step of a pipeline that does not say that it reaches outside."""
    if not allowed:
        what = "This pipeline does not say that it reads the web."
        raise Refused(what, "Write Pipeline(…, outside=True) in its file.")


async def _follow(url: Any, network: Any, limit: int, follow: bool, data: Any) -> Page:
    import httpcore2

    body = None if data is None else json.dumps(data).encode()
    method, kind = ("POST", {"content-type": "application/json"}) if body else ("GET", {})
    async with httpcore2.AsyncConnectionPool(tls_context(), network_backend=network) as pool:
        for _ in range(REDIRECTS + 1):
            if url.scheme not in ("http", "https") or not url.host or url.userinfo:
                raise Refused("Only plain http and https addresses are read.", "Check the address.")
            there = {"scheme": url.scheme, "host": url.raw_host, "target": url.raw_path}
            at = httpcore2.URL(**there, port=url.port)
            headers = HEADERS | kind | {"host": url.netloc.decode()}
            async with pool.stream(method, at, headers=headers, content=body) as response:
                said = {k.decode().lower(): v.decode("latin-1") for k, v in response.headers}
                about = str(url), response.status, said
                if response.status not in (301, 302, 303, 307, 308) or "location" not in said:
                    return Page(*about, *await _text(url, said, response, limit))
            url = url.join(said["location"])
            if not follow:
                return Page(*about, "", leads_to=str(url))
    raise Problem(f"That address was redirected over {REDIRECTS} times.", "Check it.")


@dataclass
class _Checked:
    allow: Collection[str]
    seconds: float

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> Any:
        """To the first address of a name that takes it, when all are public."""
        import httpcore2

        look = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
        except (OSError, UnicodeError):
            raise Problem(f"There is no site {host!r}, or no network.", "Check both.") from None
        addresses = [*dict.fromkeys(str(address[0]) for *_, address in found)]
        for ip in addresses:
            if not is_public(ip) and f"{ip}:{port}" not in self.allow:
                what = f"{host} leads to {ip}: this machine or a private network."
                raise Refused(what, "Only public web addresses are read.")
        network = httpcore2.AnyIOBackend()
        for ip in addresses:
            try:
                return await network.connect_tcp(ip, port, self.seconds / len(addresses))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, and hides no IPv4 one that does not."""
    if (ip := ipaddress.ip_address(address.partition("%")[0])) in NAT64:
        ip = ipaddress.IPv4Address(ip.packed[-4:])
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in OPEN_IPV6 and ip.is_global and not (ip.sixtofour or ip.teredo)
    return ip.is_global and not ip.is_multicast


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Made once: it holds the event loop for 20 ms."""
    import httpx2

    return httpx2.create_ssl_context()


async def _text(url: Any, headers: dict[str, str], response: Any, limit: int) -> tuple[str, bool]:
    kind, packed, wrong = headers.get("content-type", ""), headers.get("content-encoding", ""), ""
    if not READABLE.fullmatch(kind):
        wrong = f"sent {kind[:80]!r}, which is no text"
    elif packed.lower() not in ("", "identity", "gzip", "x-gzip"):
        wrong = f"packed the page as {packed[:40]!r}"
    if wrong:
        raise Problem(f"{url.host} {wrong}.", "Open it yourself.", status=response.status)
    # unpacked by hand, to the limit and no further: a bomb is a thousand times its size
    unpack = zlib.decompressobj(31) if "gzip" in (packed + kind).lower() else None
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += unpack.decompress(chunk, limit + 1 - len(body)) if unpack else chunk
        if len(body) > limit:
            break
    return _decoded(bytes(body[:limit]), kind), len(body) <= limit


def _decoded(body: bytes, kind: str) -> str:
    """Text by its byte order mark, its header, its meta element, else UTF-8 or Windows-1252."""
    head = kind + ";" + body[:1024].decode("ascii", "replace")
    said = re.search(r"charset\s*=\s*[\"']?([\w-]+)", head.lower())
    named = said[1] if said and CHARSETS.fullmatch(said[1]) else ""
    named = next((MARKS[mark] for mark in MARKS if body.startswith(mark)), named)
    try:
        return body.decode(named or "utf-8", "replace" if named else "strict")
    except (LookupError, UnicodeError):
        return body.decode("cp1252", "replace")
