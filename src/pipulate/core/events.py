"""The event log read back: history, and undo as the inverse of what an event changed."""

import json
import zlib
from datetime import datetime, timedelta, UTC

from pipulate.core.problems import Conflict, Missing, Problem
from pipulate.core.store import Database, Row

KEEP_IMAGES = timedelta(days=30)  # undo works this long; the log itself is kept


class Events:
    """What was done, by whom; newest first. Undo is itself an event, so undoing it is redo."""

    def __init__(self, db: Database):
        self.db = db

    def recent(self, profile_id: int, limit: int = 50, before: int = 2**62) -> list[Row]:
        """Events of a profile with an `undone` id (or None) and `undoable`, without images."""
        return self.db.all(
            "SELECT e.id, e.at_utc, e.actor, e.verb, e.target, e.summary, e.turn, e.undo_of,"
            " u.id AS undone, e.images IS NOT NULL AND u.id IS NULL AS undoable"
            " FROM events e LEFT JOIN events u ON u.undo_of = e.id"
            " WHERE (e.profile_id = ? OR e.profile_id IS NULL) AND e.id < ?"
            " ORDER BY e.id DESC LIMIT ?",
            (profile_id, before, limit),
        )

    def images(self, event_id: int) -> list[Row]:
        """[{table, id, before, after}] of an event; [] when it changed nothing or was pruned."""
        found = self.db.one("SELECT images FROM events WHERE id = ?", (event_id,))
        if found is None:
            raise Missing(f"There is no event {event_id}.", "See History.")
        packed = found["images"] or "[]"
        return json.loads(zlib.decompress(packed) if isinstance(packed, bytes) else packed)

    def undo(self, event_id: int, profile_id: int, actor: str) -> str:
        """Put back what an event changed. Raises Conflict when a later change is in the way."""
        event = self.db.one("SELECT * FROM events WHERE id = ?", (event_id,))
        if event is None or event["profile_id"] not in (None, profile_id):
            raise Missing(f"There is no event {event_id} in this profile.", "See History.")
        if self.db.one("SELECT id FROM events WHERE undo_of = ?", (event_id,)):
            raise Problem("That was undone already.", "Undo the undo in History to redo it.")
        images = self.images(event_id)
        if not images:
            raise Problem("That event changed no rows, or is older than 30 days.", "See History.")
        with self.db.change(actor=actor, profile_id=event["profile_id"], verb="undo") as change:
            change.undo_of, change.summary = event_id, f"Undid: {event['summary']}"
            self.db.begin()
            for image in reversed(images):
                self._reverse(image)
        return change.summary

    def _reverse(self, image: Row) -> None:
        columns = self.db.columns(image["table"])
        table = self.db.table(image["table"], pk="key" if "key" in columns else "id")
        key, before, after = image["id"], image["before"] or {}, image["after"] or {}
        current = table.raw(key) if key in table else {}
        self._refuse_later_change(image, current)
        wanted = {k: v for k, v in before.items() if k in columns}
        if not before:
            table.delete(key)
        elif not current:
            table.insert(wanted)
        else:
            changed = {k: v for k, v in wanted.items() if v != after.get(k) and k != "version"}
            table.update(changed | {table.pk: key})

    @staticmethod
    def _refuse_later_change(image: Row, current: Row) -> None:
        before, after = image["before"] or {}, image["after"] or {}
        row = f"{image['table']}/{image['id']}"
        if bool(current) != bool(after):
            state = "put back" if current else "deleted"
            raise Conflict(f"{row} was {state} since.", "Undo that later change first.")
        moved = (k for k in after if k != "version" and after[k] != before.get(k))
        clash = {k: current[k] for k in moved if k in current and current[k] != after[k]}
        if clash:
            raise Conflict(
                f"{', '.join(clash)} of {row} was changed again since.",
                "Undo that later change first (see History).",
                theirs=clash,
            )

    def prune(self) -> None:
        """Drop images older than 30 days; called once a day."""
        limit = (datetime.now(UTC) - KEEP_IMAGES).isoformat()
        self.db.execute(
            "UPDATE events SET images = NULL WHERE at_utc < ? AND images IS NOT NULL", (limit,)
        )
