"""The day: the market opens, fills, gets hurt, closes, and is looked over."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from feira.client.api import ApiClient
from feira.client.socket import Encoding, SocketClient
from feira.market_day.audit import Audit, audit
from feira.market_day.people import PASSWORD, Buyer, Person, Seller
from feira.market_day.record import Record
from feira.market_day.stage import HOLD_S, Stage, read_goods

T = TypeVar("T")
P = TypeVar("P", bound=Person)

# Argon2 costs the server 40 ms of a core for each: more at once only wait.
SIGNING_UP_AT_ONCE: Final = 8
PHASE_TIMEOUT_S: Final = 120.0
STROLL_ENDS_WITHIN_S: Final = 45.0
SETTLE_TIMEOUT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.25
HURRIED_BUYERS: Final = 50


class DayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How busy a day, and how long its trading."""

    seconds: float = 60.0
    buyers: int = 200
    sellers: int = 20
    seed: int = 0
    calm: bool = False


@dataclass
class Day:
    """One run. `say` gets a line about what is going on."""

    stage: Stage
    options: DayOptions
    say: Callable[[str], None]
    record: Record = field(default_factory=Record)

    async def run(self) -> Audit:
        """Play the day and return what the audit found."""
        self.dice = random.Random(self.options.seed)  # noqa: S311 - a play, repeatable by its seed
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            self.http = http
            self.admin = ApiClient(self.stage.url, http)
            await self.admin.sign_in(*self.stage.admin())
            sellers = await self._phase("sellers arrive", self._sellers())
            await self._phase("stalls are set up", self._stalls(sellers))
            buyers = await self._phase("buyers arrive", self._buyers())
            try:
                await self._trade(sellers, buyers)
                await self._phase("the last orders settle", self._settle(buyers))
                return await self._phase(
                    "everything is looked over", audit(self.record, self.admin, sellers, buyers)
                )
            finally:
                await asyncio.gather(*(person.leave() for person in (*sellers, *buyers)))

    async def _phase(self, what: str, work: Awaitable[T]) -> T:
        """Bound a phase: nothing may hang."""
        self.say(f"{what} ...")
        began = time.monotonic()
        async with asyncio.timeout(PHASE_TIMEOUT_S + self.options.seconds):
            result = await work
        self.say(f"{what}: {time.monotonic() - began:.1f} s")
        return result

    # Arriving.

    def _person(self, kind: type[P], name: str, number: int) -> P:
        api = ApiClient(self.stage.url, self.http)
        encoding: Encoding = "msgpack" if number % 4 == 0 else "json"
        socket = SocketClient(self.stage.url, self.http, api.token, encoding=encoding)
        return kind(
            email=f"{name}-{number}@day.feira.localhost",
            api=api,
            socket=socket,
            record=self.record,
            dice=random.Random(self.dice.random()),  # noqa: S311 - a play, repeatable by its seed
        )

    async def _sign_up(self, people: Sequence[Person]) -> None:
        """Accounts, confirmed by the links in the mails, and everybody signed in."""
        await _some_at_once(
            [
                lambda person=person: self.admin.post(
                    "/v1/auth/sign-up",
                    {
                        "email": person.email,
                        "password": PASSWORD,
                        "display_name": person.email.partition("@")[0],
                    },
                )
                for person in people
            ]
        )
        wanted = {person.email for person in people}

        async def is_all_mail_there() -> bool:
            return wanted <= self.stage.verification_tokens().keys()

        await _until(is_all_mail_there)
        tokens = self.stage.verification_tokens()
        await _some_at_once(
            [
                lambda email=email: self.admin.post(
                    "/v1/auth/verify-email", {"token": tokens[email]}
                )
                for email in wanted
            ]
        )
        await _some_at_once([person.arrive for person in people])

    async def _sellers(self) -> list[Seller]:
        sellers = [self._person(Seller, "seller", number) for number in range(self.options.sellers)]
        await self._sign_up(sellers)
        for number, seller in enumerate(sellers):
            await seller.apply(f"Stall number {number + 1}")
        for seller in sellers:
            await _until(seller.is_verified)
            await self.admin.post(f"/v1/admin/shops/{seller.shop}/approve", {"reason": "Welcome."})
        return sellers

    async def _stalls(self, sellers: list[Seller]) -> None:
        header, rows = read_goods()
        for number, seller in enumerate(sellers):
            await seller.set_up_stall(header.split(","), rows[number :: len(sellers)])

    async def _buyers(self) -> list[Buyer]:
        buyers = [self._person(Buyer, "buyer", number) for number in range(self.options.buyers)]
        await self._sign_up(buyers)
        goods = await self._goods()
        for buyer in buyers:
            buyer.goods = goods
            # A crowd walks slowly: as much goes on among two hundred as among fifty in a hurry.
            buyer.pace = max(1.0, len(buyers) / HURRIED_BUYERS)
        await _some_at_once([buyer.move_in for buyer in buyers])
        return buyers

    async def _goods(self) -> list[dict[str, Any]]:
        """What a visitor finds by browsing, once the index has it all."""
        expected = self.record.counts["goods imported"]
        while True:
            found: list[dict[str, Any]] = []
            cursor: str | None = None
            while True:
                page = await self.admin.get("/v1/search", sort="newest", limit=100, cursor=cursor)
                found += page["items"]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            ours = [card for card in found if card["shop_name"].startswith("Stall number")]
            if len(ours) >= expected:
                return [
                    {**card, "variants": [variant["id"] for variant in product["variants"]]}
                    for card in ours
                    if (product := await self.admin.get(f"/v1/products/{card['product_id']}"))
                ]
            await asyncio.sleep(LOOK_EVERY_S)

    # Trading.

    async def _trade(self, sellers: list[Seller], buyers: list[Buyer]) -> None:
        until = time.monotonic() + self.options.seconds
        crowd: list[Person] = [*sellers, *buyers]
        if not self.options.calm:
            for person in crowd:
                person.soon(person.wander(until, every_s=self.options.seconds / 1.5), "wandering")
        strolls = [
            asyncio.create_task(buyer.guarded(buyer.stroll(until), "buyer strolls"))
            for buyer in buyers
        ]
        reporter = asyncio.create_task(self._report(until))
        try:
            if not self.options.calm:
                await self._hurt(until)
            async with asyncio.timeout(self.options.seconds + STROLL_ENDS_WITHIN_S):
                await asyncio.gather(*strolls)
        finally:
            reporter.cancel()
            for stroll in strolls:
                stroll.cancel()

    async def _hurt(self, until: float) -> None:
        """A third in, the worker dies; two thirds in, Valkey does. Both come back by their supervisor."""
        third = (until - time.monotonic()) / 3
        for words, name in (("feira work", "worker killed"), ("valkey-server", "Valkey killed")):
            await asyncio.sleep(third)
            pid = self.stage.kill(words)
            if pid is None:
                self.record.problems.append(f"{name}: there was none to kill")
            else:
                self.record.counts[name] += 1
                self.say(f"{name} (pid {pid})")

    async def _report(self, until: float) -> None:
        while True:
            await asyncio.sleep(5)
            counts = self.record.counts
            self.say(
                f"{max(0, until - time.monotonic()):3.0f} s to go: "
                f"{len(self.record.acknowledged)} messages acknowledged, {counts['checkouts']} checkouts, "
                f"{counts['sockets dropped']} sockets dropped"
            )

    async def _settle(self, buyers: list[Buyer]) -> None:
        """Every order comes to its end: completed, cancelled, or expired when its hold is over."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S + HOLD_S
        if left := await _until_empty(lambda: _open_orders(buyers), deadline):
            self.record.problems.append(f"{len(left)} orders without an end: {left[:5]}")
        # What the last orders set off, refunds above all, is done by jobs.
        if left := await _until_empty(self._waiting_jobs, deadline):
            self.record.problems.append(f"jobs that never ended: {left}")

    async def _waiting_jobs(self) -> list[Any]:
        kinds = await self.admin.get("/v1/operations/jobs/kinds")
        return [
            item
            for item in kinds["items"]
            if item["ready"] + item["queued"] + item["running"]
            and item["kind"].startswith("payments.")
        ]


async def _open_orders(buyers: list[Buyer]) -> list[Any]:
    return [
        order
        for buyer in buyers
        for order, settled in buyer.settled.items()
        if not settled.is_set()
    ]


async def _until_empty(look: Callable[[], Awaitable[list[Any]]], deadline: float) -> list[Any]:
    """Look again and again until nothing is left, and return what is left at the deadline."""
    while (left := await look()) and time.monotonic() < deadline:  # noqa: ASYNC110 - it happens in other processes
        await asyncio.sleep(LOOK_EVERY_S)
    return left


async def _until(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again; the phase around it has a time limit."""
    while not await look():  # noqa: ASYNC110 - it happens in other processes
        await asyncio.sleep(LOOK_EVERY_S)


async def _some_at_once(calls: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    """Run calls, a few at a time."""
    gate = asyncio.Semaphore(SIGNING_UP_AT_ONCE)

    async def one(call: Callable[[], Awaitable[Any]]) -> None:
        async with gate:
            await call()

    await asyncio.gather(*(one(call) for call in calls))
