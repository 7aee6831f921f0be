"""The client of Botify over real HTTP: what it gives, and every way in which the service fails."""

import json
import time

import httpx2
import pytest

from pipulate import Problem
from pipulate.botify import answers, client
from pipulate.botify.client import Client, Connection, Unsure
from pipulate.botify.stand_in import OWNER, PROJECT, USER

HERE = (OWNER, PROJECT)
CRAWL = "crawl.20250314"
EDGES = {
    "collections": [CRAWL],
    "query": {"dimensions": ["url", f"{CRAWL}.outlinks_internal.graph.url"], "metrics": []},
}
PAYLOAD = {"username": OWNER, "project": PROJECT, "formatter": "csv", "query": EDGES}


def refused(ask, *args, **how):
    with pytest.raises(Problem) as problem:
        ask(*args, **how)
    return problem.value


# -- what it gives -----------------------------------------------------------------------------


def test_the_token_is_checked_by_asking_for_its_user(ask, service):
    assert ask("user") == USER
    problem = refused(ask, "user", token="wrong-token")
    assert "not authorised [1001] (401)" in problem.what and "new token" in problem.next_step
    assert service.asked("profile") == 2, "a token that was refused is not tried again"


def test_the_demo_on_this_machine_is_reached_past_a_proxy_of_the_environment(ask, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask("user") == USER


def test_where_the_service_cannot_tell_the_user_a_name_is_tried(ask, service):
    service.fault("profile", "404", times=2)
    problem = refused(ask, "user")
    assert problem.details["status"] == 404 and "whose token" in problem.what
    assert "user name" in problem.next_step
    assert ask("user", OWNER) == OWNER
    service.fault("profile", "404")
    problem = refused(ask, "user", "nobody")
    assert "no user 'nobody'" in problem.what and "user name" in problem.next_step


def test_a_profile_without_a_name_asks_for_it_too(ask, service):
    service.fault("profile", "shape", times=2)
    problem = refused(ask, "user")
    assert "whose token" in problem.what and "user name" in problem.next_step
    assert service.token not in str(problem.as_dict())
    assert ask("user", OWNER) == OWNER


@pytest.mark.parametrize("newer", [False, True])
def test_owners_are_read_from_older_and_newer_answers(ask, service, newer):
    service.newer_names = newer
    assert ask("projects", USER) == [
        {"owner": OWNER, "slug": PROJECT, "name": "Demo shop (made-up data)"}
    ]


def test_projects_of_an_owner_serve_where_those_of_a_user_are_not_told(ask, service):
    service.fault("users", "403")
    assert [row["slug"] for row in ask("projects", OWNER)] == [PROJECT]


def test_analyses_come_newest_first_and_those_of_one_day_are_told_apart(ask, service):
    assert [row["slug"] for row in ask("analyses", *HERE)] == ["20250314-2", "20250314", "20250214"]
    service.fault("light", "404")
    assert ask("analyses", *HERE)[0] == {
        "slug": "20250314-2",
        "status": "success",
        "finished": "2025-03-14T08:00",
        "pages": 120,
    }


def test_a_project_without_analyses_has_an_empty_list(ask, service):
    service.crawls = ()
    assert ask("analyses", *HERE) == []


def test_all_pages_of_a_list_come_and_next_leads_the_token_nowhere(ask, service):
    service.page_size, service.leads_to = 1, "http://127.0.0.2:9"
    assert len(ask("analyses", *HERE)) == 3
    service.page_size, service.leads_to = 1, service.files
    assert len(ask("analyses", *HERE)) == 3
    assert {seen["origin"] for seen in service.seen} == {"api"}


def test_a_list_that_never_ends_is_left(ask, service, monkeypatch):
    monkeypatch.setattr(client, "PAGES", 3)
    service.crawls, service.page_size = tuple(f"2025031{n}" for n in range(9)), 1
    assert "never ends" in refused(ask, "analyses", *HERE).what


def test_a_list_that_never_ends_is_not_taken_for_its_first_million_rows(ask, monkeypatch):
    async def page(*asked, **how):
        return {"results": [{"slug": "x"}] * 600_000, "next": "more"}

    monkeypatch.setattr(client, "PAGES", 2)
    monkeypatch.setattr(Client, "_ask", page)
    assert "never ends" in refused(ask, "analyses", *HERE).what


def test_a_query_gives_rows_of_dimensions_and_metrics(ask, service):
    total = {"function": "sum", "args": [f"{CRAWL}.outlinks_internal.nb.total"]}
    query = {"dimensions": [f"{CRAWL}.depth"], "metrics": [total]}
    rows = ask("query", *HERE, {"collections": [CRAWL], "query": query})
    assert rows[0]["dimensions"] == [0] and len(rows) > 3
    links = sum(len(page["links"]) for page in service.pages)
    assert sum(row["metrics"][0] for row in rows) == links


def test_a_query_that_is_refused_is_told_in_botifys_words(ask):
    query = {"collections": [CRAWL], "query": {"dimensions": [f"{CRAWL}.shoe_size"]}}
    problem = refused(ask, "query", *HERE, query)
    assert "unknown field 'crawl.20250314.shoe_size' [1029] (400)" in problem.what


def test_an_export_has_a_job_whose_id_is_text(ask, service):
    job = ask("export", PAYLOAD)
    assert job["job_id"] == "70412" and job["job_status"] == "CREATED"
    assert ask("job", "70412")["payload"] == PAYLOAD
    assert [job["job_id"] for job in ask("exports", PROJECT)] == ["70412"]
    assert ask("job", "70412")["results"]["download_url"].startswith(service.files)


@pytest.mark.parametrize(
    ("said", "key"),
    [({"job_id": "x-7"}, "x-7"), ({"job_url": "/v1/jobs/70412"}, "70412"), ({"job_id": 7}, "7")],
)
def test_a_job_is_known_by_its_number_or_its_address(said, key):
    assert answers.job(said)["job_id"] == key


def test_what_a_job_asks_for_may_be_told_as_text():
    said = {"job_id": 7, "payload": json.dumps(PAYLOAD), "results": '{"nb_lines": "5"}'}
    assert answers.job(said)["payload"] == PAYLOAD
    assert answers.job(said)["results"] == {"nb_lines": "5"}
    assert answers.job({"job_id": 7, "payload": "{[", "results": "none"})["payload"] is None


def test_numbers_may_be_told_as_text():
    row = {"slug": "20250314", "urls_done": "400"}
    assert answers.analysis(row)["pages"] == 400
    assert [answers.whole(v) for v in ("7", "7.0", 7, None, "many", True, "inf")] == [
        *(7, 7, 7, None, None, None, None)
    ]


@pytest.mark.parametrize("said", [{}, {"job_id": True}, {"job_url": None}, {"job_id": [1]}, []])
def test_what_names_no_job_is_none(said):
    with pytest.raises(Problem, match="something else than a job"):
        answers.job(said)


def test_fields_are_known_with_and_without_the_name_of_their_collection(ask, monkeypatch):
    async def listed(self, method, path, **how):
        return {"datasets": [{"fields": [{"id": f"{CRAWL}.depth"}, {"id": "http_code"}]}]}

    monkeypatch.setattr(Client, "_ask", listed)
    assert ask("fields", *HERE, CRAWL) == {"depth", "http_code"}


# -- how it may fail ---------------------------------------------------------------------------

HTML = "<html>"


@pytest.mark.parametrize(
    ("kind", "times", "wait", "requests"),
    [
        ("429", 5, "", 6),
        ("429", 5, "0", 6),
        ("429", 1, "0.2", 2),
        ("429", 1, "Thu, 01 Jan 2015 00:00:00 GMT", 2),
        ("429", 1, "soon", 2),
        ("500", 3, "", 4),
        ("502", 3, "", 4),
        ("reset", 3, "", 4),
        ("redirect", 1, "", 2),
    ],
)
def test_what_passes_is_tried_again_until_it_does(ask, service, kind, times, wait, requests):
    service.fault("GET .*light", kind, times, wait)
    begun = time.monotonic()
    assert len(ask("analyses", *HERE)) == 3
    assert service.asked("light") == requests
    assert time.monotonic() - begun > float(wait if wait.startswith("0.") else 0)


@pytest.mark.parametrize(
    ("kind", "requests", "what"),
    [
        ("429", 6, "too many requests [1053] (429)"),
        ("500", 4, "refused with 500"),
        ("502", 4, "502 Bad Gateway (502)"),
        ("reset", 4, "did not answer to the end"),
        ("html", 1, "something else than data"),
        ("empty", 1, "something else than data: nothing"),
        ("json", 1, "something else than data"),
        ("shape", 1, "something else than 'results'"),
        ("401", 1, "refused with 401"),
        ("403", 1, "refused with 403"),
        ("away", 1, "leads elsewhere"),
        ("loop", 4, "leads elsewhere"),
    ],
)
def test_what_does_not_pass_is_told_and_the_token_is_nowhere(ask, service, kind, requests, what):
    service.fault("light", kind, times=99)
    problem = refused(ask, "analyses", *HERE)
    assert what in problem.what and problem.next_step
    assert service.asked("light") == requests
    assert service.token not in str(problem.as_dict())
    assert {seen["origin"] for seen in service.seen} == {"api"}


def test_a_wait_of_an_hour_is_told_instead_of_waited_for(ask, service):
    service.fault("light", "429", wait="3600")
    problem = refused(ask, "analyses", *HERE)
    assert "(429)" in problem.what and "60 minutes" in problem.next_step
    assert service.asked("light") == 1


def test_a_service_that_is_silent_is_left_after_a_time(ask, service, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", httpx2.Timeout(0.1))
    monkeypatch.setattr(client, "TRIES", 2)
    service.fault("light", "stall", times=2)
    assert "did not answer to the end (ReadTimeout" in refused(ask, "analyses", *HERE).what


def test_a_service_that_is_not_there_is_told(ask, service):
    service.url = "http://127.0.0.1:9/v1"
    assert "cannot be reached" in refused(ask, "user").what


@pytest.mark.parametrize("kind", ["act-then-reset", "500", "502", "json", "html", "loop", "stall"])
def test_an_export_that_may_have_begun_is_never_asked_for_again(ask, service, monkeypatch, kind):
    monkeypatch.setattr(client, "TIMEOUT", httpx2.Timeout(0.3))
    service.fault("POST /v1/jobs", kind, times=9)
    with pytest.raises(Unsure) as unsure:
        ask("export", PAYLOAD)
    assert service.asked("POST /v1/jobs") == 1 and service.token not in str(unsure.value)


def test_an_export_that_came_too_fast_did_not_begin_and_is_asked_for_again(ask, service):
    service.fault("POST /v1/jobs", "429", times=5)
    assert ask("export", PAYLOAD)["job_id"] == "70412"
    assert len(service.jobs) == 1


@pytest.mark.parametrize("kind", ["401", "403", "409"])
def test_an_export_that_is_refused_did_not_begin(ask, service, kind):
    service.fault("POST /v1/jobs", kind)
    assert refused(ask, "export", PAYLOAD).details["status"] == int(kind)


def test_an_export_over_the_limit_is_refused_in_botifys_words(ask, service):
    service.limit = 10
    assert "over 10 [1043]" in refused(ask, "export", PAYLOAD).what


# -- the token ---------------------------------------------------------------------------------


def test_the_token_only_goes_encrypted_or_to_this_machine():
    with pytest.raises(Problem, match="not sent unencrypted"):
        Connection("secret", "http://api.example/v1")
    assert Connection("secret", "https://api.example/v1/").url == "https://api.example/v1"
    assert "secret" not in repr(Connection("secret"))


def test_an_address_in_capitals_is_encrypted_and_its_certificate_looked_at(run, monkeypatch):
    verified = []
    made = httpx2.AsyncClient

    def making(**how):
        verified.append(how["verify"])
        return made(**how | {"verify": False})

    monkeypatch.setattr(client, "_tls", lambda: "certificates")
    monkeypatch.setattr(httpx2, "AsyncClient", making)

    async def work():
        async with Client(Connection("secret", "HTTPS://api.example/v1")):
            pass

    run(work())
    assert verified == ["certificates"]


def test_the_address_of_the_service_can_be_set(monkeypatch):
    monkeypatch.setenv("PIPULATE_BOTIFY_URL", "http://127.0.0.1:1234/v1/")
    assert Connection("x").url == "http://127.0.0.1:1234/v1"
    monkeypatch.delenv("PIPULATE_BOTIFY_URL")
    assert Connection("x").url == client.PUBLIC


def test_a_client_gives_its_connections_back(ask, run, service):
    async def work():
        async with Client(Connection(service.token, service.url)) as botify:
            await botify.user()
        return botify._http.is_closed

    assert run(work())
