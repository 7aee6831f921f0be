"""Docs: the manual, as pages of the app."""

from pipulate import CrudApp
from pipulate.plugins import _manual


class Docs(CrudApp):
    """The manual: how to start, apps and pipelines of your own, the assistant, security."""

    menu_icon, menu_place = "¶", 95


Docs.rt("", methods=["GET"])(_manual.first)
Docs.rt("/{name:path}", methods=["GET"])(_manual.show)
