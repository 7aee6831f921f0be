"""The inverse of what events changed: row by row, newest first, written many rows at a time."""

import functools
import json
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from pipulate.core.images import PART, changed
from pipulate.core.problems import Conflict, Problem
from pipulate.core.store import Change, Database, Row
from pipulate.core.tables import Pair, bumped

OnConflict = Literal["refuse", "skip", "overwrite"]
GONE, RETYPED = "is no field any more", "is of another type now"
Recast = Callable[[str, Row], Row]  # (table, an older row) → the row as the table's class has it
TOLD = 20  # clashes that a Conflict lists; all are counted
LOOSE = ("version", "position")  # a row may be removed though these changed since
CHOICE = "Undo the rest (on_conflict=skip), or undo all the same (on_conflict=overwrite)."


class Undoing:
    """One undo at work inside a change. `clashes`: the later changes it met, {table, id, field,

    mine (would be put back), theirs (is there now), why}."""

    event = 0  # whose images are taken back now

    def __init__(self, db: Database, change: Change, on_conflict: OnConflict, recast: Recast):
        self.db, self.change, self.on_conflict, self.recast = db, change, on_conflict, recast
        self.clashes: dict[tuple[str, Any, str], Row] = {}  # by table, id and field
        self.lost: dict[str, str] = {}  # tables and columns that cannot come back: why
        self.followed = functools.cache(self._followed)
        self.left: dict[tuple[str, Any], Pair] = {}  # as they are, and as the event left them

    def reverse(self, event: int, images: Iterable[Row], rows: int) -> None:
        """Take back images of an event, the newest first; it changed so many `rows` in all."""
        if self.event != event:
            self.event, self.left = event, {}
        for name, some in groupby(images, key=itemgetter("table")):
            columns, here = self.db.columns(name), list(some)
            if not columns:
                self.lost[name] = GONE
                continue
            self.db.unindex(name, rows)
            renamed, since = self.followed(name)
            for image in here:
                _rename(image, renamed)
                if event < since:
                    self._recast(image)
            table = self.db.table(name, pk="id" if "id" in columns else "key")
            found = table.these(image["id"] for image in here)
            table.write(self._pairs(here, {row[table.pk]: row for row in found}, rows <= PART))

    def _pairs(self, images: list[Row], rows: dict[Any, Row | None], few: bool) -> Iterable[Pair]:
        """`few`: a row may come more than once; it is judged as the event left it."""
        for image in images:
            row = rows.get(image["id"])
            if few:
                self.left.setdefault((image["table"], image["id"]), (row, image["after"]))
            rows[image["id"]] = wanted = self._wanted(image, row)
            yield row, wanted

    def _followed(self, table: str) -> tuple[dict[str, str], int]:
        """{old: new} of renamed columns; the event in which the table last followed its class."""
        sql = "SELECT value FROM store WHERE scope = '' AND key = ?"
        renamed = self.db.one(sql, (f"renamed:{table}",)) or {"value": "{}"}
        sql = """SELECT max(id) AS id FROM events WHERE id > (SELECT min(event_id) FROM images)
            AND verb = 'migrate' AND ' ' || target || ' ' LIKE ?"""  # none older can be undone
        return json.loads(renamed["value"]), self.db.all(sql, (f"% {table} %",))[0]["id"] or 0

    def _recast(self, image: Row) -> None:
        moved, old = changed(image), image["before"] or {}
        for end in ("before", "after"):
            image[end] = image[end] and self.recast(image["table"], image[end])
        lost = [n for n in moved if old.get(n) is not None and n not in image["before"]]
        self.lost |= dict.fromkeys(lost, RETYPED)
        image["after"] = {n: v for n, v in (image["after"] or {}).items() if n not in lost} or None

    def _wanted(self, image: Row, row: Row | None) -> Row | None:
        before, after, columns = image["before"], image["after"], self.db.columns(image["table"])
        names = changed(image) if before else [n for n in after if n not in LOOSE]
        gone = [n for n in names if n not in columns and before and before.get(n) is not None]
        self.lost |= dict.fromkeys(gone, GONE)
        names = [name for name in names if name in columns]
        if (clash := self._clash(image, row, names)) and self.on_conflict != "overwrite":
            if None in (before, after, row):
                return row
            names = [name for name in names if name not in clash]
        if not before or not (row or names):
            return None
        if row is None:
            return {name: value for name, value in before.items() if name in columns}
        return bumped(row, {name: before.get(name) for name in names})

    def _clash(self, image: Row, row: Row | None, names: list[str]) -> list[str]:
        table, key = image["table"], image["id"]
        row, left = self.left.get((table, key), (row, image["after"]))
        before, after, here = image["before"] or {}, left or {}, row or {}
        if row is None:
            clash, why = names if before and after else [], "deleted"
        elif after and row.get("version") == after.get("version", 1):
            clash, why = [], ""  # nobody changed it; what differs, a change of its class made
        else:
            clash = [n for n in names if row[n] not in (before.get(n), after.get(n))]
            why = "changed" if after else "put back"
        for name in clash:  # of a field changed several times the first value counts, met last
            told = {"mine": before.get(name), "theirs": here.get(name), "why": why}
            self.clashes[table, key, name] = {"table": table, "id": key, "field": name, **told}
        return clash

    def finish(self) -> str:
        """What the summary says besides. Raises Conflict, or Problem when nothing was done."""
        met, told = len(self.clashes), [*self.clashes.values()][:TOLD]
        if met and self.on_conflict == "refuse":
            more = f", and {met - 1:,} more" if met > 1 else ""
            what = "{field} of {table}/{id} was {why} since".format_map(told[0])
            raise Conflict(what.replace("of app_", "of ") + more, CHOICE, clashes=told, count=met)
        said = [f"without {n.removeprefix('app_')}, which {why}" for n, why in self.lost.items()]
        if met and self.on_conflict == "skip":
            said.append(f"{met:,} later change{'s' * (met > 1)} kept")
        note = f" ({'; '.join(said)})" if said else ""
        if not self.change.images:
            why = note or ": all is as it was before"
            raise Problem(f"There is nothing left to take back{why}.", "See History.")
        return note


def _rename(image: Row, renamed: dict[str, str]) -> None:
    """Images hold whole rows: one with an old name, without the new one, is older than that."""
    for row in filter(None, (image["before"], image["after"])):
        for old, new in renamed.items():
            if old in row and new not in row:
                row[new] = row.pop(old)
