"""The event log read back: history, and undo as the inverse of what events changed."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from pipulate.core.fields import dumps
from pipulate.core.images import unpack
from pipulate.core.problems import Missing, Problem, short
from pipulate.core.store import Database, Row, now, quote
from pipulate.core.tables import AMONG
from pipulate.core.undo import OnConflict, Recast, Undoing

KEEP_IMAGES = 30 * 86_400  # seconds: undo works this long; the log itself is kept

# What the summary of an undo has around those of what it took back.
TOOK_BACK = re.compile(r"^(Undid|Redid)( \d+ changes)?: | \((without|[\d,]+ later) [^)]*\)$")
# The event that took e back, or NULL. Each of the chain took back the one before it: an even
# number of them leaves e done.
UNDONE = """(
    WITH RECURSIVE later(id) AS (
        SELECT max(by_event) FROM undone WHERE event_id = e.id UNION ALL
        SELECT (SELECT max(by_event) FROM undone WHERE event_id = later.id)
        FROM later WHERE later.id IS NOT NULL)
    SELECT CASE WHEN count(id) % 2 THEN min(id) END FROM later) AS undone"""
# What is told of an event, with `undone` and whether its images are `kept`.
TOLD = f"""SELECT e.id, e.at_utc, e.actor, e.verb, e.target, e.summary, e.turn, e.changed,
    e.deleted, EXISTS (SELECT 1 FROM images i WHERE i.event_id = e.id) AS kept, {UNDONE} FROM"""
# Those of a profile, by its index: two walks, merged.
LOG = f"""{TOLD} (SELECT * FROM events WHERE profile_id = :profile
    UNION ALL SELECT * FROM events WHERE profile_id IS NULL) e WHERE"""
TURNS = f"{TOLD} events e WHERE ifnull(e.profile_id, :profile) = :profile AND e.changed AND e.turn"
# Columns of Secret fields, by what classes were when they last loaded (apps/migrate.py).
SECRETS = """SELECT substr(s.key, 8) AS of, f.key AS name
    FROM store s, json_each(s.value, '$.fields') f
    WHERE s.scope = '' AND s.key GLOB 'fields:*' AND f.value ->> 'kind' = 'Secret'"""
SECRET = re.compile(" ([0-9a-f]{16})['\"]")  # the end of such a value: "…1234 id"
# What a Filter lets through.
MEANT = """(:actor = '' OR e.actor = :actor) AND e.at_utc >= :since
    AND (:until = '' OR e.at_utc < :until)
    AND (:table = '' OR instr(' ' || e.target, ' ' || :table || '/'))
    AND (NOT :deletions OR e.deleted OR e.verb LIKE '%_delete')
    AND (NOT :brief OR e.verb != 'step_opened')
    AND NOT EXISTS (SELECT 1 FROM json_each(:words)
        WHERE NOT instr(lower(e.summary), value))"""


@dataclass(frozen=True)
class Filter:
    """Which events: of an actor, of a table, with these words, in [since, until) UTC."""

    actor: str = ""
    table: str = ""
    words: str = ""
    since: str = ""
    until: str = ""
    deletions: bool = False
    brief: bool = False  # without the beginnings of steps


class Events:
    """What was done, by whom; newest first. Undo is itself an event, so undoing it is redo."""

    def __init__(self, db: Database, recast: Recast = lambda _, row: row):
        self.db, self.recast = db, recast

    def recent(
        self,
        profile_id: int,
        limit: int = 50,
        before: int = 2**62,
        after: int = 0,
        only: Filter = Filter(),
    ) -> list[Row]:
        """Events of a profile between two ids, without images; with `undoable`, and `undone`: by

        which event, or None. `after` picks the oldest of those, else the newest."""
        about = {"profile": profile_id, "limit": limit, "before": before, "after": after}
        about |= vars(only) | {"words": dumps(only.words.lower().split())}
        order = "ASC" if after else "DESC"
        where = f"e.id < :before AND e.id > :after AND {MEANT}"
        rows = self.db.all(f"{LOG} {where} ORDER BY e.id {order} LIMIT :limit", about)
        told = [row | {"undoable": bool(row["kept"] and not row["undone"])} for row in rows]
        return told[::-1] if after else told

    def get(self, event_id: int, profile_id: int) -> Row:
        """One event as `recent` gives it. Raises Missing."""
        for found in self.recent(profile_id, 1, event_id + 1, event_id - 1):
            return found
        raise Missing(f"There is no event {event_id} in this profile.", "See History.")

    def newest(self) -> int:
        """The id of the last event of all; 0 before the first."""
        return self.db.all("SELECT ifnull(max(id), 0) AS id FROM events")[0]["id"]

    def last(self, profile_id: int) -> int:
        """The id of the newest change that can be undone and is no undo. Raises Missing."""
        for event in self.recent(profile_id, 1_000):
            if event["undoable"] and event["verb"] != "undo":
                return int(event["id"])
        raise Missing("There is nothing to undo.", "See History.")

    def of_turn(self, turn: str, profile_id: int) -> list[Row]:
        """What the model changed in one turn, newest first: what is left to undo, else all."""
        sql = f"{TURNS} = :turn ORDER BY e.id DESC"
        rows = self.db.all(sql, {"profile": profile_id, "turn": turn})
        within = {None, *(row["id"] for row in rows)}  # what the turn itself undid goes along
        return [row for row in rows if row["kept"] and row["undone"] in within] or rows

    def images(self, *events: int, limit: int | None = None) -> Iterator[Row]:
        """{table, id, before, after} of events, in order; none when pruned or nothing changed."""
        parts = chain.from_iterable(map(self._parts, events))
        return islice(chain.from_iterable(parts), limit)

    def _parts(self, event: int, order: str = "") -> Iterator[list[Row]]:
        """Read one by one: a part is large."""
        sql = f"SELECT part FROM images WHERE event_id = ? ORDER BY part {order}"
        for row in self.db.all(sql, (event,)):
            sql = "SELECT body FROM images WHERE event_id = ? AND part = ?"
            yield unpack(self.db.all(sql, (event, row["part"]))[0]["body"])

    def undo(
        self, events: Iterable[int], profile_id: int, actor: str, on_conflict: OnConflict = "refuse"
    ) -> str:
        """Put back what events changed, newest first, as one event; returns its summary.

        Raises Conflict when later changes (its "clashes", see Undoing) are in the way: "skip"
        leaves those as they are, "overwrite" puts back all the same."""
        with self.db.change(actor=actor, profile_id=profile_id) as change:
            self.db.begin()
            found = [self.get(key, profile_id) for key in sorted({*events}, reverse=True)]
            change.undoes = [event["id"] for event in found]
            work = Undoing(self.db, change, on_conflict, self.recast)
            for event in found:
                if event["undone"] not in (None, *change.undoes):
                    what = "That was undone already."
                    raise Problem(what, "Undo the undo in History to redo it.")
                if not event["kept"]:
                    what = "That event changed no rows, or is older than 30 days."
                    raise Problem(what, "See History.")
                for images in self._parts(event["id"], "DESC"):
                    work.reverse(event["id"], images[::-1], event["changed"])
            redo = all(event["verb"] == "undo" for event in found)
            change.verb = "redo" if redo else "undo"
            change.summary = _said("Redid" if redo else "Undid", found[::-1]) + work.finish()
        return change.summary

    def undo_turn(
        self, turn: str, profile_id: int, actor: str, on_conflict: OnConflict = "refuse"
    ) -> str:
        """Take back all that the model changed in one turn; as `undo`."""
        if not (found := [e["id"] for e in self.of_turn(turn, profile_id)]):
            raise Missing("That turn changed nothing here.", "See History.")
        return self.undo(found, profile_id, actor, on_conflict)

    def turns(self, profile_id: int, turns: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """{turn: its events that are not undone} of those turns that changed something."""
        sql = f"{TURNS} IN (SELECT value FROM json_each(:turns))"
        left = defaultdict[str, tuple[int, ...]](tuple)
        for row in self.db.all(sql, {"profile": profile_id, "turns": dumps(turns)}):
            left[row["turn"]] += () if row["undone"] else (row["id"],)
        return left

    def prune(self) -> None:
        """Drop images older than 30 days, and as old secrets that none holds, nor a row; daily."""
        limit = now(-KEEP_IMAGES)
        at = "(SELECT at_utc FROM events WHERE id = event_id)"  # the log is longer
        self.db.execute(f"DELETE FROM images WHERE {at} < ?", (limit,))
        secrets = "SELECT id FROM secrets WHERE created_utc < ?"
        left = {row["id"] for row in self.db.all(secrets, (limit,))}
        for rows in self._held() if left else ():
            left -= {*SECRET.findall(str(rows))}
            if not left:  # else every image is looked through
                break
        self.db.execute(f"DELETE FROM secrets WHERE id {AMONG}", (dumps([*left]),))

    def _held(self) -> Iterator[list[Row]]:
        """All that may refer to a secret; the images, which are many, last."""
        for row in self.db.all(SECRETS):
            yield self.db.all(f"SELECT DISTINCT {quote(row['name'])} FROM {quote(row['of'])}")
        yield self.db.all("SELECT value FROM records WHERE kind = 'question'")
        for row in self.db.all("SELECT DISTINCT event_id AS id FROM images"):
            yield from self._parts(row["id"])


def _said(word: str, events: list[Row]) -> str:
    """Undid 2 changes: Added task “milk”; Deleted task “tea”. Of an undo: what that took back."""
    undone = ("undo", "redo")
    told = (
        TOOK_BACK.sub("", e["summary"]) if e["verb"] in undone else e["summary"] for e in events
    )
    many = f" {len(events)} changes" if len(events) > 1 else ""
    return f"{word}{many}: {short('; '.join(told), 200)}"
