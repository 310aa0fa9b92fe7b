"""One attempt at one job, as its handler sees it.

    async def handle_order_paid(run: JobRun, job: NotifyOrderPaid) -> None:
        ...                                 # outside calls, with keys that name the effect
        await run.commit(write_it_down)     # local effects and `done`, in one transaction

A handler that has nothing to commit just returns; the worker then marks the job done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from feira.platform.domain.ids import JobId
from feira.platform.domain.jobs import Job
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.jobs import finish_attempt

T = TypeVar("T")


# A run ends even when deadlines arrive as fast as they are worked off; the next slot goes on.
BATCHES_MAX: Final = 100


class LostAttempt(Exception):
    """The job is no longer this attempt's: its lease ran out and another attempt has it, or it is done.

    Nothing of this attempt's transaction was kept. Let it pass through; the worker expects it.
    """


class JobRun:
    """An attempt that the worker has claimed."""

    def __init__(self, market: Market, job_id: JobId, attempt: int, *, kind: str = "") -> None:
        self.market: Final = market
        self.job_id: Final = job_id
        self.attempt: Final = attempt
        self._kind: Final = kind
        self._committed = False

    @property
    def committed(self) -> bool:
        """Whether `commit` has marked the job done."""
        return self._committed

    async def commit(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` and mark the job done in the same transaction, fenced by this attempt.

        At most once a run, as the last thing a handler does. The fence comes first: the job's row stays
        locked until the commit, so that neither the sweeper nor a later attempt can pass this one half way.

        Raises:
            LostAttempt: another attempt has the job, or it is done; `work` was not run, nothing is kept.
            Unavailable: see `Database.transact`; the worker tries again, and the fence finds out whether
                this commit had happened after all.
        """
        assert not self._committed, "a job is committed once"

        async def fenced(tx: Tx) -> T:
            if not await finish_attempt(tx.con, self.job_id, self.attempt):
                raise LostAttempt(f"attempt {self.attempt} of job {self.job_id} was overtaken")
            result = await work(tx)
            failpoint("jobs.committing", self._kind)
            return result

        result = await self.market.database.transact(fenced)
        failpoint("jobs.committed", self._kind)
        self._committed = True
        return result


async def until_none_is_left(run: JobRun, batch: Callable[[Tx], Awaitable[int]]) -> None:
    """Sweep: commit one batch after the other until one does nothing. Any number of sweeps may run at once."""
    for _ in range(BATCHES_MAX):
        if await run.market.database.transact(batch) == 0:
            return


Handler = Callable[[JobRun, Any], Awaitable[None]]
Handlers = Mapping[type[Job], Handler]
