"""MCP: the tool registry for any MCP client, over HTTP (behind the guard) and over stdio.

By the official SDK's low-level server; it takes half a second to load: at the first call.
`ask(request, tool, values)` calls a tool, or lists the `tools` or `apps` as the shell does;
`request` is the HTTP request, None over stdio.
"""

import asyncio
import json
import re
from functools import partial
from importlib import import_module

import anyio
from starlette.requests import Request

from pipulate import __version__
from pipulate.apps.steps import OWN
from pipulate.core.fields import dumps
from pipulate.core.logs import problem_of
from pipulate.core.problems import Missing, nearest

SCHEME = "pipulate://"
PATIENCE = 60.0  # seconds that what was asked may take once a client has closed its side
NOT_FOUND = -32002  # the protocol's code for a resource that is not there
TEMPLATES = {"rows/{app}/{page}": "Rows of an app, 50 a page", "runs/{run}": "A run and its steps"}
TEMPLATES |= {"source/{path}": "A file of Pipulate's own source"}
LEAD = (
    "Lead me through {0}, a pipeline of Pipulate. {1}\nFor each step in turn: say in a sentence "
    "what it does, ask me for what it needs, and wait; then call {0}_run with to_step (and with "
    "run from the second call on), and show me what came out. Questions and approvals are mine.{2}"
)


def make_server(ask):
    """A low-level MCP server over that function."""
    from mcp import types
    from mcp.server.lowlevel import Server

    def as_tool(tool):
        kind, about = tool["class"], {n: tool[n] for n in ("name", "description")}
        hints = {"readOnlyHint": kind == "read", "destructiveHint": kind == "destructive"}
        hints |= {"openWorldHint": kind == "outside"}
        return {**about, "inputSchema": tool["schema"], "annotations": hints}

    async def on_list_tools(context, params):
        return types.ListToolsResult(tools=[*map(as_tool, await ask(context.request, "tools"))])

    async def on_call_tool(context, params):
        try:
            result, failed = await ask(context.request, params.name, params.arguments or {}), False
        except Exception as error:
            result, failed = problem_of(error).as_dict(), True
        text = {"type": "text", "text": dumps(result)}
        return types.CallToolResult(content=[text], is_error=failed)

    handlers = on_list_tools, on_call_tool, *_resources(ask), *_prompts(ask)
    return Server("pipulate", version=__version__, **{each.__name__: each for each in handlers})


def _resources(ask):
    from mcp import MCPError, types

    async def on_list_resources(context, params):
        found, get = {"apps": "Apps and pipelines"}, partial(ask, context.request)
        for tool in await get("tools"):
            if "filters" in tool["schema"]["properties"]:
                found[f"rows/{tool['name'].removesuffix('_list')}"] = tool["description"]
        for run in await get("run_list"):
            found[f"runs/{run['id']}"] = f"{run['pipeline']} {run['name']}"
        names = (f"source/{n}" for n in await get("source") if "home/" not in n)
        found |= dict.fromkeys(names, "Source")
        made = [_about(at) | {"name": at, "description": said} for at, said in found.items()]
        return types.ListResourcesResult(resources=made)

    async def on_list_resource_templates(context, params):
        made = [{"uriTemplate": SCHEME + at, "name": said} for at, said in TEMPLATES.items()]
        return types.ListResourceTemplatesResult(resource_templates=made)

    async def on_read_resource(context, params):
        at = params.uri.removeprefix(SCHEME)
        try:
            text = await _read(at, partial(ask, context.request))
        except Exception as error:
            problem = problem_of(error)
            raise MCPError(NOT_FOUND, str(problem), problem.as_dict()) from None
        return types.ReadResourceResult(contents=[_about(at) | {"text": text}])

    return on_list_resources, on_list_resource_templates, on_read_resource


def _about(at: str):
    kind = "text/x-python" if at.startswith("source/") else "application/json"
    return {"uri": SCHEME + at, "mimeType": kind}


