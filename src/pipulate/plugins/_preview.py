"""A draft at work on throw-away data, for a person to try before it is approved.

Its app runs in a process of its own behind the walls of a trial (apps/trial.py), on an empty home
that goes with it. It hears each request as a line and answers in HTML texts, of which only what is
harmless (_cleaned.py) comes onto the page; all that acts there leads back to it.
"""

import contextlib
import json
import queue
import subprocess
import threading
import time

from fasthtml.common import (
    A,
    Article,
    Button,
    Div,
    Header,
    NotStr,
    P,
    Section,
    Small,
    Strong,
    to_xml,
)
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipulate import Problem
from pipulate.plugins import _cleaned, _drafts

MOST, IDLE, SECONDS = 3, 600, 20  # at a time; seconds unused; seconds for an answer
LINE, TAGS = 1_000_000, 15_000  # bytes and tags of an answer: what is nested takes long to read
BASE = "default"  # the profile in the home of a preview
FORM = {"parts": [""], "status": "", "target": "", "go": "", "problem": [""]}
BLANK = {"parts": [], "status": "", "target": "", "go": ""}
REFUSED = ("409", "422")  # a form that came back
BANNER = {"cls": "head", "role": "note", "style": "background:var(--soft);padding:.6rem .8rem"}
WRONG = {"cls": "problem", "role": "alert"}
CLOSE = '<button class="link" data-close="1" aria-label="Close">×</button>'
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
WITHIN = "contain:content;min-height:75vh"  # it covers nothing outside
AGAIN = "Press “Start again”."
ENDED = "This preview has ended: nobody used it, or others were begun.", AGAIN
FAULTY = "This version did not pass its trial.", "Edit it, or ask for a change."
NO_FORM = "A preview has no form for a tool that asks for values.", "Approve it first."
LARGE = "This page is too large for a preview.", "Show less at once."
SAMPLE = "For a file, type sample.csv: a small one is there."

LIVE = {}  # (home, name, hash): Preview
LOCK = threading.Lock()


