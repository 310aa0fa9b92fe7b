"""The mailbox: batches, limits of size and time, and what becomes of an actor that crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import cast

import pytest
from structlog.testing import capture_logs

from feira.actors.mailbox import (
    BATCH_MAX,
    CRASH_BACKOFF_MAX_S,
    EPHEMERALS_MAX,
    MAILBOX_MAX,
    RATE_OVER_S,
    TURN_TIMEOUT_S,
    Actor,
)
from feira.platform.domain.errors import Unavailable
from feira.platform.runtime.tasks import TaskOwner
from tests.unit.actors.memory import HurriedLoop

Question = tuple[str, asyncio.Future[str]]


class Echo(Actor[object]):
    """Answers questions. "crash" and "hang" are what they say."""

    def __init__(self, tasks: TaskOwner) -> None:
        super().__init__("shop", tasks)
        self.batches: list[list[object]] = []
        self.crashed_at: list[float] = []

    async def handle(self, batch: list[object]) -> None:
        self.batches.append(batch)
        await asyncio.sleep(0)
        for mail in batch:
            if isinstance(mail, tuple):
                text, answer = cast("Question", mail)
                if text == "crash":
                    raise RuntimeError("as asked")
                if text == "hang":
                    await asyncio.sleep(3600)
                if not answer.done():
                    answer.set_result(text)

    def reset(self, batch: list[object], error: Exception) -> None:
        self.crashed_at.append(asyncio.get_running_loop().time())
        for mail in batch:
            if isinstance(mail, tuple) and not mail[1].done():
                mail[1].set_exception(Unavailable("actor.restarted", str(error)))

    async def echo(self, text: str, *, within_s: float = 3600) -> str:
        return await self.ask(partial(_question, text), within_s=within_s)


def _question(text: str, answer: asyncio.Future[str]) -> Question:
    return text, answer


def hurried(live: Callable[[Echo], Awaitable[None]]) -> None:
    """Run `live` with an actor and without waiting for clocks."""

    async def run() -> None:
        tasks = TaskOwner()
        await live(Echo(tasks))
        await tasks.close()

    with capture_logs(), asyncio.Runner(loop_factory=HurriedLoop, debug=False) as runner:
        runner.run(run())


def test_what_waits_is_handled_in_order_and_in_batches() -> None:
    async def live(actor: Echo) -> None:
        for number in range(BATCH_MAX + 2):
            actor.tell(number)
        while not actor.is_idle:
            await asyncio.sleep(0)
        assert [len(batch) for batch in actor.batches] == [BATCH_MAX, 2]
        assert [mail for batch in actor.batches for mail in batch] == list(range(BATCH_MAX + 2))
        assert actor.turns == 2
        assert actor.mail_per_s > BATCH_MAX / RATE_OVER_S * 0.9

    hurried(live)


def test_a_full_box_refuses_with_a_hint_and_keeps_all_it_accepted() -> None:
    async def live(actor: Echo) -> None:
        for number in range(MAILBOX_MAX):
            actor.tell(number)
        with pytest.raises(Unavailable) as refused:
            actor.tell("too much")
        assert refused.value.code == "actor.overloaded"
        assert refused.value.retry_after_s == 1
        while not actor.is_idle:
            await asyncio.sleep(0)
        assert sum(len(batch) for batch in actor.batches) == MAILBOX_MAX
        assert await actor.echo("room again") == "room again"

    hurried(live)


def test_passing_things_are_dropped_long_before_anything_that_is_answered() -> None:
    async def live(actor: Echo) -> None:
        for number in range(EPHEMERALS_MAX + 500):
            actor.offer(number)
        assert actor.mailbox_depth == EPHEMERALS_MAX
        answers = [asyncio.create_task(actor.echo(f"{n}")) for n in range(500)]
        assert await asyncio.gather(*answers) == [f"{n}" for n in range(500)]

    hurried(live)


def test_the_age_of_the_oldest_mail_is_told() -> None:
    async def live(actor: Echo) -> None:
        assert actor.oldest_mail_age_s == 0
        actor.tell("waits")
        assert 0 < actor.oldest_mail_age_s < 60

    hurried(live)


def test_a_crash_answers_its_batch_and_the_actor_lives_on() -> None:
    async def live(actor: Echo) -> None:
        with pytest.raises(Unavailable, match="as asked"):
            await actor.echo("crash")
        assert await actor.echo("alive") == "alive"
        assert actor.crashes == 1

    hurried(live)


def test_one_that_keeps_crashing_rests_longer_each_time_whatever_succeeds_in_between() -> None:
    async def live(actor: Echo) -> None:
        for _ in range(12):
            with pytest.raises(Unavailable):
                await actor.echo("crash")
            # A watcher who comes back for more is served, and that is no reason to hurry.
            assert await actor.echo("more") == "more"
        rests = [later - earlier for earlier, later in pairwise(actor.crashed_at)]
        assert rests[0] < 0.1
        assert all(later > earlier * 1.5 for earlier, later in pairwise(rests[:7]))
        assert rests[-1] == pytest.approx(CRASH_BACKOFF_MAX_S, rel=0.2)

    hurried(live)


def test_a_turn_that_hangs_is_a_crash() -> None:
    async def live(actor: Echo) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(Unavailable) as timed_out:
            await actor.echo("hang")
        assert timed_out.value.code == "actor.restarted"
        assert TURN_TIMEOUT_S <= loop.time() - began < TURN_TIMEOUT_S * 2
        assert await actor.echo("alive") == "alive"

    hurried(live)


def test_who_asks_waits_no_longer_than_they_like() -> None:
    async def live(actor: Echo) -> None:
        with pytest.raises(Unavailable) as timed_out:
            await actor.echo("hang", within_s=2)
        assert timed_out.value.code == "actor.timeout"

    hurried(live)
