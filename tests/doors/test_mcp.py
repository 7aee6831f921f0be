"""MCP clients over HTTP and over stdio: the same tools, the same problems, the same approvals."""

import contextlib
import json
import os
import re
import subprocess
import sys

import httpx2
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from serving import NOWHERE


@contextlib.asynccontextmanager
async def over_http(server, profile=""):
    key = {"Authorization": f"Bearer {server.keys['token']}"}
    address = f"{server.url}/mcp" + (f"?profile={profile}" if profile else "")
    async with httpx2.AsyncClient(headers=key, timeout=10) as client:
        wire = streamable_http_client(address, http_client=client)
        async with wire as streams, ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            yield session


@contextlib.asynccontextmanager
async def over_stdio(server, profile=""):
    words = ["-m", "pipulate", "mcp", "--home", str(server.home)]
    words += ["--profile", profile] if profile else []
    env = {**os.environ, "OLLAMA_HOST": NOWHERE}
    parameters = StdioServerParameters(command=sys.executable, args=words, env=env)
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield session


WAYS = {"http": over_http, "stdio": over_stdio}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def ask(request, server, run):
    """ask(work, profile): the result of `await work(session)` in a session of its own."""

    def asking(work, profile=""):
        async def inside():
            async with request.param(server, profile) as session:
                return await work(session)

        return run(inside())

    return asking


def call(name, /, **values):
    async def work(session):
        answer = await session.call_tool(name, values)
        return answer.is_error, json.loads(answer.content[0].text)

    return work


def test_the_tools_are_those_of_the_shell_by_name_text_and_schema(server, ask):
    command = [sys.executable, "-m", "pipulate", "tools", "--json", "--home", str(server.home)]
    shell = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    tools = ask(lambda session: session.list_tools()).tools
    found = [
        {"name": t.name, "description": t.description, "schema": t.input_schema} for t in tools
    ]
    assert found == [{k: t[k] for k in ("name", "description", "schema")} for t in shell]
    hints = {t.name: t.annotations for t in tools}
    assert hints["task_list"].read_only_hint and hints["profile_delete"].destructive_hint


def test_a_tool_is_called_and_the_change_is_logged_as_from_mcp(server, ask):
    failed, made = ask(call("task_add", title="by a client"))
    assert not failed and made["title"] == "by a client"
    event = server.call("history")[0]
    assert event["actor"] == "mcp" and "by a client" in event["summary"]


def test_a_pipeline_runs_and_waits_for_what_it_lacks(ask):
    async def both(session):
        return await call("hello_run", name="Ada")(session), await call("hello_run")(session)

    (failed, result), (also, waits) = ask(both)
    assert not failed and result["output"] == 11
    assert not also and waits["state"] == "waiting" and waits["waiting_for"] == ["name"]


WRONG = [
    ("task_add", {}, "invalid"),
    ("task_add", {"title": 5}, "invalid"),
    ("task_add", {"title": "x", "evil": 1}, "invalid"),
    ("task_get", {"id": 999999}, "missing"),
    ("task_explode", {}, "unknown"),
    ("links_run", {"csv": "/etc/passwd", "origin": "a", "target": "b"}, "refused"),
]


def test_what_does_not_fit_is_an_error_result_that_says_how_to_go_on(ask):
    async def all_of_them(session):
        return [await call(name, **values)(session) for name, values, _ in WRONG]

    for (name, values, kind), (failed, result) in zip(WRONG, ask(all_of_them), strict=True):
        assert failed and result["problem"] and result["next_step"], (name, values, result)
        assert result["kind"] == kind, (name, values, result)


def test_a_destructive_call_answers_at_once_and_its_result_is_fetched_later(server, ask):
    slug = server.call("profile_add", name="Gone soon")["slug"]
    failed, waits = ask(call("profile_delete", profile=slug))
    assert failed and waits["kind"] == "needsapproval"
    assert waits["address"] == f"/default/approvals/{waits['approval']}"
    failed, result = ask(call("approval_result", approval=waits["approval"]))
    assert not failed and result == {"state": "waiting", "result": None}
    assert slug in [p["slug"] for p in server.call("profile_list")]
    digest = re.search(r"[0-9a-f]{64}", server.page(waits["address"]))[0]
    yes = {"yes": "yes", "hash": digest}
    assert server.act("POST", waits["address"], yes).status_code == 200
    failed, result = ask(call("approval_result", approval=waits["approval"]))
    assert result["state"] == "done" and result["result"]["deleted"] == slug
    assert slug not in [p["slug"] for p in server.call("profile_list")]


def test_a_client_works_in_the_profile_it_names_and_in_the_first_one_else(server, ask):
    if "team" not in [p["slug"] for p in server.call("profile_list")]:
        server.call("profile_add", name="Team")
    server.page("/team")  # the profile seen last must not matter
    ask(call("task_add", title="for the team"), "team")
    ask(call("task_add", title="for the first"))
    team = [r["title"] for r in server.call("task_list", profile="team")["rows"]]
    first = [r["title"] for r in server.call("task_list")["rows"]]
    assert "for the team" in team and "for the team" not in first
    assert "for the first" in first and "for the first" not in team


def test_a_client_without_the_right_token_is_refused(server):
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    kinds = {"Accept": "application/json, text/event-stream"}
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": server.keys["token"]}):
        for path in ("/mcp", "/mcp?profile=default"):
            answer = httpx2.post(server.url + path, json=hello, headers={**kinds, **given})
            assert answer.status_code == 401


def test_a_profile_that_is_not_there_is_a_404_with_the_names_there_are(server):
    key = {"Authorization": f"Bearer {server.keys['token']}"}
    answer = httpx2.post(f"{server.url}/mcp?profile=nobody", json={}, headers=key)
    assert answer.status_code == 404 and "default" in answer.json()["next_step"]


def test_a_body_that_is_no_json_is_refused_and_not_a_fault(server):
    errors = server.log.count("ERROR")
    key = {"Authorization": f"Bearer {server.keys['token']}", "Content-Type": "text/plain"}
    assert httpx2.post(f"{server.url}/mcp", content=b"{}", headers=key).status_code in (
        400,
        406,
        415,
    )
    assert server.log.count("ERROR") == errors
