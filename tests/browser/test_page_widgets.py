"""Widgets in a real browser: a counter of ten lines, two from PyPI, bytes and messages."""

import re

import pytest
from playwright.sync_api import expect

COUNTER = '''
class Counter:
    _esm = """export default { render({model, el}) {
      const button = el.appendChild(document.createElement("button"));
      const show = () => { button.textContent = `clicked ${model.get("count")} times`; };
      button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes(); };
      model.on("change:count", show);
      show();
    } }"""
    def __init__(self):
        self.state = {"count": 0}
'''

PLUGIN = (
    COUNTER
    + '''
import anywidget
import traitlets
from anywidget.experimental import command
from pipulate import CrudApp, Pipeline
from fasthtml.components import Div

ASKS = """
const say = (el, name, text) => {
  const line = el.querySelector(`.${name}`) || el.appendChild(document.createElement("p"));
  line.className = name;
  line.textContent = text;
};
export default () => ({
  initialize({model}) { model.started = "started"; },
  async render({model, el, experimental}) {
    say(el, "first", model.started);
    model.on("msg:custom", (content, [part]) =>
      content.sum != null && say(el, "custom", `${content.sum} ${part.getUint8(1)}`));
    const total = () => say(el, "total", `total ${model.get("total")}`);
    total();
    model.on("change:total", total);
    model.set("given", {deep: [new Uint8Array([1, 2, 3])]});
    model.save_changes();
    model.send({add: true}, {}, [new Uint8Array([4, 5])]);
    const [answer, [back]] =
      await experimental.invoke("twice", "ab", {buffers: [new Uint8Array([9])]});
    say(el, "answer", `${answer} ${back.byteLength}`);
    return () => document.body.append("cleaned up");
  },
})"""


class Asks(anywidget.AnyWidget):
    _esm = ASKS
    _css = ".first { letter-spacing: 3px; }"
    given = traitlets.Dict().tag(sync=True)
    total = traitlets.Int().tag(sync=True)

    def __init__(self):
        super().__init__()
        self.on_msg(self.hear)

    def hear(self, _, content, buffers):
        if content.get("add"):
            self.send({"sum": sum(buffers[0])}, [bytes([1, 77])])

    @traitlets.observe("given")
    def count(self, change):
        self.total = sum(change["new"]["deep"][0])

    @command
    def twice(self, message, buffers):
        return message * 2, [buffers[0] * 3]


class Wants:
    _esm = "import 'https://127.0.0.1:9/lib.js'\\nexport default {}"
    state = {}


class Broken:
    _esm = """export default { async render({experimental, el}) {
      await experimental.invoke("divide", 0);
    } }"""
    commands = ("divide",)

    def __init__(self):
        self.state = {}

    def divide(self, by, buffers):
        return 1 / by, []


shows = Pipeline("Shows", "Widgets as outputs.")


@shows.step(auto=True)
def made():
    """Nothing much."""
    return 1


@made.view
def draw(output):
    from bitjet import ByteView

    return Counter(), Counter(), Asks(), ByteView(bytes(range(48)), datawidth=16)


sketch = Pipeline("Sketch", "Points that are drawn by hand.")


@sketch.step(auto=True)
def points():
    """Nothing much."""
    return 1


@points.view
def scatter(output):
    from drawdata import ScatterWidget

    return ScatterWidget(width=400, height=200)


class Board(CrudApp):
    """Has a page with a widget."""

    name: str


@Board.rt("/count", methods=["GET"])
def count():
    return Counter()


@Board.rt("/broken", methods=["GET"])
def broken():
    return Div(Broken())


@Board.rt("/wants", methods=["GET"])
def wants():
    return Wants()
'''
)


@pytest.fixture(scope="module")
def run(server, first_window):
    """The address of a run whose only step has drawn its widgets."""
    (server.home / "apps" / "shows.py").write_text(PLUGIN)
    page = first_window[1]
    for _ in range(80):  # the file is read within a moment
        if page.goto("/default/shows").status == 200:
            break
        page.wait_for_timeout(100)
    return begin(page, "shows")


def begin(page, pipeline):
    page.goto(f"/default/{pipeline}")
    page.get_by_role("button", name="New run").click()
    page.wait_for_url(re.compile(rf"/default/{pipeline}/\d+$"), timeout=20_000)
    return page.url


@pytest.fixture
def faulty(browser, server, first_window, run):
    """faulty(words): a window in which errors are expected, each of which says one of them."""
    own, words = type(first_window[0])(browser, server), []

    def opening(*said):
        words.extend(said)
        return own.open()

    yield opening
    own.close()
    assert [said for said in own.wrong if not any(word in said for word in words)] == []


@pytest.fixture
def shown(page, run):
    page.goto(run)
    return page


def widget(page, number):
    return page.locator("pipulate-widget").nth(number)


