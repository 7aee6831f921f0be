"""The app Botify: a token is checked before it is kept, and shown to nobody afterwards."""

import asyncio
import json
import subprocess
import sys
import time

import apsw
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from model_server import ModelServer, Reply
from pipulate import Problem
from pipulate.botify.account import DEMO
from pipulate.botify.stand_in import OWNER, PROJECT
from serving import hear, serving

NAME = f"{OWNER}/{PROJECT}"


@pytest.fixture
def page(connected, run):
    """page(method, path, **form): what a route of the app gives, as text."""
    from pipulate.apps.base import Visit
    from pipulate.apps.markup import html

    def visiting(method="GET", path="", **form):
        app = connected.shelf.get("botify")
        for route in app.routes:
            if route.match(method, path) is not None:
                caller = connected.caller("user", confirmed=True)
                drawn = run(route.run(Visit(connected, caller, app, form=form)))
                parts = drawn if isinstance(drawn, tuple) else [drawn]
                return " ".join(html(p) if hasattr(p, "tag") else str(p) for p in parts)
        raise AssertionError(f"no route for {method} {path}")

    return visiting


# -- the token ---------------------------------------------------------------------------------


def test_a_token_that_botify_refuses_is_not_kept(house, call):
    with pytest.raises(Problem, match="not authorised"):
        call("botify_connect", token="wrong")
    assert call("botify_status")["token"] == ""
    assert house.db.all("SELECT 1 FROM store WHERE value LIKE '%wrong%'") == []


@pytest.mark.parametrize("text", ["", "  ", "two words", "naïve", "line\x00end"])
def test_what_can_be_no_token_is_not_even_sent(house, call, service, text):
    with pytest.raises(Problem):
        call("botify_connect", token=text)
    assert service.seen == []


@pytest.mark.parametrize("actor", ["model", "mcp"])
def test_only_a_person_enters_a_token(house, call, service, actor):
    with pytest.raises(Problem, match="entered by a person"):
        call("botify_connect", actor, token=service.token)
    assert service.seen == []


def test_the_page_welcomes_by_name_and_shows_the_last_four_characters(page, service):
    shown = page()
    assert "Welcome, demo.user." in shown and f"set, ends …{service.token[-4:]}" in shown
    assert service.token not in shown and service.token[:-4] not in shown


def test_a_token_that_botify_refused_is_not_welcomed_until_it_is_taken_again(page, call, service):
    assert "Welcome" in page()
    old, service.token = service.token, "stand-in-renewed-0001"
    with pytest.raises(Problem, match="401"):
        call("botify_projects", refresh=True)
    shown = page()
    assert "Botify refused the token." in shown and "Welcome" not in shown
    assert f"set, ends …{old[-4:]}" in shown and "<details open" in shown
    call("botify_connect", token=service.token)
    assert "Welcome" in page()


def test_one_click_deletes_the_token(page, connected, service):
    page("POST", "forget")
    assert 'type="password"' in page() and "Welcome" not in page()
    assert connected.db.all("SELECT 1 FROM store WHERE value LIKE ?", (f"%{service.token}%",)) == []
    assert DEMO in page(), "the tour is offered, plainly labelled"


def test_a_token_that_was_deleted_is_in_no_file_of_the_home_any_more(page, connected, service):
    def holding():
        files = connected.settings.home.glob("pipulate.db*")
        return [path.name for path in files if service.token.encode() in path.read_bytes()]

    assert holding(), "it was kept"
    page("POST", "forget")
    assert holding() == []


def test_without_a_token_the_problem_says_where_to_enter_it(house, call):
    with pytest.raises(Problem, match="no Botify token yet") as problem:
        call("botify_projects")
    assert "pipulate botify token" in problem.value.next_step
    assert problem.value.details["status"] == 401


def test_where_botify_cannot_tell_the_user_projects_are_those_of_the_name_that_was_given(
    house, call, service
):
    service.fault("profile", "404", times=9)
    call("botify_connect", token=service.token, username=OWNER)
    assert [row["slug"] for row in call("botify_projects")["rows"]] == [PROJECT]


def test_a_page_can_be_told_whose_token_it_is_where_botify_does_not_know(page, call, service):
    service.fault("profile", "404", times=9)
    with pytest.raises(Problem, match="whose token") as problem:
        page("POST", "token", token=service.token)
    assert "user name" in problem.value.next_step and 'name="username"' in page()
    page("POST", "token", token=service.token, username=OWNER)
    assert f"Welcome, {OWNER}." in page()


def test_a_new_token_forgets_what_was_listed_for_the_old_one(call, connected, service):
    call("botify_projects")
    call("botify_connect", token=service.token)
    count = service.asked("projects")
    call("botify_projects")
    assert service.asked("projects") == count + 1


