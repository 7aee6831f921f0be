"""Elements every app shares: inputs, notices, tables, charts, sanitised markdown."""

import contextlib
from functools import cache, lru_cache
import math
from collections.abc import Iterable, Sequence
from typing import Any

from fasthtml.components import FT, A, Article, Button, Datalist, Div, Fieldset
from fasthtml.components import Figcaption, Figure, Input, Label, Line, NotStr, Option, Output, P
from fasthtml.components import Rect, Select, Small, Span, Strong, Svg, Table, Tbody, Td, Text
from fasthtml.components import Textarea, Th, Thead, Tr, to_xml

from pipulate.apps.base import so_many
from pipulate.apps.widgets import hosted
from pipulate.core.fields import Field
from pipulate.core.fields import Text as Lines
from pipulate.core.problems import Problem, short

TAGS = "p br strong em code pre ul ol li blockquote h1 h2 h3 h4 hr a table thead tbody tr th td"
SHOWN_ROWS = 200  # rows of a table drawn in the page; the rest is in the download
WHOLE = 20  # rows of a table that does not scroll
CLOSE = Button("×", cls="link", data_close=True, aria_label="Close")


def html(*elements) -> str:
    """Elements as HTML text without added white space."""
    plain = str | NotStr | int | float
    text = "".join(str(e) if isinstance(e, plain) else to_xml(e, indent=False) for e in elements)
    return text if text.isascii() else text.encode(errors="replace").decode()


def drawn_once(draw):
    """The same function; its HTML is kept by its arguments: elements are slow."""

    @lru_cache(32)
    def kept(*args):
        return NotStr(html(draw(*args)))

    return kept


def owned(drawn, kept=None):
    """What a plugin drew, all but elements turned to text: FastHTML escapes str only.

    `kept` gets what holds its widgets."""
    if hasattr(drawn, "__ft__"):
        drawn = drawn.__ft__()
    if isinstance(drawn, FT):
        drawn.children = owned(drawn.children, kept)
        return drawn
    if isinstance(drawn, tuple):
        return tuple(owned(part, kept) for part in drawn)
    if hasattr(drawn, "_esm"):
        return hosted(drawn, kept)
    markup = isinstance(drawn, NotStr) or hasattr(drawn, "__html__")
    return drawn if drawn is None or markup else str(drawn)


def hidden(name: str, value: str):
    """A value that a form sends unseen."""
    return Input(type="hidden", name=name, value=value)


def field_input(field: Field, shown: str = "", error: str = "", **attrs):
    """The bare input of a field; `error` says what is wrong with what it shows."""
    attrs |= {"name": field.name, "aria_label": field.label}
    if error:
        attrs |= {"aria_invalid": "true", "title": error}
    choices = ("true", "false") if field.type is bool and field.optional else field.choices
    if isinstance(choices, tuple) and field.many:
        return _boxes(field, shown, attrs.get("autofocus"))
    if isinstance(choices, tuple):
        return select([""] * field.optional + [*choices], shown, **attrs)
    match field.kind.input:
        case "textarea":
            return Textarea("\n" + shown, rows=3, **attrs)  # a browser leaves out one line break
        case "checkbox":  # an unticked box sends its hidden false
            off = hidden(field.name, "false")
            on = {"value": "true", "checked": shown == "true", "role": "switch"}
            return Span(off, Input(type="checkbox", **attrs, **on))
        case "file":
            attrs |= {"placeholder": "path on this machine, or choose"}
            pick = Input(type="file", data_upload=field.name, aria_label="Choose a file")
            return Span(Input(type="text", value=shown, **attrs), pick)
        case "ref":  # its suggestions follow what is typed (data-options: their address)
            attrs |= {"list": f"options-{field.name}", "autocomplete": "off"}
            offer = attrs.pop("offer", "")  # what adds the row that it misses
            return Span(Input(type="text", value=shown, **attrs), Datalist(id=attrs["list"]), offer)
        case "password":
            shown, attrs = "", attrs | {"autocomplete": "new-password"}
        case "tags":
            attrs |= {"type": "text", "placeholder": "words, between commas"}
        case "datetime-local" if len(shown) > len("2026-01-31T14:30:59"):
            attrs["type"] = "text"  # browsers know no millionths of a second, would send nothing
        case "number":
            return _number(field, shown, attrs)
    return Input(**{"type": field.kind.input, "required": field.required} | attrs, value=shown)


