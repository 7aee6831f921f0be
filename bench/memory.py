"""Resident memory of the server and its children: idle, after a chat, after an MCP call."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, medians
from bench.servers import Server, baseline, baseline_file, model_server, ours
from bench.tokens import chat

TOKENS = 50
ACCEPT = "application/json, text/event-stream"


def settled(server: Server) -> float:
    """MB a quarter of a second after the last request."""
    time.sleep(0.25)
    return server.rss()


def mcp_call(server: Server, home: Path) -> None:
    """Initialize, then one tool call, as any MCP client does."""
    key = json.loads((home / "server.json").read_text())["token"]
    about = {"name": "bench", "version": "1"}
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about}
    session = _say(server, key, {"id": 1, "method": "initialize", "params": params})
    _say(server, key, {"method": "notifications/initialized"}, session)
    params = {"name": "task_list", "arguments": {}}
    said = _say(server, key, {"id": 2, "method": "tools/call", "params": params}, session)
    if "mcp-session-id" not in session or b"rows" not in said["body"]:
        raise RuntimeError(f"The MCP call failed: {said}")


def _say(server: Server, key: str, message: dict, session: dict | None = None) -> dict:
    """Send one JSON-RPC message; the session's header and the body that came."""
    body, kept = json.dumps({"jsonrpc": "2.0", **message}), session or {}
    headers = {k: v for k, v in kept.items() if k == "mcp-session-id"}
    headers |= {"authorization": f"Bearer {key}", "content-type": "application/json"}
    text = server.ask("/mcp", "POST", body, accept=ACCEPT, **headers)
    found = server.answer.headers.get("mcp-session-id")
    return {"body": text} | ({"mcp-session-id": found} if found else {})


def our_memory(folder: Path, model: Server) -> dict[str, float]:
    home = folder / "home"
    with ours(home, model.info["url"]) as server:
        server.visit()
        found = {"idle": settled(server)}
        chat(server, TOKENS)
        found["chat"] = settled(server)
        mcp_call(server, home)
        return found | {"all": settled(server)}


def base_memory(folder: Path, model: Server) -> dict[str, float]:
    if not baseline_file("fasthtml_todo.py") or not baseline_file("fasthtml_chat.py"):
        return {}
    with baseline("fasthtml_todo.py", folder) as server:
        server.visit()
        idle = settled(server)
    with baseline("fasthtml_chat.py", folder, model.info["url"]) as server:
        server.visit()
        chat(server, TOKENS, own=False)
        return {"idle": idle, "chat": settled(server)}


def run(rounds: int) -> list[Figure]:
    """Memory hardly varies: two rounds are enough."""
    with tempfile.TemporaryDirectory() as name, model_server(TOKENS) as model:
        pairs = [
            (our_memory(Path(name), model), base_memory(Path(name), model))
            for _ in range(min(rounds, 2))
        ]
    mine, base = medians([own for own, _ in pairs]), medians([base for _, base in pairs])
    return [
        Figure("memory idle", "MB", mine["idle"], base.get("idle"), 65, 90),
        Figure("memory after a chat", "MB", mine["chat"], base.get("chat"), 100, 130),
        Figure("memory after chat and MCP", "MB", mine["all"], base.get("chat"), 100, 130),
    ]
