"""MCP: the tool registry for any MCP client, over HTTP (behind the guard) and over stdio.

Model Context Protocol through the official SDK's low-level server, whose tools come from a dict at
call time. Loaded at the first call: importing the SDK costs half a second.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse

from pipulate import __version__
from pipulate.core.problems import Problem

Call = Callable[[str, dict[str, Any]], Awaitable[Any]]
Listing = Callable[[], Awaitable[list[dict[str, Any]]]]


def make_server(listing: Listing, call: Call):
    """A low-level MCP server over two functions: what tools there are, and how one is called."""
    from mcp import types
    from mcp.server.lowlevel import Server

    async def on_list_tools(context, params):
        return types.ListToolsResult(tools=[_as_tool(types, t) for t in await listing()])

    async def on_call_tool(context, params):
        try:
            result, failed = await call(params.name, dict(params.arguments or {})), False
        except Problem as problem:
            result, failed = problem.as_dict(), True
        text = types.TextContent(type="text", text=json.dumps(result, ensure_ascii=False))
        return types.CallToolResult(content=[text], is_error=failed)

    serving = {"on_list_tools": on_list_tools, "on_call_tool": on_call_tool}
    return Server("pipulate", version=__version__, **serving)


def _as_tool(types, tool: dict[str, Any]):
    about = {name: tool[name] for name in ("name", "description")}
    kind = tool["class"]
    hints = types.ToolAnnotations(
        read_only_hint=kind == "read",
        destructive_hint=kind == "destructive",
        open_world_hint=kind == "outside",
    )
    return types.Tool(**about, input_schema=tool["schema"], annotations=hints)


class McpApp:
    """The ASGI app at /mcp[?profile=NAME]; without a name it is the first profile's."""

    def __init__(self, house):
        self.house = house
        self._apps: dict[str, Any] = {}
        self._lock = asyncio.Lock()

    async def __call__(self, scope, receive, send):
        name = parse_qs(scope["query_string"].decode("latin-1")).get("profile", [None])[0]
        try:
            slug = self.house.profiles.at(name).slug
        except Problem as problem:
            return await JSONResponse(problem.as_dict(), 404)(scope, receive, send)
        async with self._lock:
            if slug not in self._apps:
                self._apps[slug] = await self._start(slug)
        await self._apps[slug](scope | {"path": "/", "root_path": ""}, receive, send)

    async def _start(self, slug: str):
        from mcp.server.transport_security import TransportSecuritySettings

        tools = self.house.tools

        async def listing():
            return tools.listing()

        async def call(name: str, values: dict[str, Any]):
            return await tools.call(name, values, self.house.caller("mcp", slug))

        server = make_server(listing, call)
        # the guard in front has checked Host and Origin against the real port already
        trusting = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        app = server.streamable_http_app(streamable_http_path="/", transport_security=trusting)
        started = asyncio.Event()

        async def keep_running():
            async with server.session_manager.run():
                started.set()
                await asyncio.Event().wait()

        self._task = asyncio.create_task(keep_running())
        await started.wait()
        return app


async def serve_stdio(listing: Listing, call: Call):
    """Speak MCP on standard input and output until the client closes them."""
    from mcp.server.stdio import stdio_server

    server = make_server(listing, call)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
