"""A browser of the user's machine for a step (job.browser): a profile that stays, a gate around it.

All that it asks for goes through the gate, redirects and sockets of pages included.
"""

import asyncio
from contextlib import asynccontextmanager, closing, contextmanager, suppress
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
from pipulate.core.problems import Problem
from pipulate.core.settings import read_settings

NAMES = "chromium chromium-browser google-chrome google-chrome-stable chrome microsoft-edge"
TITLES = ("Google Chrome", "Chromium", "Microsoft Edge")
PLACES = [f"/Applications/{title}.app/Contents/MacOS/{title}" for title in TITLES]
PLACES += [
    rf"{os.environ[folder]}\{tail}"
    for folder in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
    for tail in (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
    if folder in os.environ
]
INSTALL = 'Install it: pip install "pipulate[browser]", or pipx inject pipulate playwright.'
NONE = "No Chromium, Chrome or Edge was found.", "Install one, or name one in PIPULATE_BROWSER."
BUSY = "Close the browser that uses its profile (of another run?), or look at the log."
FINE, NO = (bytes([5, code, 0, 1, *bytes(6)]) for code in (0, 2))  # answers of SOCKS 5


class Gate:
    """A proxy that leads to `sites` only; "*": all, but of this machine and its net those named."""

    def __init__(self, sites: tuple[str, ...]):
        self.places = [place for site in sites for place in _places(site)]
        self.told, self.why = set[str](), ("", "")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        with closing(await asyncio.start_server(self._met, "127.0.0.1", 0)) as server:
            yield f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _met(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, EOFError, ValueError), closing(writer):
            host, port = await _asked(reader, writer)
            place = f"{host}:{port}"
            allowed = {one for one in self.places if fnmatchcase(place, one)}
            if not allowed:
                return writer.write(self._no(place))
            try:
                answers, there = await asyncio.open_connection(host, port)
            except OSError:
                return writer.write(self._no(place, silent=True))
            if allowed == {"*"} and not fetch.is_public(there.get_extra_info("peername")[0]):
                there.close()
                return writer.write(self._no(place))
            writer.write(FINE)
            await asyncio.gather(_pumped(reader, there), _pumped(answers, writer))

    def _no(self, place: str, silent: bool = False) -> bytes:
        line = f"Refused: {place} is none of this run's sites."
        what = f"That leads where this run may not go ({place})."
        self.why = what, "If it shall, name the site: job.browser(…)."
        if silent:
            line = f"{place} does not answer."
            self.why = line, "Try again when it does."
        if line not in self.told:
            print(line, file=sys.stderr)
        self.told.add(line)
        return NO


def _places(site: str) -> list[str]:
    if site == "*":
        return [site]
    with suppress(ValueError, KeyError):
        found = urlsplit(site if "://" in site else f"https://{site}")
        ports = {"http": [80, 443], "https": [443]}[found.scheme]
        if host := (found.hostname or "").encode("idna").decode():  # as browsers write it
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
    with closing(writer):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()


def find_browser() -> str | None:
    """What PIPULATE_BROWSER names, else a Chromium, Chrome or Edge on the PATH or in its place."""
    if named := os.environ.get("PIPULATE_BROWSER"):
        return shutil.which(named)
    return next(filter(None, map(shutil.which, [*NAMES.split(), *PLACES])), None)


def ready() -> str:
    """The program of the browser. Raises Problem when it, or the extra, is missing."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        raise Problem("The extra “browser” is missing.", INSTALL) from None
    if not (path := find_browser()):
        raise Problem(*NONE)
    return path


@contextmanager
def browsing(
    sites: tuple[str, ...], files: Path, profile: str, headless: bool | None
) -> Iterator[Any]:
    """A page in a window, for plain code; downloads go to `files`. Raises Problem."""
    fetch.check_allowed()
    path = ready()
    from playwright.sync_api import Error, sync_playwright

    homes = (folder for folder in files.parents if (folder / "pipulate.db").exists())
    folder = next(homes, read_settings().home) / Path(profile or "browser").expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if headless is None:
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        headless = sys.platform == "linux" and not screen
    gate, coming = Gate(sites), list[Any]()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(gate.opened()) as address,
        sync_playwright() as playwright,
    ):
        try:
            context = playwright.chromium.launch_persistent_context(
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
            print(error, file=sys.stderr)
            raise Problem(said, BUSY) from None
        context.on("download", lambda download: _keep(download, files, coming))
        page = context.pages[0]
        try:
            yield page
            while coming:
                page.wait_for_timeout(50)
        except Error as error:
            if page.is_closed():
                raise Problem("The browser was closed.", "It opens again with the step.") from error
            if "ERR_SOCKS_CONNECTION_FAILED" in str(error):
                raise Problem(*gate.why) from error
            raise
        finally:
            with suppress(Error):  # gone
                context.close()


def _keep(download: Any, files: Path, coming: list[Any]) -> None:
    coming.append(download)
    if (path := files / Path(download.suggested_filename).name).exists():
        path = path.with_name(f"{len([*files.iterdir()])}-{path.name}")
    try:
        download.save_as(path)
        print(f"Downloaded: {path.name}", file=sys.stderr)
    finally:
        coming.remove(download)
