"""What happens by the clock: each slot of a schedule adds its job once, however many workers tick.

A slot is a whole multiple of the interval since 1970, by the database's clock. Taking it and adding its job
are one transaction. A sweeping schedule only needs its latest slot, and none while its last job still waits
or runs; a schedule that catches up gets every slot since its last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog

from feira.jobs import payouts
from feira.jobs.metrics import FIRED
from feira.jobs.supervision import pause
from feira.platform.domain.jobs import (
    CheckLedger,
    EndReturnDeadlines,
    ExpireOffers,
    ExpireUnpaidOrders,
    FireOrderDeadlines,
    IntroducePayments,
    Job,
    MatchProviderMovements,
    Purge,
    ReleaseExpiredReservations,
    RollUpLedger,
    SweepAttachments,
    SweepProviderEvents,
)
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.jobs import LastFire, fire_slot, is_unfinished, read_schedules

# Slots caught up in one tick of one schedule; the next tick goes on.
CATCH_UP_MAX: Final = 100
TICK_MIN_S: Final = 0.05
TICK_MAX_S: Final = 5.0

log = structlog.get_logger(__name__)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """`job` makes the job of a slot."""

    name: str
    every_s: int
    job: Callable[[datetime], Job]
    catches_up: bool = False


SCHEDULES: Final = (
    Schedule(
        name="products.release_expired_reservations",
        every_s=5,
        job=lambda _: ReleaseExpiredReservations(),
    ),
    Schedule(name="payouts.release_cleared", every_s=15, job=lambda _: payouts.ReleaseCleared()),
    Schedule(name="payouts.run", every_s=60, job=lambda _: payouts.RunPayouts()),
    Schedule(name="payouts.watch", every_s=300, job=lambda _: payouts.WatchPayouts()),
    Schedule(name="orders.expire_unpaid", every_s=5, job=lambda _: ExpireUnpaidOrders()),
    Schedule(name="orders.fire_deadlines", every_s=5, job=lambda _: FireOrderDeadlines()),
    Schedule(name="deals.expire_offers", every_s=5, job=lambda _: ExpireOffers()),
    Schedule(name="ledger.roll_up", every_s=60, job=lambda _: RollUpLedger()),
    Schedule(name="ledger.reconcile", every_s=3600, job=lambda _: MatchProviderMovements()),
    Schedule(name="ledger.check", every_s=86_400, job=lambda _: CheckLedger()),
    Schedule(name="returns.end_deadlines", every_s=30, job=lambda _: EndReturnDeadlines()),
    Schedule(name="messaging.sweep_attachments", every_s=600, job=lambda _: SweepAttachments()),
    Schedule(name="payments.introduce", every_s=15, job=lambda _: IntroducePayments()),
    Schedule(name="payments.sweep_events", every_s=3600, job=lambda _: SweepProviderEvents()),
    Schedule(name="jobs.purge", every_s=3600, job=lambda _: Purge()),
)


class Ticker:
    """Fires the schedules' slots that are due; every worker has one."""

    def __init__(self, market: Market, schedules: Sequence[Schedule] = SCHEDULES) -> None:
        self._market: Final = market
        self._schedules: Final = tuple(schedules)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await pause(stop, await self.tick())

    async def tick(self) -> float:
        """Fire what is due and return the seconds until the next slot begins."""
        if not self._schedules:
            return TICK_MAX_S
        names = [schedule.name for schedule in self._schedules]
        async with self._market.database.connection() as con:
            fires = {fire.name: fire for fire in await read_schedules(con, names)}
        waits_s: list[float] = []
        for schedule in self._schedules:
            fire = fires[schedule.name]
            for slot in due_slots(schedule, fire):
                if not await self._fire(schedule, slot, fire.last_slot):
                    break
            next_slot = slot_of(schedule, fire.now) + timedelta(seconds=schedule.every_s)
            waits_s.append((next_slot - fire.now).total_seconds())
        return min(TICK_MAX_S, max(TICK_MIN_S, min(waits_s)))

    async def _fire(self, schedule: Schedule, slot: datetime, last_slot: datetime | None) -> bool:
        """Take one slot; False when there is no point in going on to the next."""

        async def take(tx: Tx) -> bool:
            # A sweep that is still to come, or under way, sweeps for this slot too. The slot is left, so that
            # the next tick asks again.
            last = None if schedule.catches_up or last_slot is None else _dedup(schedule, last_slot)
            if last is not None and await is_unfinished(tx.con, last):
                return False
            if await fire_slot(tx.con, schedule.name, slot):
                tx.enqueue(schedule.job(slot), dedup=_dedup(schedule, slot))
                failpoint("schedule.firing", schedule.name)
                return True
            return False

        fired = await self._market.database.transact(take)
        if fired:
            failpoint("schedule.fired", schedule.name)
            FIRED.labels(schedule.name).inc()
            log.debug("schedule_fired", schedule=schedule.name, slot=slot.isoformat())
        # Somebody else took it, and goes on to the following ones; with catching up, so may this one.
        return fired or schedule.catches_up


def slot_of(schedule: Schedule, at: datetime) -> datetime:
    """The slot that `at` lies in."""
    seconds = int(at.timestamp()) // schedule.every_s * schedule.every_s
    return datetime.fromtimestamp(seconds, UTC)


def due_slots(schedule: Schedule, fire: LastFire) -> list[datetime]:
    """The slots to fire now, in order: all missed ones where the schedule catches up, else the latest."""
    current = slot_of(schedule, fire.now)
    if fire.last_slot is None:
        return [current]
    if fire.last_slot >= current:
        return []
    if not schedule.catches_up:
        return [current]
    step = timedelta(seconds=schedule.every_s)
    missed = min(int((current - fire.last_slot) / step), CATCH_UP_MAX)
    return [fire.last_slot + step * number for number in range(1, missed + 1)]


def _dedup(schedule: Schedule, slot: datetime) -> str:
    return f"schedule:{schedule.name}:{int(slot.timestamp())}"
