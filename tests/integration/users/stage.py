"""A served node on a database of its own, with people to put on it."""

from __future__ import annotations

import asyncio
import email
import itertools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.cookies import SimpleCookie
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import ClientSession

from feira.jobs.attempts import Attempts
from feira.jobs.handlers import HANDLERS
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.topics import Topic
from feira.services.market import Market
from feira.services.users.accounts import PlatformRole, create_user
from feira.services.users.passwords import hash_password
from feira.sql.jobs import queue_due
from feira.sql.topics import read_events

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What came back: `body` is the decoded JSON, None where there was none."""

    status: int
    body: Any
    headers: Mapping[str, str]
    cookies: SimpleCookie

    @property
    def code(self) -> str:
        """The problem's code; empty for success."""
        return "" if self.status < 400 else self.body["code"]


@dataclass(frozen=True)
class Person:
    """Somebody with an account and one session."""

    id: UserId
    email: str
    access: str
    refresh: str
    session: SessionId


@dataclass
class Stage:
    market: Market
    url: str
    http: ClientSession
    _password_hash: list[str] = field(default_factory=list[str])

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        async with self.http.request(method, self.url + path, data=data, headers=sent) as response:
            raw = await response.read()
            return Answer(
                status=response.status,
                body=msgspec.json.decode(raw) if raw else None,
                headers=dict(response.headers),
                cookies=response.cookies,
            )

    async def get(self, path: str, token: str | None = None) -> Answer:
        return await self.call("GET", path, token=token)

    async def post(self, path: str, body: object, token: str | None = None) -> Answer:
        return await self.call("POST", path, body, token=token)

    async def sign_up(self, address: str, *, password: str = PASSWORD) -> Answer:
        wanted = {"email": address, "password": password, "display_name": "Ana"}
        return await self.post("/v1/auth/sign-up", wanted)

    async def log_in(self, address: str, password: str = PASSWORD, **more: str) -> Answer:
        return await self.post("/v1/auth/login", {"email": address, "password": password, **more})

    async def refresh(self, token: str) -> Answer:
        return await self.post("/v1/auth/refresh", {"refresh_token": token})

    async def person(self, *roles: PlatformRole, name: str = "Ana") -> Person:
        """A confirmed account, made as the seed command makes one, and signed in over HTTP."""
        if not self._password_hash:
            self._password_hash.append(await hash_password(PASSWORD))
        address = new_address()
        user = await self.market.database.transact(
            lambda tx: create_user(
                tx,
                email=address,
                password_hash=self._password_hash[0],
                display_name=name,
                roles=frozenset(roles),
            )
        )
        body = (await self.log_in(address)).body
        return Person(
            id=user,
            email=address,
            access=body["access_token"],
            refresh=body["refresh_token"],
            session=SessionId(UUID(body["session"])),
        )

    async def work_off(self) -> int:
        """Carry out every job that is due, and those that they cause; return how many."""
        done = 0
        attempts = Attempts(self.market, HANDLERS)
        while True:
            async with self.market.database.connection() as con:
                queued = await queue_due(con, limit=50, lease_s=60)
            if not queued:
                return done
            for job in queued:
                await attempts.perform(job.id, job.attempt)
                done += 1

    def mails(self, to: str) -> list[Message]:
        """What was sent to an address, oldest first."""
        folder = self.market.config.mail_dir
        if not folder.exists():
            return []
        files = sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
        mails = [email.message_from_bytes(file.read_bytes()) for file in files]
        return [mail for mail in mails if mail["To"] == to]

    def link_token(self, to: str, kind: str) -> str:
        """The token of the newest `verify` or `reset` link that was sent to an address."""
        tokens = [token for mail in self.mails(to) for token in tokens_in(mail, kind)]
        assert tokens, f"no {kind} link was sent to {to}"
        return tokens[-1]

    async def events(self, topic: Topic) -> list[dict[str, Any]]:
        async with self.market.database.connection() as con:
            logged = await read_events(con, topic, after=0, limit=100)
        return [msgspec.json.decode(event.body) for event in logged]

    async def fetchval(self, statement: str, *args: object) -> Any:
        async with self.market.database.connection() as con:
            return await con.fetchval(statement, *args)


def tokens_in(mail: Message, kind: str) -> list[str]:
    for part in mail.walk():
        if part.get_content_type() == "text/plain":
            text = bytes(part.get_payload(decode=True)).decode()
            return re.findall(rf"/\?{kind}=([A-Za-z0-9_-]+)", text)
    return []


def new_address() -> str:
    return f"ana{next(_numbers)}@example.com"


async def eventually(holds: Callable[[], Awaitable[bool]], *, within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.02)
