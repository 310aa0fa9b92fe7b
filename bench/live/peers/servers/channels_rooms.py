"""PORT REDIS_URL: Django Channels with channels_redis, the chat of its tutorial, on uvicorn."""

from __future__ import annotations

import json
import sys
from typing import Any

import django
import uvicorn
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

settings.configure(
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # Beyond its capacity a channel drops messages without a word; 100 would be the default.
            "CONFIG": {"hosts": [sys.argv[2]], "capacity": 10_000},
        }
    },
)
django.setup()


class Room(AsyncWebsocketConsumer):
    """One client."""

    async def connect(self) -> None:
        self.group = f"room-{self.scope['url_route']['kwargs']['room']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, _code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str) -> None:
        said = json.loads(text_data)
        message = {"type": "said", "client_id": said["client_id"], "text": said["text"]}
        await self.channel_layer.group_send(self.group, message)
        await self.send(text_data=json.dumps({"ack": said["id"]}))

    async def said(self, event: dict[str, Any]) -> None:
        message = {"client_id": event["client_id"], "text": event["text"]}
        await self.send(text_data=json.dumps(message))


application = ProtocolTypeRouter({"websocket": URLRouter([path("<int:room>", Room.as_asgi())])})


if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        ws_per_message_deflate=False,
        lifespan="off",
    )