async def _read(at: str, get) -> str:
    if found := re.fullmatch("source/(.+)", at):
        return (await get("source", {"file": found[1]}))["text"]
    if at == "apps":
        result = await get("apps")
    elif found := re.fullmatch(r"rows/([a-z]\w*)(?:/(\d{1,9}))?", at, re.A):
        result = await get(f"{found[1]}_list", {"page": int(found[2] or 1)})
    elif found := re.fullmatch(r"runs/(\d{1,18})", at, re.A):
        result = await get("run_get", {"run": int(found[1])})
    else:
        raise Missing(f"There is no resource {at[:200]!r}.", "Such as rows/task/2; see the list.")
    return dumps(result)


def _prompts(ask):
    from mcp import MCPError, types

    async def pipelines(context):
        """{its name: (what it does, {field: schema})}"""
        found = {}
        for tool in await ask(context.request, "tools"):
            if (fields := tool["schema"]["properties"]).keys() >= {*OWN}:
                own = {name: said for name, said in fields.items() if name not in OWN}
                found[tool["name"].removesuffix("_run")] = tool["description"], own
        return found

    async def on_list_prompts(context, params):
        made = []
        for name, (about, own) in (await pipelines(context)).items():
            asked = [{"name": f, "description": said.get("description")} for f, said in own.items()]
            made.append({"name": name, "description": about, "arguments": asked})
        return types.ListPromptsResult(prompts=made)

    async def on_get_prompt(context, params):
        known, given = await pipelines(context), params.arguments or {}
        about, own = known.get(params.name, ("", known))
        for name in (given.keys() - own.keys()) if about else [params.name]:
            raise MCPError(types.INVALID_PARAMS, f"There is no {name!r}. {nearest(name, own)}")
        said = f"\nGiven already: {json.dumps(given, ensure_ascii=False)}" if given else ""
        text = {"type": "text", "text": LEAD.format(params.name, about, said)}
        return types.GetPromptResult(messages=[{"role": "user", "content": text}])

    return on_list_prompts, on_get_prompt


class McpApp:
    """The ASGI app at /mcp[?profile=NAME]; without a name it is the first profile's."""

    def __init__(self, house):
        self.house, self._task, self._running = house, None, asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.house.profiles.at(Request(scope).query_params.get("profile"))  # else Missing
        self._task = self._task or asyncio.create_task(self._run())
        await self._running.wait()
        await self._manager.handle_request(scope, receive, send)

    async def _ask(self, request, tool, values=None):
        profile = request.query_params.get("profile")
        said = {"actor": "mcp", "profile": profile, "tool": tool, "values": values}
        return await self.house.answer(said)

    async def _run(self):
        sdk = await asyncio.to_thread(import_module, "mcp.server.streamable_http_manager")
        # the guard in front has checked Host and Origin against the real port already
        self._manager = sdk.StreamableHTTPSessionManager(make_server(self._ask))
        async with self._manager.run():
            self._running.set()
            await asyncio.Event().wait()


def _unread(error: Exception):
    from mcp import types
    from mcp.shared.message import SessionMessage

    code = types.PARSE_ERROR if "json_invalid" in str(error) else types.INVALID_REQUEST
    fault = {"code": code, "message": "That line is no JSON-RPC message; the next one is read."}
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=None, error=fault))


async def serve_stdio(ask):
    """Speak MCP on standard input and output until the client closes them and all is answered."""
    from mcp.server.stdio import stdio_server

    server, unanswered = make_server(ask), set()
    to_server, requests = anyio.create_memory_object_stream(0)
    answers, from_server = anyio.create_memory_object_stream(0)

    async def hear(reading, writing):
        async with to_server:
            async for item in reading:
                if isinstance(item, Exception):
                    await writing.send(_unread(item))
                    continue
                message, method = item.message, getattr(item.message, "method", "")
                if method and hasattr(message, "id"):
                    unanswered.add(message.id)
                elif method == "notifications/cancelled":
                    unanswered.discard((message.params or {}).get("requestId"))
                await to_server.send(item)
            with anyio.move_on_after(PATIENCE):
                while unanswered:
                    await anyio.sleep(0.02)

    async def answer(writing):
        async with writing:
            async for item in from_server:
                await writing.send(item)
                unanswered.discard(getattr(item.message, "id", None))

    async with stdio_server() as streams, anyio.create_task_group() as tasks:
        tasks.start_soon(hear, *streams)
        tasks.start_soon(answer, streams[1])
        await server.run(requests, answers, server.create_initialization_options())
