"""The link graph: from a project to measured links; no second export, whatever goes wrong."""

import csv
from types import SimpleNamespace

import pytest

from pipulate import File, Problem
from pipulate.apps.markup import html
from pipulate.botify import asking, download
from pipulate.botify.apps import link_graph as steps
from pipulate.botify.stand_in import CRAWLS, OWNER, PROJECT, Job

NAME = f"{OWNER}/{PROJECT}"
ACCOUNT = {"user": "demo.user", "data": "Botify", "site": None, "projects": [NAME]}
CRAWL = {"project": NAME, "analysis": "20250314", "data": "Botify"}
YES = [steps.START]


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(asking, "FIRST", 0.01)
    monkeypatch.setattr(download, "PAUSE", 0.001)


@pytest.fixture
def planned(step_job):
    """A plan of all links of the site with two fields."""
    depths = steps.depths(CRAWL, step_job(), 1_000_000)
    return steps.plan(CRAWL, depths, depths["best"], ["title", "clicks"])


def refused(step, *args, **how):
    with pytest.raises(Problem) as problem:
        step(*args, **how)
    return problem.value


def test_an_account_without_a_name_is_no_nobody_and_one_project_is_one():
    shown = {**ACCOUNT, "user": "", "data": "demo data", "note": ""}
    assert steps.draw_account(shown) == "1 project · demo data"


def test_what_was_ordered_and_fetched_stands_in_words_and_demo_data_are_not_paid_for():
    plan = {"credits": 1_170, "data": "demo data"}
    assert steps.spent(plan) == "about 1,170 credits of Botify (demo data: nothing is spent)"
    assert steps.spent(plan | {"data": "Botify"}) == "about 1,170 credits of Botify"
    order = {"job": "7", "note": "Ordered.", "rows": 11_701, "credits": 1_170, "most": 1_000_000}
    drawn = html(steps.draw_export(order))
    assert "<td>11,701</td>" in drawn and "<td>rows at most</td><td>1,000,000</td>" in drawn
    drawn = html(steps.draw_download({"bytes": 18_086, "announced": None, "most": 50}))
    assert "<td>18,086</td>" in drawn and "announced" not in drawn


# -- the whole ---------------------------------------------------------------------------------


def test_a_run_goes_from_the_project_to_measures_with_one_yes(call, connected, service):
    service.polls = 0
    asks = call("link_graph_run")
    assert asks["step"] == "export" and "about" in asks["question"], asks
    links = sum(len(p["links"]) for p in service.pages if p["depth"] is not None)
    assert f"Export {links:,} links" in asks["question"]
    call("run_answer", run=asks["run"], answer=steps.START, confirmed=True)
    done = call("link_graph_run", run=asks["run"], confirmed=True)
    assert done["state"] == "done", done
    load = call("run_output", run=asks["run"], step="load")
    measured = done["output"]
    assert load["links"] == links
    assert links == measured["links"] + measured["repeated"] + measured["self_links"]
    assert len(service.jobs) == 1
    with open(measured["nodes"]["$file"], newline="") as text:
        nodes = {row["page"]: row for row in csv.DictReader(text)}
    for page in service.pages[:3]:
        node = nodes[page["url"]]
        assert (node["page_type"], node["title"]) == (page["pagetype"], page["title"])
        assert (node["depth"], node["clicks"]) == (str(page["depth"]), str(page["clicks"]))
    with open(measured["report"]["$file"], encoding="utf-8") as text:
        assert 'id="by-page-type"' in text.read()
    found = call("compare_run", to_step="runs")["output"]
    assert [row["graph"].split(" (")[0] for row in found] == [f"link_graph {asks['run']}"]
    assert sum(row["pages"] for row in measured["types"]) == measured["pages"] == len(nodes)
    assert sum(count for _, count in measured["levels"]) == measured["links"]


