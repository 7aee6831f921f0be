"""MCP clients over HTTP and over stdio: the same tools, the same problems, the same approvals."""

import asyncio
import contextlib
import functools
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import ClientSession, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from pipulate.doors import mcp as door
from pipulate.core.source import PACKAGE as SOURCE
from pipulate.doors.mcp import SCHEME
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


@pytest.fixture(scope="module")
def by_program(server):
    """by_program(work, profile): by one program for each profile, as long as the module lasts."""
    with start_blocking_portal() as portal, contextlib.ExitStack() as stack:

        @functools.cache
        def session(profile):
            opening = portal.wrap_async_context_manager(over_stdio(server, profile))
            return stack.enter_context(opening)

        yield lambda work, profile="": portal.call(work, session(profile))


@pytest.fixture(params=["http", "stdio"])
def ask(request, server, run):
    """ask(work, profile): the result of `await work(session)`; over HTTP in one of its own."""
    if request.param == "stdio":
        return request.getfixturevalue("by_program")

    def asking(work, profile=""):
        async def inside():
            async with over_http(server, profile) as session:
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


BROKEN = """from pipulate import CrudApp, tool

class Fuse(CrudApp):
    name: str

    @tool
    def blow(self):
        raise KeyError("token=hunter2secret")
"""


def test_given_a_tool_that_raises_then_a_client_is_given_a_reference_and_not_its_text(
    server, ask, until
):
    file = server.home / "apps" / "fuses.py"
    file.write_text(BROKEN)
    until(lambda: "fuse_add" in [tool["name"] for tool in server.call("tools")], 10)
    failed, said = ask(call("fuse_blow", id=server.call("fuse_add", name="a")["id"]))
    assert failed and "hunter2secret" not in str(said)
    assert re.search(r"reference (\w+)", said["problem"])[1] in server.log
    file.unlink()


def test_a_fault_in_an_mcp_program_without_a_server_is_in_the_log_of_its_home(tmp_path, run):
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps/fuses.py").write_text(BROKEN)

    async def blown():
        async with over_stdio(SimpleNamespace(home=tmp_path)) as session:
            await call("fuse_add", name="a")(session)
            return await call("fuse_blow", id=1)(session)

    failed, said = run(blown())
    log = (tmp_path / "logs/pipulate.log").read_text()
    assert failed and re.search(r"reference (\w+)", said["problem"])[1] in log
    assert "KeyError" in log and "hunter2secret" not in log


def test_an_export_is_the_shell_s_alone_and_no_broken_answer_over_stdio(ask):
    failed, result = ask(call("export", app="task", form="csv", raw=False, where=""))
    assert failed and result["kind"] == "unknown"


def test_a_destructive_call_answers_at_once_and_its_result_is_fetched_later(server, ask):
    slug = server.call("profile_add", name="Gone soon")["slug"]
    failed, waits = ask(call("profile_delete", profile=slug))
    assert failed and waits["kind"] == "needsapproval"
    assert waits["address"] == f"/default/approvals/{waits['approval']}"
    assert f" {server.url}{waits['address']};" in waits["next_step"], "a link to click"
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


# -- resources ---------------------------------------------------------------------------------


def read(at):
    """read(at)(session): a resource's JSON, or its text when it is a source file."""

    async def work(session):
        (content,) = (await session.read_resource(SCHEME + at)).contents
        assert content.uri == SCHEME + at and content.mime_type
        return json.loads(content.text) if "json" in content.mime_type else content.text

    return work


def test_apps_rows_runs_and_the_source_are_listed_as_they_are_now(server, ask):
    async def names(session):
        return {r.uri.removeprefix(SCHEME) for r in (await session.list_resources()).resources}

    async def around(session):
        before = await names(session)
        run = (await call("hello_run", name="Ada")(session))[1]["run"]
        (server.home / "apps/cheeses.py").write_text(
            "from pipulate import CrudApp\nclass Cheese(CrudApp):\n    name: str\n"
        )
        try:
            until = time.monotonic() + 5
            while "rows/cheese" not in (after := await names(session)):
                assert time.monotonic() < until
        finally:
            (server.home / "apps/cheeses.py").unlink()
        while "rows/cheese" in (last := await names(session)):
            assert time.monotonic() < until + 15
        return before, after, last, run

    before, after, last, run = ask(around)
    assert after - before == {"rows/cheese", f"runs/{run}"}
    assert last == after - {"rows/cheese"}
    files = {f"source/{p.relative_to(SOURCE).as_posix()}" for p in SOURCE.rglob("*.py")}
    assert {"apps", "rows/task", "rows/memory", *files} <= before and len(files) > 60


