"""Notes: thoughts in Markdown, found again by their words and tags."""

from pipulate import CrudApp, Text


class Note(CrudApp):
    """What you want to keep in mind; Markdown, searched as you type."""

    menu_icon, menu_place = "✎", 20
    title: str
    body: Text = ""
    tags: list[str] = []
