"""Rows of a CRUD app as HTML: cells by their type, editors in place, and what tabs are sent.

Elements are slow: what repeats is drawn once and filled as text.
"""

from functools import cache, lru_cache
import re
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any

from fasthtml.components import A, Button, Form, Input, NotStr, Span, Td

from pipulate.apps.card import words
from pipulate.apps.data import Data
from pipulate.apps.files import shown_as
from pipulate.apps.markup import field_input, hidden, html, labelled, markdown, owned
from pipulate.apps.refs import THERE, Labels
from pipulate.core.fields import Email, Field, File, Ref, Secret, Text, Url, dumps, fields_of
from pipulate.core.tools import Caller, tools_in

NONE = '<span class="none">–</span>'
# What tabs are sent when rows changed: each draws its list anew, in its own state.
AGAIN = '<i hx-swap-oob="beforeend:#listing"><i id="again"></i></i>'
NO: Mapping[str, str] = {}


class Rows(Data):
    """Rows as HTML; see Listing for the page around them."""

    def __init__(self):
        self._frame = lru_cache(self._frame)
        self.shelf = lru_cache(self.shelf)
        self.of_type = cache(self.of_type)

    @property
    def named(self) -> dict[str, Field]:
        """Every column: the fields, then what is computed."""
        return self.fields | self.model.computed

    def drawn_rows(self, rows: list[Any], caller: Caller, names: Iterable[str] = ()) -> str:
        """`names`: the fields shown, in order (none: all)."""
        base, labels, names = self.base(caller), self.labels(caller, rows), names or self.named
        if self.drawn:
            cells = (html(owned(Td(row.__ft__()))) for row in rows)
        else:
            cells = ("".join(self._cell(row, base, n, labels) for n in names) for row in rows)
        return "".join(self._row(row, base, own) for row, own in zip(rows, cells, strict=True))

    def base(self, caller: Caller) -> str:
        return f"/{caller.profile.slug}/{self.slug}"

    def _row(self, row, base: str, cells: str) -> str:
        return self._frame(base).replace("\0id\0", str(row.id)).replace("\0cells\0", cells)

    def _frame(self, base: str) -> str:
        one = f"{base}/\0id\0"
        bulk = {"name": "bulk.ids[]", "value": "\0id\0", "form": "bulk"}
        pick = Input(type="checkbox", aria_label="Select", **bulk)
        grip = Button("⠿", cls="link", title="Drag, or Alt+↑ / Alt+↓", aria_label="Move")
        own = [
            Button(words(n).capitalize(), cls="link", hx_post=f"{one}/call/{n}")
            for n, method in tools_in(self.model)
            if not fields_of(method) and not of_all(method)
        ]
        pen = Button("✎", cls="link", hx_get=f"{one}/*", aria_label="Edit", title="Edit")
        erase = Button("✕", cls="link", hx_delete=one, aria_label="Delete", title="Delete")
        ends = html(Td(pick, grip, cls="grip")), html(Td(*own, pen, erase, cls="actions"))
        return f'<tr id="{self.name}-\0id\0" tabindex="-1">{ends[0]}\0cells\0{ends[1]}</tr>'

    def _cell(self, row, base: str, name: str, labels: Labels) -> str:
        field, at, value = self.fields.get(name), f"{base}/{row.id}", vars(row).get(name)
        look = "" if field else "computed"
        field = field or self.model.computed[name]
        if look:
            inner = _computed(row, field)
        elif field.type is bool and not field.optional:
            on = " checked" if value else ""
            flip = f'{{"{name}":"{str(not value).lower()}"}}'
            box = f'<input type="checkbox" aria-label="{field.label}"{on} hx-patch="{at}"'
            inner = f"{box} hx-vals='{flip}'>"
        elif shown := value is not None and self._linked(field, value, base, labels):
            pen = f'<button class="link pen" hx-get="{at}/{name}" aria-label="Edit">✎</button>'
            inner = f'<div class="linked">{shown}{pen}</div>'
        else:
            shown = _text(field, value) or NONE
            inner = f'<button class="cell" hx-get="{at}/{name}">{shown}</button>'
        if field.kind.input in ("number", "date", "datetime-local"):
            look = f"{look} {field.kind.input}".lstrip()
        look = look and f' class="{look}"'
        return f'<td data-label="{field.label}"{look}>{inner}</td>'

    def _linked(self, field: Field, value: Any, base: str, labels: Labels) -> str:
        """What holds links, so that it cannot be one button; "" for all else."""
        profile, said = base.split("/")[1], escape(str(value))
        if field.type is Ref:
            name, app = labels.get((field.name, value), f"#{value}"), self.known_target(field)
            at = app and f"/{profile}/{app.slug}?f.id={value}"
            return f'<a href="{at}">{escape(name)}</a>' if app else ""
        if field.type is File:
            name = labels.get((field.name, value), "")
            return _file(f"/files/{profile}/{said.removeprefix('file:')}", name)
        marks = r"[*_`#>\[\]|~\n-]|https?:|.{500}"  # what is long scrolls in its cell
        if field.type is Text and re.search(marks, value):
            return f'<div class="md">{markdown(value)}</div>'
        if not said or field.type not in (Url, Email):
            return ""
        where = said if field.type is Url else f"mailto:{said}"
        return f'<a href="{where}" target="_blank" rel="noopener noreferrer">{said}</a>'

    def asks(self, base: str, key: int = 0, **look: Any):
        """Links to the forms of the class's own tools: of a row (key), or of the whole list."""
        at, said = f"/{base.split('/')[1]}/call/{self.name}_", f"/form?id={key}" if key else "/form"
        for name, method in tools_in(self.model):
            if of_all(method) is not bool(key) and (not key or fields_of(method)):
                yield A(f"{words(name).capitalize()}…", href=f"{at}{name}{said}", **look)

    # -- editing in place

    def editor(self, row, caller: Caller, name: str, names=(), typed=NO, bad=NO) -> str:
        """A row with a field as an input ("*": a form of them all); Enter saves, Escape leaves."""
        base, labels = self.base(caller), self.labels(caller, [row])
        if name == "*" or self.drawn:
            return self._row(row, base, self._form(row, base, [*self.fields], labels, typed, bad))
        cells = {n: self._cell(row, base, n, labels) for n in names or self.named}
        if name in cells:
            cells[name] = self._form(row, base, [name], labels, typed, bad)
        return self._row(row, base, "".join(cells.values()))

    def _form(self, row, base: str, names: list[str], labels: Labels, typed, bad) -> str:
        at, parts, whole = {"hx_patch": f"{base}/{row.id}"}, [], len(names) > 1
        for name in names:
            field, draw = self.fields[name], labelled if whole else field_input
            shown = typed.get(name, self.shown(field, getattr(row, name), labels))
            why = bad.get(name, "")
            attrs = self.look_up(field, base, shown, why, at)
            parts.append(draw(field, shown, why, autofocus=not parts, **attrs))
        if whole or parts[0].tag == "span" and not field.target:  # such as boxes, a slider
            parts.append(Button("Save"))
        parts += self.asks(base, row.id) if len(names) == len(self.fields) else []
        if bad and not whole:
            parts.append(Span(*bad.values(), cls="error", role="alert"))
        seen = " ".join([str(row.version), *(mark(row._stored[n]) for n in self.fields)])
        parts.append(hidden("version", typed.get("version", seen)))
        parts += [hidden("edit.whole", "1")] if whole else []
        attrs = {"cls": "edit whole" if whole else "edit", **at}
        span = len(self.named) if whole and not self.drawn else None
        label = self.fields[names[0]].label
        return html(Td(Form(*parts, **attrs, novalidate=True), colspan=span, data_label=label))

    def shown(self, field: Field, value: Any, labels: Labels) -> str:
        """Text for an input: a secret not at all."""
        if field.type is Ref:
            value = self.called(field, value, labels)
        return "" if field.kind.input == "password" else field.show(value)

    def look_up(self, field: Field, base: str, said="", why="", to=NO) -> dict[str, Any]:
        """Attributes that offer the rows a Ref may mean; when what was said is none (`why`), also a

        click that adds it and sends the form (`to`), or the way to its app."""
        if field.type is not Ref:
            kept = field.type is Secret and not field.required and "hx_patch" in to
            return {"placeholder": "kept; a space empties it"} if kept else {}
        found = {"data_options": f"{base}/options/{field.name}"}
        if not why.endswith(THERE) or "#" in said:
            return found
        app, word = self.target(field), f"Add “{said}” to "
        if any(f.required for f in [*app.fields.values()][1:]):
            at = f"/{base.split('/')[1]}/{app.slug}"
            return found | {"offer": A(word + app.title, href=at, target="_blank")}
        attrs = {"hx_vals": {f"add.{field.name}": said}, "cls": "outline", **to}
        return found | {"offer": Button(word + app.title, type="button", **attrs)}

    def counted(self, caller: Caller):
        """The number of rows, out of band."""
        count = f"{self.plain(caller).count():,} in all"
        return NotStr(f'<span id="count" hx-swap-oob="true">{count}</span>')


