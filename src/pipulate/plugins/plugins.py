"""Plugins: their versions, and what waits for approval."""

from pipulate import CrudApp, Text, tool
from pipulate.plugins import _desk, _drafts, _scaffold, _sharing


class Plugin(CrudApp):
    """Apps and pipelines of your own: write, approve, change, go back to an earlier version."""

    plural, menu_icon, menu_place = "plugins", "⚒", 65
    share, take = staticmethod(_sharing.share), staticmethod(_sharing.take)

    @staticmethod
    @tool
    async def draft(table, caller, name: str, source: Text, wish: str = "", origin: str = ""):
        """Try the text of a plugin NAME.py in an empty home; it waits for the user's approval."""
        by = "the assistant" if caller.parent or caller.actor == "model" else caller.actor
        if by == "shell" and origin:  # what a program says of itself is no origin
            by = origin
        return _drafts.told(table, caller, name, source, by, wish)

    @staticmethod
    @tool(kind="read")
    def text(table, caller, name: str):
        """The source of a plugin of the user's: the version that waits, else the one that runs."""
        return _drafts.newest(_drafts.home_of(table), name)

    @staticmethod
    @tool(kind="read")
    async def scaffold(table, caller, name: str, kind: str = "app", parts: Text = ""):
        """The text of a new, tested file: an app of fields or a pipeline of steps, one a line."""
        return _scaffold.made(_drafts.home_of(table), name, kind, parts)


for path, methods, function in _desk.ROUTES:
    Plugin.rt(path, methods=methods)(function)
