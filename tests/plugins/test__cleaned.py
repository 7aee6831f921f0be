"""HTML of code that nobody approved: what of it may act on our page, what is left of attacks."""

import re

import pytest

from pipulate.plugins._cleaned import live, still

AT = "/default/plugins/plants/0a/try"


def cleaned(text):
    return live(text, "default", AT)


def test_an_address_of_the_draft_leads_into_the_preview_and_no_other_one_is_left():
    assert cleaned('<a href="/default/plants?q=a&amp;page=2#x">a</a>') == (
        f'<a href="{AT}/plants?q=a&amp;page=2">a</a>'
    )
    assert cleaned('<button hx-post="/default/undo/7">a</button>') == (
        f'<button hx-post="{AT}/undo/7">a</button>'
    )
    assert cleaned('<i hx-get="" hx-trigger="load"></i>') == '<i hx-get="" hx-trigger="load"></i>'
    assert 'hx-patch="' + AT + '/plants/1/*"' in cleaned("<b hx-patch=/default/plants/1/*>a</b>")


@pytest.mark.parametrize(
    "address", ["/plants/1", "/other/plugins/plants/0a/approve", "/settings", "/shell/call", "/ws"]
)
def test_an_address_without_the_profile_is_asked_of_the_preview_too(address):
    for name in ("hx-get", "hx-post", "href", "action", "data-sortable"):
        assert cleaned(f'<b {name}="{address}">a</b>') == f'<b {name}="{AT}{address}">a</b>'


@pytest.mark.parametrize("name", ["hx-get", "hx-post", "hx-delete", "href", "action"])
@pytest.mark.parametrize(
    "address",
    [
        "//evil.example/default/x",
        "http://evil.example/",
        "javascript:alert(1)",
        "JaVaScRiPt&#58;alert(1)",
        "data:text/html,x",
        "../approve",
        "approve",
        "/default/../plugins/plants/0a/approve",
        "/default/x/%2e%2e/%2E./approve",
        "/default/x/..",
        "/default/\\..\\approve",
        "/",
        "/default/",
        "/default/a b",
        "/default/x\n//evil.example",
        " /default/x",
        "/default/x\r\nSet-Cookie: a=b",
        "/default/x?q=\r\nSet-Cookie: a=b",
        "/default/\u0131",
    ],
)
def test_an_address_elsewhere_is_no_address(name, address):
    assert cleaned(f'<b {name}="{address}">a</b>') == "<b>a</b>"


@pytest.mark.parametrize(
    "attribute",
    [
        'onclick="x()"',
        'hx-on:click="x()"',
        'hx-on="click: x()"',
        'data-hx-post="/default/plugins/plants/0a/approve"',
        'hx-headers=\'{"X-Tab": "1"}\'',
        'hx-vals="js:{a: x()}"',
        'hx-vals="javascript:x()"',
        'hx-vals="[1]"',
        'hx-trigger="click[x()]"',
        'hx-trigger="click from:body"',
        'hx-trigger="every 0s"',
        'hx-target="body"',
        'hx-target="closest section"',
        'hx-target="closest div"',
        'hx-target="next button"',
        'hx-include="*"',
        'hx-swap="morph:{a: x()}"',
        'hx-swap="innerHTML transition:true"',
        'hx-swap-oob="innerHTML:body"',
        'hx-swap-oob="outerHTML:[hx-post]"',
        'hx-ext="ws"',
        'hx-push-url="/default/history"',
        'hx-select-oob="#chat"',
        'hx-boost="true"',
        'hx-disinherit="*"',
        'hx-encoding="multipart/form-data"',
        'hx-indicator="body"',
        'ws-send=""',
        'ws-connect="/ws"',
        'style="position:fixed"',
        'src="http://evil.example/x.png"',
        'srcset="http://evil.example/x.png 1x"',
        'ping="/x"',
        'target="_top"',
        'download=""',
        'formaction="/default/plugins/plants/0a/approve"',
        'popovertarget="more"',
        'popover=""',
        'accesskey="a"',
        'autocomplete="current-password"',
        'contenteditable="true"',
        'data-upload="x"',
        'data-edit="1"',
        'data-copy="/x"',
        'data-paste="/x"',
        'data-allow="1"',
        'data-line="/quit"',
        'data-options="/default/plants/1"',
        'data-tooltip="x"',
        'xlink:href="/x"',
        'id="a.b"',
        'name="querySelector"',
    ],
)
def test_an_attribute_that_acts_otherwise_is_gone(attribute):
    assert cleaned(f"<b {attribute}>a</b>") == "<b>a</b>"


