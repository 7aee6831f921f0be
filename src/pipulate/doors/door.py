"""How a command reaches the tools of a home. What it needs is imported late, to start fast."""

import asyncio
import contextlib
import json
import os

from pipulate.core.problems import Problem, from_dict
from pipulate.core.settings import Settings
from pipulate.core.store import Row


class Door:
    """Calls tools of a home, through its server when one is alive, else in this process."""

    def __init__(self, settings: Settings, profile: str | None = None, actor: str = "shell"):
        from pipulate.web.run import server_info

        settings.make_home()
        self.settings, self.server, self.house = settings, server_info(settings), None
        self.said = {"profile": profile, "actor": actor, "cwd": os.getcwd()}

    async def call(self, tool: str, values: Row | None = None, write=None, **more):
        """As `ask`, for one call alone: steps that it began end before the home is closed."""
        try:
            result = await self.ask(tool, values, write, **more)
            jobs = self.house and self.house.jobs
            for job in [*jobs.live.values()] if jobs else ():
                await jobs.wait_or_ask(job)
            return result
        finally:
            await self.close()

    async def ask(self, tool: str, values: Row | None = None, write=None, **more):
        """The tool's result; a download goes to `write`, piece by piece. The home stays open.

        more: text (values as typed), yes. Raises its Problem."""
        from pipulate.ai.complete import connect
        from pipulate.apps.house import House
        from pipulate.web.server import shell_answer

        said = {**self.said, "tool": tool, "values": values, **more}
        if self.server:
            return (await self.post("call", said, write))["result"]
        if not self.house:
            self.house = House(self.settings)
            connect(self.house)  # steps may ask a model here, too
        result = await shell_answer(self.house, said)
        for chunk in getattr(result, "chunks", ()):
            write(chunk.encode())
        return result

    async def close(self):
        if self.house:
            await self.house.close()

    async def post(self, path: str, said: Row, write=None) -> Row:
        """What the server answers at /shell/{path}: JSON, or a download. Raises its Problem."""
        import httpx2

        if not self.server:
            raise Problem("No server runs on this home.", "Start one with `pipulate`.")
        key = {"Authorization": f"Bearer {self.server.get('shell')}"}
        at = f"{self.server['url']}/shell/{path}"
        try:
            async with (
                httpx2.AsyncClient(timeout=None, headers=key) as client,
                client.stream("POST", at, json=said) as answer,
            ):
                if "content-disposition" in answer.headers:
                    async for chunk in answer.aiter_bytes():
                        write(chunk)
                    return {"result": None}
                data = json.loads(await answer.aread())
        except (httpx2.HTTPError, ValueError):
            what = "The running server did not answer."
            raise Problem(what, "Restart it, then try again.") from None
        if "problem" in data:
            raise from_dict(data["problem"])
        return data


@contextlib.contextmanager
def opened(settings: Settings, profile: str | None):
    """(a Door whose home stays open, a function that waits for what it does)."""
    with asyncio.Runner() as runner:
        door = Door(settings, profile)
        try:
            yield door, runner.run
        finally:
            runner.run(door.close())
