"""Tasks: the shortest useful CRUD app."""

from datetime import date
from pipulate import CrudApp


class Task(CrudApp):
    """Things to do, one list per profile."""

    title: str
    due: date | None = None
    done: bool = False
