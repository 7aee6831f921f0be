"""Every route stands behind the guard: the assembled table is walked, none is named here."""

import asyncio
import re

import pytest
from starlette.routing import Match, Mount, Route, WebSocketRoute

from pipulate.apps.house import House
from pipulate.apps.shelf import PAGE_WORDS, Shelf
from pipulate.core.settings import Settings
from pipulate.doors.mcp import McpApp
from pipulate.web.guard import Guard, Keys
from pipulate.web.server import WORDS, First, Site, body_limit
from pipulate.web.share import SITES, Shares

PORT = 5001
OWN = f"127.0.0.1:{PORT}"
SAFE = ("GET", "HEAD", "OPTIONS")
PLUGIN = '''
from pipulate import CrudApp, tool

class Wine(CrudApp):
    """A plugin with routes of its own."""
    name: str

@Wine.rt("/stats", methods=["GET"])
def stats(table):
    return str(len(table()))

@Wine.rt("/drink", methods=["POST"])
def drink(table, id: int):
    return table.delete(id)
'''


def walk(routes, prefix=""):
    """(kind, method, path) of everything routes lead to; an unknown kind of route is an error."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        if isinstance(route, Mount):
            yield from walk(route.routes, path)
            yield from (("http", method, path + "/any/thing") for method in ("GET", "POST", "PUT"))
        elif isinstance(route, WebSocketRoute):
            yield "websocket", "GET", path
        elif isinstance(route, Route):
            for method in route.methods or ["GET", "POST", "PUT", "PATCH", "DELETE"]:
                yield "http", method, path
        else:
            raise AssertionError(f"a kind of route this walk does not know: {route!r}")


def filled(path):
    """An address with something in its places."""
    known = {"profile": "default", "app": "tasks", "tool": "task_add"}
    path = re.sub(r"{(\w+):int}", "1", path)
    return re.sub(r"{(\w+)(:\w+)?}", lambda found: known.get(found[1], "x"), path)


def app_routes(shelf: Shelf):
    """(kind, method, path) of the routes that apps declare below their address."""
    for slug, app in shelf.apps.items():
        for route in app.routes:
            yield "http", route.method, f"/default/{slug}/{filled(route.path)}".rstrip("/")


class Behind:
    """Stands where the site does and notes what comes through."""

    def __init__(self):
        self.entered = 0

    async def __call__(self, scope, receive, send):
        self.entered += 1
        if scope["type"] == "websocket":
            return await send({"type": "websocket.accept"})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """(the Site, every kind, method and address it serves), a plugin's own routes among them."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), browser=False)
    settings.make_home()
    (settings.folder("apps") / "wines.py").write_text(PLUGIN)
    with asyncio.Runner() as runner:

        async def make():
            house = House(settings)
            return Site(house, McpApp(house), Shares())

        site = runner.run(make())
        site.keys = Keys(settings.secret)
        own = [(k, m, filled(p)) for k, m, p in walk(site.app.routes)]
        own.append(("http", "POST", "/shell/launch"))  # of the Front, which stands before the site
        yield site, sorted({*own, *app_routes(site.house.shelf)})
        runner.run(site.close())


@pytest.fixture
def knocking(table, run):
    """knocking(kind, method, path, headers): (status or "in", how often it came through)."""
    behind = Behind()
    guard = Guard(behind, table[0].keys, PORT, body_limit)

    def knock(kind, method, path, headers):
        sent = []

        async def receive():
            event = "websocket.connect" if kind == "websocket" else "http.request"
            return {"type": event, "body": b""}

        async def send(message):
            sent.append(message)

        given = [(n.encode(), v.encode()) for n, v in headers.items()]
        scope = {"type": kind, "path": path, "query_string": b"", "headers": given}
        behind.entered = 0
        run(guard(scope | ({"method": method} if kind == "http" else {}), receive, send))
        return sent[0].get("status", sent[0]["type"]), behind.entered

    return knock


def let_in(site, path):
    door = next((token for door, token in site.keys.bearer.items() if path.startswith(door)), "")
    cookie = f"pipulate_{PORT}={site.keys.make_cookie()}"
    return {"authorization": f"Bearer {door}"} if door else {"cookie": cookie}


def own(site, kind, path):
    origin = {"origin": f"http://{OWN}"} if kind == "websocket" else {}
    return {"host": OWN, **origin, **let_in(site, path)}


def test_the_walk_sees_pages_doors_files_the_socket_and_a_plugins_own_routes(table):
    seen = table[1]
    assert ("websocket", "GET", "/ws") in seen
    for row in [("GET", "/default"), ("POST", "/shell/call"), ("GET", "/default/wines/stats")]:
        assert ("http", *row) in seen
    assert ("http", "POST", "/default/wines/drink") in seen
    assert any(path.startswith("/mcp") for _, _, path in seen)
    assert any(path.startswith("/static") for _, _, path in seen)
    assert len(seen) > 40


