"""Reading a web address for the user, so that no address leads back into this machine or its net.

A name is resolved once and the connection goes to the very address that was checked, with the name
kept in Host and in TLS; each redirect starts over. No cookies, no proxies, no credentials.
"""

import functools
import html
import ipaddress
import re
import socket
import ssl
import zlib
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import anyio
import anyio.to_thread

from pipulate.core.problems import Problem, Refused

LIMIT = 2_000_000  # bytes of a page, unpacked
SECONDS = 4.0  # for all of it: names, redirects, body
REDIRECTS = 5
HEADERS = {"accept": "text/html,*/*;q=0.8", "accept-encoding": "gzip", "user-agent": "Pipulate"}
READABLE = re.compile(r"(text/|application/([\w.-]+\+)?(xml|json)\b).*|", re.IGNORECASE | re.DOTALL)
CHARSETS = re.compile(
    r"utf-?(8|16|32)(le|be)?|(iso|win|cp|latin|us|ascii|gb|big5|shift|euc|koi|mac)[\w-]*"
)
UNSEEN = re.compile(r"(?is)<!--.*?(?:-->|\Z)|<(script|style|svg)\b.*?(?:</\1|\Z)")
TITLE = re.compile(r"(?is)<title\b[^>]{0,500}>(.{0,2000})")
OPEN_IPV6 = ipaddress.ip_network("2000::/3")
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 as networks without it write it


