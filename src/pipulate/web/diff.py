"""What events changed, as elements: rows with their fields before and after; and undo's clashes."""

import contextlib
import os
from collections.abc import Iterable
from typing import Any

from fasthtml.components import H3, Article, Button, Dd, Del, Div, Dl, Dt, Ins, Li, P, Section
from fasthtml.components import Small, Strong, Ul

from pipulate.apps.base import Visit
from pipulate.core.fields import Ref, Secret
from pipulate.core.images import fold
from pipulate.core.problems import Problem, short
from pipulate.core.store import Row

SHOWN, LONG = 50, 300  # rows of a diff, characters of a value
HIDDEN = ("id", "profile_id", "version", "position")


def diff(visit: Visit, images: Iterable[Row], total: int, kept: bool):
    """Rows before and after, one for each; `total` is how many images there are in all."""
    shown = [_row(Told(visit, image["table"]), image) for image in fold(images)[:SHOWN]]
    if total > SHOWN:
        shown.append(P(f"These are {len(shown)} of {total:,} rows.", cls="hint"))
    elif not shown:
        old = "What was there before and after is kept for 30 days; this is older."
        shown = [P("All is as it was before." if kept else old, cls="hint")]
    return Div(*shown)


class Told:
    """The rows of a table in words, as its app says them."""

    def __init__(self, visit: Visit, table: str):
        self.visit, self.table = visit, table
        self.app = visit.house.shelf.cruds.get(table)
        self.fields = self.app.fields if self.app else {}

    def row(self, row: Row) -> str:
        """Task “Buy milk”, or what the table and the row itself say."""
        name, kind = row.get("name") or f"#{row['id']}", self.table.removeprefix("app_")
        with contextlib.suppress(KeyError, ValueError, TypeError):  # the class had other fields
            name = f"“{short(self.app.title_of(row))}”" if self.app else name
        return f"{(self.app.some if self.app else kind.removesuffix('s')).capitalize()} {name}"

    def label(self, name: str) -> str:
        field = self.fields.get(name)
        return field.label if field else name.replace("_", " ").capitalize()

    def value(self, name: str, value: Any) -> str:
        field = self.fields.get(name)
        if value is None or field is None:
            return "" if value is None else str(value)
        if field.type is Secret:
            return "set"
        if field.type is Ref:
            found = self.app.ref_names(self.visit.caller, field, {value})
            return f"{found[value]} #{value}" if value in found else f"#{value}"
        try:
            shown = field.show(field.load(value))
        except (ValueError, TypeError):  # the field had another type then
            return str(value)
        return {"true": "yes", "false": "no"}[shown] if field.type is bool else shown


def _row(told: Told, image: Row):
    before, after, body = image["before"], image["after"], []
    word = "added" if before is None else "deleted" if after is None else "changed"
    for name, pair in image["fields"].items():
        if name not in HIDDEN:
            texts = [told.value(name, value) for value in pair]
            body += Dt(told.label(name)), Dd(*_change(*texts, between=word == "changed"))
    name = told.row(after or before)
    return Section(H3(name, " ", Small(word if body else "moved")), Dl(*body) if body else "")


def _change(old: str, new: str, between: bool):
    """From where they begin to differ; `between` says which is empty."""
    same = len(os.path.commonprefix([old, new]))
    start = same - 40 if same > LONG // 2 else 0
    parts = [tag(_cut(text, start)) if text else "" for tag, text in ((Del, old), (Ins, new))]
    empty = Small("empty")
    return (parts[0] or empty, " → ", parts[1] or empty) if between else parts


def _cut(text: str, start: int = 0) -> str:
    return ("…" if start else "") + short(text[start:], LONG)


# -- an undo that met later changes


def clash_card(visit: Visit, problem: Problem, address: str):
    """The later changes that an undo met, and the two ways on; `address` is asked again."""
    clashes, count = problem.details["clashes"], problem.details["count"]
    items = [Li(*_clash(visit, clash)) for clash in clashes]
    if count > len(clashes):
        items.append(Li(f"and {count - len(clashes):,} more"))

    def way(word: str, choice: str, cls: str):
        vals = {**visit.form, "on_conflict": choice}
        to = {"hx_target": "closest .notice", "hx_swap": "delete"}
        return Button(word, hx_post=address, hx_vals=vals, cls=cls, **to)

    return Article(
        P(Strong("This was changed again since."), " Nothing was undone yet."),
        Ul(*items),
        way("Undo the rest", "skip", ""),
        way("Undo all the same", "overwrite", "secondary"),
        Button("Leave it", data_close=True, cls="outline secondary", autofocus=True),
        cls="problem notice clash",
        role="alertdialog",
        aria_label="Undo met later changes",
    )


def _clash(visit: Visit, clash: Row):
    told, name, key = Told(visit, clash["table"]), clash["field"], {"id": clash["id"]}
    row = visit.house.db.table(told.table)("id = ?", [clash["id"]]) or [key]
    where = Strong(told.row(row[0]), " · ", told.label(name))
    mine, theirs = (_cut(told.value(name, clash[k])) for k in ("mine", "theirs"))
    if clash["why"] == "deleted":
        return where, f": the row was deleted since; undo would put it back with “{mine}”"
    return where, f": now “{theirs}”; undo would {f'make it “{mine}”' if mine else 'empty it'}"
