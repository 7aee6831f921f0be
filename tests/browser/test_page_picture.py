"""The link graph in a real browser, drawn in software: hence few pages."""

import re

import pytest
from playwright.sync_api import expect

SITE = [(n // 3, n) for n in range(1, 120)] + [(n, 0) for n in range(1, 120, 4)]


def card(page, heading):
    return page.get_by_role("article").filter(has=page.get_by_role("heading", name=heading))


@pytest.fixture(scope="module")
def address(server, first_window):
    """A run of Links that has measured a site of 120 pages."""
    path = server.home / "site.csv"
    path.write_text("from,to\n" + "".join(f"/page/{a},/page/{b}\n" for a, b in SITE))
    page = first_window[1]
    page.goto("/default/links")
    page.get_by_role("button", name="New run").click()
    page.wait_for_url(re.compile(r"/default/links/\d+$"))
    page.get_by_label("Csv").first.fill(str(path))
    page.get_by_role("button", name="Run the rest").click()
    expect(page.locator(".graph canvas")).to_be_visible(timeout=20_000)
    return page.url


def drawn(page, address):
    page.goto(address)
    expect(page.locator(".graph[data-first]")).to_be_visible(timeout=20_000)
    return page.locator(".graph")


def colours(page):
    """How many different colours the drawing has."""
    return page.evaluate("""() => new Promise(done => requestAnimationFrame(() => {
        const from = document.querySelector('.graph canvas');
        const to = document.createElement('canvas'), {width, height} = from;
        Object.assign(to, {width, height});
        const pen = to.getContext('2d');
        pen.drawImage(from, 0, 0);
        const numbers = new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer);
        done(new Set(numbers).size);
    }))""")


# How many dots have the grey of links and are no mere breath of it, once the drawing moves no more.
SEEN = """before => new Promise(done => {
    const from = document.querySelector('.graph canvas'), {width, height} = from;
    const to = Object.assign(document.createElement('canvas'), {width, height});
    const pen = to.getContext('2d', {willReadFrequently: true});
    let last = before, same = 0, left = 500;
    const look = () => {
        pen.clearRect(0, 0, width, height);
        pen.drawImage(from, 0, 0);
        const all = pen.getImageData(0, 0, width, height).data;
        let seen = 0;
        for (let n = 0; n < all.length; n += 4) seen += all[n + 3] > 70
            && [140, 153, 166].every((one, k) => Math.abs(all[n + k] - one) < 12);
        same = seen == last && seen != before ? same + 1 : 0;
        last = seen;
        same < 5 && left-- ? requestAnimationFrame(look) : done(seen);
    };
    requestAnimationFrame(look);
})"""


def test_a_measured_graph_is_drawn_with_its_top_pages_named(window, address):
    page, frames = window(), []
    page.on("websocket", lambda s: s.on("framereceived", lambda frame: frames.append(frame)))
    graph = drawn(page, address)
    expect(graph.locator("small")).to_have_text("120 pages, 149 links")
    expect(graph.locator(".stage span").filter(has_text="/page/0").first).to_be_visible()
    assert colours(page) > 5
    assert not any(b"/page/119" in frame for frame in frames if isinstance(frame, bytes))
    sent = 4 * (2 * 149 + 5 * 120)
    expect(graph).to_have_attribute("data-bytes", str(sent))


def test_a_page_is_found_flown_to_and_told_of_with_its_neighbours(page, address):
    graph = drawn(page, address)
    graph.get_by_label("Find a page").fill("page/17")
    graph.get_by_label("Find a page").press("Enter")
    about = graph.locator(".about")
    expect(about.get_by_role("row", name="page /page/17")).to_be_visible()
    expect(about).to_contain_text("Links to 4 pages")
    expect(about).to_contain_text("Linked from 1 pages")
    about.get_by_role("button", name="/page/5", exact=True).click()
    expect(about.get_by_role("row", name="page /page/5")).to_be_visible()
    expect(about).to_contain_text("Links to 4 pages")


def test_the_links_of_a_page_that_is_picked_are_seen_however_long_they_are(page, address):
    graph = drawn(page, address)
    graph.get_by_role("button", name="Pause").click()
    before = page.evaluate(SEEN, 0)
    graph.get_by_label("Find a page").fill("page/17")
    graph.get_by_label("Find a page").press("Enter")
    assert page.evaluate(SEEN, before) > 100


def test_colour_size_and_filter_follow_the_columns_and_are_kept(page, address):
    graph = drawn(page, address)
    expect(graph.get_by_label("Colour")).to_have_value("depth")
    graph.get_by_label("Colour").select_option("component")
    expect(graph.get_by_role("listitem").filter(has_text="1 (120)")).to_be_visible()
    graph.get_by_label("Size").select_option("in_degree")
    graph.get_by_label("Only").select_option("depth")
    graph.get_by_label("depth to").fill("2")
    graph.get_by_label("depth to").press("Enter")
    expect(graph.locator("small")).to_have_text("9 pages, 10 links")
    graph.get_by_label("Only").select_option("")
    expect(graph.locator("small")).to_have_text("120 pages, 149 links")
    graph = drawn(page, address)
    expect(graph.get_by_label("Colour")).to_have_value("component")
    expect(graph.get_by_label("Size")).to_have_value("in_degree")


def test_colours_span_the_pages_that_a_filter_leaves(page, address):
    """Of a site 221 clicks deep, depths 3 to 5 all had one colour."""
    graph = drawn(page, address)
    graph.get_by_label("Colour").select_option("depth")
    graph.get_by_label("Only").select_option("depth")
    graph.get_by_label("depth from").fill("2")
    graph.get_by_label("depth from").press("Tab")
    expect(graph.get_by_role("listitem").first).to_have_text("from 2")


def test_the_layout_is_held_and_goes_on_and_a_picture_is_saved(page, address):
    graph = drawn(page, address)
    graph.get_by_role("button", name="Pause").click()
    graph.get_by_role("button", name="Go on").click()
    expect(graph.get_by_role("button", name="Pause")).to_be_visible()
    with page.expect_download() as saved:
        graph.get_by_role("button", name="Save PNG").click()
    assert saved.value.suggested_filename == "graph.png"
    assert saved.value.path().read_bytes()[:4] == b"\x89PNG"
    graph.get_by_role("button", name="Full screen").click()
    expect(page.locator(".graph:fullscreen")).to_be_visible()


def test_a_picture_that_stands_still_leaves_the_processor_to_the_page(window, address, until):
    page = window()
    page.add_init_script("""
        const known = WebGL2RenderingContext.prototype;
        for (const name of ['drawArrays', 'drawArraysInstanced']) {
          const real = known[name];
          known[name] = function (...what) {
            window.lastDrawn = performance.now();
            return real.apply(this, what);
          };
        }
    """)
    graph = drawn(page, address)
    assert page.evaluate("lastDrawn") > 0
    graph.get_by_role("button", name="Pause").click()
    until(lambda: page.evaluate("performance.now() - lastDrawn") > 2_000, 20)
    before = page.evaluate("lastDrawn")
    graph.get_by_role("checkbox", name="Links").click()
    until(lambda: page.evaluate("lastDrawn") > before, 20)


def test_the_graph_is_offered_to_the_other_web_app_after_a_yes_and_taken_back(page, address):
    drawn(page, address).get_by_role("link", name="Open in Cosmograph").click()
    expect(page.get_by_text("web app of somebody else")).to_be_visible()
    expect(page.get_by_text("edges.csv (")).to_be_visible()
    page.get_by_role("button", name="Share them").click()
    expect(page.get_by_role("button", name="Open Cosmograph")).to_have_attribute(
        "href", re.compile("data=http%3A%2F%2F127.0.0.1%3A")
    )
    page.get_by_role("button", name="Stop sharing").click()
    expect(page.get_by_text("Nothing is shared any more")).to_be_visible()


def test_without_webgl_the_page_says_so_and_its_tables_are_there(window, address):
    page = window()
    page.add_init_script("""
        const real = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind == 'webgl2' ? null : real.call(this, kind, ...more);
        };
    """)
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(address)
    expect(page.get_by_text("no WebGL 2")).to_be_visible()
    expect(
        card(page, "3. Measure").get_by_role("cell", name="/page/0", exact=True).last
    ).to_be_visible()
    assert not [url for url in fetched if "cosmos" in url]
