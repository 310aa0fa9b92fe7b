"""PORT POSTGRES_DSN: what one writes first: aiohttp, asyncpg, one INSERT for each message, then a send for each member."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict

import asyncpg
import uvloop
from aiohttp import WSMsgType, web

_CREATE = """
CREATE TABLE IF NOT EXISTS naive_messages (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    room text NOT NULL,
    client_id uuid NOT NULL UNIQUE,
    body text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
"""
_INSERT = "INSERT INTO naive_messages (room, client_id, body) VALUES ($1, $2, $3) RETURNING id"


class Rooms:
    """All of them, on this one node."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._members: defaultdict[str, set[web.WebSocketResponse]] = defaultdict(set)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        name = request.match_info["room"]
        self._members[name].add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._say(name, socket, json.loads(message.data))
        finally:
            self._members[name].discard(socket)
        return socket

    async def _say(self, name: str, socket: web.WebSocketResponse, said: dict[str, str]) -> None:
        number = await self._pool.fetchval(_INSERT, name, said["client_id"], said["text"])
        message = json.dumps(
            {"room": name, "id": number, "client_id": said["client_id"], "text": said["text"]}
        )
        for member in list(self._members[name]):
            await member.send_str(message)
        await socket.send_str(json.dumps({"ack": said["id"]}))


async def main() -> None:
    port, dsn = int(sys.argv[1]), sys.argv[2]
    async with asyncpg.create_pool(dsn, min_size=10, max_size=10) as pool:
        await pool.execute(_CREATE)
        app = web.Application()
        app.add_routes([web.get("/{room}", Rooms(pool).handle)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