def _number(field: Field, shown: str, attrs: dict[str, Any]):
    """Text, or a slider: a box for numbers drops what it does not know, 12,50 would be 1250."""
    whole, bounds = field.type is int, field.bounds
    if bounds and whole and not field.optional and 0 < bounds.high - bounds.low <= 100:
        attrs |= {"min": bounds.low, "max": bounds.high}
        return Span(Input(type="range", value=shown, **attrs), Output(shown), cls="slider")
    attrs |= {"inputmode": "numeric" if whole else "decimal", "required": field.required}
    return Input(type="text", value=shown, **attrs)


def select(choices: Iterable[Any] | dict[str, str], shown: str, **attrs):
    """One of some values, or of {value: its text}; what is none of them stays chosen."""
    known = {**choices} if isinstance(choices, dict) else {str(one): str(one) for one in choices}
    if shown:
        known.setdefault(shown, shown)
    options = (Option(text, value=name, selected=name == shown) for name, text in known.items())
    return Select(*options, **attrs)


def _boxes(field: Field, shown: str, focused: Any):
    """The hidden one says that none is ticked."""
    name, chosen = f"{field.name}[]", []
    with contextlib.suppress(ValueError):
        chosen = field.kind.parse(shown)
    boxes = [hidden(name, "")]
    for one in dict.fromkeys([*map(str, field.choices), *chosen]):
        on = {"checked": one in chosen, "autofocus": focused and len(boxes) == 1}
        boxes.append(Label(Input(type="checkbox", name=name, value=one, **on), one))
    return Span(*boxes, cls="boxes", role="group", aria_label=field.label)


def filter_input(field: Field, shown: str):
    """The box above a column by which its rows are filtered."""
    attrs = {"name": f"f.{field.name}", "id": f"f-{field.name}", "form": "state"}
    attrs["aria_label"] = f"Filter {field.label}"
    words = ("yes", "no") if field.type is bool else field.choices
    if isinstance(words, tuple):
        return select(["", *words], shown, **attrs)
    hint = {"number": ">3  2..5  =", "date": ">2026-01-31"}.get(field.kind.input, "contains")
    return Input(type="text", value=shown, placeholder=hint, **attrs)


def labelled(field: Field, shown: str = "", error: str = "", **attrs):
    """A field's label, input and message, for a form."""
    note = Small(error, cls="error", role="alert") if error else field.help and Small(field.help)
    group = Fieldset if field.many and isinstance(field.choices, tuple) else Label
    return group(field.label, field_input(field, shown, error, **attrs), note)


def notice(text: Any, undo: str = ""):
    """A short message in the corner, out of band; `undo`: what takes it back."""
    word = "Redo" if str(text).startswith("Undid") else "Undo"
    back = undo and Button(word, hx_post=undo, cls="link")
    card = Div(Span(text), back, CLOSE, cls="notice", role="status")
    return Div(card, hx_swap_oob="afterbegin:#notices")


def problem_card(problem: Problem):
    """The one face of every error."""
    return Article(P(Strong(problem.what), " ", problem.next_step), cls="problem", role="alert")


