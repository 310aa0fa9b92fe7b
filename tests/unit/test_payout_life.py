"""A payout's next step, whatever is known of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feira.platform.domain.errors import Conflict
from feira.platform.domain.payouts import (
    ASKING,
    ATTEMPTS_MAX,
    ENDED,
    PayoutProgress,
    PayoutState,
    Step,
    after_refusal,
    after_return,
    next_step,
    require_cancelable,
    wait_before,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
STATES: tuple[PayoutState, ...] = (
    *("created", "transferring", "transferred", "sending", "sent", "paid"),
    *("reversing", "failed", "canceled"),
)


def step(
    state: PayoutState,
    *,
    asked: timedelta | None = None,
    retry_at: datetime | None = None,
    is_accepted: bool = False,
    unknown_since: datetime | None = None,
    is_held: bool = False,
    is_payable: bool = True,
) -> Step:
    progress = PayoutProgress(
        state=state,
        attempt=1,
        asked_at=None if asked is None else NOW - asked,
        retry_at=retry_at,
        is_accepted=is_accepted,
        unknown_since=unknown_since,
        is_held=is_held,
        is_payable=is_payable,
    )
    return next_step(progress, now=NOW, key_lifetime=DAY, has_payouts=True)


def test_each_state_has_its_step() -> None:
    soon = timedelta(minutes=1)
    assert step("created") == "ask_transfer"
    assert step("transferring", asked=soon) == "repeat_transfer"
    assert step("transferring", asked=soon, is_accepted=True) == "watch_transfer"
    assert step("transferred") == "ask_send"
    assert step("sending", asked=soon) == "repeat_send"
    assert step("sent") == "watch"
    assert step("reversing", asked=soon) == "repeat_reverse"
    assert {step(state) for state in ENDED} == {"none"}


def test_a_provider_that_sends_by_itself_is_not_asked_to() -> None:
    progress = PayoutProgress(state="transferred")
    assert next_step(progress, now=NOW, key_lifetime=DAY, has_payouts=False) == "end_at_account"


def test_a_key_that_may_be_forgotten_is_not_repeated() -> None:
    assert step("transferring", asked=DAY - timedelta(hours=1, seconds=1)) == "repeat_transfer"
    assert step("transferring", asked=DAY - timedelta(hours=1)) == "find_transfer"
    assert step("sending", asked=3 * DAY) == "find_send"
    assert step("reversing", asked=3 * DAY) == "find_reverse"


def test_an_unknown_outcome_is_looked_for_at_once() -> None:
    assert step("transferring", asked=timedelta(), unknown_since=NOW) == "find_transfer"


def test_no_new_money_is_asked_for_while_a_payout_is_held_or_its_shop_is_not_in_order() -> None:
    for held, payable in ((True, True), (False, False)):
        assert step("created", is_held=held, is_payable=payable) == "none"
        assert step("transferred", is_held=held, is_payable=payable) == "none"
        # What was asked for may have happened: it is found out all the same.
        now = timedelta()
        assert step("sending", asked=now, is_held=held, is_payable=payable) == "repeat_send"


def test_what_was_refused_waits_longer_each_time() -> None:
    assert step("created", retry_at=NOW + timedelta(seconds=1)) == "none"
    assert step("created", retry_at=NOW) == "ask_transfer"
    hour = timedelta(hours=1)
    assert [wait_before(attempt, hour) / hour for attempt in (1, 2, 3)] == [1, 4, 16]


def test_refusals_and_returns_end_after_so_many_attempts() -> None:
    assert after_refusal("transfer", 1, try_later=True) == "created"
    assert after_refusal("transfer", ATTEMPTS_MAX, try_later=True) == "failed"
    assert after_refusal("transfer", 1, try_later=False) == "failed"
    assert after_refusal("send", 1, try_later=True) == "transferred"
    assert after_refusal("send", 1, try_later=False) == "reversing"
    assert after_return(1) == "transferred"
    assert after_return(ATTEMPTS_MAX) == "reversing"


@pytest.mark.parametrize("state", STATES)
def test_only_what_nobody_was_asked_for_can_be_canceled(state: PayoutState) -> None:
    if state == "created":
        require_cancelable(state)
        return
    with pytest.raises(Conflict) as refused:
        require_cancelable(state)
    assert refused.value.code == ("payout.over" if state in ENDED else "payout.under_way")


def test_whatever_may_have_moved_money_is_an_asking_state() -> None:
    """A state that is left by an outside call is entered by a commit that says so."""
    assert set(ASKING) == {"transferring", "sending", "reversing"}
