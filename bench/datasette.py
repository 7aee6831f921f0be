"""Datasette beside ours: put into a folder of the bench's own, never a dependency of Pipulate."""

from __future__ import annotations

import socket
from pathlib import Path

from bench.beside import python_with
from bench.servers import Server

VERSION = "0.65.5"


def program() -> Path | None:
    """Its command; None, and the reason told, when it cannot be installed."""
    python = python_with("datasette", f"datasette=={VERSION}")
    return python and python.with_name("datasette")


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
