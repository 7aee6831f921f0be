"""Which rows a list means, and that a large table is not read through to find them."""

import pytest

from pipulate.apps import data
from pipulate.apps.query import State

SALES = """
from pipulate import CrudApp

class Sale(CrudApp):
    title: str
    amount: int = 0
    paid: bool = False
"""
THINGS = ("kettle", "lamp", "chair")


@pytest.fixture
def caller(house):
    return house.caller("user")


@pytest.fixture
def sales(house, plugin, caller):
    """The app with 300 rows."""
    (app,) = plugin(SALES, "shop").apps
    rows = [
        {"title": f"Order {n} of a {THINGS[n % 3]}", "amount": n % 10, "position": n}
        for n in range(300)
    ]
    app.plain(caller).insert_many(rows)
    return app


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(data, "LARGE", 100)


def titles(app, caller, said):
    rows, count = app.find(caller, app.state_of(said))
    assert count == len(rows)
    return [row.title for row in rows]


def plan(app, caller, said, what="count(*)", tail=""):
    sql, args = app.where(caller, app.state_of(said))
    found = f"SELECT {what} FROM {app.table_name} WHERE profile_id = 1 AND ({sql or 1}){tail}"
    return " ".join(row["detail"] for row in app.house.db.all(f"EXPLAIN QUERY PLAN {found}", args))


SAID = ["q=kettle+12", "q=12+kettle+f+9", "f.amount=>8&q=15", "q=%22+OR", "q=o"]


@pytest.mark.parametrize("said", SAID)
def test_a_large_table_gives_the_rows_that_a_small_one_gives(sales, caller, said, monkeypatch):
    state = sales.state_of(said)
    small = [row.id for row in sales.find(caller, state)[0]]
    monkeypatch.setattr(data, "LARGE", 100)
    assert [row.id for row in sales.find(caller, state)[0]] == small


def test_words_are_looked_up_together(sales, caller, large):
    assert plan(sales, caller, "q=kettle+order").count("VIRTUAL TABLE") == 1
    assert "USING INTEGER PRIMARY KEY" in plan(sales, caller, "q=kettle+order")


def test_matching_rows_are_counted_by_an_index_made_when_first_asked_for(sales, caller, large):
    assert "COVERING INDEX app_sales_by_amount" in plan(sales, caller, "f.amount=>8")


def test_a_page_in_order_is_read_without_sorting(sales, caller, large):
    assert "TEMP B-TREE" not in plan(sales, caller, "", "*", " ORDER BY position, id LIMIT 50")
    sales.find(caller, State(sort="-amount"))
    order = sales.order(caller, State(sort="-amount"))
    assert "SEARCH app_sales USING INDEX app_sales_by_amount" in plan(
        sales, caller, "", "*", f" ORDER BY {order} LIMIT 50"
    )


def test_an_order_of_the_class_has_its_index_too(house, plugin, caller, large):
    (app,) = plugin(SALES.replace("title:", "order = 'title'\n    title:"), "shop").apps
    app.plain(caller).insert_many([{"title": f"{n}"} for n in range(300)])
    app.find(caller, State())
    assert house.db.one("SELECT 1 FROM sqlite_master WHERE name = 'app_sales_by_title'")


def test_a_change_of_what_no_search_reads_leaves_the_search_index_alone(
    sales, caller, house, large, call
):
    sales.find(caller, State(q="kettle"))
    size = "SELECT count(*) AS n FROM app_sales_fts_data"
    before = house.db.one(size)["n"]
    call("sale_update", id=1, paid=True)
    assert house.db.one(size)["n"] == before
    call("sale_update", id=1, title="A mirror")
    assert house.db.one(size)["n"] > before
    assert titles(sales, caller, "q=mirror") == ["A mirror"]
