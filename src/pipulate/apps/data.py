"""The rows of a CRUD app: its scoped table, and which of them a list means."""

import contextlib
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from operator import itemgetter
from typing import Any

from pipulate.apps.query import ID, PAGE, Sql, State, condition, contains, joined, order_sql
from pipulate.apps.query import NAME, spellings
from pipulate.apps.refs import Refs, numbered
from pipulate.core.fields import MISSING, Field, File, Ref, Secret, dumps, makes, to_column
from pipulate.core.problems import Invalid, Problem
from pipulate.core.store import Row, quote
from pipulate.core.tools import Caller

LARGE = 5_000  # rows from which a search or an order gets an index of its own
FILL_ROWS, FILL_SECONDS = 200, 0.2  # entered into the index at once; spent on that in one search
BARE = (bool, File, Ref, Secret)  # types whose columns hold no words to search


class Data(Refs):
    """What a Crud knows of its table."""

    def rows(self, caller: Caller):
        """Its rows are instances of the class."""
        return replace(self.plain(caller), row=lambda row: self.model(row, self, caller))

    def plain(self, caller: Caller):
        """Its rows are dictionaries of columns."""
        return self.shelf(0 if self.model.shared else caller.profile.id)

    def shelf(self, key: int):
        known = (f for f in self.fields.values() if f.type is not Secret)
        open_ = [f for f in known if f.default not in (MISSING, None)]
        fixed = {f.name: to_column(f.default) for f in open_ if not makes(f.default)}

        def defaults(given: Row) -> Row:
            made = (f for f in open_ if f.name not in fixed and f.name not in given)
            return fixed | {f.name: to_column(f.initial) for f in made}

        options = {"scoped": True, "defaults": defaults, "keep": self.stored}
        return self.house.db.table(self.table_name, **options).xtra(profile_id=key)

    def of_type(self, *kinds: type) -> dict[str, Field]:
        return {n: f for n, f in self.fields.items() if f.type in kinds}

    # -- which rows a list means

    def find(self, caller: Caller, state: State) -> tuple[list[Any], int]:
        """(rows of the state's page, how many match)."""
        where, args = self.where(caller, state)
        table, first = self.rows(caller), (state.page - 1) * PAGE
        count, name = table.count(where, args), (state.sort or self.model.order).removeprefix("-")
        if name in self.model.computed:
            return self._ranked(table, state, where, args)[first : first + PAGE], count
        self._index(name)
        left, turns = count - first, name in self.fields or name == "position"
        if where and turns and count**2 > (min(first, left) + PAGE) * self._highest():
            where = f"likely({where})"  # walking in order meets a page of them sooner
        if first < left or not turns:
            return table(where, args, self.order(state), PAGE, first), count
        # A late page is read from the end: OFFSET costs as much as the rows it leaves out.
        order, size = self.order(state, turned=True), max(0, min(PAGE, left))
        return table(where, args, order, size, left - size)[::-1], count

    def _ranked(self, table, state: State, where: str, args: list[Any]) -> list[Any]:
        name, down = state.sort.removeprefix("-"), state.sort[0] == "-"
        known, empty = [], []
        for value, row in self._reckoned(table, name, where, args):
            (empty if value in (None, "") else known).append((value, row))
        try:
            known.sort(key=itemgetter(0), reverse=down)
        except TypeError as error:
            raise Problem(f"{name} has no order ({error}).", "Mend its property.") from None
        return [row for _, row in known + empty]

    def _reckoned(self, table, name: str, where: str, args: list[Any]):
        if len(rows := table(where, args, "id", LARGE + 1)) > LARGE:
            what = f"{name} is computed: at most {LARGE:,} rows can be ordered or filtered by it."
            raise Problem(what, "Filter by others, or search, first.")
        for row in rows:
            value = None
            with contextlib.suppress(Exception):  # a fault of the plugin's own: its cell says so
                value = getattr(row, name)
            yield value, row

    def where(self, caller: Caller, state: State) -> Sql:
        """The rows of a state as SQL. Raises Invalid for filters that cannot be read."""
        words, bad = sorted(state.q.replace("\0", "").split()[:10], key=len)[::-1], {}
        some = zip(words) if self._apart() or not words else [words]
        parts = [self._holds(caller, *each) for each in some]
        for name in sorted(state.filters, key=self.model.computed.__contains__):
            try:
                text = state.filters[name].strip()
                parts.append(self._filter(caller, name, text, joined(" AND ", parts)))
            except ValueError as error:
                bad[name] = str(error)
        if bad:
            said = "; ".join(f"{name.replace('_', ' ')} {why}" for name, why in bad.items())
            then = "Write a value, >3, <=3, 2..5, != or =."
            raise Invalid(f"A filter cannot be read: {said}", then, fields=bad)
        return joined(" AND ", parts)

    def _filter(self, caller: Caller, name: str, text: str, so_far: Sql) -> Sql:
        field = self.named.get(name, ID)
        if name not in self.named and name != "id":
            raise ValueError("is no field here (any more)")
        if name in self._apart() and text not in ("=", "!="):
            return self._refers(caller, field, text)
        sql, args = condition(field, text)
        if name in self.model.computed:
            pairs = self._reckoned(self.rows(caller), name, *so_far)
            known = dumps([[row.id, to_column(value)] for value, row in pairs])
            every = f"SELECT value ->> 0 AS _id, value ->> 1 AS {quote(name)} FROM json_each(?)"
            return f"id IN (SELECT _id FROM ({every}) WHERE {sql})", [known, *args]
        if sql.startswith(order_sql(field)):
            self._index(name)
        return sql, args

    def _apart(self) -> dict[str, Field]:
        refs = {n: f for n, f in self.of_type(Ref).items() if self.known_target(f)}
        return refs | self.of_type(File)

    def _refers(self, caller: Caller, field: Field, text: str) -> Sql:
        """Rows that refer to what is so called ("Ann", "=Ann", "!=Ann #12") or has that number."""
        column, sign = quote(field.name), re.match("(?:!?=)?", text)[0]
        said = text.removeprefix(sign).strip()
        named, args = self._named(caller, field, said, exact=bool(sign))
        tests = [(f"{column} IN ({named})", args)] if said[0] != "#" else []
        if field.type is Ref and (key := numbered(said)) is not None:
            tests.append((f"{column} = ?", [key]))
        sql, args = joined(" OR ", tests or [("0", [])])
        return (f"{column} IS NULL OR NOT ({sql})" if sign == "!=" else sql), args

    def _named(self, caller: Caller, field: Field, said: str, exact: bool = False) -> Sql:
        key, table, title, profile = "'file:' || id", "files", NAME, caller.profile.id
        if field.type is Ref:
            app = self.target(field)
            key, table, title = "id", app.table_name, app.first
            profile = 0 if app.model.shared else profile
            if exact:
                app._index(title.name)
        same = f"{order_sql(title)} = ?", [said]
        test, args = same if exact else contains(quote(title.name), said)
        return f"SELECT {key} FROM {table} WHERE profile_id = ? AND {test}", [profile, *args]

    def _holds(self, caller: Caller, *words: str) -> Sql:
        """Rows that hold words: by the index of three letters (FTS5) once there are many.

        Of letters beyond ASCII it takes more for the same than LIKE, which has the last word."""
        texts = [n for n, f in self.fields.items() if f.type not in BARE]
        columns, parts = [f"CAST({quote(name)} AS TEXT)" for name in texts] or ["''"], []
        left: Iterable[str] = words
        if texts and len(words[0]) > 2 and self._large() and self._search_index(texts):
            fts = f"{self.table_name}_fts"
            ways = (map(_phrase, spellings(w)) for w in words if len(w) > 2)
            match = " AND ".join(f"({' OR '.join(way)})" for way in ways)
            parts = [(f"id IN (SELECT rowid FROM {fts} WHERE {fts} MATCH ?)", [match])]
            left = (w for w in words if len(w) < 3 or not w.isascii())
        parts += (joined(" OR ", [contains(column, word) for column in columns]) for word in left)
        parts = [joined(" AND ", parts)]
        for name, field in self._apart().items():
            named, values = self._named(caller, field, words[0])
            if self.house.db.one(f"{named} LIMIT 1", values):  # few words name anything
                self._index(name)
                parts.append((f"{quote(name)} IN ({named})", values))
        return joined(" OR ", parts)

    def order(self, state: State, turned: bool = False) -> str:
        """ORDER BY: by a field (empty last), or as the class says in SQL of its own."""
        sort = state.sort or self.model.order
        if sort.removeprefix("-") in self.model.computed:
            sort = self.model.order
        name, down = sort.removeprefix("-"), sort[0] == "-"
        way, tail = "DESC" if down != turned else "ASC", "id DESC" if turned else "id"
        if name == "position":
            return f"position {way}, {tail}"
        if name not in self.fields:
            return f"{sort}, id"
        return f"{self._orders(name)} {way} NULLS {'FIRST' if turned else 'LAST'}, {tail}"

    def _orders(self, name: str) -> str:
        field, at, own = self.fields[name], f"{self.table_name}.{quote(name)}", ""
        if field.type is Ref and (app := self.known_target(field)):
            title = quote(app.first.name)
            own = f"SELECT _it.{title} FROM {app.table_name} AS _it WHERE _it.id = {at}"
        elif field.type is File:
            own = f"SELECT name FROM files WHERE id = CAST(substr({at}, 6) AS INTEGER)"
        return f"({own}) COLLATE NOCASE" if own else order_sql(field)

    # -- indexes, made when a large table first needs one

    def _highest(self) -> int:
        return self.house.db.one(f"SELECT max(id) AS top FROM {self.table_name}")["top"] or 0

    def _large(self) -> bool:
        return self._highest() > LARGE

    def _index(self, name: str) -> None:
        field = self.fields.get(name)
        if field and self._large():
            by = quote(name) if field.type in (Ref, File) else order_sql(field)
            index = f"{self.table_name}_by_{name}"
            self._once(index, f"CREATE INDEX {index} ON {self.table_name} (profile_id, {by})")

    def _search_index(self, texts: list[str]) -> bool:
        """Make the index of words, or go on with it; whether it is whole. To enter thousands of

        pages takes longer than anybody waits: meanwhile rows are looked through."""
        db, settings = self.house.db, self.house.settings_of()
        table, fts = self.table_name, f"{self.table_name}_fts"
        key, end = f"filled:{fts}", time.monotonic() + FILL_SECONDS
        names = [quote(name) for name in texts]
        said = " || char(10) || ".join(f"coalesce(new.{name}, '')" for name in names)
        come = f"INSERT OR REPLACE INTO {fts} (rowid, said) VALUES (new.id, {said})"
        work = {"INSERT": come, "DELETE": f"DELETE FROM {fts} WHERE rowid = old.id"}
        work[f"UPDATE OF {', '.join(names)}"] = come
        triggers = "".join(
            f"CREATE TRIGGER {fts}_{when[0].lower()} AFTER {when} ON {table} BEGIN {what}; END;"
            for when, what in work.items()
        )
        kind = "fts5(said, content='', contentless_delete=1, tokenize=trigram)"
        clean = f"DELETE FROM store WHERE scope = '' AND key = '{key}'"
        self._once(fts, f"CREATE VIRTUAL TABLE {fts} USING {kind}; {triggers} {clean}")
        while (last := settings.get(key, 0)) >= 0:  # the last id entered; -1: all of them
            with db.writing():
                some = f"SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT {FILL_ROWS}"
                top = db.all(f"SELECT max(id) AS id FROM ({some})", (last,))[0]["id"]
                come = f"SELECT id, {said} FROM {table} AS new WHERE id > ? AND id <= ?"
                db.execute(f"INSERT OR REPLACE INTO {fts} (rowid, said) {come}", (last, top or 0))
                settings[key] = top or -1
            if time.monotonic() > end:
                return False
        return True

    def _once(self, name: str, sql: str) -> None:
        db, there = self.house.db, "SELECT 1 FROM sqlite_master WHERE name = ?"
        if not db.all(there, (name,)):
            with db.writing():
                if not db.all(there, (name,)):
                    # without figures SQLite takes every index for a good one
                    db.execute(f"{sql}; PRAGMA analysis_limit = 400; ANALYZE {self.table_name}")


def _phrase(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