def test_everything_that_is_listed_can_be_read(ask):
    async def all_of_it(session):
        listed = (await session.list_resources()).resources
        few = [
            r for r in listed if "source/" not in r.uri or r.uri.endswith(("tools.py", "mcp.py"))
        ]
        return [await read(r.uri.removeprefix(SCHEME))(session) for r in few]

    read_all = ask(all_of_it)
    assert len(read_all) > 8 and all(read_all)
    assert {"name": "hello", "kind": "pipeline"}.items() <= next(
        app for app in read_all[0] if app["name"] == "hello"
    ).items()


def test_rows_come_page_by_page(server, ask):
    for n in range(60):
        server.call("task_add", title=f"paged {n}")

    async def pages(session):
        return [await read(f"rows/task{page}")(session) for page in ("", "/1", "/2", "/999")]

    first, again, second, none = ask(pages)
    assert first == again and len(first["rows"]) == 50 and first["count"] >= 60
    ids = [row["id"] for row in first["rows"] + second["rows"]]
    assert len(ids) == len(set(ids)) and second["page"] == 2 and none["rows"] == []


def test_a_client_reads_the_rows_of_its_profile(server, ask):
    if "team" not in [p["slug"] for p in server.call("profile_list")]:
        server.call("profile_add", name="Team")
    server.call("note_add", profile="team", title="only the team's")
    assert "only the team's" in json.dumps(ask(read("rows/note"), "team"))
    assert "only the team's" not in json.dumps(ask(read("rows/note")))


def test_a_run_is_read_with_its_steps(ask):
    async def both(session):
        run = (await call("hello_run", name="Ada")(session))[1]["run"]
        return await read(f"runs/{run}")(session)

    steps = {step["step"]: step["state"] for step in ask(both)["steps"]}
    assert steps == {"person": "done", "greeting": "done", "letters": "done"}


def test_the_source_is_read_as_it_is_on_disk(ask):
    assert ask(read("source/core/tools.py")) == (SOURCE / "core/tools.py").read_text()


NOWHERE_AT = [
    "",
    "x",
    "rows",
    "rows/",
    "rows/nothing",
    "rows/profile",
    "rows/run",
    "rows/task/0x1",
    "rows/task/1/2",
    "rows/task/" + "9" * 5_000,
    "rows/task_delete",
    "runs/x",
    "runs/-1",
    "runs/999999",
    "runs/" + "9" * 30,
    "source/",
    "source/../../etc/passwd",
    "source/core/../core/tools.py",
    "source//etc/passwd",
    "source/web/assets/htmx.min.js",
    "source/core/tools.py%00",
    "../server.json",
]


def test_what_is_not_there_is_said_and_no_path_leads_out(server, ask):
    async def all_of_them(session):
        told = {}
        for at in NOWHERE_AT:
            with pytest.raises(MCPError) as raised:
                await session.read_resource(SCHEME + at)
            told[at] = raised.value.error
        return told

    for at, error in ask(all_of_them).items():
        assert error.code == door.NOT_FOUND and error.data["problem"], (at, error)


def test_no_secret_is_in_any_resource(server, ask):
    file = server.home / "apps/logins.py"
    own = "from pipulate import *\nclass Login(CrudApp):\n    site: str\n    key: Secret\n"
    file.write_text(own)
    until = time.monotonic() + 5
    while "login_add" not in [t["name"] for t in server.call("tools")]:
        assert time.monotonic() < until
    server.call("login_add", site="a", key="hunter2-is-planted")

    async def everything(session):
        listed = (await session.list_resources()).resources
        rows = [r.uri.removeprefix(SCHEME) for r in listed if "source/" not in r.uri]
        return json.dumps([await read(at)(session) for at in rows])

    said = ask(everything)
    file.unlink()
    assert "set, ends" in said and "hunter2" not in said
    assert not [key for key in (server.keys["token"], server.keys["shell"]) if key in said]


