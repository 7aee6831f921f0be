"""The frame around everything: profiles, plugins, search, a phone, the dark, the keyboard."""

import contextlib
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from playwright.sync_api import expect
from serving import serving

PLACES = [
    "/default",
    "/default/tasks",
    "/default/hello",
    "/default/links",
    "/default/history",
    "/default/settings",
    "/default/search?q=x",
]


@pytest.fixture(scope="module", autouse=True)
def some_rows(server):
    for n in range(5):
        server.call(
            "task_add", title=f"A task with a rather long title that has to wrap somewhere {n}"
        )
    server.call("hello_run", name="Ada")


def test_the_launch_address_lets_a_browser_in(browser, server):
    answer = server.client.get("/default")  # the shared client holds the first cookie
    assert answer.status_code == 200
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    assert page.goto("/default").status == 403
    expect(page.get_by_text("pipulate open")).to_be_visible()
    import httpx2

    key = {"Authorization": f"Bearer {server.keys['shell']}"}
    token = httpx2.post(f"{server.url}/shell/launch", headers=key).json()["token"]
    page.goto(f"/?token={token}")
    page.wait_for_url(re.compile("/default$"))
    expect(page.get_by_role("link", name="Tasks").first).to_be_visible()
    context.close()


def test_the_profile_menu_leads_to_the_same_app_of_another_profile(page, server):
    if "work" not in [p["slug"] for p in server.call("profile_list")]:
        server.call("profile_add", name="Work")
    server.call("task_add", profile="work", title="only at work")
    page.goto("/default/tasks")
    expect(page.get_by_text("only at work")).to_have_count(0)
    page.locator("nav summary").filter(has_text="Default").click()
    page.get_by_role("link", name="Work", exact=True).click()
    page.wait_for_url(re.compile("/work/tasks"))
    expect(page.get_by_text("only at work")).to_be_visible()


def test_profiles_are_managed_on_the_settings_page(page, server):
    page.goto("/default/settings")
    page.get_by_placeholder("Name of a new profile").fill("Made here")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name of Made here")).to_be_visible()
    page.get_by_label("Name of Made here").fill("Renamed here")
    page.get_by_label("Name of Made here").press("Enter")
    expect(page.get_by_label("Name of Renamed here")).to_be_visible()
    assert "renamed-here" in [p["slug"] for p in server.call("profile_list")]


def test_a_plugin_saved_while_the_page_is_open_is_a_click_away(page, server):
    page.goto("/default")
    (server.home / "apps" / "wines.py").write_text(
        "from pipulate import CrudApp\n\nclass Wine(CrudApp):\n    name: str\n    stars: int = 0\n"
    )
    for _ in range(30):
        if server.client.get("/default/wines").status_code == 200:
            break
        page.wait_for_timeout(100)
    page.reload()
    page.get_by_role("link", name="Wines").first.click()
    page.locator("#add").get_by_label("Name").fill("Riesling")
    page.keyboard.press("Enter")
    expect(page.locator("#rows").get_by_text("Riesling")).to_be_visible()