@pytest.mark.parametrize("actor", ["model", "mcp"])
def test_a_model_cannot_spend_credits_without_a_click_of_the_user(call, connected, service, actor):
    asks = call("link_graph_run", actor)
    call("run_answer", actor, run=asks["run"], answer=steps.START)
    with pytest.raises(Problem, match="waits for the user's approval"):
        call("link_graph_run", actor, run=asks["run"])
    assert service.jobs == []


def test_what_a_model_asked_for_and_the_user_approved_is_taken_up(call, connected, service, run):
    service.polls = 0
    asks = call("link_graph_run", "mcp")
    call("run_answer", "mcp", run=asks["run"], answer=steps.START)
    with pytest.raises(Problem) as held:
        call("link_graph_run", "mcp", run=asks["run"])
    approval = connected.db.one("SELECT id, hash FROM approvals WHERE tool = 'botify_export'")
    assert approval["id"] in held.value.what
    profile = connected.profiles.at()
    run(connected.tools.decide(approval["id"], approval["hash"], True, profile))
    assert len(service.jobs) == 1
    assert call("link_graph_run", "mcp", run=asks["run"])["state"] == "done"
    assert len(service.jobs) == 1, "the export that was approved is the one"


def test_a_model_that_answers_for_the_user_spends_nothing(call, connected, service, until, run):
    asks = call("link_graph_run", confirmed=True)
    call("run_answer", "model", run=asks["run"], answer=steps.START)
    with pytest.raises(Problem, match="waits for the user's approval"):
        call("link_graph_run", run=asks["run"], confirmed=True)
    assert service.jobs == []


def test_a_user_who_answers_a_run_of_a_model_has_agreed(call, connected, service):
    service.polls = 0
    asks = call("link_graph_run", "mcp")
    call("run_answer", run=asks["run"], answer=steps.START, confirmed=True)
    assert call("link_graph_run", "mcp", run=asks["run"])["state"] == "done"
    assert len(service.jobs) == 1


# -- project and analysis ----------------------------------------------------------------------


def test_the_account_lists_projects_and_says_when_it_cannot(step_job, service):
    assert steps.account(step_job())["projects"] == [NAME]
    service.fault("projects", "500", times=99)
    told = steps.account(step_job(), refresh=True)
    assert told["projects"] == [] and "(500)" in told["note"]
    assert steps.known_projects(told) == [steps.PASTE]


def test_a_pasted_address_counts_and_names_the_analysis(step_job):
    found = steps.site(ACCOUNT, step_job(), steps.PASTE, f"{NAME}/20250214")
    assert steps.finished(found) == ["20250214", "20250314-2", "20250314"]
    found = steps.site(ACCOUNT, step_job(), NAME)
    assert steps.finished(found) == [*CRAWLS]


def test_the_project_and_analysis_used_last_come_first(step_job):
    steps.crawl(steps.site(ACCOUNT, step_job(), NAME), step_job(), "20250314")
    account = steps.account(step_job())
    assert account["site"] == f"{NAME}/20250314"
    assert steps.known_projects(account)[0] == NAME
    assert steps.finished(steps.site(account, step_job(), NAME))[0] == "20250314"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "No address was given"),
        ("https://shop.example/x", "an address of shop.example"),
        (f"{OWNER}/nothing", "project not found"),
        (f"{NAME}/20240101", "no finished analysis 20240101"),
    ],
)
def test_an_address_that_does_not_do_is_refused_with_the_reason(step_job, address, why):
    assert why in refused(steps.site, ACCOUNT, step_job(), steps.PASTE, address).what


def test_a_project_without_analyses_says_so(step_job, service):
    service.crawls = ()
    problem = refused(steps.site, ACCOUNT, step_job(), NAME)
    assert "no finished analysis" in problem.what and problem.next_step


# -- how deep ----------------------------------------------------------------------------------


def test_the_links_of_all_depths_come_by_one_question(step_job, service):
    found = steps.depths(CRAWL, step_job(), 1_000_000)
    table = found["table"]
    assert table[0]["depth"] == 0 and found["best"] == table[-1]["depth"] - (not table[-1]["links"])
    sums = [row for row in service.seen if row["path"].endswith("/query")]
    assert len(sums) == 3, "depths, and the two search metrics that no list names"
    assert steps.fitting(found)[0] == found["best"]


