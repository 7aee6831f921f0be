"""CRUD apps: a class with typed fields is a table, a page, tools and events.

    class Book(CrudApp):
        "Books to read."
        title: str
        rating: Annotated[int, Between(0, 5)] = 0

The class is the row: in a method, `self` is one row and `self.table` its profile's table.
"""

import contextlib
from functools import partial
import inspect
import typing
from collections.abc import Callable, Iterator
from html import escape
from typing import Annotated, Any

from pipulate.apps import migrate
from pipulate.apps.base import Download, Go, Route, Visit
from pipulate.apps.listing import Listing
from pipulate.apps.markup import owned
from pipulate.apps.plain import called
from pipulate.apps.query import ID, State
from pipulate.apps.rows import of_all
from pipulate.core.fields import MISSING, check_values, fields_of, make_field, to_json
from pipulate.core.problems import Problem, require, short
from pipulate.core.store import Row
from pipulate.core.tools import WAIT_SECONDS, Caller, Tool, awaited, limited, tool_of, tools_in

VERBS = ("list", "get", "add", "update", "delete", "move")
HOOKS = ("check", "deleted", "before_list")  # methods that a class may have of its own


class CrudApp:
    """The base of CRUD apps; annotated attributes are fields, the others are settings.

    A property with an annotated result is a column that is computed and only read."""

    plural = ""
    order = "position"  # a field ("-due": largest first), or SQL
    default_filter = ""  # as in the address: "f.done=no"
    shared = False  # one shelf for all profiles
    menu_icon = ""
    menu_place = 50  # smaller comes first
    links = {}  # beside the heading: {text: a path of your own routes}
    fields, computed = {}, {}  # {name: Field}
    extra_routes = []

    def __init_subclass__(cls) -> None:
        own, hints = {}, typing.get_type_hints(cls, include_extras=True)
        owner, written = f"{cls.__name__}.", inspect.get_annotations(cls)
        methods = [n for n, value in vars(cls).items() if hasattr(value, "__get__")]
        for name in (*written, *methods):
            if name[0] == "_" or name in methods and name in HOOKS:
                continue
            if name in (*migrate.COLUMNS, *dir(CrudApp)):
                raise Problem(f"{owner}{name}: the base class uses that name.", "Rename it.")
            if name in written:
                own[name] = make_field(name, hints[name], getattr(cls, name, MISSING), owner)
        if taken := [name for name, _ in tools_in(cls) if name in VERBS]:
            raise Problem(f"{owner}{taken[0]}: every app has that tool.", "Rename it.")
        cls.fields, cls.computed, cls.extra_routes = cls.fields | own, {**cls.computed}, []
        for name, value in vars(cls).items():
            if isinstance(value, property) and name[0] != "_":
                result = typing.get_type_hints(value.fget, include_extras=True).get("return")
                if result:
                    cls.computed[name] = make_field(name, result, owner=owner)

    def __init__(self, row: Row, app=None, caller=None):
        self.id, self.version = row["id"], row["version"]
        self._app, self._caller, self._stored = app, caller, row
        vars(self).update({name: field.load(row[name]) for name, field in self.fields.items()})

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.fields:
            how = f"self.table.update(id=self.id, {name}=…)"
            raise AttributeError(f"Setting {name} saves nothing. Use {how}.")
        super().__setattr__(name, value)

    @property
    def table(self):
        """The rows of this profile."""
        return self._app.rows(self._caller)

    def tables(self, name: str):
        """The rows of another app, by its tools' name."""
        return self._app.house.shelf.crud(name).rows(self._caller)

    def follow(self, name: str) -> Any:
        """What a field stands for: the row of a Ref, a File, the text of a Secret; or None."""
        return self._app.follow(self, name, self._caller)

    def check(self) -> None:
        """Raise Invalid to refuse this row before it is saved; the base accepts all."""

    def deleted(self) -> None:
        """Called when this row was deleted, in the same change."""

    def put_away(self, name: str) -> None:
        """Move the file of a field to the trash, for 30 days."""
        self._app.house.files.put_away(self._caller.profile, getattr(self, name))

    @classmethod
    def before_list(cls, table, files) -> None:
        """Called before the list is shown, in a change of its own: a chance to bring `table` in

        step with the world. files(known) → (come, gone): references of files below files/ that are
        not among the known ones, and known ones that are gone; known ones leave the trash."""

    def __ft__(self):
        """The row's content; the base class draws one cell per field."""
        return ", ".join(f.show(getattr(self, n)) for n, f in self.fields.items())

    def __json__(self) -> Row:
        return self._app.as_json(self)

    def __str__(self) -> str:
        name, field = next(iter(self.fields.items()))
        return field.show(getattr(self, name))

    @classmethod
    def rt(cls, path: str, methods: list[str]) -> Callable[[Any], Any]:
        """A further route below the app's address: a function of table, profile, typed fields."""

        def add(function):
            run = partial(_extra, function)
            cls.extra_routes += [Route(m.upper(), path.strip("/"), run) for m in methods]
            return function

        return add