@pytest.mark.parametrize("place", PLACES)
def test_no_page_scrolls_sideways_on_a_phone(window, place):
    page = window(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.goto(place)
    page.wait_for_timeout(50)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{place} is {wide} px too wide"


def test_the_form_of_a_list_fits_the_narrowest_phone_in_two_columns(window):
    page = window(viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True)
    page.goto("/default/tasks")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    title, priority = (
        page.locator("#add").get_by_label(name).bounding_box()["width"]
        for name in ("Title", "Priority")
    )
    assert title > 2 * priority > 200


def test_what_settings_looks_up_fits_on_a_phone_once_it_is_there(window):
    page = window(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.goto("/default/settings")
    page.get_by_label("This profile talks to").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize(("width", "most"), [(390, 366), (1440, 600)])
def test_a_wish_is_written_in_a_box_that_is_no_narrower_than_it_can_be(window, width, most):
    page = window(viewport={"width": width, "height": 780})
    page.goto("/default/plugins")
    assert page.get_by_label("Your wish").bounding_box()["width"] > 0.98 * most


@pytest.mark.parametrize("width", [390, 768])
def test_no_filter_covers_another_and_a_row_ends_with_its_buttons_on_a_phone(window, server, width):
    page = window(viewport={"width": width, "height": 780})
    server.call("task_add", title="Look at it")
    page.goto("/default/tasks")
    page.get_by_role("button", name="Filter").click()
    boxes = [box.bounding_box() for box in page.locator(".filters [name]").all()]
    beside = [(a, b) for a, b in pairwise(boxes) if a["y"] == b["y"]]
    assert boxes and all(a["x"] + a["width"] <= b["x"] for a, b in beside)
    erase = page.locator("#rows tr").first.get_by_role("button", name="Delete").bounding_box()
    assert erase["x"] + erase["width"] > width - 40


def test_no_name_in_the_bar_is_cut_and_the_open_app_stays_in_it(window):
    page = window(viewport={"width": 900, "height": 700})
    page.goto("/default/notes")
    bar, here = page.locator("#menu .apps"), page.locator("#menu [aria-current]")
    expect(here).to_be_in_viewport(ratio=1)
    low = bar.evaluate("e => e.getBoundingClientRect().bottom")
    boxes = bar.locator("a").evaluate_all(
        "all => all.map(a => [a.offsetTop, a.getBoundingClientRect().right])"
    )
    right = bar.evaluate("e => e.getBoundingClientRect().right")
    shown = [box for box in boxes if box[0] < low]
    assert 1 < len(shown) < len(boxes) and all(box[1] <= right + 1 for box in shown)


def test_an_app_that_a_narrow_bar_cuts_off_is_reached_by_keys_under_more(window):
    page = window(viewport={"width": 1024, "height": 700})
    page.goto("/default/tasks")
    names = page.locator("#menu .apps a:not([aria-current])").all_inner_texts()
    page.locator("#menu summary").press("Enter")
    for name in names:
        expect(page.locator("#menu li").get_by_text(name)).to_be_in_viewport(ratio=1)
    page.locator("#menu li").get_by_text(names[-1]).press("Enter")
    expect(page.locator("#menu [aria-current]")).to_have_text(names[-1])


def test_on_a_phone_a_list_is_filtered_sorted_and_ticked_as_a_whole(window, server):
    page = window(viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True)
    page.goto("/default/tasks")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#bulk")).to_be_visible()
    page.get_by_label("Select all on this page").uncheck()
    page.locator("thead").get_by_role("link", name="Title").click()
    page.wait_for_url(re.compile("sort=title"))
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Filter Title").fill("no such thing")
    page.get_by_label("Filter Title").press("Enter")
    expect(page.locator("#rows tr")).to_have_count(0)


def test_on_a_phone_the_chat_opens_in_sight_ready_to_be_typed_into_and_the_list_stays(window):
    page = window(viewport={"width": 390, "height": 400}, is_mobile=True, has_touch=True)
    page.goto("/default/tasks")
    page.evaluate("scrollTo(0, 200)")
    page.locator("#fold").tap()
    message = page.get_by_label("Message", exact=True)
    expect(message).to_be_focused()
    expect(message).to_be_in_viewport()
    assert page.evaluate("scrollY") == 200
    page.locator("#fold").tap()
    expect(message).to_be_hidden()


def brightness(colour):
    values = [float(n) for n in re.findall(r"[\d.]+", colour)[:3]]
    return sum(values) / 3


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_page_follows_the_colour_scheme_of_the_machine(window, scheme):
    page = window(color_scheme=scheme)
    page.goto("/default/tasks")
    back, text = page.evaluate(
        "(()=>{const s=getComputedStyle(document.documentElement),"
        "b=getComputedStyle(document.body);"
        "return [s.backgroundColor,b.color]})()"
    )
    dark = brightness(back) < brightness(text)
    assert dark == (scheme == "dark"), (back, text)


def test_every_page_opens_without_an_error_or_a_foreign_request(page):
    for place in PLACES:
        assert page.goto(place).status == 200
        page.wait_for_timeout(50)


def test_keys_lead_to_search_new_row_and_chat(page):
    page.goto("/default/tasks")
    page.locator("h1").first.click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    expect(page.get_by_label("Search tasks")).to_be_focused()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("n")
    expect(page.locator("#add").get_by_label("Title")).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("c")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def test_the_search_of_the_house_finds_a_row(page):
    page.goto("/default")
    page.locator("nav [type=search]").fill("wrap somewhere")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/default/search"))
    expect(page.get_by_text("wrap somewhere 3")).to_be_visible()


def test_history_shows_news_keeps_what_is_open_and_goes_by_keyboard(page, server):
    server.call("task_add", title="look inside")
    page.goto("/default/history?q=inside")
    page.get_by_role("listitem").filter(has_text="look inside").locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".diff")).to_contain_text("Title")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    server.call("task_add", title="also inside")
    expect(page.get_by_role("listitem").filter(has_text="also inside")).to_be_visible()
    expect(page.locator("details[open] .diff")).to_contain_text("look inside")
    expect(page.get_by_role("button", name="Undo").last).to_be_focused()
    page.get_by_label("Words of the change").fill("also")
    expect(page.get_by_role("listitem").filter(has_text="look inside")).to_have_count(0)
    page.wait_for_url(re.compile(r"history\?q=also$"))


