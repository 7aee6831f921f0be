"""The look and the inline script: small, and without any address but our own."""

import re
import zlib

from pipulate.web.layout import SCRIPTS
from pipulate.web.script import SCRIPT
from pipulate.web.server import ASSETS
from pipulate.web.style import THEME

INLINE = THEME + SCRIPT


def test_nothing_is_fetched_from_elsewhere():
    assert not re.findall(
        r"https?:|//[\w.-]+\.\w|@import|url\((?!data:)",
        re.sub(r"^\s*//.*$", "", INLINE, flags=re.M),
    )


def test_style_and_script_are_small():
    assert len(zlib.compress(INLINE.encode())) < 10_000


def test_style_and_script_do_not_grow_on():
    assert len(zlib.compress(INLINE.encode())) < 10_400


def test_the_first_load_stays_within_its_budget():
    """What every page loads; what moves rows and draws graphs comes with the page that needs it."""
    files = [ASSETS / name for name in ("pico.min.css", *SCRIPTS)]
    packed = sum(len(zlib.compress(path.read_bytes(), 5)) for path in files)
    assert packed + len(zlib.compress(INLINE.encode())) < 60_000


def test_only_a_delete_turns_red_when_it_is_pointed_at():
    red = [rule for rule in THEME.split("}") if ":hover" in rule and "color:var(--bad)" in rule]
    assert [re.findall(r"([^,{(]*):(?:is\()?:?hover", rule) for rule in red] == [
        ["[aria-label=Delete]"]
    ]