# -- lists and the project ---------------------------------------------------------------------


def test_projects_are_kept_with_their_age_until_they_are_asked_for_again(page, service):
    assert f"{OWNER}/{PROJECT}" in page("GET", "projects") and "just now" in page("GET", "projects")
    assert service.asked("projects") == 1
    page("GET", "projects", refresh="true")
    assert service.asked("projects") == 2


def test_analyses_of_the_chosen_project_are_kept_with_their_age_newest_first(page, service):
    assert "Choose a project first" in page("GET", "analyses")
    page("POST", "site", address=NAME)
    shown = page("GET", "analyses")
    assert "3 in the list, which was asked for just now" in shown
    assert shown.index("20250314-2 · 2025-03-14 · 120 pages") < shown.index("20250314 · ")
    page("GET", "analyses")
    assert service.asked("light") == 1
    page("GET", "analyses", refresh="true")
    assert service.asked("light") == 2


def test_lists_stand_on_what_is_chosen_not_on_a_crawl_that_still_runs(page):
    page("POST", "site", address=f"{NAME}/20250214")
    for name, chosen in (("projects", NAME), ("analyses", f"{NAME}/20250214")):
        assert f'value="{chosen}" selected' in page("GET", name)


def test_a_list_that_fails_leaves_the_kept_one(call, connected, service):
    kept = call("botify_projects")
    service.fault("projects", "shape")
    service.fault("projects", "shape")
    with pytest.raises(Problem, match="something else"):
        call("botify_projects", refresh=True)
    assert call("botify_projects") == kept


def test_a_list_that_fails_is_told_on_the_page(page, service):
    service.fault("projects", "500", times=99)
    assert "refused with 500" in page("GET", "projects") and service.token not in page()


def test_the_project_is_remembered_per_profile(call, connected, page):
    call("profile_add", name="Other")
    page("POST", "site", address=f"{NAME}/20250314-2")
    assert f"{NAME} 20250314-2" in page()
    assert call("botify_status")["site"] == f"{NAME}/20250314-2"
    assert call("botify_status", at="other")["site"] is None
    assert call("botify_status", at="other")["token"], "the token is the home's"
    with pytest.raises(Problem, match="names no project"):
        page("POST", "site", address="nothing")


def test_the_address_of_a_file_is_only_told_to_a_step(call, connected, service, step_job):
    service.polls = 0
    crawl = "crawl.20250314"
    inner = {"dimensions": ["url", f"{crawl}.outlinks_internal.graph.url"]}
    query = {"collections": [crawl], "query": inner}
    payload = {"username": OWNER, "project": PROJECT, "formatter": "csv", "query": query}
    job = call("botify_export", payload=payload, confirmed=True)["job_id"]
    assert call("botify_job", "model", job=job)["job_status"] == "DONE"
    for told in (call("botify_job", "model", job=job), call("botify_exports", project=NAME)):
        assert "signed" not in json.dumps(told)
    assert "signed" in step_job().tool("botify_job", job=job)["results"]["download_url"]


# -- demo --------------------------------------------------------------------------------------


def test_the_demo_is_labelled_and_belongs_to_one_profile(call, connected, page):
    call("profile_add", name="Tour")
    call("botify_demo", at="tour")
    status = call("botify_status", at="tour")
    assert status["demo"] and not status["token"]
    assert call("botify_projects", at="tour")["rows"][0]["name"] == "Demo shop (made-up data)"
    assert call("botify_status")["token"], "the other profiles stay connected"
    with pytest.raises(Problem, match="demo data"):
        call("botify_connect", at="tour", token="x")
    page("POST", "demo", on="true")
    assert DEMO in page() and "Welcome" not in page()
    page("POST", "demo", on="false")
    assert "Welcome" in page()


# -- from every door, and the token is nowhere ---------------------------------------------------


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """A home served with Botify and a model, in which a link graph was run by the shell's door."""
    from pipulate.botify.stand_in import Service, standing

    with standing(Service(size=120, polls=0)) as service, ModelServer() as model:
        env = {"PIPULATE_BOTIFY_URL": service.url, "PIPULATE_MODEL_URL": model.url}
        env |= {"PIPULATE_EDITION": "pipulate.botify.apps"}
        with serving(tmp_path_factory.mktemp("home"), env=env) as server:
            server.act("POST", "/default/botify/token", {"token": service.token})
            server.said = server.call("link_graph_run", credits=10**6)
            yield server, service, model