def test_depths_are_offered_from_the_largest_down():
    table = [{"depth": depth, "fits": depth < 4} for depth in range(6)]
    assert steps.fitting({"table": table, "best": 3}) == [3, 2, 1, 0]


def test_a_small_limit_gives_a_smaller_depth(step_job):
    whole = steps.depths(CRAWL, step_job(), 1_000_000)
    middle = whole["table"][2]["total"]
    assert steps.depths(CRAWL, step_job(), middle)["best"] == 2
    assert "one export takes 1" in refused(steps.depths, CRAWL, step_job(), 1).what


def test_where_depths_cannot_be_grouped_they_are_searched(step_job, service, monkeypatch):
    whole = steps.depths(CRAWL, step_job(), 1_000_000)

    def grouped(analysis, deepest=None, query=steps.plans.links_query):
        said = query(analysis, deepest)
        if deepest is None:
            said["query"]["dimensions"] = ["crawl.20250314.shoe_size"]
        return said

    monkeypatch.setattr(steps.plans, "links_query", grouped)
    found = steps.depths(CRAWL, step_job(), 1_000_000)
    assert found["table"][-1]["total"] == whole["table"][-1]["total"]


def test_a_depth_between_two_that_were_searched_can_be_chosen_and_is_counted(step_job, monkeypatch):
    whole = steps.depths(CRAWL, step_job(), 1_000_000)
    rows = [row for row in whole["table"] if row["depth"] in (0, 1, 2, 4)]
    searched = whole | {"table": rows, "best": 4}
    assert steps.fitting(searched) == [4, 3, 2, 1, 0]
    planned = steps.plan(CRAWL, searched, 3, ["title"], step_job())
    assert planned["rows"] == next(r["total"] for r in whole["table"] if r["depth"] == 3)


def test_only_fields_that_the_project_has_are_offered(step_job, service):
    service.lacks = ("segments.pagetype.value", "search_console.period_0.count_clicks")
    fields = steps.depths(CRAWL, step_job(), 1_000_000)["fields"]
    assert "page type" not in fields and "clicks" not in fields and "impressions" in fields
    service.fault("collections", "404")
    assert steps.depths(CRAWL, step_job(), 1_000_000)["fields"] == fields, "each is tried"


def test_segments_are_asked_for_as_the_project_names_them(step_job, service):
    service.bare_segments = True
    depths = steps.depths(CRAWL, step_job(), 1_000_000)
    steps.export(steps.plan(CRAWL, depths, 2, ["page type"]), step_job(), 10_000)
    service.lacks = ("compliant.is_compliant",)
    fields = steps.depths(CRAWL, step_job(), 1_000_000)["fields"]
    assert {"page type", "title"} < {*fields} and "compliant" not in fields


def test_a_project_without_search_data_is_not_taken_for_a_refused_token(step_job, service):
    service.search_off = True
    fields = steps.depths(CRAWL, step_job(), 1_000_000)["fields"]
    assert "page type" in fields and "clicks" not in fields


def test_a_project_whose_search_data_are_not_found_has_all_its_other_fields(step_job, service):
    service.search_missing = True
    fields = steps.depths(CRAWL, step_job(), 1_000_000)["fields"]
    assert "page type" in fields and "clicks" not in fields


# -- export ------------------------------------------------------------------------------------


def test_the_export_is_ordered_after_a_yes_that_names_rows_and_credits(step_job, planned, service):
    job = step_job(answers=YES)
    told = steps.export(planned, job)
    assert f"{planned['rows']:,} links" in job.asked[0]
    assert f"about {planned['credits']:,} credits" in job.asked[0]
    assert told["job"] == "70412" and service.asked("POST /v1/jobs") == 1


