"""The door: `python -m pipulate`. Next: doors/cli.py, web/run.py, web/server.py.

A server is a child process, watched over from here and begun again when it falls: by a signal (a
fault of compiled code, no memory left), or when nothing in it gets a turn any more because one call
keeps Python's lock. No thread of its own could help it then. The watcher loads nothing else of the
program, so that it stays small and whole. Where there is no fork (Windows), nobody watches.
"""

import faulthandler
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from select import select

BEAT, SILENT = 1.0, 20.0  # seconds between two signs of life; after which it is taken to hang
END = 8  # seconds it may take to end when it is told to
YOUNG = 60.0  # seconds: one that falls sooner has fallen in a row
ALL, MOST = 3, 6  # falls in a row after which all plugins are accused, or it is left alone
PLUGIN = re.compile(r'File "(.+/apps/[^/"]+\.py)"')
leave = os._exit  # core/process.py keeps others from it


def main() -> None:
    """The command `pipulate`."""
    first = [*sys.argv[1:2], "serve"][0]
    if hasattr(os, "fork") and (first == "serve" or first.startswith("--")):
        keep()
    import_module("pipulate.doors.cli").main()


def keep() -> None:
    """Return in a child, again whenever the one before fell; here end with it."""
    falls, ready, home = 0, False, home_of(sys.argv)
    while True:
        began, (ours, theirs) = time.monotonic(), socket.socketpair()
        if not (child := os.fork()):
            ours.close()
            return attend(theirs, ready)
        theirs.close()
        code, asked, trace = watched(child, ours)
        if code >= 0 or asked:
            sys.exit(code if code >= 0 else 128 - code)
        falls = 1 if time.monotonic() - began > YOUNG else falls + 1
        what = f"The server fell ({signal.Signals(-code).name})."
        with suppress(OSError):
            tell(home, f"{what}\n{trace}")
            accuse(home, trace, every=falls == ALL)
        if falls == MOST:
            sys.exit(f"{what} It did so {MOST} times in a row: see {home}/logs/falls.log.")
        print(f"{what} It begins again; see {home}/logs/falls.log.", file=sys.stderr)
        if port := _port(home):  # it had been ready: its pages go on by themselves
            ready, sys.argv = True, [*sys.argv, "--no-browser", "--port", port]


def home_of(words: list[str]) -> Path:
    """The home that a command line means, as core/settings.py does."""
    pairs = ((one.split("=", 1) + [after])[:2] for one, after in pairwise([*words, ""]))
    named = [value for name, value in pairs if name == "--home" and value]
    return Path([os.environ.get("PIPULATE_HOME") or "~/pipulate", *named][-1]).expanduser()


def _port(home: Path) -> str:
    with suppress(OSError, ValueError, LookupError):
        return str(json.loads((home / "server.json").read_text())["port"])
    return ""


def attend(line: socket.socket, ready: bool) -> None:
    """In the child: tell where it falls, show life, end with its watcher."""
    os.setpgid(0, 0)  # Ctrl-C reaches the watcher alone, which passes it on
    os.environ.pop("TERM", None)  # so that no browser is opened in the terminal: it would stop both
    faulthandler.enable(line)
    faulthandler.register(signal.SIGUSR1, line)
    if ready and "--json" in sys.argv:  # its one line was printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import_module("pipulate.core.process").pid = os.getppid()
    threading.Thread(target=_beat, args=[line], daemon=True).start()


def _beat(line: socket.socket) -> None:
    with suppress(OSError):
        while not select([line], [], [], BEAT)[0]:
            line.send(b".")
    leave(1)


def watched(child: int, line: socket.socket) -> tuple[int, bool, str]:
    """(its exit code, whether it was told to end, where its threads were when it fell)."""
    asked = list[int]()

    def pass_on(number: int, frame) -> None:
        asked.append(number)
        os.kill(child, signal.SIGTERM if number == signal.SIGHUP else number)
        signal.alarm(END)

    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    kept = {n: how for n in numbers if (how := signal.getsignal(n)) != signal.SIG_IGN}  # nohup
    for number in kept:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGALRM, lambda number, frame: os.kill(child, signal.SIGKILL))
    with line:
        said = _heard(child, line)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(0)
    for number, how in kept.items():
        signal.signal(number, how)
    return code, bool(asked), said.lstrip(b".").decode(errors="replace")


def _heard(child: int, line: socket.socket) -> bytes:
    """What it says until it ends: its signs, then where it fell.

    One that is silent is asked where it hangs at the second look (a pause of both, by Ctrl-Z, is
    over by then), and ended at the third."""
    said, silences = b"", 0
    with suppress(OSError):  # it fell in the midst of a sign
        while silences < 3:
            if not select([line], [], [], BEAT if silences == 2 else SILENT / 2)[0]:
                os.kill(child, (0, signal.SIGUSR1, signal.SIGKILL)[silences])
                silences += 1
            elif piece := line.recv(65_536):
                said = said.lstrip(b".") + piece
                silences = silences if silences == 2 else 0
            else:
                break
    return said


def tell(home: Path, what: str) -> None:
    """Keep it in the log of falls, which is for the owner alone."""
    kept = os.open(home / "logs/falls.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with open(kept, "a", encoding="utf-8") as log:
        log.write(f"{time.strftime('%F %T')} {what}\n")


def accuse(home: Path, trace: str, every: bool = False) -> None:
    """Mark the plugin files that were at work, as apps/shelf.py does while it loads one.

    They rest until the user tries them again, or changes them. `every`: none was found, and it
    falls and falls."""
    import hashlib

    parts = trace.split("\n\n")  # by thread; where the fault was first, if one knows
    current = [part for part in parts if part.startswith("Current") and PLUGIN.search(part)]
    names = {Path(path) for path in PLUGIN.findall("\n\n".join(current or parts))}
    files = [path for path in names if path.parent == home.absolute() / "apps"]
    for file in (home / "apps").glob("*.py") if every and not files else files:
        mark = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        (home / f"locks/loading-{mark}").touch(0o600)


if __name__ == "__main__":
    main()