# -- prompts -----------------------------------------------------------------------------------


def test_there_is_a_prompt_for_each_pipeline_with_its_fields(server, ask):
    prompts = {p.name: p for p in ask(lambda session: session.list_prompts()).prompts}
    pipelines = {app["name"] for app in server.call("apps") if app["kind"] == "pipeline"}
    assert prompts.keys() == pipelines >= {"hello", "links"}
    assert [a.name for a in prompts["hello"].arguments] == ["name", "mark"]
    assert not any(a.required for a in prompts["hello"].arguments)


def test_a_prompt_leads_step_by_step_and_takes_along_what_is_given(ask):
    async def get(session):
        bare = await session.get_prompt("hello", {})
        return bare, await session.get_prompt("hello", {"name": "Ada {0}"})

    bare, given = (answer.messages[0].content.text for answer in ask(get))
    for word in ("hello_run", "to_step", "wait", "person → greeting → letters"):
        assert word in bare
    assert "Given already" not in bare and '{"name": "Ada {0}"}' in given


LOST = [("helo", {}), ("hello", {"nam": "x"}), ("", {}), ("task", {})]


def test_a_prompt_or_a_field_that_is_not_there_names_the_nearest(ask):
    async def all_of_them(session):
        errors = []
        for name, given in LOST:
            with pytest.raises(MCPError) as raised:
                await session.get_prompt(name, given)
            errors.append(raised.value.error)
        return errors

    for error in ask(all_of_them):
        assert error.code == -32602 and re.search("Did you mean|Known", error.message), error


# -- another client, written for this test: JSON-RPC over plain HTTP, no SDK ---------------------


class Plain:
    """The protocol as its text describes it: POST a message, read JSON or an event stream."""

    def __init__(self, server):
        self.url, self.count = f"{server.url}/mcp", 0
        self.headers = {
            "Authorization": f"Bearer {server.keys['token']}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-06-18",
        }
        about = {"protocolVersion": "2025-06-18", "capabilities": {}}
        about["clientInfo"] = {"name": "plain", "version": "1"}
        self.told = self.ask("initialize", **about)
        assert (
            self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
        )

    def post(self, message):
        answer = httpx2.post(self.url, json=message, headers=self.headers, timeout=10)
        if session := answer.headers.get("mcp-session-id"):
            self.headers["Mcp-Session-Id"] = session
        return answer

    def ask(self, method, **params):
        """The result, or {"error": …}."""
        self.count += 1
        said = {"jsonrpc": "2.0", "id": self.count, "method": method, "params": params}
        answer = self.post(said)
        assert answer.status_code == 200, answer.text
        text = answer.text
        if "event-stream" in answer.headers["content-type"]:
            lines = text.splitlines()
            text = next(line[6:] for line in lines if line.startswith('data: {"jsonrpc'))
        data = json.loads(text)
        assert data["jsonrpc"] == "2.0" and data["id"] == self.count
        return data.get("result", data)


def test_a_client_of_another_make_lists_calls_reads_and_is_led(server):
    client = Plain(server)
    assert {"tools", "resources", "prompts"} <= client.told["capabilities"].keys()
    assert client.told["serverInfo"]["name"] == "pipulate"
    tools = {tool["name"]: tool for tool in client.ask("tools/list")["tools"]}
    assert tools["task_list"]["annotations"]["readOnlyHint"] is True
    made = client.ask("tools/call", name="task_add", arguments={"title": "by plain"})
    assert json.loads(made["content"][0]["text"])["title"] == "by plain" and not made["isError"]
    listed = [r["uri"] for r in client.ask("resources/list")["resources"]]
    assert "pipulate://rows/task" in listed
    (page,) = client.ask("resources/read", uri="pipulate://rows/task")["contents"]
    assert page["mimeType"] == "application/json" and "by plain" in page["text"]
    templates = client.ask("resources/templates/list")["resourceTemplates"]
    assert "pipulate://rows/{app}/{page}" in [t["uriTemplate"] for t in templates]
    assert "hello" in [prompt["name"] for prompt in client.ask("prompts/list")["prompts"]]
    led = client.ask("prompts/get", name="hello", arguments={"name": "Ada"})
    assert led["messages"][0]["role"] == "user" and "Ada" in led["messages"][0]["content"]["text"]
    lost = client.ask("resources/read", uri="pipulate://rows/nothing")
    assert lost["error"]["code"] == -32002 and lost["error"]["message"]
    assert "error" in client.ask("prompts/get", name="nothing")
    assert "error" in client.ask("no/such/method")


