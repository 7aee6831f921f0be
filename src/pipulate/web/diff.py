"""What events changed, as elements: rows with their fields before and after; and undo's clashes."""

import contextlib
import json
import os
from collections.abc import Iterable
from typing import Any

from fasthtml.components import H3, Button, Dd, Del, Div, Dl, Dt, Ins, Li, P, Section
from fasthtml.components import Small, Strong, Ul

from pipulate.apps.base import Visit
from pipulate.core.fields import Ref, Secret
from pipulate.core.images import fold
from pipulate.core.problems import Problem
from pipulate.core.store import Row

SHOWN, LONG = 50, 300  # rows of a diff, characters of a value
HIDDEN = ("id", "profile_id", "version", "position")


def diff(visit: Visit, images: Iterable[Row], total: int, kept: bool):
    """Rows before and after, one for each; `total` is how many images there are in all."""
    rows = fold(images)
    shown = [_row(visit, image) for image in rows[:SHOWN]]
    if total > SHOWN:
        shown.append(P(f"These are {len(shown)} of {total:,} rows.", cls="hint"))
    elif not shown:
        old = "What was there before and after is kept for 30 days; this is older."
        shown = [P("All is as it was before." if kept else old, cls="hint")]
    return Div(*shown)


def _row(visit: Visit, image: Row):
    before, after = image["before"], image["after"]
    fields = {n: pair for n, pair in image["fields"].items() if n not in HIDDEN}
    word = "added" if before is None else "deleted" if after is None else "changed"
    body = [part for name, pair in fields.items() for part in _field(visit, image, name, *pair)]
    name = _named(visit, image["table"], after or before)
    return Section(H3(name, " ", Small(word if body else "moved")), Dl(*body) if body else "")


def _app(visit: Visit, table: str):
    apps = visit.house.shelf.apps.values()
    return next((app for app in apps if getattr(app, "table_name", "") == table), None)


def _named(visit: Visit, table: str, row: Row) -> str:
    """Task “Buy milk”, or what the table and the row itself say."""
    app, name = _app(visit, table), row.get("name") or f"#{row['id']}"
    if app is None:
        return f"{table.removeprefix('app_').removesuffix('s').capitalize()} {name}"
    with contextlib.suppress(KeyError, ValueError, TypeError):  # the class had other fields then
        name = f"“{app.title_of(row)[:80]}”"
    return f"{app.some.capitalize()} {name}"


def _label(visit: Visit, table: str, name: str) -> str:
    app = _app(visit, table)
    field = app.fields.get(name) if app else None
    return field.label if field else name.replace("_", " ").capitalize()


def _text(visit: Visit, table: str, name: str, value: Any) -> str:
    """A column's value as the app shows it; a secret only as set."""
    app = _app(visit, table)
    field = app.fields.get(name) if app else None
    if value is None or field is None:
        return "" if value is None else str(value)
    if field.type is Secret:
        return "set"
    if field.type is Ref:
        found = app.ref_names(visit.caller, field, {value})
        return f"{found[value]} #{value}" if value in found else f"#{value}"
    try:
        shown = field.show(field.load(value))
    except (ValueError, TypeError):  # the field had another type then
        return str(value)
    return {"true": "yes", "false": "no"}[shown] if field.type is bool else shown


def _field(visit: Visit, image: Row, name: str, old: Any, new: Any):
    """A field's label, and its value before and after, from where they begin to differ."""
    texts = [_text(visit, image["table"], name, value) for value in (old, new)]
    same = len(os.path.commonprefix(texts))
    start = same - 40 if same > LONG // 2 else 0
    old_text, new_text = (_cut(text, start) for text in texts)
    parts = [Del(old_text)] if old_text else []
    if image["before"] and image["after"]:
        parts = [*(parts or [Small("empty")]), " → ", *([] if new_text else [Small("empty")])]
    return Dt(_label(visit, image["table"], name)), Dd(*parts, Ins(new_text) if new_text else "")


def _cut(text: str, start: int) -> str:
    end = "…" if len(text) > start + LONG else ""
    return ("…" if start else "") + text[start : start + LONG] + end


# -- an undo that met later changes ------------------------------------------------------------


def clash_card(visit: Visit, problem: Problem, address: str):
    """The later changes that an undo met, and the two ways on; `address` is asked again."""
    clashes, count = problem.details["clashes"], problem.details["count"]
    items = [Li(*_clash(visit, clash)) for clash in clashes]
    if count > len(clashes):
        items.append(Li(f"and {count - len(clashes):,} more"))

    def way(word: str, choice: str, cls: str):
        vals = json.dumps({**visit.form, "on_conflict": choice})
        to = {"hx_target": "closest .notice", "hx_swap": "delete"}
        return Button(word, hx_post=address, hx_vals=vals, cls=cls, **to)

    return Div(
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
    table, name = clash["table"], clash["field"]
    row = visit.house.db.table(table)("id = ?", [clash["id"]]) or [{"id": clash["id"]}]
    where = Strong(_named(visit, table, row[0]), " · ", _label(visit, table, name))
    mine, theirs = (_cut(_text(visit, table, name, clash[k]), 0) for k in ("mine", "theirs"))
    if clash["why"] == "deleted":
        return where, f": the row was deleted since; undo would put it back with “{mine}”"
    back = f"make it “{mine}”" if mine else "empty it"
    return where, f": now “{theirs}”; undo would {back}"
