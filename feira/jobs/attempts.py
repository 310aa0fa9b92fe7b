"""Carries out one attempt at a job: claim, run the handler, settle what came of it.

claim: no row           -> nothing to do (taken, done, overtaken, or freed meanwhile)
kind or args unknown    -> dead at once: another attempt would read the same
handler returns         -> done (by its own commit, or here)
handler raises          -> ready after a backoff, or dead when it was the last attempt
LostAttempt             -> nothing: the job is somebody else's
cancelled (stopping)    -> ready at once, uncounted
Postgres away           -> nothing: the lease runs out and the sweeper frees it
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Final

import msgspec
import structlog

from feira.jobs import metrics
from feira.jobs.run import Handler, Handlers, JobRun, LostAttempt
from feira.platform.domain.errors import Conflict, FeiraError, Unavailable
from feira.platform.domain.ids import JobId
from feira.platform.domain.job_events import JobDied
from feira.platform.domain.jobs import BACKOFF_MAX_S, Job, backoff_s
from feira.platform.domain.topics import OPS
from feira.platform.runtime.config import MASK, SECRET_SETTINGS
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.jobs import (
    ClaimedJob,
    bury_attempt,
    claim_attempt,
    finish_attempt,
    kind_of,
    release_attempt,
    retry_attempt,
)

# A lease outlasts its attempt's timeout by what settling it may take.
LEASE_MARGIN_S: Final = 15.0
ERROR_CHARS_MAX: Final = 500

log = structlog.get_logger(__name__)


class Attempts:
    """Performs attempts with the given handlers."""

    def __init__(
        self, market: Market, handlers: Handlers, *, lease_margin_s: float = LEASE_MARGIN_S
    ) -> None:
        self._market: Final = market
        self._kinds: Final[dict[str, tuple[type[Job], Handler]]] = {
            kind_of(job): (job, handler) for job, handler in handlers.items()
        }
        self._leases_s: Final = {
            kind: job.timeout_s + lease_margin_s for kind, (job, _) in self._kinds.items()
        }
        self._lease_else_s: Final = lease_margin_s
        self.longest_s: Final = max(self._leases_s.values(), default=lease_margin_s)
        """The longest that an attempt of any kind may hold its job."""

    async def perform(self, job_id: JobId, attempt: int) -> None:
        """Perform the attempt if it can be claimed. Raises nothing but `CancelledError`."""
        failpoint("jobs.claiming")
        try:
            async with self._market.database.connection() as con:
                claimed = await claim_attempt(
                    con,
                    job_id,
                    attempt,
                    leases_s=self._leases_s,
                    lease_else_s=self._lease_else_s,
                )
        except (Unavailable, Conflict) as error:
            log.warning("job_not_claimed", job=str(job_id), attempt=attempt, error=error.code)
            return
        if claimed is None:
            log.debug("job_not_ours", job=str(job_id), attempt=attempt)
            return
        failpoint("jobs.claimed", claimed.kind)
        metrics.WAITED.labels(claimed.kind).observe(max(claimed.waited_s, 0))
        try:
            outcome = await self._perform_claimed(claimed)
        except asyncio.CancelledError:
            await asyncio.shield(self._settle(claimed, "released", self._release(claimed)))
            raise
        metrics.ATTEMPTS.labels(claimed.kind, outcome).inc()

    async def _perform_claimed(self, claimed: ClaimedJob) -> str:
        known = self._kinds.get(claimed.kind)
        if known is None:
            text = f"UnknownKind: this version has no handler for {claimed.kind!r}"
            return await self._settle(claimed, "dead", self._bury(claimed, text))
        kind, handler = known
        try:
            job = msgspec.json.decode(claimed.args, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return await self._settle(
                claimed, "dead", self._bury(claimed, f"UndecodableArgs: {error}")
            )
        run = JobRun(self._market, claimed.id, claimed.attempt, kind=claimed.kind)
        loop = asyncio.get_running_loop()
        started = loop.time()
        metrics.RUNNING.inc()
        try:
            error = await _run_handler(handler, run, job)
        finally:
            metrics.RUNNING.dec()
            metrics.SECONDS.labels(claimed.kind).observe(loop.time() - started)
        if isinstance(error, LostAttempt):
            log.warning(
                "job_overtaken", job=str(claimed.id), kind=claimed.kind, attempt=run.attempt
            )
            return "lost"
        if error is not None:
            return await self._fail(claimed, error)
        if run.committed:
            return "done"
        return await self._settle(claimed, "done", self._finish(claimed))

    async def _fail(self, claimed: ClaimedJob, error: Exception) -> str:
        text = self._describe(error)
        is_last = claimed.attempt >= claimed.attempts_max
        log.warning(
            "job_failed",
            job=str(claimed.id),
            kind=claimed.kind,
            attempt=claimed.attempt,
            error=text,
            is_last=is_last,
            # An expected failure explains itself; a bug needs its traceback.
            exc_info=None if isinstance(error, FeiraError | TimeoutError) else error,
        )
        if is_last:
            return await self._settle(claimed, "dead", self._bury(claimed, text))
        delay_s = backoff_s(claimed.attempt, random.random())  # noqa: S311
        if isinstance(error, FeiraError) and error.retry_after_s is not None:
            delay_s = min(max(delay_s, error.retry_after_s), BACKOFF_MAX_S)
        return await self._settle(claimed, "retry", self._retry(claimed, delay_s, text))

    async def _settle(self, claimed: ClaimedJob, outcome: str, settling: Awaitable[bool]) -> str:
        """Write down what became of the attempt, and return it; `lost` when the row is not ours any more."""
        failpoint("jobs.settling", claimed.kind)
        try:
            if await settling:
                failpoint("jobs.settled", claimed.kind)
                return outcome
        except (Unavailable, Conflict) as error:
            log.warning(
                "job_not_settled",
                job=str(claimed.id),
                kind=claimed.kind,
                attempt=claimed.attempt,
                outcome=outcome,
                error=error.code,
            )
        return "lost"

    async def _finish(self, claimed: ClaimedJob) -> bool:
        async with self._market.database.connection() as con:
            return await finish_attempt(con, claimed.id, claimed.attempt)

    async def _retry(self, claimed: ClaimedJob, delay_s: float, error: str) -> bool:
        async with self._market.database.connection() as con:
            return await retry_attempt(
                con, claimed.id, claimed.attempt, delay_s=delay_s, error=error
            )

    async def _release(self, claimed: ClaimedJob) -> bool:
        async with self._market.database.connection() as con:
            return await release_attempt(con, claimed.id, claimed.attempt)

    async def _bury(self, claimed: ClaimedJob, error: str) -> bool:
        async def bury(tx: Tx) -> bool:
            if not await bury_attempt(tx.con, claimed.id, claimed.attempt, error=error):
                return False
            tx.emit(
                OPS,
                JobDied(
                    job=claimed.id, job_kind=claimed.kind, attempt=claimed.attempt, error=error
                ),
            )
            return True

        return await self._market.database.transact(bury)

    def _describe(self, error: Exception) -> str:
        """Type and message, for operators. One line: Postgres puts the row's values on the next ones."""
        first_line = str(error).partition("\n")[0]
        text = f"{type(error).__name__}: {first_line}"
        for setting in SECRET_SETTINGS:
            secret = getattr(self._market.config, setting)
            if secret:
                text = text.replace(secret, MASK)
        return text[:ERROR_CHARS_MAX]


async def _run_handler(handler: Handler, run: JobRun, job: Job) -> Exception | None:
    """Run the handler within its kind's time; return what it raised."""
    timeout = asyncio.timeout(job.timeout_s)
    try:
        async with timeout:
            await handler(run, job)
    except TimeoutError as error:
        if timeout.expired():
            return TimeoutError(f"the attempt took longer than {job.timeout_s:g} s")
        return error
    except Exception as error:  # noqa: BLE001 - whatever a handler raises is its attempt's failure
        return error
    return None
