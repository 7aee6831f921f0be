"""The page around everything, drawn once and filled as text."""

import re

from pipulate.apps.markup import html
from pipulate.core.problems import Problem
from pipulate.web.layout import Layout


def page(house, at="/default/tasks", main="MAIN", talk="TALK", title="Tasks"):
    return Layout(house).page(house.profiles.at(), at, title, main, talk, "NONCE")


def test_the_parts_are_where_they_belong(house):
    drawn = page(house)
    assert "MAIN" in re.search(r"<main.*?</main>", drawn, re.DOTALL)[0]
    assert "TALK" in re.search(r"<aside.*?</aside>", drawn, re.DOTALL)[0]
    assert "<title>Tasks · Pipulate</title>" in drawn
    assert drawn.count('nonce="NONCE"') == 1 and "\0" not in drawn


def test_the_menu_marks_the_app_that_is_open(house):
    current = re.findall(r"<a[^>]*aria-current[^>]*>([^<]*)", page(house))
    assert current == ["☑ Tasks"]


def test_a_hostile_title_stays_text(house):
    drawn = page(house, title="</title><script>y</script>")
    assert "<script>y" not in drawn


def test_what_the_main_column_holds_cannot_fill_another_place(house):
    """A null stands between the parts of the frame: none comes in with a row or a message."""
    drawn = page(house, main="a\0talk\0b", talk="SECRET")
    assert drawn.count("SECRET") == 1


def test_every_page_has_a_tab_of_its_own_and_sends_it_along(house):
    tabs = {re.search(r"&amp;tab=(\w+)", page(house))[1] for _ in range(2)}
    assert len(tabs) == 2
    drawn = page(house)
    tab = re.search(r"&amp;tab=(\w+)", drawn)[1]
    assert f'"X-Tab": "{tab}"' in drawn


def test_htmx_may_neither_eval_nor_fetch_elsewhere(house):
    drawn = page(house)
    for setting in ('"allowEval": false', '"selfRequestsOnly": true', '"allowScriptTags": false'):
        assert setting in drawn.replace("&#34;", '"').replace("&quot;", '"')


def test_a_new_app_and_a_broken_one_are_in_the_menu_at_once(house, plugin):
    layout = Layout(house)
    before = layout.page(house.profiles.at(), "/default", "x", "", "", "n")
    plugin("from pipulate import CrudApp\nclass Cheese(CrudApp):\n    name: str\n", "cheeses")
    broken = plugin("1/0", "torn")
    assert isinstance(broken.problem, Problem)
    after = layout.page(house.profiles.at(), "/default", "x", "", "", "n")
    assert "/default/cheeses" in after and "/default/plugin/torn" in after
    assert "/default/cheeses" not in before


def test_the_bar_shows_the_first_apps_and_the_one_that_is_open_the_rest_lies_under_more(house):
    layout, profile = Layout(house), house.profiles.at()
    bar, more = html(layout.menu(profile, "")).split("More</summary>")
    assert "/default/tasks" in bar and "/default/rows" in more and "/default/rows" not in bar
    bar, more = html(layout.menu(profile, "rows")).split("More</summary>")
    assert "/default/rows" in bar and "/default/rows" not in more