async def _extra(function, visit: Visit):
    app, caller = visit.app, visit.caller
    values = {"table": app.rows(caller), "profile": caller.profile, "visit": visit}
    values |= {"caller": caller, "tables": lambda name: visit.house.shelf.crud(name).rows(caller)}
    asked, texts = fields_of(function, *values), {**visit.query, **visit.form, **visit.path}
    known = {f.name: texts[f.name] for f in asked if f.name in texts}

    def taken():
        given = values | check_values(asked, known, text=True)
        return {n: given[n] for n in inspect.signature(function).parameters}

    def changing():
        verb = f"{app.name}_{function.__name__}"
        with visit.house.db.change(verb=verb, **caller.by):  # by whoever sent it
            return _shown(function(**taken()))

    async def waiting():
        return _shown(await function(**taken()))

    if inspect.iscoroutinefunction(function):
        return await limited(waiting, seconds=WAIT_SECONDS)
    return await limited(changing)


def _shown(result):
    if isinstance(result, tuple | list | Iterator):
        return (*map(_shown, result),)
    # elements have any attribute: None
    if getattr(result, "status_code", None) or isinstance(result, int | float | Go | Download):
        return result
    drawn = owned(result)
    return escape(drawn) if isinstance(drawn, str) else drawn


class Crud(Listing):
    """A CrudApp class at work in a house."""

    def __init__(self, model: type[CrudApp]):
        called(self, model)
        self.fields, self.table_name = model.fields, f"app_{self.slug}"
        self.some = self.name.replace("_", " ")
        self.drawn = model.__ft__ is not CrudApp.__ft__  # by its class
        self.checks = model.check is not CrudApp.check
        self.mourns = model.deleted is not CrudApp.deleted
        super().__init__()

    def define(self, house) -> None:
        self.house = house
        migrate.define(house, self)

    def keep_in_step(self, caller: Caller) -> None:
        """Two tabs at once do it one by one."""
        if self.model.before_list.__func__ is CrudApp.before_list.__func__:
            return
        files, db = partial(self.house.files.in_step, caller.profile), self.house.db
        with db.change(verb=f"{self.name}_list", profile_id=caller.profile.id) as change:
            db.begin()
            self.model.before_list(self.rows(caller), files)
            change.summary = f"Brought {self.title} up to date" if change.images else ""

    def checked(self, row: Row, caller: Caller) -> None:
        """Its own check of the row as it would be, before the lock."""
        if not self.checks:
            return
        made = self.model.__new__(self.model)
        own = {"id": None, "version": 1, "_app": self, "_caller": caller}
        vars(made).update(own | dict.fromkeys(self.fields) | row)
        made.check()

    # -- tools

    def tools(self) -> list[Tool]:
        """VERBS and what is marked @tool."""
        n, about = self.name, self.description.split("\n")[0]
        some = f"row of {self.title}" if n[-1] == "s" else self.some
        one, every = f"a{'n' * (some[0] in 'aeiou')} {some}", tuple(self.fields.values())
        change = f"Change the given fields of {one}."
        keys = ID, make_field("version", int, None)
        return [
            tool_of(self._list, f"{n}_list", f"List or search {self.title}. {about}", kind="read"),
            tool_of(self._get, f"{n}_get", f"One {some} by id.", kind="read"),
            Tool(f"{n}_add", f"Add {one}. {about}", "write", every, self._add),
            tool_of(self._delete, f"{n}_delete", f"Delete {one}; can be undone."),
            tool_of(self._move, f"{n}_move", f"Put {one} behind another, or first."),
            Tool(f"{n}_update", change, "write", keys + every, self._update, partial=True),
            *(self._method_tool(*marked) for marked in tools_in(self.model)),
        ]

    def _method_tool(self, name: str, method) -> Tool:
        key = () if of_all(method) else (ID,)

        def run(caller: Caller, /, **values):
            rows = self.rows(caller)
            one = rows[values.pop("id")] if key else rows
            meant = {n: self.house.meant(kinds[n], v, caller) for n, v in values.items()}
            result, change = awaited(method(one, **meant)), self.house.db.current
            if key and change and change.images and not change.summary:
                change.summary = f"{words.capitalize()} {self.some} “{short(str(one))}”"
            return result

        said, words = (inspect.getdoc(method) or name).split("\n")[0], name.replace("_", " ")
        fields = (*key, *fields_of(method, "table"))
        kinds = {field.name: field for field in fields}
        options = {"fields": fields, "run": run, "counted": True, **method.tool_options}
        return Tool(f"{self.name}_{name}", said, **options)

    def as_json(self, row: CrudApp) -> Row:
        values = {name: to_json(getattr(row, name)) for name in self.fields}
        for name in self.model.computed:
            values[name] = None
            with contextlib.suppress(Exception):  # a fault of the plugin's own
                values[name] = to_json(getattr(row, name))
        return {"id": row.id, **values, "version": row.version}

    def _list(
        self,
        caller: Caller,
        q: str = "",
        page: int = 1,
        sort: Annotated[str, "a field; -field: largest first"] = "",
        filters: Annotated[dict | None, '{field: "3", ">3", "2..5", "!=3", "=" (empty)}'] = None,
    ) -> Row:
        filters = filters or {}
        given = {f"f.{k}": "=" if v is None else str(v) for k, v in filters.items()}
        page = min(max(1, page), 10**8 - 1)
        for name in (*filters, sort.removeprefix("-")):
            require(name or "id", [*self.named, "id"], f"{self.title} has no {name!r}.", Problem)
        state = State.read({"q": q, "page": str(page), "sort": sort, **given}, self.named)
        self.keep_in_step(caller)
        rows, count = self.find(caller, state)
        return {"rows": [self.as_json(r) for r in rows], "count": count, "page": page}

    def _get(self, caller: Caller, id: int) -> Row:
        return self.as_json(self.rows(caller)[id])

    def _done(self, verb: str, row: CrudApp) -> Row:
        if self.house.db.current.images:
            self.house.db.current.summary = f"{verb} {self.some} “{short(str(row))}”"
        return self.as_json(row)

    def _add(self, caller: Caller, /, **values) -> Row:
        meant = self._meant(values, caller)
        self.checked(meant, caller)
        self.house.db.begin()  # two that are added at once get two places
        first = (self.plain(caller).select("min(position) AS top")[0]["top"] or 0) - 1
        return self._done("Added", self.rows(caller).insert(**meant, position=first))

    def _update(self, caller: Caller, /, id: int, **values) -> Row:
        table = self.rows(caller)
        row = vars(table[id])
        new = {n: v for n, v in values.items() if n == "version" or v != row[n]}
        meant = self._meant(new, caller)  # what stays may refer to what is gone by now
        self.checked({**row, **meant}, caller)
        return self._done("Changed", table.update(id=id, **meant))

    def _delete(self, caller: Caller, id: int) -> Row:
        self.refuse_used(caller, [id])
        row = self.rows(caller).delete(id)
        gone = self._done("Deleted", row)
        row.deleted()
        return {"deleted": gone, "undo": "undo takes it back"}

    def _move(self, caller: Caller, id: int, after: int | None = None) -> Row:
        table, plain = self.rows(caller), self.plain(caller)
        low = -1e300 if after is None else plain[after]["position"]  # before every place
        behind = plain("(position, id) > (?, ?) AND id != ?", [low, after, id], "position, id", 1)
        high = behind[0]["position"] if behind else None
        low = (high or 0) - 2 if after is None else low
        place = low + 1 if high is None else (low + high) / 2
        if place in (low, high):  # no number is left between the two, or never was
            self._number(plain)
            return self._move(caller, id, after)
        return self._done("Moved", table.update(id=id, position=place))

    def _number(self, plain) -> None:
        """New positions in the same order, which nobody sees."""
        name = plain.name
        ranks = f"SELECT id AS _id, row_number() OVER (ORDER BY position, id) AS _n FROM {name}"
        sql = f"UPDATE {name} SET position = _n FROM ({ranks} WHERE profile_id = ?)"
        self.house.db.execute(f"{sql} WHERE _id = id", [*plain.scope.values()])
