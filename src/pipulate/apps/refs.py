"""What a value of a CRUD app stands for: a row of another app, a file of the home, a secret."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipulate.apps.query import State
from pipulate.core.fields import SET, Field, File, Ref, Secret, dumps
from pipulate.core.problems import Conflict, Invalid, Missing, Problem, require
from pipulate.core.tables import AMONG, Row, quote
from pipulate.core.tools import Caller

THERE = "Add it there first."
Labels = Mapping[tuple[str, Any], str]


def numbered(said: str) -> int | None:
    """The number of "Ann Leckie #12" or "12", if there is one."""
    found = re.fullmatch(r"(?:.*#)?([0-9]{1,18})", said, re.DOTALL)
    return int(found[1]) if found else None


class Refs:
    """References of a Crud; it has `house`, `model`, `fields`, `name`, `table_name`, `plain`."""

    @property
    def first(self) -> Field:
        """What a row is called by."""
        return next(iter(self.fields.values()))

    def known_target(self, field: Field):
        """The app whose rows a Ref means; None while there is none of that name."""
        return self._apps().get(field.target)

    def _apps(self) -> dict[str, Any]:
        return {self.name: self} | {app.name: app for app in self.house.shelf.cruds.values()}

    def target(self, field: Field):
        """The same, but raises Problem."""
        apps = self._apps()
        what = f"{self.name}.{field.name} refers to {field.target!r}, which is no app."
        require(field.target, apps, what)
        return apps[field.target]

    def labels(self, caller: Caller, rows: Iterable[Any]) -> dict[tuple[str, Any], str]:
        """{(field, value): text} for what these rows refer to: one query for each such field."""
        found: dict[tuple[str, Any], str] = {}
        for name, field in self.of_type(Ref, File).items():
            keys = {getattr(row, name) for row in rows} - {None}
            if field.type is File:
                known = self.house.files.names(caller.profile, keys)
            else:
                known = self.ref_names(caller, field, keys)
            found |= {(name, key): text for key, text in known.items()}
        return found

    def called(self, field: Field, value: Any, labels: Labels) -> Any:
        """Such as "Ann #12", "file:12 a.txt": a number alone means another one elsewhere."""
        if field.type in (Ref, File) and (name := labels.get((field.name, value))):
            return f"{name} #{value}" if field.type is Ref else f"{value} {name}"
        return value

    def ref_names(self, caller: Caller, field: Field, keys: Iterable[int]) -> dict[int, str]:
        app = self.known_target(field)
        kept = app.plain(caller).these(keys) if app and keys else []
        return {row["id"]: app.title_of(row) for row in kept}

    def told(self, count: int) -> str:
        return f"{count:,} {self.some if count == 1 else self.slug.replace('_', ' ')}"

    def title_of(self, row: Row) -> str:
        """What those that refer to a row call it."""
        return self.first.show(self.first.load(row[self.first.name]))

    def options(self, caller: Caller, q: str = "") -> list[str]:
        """Names by which a Ref may mean rows of this app, such as "Ann Leckie #12"."""
        rows, _ = self.find(caller, State(q=q.split("#")[0].strip()))
        return [f"{self.title_of(vars(row))} #{row.id}" for row in rows[:20]]

    def _meant(self, values: Row, caller: Caller) -> Row:
        meant, bad = dict(values), {}
        for name, field in self.of_type(Ref, File).items():
            said = values.get(name)
            try:
                if said is not None and field.type is File:
                    meant[name] = self.house.files.take_in(said, caller)
                elif said is not None:
                    meant[name] = self.referred(field, said, caller)
            except Problem as problem:
                bad[name] = str(problem)
        if bad:
            raise Invalid("; ".join(bad.values()), "Nothing was saved.", fields=bad)
        return meant

    def referred(
        self, field: Field, said: int | str, caller: Caller, elsewhere: bool = False
    ) -> Ref:
        """The row meant; from `elsewhere` the name counts for more than the number."""
        app, what, found = self.target(field), f"#{said}", []
        if isinstance(said, str):
            what, number = said, numbered(said)
            for name in (said, elsewhere and said.rpartition("#")[0].strip()):
                if name and not found:
                    sql, args = self._named(caller, field, name, exact=True)
                    found = self.house.db.all(f"{sql} ORDER BY id != ? LIMIT 2", [*args, number])
            said = found[0]["id"] if found else number
            if len(found) > 1 and said != number:
                raise Problem(f"Several {app.slug} are called {what!r}.", "Add the number: #12.")
        if not found and said not in app.plain(caller):
            raise Missing(f"{app.title} has no {what!r}.", THERE)
        return Ref(said)

    def stored(self, values: Row) -> Row:
        """The values as columns take them: a secret goes to its own table, a reference stays."""
        stored, db = dict(values), self.house.db
        for name in self.of_type(Secret):
            plain = values.get(name)
            if not plain or not isinstance(plain, Secret) and db.reveal(plain):
                continue  # a column as it was read, no secret that somebody gave
            if plain.startswith(SET):
                raise Invalid(f"{plain!r} is only how {name} is shown.", "Use follow(…).")
            stored[name] = db.hide(plain)
        return stored

    def follow(self, row: Any, name: str, caller: Caller) -> Any:
        """The row of a Ref, the File, the text of a Secret, or None."""
        field, value = self.fields[name], getattr(row, name)
        if value in (None, ""):
            return None
        if field.type is File:
            return self.house.files.resolve(value, caller)
        if field.type is Ref:
            return next(iter(self.target(field).rows(caller).these([value])), None)
        if field.type is not Secret:
            return value
        return self.house.db.reveal(self.plain(caller).raw(row.id)[name])

    def refuse_lost(self, images: list[Row]) -> None:
        """Raise Conflict when changed rows refer to others that are gone."""
        table = self.house.db.table(self.table_name)
        for name, field in self.of_type(Ref).items():
            if not (there := self.known_target(field)):
                continue
            moved = (i for i in images if i["after"].get(name) != (i["before"] or {}).get(name))
            own, keys = quote(name), dumps([i["id"] for i in moved])
            gone = f"{own} NOT NULL AND {own} NOT IN (SELECT id FROM {there.table_name})"
            for row in table(f"id {AMONG} AND {gone}", [keys], limit=1):
                what = f"“{self.title_of(row)}” would refer to {there.some} #{row[name]}"
                raise Conflict(f"{what}: it is gone.", "Bring that back first, in History.")

    def refuse_used(self, caller: Caller, keys: Iterable[int]) -> None:
        """Raise Conflict when rows of other apps refer to these, saying which."""
        gone, apps = dumps([*keys]), self._apps().values()
        uses = [(a, n) for a in apps for n, f in a.of_type(Ref).items() if f.target == self.name]
        for app, name in uses:
            table = app.house.db.table(app.table_name) if self.model.shared else app.plain(caller)
            where, wanted = f"{quote(name)} {AMONG}", [gone]
            if app.name == self.name:  # those that go along do not count
                where, wanted = f"{where} AND id NOT {AMONG}", wanted * 2
            if count := table.count(where, wanted):
                said = ", ".join(f"“{app.title_of(r)}”" for r in table(where, wanted, "id", 3))
                what = f"Used by {app.told(count)}: {said}."
                raise Conflict(what, "Change or delete those first.")
