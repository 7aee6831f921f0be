"""Processes: one that stays whatever a plugin does in it, a worker's pipe, a server's lock."""

import asyncio
import atexit
from contextlib import suppress
import gc
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process

from filelock import FileLock, Timeout

from pipulate.core.fields import dumps
from pipulate.core.problems import Problem
from pipulate.core.settings import Settings
from pipulate.core.store import Row

LINE_LIMIT = 8 * 2**20  # bytes of one answer; what is larger lies in a file (core/outputs.py)
end = os._exit  # ends this process at once, whatever its threads do
pid = os.getpid()  # of a server its watcher's (__main__.py)
atexit.register(gc.freeze)  # an end collects no garbage


def stay() -> None:
    """From now on os._exit and os.abort end the code that calls them; not so in a fork."""
    ours = os.getpid()

    def leave(code: int = 134) -> None:
        if os.getpid() != ours:
            end(code)
        raise SystemExit(f"os._exit({code})")

    os._exit = os.abort = leave  # type: ignore[assignment]


async def spawn(module: str) -> Process:
    """A worker, in a group of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-X", "utf8", "-m", module),  # -u: prints are shown at once
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=LINE_LIMIT,
        start_new_session=True,  # its children die with it
    )


async def receive(process: Process) -> Row:
    """Its next message. Raises Problem when it has ended, or says too much."""
    assert process.stdout
    try:
        return json.loads(await process.stdout.readuntil())
    except asyncio.LimitOverrunError:
        what = f"The output is over {LINE_LIMIT // 2**20} MB."
        raise Problem(what, "Write it to a file: File(path).") from None
    except asyncio.IncompleteReadError:
        if await process.wait() == -signal.SIGTERM:  # as all programs are, at a logout
            raise asyncio.CancelledError from None
        raise lost(f"exit code {process.returncode}") from None


async def send(process: Process, message: Row) -> None:
    """Say something to it; one that is gone hears nothing."""
    assert process.stdin
    process.stdin.write(dumps(message).encode() + b"\n")
    with suppress(OSError):
        await process.stdin.drain()


async def kill(process: Process) -> None:
    """At once, with everything it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    # What left its group (a browser, a daemon) may hold the pipes open: wait for none of them.
    # Closing the transport would reap the process before the one who watches it does.
    for number in range(3):
        if pipe := process._transport.get_pipe_transport(number):  # type: ignore[attr-defined]
            pipe.close()
    await process.wait()


def lost(reason: str) -> Problem:
    """It ended before it had answered."""
    what = f"The step's process ended without an answer ({reason})."
    return Problem(what, "Finished steps are safe. Retry; if it happens again, look at its log.")


def server_lock(settings: Settings, timeout: float = 0.1) -> FileLock:
    """`timeout`: seconds; who only looks holds it for less."""
    return FileLock(settings.folder("locks") / "server.lock", timeout)


def server_info(settings: Settings) -> Row | None:
    """server.json of a server that holds the lock; one that starts is waited for."""
    for _ in range(200):
        try:  # one looks at a time: only a server can be in its way
            with FileLock(settings.folder("locks") / "look", 1), server_lock(settings, 0):
                return None
        except Timeout:
            with suppress(OSError):
                return json.loads((settings.home / "server.json").read_text())
        except OSError:
            return None
        time.sleep(0.05)
    return {"url": "(starting)"}