@dataclass(frozen=True)
class Page:
    """What an address gave: the last one after redirects, lower-case header names, decoded text."""

    url: str
    status: int
    headers: dict[str, str]
    text: str
    complete: bool = True  # False: the text was cut at the limit

    @property
    def title(self) -> str:
        """The title of an HTML page on one line, "" when it has none.

        Patterns that never read twice: html.parser takes minutes for a megabyte of open tags."""
        found = TITLE.search(UNSEEN.sub("", self.text))
        said = re.split("(?i)</title", found[1])[0] if found else ""
        return re.sub(r"[\0-\x20\s]+", " ", html.unescape(said)).strip()


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet: not this machine, not a private net,

    not link-local, multicast or reserved, and no IPv6 form that hides an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip in NAT64:
        ip = ipaddress.IPv4Address(ip.packed[-4:])
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in OPEN_IPV6 and ip.is_global and not (ip.sixtofour or ip.teredo)
    return ip.is_global and not ip.is_multicast


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Loading the certificates holds the event loop for 20 ms: once, not for every request."""
    import httpx2

    return httpx2.create_ssl_context()


class Web:
    """Reads addresses over kept connections: `async with Web() as web: await web.get(url)`.

    `seconds` and `limit` hold for each page. `allow` names "address:port" that are read although
    they are not public; only a test has reason to."""

    def __init__(
        self, *, seconds: float = SECONDS, limit: int = LIMIT, allow: Collection[str] = ()
    ) -> None:
        self.seconds, self.limit, self.allow = seconds, limit, allow
        self._sites: dict[Any, tuple[list[str], Any]] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    async def get(self, address: str) -> Page:
        """The page at an http or https address, whatever its status, after at most 5 redirects.

        Raises Refused for an address that is not public, Problem when it cannot be read."""
        import httpx2

        try:
            with anyio.fail_after(self.seconds):
                return await self._follow(httpx2.URL(address))
        except TimeoutError:
            what = f"Reading that address took over {self.seconds:g} s."
            raise Problem(what, "Try again later.") from None
        except httpx2.InvalidURL as error:
            raise Problem(f"That is no web address ({error}).", "Check it.") from None
        except (httpx2.HTTPError, zlib.error) as error:
            what = f"That address could not be read ({str(error) or type(error).__name__})."
            raise Problem(what, "Check it, or try again later.") from None

    async def _follow(self, url: Any) -> Page:
        for _ in range(REDIRECTS + 1):
            response = await self._send(url)
            try:
                if not response.has_redirect_location:
                    return await self._read(url, response)
            finally:
                await response.aclose()
            url = url.join(response.headers["location"])
        raise Problem(f"That address was redirected over {REDIRECTS} times.", "Check it.")

    async def _send(self, url: Any) -> Any:
        """Ask the checked addresses of a site in turn until one takes the connection."""
        import httpx2

        addresses, transport = await self._site(url)
        name = url.raw_host.decode()
        about = {"sni_hostname": name, "timeout": {"connect": self.seconds / len(addresses)}}
        headers = HEADERS | {"host": url.netloc.decode()}
        for last, ip in enumerate(addresses, 1 - len(addresses)):
            there = url.copy_with(host=ip)
            request = httpx2.Request("GET", there, headers=headers, extensions=about)
            try:
                return await transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if not last:
                    raise

    async def _site(self, url: Any) -> tuple[list[str], Any]:
        """(checked addresses, transport) of a site. One transport each: TLS that was set up for

        one name must not carry another's pages."""
        import httpx2

        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise Refused("Only plain http and https addresses are read.", "Check the address.")
        site = url.scheme, url.raw_host, url.port
        if site not in self._sites:
            port = url.port or {"http": 80, "https": 443}[url.scheme]
            checked = await self._resolve(url.raw_host.decode().strip("[]"), port)
            transport = httpx2.AsyncHTTPTransport(verify=tls_context(), trust_env=False)
            self._open.push_async_callback(transport.aclose)
            self._sites[site] = checked, transport
        return self._sites[site]

    async def _resolve(self, name: str, port: int) -> list[str]:
        """The addresses of a name, when all of them are public."""
        look = functools.partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
        try:
            found = await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
        except (OSError, UnicodeError):
            raise Problem(f"There is no site {name!r}, or no network.", "Check both.") from None
        addresses = [*dict.fromkeys(str(address[0]) for *_, address in found)]
        for ip in addresses:
            if not is_public(ip) and f"{ip}:{port}" not in self.allow:
                what = f"{name} leads to {ip}: this machine or a private network."
                raise Refused(what, "Only public web addresses are read.")
        return addresses

    async def _read(self, url: Any, response: Any) -> Page:
        headers = dict(response.headers)
        kind, packed = headers.get("content-type", ""), headers.get("content-encoding", "")
        if not READABLE.fullmatch(kind):
            raise Problem(f"{url.host} sent {kind[:80]!r}, which is no text.", "Open it yourself.")
        if packed.lower() not in ("", "identity", "gzip", "x-gzip"):
            raise Problem(f"{url.host} packed the page as {packed[:40]!r}.", "Open it yourself.")
        # unpacked by hand, to the limit and no further: a bomb is a thousand times its size
        unpack = zlib.decompressobj(31) if "gzip" in packed.lower() else None
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += unpack.decompress(chunk, self.limit + 1 - len(body)) if unpack else chunk
            if len(body) > self.limit:
                break
        text = _decoded(bytes(body[: self.limit]), kind)
        return Page(str(url), response.status_code, headers, text, len(body) <= self.limit)


def _decoded(body: bytes, kind: str) -> str:
    """Text by its byte order mark, its header, its meta element, else UTF-8 or Windows-1252."""
    head = body[:1024].decode("ascii", "replace")
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    said = re.search(r"charset\s*=\s*[\"']?([\w-]+)", kind + ";" + head, re.IGNORECASE)
    marked = next((name for mark, name in marks.items() if body.startswith(mark)), "")
    named = said[1].lower() if said and CHARSETS.fullmatch(said[1].lower()) else ""
    try:
        return body.decode(marked or named or "utf-8", "replace" if marked or named else "strict")
    except (LookupError, UnicodeError):
        return body.decode("cp1252", "replace")


def fetch(
    address: str, *, seconds: float = SECONDS, limit: int = LIMIT, allow: Collection[str] = ()
) -> Page:
    """The page at a public web address, for a tool or a hook; async code uses Web.

    Raises Refused for an address that is not public, Problem when it cannot be read."""

    async def once() -> Page:
        async with Web(seconds=seconds, limit=limit, allow=allow) as web:
            return await web.get(address)

    return anyio.run(once)
