"""Sockets held by hand, and two signed-in people who have something to say to each other."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec

from feira.app import RunningNode
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.topics import conversation_topic
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.users.authentication import Login, log_in
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.integration.hearing import Hearing
from tests.integration.live import Talk, make_shop, make_user

PASSWORD = "uma palavra segura"
_ids = itertools.count(100)


class Client:
    """A hand-held socket: nothing is done for the test."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, encoding: str) -> None:
        self.socket = socket
        self.encoding = encoding
        self.received: list[dict[str, Any]] = []
        self.heard = Hearing()

    async def say(self, **message: Any) -> None:
        self.heard.asked(message)
        if self.encoding == "json":
            await self.socket.send_str(msgspec.json.encode(message).decode())
        else:
            await self.socket.send_bytes(msgspec.msgpack.encode(message))

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Send a command with an id and return its answer; what is pushed meanwhile is kept."""
        identifier = next(_ids)
        await self.say(id=identifier, **message)
        return await self.until(lambda answer: answer.get("id") == identifier)

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                for message in self.received:
                    if wanted(message):
                        self.received.remove(message)
                        return message
                await self.read()

    async def event(self, seq: int) -> dict[str, Any]:
        return (await self.until(lambda message: message.get("event", {}).get("seq") == seq))[
            "event"
        ]

    async def closed(self) -> int | None:
        """Read to the end and return the close code."""
        async with asyncio.timeout(10):
            while not self.socket.closed:
                await self.read()
        return self.socket.close_code

    async def read(self) -> None:
        if self.socket.closed:
            raise AssertionError(
                f"closed with {self.socket.close_code}; still unread: {self.received}"
            )
        frame = await self.socket.receive()
        if frame.type is aiohttp.WSMsgType.TEXT:
            self._take([msgspec.json.decode(line) for line in frame.data.split("\n")])
        elif frame.type is aiohttp.WSMsgType.BINARY:
            decoded = msgspec.msgpack.decode(frame.data, type=list[dict[str, Any]] | dict[str, Any])
            self._take([decoded] if isinstance(decoded, dict) else decoded)

    def _take(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            self.heard.require_described(message)
        self.received += messages


@asynccontextmanager
async def opened(node: RunningNode, encoding: str = "json") -> AsyncGenerator[Client]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"ws://127.0.0.1:{node.port}/v1/socket", protocols=[f"feira.v1.{encoding}"]
        ) as socket,
    ):
        yield Client(socket, encoding)


@dataclass(frozen=True)
class Person:
    user: UserId
    session: SessionId
    token: str


@dataclass(frozen=True)
class Meeting:
    """A conversation whose buyer and seller are signed in."""

    talk: Talk
    buyer: Person
    seller: Person

    @property
    def topic(self) -> str:
        return str(conversation_topic(self.talk.conversation))


async def meet(node: RunningNode) -> Meeting:
    password_hash = await hash_password(PASSWORD)

    async def work(tx: Tx) -> tuple[Talk, str, str]:
        (buyer, buyer_mail), (seller, seller_mail) = [
            await make_user(tx, name, password_hash) for name in ("Buyer", "Seller")
        ]
        shop = await make_shop(tx, seller)
        conversation = await open_conversation(tx, buyer, OpenConversation(shop=shop))
        return (
            Talk(conversation=conversation, shop=shop, buyer=buyer, seller=seller),
            buyer_mail,
            seller_mail,
        )

    talk, *mails = await node.market.database.transact(work)
    people: list[Person] = []
    for mail in mails:
        tokens, _ = await log_in(
            node.market, Login(email=mail, password=PASSWORD), user_agent="test", address=None
        )
        people.append(Person(user=tokens.user, session=tokens.session, token=tokens.access_token))
    return Meeting(talk=talk, buyer=people[0], seller=people[1])


async def connected(client: Client, person: Person, **resume: Any) -> dict[str, Any]:
    answer = await client.ask(connect={"token": person.token, "resume": resume})
    assert "connect" in answer, answer
    return answer["connect"]


def text_message(topic: str, text: str) -> dict[str, Any]:
    return {"topic": topic, "client_id": str(uuid4()), "text": text}


class StreamClient(Client):
    """The same over the fallback: a stream at one node, commands posted to the same or another one."""

    def __init__(
        self, http: aiohttp.ClientSession, person: Person, *, stream_port: int, post_port: int
    ) -> None:
        self._http = http
        self._person = person
        self._stream_port = stream_port
        self._post_port = post_port
        self.received: list[dict[str, Any]] = []
        self.heard = Hearing()
        self.answer: aiohttp.ClientResponse | None = None
        self.stream_id = ""
        self.is_at_end = False

    async def connect(self, **message: Any) -> dict[str, Any]:
        """Open the stream with a `connect` and return its answer."""
        self.heard.asked({"id": 0, "connect": message})
        self.answer = await self._http.post(
            f"http://127.0.0.1:{self._stream_port}/v1/socket/stream",
            data=msgspec.json.encode({"id": 0, "connect": message}),
        )
        assert self.answer.status == 200, await self.answer.text()
        assert self.answer.content_type == "text/event-stream"
        self.stream_id = (await self.until(lambda one: "stream" in one))["stream"]["id"]
        return await self.until(lambda one: one.get("id") == 0)

    async def say(self, **message: Any) -> None:
        self.heard.asked(message)
        async with self._http.post(
            f"http://127.0.0.1:{self._post_port}/v1/socket/commands",
            params={"stream": self.stream_id} if self.stream_id else None,
            data=msgspec.json.encode(message),
            headers={"Authorization": f"Bearer {self._person.token}"},
        ) as answer:
            assert answer.status == 200, await answer.text()
            lines = (await answer.read()).splitlines()
            self._take([msgspec.json.decode(line) for line in lines])

    async def read(self) -> None:
        assert self.answer is not None
        assert not self.is_at_end, f"the stream has ended; still unread: {self.received}"
        line = await self.answer.content.readline()
        if not line:
            self.is_at_end = True
        elif line.startswith(b"data: "):
            self._take([msgspec.json.decode(line.removeprefix(b"data: "))])

    async def closed(self) -> int | None:
        """Read to the end and return the code of the last message."""
        async with asyncio.timeout(10):
            while not self.is_at_end:
                await self.read()
        last = self.received[-1] if self.received else {}
        return last["disconnect"]["code"] if "disconnect" in last else None


@asynccontextmanager
async def streaming(
    node: RunningNode, person: Person, *, posting_to: RunningNode | None = None
) -> AsyncGenerator[StreamClient]:
    """A client of the fallback; `connect` opens its stream."""
    async with aiohttp.ClientSession() as http:
        post_port = (posting_to or node).port
        client = StreamClient(http, person, stream_port=node.port, post_port=post_port)
        try:
            yield client
        finally:
            if client.answer is not None:
                client.answer.close()