def test_the_sdk_is_loaded_only_when_a_client_comes():
    code = "import sys, pipulate.doors.mcp, pipulate.web.run; print('mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_while_the_sdk_is_loaded_pages_are_answered(house, run, monkeypatch):
    threads = []

    def watched(name):
        threads.append(threading.current_thread())
        return importlib.import_module(name)

    async def begin():
        app = door.McpApp(house)
        running = asyncio.create_task(app._run())
        await app._running.wait()
        running.cancel()
        await asyncio.wait([running])

    monkeypatch.setattr(door, "import_module", watched)
    run(begin())
    assert threads and threading.main_thread() not in threads


def test_a_client_that_asks_and_closes_its_side_is_answered_all_the_same(tmp_path):
    begin = {"protocolVersion": "2025-06-18", "capabilities": {}}
    begin |= {"clientInfo": {"name": "pipe", "version": "1"}}
    asked = [
        {"id": 1, "method": "initialize", "params": begin},
        {"method": "notifications/initialized"},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "task_add", "arguments": {"title": "piped"}},
        },
        {"id": 3, "method": "tools/call", "params": {"name": "task_list", "arguments": {}}},
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pipulate", "mcp", "--home", str(tmp_path / "home")],
        input="".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked),
        capture_output=True,
        text=True,
        timeout=60,
    )
    answers = {said["id"]: said for said in map(json.loads, done.stdout.splitlines())}
    assert sorted(answers) == [1, 2, 3], done.stdout + done.stderr
    assert "piped" in answers[2]["result"]["content"][0]["text"]


def test_a_line_of_garbage_is_a_parse_error_and_the_next_one_is_read(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pipulate", "mcp", "--home", str(tmp_path / "home")],
        input='garbage\n\x00\n[1, 2]\n{"jsonrpc": "2.0", "id": 4, "method": "ping"}\n',
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = [*map(json.loads, done.stdout.splitlines())]
    codes = [(answer["id"], answer.get("error", {}).get("code")) for answer in said]
    assert codes == [(None, -32700), (None, -32700), (None, -32600), (4, None)], done.stderr


def test_a_client_that_gives_a_call_up_and_closes_its_side_is_not_kept_waiting(tmp_path):
    (tmp_path / "apps").mkdir()
    nap = "import time\nfrom pipulate import Pipeline\nnap = Pipeline('Nap')\n"
    nap += "@nap.step\ndef sleeps():\n    time.sleep(100)\n"
    (tmp_path / "apps/nap.py").write_text(nap)
    begin = {"protocolVersion": "2025-06-18", "capabilities": {}}
    begin |= {"clientInfo": {"name": "pipe", "version": "1"}}
    said = [
        {"id": 1, "method": "initialize", "params": begin},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "nap_run", "arguments": {}}},
        {"method": "notifications/cancelled", "params": {"requestId": 2}},
    ]
    subprocess.run(
        [sys.executable, "-m", "pipulate", "mcp", "--home", str(tmp_path)],
        input="".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in said),
        stdout=subprocess.DEVNULL,
        text=True,
        timeout=door.PATIENCE / 2,
        check=True,
    )


def test_given_no_server_then_an_approval_says_to_start_one_and_ctrl_c_ends_the_client_s_program(
    tmp_path,
):
    begin = {"protocolVersion": "2025-06-18", "capabilities": {}}
    begin |= {"clientInfo": {"name": "pipe", "version": "1"}}
    call = {"name": "profile_delete", "arguments": {"profile": "default"}}
    command = [sys.executable, "-m", "pipulate", "mcp", "--home", str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        for n, (method, params) in enumerate([("initialize", begin), ("tools/call", call)]):
            said = {"jsonrpc": "2.0", "id": n, "method": method, "params": params}
            print(json.dumps(said), file=process.stdin, flush=True)
            answer = process.stdout.readline()
        assert "open `pipulate` and there /default/approvals/" in answer
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
