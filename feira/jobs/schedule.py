"""What happens by the clock: each slot of a schedule adds its job once, however many workers tick.

Slots are `domain.schedules`': intervals, or times on the clocks of a place. The time is the database's. Taking a
slot and adding its job are one transaction. Of missed slots a schedule gets the latest, and none while its last
job still waits or runs, which sweeps for it too; or each of them, in order, some at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
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
from feira.platform.domain.schedules import (
    Daily,
    Interval,
    Missed,
    Monthly,
    Slots,
    Weekly,
    due_slots,
    next_slot,
)
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.jobs import fire_slot, is_unfinished, read_schedules

# Slots caught up in one tick of one schedule; the next tick goes on.
CATCH_UP_MAX: Final = 100
TICK_MIN_S: Final = 0.05
TICK_MAX_S: Final = 5.0

log = structlog.get_logger(__name__)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """`job` makes the job of a slot; slots come every so many seconds, or `on` days at a time of a place.

    `missed` says what becomes of slots when no worker ran.
    """

    name: str
    job: Callable[[datetime], Job]
    every_s: int | None = None
    on: Daily | Weekly | Monthly | None = None
    missed: Missed = "latest"

    def __post_init__(self) -> None:
        assert (self.every_s is None) != (self.on is None), "one of the two says when"

    @property
    def slots(self) -> Slots:
        return self.on or Interval(seconds=self.every_s or 0)


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
            for slot in due_slots(
                schedule.slots,
                fired=fire.last_slot,
                now=fire.now,
                missed=schedule.missed,
                most=CATCH_UP_MAX,
            ):
                if not await self._fire(schedule, slot, fire.last_slot):
                    break
            waits_s.append((next_slot(schedule.slots, fire.now) - fire.now).total_seconds())
        return min(TICK_MAX_S, max(TICK_MIN_S, min(waits_s)))

    async def _fire(self, schedule: Schedule, slot: datetime, last_slot: datetime | None) -> bool:
        """Take one slot; False when there is no point in going on to the next."""

        async def take(tx: Tx) -> bool:
            # A sweep that is still to come, or under way, sweeps for this slot too. The slot is left, so that
            # the next tick asks again.
            last = _dedup(schedule, last_slot) if last_slot is not None else None
            if schedule.missed == "latest" and last and await is_unfinished(tx.con, last):
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
        # Somebody else took it, and goes on to the following ones; where each is fired, so may this one.
        return fired or schedule.missed == "each"


def _dedup(schedule: Schedule, slot: datetime) -> str:
    return f"schedule:{schedule.name}:{int(slot.timestamp())}"
