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

    def __init__(self, settings: Settings, profile: str | None = None, **said):
        from pipulate.web.run import server_info

        settings.make_home()
        self.settings, self.server = settings, server_info(settings)
        self.said = {"profile": profile, **said}

    async def call(self, tool: str, values: Row | None = None, **more):
        """The tool's result; more: text (values as typed), yes. Raises its Problem."""
        from pipulate.apps.house import House
        from pipulate.web.server import shell_answer

        said = self.said | {"tool": tool, "values": values, "cwd": os.getcwd(), **more}
        if self.server:
            answer = await self.post("call", said)
            if "problem" in answer:
                raise from_dict(answer["problem"])
            return answer["result"]
        house = House(self.settings)
        try:
            return await shell_answer(house, said)
        finally:
            await house.close()

    async def export(self, write, **values):
        """Write an app's rows, piece by piece: app, form, raw, where."""
        from pipulate.apps.house import House
        from pipulate.web.server import shell_answer

        said = self.said | {"tool": "export", "values": values}
        if self.server:
            return await self.post("call", said, write)
        house = House(self.settings)
        try:
            for chunk in (await shell_answer(house, said)).chunks:
                write(chunk.encode())
        finally:
            await house.close()

    async def post(self, path: str, said: Row, write=None):
        """The server's JSON answer at /shell/{path}; a download goes to `write` as it comes."""
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
                if not write or "content-disposition" not in answer.headers:
                    data = json.loads(await answer.aread())
                    if write:
                        raise from_dict(data["problem"])
                    return data
                async for chunk in answer.aiter_bytes():
                    write(chunk)
        except (httpx2.HTTPError, ValueError):
            what = "The running server did not answer."
            raise Problem(what, "Restart it, then try again.") from None
