"""Fetching an exported file: resumed where the server can, checked for its length, without token.

The file grows under a name of its own and gets its last name when it is whole. Neither the address,
which is signed, nor anything of the account is kept.
"""

import errno
import re
import shutil
import time

import httpx2

from pipulate import Problem

TRIES = 6  # without one more byte
REDIRECTS = 5
PAUSE = 1.0  # seconds, doubled with each try
TIMEOUT = httpx2.Timeout(60, connect=10)
GONE = (403, 404, 410)  # what a link says that is too old
BUSY = (408, 425, 429)  # and a server that wants a pause
AGAIN = "Run this step again: it goes on where it stopped."
STAYS = "Run this step again; if it stays so, export anew."


class Expired(Exception):
    """The link is not valid any more."""


class Download:
    """A file on its way to `part`. `tag` names its version; `told(done, total)` hears of it."""

    def __init__(self, part, tag="", told=print):
        self.part, self.tag, self.told = part, tag, told

    @property
    def have(self):
        return self.part.stat().st_size if self.part.exists() else 0

    def fetch(self, link, keep, renew):
        """Fetch it whole; returns its bytes. `keep(tag)` before the first byte of a version;

        `renew()` gives a fresh link when this one has expired. Raises Problem."""
        left, before, renewed = TRIES, self.have, False
        while True:
            try:
                if self._some(link, keep):
                    return self.have
                lost = "it ended too early"
            except Expired:
                if renewed:
                    what = "The link to the exported file is not valid any more."
                    raise Problem(what, "Run this step again, or export anew.") from None
                link, renewed = renew(), True
                continue
            except httpx2.TransportError as error:
                lost = str(error) or type(error).__name__
            except OSError as error:
                raise _disk(error, self.part) from None
            left, before = (TRIES, self.have) if self.have > before else (left - 1, before)
            if not left:
                what = f"The file cannot be fetched ({lost[:200]}); {self.have:,} bytes are here."
                raise Problem(what, AGAIN)
            time.sleep(PAUSE * 2 ** (TRIES - left))

    def _some(self, link, keep):
        plain = not link.lower().startswith("https:")
        headers = {"accept-encoding": "identity"}  # what is packed all the same stays so
        if self.have and self.tag:
            headers |= {"range": f"bytes={self.have}-", "if-range": self.tag}
        about = {"timeout": TIMEOUT, "follow_redirects": True, "max_redirects": REDIRECTS}
        about |= {"trust_env": not plain}  # plain is the demo on this machine: no proxy leads there
        try:
            with (
                httpx2.Client(**about) as client,
                client.stream("GET", link, headers=headers) as answer,
            ):
                if answer.url.scheme != "https" and not plain:
                    raise Problem("The file's address leads to an unencrypted one.", "Try later.")
                return self._taken(answer, keep)
        except httpx2.TooManyRedirects:
            raise Problem("The file's address leads in circles.", STAYS) from None
        except (httpx2.InvalidURL, ValueError):
            raise Problem("The file has no address that can be read.", STAYS) from None

    def _taken(self, answer, keep):
        status, headers, have = answer.status_code, answer.headers, self.have
        if status == 416 and headers.get("content-range") == f"bytes */{have}":
            return True
        if status in GONE:
            raise Expired
        if status not in (200, 206, 416):
            if status >= 500 or status in BUSY:
                raise httpx2.TransportError(f"its server answered with {status}")
            raise Problem(f"The file's server answered with {status}.", "Run this step again.")
        begins = re.match(rf"bytes {have}-", headers.get("content-range", ""))
        if status != 206 or not begins:
            self.part.unlink(missing_ok=True)
            have = 0
        if status != 200 and not begins:
            return False
        tag = headers.get("etag", "")
        self.tag = tag if tag[:1] == '"' else headers.get("last-modified", "")  # no weak ones
        keep(self.tag)
        return self._written(answer, have)

    def _written(self, answer, have):
        length = answer.headers.get("content-length", "")
        whole = answer.headers.get("content-range", "").rpartition("/")[2]
        total = have + int(length) if length.isdecimal() else 0
        total = int(whole) if have and whole.isdecimal() else total
        self.part.parent.mkdir(parents=True, exist_ok=True)
        with self.part.open("ab") as file:
            for piece in answer.iter_raw():
                file.write(piece)
                file.flush()
                self.told(file.tell(), total)
        return not total or self.have == total


def _disk(error, part):
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return Problem(f"The file cannot be written ({error.strerror}).", AGAIN)
    free = shutil.disk_usage(part.parent).free
    return Problem(f"The disk is full: {free:,} bytes are free.", f"Free some space. {AGAIN}")
