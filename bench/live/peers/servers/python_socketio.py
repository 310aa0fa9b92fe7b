"""PORT REDIS_URL: python-socketio with its Redis manager, as its documentation has it, on uvicorn."""

from __future__ import annotations

import sys
from typing import Any

import socketio
import uvicorn

server = socketio.AsyncServer(
    async_mode="asgi", client_manager=socketio.AsyncRedisManager(sys.argv[2])
)
rooms: dict[str, str] = {}


@server.on("join")
async def join(sid: str, number: int) -> str:
    rooms[sid] = f"room:{number}"
    await server.enter_room(sid, rooms[sid])
    return "ok"


@server.on("say")
async def say(sid: str, message: dict[str, Any]) -> str:
    await server.emit("said", message, room=rooms[sid])
    return "ok"


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(server),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        ws_per_message_deflate=False,
    )
