"""A browser of the user's machine for a step (job.browser): a profile that stays, a gate around it.

All that it asks for goes through the gate, redirects and sockets of pages included.
"""

import asyncio
import contextlib
import os
import shutil
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal

from pipulate.core import fetch
from pipulate.core.problems import Problem, Refused
from pipulate.core.settings import read_settings

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
NAMES += ["microsoft-edge"]
TITLES = ("Google Chrome", "Chromium", "Microsoft Edge")
PLACES = [f"/Applications/{title}.app/Contents/MacOS/{title}" for title in TITLES]
PLACES += [
    rf"{os.environ[folder]}\{tail}"
    for folder in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
    for tail in (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
    if folder in os.environ
]
INSTALL = 'Install it: pip install "pipulate[browser]", or pipx inject pipulate playwright.'
NONE = "No Chromium, Chrome or Edge was found.", "Install one, or name it in PIPULATE_BROWSER."
BUSY = "Close the browser that uses its profile (of another run?), then resume the step."
FINE, NO, NOBODY = (bytes([5, code, 0, 1, *bytes(6)]) for code in (0, 2, 4))  # answers of SOCKS 5


class Gate:
    """A proxy that leads to `sites` only: "https://*.a.example"; "*": all but this machine and

    its network, which have to be named."""

    def __init__(self, sites: tuple[str, ...]):
        self.places = [place for site in sites for place in _places(site)]
        self.refused: dict[str, None] = {}  # in order

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        with contextlib.closing(await asyncio.start_server(self._met, "127.0.0.1", 0)) as server:
            yield f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _met(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError), contextlib.closing(writer):
            host, port = await _asked(reader, writer)
            place = f"{host}:{port}"
            named = any(fnmatchcase(place, one) for one in self.places if one != "*")
            if not named and "*" not in self.places:
                return writer.write(self._no(place))
            try:
                answers, there = await asyncio.open_connection(host, port)
            except OSError:
                return writer.write(NOBODY)
            if not named and not fetch.is_public(there.get_extra_info("peername")[0]):
                there.close()
                return writer.write(self._no(place))
            writer.write(FINE)
            await asyncio.gather(_pumped(reader, there), _pumped(answers, writer))

    def _no(self, place: str) -> bytes:
        if place not in self.refused:
            print(f"Refused: {place} is none of this run's sites.", file=sys.stderr)
        self.refused[place] = None
        return NO


def _places(site: str) -> list[str]:
    if site == "*":
        return [site]
    with contextlib.suppress(ValueError, KeyError):
        found = urlsplit(site if "://" in site else f"https://{site}")
        ports = {"http": [80, 443], "https": [443]}[found.scheme]
        if host := found.hostname:
            return [f"{host}:{port}" for port in ([found.port] if found.port else ports)]
    raise Problem(f"{site!r} is no web site.", "Write https://www.example.com, or * for all.")


async def _asked(reader: StreamReader, writer: StreamWriter) -> tuple[str, int]:
    """Where the browser wants to go: a name, even where it is a number."""
    await reader.readexactly((await reader.readexactly(2))[1])
    writer.write(b"\5\0")
    size = (await reader.readexactly(5))[4]
    host = (await reader.readexactly(size)).decode()
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def _pumped(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.closing(writer):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()


def find_browser() -> str | None:
    """What PIPULATE_BROWSER names, else a Chromium, Chrome or Edge on the PATH or in its place."""
    names = [os.environ.get("PIPULATE_BROWSER", ""), *NAMES, *PLACES]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def ready() -> str:
    """The program of the browser. Raises Problem when it, or the extra, is missing."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        raise Problem("The extra “browser” is missing.", INSTALL) from None
    if not (path := find_browser()):
        raise Problem(*NONE)
    return path


@contextlib.contextmanager
def browsing(
    sites: tuple[str, ...], files: Path, profile: str, headless: bool | None
) -> Iterator[Any]:
    """A page in a window, for plain code; downloads go to `files`. Raises Refused and Problem."""
    fetch.check_allowed()
    path = ready()
    from playwright.sync_api import Error, sync_playwright

    homes = (folder for folder in files.parents if (folder / "pipulate.db").exists())
    folder = Path(profile or next(homes, read_settings().home) / "browser").expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if headless is None:
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        headless = sys.platform == "linux" and not screen
    gate, coming = Gate(sites), list[Any]()
    with contextlib.ExitStack() as held:
        portal = held.enter_context(start_blocking_portal())
        address = held.enter_context(portal.wrap_async_context_manager(gate.opened()))
        try:
            context = held.enter_context(sync_playwright()).chromium.launch_persistent_context(
                folder,
                executable_path=path,
                chromium_sandbox=getattr(os, "geteuid", lambda: 1)() != 0,  # not as root
                proxy={"server": address},
                headless=headless,
                no_viewport=not headless,
                args=["--force-webrtc-ip-handling-policy=disable_non_proxied_udp"],
            )
        except Error as error:
            said = f"The browser did not start ({str(error).splitlines()[0][:300]})."
            raise Problem(said, BUSY) from None
        held.callback(context.close)
        context.on("download", lambda download: _keep(download, files, coming))
        page = context.pages[0]
        try:
            yield page
            while coming:
                page.wait_for_timeout(50)
        except Error as error:
            if page.is_closed():
                then = "Resume the step: it opens again."
                raise Problem("The browser was closed.", then) from error
            if "ERR_SOCKS_CONNECTION_FAILED" in str(error):
                what = f"That leads where this run may not go ({', '.join(gate.refused)[:300]})."
                raise Refused(what, "If it shall, name the site: job.browser(…).") from error
            raise


def _keep(download: Any, files: Path, coming: list[Any]) -> None:
    coming.append(download)
    files.mkdir(parents=True, exist_ok=True)
    if (path := files / Path(download.suggested_filename).name).exists():
        path = path.with_name(f"{len([*files.iterdir()])}-{path.name}")
    try:
        download.save_as(path)
        print(f"Downloaded: {path.name}", file=sys.stderr)
    finally:
        coming.remove(download)
