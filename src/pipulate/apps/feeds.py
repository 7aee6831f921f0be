"""The outputs of a run at work: drawn once, page by page, as downloads, fed to other pipelines."""

import asyncio
import json
from dataclasses import replace
from functools import partial
from typing import Any

from fasthtml.components import Button, Div, NotStr, Small

from pipulate.apps import outputs
from pipulate.apps.base import Go, Route, Visit
from pipulate.apps.job import fed, files_in
from pipulate.apps.markup import html
from pipulate.apps.plugin import FAULTS
from pipulate.apps.query import number
from pipulate.apps.runner import Runner
from pipulate.apps.steps import Pipeline
from pipulate.core.fields import from_json
from pipulate.core.outputs import Rows, is_rows
from pipulate.core.problems import Missing
from pipulate.core.store import Row
from pipulate.core.tools import limited

DRAWN = 100  # outputs


class Feeds(Runner):
    """Part of what the shelf holds for a Pipeline; see Guided for the pages."""

    def __init__(self, pipeline: Pipeline):
        super().__init__(pipeline)
        # HTML, what holds its widgets, tries left of its view
        self._drawn: dict[Any, tuple[str, list[Any], int]] = {}
        self.routes = [
            Route("GET", "{run}/{step}/output", self.turn),
            Route("GET", "{run}/{step}/output.{form}", self.download),
            Route("GET", "{run}/{step}/use", self.uses),
            Route("POST", "{run}/{step}/use/{slug}", self.use),
        ]

    def _at_output(self, profile, run_id: int | str, name: str) -> outputs.Place:
        file = partial(self.house.files.address, profile)
        return outputs.Place(self.at(profile, run_id, name, "output"), file)

    async def _output(self, profile, attempt: Row, draw=None):
        key, fault, drawn = (attempt["id"], profile.slug), "", None
        text, held, tries = self._drawn.get(key, ("", [], FAULTS))
        if not tries:
            return NotStr(text)
        place = self._at_output(profile, attempt["run_id"], attempt["step"])
        value = _output_of(attempt)
        try:
            drawn = draw and await limited(outputs.viewed, draw, value, held)
            tries = 1
        except Exception as error:
            fault = outputs.view_failed(error)

        def whole() -> str:
            beside = [outputs.draw(file, place) for file in files_in(value)] if drawn else ()
            parts = fault, *beside, drawn or outputs.draw(value, place), outputs.tools(value, place)
            return html(Div(*parts, cls="output", hx_swap="innerHTML", id=f"output-{key[0]}"))

        text = await asyncio.to_thread(whole)  # it enters files, while others may be saving
        self._drawn = dict([*self._drawn.items()][-DRAWN:]) | {key: (text, held, tries - 1)}
        return NotStr(text)

    def _gone(self, run: Row) -> list[Row]:
        where = "run_id = ? AND state = 'done' AND step NOT IN (SELECT value FROM json_each(?))"
        found = self.runs.attempts(where, (run["id"], json.dumps([*self.pipeline.steps])), "id")
        return [*{attempt["step"]: attempt for attempt in found}.values()]

    def _value(self, visit: Visit) -> Any:
        profile, name, key = visit.profile, visit.path["step"], visit.query.get("key")
        run, states = self.open(profile, visit.number("run"))
        known = {old["step"]: old for old in self._gone(run)}
        known |= {n: s.attempt for n, s in states.items() if s.has_output}
        value = _output_of(known.get(name, {}))
        value = value.get(key) if key and isinstance(value, dict) else value
        lost = isinstance(value, Rows) and not self.house.files.address(profile, value.path)
        if value is None or lost:
            raise Missing("There is no such output (any more).", "Reload the page.")
        return value

    async def turn(self, visit: Visit):
        """A page of a table: ?key=&page=&sort="""
        value, said = self._value(visit), visit.query
        if not is_rows(value):
            raise Missing("This output is no table.", "Reload the page.")
        place = self._at_output(visit.profile, visit.number("run"), visit.path["step"])
        page, last = number(said.get("page", "")), -(-len(value) // outputs.PAGE)
        about = (said.get("key", ""), min(page, max(1, last)), said.get("sort", ""))
        return await limited(outputs.table, value, place, *about)

    async def download(self, visit: Visit):
        name = f"{self.slug}-{visit.path['run']}-{visit.path['step']}"
        return await limited(outputs.download, self._value(visit), name, visit.path["form"])

    async def uses(self, visit: Visit):
        value, found = self._value(visit), []
        at = f"{visit.base}/{visit.path['run']}/{visit.path['step']}/use"
        for slug, other in sorted(self.house.shelf.apps.items()):
            first = other.first if isinstance(other, Feeds) else None
            if first and outputs.takes(first, value):
                look = {"cls": "outline", "title": first.label}
                found.append(Button(other.title, hx_post=f"{at}/{slug}", **look))
        none = Small("No pipeline begins with a value of this kind.")
        return Div(*found or [none], hx_target="this", hx_swap="none")

    @property
    def first(self):
        return next(iter(self.pipeline.fields.values()), None)

    async def use(self, visit: Visit):
        """A new run of another pipeline, begun with this output."""
        other, value = self.house.shelf.pipeline(visit.path["slug"]), self._value(visit)
        if not other.first:
            raise Missing(f"{other.title} asks for nothing (any more).", "Reload the page.")
        folder = self.house.files.new_folder(f"runs/{visit.path['run']}")
        given = await asyncio.to_thread(fed, other.first, value, folder)
        caller = replace(visit.caller, parent=f"{visit.path['run']}/{visit.path['step']}")
        run = await other.fresh(caller, other._resolve({other.first.name: given}, caller))
        return Go(other.at(caller.profile, run["id"]))


def _output_of(attempt: Row) -> Any:
    return from_json(json.loads(attempt.get("output") or "null"))
