"""The least that passes a model's tokens to a page: bare Starlette, a client library, no more."""

import json
import os

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

MODEL = httpx2.AsyncClient(base_url=os.environ["LLM_URL"], timeout=None)


async def relay(page: WebSocket) -> None:
    """Each token is a message."""
    await page.accept()
    async for text in page.iter_text():
        asked = {"messages": [{"role": "user", "content": text}], "stream": True}
        async with MODEL.stream("POST", "/v1/chat/completions", json=asked) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    delta = json.loads(line[6:])["choices"][0]["delta"]
                    if token := delta.get("content"):
                        await page.send_text(token)


if __name__ == "__main__":
    app = Starlette(routes=[WebSocketRoute("/ws", relay)])
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="error")