def test_every_route_lets_its_own_page_or_program_in(table, knocking):
    """Without this the refusals below would prove nothing."""
    for kind, method, path in table[1]:
        said, entered = knocking(kind, method, path, own(table[0], kind, path))
        assert entered == 1, (kind, method, path, said)


def test_every_route_refuses_a_foreign_host(table, knocking):
    for kind, method, path in table[1]:
        for host in ("evil.example", f"evil.example:{PORT}", f"127.0.0.1:{PORT + 1}", ""):
            said = knocking(kind, method, path, own(table[0], kind, path) | {"host": host})
            assert said in ((421, 0), ("websocket.close", 0)), (kind, method, path, host, said)


def test_every_changing_route_and_every_socket_refuses_a_foreign_origin(table, knocking):
    for kind, method, path in table[1]:
        if kind == "http" and method in SAFE:
            continue
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{PORT + 1}"):
            said = knocking(kind, method, path, own(table[0], kind, path) | {"origin": origin})
            assert said in ((403, 0), ("websocket.close", 0)), (kind, method, path, origin, said)


def test_every_route_refuses_a_request_that_another_site_started(table, knocking):
    for kind, method, path in table[1]:
        for site in ("cross-site", "same-site") if kind == "http" else ():
            said = knocking(
                kind, method, path, own(table[0], kind, path) | {"sec-fetch-site": site}
            )
            assert said == (403, 0), (kind, method, path, site, said)


def test_every_route_refuses_whoever_has_no_credential(table, knocking):
    for kind, method, path in table[1]:
        headers = own(table[0], kind, path)
        for name in ("cookie", "authorization"):
            headers.pop(name, None)
        said = knocking(kind, method, path, headers)
        assert said in ((401, 0), (403, 0), ("websocket.close", 0)), (kind, method, path, said)


def test_apps_are_found_before_all_others_and_no_other_page_is_taken_for_one(table):
    first = [route for route in table[0].app.routes if isinstance(route, First)]
    assert first == table[0].app.routes[:2]

    def taken(path):
        scope = {"type": "http", "method": "GET", "path": filled(path), "root_path": ""}
        return any(route.matches(scope)[0] != Match.NONE for route in first)

    assert taken("/{profile}/{app}") and taken("/{profile}/{app}/1/title")
    others = [path for _, _, path in walk(table[0].app.routes) if "{app}" not in path]
    assert [path for path in others if taken(path)] == []


def test_a_file_that_is_shared_is_the_only_thing_another_site_is_let_into(
    table, knocking, tmp_path
):
    theirs = {"host": OWN, "origin": SITES[0], "sec-fetch-site": "cross-site"}
    path = table[0].keys.shares.add(tmp_path / "edges.csv", "source")
    assert knocking("http", "GET", path, theirs)[1] == 1
    for kind, method, other in [*table[1], ("websocket", "GET", path), ("http", "POST", path)]:
        said = knocking(kind, method, other, theirs)
        assert said in ((401, 0), (403, 0), ("websocket.close", 0)), (kind, method, other, said)
    table[0].keys.shares.kept.clear()
    assert knocking("http", "GET", path, theirs) == (403, 0)


def test_no_route_answers_get_and_post_by_default(table):
    """FastHTML's @rt without methods does; a link could then change data."""
    site = table[0]
    dispatchers = ("/{profile}/{app}", "/{profile}/{app}/{rest:path}")  # an app's routes decide
    for route in site.app.routes:
        if isinstance(route, Route) and route.path not in (*dispatchers, "/mcp"):
            methods = set(route.methods or ()) - {"HEAD"}
            assert len(methods) == 1, f"{route.path} answers {methods}"
    for app in site.house.shelf.apps.values():
        for route in app.routes:
            assert route.method in ("GET", "POST", "PUT", "PATCH", "DELETE"), route


def test_no_route_but_an_upload_takes_more_than_a_megabyte(table):
    larger = [path for _, method, path in table[1] if body_limit(method, path)]
    assert larger == ["/files/default"]


def test_a_route_of_a_plugin_must_name_its_methods(plugin):
    broken = PLUGIN.replace(', methods=["GET"]', "")
    found = plugin(broken, "unnamed")
    assert "methods" in found.problem.what


def test_no_app_can_be_called_as_a_page_of_the_house_is():
    assert {word for word in WORDS if word.isidentifier()} <= {*PAGE_WORDS.split()}
