"""The inverse of what events changed: row by row, newest first, written many rows at a time."""

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from pipulate.core.images import changed
from pipulate.core.problems import Conflict, Problem
from pipulate.core.store import Change, Database, Row, quote

OnConflict = Literal["refuse", "skip", "overwrite"]
ENDS = ("before", "after")
GONE, RETYPED = "is no field any more", "is of another type now"
Recast = Callable[[str, Row], Row]  # (table, an older row) → the row as the table's class has it
TOLD = 20  # clashes that a Conflict lists; all are counted
LOOSE = ("version", "position")  # a row may be removed though these changed since
CHOICE = "Undo the rest (on_conflict=skip), or undo all the same (on_conflict=overwrite)."


class Undoing:
    """One undo at work inside a change. `clashes` are the later changes it met: {table, id, field,

    mine, theirs, why}; `mine` is what undo would put back, `theirs` what is there now."""

    def __init__(self, db: Database, change: Change, on_conflict: OnConflict, recast: Recast):
        self.db, self.change, self.on_conflict, self.recast = db, change, on_conflict, recast
        self.clashes: dict[tuple[str, Any, str], Row] = {}  # by table, id and field
        self.lost: dict[str, str] = {}  # tables and columns that cannot come back: why
        self.followed: dict[str, tuple[dict[str, str], int]] = {}

    def reverse(self, event: int, images: Iterable[Row], rows: int = 0) -> None:
        """Take back images of an event, given newest first; it changed so many `rows` in all."""
        for table, some in groupby(images, key=itemgetter("table")):
            columns, here = self.db.columns(table), list(some)
            if not columns:
                self.lost[table] = GONE
                continue
            self.db.unindex(table, rows)
            if table not in self.followed:
                self.followed[table] = self._followed(table)
            renamed, since = self.followed[table]
            for image in here:
                _rename(image, renamed)
                if event < since:
                    self._recast(image)
            self._reverse_in(table, "id" if "id" in columns else "key", here)

    def _reverse_in(self, table: str, pk: str, images: list[Row]) -> None:
        keys = json.dumps([image["id"] for image in images])
        sql = f"SELECT * FROM {quote(table)} WHERE {pk} IN (SELECT value FROM json_each(?))"
        rows: dict[Any, Row | None] = {row[pk]: row for row in self.db.all(sql, [keys])}
        writes = []
        for image in images:
            key, row = image["id"], rows.get(image["id"])
            wanted = rows[key] = self._wanted(image, row)
            if wanted != row:
                writes.append(_statement(table, pk, key, row, wanted))
                about = {"table": table, "id": key, "before": row, "after": wanted}
                self.change.images.append(about)
        for statement, same in groupby(writes, key=itemgetter(0)):
            self.db.execute_many(statement, [values for _, values in same])

    def _followed(self, table: str) -> tuple[dict[str, str], int]:
        """{old: new} names of columns that were renamed, in order; and the event in which the table

        last followed its class."""
        sql = "SELECT value FROM store WHERE scope = '' AND key = ?"
        found = self.db.one(sql, (f"renamed:{table}",))
        sql = "SELECT max(id) AS id FROM events WHERE verb = 'migrate'"
        sql += " AND ' ' || target || ' ' LIKE ?"
        since = self.db.all(sql, (f"% {table} %",))[0]["id"] or 0
        return json.loads(found["value"]) if found else {}, since

    def _recast(self, image: Row) -> None:
        """Read an image as its table's class is now; what was there and does not fit is lost."""
        moved, table, old = changed(image), image["table"], image["before"] or {}
        before, after = (image[end] and self.recast(table, image[end]) for end in ENDS)
        lost = [n for n in moved if old.get(n) is not None and n not in before]
        self.lost |= dict.fromkeys(lost, RETYPED)
        image["before"] = before
        image["after"] = after and {n: v for n, v in after.items() if n not in lost}

    def _wanted(self, image: Row, row: Row | None) -> Row | None:
        """What the row should be again: as before the image's change; None means gone."""
        before, after = image["before"], image["after"]
        names = self._names(image)
        clash = self._clash(image, row, names)
        if clash and self.on_conflict != "overwrite":
            if None in (before, after, row):
                return row
            names = [name for name in names if name not in clash]
        if before is None:
            return None
        if row is None:
            columns = self.db.columns(image["table"])
            return {name: value for name, value in before.items() if name in columns}
        new = row | {name: before.get(name) for name in names}
        return new | ({"version": row["version"] + 1} if new != row and "version" in row else {})

    def _names(self, image: Row) -> list[str]:
        """The columns to put back. Of those that are no more the ones with a value are `lost`."""
        before, columns = image["before"], self.db.columns(image["table"])
        names = changed(image) if before else [n for n in image["after"] if n not in LOOSE]
        gone = [n for n in names if n not in columns and before and before.get(n) is not None]
        self.lost |= dict.fromkeys(gone, GONE)
        return [name for name in names if name in columns]

    def _clash(self, image: Row, row: Row | None, names: list[str]) -> list[str]:
        """The columns that hold neither what the image left there nor what was before it."""
        before, after = image["before"] or {}, image["after"] or {}
        if row is None:
            clash, why = names if before and after else [], "deleted"
        else:
            clash = [n for n in names if row[n] not in (before.get(n), after.get(n))]
            why = "changed" if after else "put back"
        table, key = image["table"], image["id"]
        for name in clash:  # of a field changed several times the first value counts, met last
            about = {"table": table, "id": key, "field": name, "why": why}
            told = {"mine": before.get(name), "theirs": row and row[name]}
            self.clashes[table, key, name] = about | told
        return clash

    def finish(self) -> str:
        """What the summary says besides. Raises Conflict, or Problem when nothing was done."""
        met, told = len(self.clashes), [*self.clashes.values()][:TOLD]
        if met and self.on_conflict == "refuse":
            more = f", and {met - 1:,} more" if met > 1 else ""
            what = "{field} of {table}/{id} was {why} since".format_map(told[0])
            raise Conflict(what.replace("of app_", "of ") + more, CHOICE, clashes=told, count=met)
        lost = [f"without {n.removeprefix('app_')}, which {why}" for n, why in self.lost.items()]
        skipped = met if self.on_conflict == "skip" else 0
        kept = f"{skipped:,} later change{'s' * (skipped > 1)} kept" if skipped else ""
        said = "; ".join(filter(None, [*lost, kept]))
        if not self.change.images:
            why = f" ({said})" if said else ": all is as it was before"
            raise Problem(f"There is nothing left to take back{why}.", "See History.")
        return f" ({said})" if said else ""


def _rename(image: Row, renamed: dict[str, str]) -> None:
    """Images hold whole rows: one with an old name and without the new one is older than that."""
    for row in filter(None, (image["before"], image["after"])):
        for old, new in renamed.items():
            if old in row and new not in row:
                row[new] = row.pop(old)


def _statement(
    table: str, pk: str, key: Any, row: Row | None, wanted: Row | None
) -> tuple[str, list[Any]]:
    """SQL and its values that make one row of the other."""
    name = quote(table)
    if wanted is None:
        return f"DELETE FROM {name} WHERE {pk} = ?", [key]
    if row is None:
        names, marks = ", ".join(map(quote, wanted)), ", ".join("?" * len(wanted))
        return f"INSERT INTO {name} ({names}) VALUES ({marks})", [*wanted.values()]
    new = {n: value for n, value in wanted.items() if row[n] != value}
    sets = ", ".join(f"{quote(n)} = ?" for n in new)
    return f"UPDATE {name} SET {sets} WHERE {pk} = ?", [*new.values(), key]
