"""The socket that the widgets of a page share, and the addresses of their modules."""

import contextlib
import json
import re

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from pipulate.web.widgets import HOST_AT

PLUGIN = '''
from pipulate import CrudApp


class Echo:
    _esm = "export default {}  // echo"
    commands = ("echo", "fail")

    def __init__(self):
        self.state = {"count": 1, "data": bytes(100_000)}

    def echo(self, message, buffers):
        return message, [*buffers, bytes(3_000_000)]

    def fail(self, message, buffers):
        raise KeyError("nothing there")


class Board(CrudApp):
    """Has a page with two widgets."""

    name: str


@Board.rt("/two", methods=["GET"])
def two():
    from fasthtml.components import Div

    return Div(Echo()), Echo()
'''
ASK = {"method": "custom", "content": {"kind": "anywidget-command", "id": "7", "msg": "ä"}}


@pytest.fixture(scope="module")
def drawn(server):
    """The page with two widgets, as HTML."""
    (server.home / "apps" / "boards.py").write_text(PLUGIN)
    for _ in range(100):
        page = server.client.get("/default/boards/two")
        if page.status_code == 200:
            return page.text
        server.client.get("/default")
    raise AssertionError(page.text)


@pytest.fixture
def socket(server):
    own = [("Origin", server.url), ("Cookie", server.cookie)]
    address = f"ws://127.0.0.1:{server.port}/ws/widgets"
    with connect(address, additional_headers=own, max_size=None) as opened:
        yield opened


def keys(drawn):
    return re.findall(r'data-key="([^"]+)"', drawn)


def say(socket, key, buffers=(), **said):
    socket.send(json.dumps({"key": key, "parts": len(buffers)} | said))
    for one in buffers:
        socket.send(one)


def hear(socket):
    head = json.loads(socket.recv(timeout=5))
    return head, [socket.recv(timeout=5) for _ in range(head.pop("parts"))]


def test_several_widgets_share_a_socket_and_each_gets_its_own_state(drawn, socket):
    first, second = keys(drawn)
    for key in (first, second):
        say(socket, key, method="open")
        head, buffers = hear(socket)
        assert (head["key"], head["state"], buffers) == (key, {"count": 1}, [bytes(100_000)])
    say(socket, first, method="update", state={"count": 2}, buffer_paths=[])
    say(socket, first, method="open")
    assert hear(socket)[0]["state"] == {"count": 2}
    say(socket, second, method="open")
    assert hear(socket)[0]["state"] == {"count": 1}


def test_bytes_go_both_ways_larger_ones_to_the_page(drawn, socket):
    ask = ASK | {"content": ASK["content"] | {"name": "echo"}}
    say(socket, keys(drawn)[0], [bytes(range(256)) * 1_000], **ask)
    head, buffers = hear(socket)
    assert head["content"]["response"] == "ä"
    assert buffers == [bytes(range(256)) * 1_000, bytes(3_000_000)]


def test_a_fault_of_a_widget_is_said_and_the_socket_goes_on(drawn, socket, server):
    key = keys(drawn)[1]
    say(socket, key, **ASK | {"content": ASK["content"] | {"name": "fail"}})
    fault = hear(socket)[0]["fault"]
    assert "KeyError: 'nothing there'" in fault
    assert re.search(r"\((\w+)\)$", fault)[1] in server.log
    say(socket, "unknown", method="open")
    assert "Reload the page" in hear(socket)[0]["fault"]
    say(socket, key, method="open")
    assert hear(socket)[0]["state"]["count"] == 1


def test_a_tab_that_closed_a_widget_or_went_hears_no_more_of_it(drawn, socket, server):
    key = keys(drawn)[0]
    own = [("Origin", server.url), ("Cookie", server.cookie)]
    with connect(f"ws://127.0.0.1:{server.port}/ws/widgets", additional_headers=own) as other:
        for one in (socket, other):
            say(one, key, method="open")
            hear(one)
        say(other, key, method="close")
        say(socket, key, method="update", state={"count": 3}, buffer_paths=[])
        with pytest.raises(TimeoutError):
            other.recv(timeout=0.3)
    say(socket, key, method="open")
    assert hear(socket)[0]["state"]["count"] == 3


@pytest.mark.parametrize("frame", ["", "[]", "{}", '{"parts": "x"}', '{"parts": 0}', b"bytes"])
def test_what_is_no_message_ends_the_socket_and_nothing_else(socket, server, frame):
    socket.send(frame)
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=3)
    assert server.client.get("/default").status_code == 200
    assert "Traceback" not in server.log.partition("fault")[0]


def test_another_page_cannot_open_the_socket(server):
    address = f"ws://127.0.0.1:{server.port}/ws/widgets"
    for headers in ([("Origin", server.url)], [("Origin", "null"), ("Cookie", server.cookie)]):
        with (
            pytest.raises(InvalidStatus),
            contextlib.closing(connect(address, additional_headers=headers)),
        ):
            pass


def test_modules_are_served_for_good_by_what_is_in_them_and_no_other_name_is(drawn, server):
    module = re.search(r'data-module="([^"]+)"', drawn)[1]
    for at in (module, HOST_AT):
        answer = server.client.get(at)
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
    assert server.client.get(module).text == "export default {}  // echo"
    assert server.client.get("/static/widgets/0123.js").status_code == 404
    assert drawn.count(module) == 2
