"""Pipulate as a program: what a browser needs to install it, and Quit."""

import json
import re
import struct
import zlib

import httpx2
import pytest

from hatch_build import MANIFEST, SIZES, icon
from serving import serving


@pytest.mark.parametrize("size", SIZES)
def test_an_icon_is_a_png_of_its_size_drawn_white_on_blue_up_to_its_edges(size):
    content, kinds, at = icon(size), {}, 8
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        kinds[kind] = content[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", content[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(kind + kinds[kind])
        at += length + 12
    assert struct.unpack(">2I", kinds[b"IHDR"][:8]) == (size, size) and b"IEND" in kinds
    rows = zlib.decompress(kinds[b"IDAT"])
    assert len(rows) == size * (size + 1)
    assert rows[1] == rows[-1] == 0 and set(rows) >= {0, 255}, "the corners are blue, the P white"
    assert kinds[b"PLTE"][:3] == bytes((1, 114, 173)) and kinds[b"PLTE"][-3:] == b"\xff\xff\xff"


def test_the_manifest_names_icons_that_are_served_to_whoever_was_let_in(server):
    page = server.page("/default")
    link = re.search(r'<link[^>]*rel="manifest"[^>]*>', page)[0]
    assert 'crossorigin="use-credentials"' in link, "else a browser asks without its cookie"
    answer = server.client.get(re.search(r'href="([^"]*)"', link)[1])
    assert answer.headers["content-type"].startswith("application/manifest+json")
    said = json.loads(answer.text)
    assert said == MANIFEST and said["display"] == "standalone"
    assert {each["sizes"] for each in said["icons"]} == {"192x192", "512x512"}
    for address in {each["src"] for each in said["icons"]}:
        assert address.split("?")[0] in page or "512" in address
        shown = server.client.get(address)
        assert shown.headers["content-type"] == "image/png" and shown.content[1:4] == b"PNG"
        assert httpx2.get(f"{server.url}{address}").status_code == 403


def test_quit_is_confirmed_posted_and_says_how_to_start_again(tmp_path):
    with serving(tmp_path / "home") as server:
        page = server.page("/default")
        button = re.search(r'<button[^>]*hx-post="/default/quit"[^>]*>Quit', page)[0]
        assert "hx-confirm=" in button
        assert server.client.get("/default/quit").status_code == 404
        assert httpx2.post(f"{server.url}/default/quit").status_code == 403
        foreign = server.act("POST", "/default/quit", Origin="http://127.0.0.1:1")
        assert foreign.status_code == 403 and server.process.poll() is None
        said = re.sub("<[^>]+>", "", server.act("POST", "/default/quit").text)
        assert "Pipulate has ended — run pipulate to start again." in said
        assert server.process.wait(15) == 0
        assert not (server.home / "server.json").exists()