@pytest.mark.parametrize(
    "text",
    [
        "<script>x()</script>",
        "<style>body{display:none}</style>",
        '<link rel="stylesheet" href="/default/x">',
        '<meta http-equiv="refresh" content="0;url=/x">',
        '<base href="/x">',
        '<iframe src="/default/x"></iframe>',
        '<object data="/x"></object>',
        '<embed src="/x">',
        "<template><b>x</b></template>",
        "<dialog open></dialog>",
        '<pipulate-widget data-module="/x"></pipulate-widget>',
        '<svg><use href="/x"/><animate attributeName="href"/></svg>',
        '<math><mtext><img src=x onerror="x()"></mtext></math>',
        '<svg><foreignObject><b hx-post="/default/x">a</b></foreignObject></svg>',
        "<!-- x --><![CDATA[<script>]]>",
        '<noscript><p title="</noscript><img src=x onerror=x()>">',
    ],
)
def test_an_element_that_acts_otherwise_is_gone(text):
    assert not re.search(
        r"script|style|meta|base|frame|object|embed|dialog|widget|use|animate|onerror|hx-|src=|!",
        cleaned(text).replace("&lt;script", ""),
    )


@pytest.mark.parametrize(
    "name", ["main", "chat", "say", "offers", "notices", "keys", "more", "menu", "ended", "bring"]
)
def test_no_part_of_the_page_is_named_by_a_draft(name):
    ours = re.compile(rf'[#"]{name}"')
    for text in (
        f'<b id="{name}">a</b>',
        f'<b hx-target="#{name}" hx-include="#{name}">a</b>',
        f'<b hx-swap-oob="innerHTML:#{name}">a</b>',
        f'<input form="{name}" list="{name}">',
    ):
        drawn = cleaned(text)
        assert f'try-{name}"' in drawn and not ours.search(drawn), drawn


def test_what_a_list_needs_is_there_still():
    row = (
        '<tr id="plant-1" tabindex="-1"><td class="grip"><input type="checkbox" name="bulk.ids[]"'
        ' value="1" form="bulk"></td><td data-label="Wet"><input type="checkbox"'
        ' hx-patch="/default/plants/1" hx-trigger="change" hx-vals=\'{"wet":"true"}\'></td></tr>'
    )
    drawn = cleaned(row)
    assert drawn.startswith('<tr id="try-plant-1" tabindex="-1">') and drawn.endswith("</tr>")
    assert 'form="bulk"' in drawn and f'hx-patch="{AT}/plants/1"' in drawn
    assert "hx-vals" in drawn and "table" not in drawn
    body = '<tbody hx-swap-oob="afterbegin:#rows"><tr><td>a</td></tr></tbody>'
    assert cleaned(body) == body
    box = '<input list="options-a" data-options="/default/plants/options/a" name="a">'
    assert f'data-options="{AT}/plants/options/a"' in cleaned(box)
    assert 'list="try-options-a"' in cleaned(box) and 'name="a"' in cleaned(box)


def test_a_row_that_leaves_its_table_takes_nothing_along():
    drawn = cleaned(
        '<tr><td>a</td></tr></table><b onclick="x()" hx-get="//x.example/x">b</b><table>'
    )
    assert "onclick" not in drawn and "hx-get" not in drawn


def test_in_a_picture_nothing_acts():
    assert still('<a href="/default/x" hx-get="/default/x" id="a">a</a>').startswith("<a rel=")
    assert "hx-" not in still('<b hx-get="/default/x" name="a">a</b>')