def test_a_counter_of_ten_lines_counts_and_what_it_counted_outlives_the_page(shown):
    assert len(COUNTER.strip().splitlines()) == 10
    expect(widget(shown, 0)).to_have_text("clicked 0 times", timeout=8_000)
    widget(shown, 0).get_by_role("button").click()
    widget(shown, 0).get_by_role("button").click()
    expect(widget(shown, 0)).to_have_text("clicked 2 times")
    expect(widget(shown, 1)).to_have_text("clicked 0 times")
    shown.reload()
    expect(widget(shown, 0)).to_have_text("clicked 2 times")


def test_another_tab_sees_a_change_at_once(shown, window):
    other = window()
    other.goto(shown.url)
    expect(widget(other, 1)).to_have_text("clicked 0 times")
    widget(shown, 1).get_by_role("button").click()
    expect(widget(other, 1)).to_have_text("clicked 1 times")


def test_messages_commands_and_bytes_go_both_ways(shown):
    one = widget(shown, 2)
    expect(one.locator(".first")).to_have_text("started")
    expect(one.locator(".first")).to_have_css("letter-spacing", "3px")
    expect(one.locator(".total")).to_have_text("total 6")
    expect(one.locator(".custom")).to_have_text("9 77")
    expect(one.locator(".answer")).to_have_text("abab 3")


def test_a_widget_that_leaves_the_page_is_cleaned_up(shown):
    expect(widget(shown, 2).locator(".answer")).to_be_visible()
    shown.evaluate("document.querySelectorAll('pipulate-widget')[2].remove()")
    expect(shown.get_by_text("cleaned up")).to_be_visible()


def test_a_widget_whose_element_was_put_there_anew_was_deaf_on_a_busy_page(shown, window):
    expect(widget(shown, 0)).to_have_text(re.compile("clicked"))
    shown.evaluate("""() => new Promise(done => {
        const later = setTimeout, old = document.querySelector('pipulate-widget');
        window.setTimeout = (work, wait) => later(() => { work(); done(); }, wait || 300);
        old.replaceWith(old.cloneNode());
    })""")
    other = window()
    other.goto(shown.url)
    widget(other, 0).get_by_role("button").click()
    told = widget(other, 0).inner_text()
    expect(widget(shown, 0)).to_have_text(told)


def test_bitjet_of_pypi_draws_bytes_and_gives_back_what_was_chosen(shown):
    expect(widget(shown, 3)).to_contain_text("48 bytes · 16 × 3 bytes")
    widget(shown, 3).get_by_label("mode").select_option("bit")
    expect(widget(shown, 3)).to_contain_text("16 × 24 bits")
    shown.reload()
    expect(widget(shown, 3)).to_contain_text("16 × 24 bits")


def test_drawdata_of_pypi_keeps_what_was_drawn(faulty):
    page = faulty("<svg> attribute height")  # its own
    begin(page, "sketch")
    widget(page, 0).locator("svg").last.click(position={"x": 90, "y": 80})
    expect(widget(page, 0).locator("circle[class^=batch]")).to_have_count(1)
    page.reload()
    expect(widget(page, 0).locator("circle[class^=batch]")).to_have_count(1)


def test_a_page_of_an_app_shows_a_widget_and_ordinary_pages_fetch_none_of_it(page, run):
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto("/default/boards")
    assert not [url for url in fetched if "widgets" in url]
    page.goto("/default/boards/count")
    widget(page, 0).get_by_role("button").click()
    expect(widget(page, 0)).to_have_text("clicked 1 times")
    assert len([url for url in fetched if "/static/widgets/" in url]) == 2


def test_what_a_widget_fails_with_is_said_in_its_place(page, run):
    page.goto("/default/boards/broken")
    expect(widget(page, 0).get_by_role("alert")).to_contain_text("ZeroDivisionError")


def test_a_widget_that_fetches_from_elsewhere_is_told_of_and_fetches_nothing(faulty):
    page = faulty("Content Security Policy", "127.0.0.1:9")
    why = []
    page.on("requestfailed", lambda request: why.append(request.failure))
    page.goto("/default/boards/wants")
    expect(widget(page, 0).get_by_role("alert")).to_contain_text("fetches from elsewhere")
    assert why == ["csp"]


def test_a_page_left_open_over_a_restart_says_what_to_do(page, run):
    page.goto("/default/boards/count")
    expect(widget(page, 0)).to_have_text("clicked 0 times")
    page.evaluate("document.querySelector('pipulate-widget').dataset.key = 'forgotten'")
    page.evaluate("""() => {
        const old = document.querySelector('pipulate-widget');
        old.replaceWith(old.cloneNode());
    }""")
    expect(widget(page, 0).get_by_role("alert")).to_contain_text("Reload the page")
