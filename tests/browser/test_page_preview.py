"""A draft is tried in a browser: what is done there shows, and nothing else is asked for."""

from playwright.sync_api import expect

PLANT = '''"""Plants."""

from pipulate import CrudApp


class Plant(CrudApp):
    """Plants of mine."""

    name: str
    wet: bool = False
'''


def test_a_row_is_added_and_taken_back_in_a_preview_without_leaving_it(server, page):
    at = server.call("plugin_draft", name="plants", source=PLANT)["address"]
    asked = []
    page.goto(at)
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Try it").click()
    page.wait_for_url(f"**{at}/try/plants")
    expect(page.get_by_role("note")).to_contain_text("nothing here is kept")
    page.fill(".add [name=name]", "Fern")
    page.keyboard.press("Enter")
    row = page.locator("#rows tr", has_text="Fern")
    expect(row).to_be_visible()
    row.get_by_role("checkbox", name="Wet").check()
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row.get_by_role("checkbox", name="Wet")).to_be_checked()
    own = (f"{server.url}{at}/try", f"{server.url}/static/")
    assert [url for url in asked if not url.startswith(own)] == []
    page.get_by_role("link", name="Back to the draft").click()
    expect(page.get_by_role("button", name="Approve")).to_be_visible()


def test_a_form_of_a_draft_that_is_left_takes_no_place_but_its_own(server, page):
    """The script of the page puts what an editor of a cell becomes in its row, else in itself."""
    page.goto("/default/tasks")
    page.evaluate(
        """() => {
            const form = document.createElement('form');
            form.className = 'edit';
            form.setAttribute('hx-patch', '/default/tasks');
            form.innerHTML = '<input name="x" aria-label="Mine">';
            document.querySelector('main').append(form);
        }"""
    )
    page.get_by_label("Mine").press("Escape")
    expect(page.get_by_label("Mine")).to_have_count(0)
    expect(page.locator("body > #chat, body > nav")).to_have_count(2)


def test_a_wish_with_an_address_in_it_made_pages_of_a_phone_four_times_as_wide(server, window):
    wish = f"An app for what https://shop.example/{'w' * 150} lists"
    at = server.call("plugin_draft", name="ferns", source=PLANT, wish=wish)["address"]
    page = window(viewport={"width": 390, "height": 800})
    for address in (at, "/default/inbox", "/default/plugins"):
        page.goto(address)
        expect(page.get_by_text("https://shop.example").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