def test_history_asks_what_to_do_with_a_later_change(page, server):
    key = server.call("task_add", title="one")["id"]
    server.call("task_update", id=key, title="two", done=True)
    server.call("task_update", id=key, title="three")
    page.goto("/default/history")
    page.locator(".log li").nth(1).get_by_role("button", name="Undo").click()
    asked = page.get_by_role("alertdialog")
    expect(asked).to_contain_text("now “three”; undo would make it “one”")
    expect(asked.get_by_role("button", name="Leave it")).to_be_focused()
    asked.get_by_role("button", name="Undo the rest").click()
    expect(page.locator(".log li").first).to_contain_text("1 later change kept")
    expect(asked).to_have_count(0)
    row = server.call("task_get", id=key)
    assert (row["title"], row["done"]) == ("three", False)


def test_history_undoes_what_is_ticked(page, server):
    keys = [server.call("task_add", title=f"tick {n}")["id"] for n in range(3)]
    page.goto("/default/history")
    expect(page.get_by_role("button", name="Undo the ticked")).to_be_hidden()
    for n in (0, 2):
        page.locator(".log li").nth(n).get_by_role("checkbox").check()
    page.get_by_role("button", name="Undo the ticked").click()
    expect(page.locator(".log li").first).to_contain_text("Undid 2 changes")
    expect(page.get_by_role("button", name="Undo the ticked")).to_be_hidden()
    assert {r["id"] for r in server.call("task_list")["rows"]} & {*keys} == {keys[1]}


def test_history_takes_a_change_back(page, server):
    server.call("task_add", title="oops")
    page.goto("/default/history")
    page.locator(".log li").filter(has_text="oops").get_by_role("button", name="Undo").click()
    expect(page.locator(".log li").first).to_contain_text("Undid: Added task “oops”")
    assert "oops" not in [r["title"] for r in server.call("task_list")["rows"]]


def test_the_recovery_page_restores_by_a_click_in_a_real_browser(browser, tmp_path):
    home, command = tmp_path / "home", [sys.executable, "-m", "pipulate"]
    with serving(home) as server:
        server.call("task_add", title="kept in the backup")
        subprocess.run([*command, "backup", "--home", str(home)], check=True)
    (home / "pipulate.db").write_bytes(b"not a store")
    with serving(home) as server, contextlib.closing(browser.new_context()) as context:
        way = [*command, "open", "--no-browser", "--home", str(home)]
        page = context.new_page()
        page.goto(subprocess.run(way, capture_output=True, text=True, check=True).stdout)
        page.get_by_role("button", name="Restore a copy").first.click()
        page.wait_for_url("**/default")
        page.goto(f"{server.url}/default/tasks")
        expect(page.locator("#rows")).to_contain_text("kept in the backup")


def test_on_a_phone_the_bar_is_one_row_and_its_menu_is_opened_and_left_by_keys(window):
    page = window(viewport={"width": 390, "height": 780})
    page.goto("/default/tasks")
    assert page.locator("body>nav").bounding_box()["height"] < 60
    menu, history = (
        page.get_by_role("button", name="Menu"),
        page.get_by_role("link", name="History"),
    )
    expect(history).to_be_hidden()
    menu.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#menu a").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(history).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    history.click()
    page.wait_for_url(re.compile("/default/history"))


def test_the_manual_is_searched_while_its_words_are_typed(page):
    page.goto("/default/docs/start.md")
    box = page.get_by_label("Search Help")
    box.press_sequentially("xtra handle")
    expect(page.locator(".manual").get_by_role("link", name=re.compile("xtra"))).to_be_visible()
    expect(box).to_be_focused()
    page.wait_for_url(re.compile(r"README\.md\?q=xtra%20handle$"))
    box.fill("")
    expect(page.locator(".manual h1")).to_be_visible()