def test_shell_page_and_mcp_give_the_same_numbers(everywhere):
    server, service, _ = everywhere
    by_shell = server.said["output"]

    async def by_mcp():
        key = {"Authorization": f"Bearer {server.keys['token']}"}
        import httpx2

        async with (
            httpx2.AsyncClient(headers=key, timeout=30) as client,
            streamable_http_client(f"{server.url}/mcp", http_client=client) as streams,
            ClientSession(*streams[:2]) as session,
        ):
            await session.initialize()
            said = await session.call_tool("link_graph_run", {"credits": 10**6})
            return json.loads(said.content[0].text)

    found = asyncio.run(by_mcp())  # what was ordered is taken up, so no approval is due
    assert found["state"] == "done", found
    assert numbers(found["output"]) == numbers(by_shell)
    assert numbers(by_page(server)) == numbers(by_shell)
    assert len(service.jobs) == 1, "one export for all three"


def numbers(output):
    return {name: value for name, value in output.items() if isinstance(value, int)}


def by_page(server):
    """The output of a run that clicks on the page have made."""
    there = server.act("POST", "/default/link_graph").headers["hx-redirect"]
    key = int(there.rpartition("/")[2])
    forms = {"site": {"project": NAME}, "crawl": {"analysis": "20250314-2"}}
    forms |= {"plan": {}, "export": {"credits": "0"}, "links": {}}
    for step, form in forms.items():
        wait_for(server, key, step, "ready")
        if step == "plan":
            state = server.call("run_output", run=key, step="depths")
            form = {"depth": str(state["best"]), "fields": json.dumps(state["fields"])}
        assert server.act("POST", f"{there}/{step}", form).status_code == 200
        wait_for(server, key, step, "done")
    wait_for(server, key, "report", "done")
    return server.call("run_output", run=key, step="report")


def wait_for(server, run, step, state, seconds=15):
    end = time.monotonic() + seconds
    while True:
        steps = {row["step"]: row for row in server.call("run_get", run=run)["steps"]}
        if steps[step]["state"] == state:
            return
        assert time.monotonic() < end, (step, state, steps[step])
        time.sleep(0.05)


def test_who_connects_is_greeted_by_name_by_the_assistant(everywhere):
    server, service, model = everywhere
    model.script("Welcome! Choose a project next.")
    server.act("GET", "/default/assistant")  # by now it is known that there is a model
    with server.socket("/default/botify") as tab:
        server.act("POST", "/default/botify/token", {"token": service.token})
        hear(tab, "Welcome! Choose a project next.", 15)
    asked = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "user"][-1]
    assert "Connected to Botify as demo.user" in asked and service.token not in asked


def test_the_token_is_in_the_settings_and_nowhere_else(everywhere):
    server, service, model = everywhere
    token = service.token
    service.fault("projects", "shape")  # an answer that echoes the header that came
    seen = [server.act("POST", "/default/botify/token", {"token": f"{token}x"}).text]
    seen += [server.act("GET", "/default/botify/projects?refresh=true").text]
    model.script(Reply(tools=[("botify_status", {})]), "You are connected.")
    with server.socket("/default/botify") as tab:
        tab.send(json.dumps({"msg": "Am I connected?", "HEADERS": {"HX-Request": "true"}}))
        seen.append(hear(tab, "You are connected", 10))
        tab.send(json.dumps({"msg": f"/botify_connect token={token}", "HEADERS": {}}))
        seen.append(hear(tab, "demo.user", 10))
    run = server.said["address"]
    paths = ["botify", "botify/projects", "history", "settings", "inbox", "queries/answer?sql="]
    paths[-1] += "SELECT+*+FROM+store"
    for path in [run, *(f"/default/{path}" for path in paths)]:
        seen.append(server.client.get(path).text)
    seen += [json.dumps(server.call(tool)) for tool in ("botify_status", "history", "run_list")]
    exported = ["export", "tasks", "--home", str(server.home)]
    seen.append(
        subprocess.run(
            [sys.executable, "-m", "pipulate", *exported], capture_output=True, text=True
        ).stdout
    )
    assert all(model.requests), "the model was asked"
    seen.append(json.dumps(model.requests))
    assert [text[:200] for text in seen if token in text] == []
    files = [f for f in server.home.rglob("*") if f.is_file() and "pipulate.db" not in f.name]
    assert server.log and [f for f in files if token.encode() in f.read_bytes()] == []
    db = apsw.Connection(str(server.home / "pipulate.db"), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    held = [t for t in tables if token in str([*db.execute(f'SELECT * FROM "{t}"')])]
    assert held == ["store"]


def test_the_token_went_to_the_api_alone(everywhere):
    _, service, _ = everywhere
    to_files = [seen for seen in service.seen if seen["origin"] == "files"]
    assert to_files and service.token not in str(to_files)
    assert service.token in str(service.seen), "it is found where it went"