def test_a_no_orders_nothing(step_job, planned, service):
    assert "was not started" in refused(steps.export, planned, step_job(answers=["No"])).what
    assert service.jobs == []


def test_credits_that_were_allowed_are_not_asked_for(step_job, planned, service):
    steps.export(planned, step_job(), planned["credits"])
    assert len(service.jobs) == 1


def test_an_export_that_botify_has_already_is_taken_up(step_job, planned, service):
    steps.export(planned, step_job(answers=YES))
    told = steps.export(planned, step_job())
    assert told["job"] == "70412" and "nothing was spent" in told["note"]
    assert len(service.jobs) == 1


def test_an_export_is_taken_up_though_the_list_does_not_say_what_it_is(step_job, planned, service):
    service.lists_bare = True
    for _ in range(2):
        told = steps.export(planned, step_job(answers=YES))
    assert told["job"] == "70412" and len(service.jobs) == 1


def test_an_export_is_taken_up_though_hundreds_of_older_ones_are_listed_before_it(
    step_job, planned, service
):
    told = steps.export(planned, step_job(answers=YES))
    others = [Job(n, planned["payload"] | {"formatter": "json"}, [], 0) for n in range(1, 800)]
    service.jobs, service.oldest_first = [*others, *service.jobs], True
    again = steps.export(planned, step_job(answers=YES))
    assert again["job"] == told["job"] and len(service.jobs) == 800, "nothing was ordered twice"


def test_two_runs_that_ask_at_the_same_time_order_one_export(step_job, planned, service):
    def other():
        steps.export(planned, step_job(answers=YES))
        return steps.START

    told = steps.export(planned, step_job(answers=[other]))
    assert told["job"] == "70412" and "another run" in told["note"] and len(service.jobs) == 1


def test_anew_orders_another_one(step_job, planned, service):
    steps.export(planned, step_job(answers=YES))
    assert steps.export(planned, step_job(answers=YES), anew=True)["job"] == "70413"


@pytest.mark.parametrize("status", ["404"])
def test_where_botify_lists_no_exports_one_can_be_ordered_and_the_question_says_so(
    step_job, planned, service, status
):
    service.fault("GET /v1/jobs$", status, times=99)
    job = step_job(answers=YES)
    assert steps.export(planned, job)["job"] == "70412"
    assert "nobody knows whether it has this one already" in job.asked[0]
    service.fault("POST /v1/jobs", "act-then-reset")
    kept = {}
    with pytest.raises(steps.Uncertain):
        steps.export(planned, step_job(answers=YES, kept=kept))
    problem = refused(steps.export, planned, step_job(answers=YES, kept=kept))
    assert "lists no exports here" in problem.what and "Anew" in problem.next_step
    assert service.asked("POST /v1/jobs") == 2, "no third one is ordered by itself"


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("kind", ["act-then-reset"])
def test_an_export_whose_answer_was_lost_is_found_again(step_job, planned, service, kind, anew):
    if anew:
        steps.export(planned, step_job(answers=YES))
    there = len(service.jobs)
    service.fault("POST /v1/jobs", kind)
    told = steps.export(planned, step_job(answers=YES), anew=anew)
    assert len(service.jobs) == there + 1 and told["job"] == str(service.jobs[-1].id)


def test_a_gateway_that_fails_before_anything_began_is_not_asked_twice(step_job, planned, service):
    service.fault("POST /v1/jobs", "502")
    kept = {}
    with pytest.raises(steps.Uncertain, match="may have begun") as unsure:
        steps.export(planned, step_job(answers=YES, kept=kept))
    assert "Run this step again" in unsure.value.next_step
    problem = refused(steps.export, planned, step_job(answers=YES, kept=kept))
    assert "lists no such export" in problem.what and "Anew" in problem.next_step
    assert service.asked("POST /v1/jobs") == 1
    assert steps.export(planned, step_job(answers=YES), anew=True)["job"] == "70412"


