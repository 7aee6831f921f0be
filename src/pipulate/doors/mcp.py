"""MCP: the tool registry for any MCP client, over HTTP (behind the guard) and over stdio.

Model Context Protocol by the low-level server of the official SDK, which is loaded at the first
call: that costs half a second. `listing(request)` gives the tools as `pipulate tools --json` does,
`call(request, name, values)` runs one; `request` is the HTTP request, None over stdio.
"""

import asyncio
import json

from starlette.requests import Request
from starlette.responses import JSONResponse

from pipulate import __version__
from pipulate.core.problems import Problem


def make_server(listing, call):
    """A low-level MCP server over those two functions."""
    from mcp import types
    from mcp.server.lowlevel import Server

    def as_tool(tool):
        kind = tool["class"]
        hints = types.ToolAnnotations(
            read_only_hint=kind == "read",
            destructive_hint=kind == "destructive",
            open_world_hint=kind == "outside",
        )
        about = {"name": tool["name"], "description": tool["description"]}
        return types.Tool(**about, input_schema=tool["schema"], annotations=hints)

    async def on_list_tools(context, params):
        return types.ListToolsResult(tools=[*map(as_tool, await listing(context.request))])

    async def on_call_tool(context, params):
        try:
            result, failed = await call(context.request, params.name, params.arguments or {}), False
        except Problem as problem:
            result, failed = problem.as_dict(), True
        text = types.TextContent(type="text", text=json.dumps(result, ensure_ascii=False))
        return types.CallToolResult(content=[text], is_error=failed)

    serving = {"on_list_tools": on_list_tools, "on_call_tool": on_call_tool}
    return Server("pipulate", version=__version__, **serving)


class McpApp:
    """The ASGI app at /mcp[?profile=NAME]; without a name it is the first profile's."""

    def __init__(self, house):
        self.house, self._manager, self._running = house, None, asyncio.Event()

    async def __call__(self, scope, receive, send):
        try:
            self._caller(Request(scope))
        except Problem as problem:
            return await JSONResponse(problem.as_dict(), 404)(scope, receive, send)
        if not self._manager:
            self._start()
        await self._running.wait()
        await self._manager.handle_request(scope, receive, send)

    def _caller(self, request: Request):
        return self.house.caller("mcp", request.query_params.get("profile"))

    def _start(self):
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        async def listing(request):
            return self.house.tools.listing()

        async def call(request, name, values):
            return await self.house.tools.call(name, values, self._caller(request))

        async def keep_running():
            async with self._manager.run():
                self._running.set()
                await asyncio.Event().wait()

        # the guard in front has checked Host and Origin against the real port already
        self._manager = StreamableHTTPSessionManager(make_server(listing, call))
        self._task = asyncio.create_task(keep_running())


async def serve_stdio(listing, call):
    """Speak MCP on standard input and output until the client closes them."""
    from mcp.server.stdio import stdio_server

    server = make_server(listing, call)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
