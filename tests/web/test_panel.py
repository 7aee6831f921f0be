"""The chat column: what the model writes is data, whatever it looks like."""

import html
import json
import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from pipulate.apps.markup import markdown
from pipulate.core.profiles import Profile
from pipulate.web import panel

WHO = Profile(1, "default", "Default")
HARMLESS = {
    "p",
    "br",
    "strong",
    "em",
    "code",
    "pre",
    "ul",
    "ol",
    "li",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "hr",
    "a",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
OURS = {"div", "span", "small", "details", "summary", "button"}
PAYLOADS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://evil.example/p.png'>",
    "![x](http://evil.example/p.png)",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml,<svg onload=alert(1)>)",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](java&#10;script:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:msgbox(1))",
    "[a](file:///etc/passwd)",
    "[a](//evil.example)",
    "[a](\\\\evil.example)",
    "[a]( javascript:alert(1))",
    "[a][r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "[a](<javascript:alert(1)>)",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='x' onclick=alert(1)>x</a>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mi xlink:href=javascript:alert(1)>",
    "<iframe src=/default>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=/x>",
    "<embed src=/x>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{background:url(//evil.example)}</style>",
    "<p style='background:url(//evil.example)'>x</p>",
    "<form action=/default/call/profile_delete method=post><button>x</button></form>",
    "<form ws-send><input name=msg>",
    "<input autofocus onfocus=alert(1)>",
    "<button hx-post=/default/undo/1>x</button>",
    "<div hx-get=/ hx-trigger=load>",
    "<div data-hx-get=/ data-hx-trigger=load>",
    "<div hx-on:click=alert(1)>",
    "<div hx-on::load=alert(1)>",
    "<div hx-swap-oob=true id=main>x</div>",
    "<p id=main>x</p>",
    "<div ws-connect=//evil.example>",
    "<div hx-ext=ws hx-vals='js:{a:alert(1)}'>",
    "<body onload=alert(1)>",
    "<video src=x onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version=1?><script>1</script>",
    "</div></section><script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "`<script>alert(1)</script>`",
    "```html\n<script>alert(1)</script>\n```",
    "    <script>alert(1)</script>",
    "> <img src=x onerror=alert(1)>",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "# <script>alert(1)</script>",
    "- <script>alert(1)</script>",
    "**<img src=x onerror=alert(1)>**",
    "[<img src=x onerror=alert(1)>](http://a)",
    '[a](http://a "onmouseover=alert(1)")',
    '[a](http://a"onmouseover=alert(1))',
    'http://a"onmouseover=alert(1)',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "\u202e<script>alert(1)</script>",
    "<scr\0ipt>alert(1)</scr\0ipt>",
    "<img\nsrc=x\nonerror=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<x onclick=alert(1)>x",
    "<a href='http://a' target=_self rel=opener>x</a>",
    "<textarea></textarea><script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "<span onmouseover=alert(1)>x</span>",
]


class Found(HTMLParser):
    """Every tag with its attributes, as a browser would take it."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def assert_harmless(text, tags=HARMLESS):
    for tag, attributes in Found(text).tags:
        assert tag in tags, text
        for name, value in attributes.items():
            if tag == "a":
                assert name in ("href", "rel", "title"), text
                scheme = urlsplit(value).scheme if name == "href" else ""
                assert scheme in ("", "http", "https", "mailto"), text


def test_the_corpus_is_large_and_without_repetition():
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 80


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_markdown_of_anything_has_only_harmless_tags_and_links(payload):
    assert_harmless(str(markdown(payload)))
    assert_harmless(str(markdown(f"before {payload} after\n\n{payload}")))


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
@pytest.mark.parametrize("role", ["user", "assistant", "note", "tool", "streaming"])
def test_a_message_of_any_role_is_as_harmless(payload, role):
    call = [{"id": "c", "name": payload, "arguments": payload, "approval": None}]
    row = {"id": 7, "role": "assistant" if role == "streaming" else role, "text": payload}
    row |= {"state": "streaming" if role == "streaming" else "done", "thinking": payload}
    row["calls"] = json.dumps(call) if role == "tool" else None
    drawn = panel.html(panel.message(row, WHO))
    for tag, attributes in Found(drawn).tags:
        assert tag in HARMLESS | OURS, drawn
        own = {"id", "class", "href", "rel", "title", "open", "hidden"}
        own |= {"data-edit", "data-copy", "aria-busy", "tabindex"}
        assert set(attributes) <= own and attributes.get("id") in (None, "m7", "t7"), drawn


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_token_is_one_escaped_text_however_it_was_split(payload):
    whole = ""
    for at in range(0, len(payload), 3):
        piece = panel.fragment(
            "token", {"id": 7, "text": payload[at : at + 3], "kind": "text"}, None
        )
        assert Found(piece).tags == [("span", {"hx-swap-oob": "beforeend:#m7"})]
        whole += piece.partition(">")[2].removesuffix("</span>")
    assert html.unescape(whole) == html.unescape(html.escape(payload)) == payload


def test_markdown_still_looks_like_something():
    drawn = str(markdown("# A\n\n**b** `c` [d](https://e.example)\n\n- f\n\n| g |\n|---|\n| h |"))
    for part in ("<h1>A</h1>", "<strong>b</strong>", "<code>c</code>", "<li>f</li>", "<td>h</td>"):
        assert part in drawn
    assert 'href="https://e.example"' in drawn and 'rel="noopener noreferrer"' in drawn


CODE = """```python
# not "a text"
if x < 1 and y == 'it is':  return "<b>"
```