@cache
def commonmark():
    """A reader of Markdown that takes HTML for text."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


@lru_cache(500)
def markdown(text: str):
    """Raw HTML off, then sanitised last on the final HTML."""
    import nh3

    clean = nh3.clean(
        commonmark().render(text),
        tags={*TAGS.split()},
        attributes={"a": {"href"}, "code": {"class"}},  # class: the language of a block
        url_schemes={"http", "https", "mailto"},
    )
    return NotStr(clean)


Lines.__ft__ = lambda text: Div(markdown(text), cls="text")  # among a plugin's elements


def data_table(rows: Sequence[dict[str, Any]], columns: Sequence[str] = (), heads: Any = None):
    """Rows as a table that sorts by a click on a heading; numbers to the right, links live.

    `heads`: headings (Th) of one's own."""
    if not rows:
        return P("No rows.", cls="empty")
    shown, more = rows[:SHOWN_ROWS], len(rows) - SHOWN_ROWS
    columns = columns or [*dict.fromkeys(name for row in shown for name in row)]
    words = enumerate(column.replace("_", " ") for column in columns)
    heads = heads or (Th(Button(word, cls="link", data_sort=n)) for n, word in words)
    body = ([_cell(row.get(name)) for name in columns] for row in shown)
    note = P(Small(f"{so_many(more, 'more row')} in the download.")) if more > 0 else ""
    return grid(heads, body, note)


def grid(heads, rows, *notes):
    """A table of headings and rows of cells."""
    rows = [[*cells] for cells in rows]
    right = {n for cells in rows for n, cell in enumerate(cells) if cell.get("class") == "number"}
    heads = (head(cls="number") if n in right else head for n, head in enumerate(heads))
    drawn = Table(Thead(Tr(*heads)), Tbody(*(Tr(*cells) for cells in rows)), cls="data")
    whole = "max-height:none" if len(rows) <= WHOLE else None
    return Div(drawn, *notes, cls="scroll", style=whole, tabindex="0")


def _cell(value):
    if isinstance(value, bool) or value is None:
        return Td("" if value is None else "yes" if value else "no")
    if isinstance(value, int | float):
        return Td(figure(value), cls="number", data_value=str(value))
    text = str(value)
    if text[:8].lower().startswith(("http://", "https://")):
        return Td(A(text, href=text, target="_blank", rel="noopener noreferrer"))
    return Td(text[:300], title=text[:2000] if len(text) > 40 else None)


def figure(value: float) -> str:
    """A number without an exponent."""
    if not isinstance(value, float):
        return f"{value:,}"
    return f"{round(value, 5):,}".removesuffix(".0") if abs(value) >= 1 else f"{value:.6g}"


def bar_chart(pairs: Sequence[tuple[Any, float]], title: str = "", log: bool = False):
    """Bars as inline SVG with a text alternative. pairs: [(label, value ≥ 0)], the first 200.

    `log`: few are seen beside very many."""
    rows = [(str(name), figure(value)) for name, value in pairs[:SHOWN_ROWS]]
    said = f"{title}: " + ", ".join(map(" ".join, rows[:20]))
    sizes = [1 + math.log10(n) if log and n > 1 else float(n) for _, n in pairs[:SHOWN_ROWS]]
    top = max(sizes, default=0)
    # all in %, so that text keeps its size on a phone; about 2.4 of it for a letter
    left, right = (
        3 + round(2.4 * max((len(row[n][:16]) for row in rows), default=0)) for n in (0, 1)
    )
    share = (100 - left - right) / (top or 1)
    ends = [f"{left + share * size:.2f}%" for size in (*sizes, *range(1, int(top * log) + 1))]
    drawn = [Line(x1=x, x2=x, y2="100%", stroke="#8886") for x in ends[len(rows) :]]
    for n, (name, value) in enumerate(rows):
        y, name = 22 * n + 15, short(name, 15)
        drawn += (
            Text(name, x=f"{left}%", dx=-8, y=y, text_anchor="end"),
            Rect(x=f"{left}%", y=y - 12, width=f"{share * sizes[n]:.2f}%", height=16, rx=2),
            Text(value, x=ends[n], dx=6, y=y),
        )
    svg = Svg(*drawn, role="img", aria_label=said, width="100%", height=22 * len(rows))
    return Figure(Figcaption(title, Small(" Lines at 1, 10, 100 …" * log)), svg, cls="chart")
