"""Carries out one attempt at a job: claim, run the handler, settle what came of it.

claim: no row           -> nothing to do (taken, done, overtaken, or freed meanwhile)
kind or args unknown    -> dead at once: another attempt would read the same
handler returns         -> done (by its own commit, or here)
handler raises          -> ready after a backoff, or dead when it was the last attempt
LostAttempt             -> cancelled where an operator asked for it; else nothing: the job is somebody else's
stopped with its worker -> ready at once, uncounted
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
from feira.platform.domain.job_events import JobCancelled, JobDied
from feira.platform.domain.jobs import BACKOFF_MAX_S, Job, backoff_s, kind_of
from feira.platform.domain.topics import OPS
from feira.platform.runtime.config import MASK, SECRET_SETTINGS
from feira.platform.runtime.doorbell import Doorbell
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.jobs import (
    ClaimedJob,
    SettledAttempt,
    claim_attempt,
    end_cancelled,
    fail_attempt,
    finish_attempt,
    release_attempt,
)

# A lease outlasts its attempt's timeout by what settling it may take.
LEASE_MARGIN_S: Final = 15.0
ERROR_CHARS_MAX: Final = 500
# A message is consumed with its first try: whoever gives up leaves the job to its lease.
CLAIM_AGAIN_AFTER_S: Final = (0.2, 1.0, 3.0)

log = structlog.get_logger(__name__)


class Attempts:
    """Performs attempts with the given handlers."""

    def __init__(
        self,
        market: Market,
        handlers: Handlers,
        doorbell: Doorbell | None = None,
        *,
        lease_margin_s: float = LEASE_MARGIN_S,
    ) -> None:
        self._market: Final = market
        self._doorbell: Final = doorbell
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
        claimed = await self._claim(job_id, attempt)
        if claimed is None:
            log.debug("job_not_ours", job=str(job_id), attempt=attempt)
            return
        failpoint("jobs.claimed", claimed.kind)
        metrics.WAITED.labels(claimed.kind).observe(max(claimed.waited_s, 0))
        try:
            outcome = await self._perform_claimed(claimed)
        except asyncio.CancelledError:
            await asyncio.shield(self._settle(claimed, self._release(claimed)))
            raise
        if self._doorbell is not None and self._is_limited(claimed.kind):
            # Its place is free: the next of its kind need not wait for a look.
            self._doorbell.ring()
        metrics.ATTEMPTS.labels(claimed.kind, outcome).inc()

    async def _claim(self, job_id: JobId, attempt: int) -> ClaimedJob | None:
        """Claim the attempt; while Postgres is away or busy, some times within what its lease leaves."""
        for wait_s in (*CLAIM_AGAIN_AFTER_S, None):
            try:
                async with self._market.database.connection() as con:
                    return await claim_attempt(
                        con,
                        job_id,
                        attempt,
                        leases_s=self._leases_s,
                        lease_else_s=self._lease_else_s,
                        worker=self._market.config.node_name,
                    )
            except (Unavailable, Conflict) as error:
                log.warning("job_not_claimed", job=str(job_id), attempt=attempt, error=error.code)
                if wait_s is None:
                    return None
                await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the last try returns")

    async def _perform_claimed(self, claimed: ClaimedJob) -> str:
        known = self._kinds.get(claimed.kind)
        if known is None:
            text = f"UnknownKind: this version has no handler for {claimed.kind!r}"
            return await self._settle(claimed, self._note_failure(claimed, None, text))
        kind, handler = known
        try:
            job = msgspec.json.decode(claimed.args, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"UndecodableArgs: {error}"
            return await self._settle(claimed, self._note_failure(claimed, None, text))
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
            return await self._settle(claimed, self._end_cancelled(claimed))
        if error is not None:
            return await self._fail(claimed, error)
        if run.committed:
            return "done"
        return await self._settle(claimed, self._finish(claimed))

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
            return await self._settle(claimed, self._note_failure(claimed, None, text))
        delay_s = backoff_s(claimed.attempt, random.random())  # noqa: S311
        if isinstance(error, FeiraError) and error.retry_after_s is not None:
            delay_s = min(max(delay_s, error.retry_after_s), BACKOFF_MAX_S)
        return await self._settle(claimed, self._note_failure(claimed, delay_s, text))

    async def _settle(self, claimed: ClaimedJob, settling: Awaitable[str]) -> str:
        """Write down what became of the attempt, and return it; `lost` when the row is not ours any more."""
        failpoint("jobs.settling", claimed.kind)
        try:
            outcome = await settling
        except (Unavailable, Conflict) as error:
            log.warning(
                "job_not_settled",
                job=str(claimed.id),
                kind=claimed.kind,
                attempt=claimed.attempt,
                error=error.code,
            )
            return "lost"
        failpoint("jobs.settled", claimed.kind)
        if outcome == "lost":
            log.warning(
                "job_overtaken", job=str(claimed.id), kind=claimed.kind, attempt=claimed.attempt
            )
        return outcome

    async def _finish(self, claimed: ClaimedJob) -> str:
        async with self._market.database.connection() as con:
            if await finish_attempt(con, claimed.id, claimed.attempt):
                return "done"
        return await self._end_cancelled(claimed)

    async def _note_failure(self, claimed: ClaimedJob, retry_in_s: float | None, error: str) -> str:
        async def note(tx: Tx) -> str:
            settled = await fail_attempt(
                tx.con, claimed.id, claimed.attempt, retry_in_s=retry_in_s, error=error
            )
            return _tell(tx, claimed, settled, ready="retry", error=error)

        return await self._market.database.transact(note)

    async def _end_cancelled(self, claimed: ClaimedJob) -> str:
        async def end(tx: Tx) -> str:
            return _tell(tx, claimed, await end_cancelled(tx.con, claimed.id, claimed.attempt))

        return await self._market.database.transact(end)

    async def _release(self, claimed: ClaimedJob) -> str:
        async def release(tx: Tx) -> str:
            settled = await release_attempt(tx.con, claimed.id, claimed.attempt)
            return _tell(tx, claimed, settled, ready="released")

        return await self._market.database.transact(release)

    def _is_limited(self, kind: str) -> bool:
        known = self._kinds.get(kind)
        return known is not None and known[0].concurrency_max is not None

    def _describe(self, error: Exception) -> str:
        """Type and message, for operators. One line: Postgres puts the row's values on the next ones."""
        first_line = str(error).partition("\n")[0]
        text = f"{type(error).__name__}: {first_line}"
        for setting in SECRET_SETTINGS:
            secret = getattr(self._market.config, setting)
            if secret:
                text = text.replace(secret, MASK)
        return text[:ERROR_CHARS_MAX]


def _tell(
    tx: Tx,
    claimed: ClaimedJob,
    settled: SettledAttempt | None,
    *,
    ready: str = "",
    error: str = "",
) -> str:
    """Tell operators of a job that came to its end, and return the outcome; `ready` names it for one that goes on."""
    match settled:
        case None:
            return "lost"
        case SettledAttempt(state="ready"):
            return ready
        case SettledAttempt(state="dead"):
            tx.emit(
                OPS,
                JobDied(
                    job=claimed.id, job_kind=claimed.kind, attempt=claimed.attempt, error=error
                ),
            )
        case _:
            tx.emit(
                OPS,
                JobCancelled(job=claimed.id, job_kind=claimed.kind, by=settled.cancel_asked_by),
            )
    return settled.state


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
