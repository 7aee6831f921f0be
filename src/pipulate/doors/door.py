"""How a command reaches the tools of a home: through its server, else by opening it itself.

What it needs is imported when it is used, so that a command starts fast.
"""

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
        self.settings, self.server = settings, server_info(settings)
        self.said = {"profile": profile, "actor": actor, "cwd": os.getcwd()}

    async def call(self, tool: str, values: Row | None = None, write=None, **more):
        """The tool's result; more: text (values as typed), yes. Raises its Problem.

        What is a download goes to `write`, piece by piece."""
        from pipulate.ai.complete import connect
        from pipulate.apps.house import House
        from pipulate.web.server import shell_answer

        said = {**self.said, "tool": tool, "values": values, **more}
        if self.server:
            return (await self.post("call", said, write))["result"]
        house = House(self.settings)
        connect(house)
        try:
            result = await shell_answer(house, said)
            for chunk in getattr(result, "chunks", ()):
                write(chunk.encode())
            return result
        finally:
            await house.close()

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
