"""The rows of a CRUD app: its scoped table, and which of them a list means."""

from dataclasses import replace
from typing import Any

from pipulate.apps.query import ID, PAGE, Sql, State, condition, like, order_sql, refuse
from pipulate.apps.refs import Refs
from pipulate.core.fields import Field, File, Ref, Secret, to_column
from pipulate.core.problems import Problem
from pipulate.core.store import quote
from pipulate.core.tools import Caller

LARGE = 5_000  # rows from which a search or an order gets an index of its own
BARE = (bool, File, Ref, Secret)  # types whose columns hold no words to search


class Data(Refs):
    """What a Crud knows of its table; it has `house`, `model`, `fields`, `name`, `table_name`."""

    def rows(self, caller: Caller):
        """The scoped table; its rows are instances of the class."""
        table = self.plain(caller)
        return replace(table, row=lambda row: self.model(row, table, self, caller))

    def plain(self, caller: Caller):
        """The scoped table; its rows are dictionaries of columns."""
        return self._shelf(0 if self.model.shared else caller.profile.id)

    def _shelf(self, key: int):
        given = {n: to_column(f.default) for n, f in self.fields.items() if not f.required}
        options = {"scoped": True, "defaults": {n: v for n, v in given.items() if v is not None}}
        return self.house.db.table(self.table_name, **options).xtra(profile_id=key)

    def of_type(self, kind: type) -> dict[str, Field]:
        return {n: f for n, f in self.fields.items() if f.type is kind}

    # -- which rows a list means

    def find(self, caller: Caller, state: State) -> tuple[list[Any], int]:
        """(rows of the state's page, how many match)."""
        where, args = self.where(caller, state)
        table, first = self.rows(caller), (state.page - 1) * PAGE
        count, name = table.count(where, args), (state.sort or self.model.order).removeprefix("-")
        if name in self.model.computed:
            return self._ranked(table, state, where, args)[first : first + PAGE], count
        self._index(name)
        left = count - first
        if where and self._turns(state) and count**2 > (min(first, left) + PAGE) * self._highest():
            where = f"likely({where})"  # walking in order meets a page of them sooner
        if first < left or not self._turns(state):
            return table(where, args, self.order(caller, state), PAGE, first), count
        # A late page is read from the end: OFFSET costs as much as the rows it leaves out.
        order, size = self.order(caller, state, turned=True), max(0, min(PAGE, left))
        return table(where, args, order, size, left - size)[::-1], count

    def _ranked(self, table, state: State, where: str, args: list[Any]) -> list[Any]:
        """Rows by what is computed of each, empty last: SQLite knows nothing of it."""
        name, down = state.sort.removeprefix("-"), state.sort[0] == "-"
        rows = table(where, args, limit=LARGE + 1)
        if len(rows) > LARGE:
            what = f"{name} is computed: at most {LARGE:,} rows can be ordered by it."
            raise Problem(what, "Filter or search first.")
        keys = {row.id: getattr(row, name) for row in rows}
        empty = [row for row in rows if keys[row.id] in (None, "")]
        return (
            sorted(
                (row for row in rows if keys[row.id] not in (None, "")),
                key=lambda row: keys[row.id],
                reverse=down,
            )
            + empty
        )

    def where(self, caller: Caller, state: State) -> Sql:
        """The rows of a state as SQL. Raises Invalid for filters that cannot be read."""
        parts, args, bad = [], [], {}
        for name, text in state.filters.items():
            try:
                sql, values = self._filter(caller, name, text)
                parts, args = [*parts, f"({sql})"], [*args, *values]
            except ValueError as error:
                bad[name] = str(error)
        if bad:
            raise refuse(bad)
        for words in self._words(state.q):
            sql, values = self._holds(caller, *words)
            parts, args = [*parts, f"({sql})"], [*args, *values]
        return " AND ".join(parts), args

    def _words(self, q: str) -> list[list[str]]:
        """The words of a search; together those that one look into the index finds."""
        words, apart = q.split()[:10], self.of_type(Ref) | self.of_type(File)
        if apart or not self._large():
            return [[word] for word in words]
        long = [word for word in words if len(word) > 2]
        return [*([long] if long else []), *([word] for word in words if len(word) < 3)]

    def _filter(self, caller: Caller, name: str, text: str) -> Sql:
        field = self.fields.get(name, ID)
        if name in self.model.computed:
            raise ValueError("is computed, and cannot be filtered")
        named = field.type is File or (field.type is Ref and not text.isdecimal())
        if not named or text[0] in "=!<>#":
            sql, args = condition(field, text.removeprefix("#"))
            if sql.startswith(order_sql(field)):
                self._index(name)
            return sql, args
        named, args = self._named(caller, field, "LIKE ? ESCAPE '\\'")
        return f"{quote(name)} IN ({named})", [*args, like(text)]

    def _named(self, caller: Caller, field: Field, test: str, what: str = "id") -> Sql:
        """A query for rows that a Ref may mean, by their first field; for files by their name."""
        if field.type is File:
            sql = f"SELECT 'file:' || id FROM files WHERE profile_id = ? AND name {test}"
            return sql, [caller.profile.id]
        app = self.target(field)
        key = 0 if app.model.shared else caller.profile.id
        title = quote(next(iter(app.fields)))
        return f"SELECT {what} FROM {app.table_name} WHERE profile_id = ? AND {title} {test}", [key]

    def _holds(self, caller: Caller, word: str, *more: str) -> Sql:
        """Rows that hold words: by the index of three letters (FTS5) once there are many."""
        texts = [n for n, f in self.fields.items() if f.type not in BARE]
        if len(word) > 2 and self._large():
            self._search_index(texts)
            fts = f"{self.table_name}_fts"
            parts = [f"id IN (SELECT rowid FROM {fts} WHERE {fts} MATCH ?)"]
            args = [" AND ".join('"' + w.replace('"', '""') + '"' for w in (word, *more))]
        else:
            parts = [f"CAST({quote(n)} AS TEXT) LIKE ? ESCAPE '\\'" for n in texts]
            args = [like(word)] * len(texts)
        for name, field in (self.of_type(Ref) | self.of_type(File)).items():
            named, values = self._named(caller, field, "LIKE ? ESCAPE '\\'")
            parts.append(f"{quote(name)} IN ({named})")
            args += [*values, like(word)]
        return " OR ".join(parts) or "0", args

    def _turns(self, state: State) -> bool:
        sort = (state.sort or self.model.order).removeprefix("-")
        return sort in self.fields or sort == "position"

    def order(self, caller: Caller, state: State, turned: bool = False) -> str:
        """ORDER BY: by a field (empty last), or as the class says in SQL of its own."""
        sort = state.sort if state.sort.removeprefix("-") in self.fields else self.model.order
        name, down = sort.removeprefix("-"), sort[0] == "-"
        if not self._turns(state):
            return f"{sort}, id"
        way, tail = "DESC" if down != turned else "ASC", "id DESC" if turned else "id"
        if name == "position":
            return f"position {way}, {tail}"
        return f"{self._orders(name)} {way} NULLS {'FIRST' if turned else 'LAST'}, {tail}"

    def _orders(self, name: str) -> str:
        field, own = self.fields[name], ""
        if field.type is Ref:
            app = self.target(field)
            title = quote(next(iter(app.fields)))
            at = f"{app.table_name}.id = {self.table_name}.{quote(name)}"
            own = f"(SELECT {title} FROM {app.table_name} WHERE {at}) COLLATE NOCASE"
        elif field.type is File:
            key = f"CAST(substr({self.table_name}.{quote(name)}, 6) AS INTEGER)"
            own = f"(SELECT name FROM files WHERE files.id = {key}) COLLATE NOCASE"
        return order_sql(field, own)

    # -- indexes, made when a large table first needs one

    def _highest(self) -> int:
        return self.house.db.one(f"SELECT max(id) AS top FROM {self.table_name}")["top"] or 0

    def _large(self) -> bool:
        return self._highest() > LARGE

    def _index(self, name: str) -> None:
        field = self.fields.get(name)
        if field and field.type not in (Ref, File) and self._large():
            index, by = f"{self.table_name}_by_{name}", order_sql(field)
            sql = f"CREATE INDEX IF NOT EXISTS {index} ON {self.table_name} (profile_id, {by})"
            self._once(index, sql)

    def _search_index(self, texts: list[str]) -> None:
        table, fts = self.table_name, f"{self.table_name}_fts"
        names = ", ".join(map(quote, texts))
        news, olds = (", ".join(f"{row}.{quote(n)}" for n in texts) for row in ("new", "old"))
        gone = f"INSERT INTO {fts} ({fts}, rowid, {names}) VALUES ('delete', old.id, {olds})"
        come = f"INSERT INTO {fts} (rowid, {names}) VALUES (new.id, {news})"
        self._once(
            fts,
            f"CREATE VIRTUAL TABLE {fts} USING fts5"
            f"({names}, content={table}, content_rowid=id, tokenize=trigram);"
            f"CREATE TRIGGER {fts}_i AFTER INSERT ON {table} BEGIN {come}; END;"
            f"CREATE TRIGGER {fts}_d AFTER DELETE ON {table} BEGIN {gone}; END;"
            f"CREATE TRIGGER {fts}_u AFTER UPDATE OF {names} ON {table} BEGIN {gone}; {come}; END;"
            f"INSERT INTO {fts} ({fts}) VALUES ('rebuild')",
        )

    def _once(self, name: str, sql: str) -> None:
        db, there = self.house.db, "SELECT 1 FROM sqlite_master WHERE name = ?"
        if not db.one(there, (name,)):
            with db.change():
                db.begin()
                if not db.one(there, (name,)):
                    db.execute(sql)
                    # without figures SQLite takes every index for a good one
                    db.execute(f"PRAGMA analysis_limit = 400; ANALYZE {self.table_name}")