def test_an_export_that_comes_to_light_later_is_taken_up(step_job, planned, service):
    service.fault("POST /v1/jobs", "act-then-reset")
    service.fault("GET /v1/jobs$", "500", times=0)
    kept, job = {}, None
    jobs, service.jobs = service.jobs, Late()
    job = step_job(answers=YES, kept=kept)
    with pytest.raises(steps.Uncertain):
        steps.export(planned, job)
    service.jobs = [*service.jobs.all, *jobs]
    told = steps.export(planned, step_job(kept=kept))
    assert told["job"] == "70412" and service.asked("POST /v1/jobs") == 1


def test_an_order_anew_that_was_lost_is_found_where_nothing_was_listed_before(
    step_job, planned, service
):
    service.fault("POST /v1/jobs", "act-then-reset")
    kept, service.jobs = {}, Late()
    with pytest.raises(steps.Uncertain):
        steps.export(planned, step_job(answers=YES, kept=kept), anew=True)
    service.jobs = service.jobs.all
    told = steps.export(planned, step_job(answers=YES, kept=kept), anew=True)
    assert told["job"] == "70412" and service.asked("POST /v1/jobs") == 1


class Late(list):
    """Jobs that are made, and not listed yet."""

    def __init__(self):
        super().__init__()
        self.all = []

    def append(self, job):
        self.all.append(job)

    def __getitem__(self, n):
        return self.all[n]


@pytest.mark.parametrize(("kind", "status"), [("401", 401), ("403", 403)])
def test_a_token_that_is_refused_half_way_is_waited_for(
    step_job, planned, service, call, kind, status
):
    old = service.token

    def renew():
        service.token = "stand-in-renewed"
        call("botify_connect", token=service.token)
        return asking.GO_ON

    service.fault("POST /v1/jobs", kind)
    service.fault("GET /v1/authentication", "401", times=0)
    job = step_job(answers=[steps.START, renew])
    assert steps.export(planned, job)["job"] == "70412"
    assert f"({status})" in job.asked[1] and "new token" in job.asked[1] + "new token"
    assert old not in str(job.asked) and len(service.jobs) == 1


def test_an_export_over_the_limit_is_told_in_botifys_words(step_job, planned, service):
    service.limit = 10
    problem = refused(steps.export, planned, step_job(answers=YES))
    assert "over 10 [1043] (400)" in problem.what and "step Plan" in problem.next_step
    service.limit = 10**6
    assert steps.export(planned, step_job(answers=YES))["job"] == "70412"


def test_an_export_that_runs_already_is_told(step_job, planned, service):
    service.fault("POST /v1/jobs", "409")
    problem = refused(steps.export, planned, step_job(answers=YES))
    assert "(409)" in problem.what and "Wait until it has ended" in problem.next_step


# -- download and load -------------------------------------------------------------------------


@pytest.fixture
def ordered(step_job, planned):
    return steps.export(planned, step_job(answers=YES))


def test_the_file_is_waited_for_and_fetched(step_job, ordered, service):
    service.polls = service.jobs[0].left = 3
    job = step_job()
    found = steps.download(ordered, job)
    assert found["file"].path.stat().st_size == found["bytes"] > 1_000
    assert any("processing" in str(said) for said in job.said)
    assert "signed" not in str(found), "the address of the file opens it: it is not kept"
    assert found["announced"] == len(service.jobs[0].rows)


@pytest.mark.parametrize(
    ("fate", "why"),
    [("fails", "export 70412 failed: the export failed <here>"), ("vanishes", "no export 70412")],
)
def test_an_export_that_comes_to_nothing_says_what_to_do(step_job, ordered, service, fate, why):
    service.job_fate = fate
    problem = refused(steps.download, ordered, step_job())
    assert why in problem.what and "Anew" in problem.next_step


def test_an_export_that_never_ends_is_left_and_taken_up_later(
    step_job, ordered, service, monkeypatch
):
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    service.job_fate = "never"
    problem = refused(steps.download, ordered, step_job())
    assert "not done" in problem.what and "same export" in problem.next_step
    service.job_fate = ""
    assert steps.download(ordered, step_job())["bytes"]


