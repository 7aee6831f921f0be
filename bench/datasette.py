"""Datasette beside ours: put into a folder of the bench's own, never a dependency of Pipulate."""

from __future__ import annotations

import socket
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

from bench.servers import Server

FOLDER = Path(__file__).parent / ".datasette"
VERSION = "0.65.5"
PROGRAM = FOLDER / "bin" / "datasette"


@cache
def program() -> Path | None:
    """Its command, installed when it is not here yet; None, and the reason told, when it cannot."""
    if PROGRAM.is_file():
        return PROGRAM
    venv.create(FOLDER, with_pip=True, clear=True)
    pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
    done = subprocess.run(
        [*pip, "install", f"datasette=={VERSION}"], capture_output=True, text=True
    )
    if done.returncode:
        print(f"Datasette is not here: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    return PROGRAM


def datasette(file: Path) -> Server:
    """It serving a copy of a store, once its port answers. Facets are not suggested: it is

    faster so, and nothing of ours answers to them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = ["--setting", "suggest_facets", "off", "--setting", "max_returned_rows", "200000"]
    command = [str(program()), "serve", str(file), "--port", str(port), *quiet]
    server = Server(command, file.parent, {}, port)
    server.wait()
    return server
