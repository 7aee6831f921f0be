"""Memory: what the assistant shall remember from one conversation to the next."""

from pipulate import CrudApp, Text


class Memory(CrudApp):
    """What the assistant notes for later; read, change or delete it here."""

    plural, menu_icon, menu_place = "memories", "❖", 60
    note: Text
