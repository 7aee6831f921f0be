"""HTTP as it arrives: however an answer is cut, it is read the same, and one cut off is told."""

import json
import socket
from contextlib import aclosing, suppress
from threading import Thread

import pytest

from pipulate.ai import wire as wires
from pipulate.ai.wire import lines
from pipulate.core.problems import Problem

TEXT = 'data: {"say": "Grüße, 世界"}\n\ndata: two\u2028is one line\r\n\ndata: no end of line'
HEARD = ['data: {"say": "Grüße, 世界"}', "data: two\u2028is one line\r", "data: no end of line"]


def counted(text=TEXT):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text.encode()), text.encode())


def chunked(text=TEXT, size=7):
    body = text.encode()
    pieces = [body[at : at + size] for at in range(0, len(body), size)] + [b""]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def uncounted(text=TEXT):
    return b"HTTP/1.0 200 OK\r\n\r\n" + text.encode()


@pytest.fixture
def wire(run):
    """wire(answer, …): (what was asked, the lines) of a server that writes these bytes, so many

    at a time, and hangs up, or not."""

    def wiring(answer, key="", body=None, size=65_536, hang_up=True, **limits):
        heard = []

        def serve(listening):
            taken, _ = listening.accept()
            with taken, suppress(OSError):  # it was left before the end
                head = b""
                while not head.endswith(b"\r\n\r\n") and (more := taken.recv(65_536)):
                    head += more
                heard.append(head.decode())
                for at in range(0, len(answer), size):
                    taken.sendall(answer[at : at + size])
                taken.shutdown(socket.SHUT_WR) if hang_up else taken.recv(1)

        async def ask(url):
            async with aclosing(lines(url, key, body, **limits)) as answered:
                return [line async for line in answered]

        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = Thread(target=serve, args=[listening])
            serving.start()
            try:
                return heard, run(ask(f"http://127.0.0.1:{listening.getsockname()[1]}/v1/x"))
            finally:
                serving.join()

    return wiring


@pytest.mark.parametrize("answer", [counted, chunked, uncounted])
@pytest.mark.parametrize("size", [1, 3, 65_536])
def test_an_answer_is_the_same_lines_however_it_is_sent_and_cut(wire, answer, size):
    assert wire(answer(), size=size)[1] == HEARD


@pytest.mark.parametrize("answer", [counted, chunked])
def test_an_answer_that_tells_its_end_needs_no_hanging_up(wire, answer):
    assert wire(answer(), hang_up=False)[1] == HEARD


@pytest.mark.parametrize("answer", [counted, chunked])
def test_one_that_ends_before_its_end_is_broken_off(wire, answer):
    with pytest.raises(Problem, match="broke") as raised:
        wire(answer()[:-20])
    assert raised.value.details["broken"]


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 what\r\n\r\n"])
def test_what_is_no_http_is_broken_off_too(wire, answer):
    with pytest.raises(Problem, match="broke"):
        wire(answer)


def test_bytes_that_are_no_text_are_marked(wire):
    answer = b"HTTP/1.0 200 OK\r\n\r\ndata: \xff\xfe\n"
    assert wire(answer)[1] == ["data: ��"]


def test_a_line_without_end_takes_no_more_than_its_room(wire, monkeypatch):
    monkeypatch.setattr(wires, "LINE", 1_000)
    with pytest.raises(Problem, match="broke"):
        wire(uncounted("x" * 100_000))


@pytest.mark.parametrize("limits", [{"first": 0.2}, {"first": 60.0, "total": 0.2}])
def test_a_silent_server_is_waited_for_so_long_and_no_longer(wire, limits):
    with pytest.raises(TimeoutError):
        wire(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", hang_up=False, **limits)


def test_between_two_pieces_it_may_take_as_long_as_is_said(wire):
    with pytest.raises(TimeoutError):
        wire(counted()[:-20], hang_up=False, first=60.0, between=0.2)


def test_a_key_is_sent_as_a_bearer_and_none_where_there_is_none(wire):
    def sent(key):
        (head,), _ = wire(counted(), key=key)
        return [line for line in head.split("\r\n") if line.startswith("Authorization")]

    assert sent("sk-planted") == ["Authorization: Bearer sk-planted"] and sent("") == []


def test_half_a_key_was_told_where_a_long_refusal_was_cut(wire):
    answer = b"HTTP/1.0 401 No\r\n\r\n" + b"x" * 195 + b"sk-planted"
    with pytest.raises(Problem) as raised:
        wire(answer, key="sk-planted")
    assert "sk-" not in str(raised.value)


@pytest.mark.parametrize("size", [10, 65_536])
def test_a_refusal_in_lines_is_told_whole_however_it_arrives(wire, size, monkeypatch):
    monkeypatch.setattr(wires, "AT_ONCE", size)
    said = json.dumps({"error": {"message": "this model does not support tools"}}, indent=2) + "\n"
    answer = chunked(said).replace(b"200 OK", b"400 Bad")
    with pytest.raises(Problem, match="does not support tools"):
        wire(answer)


def test_a_refusal_is_told_without_the_key(wire):
    answer = b"HTTP/1.0 401 No\r\n\r\n" + json.dumps({"error": "bad key sk-planted"}).encode()
    with pytest.raises(Problem, match="answered 401.*bad key …") as raised:
        wire(answer, key="sk-planted")
    assert raised.value.details["code"] == 401


@pytest.mark.parametrize("code", [401, 403, 500])
def test_of_a_refusal_the_key_is_named_not_only_the_log_of_a_server_far_away(wire, code):
    with pytest.raises(Problem, match="its log, or its key"):
        wire(f"HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n".encode())


ENDLESS = {
    "the head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
    "lines": b"HTTP/1.1 200 OK\r\n\r\n" + b"a\n" * 50_000,
    "a refusal": b"HTTP/1.1 500 No\r\n\r\n" + b"a\n" * 50_000,
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_end_takes_no_more_than_its_room(wire, answer):
    with pytest.raises(Problem, match="had no end"):
        wire(answer, most=10_000)


def test_a_server_on_the_port_that_speaks_something_else_is_no_fault_of_ours(wire):
    answer = b"HTTP/1.1 101 Other\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nzzz"
    with pytest.raises(Problem, match="broke"):
        wire(answer)


UNASKED = {"nobody listens": ("", "Connect"), "no head can hold the key": ("“quoted”", "Unicode")}


@pytest.mark.parametrize(("key", "why"), UNASKED.values(), ids=UNASKED)
def test_what_cannot_be_asked_is_a_problem_that_says_what_to_do(run, key, why):
    async def ask():
        return [line async for line in lines("http://127.0.0.1:9/x", key)]

    with pytest.raises(Problem, match=f"broke .{why}.*Check that the model server runs"):
        run(ask())