def test_a_download_that_was_stopped_goes_on(step_job, ordered, service, monkeypatch):
    service.form.container, service.form.resets, kept = "plain", (4_096,), {}
    with monkeypatch.context() as patched:
        patched.setattr(download, "time", SimpleNamespace(sleep=stopped))
        with pytest.raises(InterruptedError):
            steps.download(ordered, step_job(kept=kept))
    found = steps.download(ordered, step_job(kept=kept))
    assert service.seen[-1]["headers"]["range"].startswith("bytes=")
    assert found["bytes"] == len(service.jobs[0].file)


def stopped(seconds):
    raise InterruptedError


def test_the_links_are_loaded_with_the_fields_of_their_pages(step_job, planned, ordered, service):
    service.form.hostile = True
    file = steps.download(ordered, step_job())
    found = steps.load(file, planned, step_job())
    assert found["rows"] == len(service.jobs[0].rows) + 6
    assert (
        found["links"] + found["blank_target"] + found["blank_source"] + found["short"]
        == (found["rows"])
    )
    with found["nodes"].path.open(encoding="utf-8", newline="") as text:
        nodes = [*csv.DictReader(text)]
    assert nodes[0] == {
        "id": service.pages[0]["url"],
        "title": service.pages[0]["title"],
        "clicks": str(service.pages[0]["clicks"]),
    }


def test_the_graph_is_drawn_with_its_charts_and_a_list_that_can_be_read_out(tmp_path):
    from pipulate.apps.markup import html, owned

    files = {name: File(tmp_path / f"{name}.csv") for name in ("nodes", "edges")}
    types = [{"page_type": "home", "pages": 1, "pagerank_percent": 40.5}]
    output = {"top": [{"page": "/a", "depth": 0}], "types": types, "levels": [[0, 3], [1, 9]]}
    output |= {"degrees": [["1", 2]], "depths": [["0", 1]], **files}
    shown = html(*owned(steps.draw_graph(output)))
    assert "<pipulate-widget" in shown and "<table" in shown
    for chart in (
        "PageRank by page type, %: home 40.5",
        "Links by clicks from the start: 0 3, 1 9",
        "Pages by how many pages link to them: 1 2",
    ):
        assert f'role="img" aria-label="{chart}"' in shown
    said = steps.told_alone(7)
    assert said in html(*owned(steps.draw_graph(output | {"note": said})))
    shown = html(*owned(steps.draw_graph(output | {"types": []})))
    assert "page type" not in shown and "Links by clicks" in shown


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"cut": 20}, "damaged or breaks off"),
        ({"container": "plain", "lost_rows": 9}, "Botify announced"),
        ({"container": "json"}, "no export"),
    ],
)
def test_a_file_that_lacks_something_is_refused(step_job, planned, ordered, service, form, why):
    vars(service.form).update(form)
    file = steps.download(ordered, step_job())
    problem = refused(steps.load, file, planned, step_job())
    assert why in problem.what and "again" in problem.next_step


def test_an_export_that_was_cut_at_its_limit_is_told(step_job, planned, ordered, service):
    whole = steps.load(steps.download(ordered, step_job()), planned, step_job())
    assert "note" not in whole
    service.jobs[0].payload["export_size"] = whole["rows"]
    taken = steps.export(planned, step_job())
    cut = steps.load(steps.download(taken, step_job()), planned, step_job())
    assert "links may be missing" in cut["note"] and cut["note"] in str(steps.draw_load(cut))


def test_while_botify_lets_us_wait_the_step_says_so(step_job, service, monkeypatch):
    monkeypatch.setattr(asking, "QUIET", 0.05)
    service.fault("light", "429", wait="1.5")
    job = step_job()
    asking.asked(job, "analyses", project=NAME, refresh=True)
    assert any("lets us wait: 1 s" in str(said) for said in job.said), job.said
