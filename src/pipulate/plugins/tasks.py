"""Tasks: what to do, how urgent, until when."""

from datetime import date
from typing import Literal
from pipulate import CrudApp


class Task(CrudApp):
    """Things to do, one list per profile."""

    menu_icon, menu_place = "☑", 10
    title: str
    priority: Literal["high", "normal", "low"] = "normal"
    due: date | None = None
    done: bool = False

    @property
    def days_overdue(self) -> int | None:
        late = (date.today() - self.due).days if self.due and not self.done else 0
        return late if late > 0 else None
