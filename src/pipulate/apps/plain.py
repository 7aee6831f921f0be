"""A CrudApp class without fields: no rows, but pages (`rt`) and tools of its own.

Its functions get `table`, the settings of the profile, for DictLikeDB; its tools, static methods
marked @tool, get (table, caller) and the values they ask for. Either may be async.
"""

import functools
import inspect
from typing import Any

from pipulate.apps.base import snake
from pipulate.core.fields import fields_of
from pipulate.core.problems import Problem
from pipulate.core.tools import WAIT_SECONDS, Caller, Tool, limited, tools_in


class Plain:
    """What the shelf holds for such a class."""

    def __init__(self, model: Any):
        if not model.extra_routes and not tools_in(model):
            raise Problem(f"{model.__name__} has no fields.", "Add one, such as `title: str`.")
        self.model, self.name, self.routes = model, snake(model.__name__), model.extra_routes
        self.slug = snake(model.plural) or self.name
        self.title = self.slug.replace("_", " ").capitalize()
        self.description = inspect.getdoc(model) or ""
        self.icon, self.place = model.menu_icon, model.menu_place

    def define(self, house) -> None:
        self.house = house

    def rows(self, caller: Caller):
        """The settings of the caller's profile."""
        return self.house.settings_of(str(caller.profile.id)).store

    def tools(self, house) -> list[Tool]:
        return [self._tool(name, function) for name, function in tools_in(self.model)]

    def _tool(self, name: str, function) -> Tool:
        def run(caller, /, **values):
            return function(self.rows(caller), caller, **values)

        async def awaited(caller, /, **values):
            most = max(options["seconds"], WAIT_SECONDS)
            return await limited(functools.partial(run, caller, **values), seconds=most)

        about = {"run": awaited if inspect.iscoroutinefunction(function) else run}
        options = function.tool_options | about | {"fields": fields_of(function, "table")}
        said = " ".join((inspect.getdoc(function) or name).split())
        return Tool(f"{self.name}_{name}", said, **options)
