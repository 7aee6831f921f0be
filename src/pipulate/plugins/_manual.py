"""The manual as pages of the app: docs/ as it lies beside the source, or inside the package."""

import functools
import re
from html import unescape
from pathlib import Path

from fasthtml.common import A, Div, FileResponse, Form, Input, Li, NotStr, P, RedirectResponse
from fasthtml.common import Section, Small, Ul

from pipulate import Problem

PACKAGE = Path(__file__).parents[1]
FOLDER = (PACKAGE if (PACKAGE / "docs").is_dir() else PACKAGE.parents[1]) / "docs"
ASIDE = r"(?ms)^ *```.*?^ *```$|<!--.*?-->"
PART = r"\n(?=\s*\n|[|#]|[-*] |\d+\. )"  # before a paragraph, a row of a table, a point
WIDE = r"(?s)<(pre|table)>.*?</\1>"
LIST = "README.md"


@functools.cache
def commonmark():
    """A reader of Markdown with tables."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def anchored(found: re.Match[str]) -> str:
    """A heading with the id that forges give it."""
    words = re.sub(r"<[^>]*>|&\w+;|[^\w -]", "", found[2])
    return f'<h{found[1]} id="{words.lower().replace(" ", "-")}">{found[2]}</h{found[1]}>'


def page(text: str):
    """A page of ours as elements; what is generated stands between comments."""
    drawn = commonmark().render(re.sub(r"(?m)^<!--.*-->\n|<!--.*?-->", "", text))
    drawn = re.sub(WIDE, r'<div class="scroll" tabindex="0">\g<0></div>', drawn)
    return NotStr(re.sub(r"<h([1-6])>(.*?)</h\1>", anchored, drawn))


def results(words: list[str]):
    """The pages that hold all these words, each with its best paragraph.

    First those with words in their title, then those where they stand together."""

    def holds(part: str) -> tuple[int, int]:
        counts = [part.lower().count(word) for word in words]
        return len(words) - counts.count(0), sum(counts)

    found = []
    for path in FOLDER.glob("*.md"):
        text = path.read_text("utf-8")
        if not all(word in text.lower() for word in words):
            continue
        title, *parts = re.split(PART, re.sub(ASIDE, "", text))
        best = max(parts, key=holds)
        rank = holds(title)[0], *holds(best), holds(text)[1]
        found.append((rank, path.name, _plain(title), _plain(best) if holds(best)[0] else ""))
    found.sort(reverse=True)
    items = (Li(A(title, href=name), " ", Small(line)) for _, name, title, line in found)
    return Ul(*items) if found else P("No page holds these words.", cls="hint")


def _plain(part: str) -> str:
    drawn = re.sub("<[^>]*>", "", commonmark().render(part))
    return " ".join(unescape(drawn).replace("|", " ").split())


def first(profile):
    """The list of all pages."""
    return RedirectResponse(f"/{profile.slug}/docs/{LIST}", 303)


def show(visit, name: str, q: str = ""):
    """One page, a picture of it, or the pages that hold the words `q`."""
    files = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*.*")}
    if name not in files:
        missing = Problem(f"The manual has no page {name!r}.", "Look into its list: Help.")
        missing.status = 404
        raise missing
    if not name.endswith(".md"):
        return FileResponse(files[name])
    said = {"placeholder": "Search Help", "aria_label": "Search Help"}
    typed = {"hx_get": LIST, "hx_trigger": "input delay:250ms", "hx_select": "#listing"}
    turn = {"hx_target": "#listing", "hx_swap": "outerHTML", "hx_push_url": "true"}
    box = Input(type="search", name="q", value=q, hx_sync="this:replace", **said, **typed, **turn)
    text = files[name].read_text("utf-8")
    visit.title = text[2:].split("\n")[0]
    drawn = results(q.lower().split()) if q.strip() else page(text)
    back = A("← All pages", href=LIST) if q or name != LIST else ""
    find = Form(box, action=LIST, role="search", style="margin-bottom:.8rem")
    return Section(find, Div(back, drawn, id="listing"), cls="manual")
