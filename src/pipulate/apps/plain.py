"""A CrudApp class without fields: no rows, but pages (`rt`) and tools of its own.

Its functions get `table`, the settings of the profile, for DictLikeDB; its tools, static methods
marked @tool, get (table, caller), `house` if they have it, and the values they ask for. Either may
be async.
"""

import inspect
from typing import Any

from pipulate.apps.base import snake
from pipulate.core.fields import fields_of
from pipulate.core.problems import Problem
from pipulate.core.tools import WAIT_SECONDS, Caller, Tool, limited, tools_in


def called(app: Any, model: Any) -> None:
    """Give an app the names and the place that its class says."""
    app.model, app.name = model, snake(model.__name__)
    plural = app.name.removesuffix("s") + "s" if model.fields else app.name
    app.slug = snake(model.plural) or plural
    app.title = app.slug.replace("_", " ").capitalize()
    app.description = inspect.getdoc(model) if model.__doc__ else ""
    app.icon, app.place = model.menu_icon, model.menu_place


class Plain:
    """What the shelf holds for such a class."""

    def __init__(self, model: Any):
        if not model.extra_routes and not tools_in(model):
            raise Problem(f"{model.__name__} has no fields.", "Add one, such as `title: str`.")
        self.routes = model.extra_routes
        called(self, model)

    def define(self, house) -> None:
        self.house = house

    def rows(self, caller: Caller):
        """The settings of the caller's profile."""
        return self.house.settings_of(caller.profile.id).store

    def tools(self) -> list[Tool]:
        return [self._tool(*marked) for marked in tools_in(self.model)]

    def _tool(self, name: str, function) -> Tool:
        house = {"house": self.house} if "house" in inspect.signature(function).parameters else {}

        def run(caller, /, **values):
            return function(self.rows(caller), caller, **house, **values)

        async def awaited(caller, /, **values):
            most = max(options["seconds"], WAIT_SECONDS)
            return await limited(lambda: run(caller, **values), seconds=most)

        about = {"run": awaited if inspect.iscoroutinefunction(function) else run}
        options = function.tool_options | about | {"fields": fields_of(function, "table", *house)}
        said = " ".join((inspect.getdoc(function) or name).split())
        return Tool(f"{self.name}_{name}", said, **options)