```sql
select 1 -- one
```

```
not for "this"
```"""


def text_of(drawn):
    """What stands in the blocks of code."""
    return [
        html.unescape(re.sub("<.*?>", "", part))
        for part in re.findall("<pre.*?</pre>", drawn, re.S)
    ]


def test_code_of_a_language_is_coloured_and_stays_the_text_that_it_was():
    drawn = str(panel._coded(CODE))
    assert re.findall("<i>(.*?)</i>", drawn) == ['# not "a text"', "-- one"]
    assert re.findall("<ins>(.*?)</ins>", drawn) == ["'it is'", '"&lt;b&gt;"']
    assert re.findall("<b>(.*?)</b>", drawn) == ["if", "and", "return", "select"]
    assert text_of(drawn) == [part.partition("\n")[2] for part in CODE.split("```")[1::2]]


@pytest.mark.parametrize("piece", ['"\\', "' \"", "# ", "--", "//", "if "])
def test_a_long_line_of_code_that_is_one_riddle_is_drawn_at_once(piece):
    line = piece * 50_000  # a pattern that tries again at each character would take minutes
    assert text_of(str(panel._coded(f"```python\n{line}\n```"))) == [f"{line}\n"]


@pytest.mark.parametrize("state, said", [("stopped", "Stopped."), ("cut off", "Cut off")])
def test_an_answer_that_did_not_end_says_so(state, said):
    row = {"id": 1, "role": "assistant", "text": "half", "state": state, "calls": None}
    row |= {"thinking": ""}
    assert said in panel.html(panel.message(row, WHO))


@pytest.mark.parametrize(
    ("state", "text", "silent"),
    [("done", " \n", True), ("done", "Hi", False), ("stopped", "", False)],
)
def test_an_empty_answer_says_that_the_model_answered_nothing(state, text, silent):
    row = {"id": 1, "role": "assistant", "text": text, "state": state, "calls": None}
    drawn = panel.html(panel.message(row | {"thinking": ""}, WHO))
    assert ("The model answered nothing. Retry asks it again." in drawn) is silent


@pytest.mark.parametrize(
    ("left", "said"), [((7,), "Undo this turn"), ((), "This turn was undone"), (None, "")]
)
def test_a_turn_that_changed_something_leads_to_its_undo(left, said):
    row = {"id": 1, "role": "assistant", "text": "Done.", "state": "done", "calls": None}
    row |= {"thinking": ""}
    drawn = panel.html(panel.message({**row, "turn": "turn-1"}, WHO, left))
    assert said in drawn and ('href="/default/history/turn-1"' in drawn) == bool(said)


def test_an_approval_shows_exactly_what_would_run_and_answers_for_its_hash_only():
    record = {
        "id": "k",
        "shown": 'profile_delete {"profile":"<b>"}',
        "hash": "f" * 64,
        "actor": "mcp",
    }
    waiting = panel.html(panel.approval_card({**record, "state": "waiting"}, WHO))
    assert (
        "A program asked" in waiting
        and "profile_delete" in waiting
        and "&lt;b&gt;" in waiting
        and waiting.count("f" * 64) == 1
    )
    over = panel.html(panel.approval_card({**record, "state": "done"}, WHO))
    assert "Approve" not in over and "done" in over


CALLED = '[{"name": "task_list", "arguments": "{}"}]'


@pytest.mark.parametrize(
    "role, state, calls, busy, offered",
    [
        ("assistant", "done", CALLED, True, "Stop"),  # the calls are run now
        ("assistant", "done", None, True, "Retry"),
        ("assistant", "stopped", CALLED, False, "Retry"),
        ("user", "done", None, True, "Stop"),
        ("user", "done", None, False, "Retry"),  # stopped before it was saved
        ("tool", "done", CALLED, False, "Retry"),
        ("note", "done", CALLED, True, "Retry"),
    ],
)
def test_stop_is_offered_as_long_as_something_can_be_stopped(role, state, calls, busy, offered):
    row = {"id": 1, "role": role, "text": "", "thinking": "", "state": state, "calls": calls}
    drawn = panel.fragment("final", row | {"turn": None}, WHO, None, busy)
    assert f">{offered}</button></div>" in drawn


def test_a_huge_call_is_cut_in_its_chip():
    row = {"id": 1, "role": "tool", "state": "done", "text": "{}"}
    row["calls"] = json.dumps([{"name": "task_add", "arguments": "x" * 2_000_000}])
    assert len(panel.fragment("message", row, WHO)) < 20_000
