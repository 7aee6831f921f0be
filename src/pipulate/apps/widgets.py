"""Widgets: anything with `_esm`, the text of the module that draws it in the browser (AFM).

An anywidget; or, without that package, an object with `state`, a dictionary (name: JSON or bytes)
that the page shares, and `commands`, names of methods f(message, buffers) → (JSON, buffers) for
`experimental.invoke`. What a view drew lives as long as its drawing is kept or a tab shows it.
"""

import contextlib
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from fasthtml.components import NotStr

from pipulate.core.fields import digest
from pipulate.core.store import Row

Tell = Callable[[Row, Collection[bytes]], None]  # sends a message and its buffers to one tab
COMMAND = "anywidget-command"
ELSEWHERE = "This widget is shown on the page of Pipulate."


class Held:
    """A widget that was drawn, and the tabs that show it."""

    def __init__(self, widget: Any):
        self.widget, self.key, self.tabs = widget, secrets.token_urlsafe(12), set[Tell]()
        self.texts = [address("js", widget._esm), address("css", getattr(widget, "_css", "") or "")]
        self._lock, self._silent = threading.RLock(), ("", set[Tell]())
        self.comm = getattr(widget, "comm", None)
        if self.comm:  # ipywidgets keeps every widget until it is closed
            ours = weakref.ref(self)
            self.comm.publish_msg = lambda *_, **about: _published(ours(), **about)
            weakref.finalize(self, _close, widget).atexit = False

    def open(self, tab: Tell) -> None:
        """Give a tab the whole state, and what changes from now on."""
        self.tabs.add(tab)
        with self._without("update", self.tabs - {tab}):
            self.widget.send_state() if self.comm else self._changed(self.widget.state)

    def hear(self, said: Row, buffers: list[bytes], tab: Tell) -> None:
        """A message of a tab, {method: update or custom, …}. Raises what the widget raises."""
        with self._without("echo_update", {tab}):
            if self.comm:
                self.comm.handle_msg({"content": {"data": said}, "buffers": buffers})
            elif said["method"] == "update":
                names = (name for (name,) in said["buffer_paths"])
                new = said["state"] | dict(zip(names, buffers, strict=True))
                self.widget.state |= new
                self._changed(new, "echo_update")
            elif said["content"]["kind"] == COMMAND:
                tab(*self._answer(said["content"], buffers))

    @contextlib.contextmanager
    def _without(self, method: str, tabs: set[Tell]):
        """One message at a time; those tabs hear nothing of this kind meanwhile."""
        with self._lock:
            self._silent = method, tabs
            try:
                yield
            finally:
                self._silent = "", set()

    def publish(self, said: Row, buffers: Collection[bytes]) -> None:
        """Tell the tabs; a thread of the widget's own waits until nobody is left out."""
        with self._lock:
            method, silent = self._silent
            for tab in self.tabs - (silent if said["method"] == method else set()):
                tab({"key": self.key} | said, buffers)

    def _changed(self, state: Row, method: str = "update") -> None:
        apart = {name: value for name, value in state.items() if isinstance(value, bytes)}
        rest = {name: value for name, value in state.items() if name not in apart}
        said = {"method": method, "state": rest, "buffer_paths": [[name] for name in apart]}
        self.publish(said, apart.values())

    def _answer(self, asked: Row, buffers: list[bytes]) -> tuple[Row, Collection[bytes]]:
        if asked["name"] not in getattr(self.widget, "commands", ()):
            raise ValueError(f"there is no command {asked['name']!r}")
        response, back = getattr(self.widget, asked["name"])(asked["msg"], buffers)
        content = {"kind": f"{COMMAND}-response", "id": asked["id"], "response": response}
        return {"key": self.key, "method": "custom", "content": content}, back


LIVE: weakref.WeakValueDictionary[str, Held] = weakref.WeakValueDictionary()
RECENT: deque[Held] = deque(maxlen=100)  # their page may not have asked yet, or is drawn anew


def hosted(widget: Any, kept: Any):
    """The element in which a page draws it; what holds it is appended to `kept`."""
    held = Held(widget)
    LIVE[held.key] = held
    RECENT.append(held)
    if kept is not None:
        kept.append(held)
    (module, _), (look, style) = held.texts
    about = f'data-key="{held.key}" data-module="{module}" data-look="{look if style else ""}"'
    return NotStr(f"<pipulate-widget {about}>{ELSEWHERE}</pipulate-widget>")


def address(kind: str, text: Any) -> tuple[str, str]:
    """(where a text is served, the text); the address says what is in it."""
    return f"/static/widgets/{digest(str(text))[:20]}.{kind}", str(text)


def _published(held: Held | None, data: Row | None = None, buffers: Any = None, **_: Any) -> None:
    if held and data and "method" in data:
        state = {n: v for n, v in data.get("state", {}).items() if n not in ("_esm", "_css")}
        held.publish(data | {"state": state}, [bytes(one) for one in buffers or ()])


def _close(widget: Any) -> None:
    widget.layout.close()
    widget.close()