def mark(value: Any) -> str:
    """What tells a stored value from another."""
    return f"{zlib.crc32(repr(value).encode()):x}"


def of_all(method) -> bool:
    """Whether a tool is one of the whole list: a static method that begins with `table`."""
    return method.__code__.co_varnames[:1] == ("table",)


def _computed(row, field: Field) -> str:
    try:
        value = getattr(row, field.name)
        return "✓" if value is True else "" if value is False else _text(field, value)
    except Exception as error:  # a fault of the plugin's own: its cell says so, the rest stays
        return escape(f"⚠ {type(error).__name__}: {error}")


def _file(at: str, name: str) -> str:
    said, kind = escape(name) or "the file is gone", shown_as(name)
    if not kind:
        return f'<a href="{at}" download>{said}</a>'
    look = f'<a href="{at}/view" target="_blank" title="Look at {said}">'
    if kind.startswith("image"):
        look = f'{look}<img src="{at}/view" loading="lazy" alt=""></a> {look}'
    down = f'<a href="{at}" download title="Download" aria-label="Download {said}">⤓</a>'
    return f"<span>{look}{said}</a> {down}</span>"


def _text(field: Field, value: Any) -> str:
    if field.many:
        return "".join(f'<span class="tag">{escape(tag)}</span>' for tag in value or ())
    if isinstance(value, dict | list):
        return escape(dumps(value))
    shown = field.show(value)
    return escape(shown.replace("T", " ") if field.type is datetime else shown)
