"""The offer machine: every status against every command, and random haggling that ends once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.offers import (
    AcceptOffer,
    CounterOffer,
    DeclineOffer,
    ExpireOffer,
    OfferCommand,
    OfferState,
    OfferStatus,
    Side,
    WithdrawOffer,
    allowed_actions,
    decide,
    other_side,
)
from feira.platform.domain.order_rejections import Rejection

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMANDS: Final[dict[str, OfferCommand | ExpireOffer]] = {
    "accept": AcceptOffer(),
    "counter": CounterOffer(unit_price_minor=900),
    "decline": DeclineOffer(),
    "withdraw": WithdrawOffer(),
    "expire": ExpireOffer(),
}
BECOMES: Final = {
    "accept": "accepted",
    "counter": "countered",
    "decline": "declined",
    "withdraw": "withdrawn",
    "expire": "expired",
}
SIDES: Final[tuple[Side, ...]] = get_args(Side)
STATUSES: Final[tuple[OfferStatus, ...]] = get_args(OfferStatus)
# Who may end an open offer that the buyer made, by command: while it is valid, and after.
TABLE: Final = """
            valid           over
accept      seller          -
counter     seller          -
decline     seller          -
withdraw    buyer           -
expire      -               timer
"""


def offer(side: Side = "buyer", status: OfferStatus = "open") -> OfferState:
    return OfferState(side=side, status=status, expires_at=NOW + timedelta(hours=1))


def swapped(actor: str) -> str:
    return {"buyer": "seller", "seller": "buyer"}.get(actor, actor)


@pytest.mark.parametrize("made_by", SIDES)
def test_an_open_offer_is_ended_by_those_in_the_table_and_by_nobody_else(made_by: Side) -> None:
    _, *lines = TABLE.strip("\n").splitlines()
    wrong: list[str] = []
    for line in lines:
        name, *cells = line.split()
        for now, cell in zip((NOW, NOW + timedelta(hours=1)), cells, strict=True):
            may = cell if made_by == "buyer" else swapped(cell)
            for actor in (*SIDES, "timer"):
                side = None if actor == "timer" else actor
                outcome = decide(offer(made_by), COMMANDS[name], side, now)
                expected = BECOMES[name] if actor == may else None
                happened = None if isinstance(outcome, Rejection) else outcome
                if happened != expected:
                    wrong.append(f"{name} by {actor} of the {made_by}'s at {now}: {outcome}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "open"])
@pytest.mark.parametrize("name", COMMANDS)
def test_an_offer_that_is_over_stays_as_it_is_and_says_how_it_ended(
    status: OfferStatus, name: str
) -> None:
    for side in (*SIDES, None):
        for hours in (0, 2):
            outcome = decide(
                offer(status=status), COMMANDS[name], side, NOW + timedelta(hours=hours)
            )
            assert isinstance(outcome, Rejection)
            assert (outcome.kind, outcome.code) == ("conflict", f"offer.{status}")


def test_from_the_last_second_on_an_offer_counts_as_expired_to_everybody() -> None:
    state = offer()
    before, at = state.expires_at - timedelta(microseconds=1), state.expires_at
    assert decide(state, AcceptOffer(), "seller", before) == "accepted"
    late = decide(state, AcceptOffer(), "seller", at)
    assert isinstance(late, Rejection)
    assert (late.kind, late.code) == ("conflict", "offer.expired")


def test_the_wrong_side_is_told_so_and_not_that_the_offer_moved() -> None:
    outcome = decide(offer("seller"), AcceptOffer(), "seller", NOW)
    assert isinstance(outcome, Rejection)
    assert outcome.kind == "role"


@given(
    made_by=st.sampled_from(SIDES),
    status=st.sampled_from(STATUSES),
    side=st.sampled_from(SIDES),
    minutes=st.integers(0, 120),
)
def test_the_actions_that_are_shown_are_those_that_are_accepted(
    made_by: Side, status: OfferStatus, side: Side, minutes: int
) -> None:
    state, now = offer(made_by, status), NOW + timedelta(minutes=minutes)
    accepted = {
        name
        for name, command in COMMANDS.items()
        if not isinstance(decide(state, command, side, now), Rejection)
    }
    assert set(allowed_actions(state, side, now)) == accepted


@given(
    made_by=st.sampled_from(SIDES),
    steps=st.lists(
        st.tuples(
            st.sampled_from(sorted(COMMANDS)), st.sampled_from((*SIDES, None)), st.integers(0, 40)
        ),
        max_size=12,
    ),
)
def test_however_often_it_is_answered_an_offer_ends_at_most_once(
    made_by: Side, steps: list[tuple[str, Side | None, int]]
) -> None:
    state, now, endings = offer(made_by), NOW, 0
    for name, side, minutes in steps:
        now += timedelta(minutes=minutes)
        outcome = decide(state, COMMANDS[name], side, now)
        if isinstance(outcome, Rejection):
            continue
        endings += 1
        assert outcome == BECOMES[name]
        # Nobody says yes to their own price.
        assert side != made_by or outcome == "withdrawn"
        assert (outcome == "expired") == (now >= state.expires_at)
        state = msgspec.structs.replace(state, status=outcome)
    assert endings <= 1
    assert (state.status == "open") == (endings == 0)


def test_the_sides_are_each_others_other() -> None:
    assert [other_side(side) for side in SIDES] == ["seller", "buyer"]
