"""What to export: the depth that fits, found with few questions; the query; jobs taken up."""

import pytest

from pipulate import Problem
from pipulate.botify import plans

SHOP = [(0, 20), (1, 100), (2, 400), (3, 900)]


def rows(*levels):
    return [{"dimensions": [depth], "metrics": [links]} for depth, links in levels]


def test_levels_are_read_in_order_and_pages_that_nothing_leads_to_have_none():
    assert plans.levels_of(rows((2, 5), (0, 1), (None, 9), (1, None))) == [(0, 1), (1, 0), (2, 5)]
    assert plans.levels_of([{"dimensions": [], "metrics": [7]}]) == []


@pytest.mark.parametrize(
    ("found", "number"), [({"metrics": [0]}, 0), ({"metrics": [None]}, 0), ({"metrics": []}, 0)]
)
def test_a_sum_over_nothing_is_zero_however_it_is_told(found, number):
    assert plans.number(found) == number


def test_depths_and_sums_may_be_told_as_text():
    found = [{"dimensions": ["1"], "metrics": ["20.0"]}, {"dimensions": ["0"], "metrics": ["5"]}]
    assert plans.levels_of(found) == [(0, 5), (1, 20)]


def test_a_row_that_stands_for_several_depths_says_so():
    table = plans.depth_table([(0, 5), (2, 30), (4, 100), (8, 0)], 100)
    assert [row["note"] for row in table] == [
        *("", "depths 1 to 2", "depths 3 to 4, over the limit", "depths 5 to 8, over the limit")
    ]


def test_the_table_adds_up_and_says_what_does_not_fit():
    table = plans.depth_table(SHOP, 520)
    assert [row["total"] for row in table] == [20, 120, 520, 1420]
    assert [row["note"] for row in table] == ["", "", "", "over the limit"]
    assert plans.deepest_fit(table, 520) == 2, "a limit that is reached exactly is kept"
    assert plans.deepest_fit(plans.depth_table(SHOP, 519), 519) == 1


def test_a_site_that_fits_whole_is_taken_whole():
    assert plans.deepest_fit(plans.depth_table(SHOP, 10**6), 10**6) == 3


def test_levels_that_add_nothing_end_no_search_and_are_not_chosen():
    table = plans.depth_table([(0, 5), (1, 0), (2, 7), (3, 0)], 100)
    assert [row["note"] for row in table] == ["", "adds nothing", "", "adds nothing"]
    assert plans.deepest_fit(table, 100) == 2


@pytest.mark.parametrize(
    ("levels", "limit", "why"),
    [
        ([(0, 2_000)], 1_000, "depth 0 alone have 2,000 links, and one export takes 1,000"),
        ([(0, 0), (1, 0)], 1_000, "no internal links"),
        ([], 1_000, "no internal links"),
    ],
)
def test_where_no_depth_fits_the_reason_is_told(levels, limit, why):
    with pytest.raises(Problem, match=why):
        plans.deepest_fit(plans.depth_table(levels, limit), limit)


@pytest.mark.parametrize(
    ("links", "limit", "best", "most"),
    [
        (lambda depth: min(depth, 9) * 10, 10**6, 16, 7),  # ends at 9: nothing behind it
        (lambda depth: depth * 1_000, 10**6, 1_000, 21),  # never stops growing
        (lambda depth: (depth + 1) * 10, 10**9, 4_096, 15),  # as deep as is looked
        (lambda depth: 5 * 2**depth, 1_000, 7, 9),
        (lambda depth: 2_000 + depth, 1_000, None, 2),  # the first level is too large
    ],
)
def test_where_depths_cannot_be_grouped_the_end_is_found_with_few_questions(
    links, limit, best, most
):
    questions = []

    def total(depth):
        questions.append(depth)
        return links(depth)

    table = plans.depth_table(plans.search_levels(total, limit), limit)
    fits = [row["depth"] for row in table if row["fits"] and row["links"]]
    assert max(fits, default=None) == best and len(questions) <= most, questions
    assert all(row["total"] == links(row["depth"]) for row in table)
    assert len(set(questions)) == len(questions)


def test_the_export_asks_for_the_fields_of_the_page_and_search_data_of_thirty_days():
    query = plans.export_query("20250314-2", 3, ["title", "clicks"])
    assert query["collections"] == ["crawl.20250314-2", "search_console"]
    assert query["periods"] == [["2025-02-13", "2025-03-14"]]
    assert query["query"]["dimensions"] == [
        *("url", "crawl.20250314-2.outlinks_internal.graph.url"),
        "crawl.20250314-2.metadata.title.content",
    ]
    assert query["query"]["metrics"] == ["search_console.period_0.count_clicks"]
    assert "periods" not in plans.export_query("20250314", 3, ["title"])
    assert plans.ordered(["clicks", "title", "page type"]) == ["page type", "title", "clicks"]


def test_a_link_costs_a_tenth_of_a_credit():
    assert [plans.credits_of(n) for n in (0, 1, 48_211)] == [0, 1, 4_822]


def job(key="7", status="DONE", made="2025-03-20T08:00:00Z", **changed):
    payload = plans.payload_of("org", "shop", plans.export_query("20250314", 3, ["title"]), 100)
    told = {"job_id": key, "job_status": status, "date_created": made}
    return told | {"payload": payload | changed}


WANTED = job()["payload"]


def test_a_job_that_asks_for_the_same_is_taken_up_however_it_is_written():
    twin = job()
    twin["payload"]["query"]["periods"] = []
    twin["payload"]["export_size"] = 5
    assert plans.adoptable([twin], WANTED) is twin
    assert plans.adoptable([job("9"), job("10")], WANTED)["job_id"] == "10"
    newer = job("1", made="2025-03-21T08:00:00Z")
    assert plans.adoptable([job("9"), newer], WANTED) is newer
    assert plans.adoptable([job(status="CREATED")], WANTED), "it is under way"


@pytest.mark.parametrize(
    "other",
    [
        job(status="FAILED"),
        job(username="somebody"),
        job(project="else"),
        job(formatter="json"),
        job(query=plans.export_query("20250314", 2, ["title"])),
        job(query=plans.export_query("20250314", 3, [])),
        job(query=plans.export_query("20250314-2", 3, ["title"])),
        job() | {"payload": None},
        job() | {"payload": {"query": None}},
    ],
)
def test_another_job_is_not_taken_up(other):
    assert plans.adoptable([other], WANTED) is None


def test_a_job_that_was_there_before_is_not_the_one_that_was_ordered():
    assert plans.adoptable([job("1"), job("2")], WANTED, besides=["1", "2"]) is None