class Preview:
    """The process of one draft. It ends when nobody uses it, or when it does not answer well."""

    def __init__(self, home, name, text):
        self.place, self.used = _drafts.place(home, name, text), time.monotonic()
        self.turn, self.ending, self.over = threading.Lock(), threading.Lock(), threading.Event()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = _drafts.begun(self.place.name, "stage", name, **pipes)
        self.lines = queue.SimpleQueue()
        for work in (self._read, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def ask(self, **said):
        """What the draft answers to {method, path, query, form, partial, here}. Raises Problem."""
        if not self.turn.acquire(timeout=SECONDS):
            raise self._gone(f"did not answer within {SECONDS} s")
        try:
            self.used = time.monotonic()
            if not self.lines.empty():  # nobody had asked
                raise ValueError
            self.process.stdin.write(json.dumps(said).encode() + b"\n")
            self.process.stdin.flush()
            return _drafts.like(FORM, json.loads(self.lines.get(timeout=SECONDS)))
        except queue.Empty:
            raise self._gone(f"did not answer within {SECONDS} s") from None
        except (OSError, ValueError, RecursionError):
            raise self._gone("ended, or said what cannot be shown") from None
        finally:
            self.turn.release()

    def end(self):
        """Away with the process and its home."""
        with self.ending:
            if self.over.is_set():
                return
            self.over.set()
            _drafts.kill(self.process)
            self.process.wait()
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            self.place.cleanup()

    def _gone(self, why):
        self.end()
        return Problem(f"The preview {why}.", AGAIN)

    def _read(self):
        with self.process.stdout as out:
            while (line := out.readline(LINE)) and self.lines.qsize() < 2:
                self.lines.put(line)
        self.lines.put(b"")

    def _watch(self):
        while (left := self.used + IDLE - time.monotonic()) > 0 and not self.over.wait(left):
            pass
        self.end()


def begin(home, name, text, key):
    """A new preview in place of the old one; the one least used goes when there are many."""
    fresh = Preview(home, name, text)
    with LOCK:
        gone = [LIVE.pop(one) for one in [*LIVE] if LIVE[one].over.is_set()]
        if old := LIVE.pop((home, name, key), None):
            gone.append(old)
        while len(LIVE) >= MOST:
            gone.append(LIVE.pop(min(LIVE, key=lambda one: LIVE[one].used)))
        LIVE[home, name, key] = fresh
    for preview in gone:
        preview.end()
    return fresh


def end(*key):
    """End the preview of (home, name, hash), if there is one."""
    with LOCK:
        preview = LIVE.pop(key, None)
    if preview:
        preview.end()


def end_all():
    """Nothing outlives the program, which ends without atexit."""
    for key in [*LIVE]:
        end(*key)


def invitation(at, record):
    """The button on a draft's page."""
    if record["problems"] or not record["apps"]:
        return ""
    said = Small("on throw-away data, in a process of its own")
    begin = Button("Try it", hx_post=f"{at}/try", cls="secondary")
    return P(begin, " ", said, style="margin-block:.6rem")


def place(profile, name, key):
    """The address of a draft's page."""
    return f"/{profile.slug}/plugins/{name}/{key}"


async def start(table, profile, visit, name: str, hash: str):
    """Begin a preview, or begin it afresh, and lead to its first page."""
    home, at = _drafts.home_of(table), place(profile, name, hash)
    record, text = _drafts.read(home, name, hash)
    leads = [to for to, _ in pages(at, record) if to]
    if record["problems"] or not leads:
        raise Problem(*FAULTY)
    if end_all not in visit.house.on_close:
        visit.house.on_close.append(end_all)
    begin(home, name, text, hash)
    return Response(headers={"HX-Redirect": leads[0]})


def pages(at, record):
    """[(address, title)] of what the trial found; what it says may be forged."""
    found = [(f"/{BASE}/{app['slug']}", app["title"]) for app in record["apps"]]
    return [(_cleaned.address(to, BASE, f"{at}/try"), title) for to, title in found]


def led(said, at):
    """Where an answer leads, if it leads anywhere."""
    return said["go"] and _cleaned.address(said["go"], BASE, f"{at}/try")


def cleaned(said, at):
    """What an answer shows, as it may stand on our page."""
    large = sum(one.count("<") for one in said["parts"]) > TAGS
    if wrong := said["problem"] or large * LARGE:
        return to_xml(Article(P(Strong(wrong[0]), " ", *wrong[1:2]), **WRONG), indent=False)
    return "".join(_cleaned.live(one, BASE, f"{at}/try") for one in said["parts"])


def asked(method):
    """The function of a route below …/try: every page and click of a preview."""

    async def answered(table, profile, visit, name: str, hash: str):
        home, at, rest = _drafts.home_of(table), place(profile, name, hash), visit.path["rest"]
        about = {"query": {**visit.query}, "form": {**visit.form}, "partial": visit.partial}
        about["here"] = f"/{BASE}" + visit.here.partition(f"{at}/try")[2]
        try:
            preview = LIVE.get((home, name, hash))
            if not preview or preview.over.is_set():
                raise Problem(*ENDED)
            if rest.startswith("call/"):  # a page of the house, which is not here
                raise Problem(*NO_FORM)
            said = preview.ask(method=method, path=rest, **about)
        except Problem as problem:
            said = BLANK | {"problem": [problem.what, problem.next_step]}
        to = led(said, at)
        if visit.partial:
            return Response(headers={"HX-Redirect": to}) if to else part(said, at, rest)
        if to:
            return RedirectResponse(to, 303)
        return page(at, _drafts.read(home, name, hash)[0], cleaned(said, at))

    return answered


def part(said, at, path):
    """A part of a page, for htmx; where it goes is within the preview."""
    status, text = int(said["status"]) if said["status"] in REFUSED else 200, cleaned(said, at)
    swap, target = "outerHTML", _cleaned.aim(said["target"])
    if said["problem"]:
        status, swap, target = 400, "innerHTML", "#try-notices"
        text = f'<div class="notice">{text}{CLOSE}</div>'
    if "/options/" in path:  # what is offered below a box
        swap, target = "innerHTML", _cleaned.aim(f"#options-{path.rpartition('/')[2]}")
    to = {"HX-Retarget": target, "HX-Reswap": swap, "HX-Push-Url": "false"} if target else {}
    return HTMLResponse(text, status, to)


def page(at, record, text):
    """A page of ours around what a draft drew."""
    links = [A(title, href=to) for to, title in pages(at, record) if to]
    what = Strong("Preview on throw-away data: nothing here is kept.")
    again = Button("Start again", hx_post=f"{at}/try", cls="outline secondary")
    return Section(
        Header(Div(what, " ", A("Back to the draft", href=at)), again, **BANNER),
        Div(*links, cls="inline") if links[1:] else "",
        P(Small(SAMPLE)) if 'type="file"' in text else "",
        Div(
            Div(id="try-notices", aria_live="polite", style="margin:.6rem 0"),
            NotStr(text),
            style=WITHIN,
        ),
    )


ROUTES = [("/{name}/{hash}/try", ["POST"], start)]
ROUTES += [("/{name}/{hash}/try/{rest:path}", [method], asked(method)) for method in METHODS]
