"""A stand-in for Botify: the same protocol over real HTTP, with a made-up site behind it.

    with standing(Service()) as service:
        service.url, service.token      what a client needs
        service.fault("GET /v1/jobs", "502", times=2)
        service.form.container = "zip"

The API and the downloads are two origins, as at Botify. For the tour and the tests.
"""

import asyncio
import contextlib
import json
import re
import secrets
import socket
import threading
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from pipulate.botify import bql, parcel
from pipulate.botify.faults import Fault, Faulty, refusal
from pipulate.botify.made_up import earlier, make_site

OWNER, PROJECT, USER = "demo-org", "demo-shop.example", "demo.user"
CRAWLS = ("20250314-2", "20250314", "20250214")


@dataclass
class Job:
    """An export: how often it is asked for before it is done, or what becomes of it."""

    id: int
    payload: dict
    rows: list
    left: int
    status: str = "CREATED"
    file: bytes = b""
    links: int = 0


@dataclass
class Service:
    """A service with one owner, one project and three analyses. Everything may be changed."""

    size: int = 400
    token: str = field(default_factory=lambda: f"stand-in-{secrets.token_hex(8)}")
    polls: int = 1  # how often a job is asked for before it is done
    limit: int = 1_000_000  # rows of an export
    job_fate: str = ""  # "fails", "never", "vanishes"
    lacks: tuple[str, ...] = ()  # fields that the project does not have
    crawls: tuple[str, ...] = CRAWLS
    page_size: int = 500
    leads_to: str = ""  # another origin, in place of its own, in `next`
    newer_names: bool = False  # organization.slug, in place of user.login
    oldest_first: bool = False  # of the list of jobs
    lists_bare: bool = False  # the list of jobs leaves out what they ask for
    search_off: bool = False  # search data is switched off for the project
    search_missing: bool = False  # or not found at all
    bare_segments: bool = False  # segments are named without the crawl, as the reference has it
    form: parcel.Form = field(default_factory=parcel.Form)
    pages: list = field(default_factory=list)
    jobs: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    seen: list = field(default_factory=list)
    url: str = ""
    files: str = ""

    def __post_init__(self):
        self.pages = self.pages or make_site(self.size)

    def fault(self, where, kind, times=1, wait=""):
        """Let requests go wrong: 401 403 404 409 429 500 502 html empty json shape reset stall

        act-then-reset act-then-stall redirect away loop."""
        self.faults.append(Fault(where, kind, times, wait))
        return self.faults[-1]

    def asked(self, where):
        return sum(bool(re.search(where, f"{r['method']} {r['path']}")) for r in self.seen)

    def app(self):
        """The ASGI application of both servers."""
        at, analyses = (f"/v1/{what}/{OWNER}/{PROJECT}" for what in ("projects", "analyses"))
        owners = [
            f"/v1/{what}"
            for n in (OWNER, USER)
            for what in (f"users/{n}/projects", f"projects/{n}")
        ]
        routes = [
            Route("/v1/authentication/profile", self.profile),
            *(Route(path, self.projects) for path in owners),
            *(Route(path, self.analyses) for path in (analyses, f"{analyses}/light")),
            Route(f"{at}/collections", self.collections),
            Route(f"{at}/collections/{{id}}", self.collection),
            Route(f"{at}/query", self.query, methods=["POST"]),
            Route("/v1/jobs", self.export, methods=["POST"]),
            Route("/v1/jobs", self.listing),
            Route("/v1/jobs/{id}", self.job),
            Route("/signed/{job:int}/{link:int}/{name}", self.download),
        ]
        refused = {
            404: lambda request, error: refusal(404, 1010, "project not found"),
            bql.BadQuery: lambda request, error: refusal(
                403 if error.args[0] == 1046 else 400, *error.args
            ),
        }
        return Faulty(self, Starlette(routes=routes, exception_handlers=refused))

    # -- answers

    def _page(self, request, rows):
        page = int(request.query_params.get("page", 1))
        size = min(self.page_size, int(request.query_params.get("size", self.page_size)))
        path = f"{request.url.path}?page={page + 1}&size={size}"
        root = self.leads_to or self.url.removesuffix("/v1")
        said = {"count": len(rows), "page": page, "size": size, "previous": None}
        said["next"] = root + path if rows[page * size :] else None
        return JSONResponse(said | {"results": rows[(page - 1) * size : page * size]})

    async def profile(self, request):
        return JSONResponse({"data": {"username": USER, "api_token": self.token}})

    async def projects(self, request):
        old, new = {"user": {"login": OWNER}}, {"organization": {"slug": OWNER}}
        about = {"slug": PROJECT, "name": "Demo shop (made-up data)", "url": "/"}
        return self._page(request, [about | (new if self.newer_names else old)])

    async def analyses(self, request):
        """The oldest first: no order is promised."""
        rows = [
            {"slug": slug, "name": slug, "status": "success", "urls_done": len(self._site(slug))}
            | {"date_finished": f"{slug[:4]}-{slug[4:6]}-{slug[6:8]}T08:00:00Z"}
            for slug in reversed(self.crawls)
        ]
        return self._page(request, rows)

    async def collections(self, request):
        names = [*(f"crawl.{slug}" for slug in self.crawls), "search_console"]
        return JSONResponse([{"id": name, "name": name} for name in names])

    async def collection(self, request):
        """The fields of the crawl; those of search data are not listed."""
        names = [n for n in bql.FIELDS if n not in self.lacks and "search_console" not in n]
        own = [{"id": name, "kind": "dimension"} for name in names]
        return JSONResponse({"datasets": [{"name": "crawl", "fields": own}]})

    def _site(self, slug):
        """The pages of an analysis: those of an earlier day than the last are others."""
        return earlier(self.pages) if slug[:8] < max(self.crawls)[:8] else self.pages

    def _rows(self, query):
        if gone := [name for name in self.lacks if name in str(query)]:
            raise bql.BadQuery(1029, f"unknown field {gone[0]!r}")
        if self.search_off and "search_console" in str(query):
            raise bql.BadQuery(1046, "search data is not switched on for this project")
        if self.search_missing and "search_console" in str(query):
            raise HTTPException(404)
        if self.bare_segments:
            text = json.dumps(query)
            if re.search(r"crawl\.[\d-]+\.segments\.", text):
                raise bql.BadQuery(1029, "segments are the project's, not a crawl's")
            named = f'"crawl.{self.crawls[0]}.segments.'
            query = json.loads(text.replace('"segments.', named))
        (first, *_) = query.get("collections") or [""]
        slug = str(first).removeprefix("crawl.")
        pages = self._site(slug) if slug in self.crawls else self.pages
        return [*bql.answer(query, pages, [*self.crawls])]

    async def query(self, request):
        return self._page(request, self._rows(await request.json()))

    async def export(self, request):
        """Start an export, each time anew; over the limit it is refused."""
        payload = (await request.json())["payload"]
        rows = self._rows(payload["query"])
        if len(rows) > self.limit:
            raise bql.BadQuery(1043, f"the export has {len(rows)} rows, over {self.limit}")
        self.jobs.append(Job(70_412 + len(self.jobs), payload, rows, self.polls))
        return JSONResponse(self._told(self.jobs[-1]), 201)

    async def listing(self, request):
        wanted = request.query_params.get("project")
        jobs = [j for j in reversed(self.jobs) if wanted in (None, j.payload["project"])]
        jobs = jobs[::-1] if self.oldest_first else jobs
        left_out = {"payload", "results"} if self.lists_bare else set()
        rows = [{k: v for k, v in self._told(j).items() if k not in left_out} for j in jobs]
        return self._page(request, rows)

    async def job(self, request):
        """A job, a step further each time it is asked for."""
        found = [job for job in self.jobs if str(job.id) == request.path_params["id"]]
        if not found or (self.job_fate == "vanishes" and found[0].left < self.polls):
            return refusal(404, 1059, "export not found")
        job = found[0]
        job.left -= 1
        if self.job_fate == "fails":
            job.status = "FAILED"
        elif job.left >= 0 or self.job_fate == "never":
            job.status = "PROCESSING"
        else:
            job.status, job.links = "DONE", job.links + 1
            job.file = job.file or parcel.write(self.form, job.payload, job.rows)
        return JSONResponse(self._told(job))

    def _told(self, job):
        said = {"job_id": job.id, "job_type": "export", "job_url": f"/v1/jobs/{job.id}"}
        said |= {"job_status": job.status, "payload": job.payload, "results": None}
        said |= {"date_created": "2025-03-20T08:00:00Z", "user": USER}
        if job.status == "DONE":
            address = f"{self.files}/signed/{job.id}/{job.links}/export.csv.gz"
            said["results"] = {"download_url": address, "nb_lines": len(job.rows)}
        if job.status == "FAILED":
            said["error"] = {"message": "the export failed <here>", "type": "task"}
        return said

    async def download(self, request):
        """A file, from a byte on when the request's tag still fits; or what is wrong with it."""
        form, path = self.form, request.path_params
        job = next((job for job in self.jobs if job.id == path["job"] and job.file), None)
        if not job or path["link"] <= form.expired:
            return Response("<Error>No such key</Error>", 403 if job else 404)
        if form.redirect and "moved" not in request.query_params:
            there = f"{request.url.path}?moved=1" if form.redirect == "once" else str(request.url)
            return RedirectResponse(there, 302)
        content, begin = job.file[: len(job.file) - form.cut], 0
        tag, total = f'"{job.id}-{len(content)}"', len(content) + form.short
        headers = {"etag": tag} if form.etag else {}
        if form.ranges:
            asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
            fits = request.headers.get("if-range", tag) == tag
            begin = int(asked[1]) if asked and fits else 0
        if begin >= len(content):
            return Response(status_code=416, headers={"content-range": f"bytes */{total}"})
        if begin:
            headers["content-range"] = f"bytes {begin}-{total - 1}/{total}"
        if form.length:
            headers["content-length"] = str(total - begin)
        pieces = self._pieces(content[begin:], request.scope["hang_up"])
        return StreamingResponse(pieces, 206 if begin else 200, headers)

    async def _pieces(self, content, hang_up):
        most, *self.form.resets = self.form.resets or (0,)
        self.form.resets = tuple(self.form.resets)
        for at in range(0, len(content), 4_096):
            if 0 < most <= at:
                hang_up()
                await asyncio.sleep(0.05)  # until the server knows
                return
            yield content[at : at + 4_096]
            await asyncio.sleep(self.form.pause)
        if self.form.short:
            hang_up()
            await asyncio.sleep(0.05)


def start(service):
    """Serve a service in a thread of its own, on this machine alone; returns what stops it."""
    doors = [socket.socket(proto=socket.IPPROTO_TCP) for _ in range(2)]
    for door in doors:
        door.bind(("127.0.0.1", 0))
        door.listen()  # whoever asks before the thread is up just waits
    api, service.files = (f"http://127.0.0.1:{door.getsockname()[1]}" for door in doors)
    service.url = f"{api}/v1"
    quiet = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": 1}
    config = uvicorn.Config(service.app(), lifespan="off", log_level="critical", **quiet)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(doors)), daemon=True)
    thread.start()

    def stop():
        server.should_exit = server.force_exit = True
        thread.join(5)

    return stop


@contextlib.contextmanager
def standing(service):
    """The service, listening until the block ends."""
    stop = start(service)
    try:
        yield service
    finally:
        stop()
