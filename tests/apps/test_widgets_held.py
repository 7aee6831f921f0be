"""Widgets as views give them: held while they are shown, told of changes, asked by commands."""

import gc

import pytest
import traitlets

from pipulate.apps.markup import html, owned
from pipulate.apps.widgets import LIVE, RECENT, Held

UPDATE = {"method": "update", "buffer_paths": []}


class Plain:
    _esm = "export default {}"
    commands = ("double",)

    def __init__(self):
        self.state = {"count": 1, "data": b"\1\2"}

    def double(self, message, buffers):
        return 2 * message, [one * 2 for one in buffers]

    def secret(self, message, buffers):
        return "told", []


class Tab(list):
    """Notes what it is told."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __call__(self, said, buffers=()):
        self.append((said["method"], said.get("state", said.get("content")), [*buffers]))


@pytest.fixture
def counter():
    import anywidget

    class Counter(anywidget.AnyWidget):
        _esm = "export default {}"
        _css = "p { color: red }"
        count = traitlets.Int(1).tag(sync=True)
        data = traitlets.Bytes(b"\1\2").tag(sync=True)

    return Counter()


def test_a_widget_is_drawn_as_an_element_that_names_its_module():
    kept = []
    drawn = html(owned(("before", Plain(), "<b>"), kept))
    (held,) = kept
    assert LIVE[held.key] is held and held.key in drawn and held.texts[0][0] in drawn
    assert drawn.startswith("before<pipulate-widget") and drawn.endswith("&lt;b&gt;")


def test_equal_modules_have_one_address_and_others_another():
    one, two = Held(Plain()), Held(Plain())
    two.widget._esm = "export default {render() {}}"
    assert one.key != two.key
    assert one.texts == two.texts != Held(two.widget).texts


def test_the_state_comes_with_its_bytes_apart_be_it_an_anywidget_or_plain(counter):
    for widget in (Plain(), counter):
        (held := Held(widget)).open(tab := Tab())
        assert tab in held.tabs
        ((method, state, buffers),) = tab
        assert (method, state["count"], buffers) == ("update", 1, [b"\1\2"])
        assert not {"_esm", "_css", "data"} & state.keys()


def test_what_one_tab_changes_the_others_hear_and_the_next_one_finds(counter):
    for widget in (Plain(), counter):
        held, first, second, third = Held(widget), Tab(), Tab(), Tab()
        held.open(first)
        held.open(second)
        said = UPDATE | {"state": {"count": 5, "data": None}, "buffer_paths": [["data"]]}
        held.hear(said, [b"new"], first)
        assert len(first) == 1
        method, state, buffers = second[1]
        assert (method, state["count"], buffers) == ("echo_update", 5, [b"new"])
        held.open(third)
        assert (third[0][1]["count"], third[0][2]) == (5, [b"new"])


def test_what_python_changes_all_tabs_hear(counter):
    held, first, second = Held(counter), Tab(), Tab()
    held.open(first)
    held.open(second)
    counter.count = 9
    assert first[1] == second[1] == ("update", {"count": 9}, [])


def test_a_command_is_answered_to_whoever_asked_and_no_other_method_can_be_called():
    held, asking, other = Held(Plain()), Tab(), Tab()
    held.open(other)
    asked = {"kind": "anywidget-command", "id": "1", "name": "double", "msg": 4}
    held.hear({"method": "custom", "content": asked}, [b"ab"], asking)
    answer = {"kind": "anywidget-command-response", "id": "1", "response": 8}
    assert [*asking] == [("custom", answer, [b"abab"])] and len(other) == 1
    with pytest.raises(ValueError, match="secret"):
        held.hear({"method": "custom", "content": asked | {"name": "secret"}}, [], asking)


def test_a_page_of_a_hundred_widgets_shows_all_of_them():
    RECENT.clear()
    owned(tuple(Plain() for _ in range(100)))
    assert len({held.key for held in RECENT}) == 100


def test_a_widget_that_nobody_keeps_or_shows_is_let_go_of_by_ipywidgets_too(counter):
    from ipywidgets.widgets.widget import _instances

    owned((counter,), kept := [])
    key, model = kept[0].key, counter.model_id
    RECENT.clear()
    assert key in LIVE and model in _instances
    kept.clear()
    gc.collect()
    assert key not in LIVE and model not in _instances
