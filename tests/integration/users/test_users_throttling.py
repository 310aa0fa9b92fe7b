"""Guessing passwords: slower and slower, and no faster in parallel."""

from __future__ import annotations

import asyncio

import pytest

from feira.platform.domain.errors import FeiraError, NotSignedIn, TooMany
from feira.services.users import throttling
from feira.services.users.authentication import Login, log_in
from tests.integration.users.stage import PASSWORD, Stage, new_address

FREE = throttling.EMAIL_LIMIT.free


async def _end_pause(stage: Stage) -> None:
    await stage.fetchval("UPDATE login_throttles SET blocked_until = now() RETURNING 1")


async def _try(stage: Stage, email: str, password: str, address: str | None) -> str:
    given = Login(email=email, password=password)
    try:
        await log_in(stage.market, given, user_agent="", address=address)
    except FeiraError as error:
        return error.code
    return ""


async def test_tries_beyond_the_free_ones_wait_longer_each_time(stage: Stage) -> None:
    ana = await stage.person()
    codes = [(await stage.log_in(ana.email, "wrong password")).code for _ in range(FREE)]
    assert codes == ["auth.wrong_credentials"] * FREE
    waits: list[float] = []
    for _ in range(3):
        # The right password waits as well: or else the answer would tell it.
        refused = await stage.log_in(ana.email)
        assert (refused.status, refused.code) == (429, "auth.throttled")
        waits.append(refused.body["retry_after_s"])
        assert int(refused.headers["Retry-After"]) >= waits[-1]
        await _end_pause(stage)
        assert (await stage.log_in(ana.email, "wrong password")).code == "auth.wrong_credentials"
    assert [round(wait / 30) for wait in waits] == [1, 2, 4]


async def test_a_right_password_forgets_the_tries_before_it(stage: Stage) -> None:
    ana = await stage.person()
    for _ in range(3):
        for _ in range(FREE - 1):
            assert (await stage.log_in(ana.email, "wrong password")).status == 401
        assert (await stage.log_in(ana.email)).status == 200
    assert (
        await stage.fetchval("SELECT count(*) FROM login_throttles WHERE subject LIKE 'email:%'")
        == 0
    )


@pytest.mark.parametrize("known", [True, False])
async def test_parallel_guesses_get_no_more_than_the_free_tries(stage: Stage, known: bool) -> None:  # noqa: FBT001
    email = (await stage.person()).email if known else new_address()
    answers = await asyncio.gather(
        *(stage.log_in(email, f"guess number {number}") for number in range(40))
    )
    statuses = [answer.status for answer in answers]
    assert statuses.count(401) == FREE
    assert statuses.count(429) == 40 - FREE


async def test_one_network_address_cannot_guess_at_many_accounts(stage: Stage) -> None:
    free = throttling.ADDRESS_LIMIT.free
    codes = await asyncio.gather(
        *(_try(stage, new_address(), "wrong password", "203.0.113.9") for _ in range(free + 10))
    )
    assert codes.count("auth.wrong_credentials") == free
    assert codes.count("auth.throttled") == 10
    ana = await stage.person()
    assert await _try(stage, ana.email, PASSWORD, "203.0.113.9") == "auth.throttled"
    assert await _try(stage, ana.email, PASSWORD, "203.0.113.10") == ""
    assert await _try(stage, ana.email, PASSWORD, None) == ""


async def test_an_own_account_does_not_reset_the_count_of_an_address(stage: Stage) -> None:
    mallory = await stage.person()
    for _ in range(4):
        await _try(stage, new_address(), "wrong password", "203.0.113.20")
        assert await _try(stage, mallory.email, PASSWORD, "203.0.113.20") == ""
    count = "SELECT failures FROM login_throttles WHERE subject = 'address:203.0.113.20'"
    assert await stage.fetchval(count) == 4


async def test_many_people_behind_one_address_sign_in_at_once(stage: Stage) -> None:
    people = [await stage.person() for _ in range(12)]
    codes = await asyncio.gather(
        *(_try(stage, person.email, PASSWORD, "203.0.113.30") for person in people)
    )
    assert codes == [""] * 12
    count = "SELECT failures FROM login_throttles WHERE subject = 'address:203.0.113.30'"
    assert await stage.fetchval(count) == 0


async def test_a_refused_try_charges_no_other_subject(stage: Stage) -> None:
    ana = await stage.person()
    for _ in range(FREE):
        await _try(stage, ana.email, "wrong password", None)
    for _ in range(5):
        assert await _try(stage, ana.email, "wrong password", "203.0.113.40") == "auth.throttled"
    count = "SELECT count(*) FROM login_throttles WHERE subject = 'address:203.0.113.40'"
    assert await stage.fetchval(count) == 0


async def test_old_tries_are_forgotten_and_swept(stage: Stage) -> None:
    ana = await stage.person()
    for _ in range(FREE - 1):
        await _try(stage, ana.email, "wrong password", None)
        await _try(stage, new_address(), "wrong password", None)
    await stage.fetchval(
        "UPDATE login_throttles SET window_started_at = now() - interval '2 days' RETURNING 1"
    )
    for _ in range(FREE - 1):
        assert await _try(stage, ana.email, "wrong password", None) == "auth.wrong_credentials"
    assert await stage.fetchval("SELECT count(*) FROM login_throttles") == 1


async def test_an_error_of_the_throttle_says_when_to_come_back(stage: Stage) -> None:
    email = new_address()
    for _ in range(FREE):
        with pytest.raises(NotSignedIn):
            await log_in(
                stage.market, Login(email=email, password="x"), user_agent="", address=None
            )
    with pytest.raises(TooMany) as refused:
        await log_in(stage.market, Login(email=email, password="x"), user_agent="", address=None)
    assert refused.value.retry_after_s is not None
    assert 25 < refused.value.retry_after_s <= 30
