"""Where a chargeback goes, and how it divides."""

from __future__ import annotations

from itertools import product
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.chargebacks import (
    DECIDED,
    GIVEN_BACK,
    ChargebackState,
    ProviderState,
    divide,
    move,
)

NEWS: tuple[ProviderState, ...] = get_args(ProviderState)
MOVES = tuple(word for word in NEWS if word != "inquiry")


@given(st.lists(st.sampled_from(NEWS), min_size=1, max_size=12))
def test_whatever_news_comes_the_money_goes_once_and_comes_back_once(
    news: list[ProviderState],
) -> None:
    state: ChargebackState | None = None
    effects: list[str] = []
    for word in news:
        movement = move(state, word)
        if movement is not None:
            state = movement.state
            effects += movement.effects
            assert move(state, word) is None
    assert effects.count("open") == any(word in MOVES for word in news)
    assert effects[:1] in ([], ["open"])
    assert effects.count("win") + effects.count("lose") <= 1
    assert effects.count("reinstate") <= effects.count("lose")
    gives_back = effects.count("win") + effects.count("reinstate")
    assert gives_back == (state in GIVEN_BACK)
    if "won" in news:
        assert state in GIVEN_BACK


def test_a_decision_is_only_changed_in_the_shop_s_favour() -> None:
    for state, word in product(DECIDED, NEWS):
        movement = move(state, word)
        assert (movement is not None) == ((state, word) == ("lost", "won"))


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 100)), min_size=1, max_size=6),
    st.data(),
)
def test_shares_add_up_and_stay_within_what_was_left_as_far_as_that_goes(
    orders: list[tuple[int, int]], data: st.DataObject
) -> None:
    totals = [total for total, _ in orders]
    left = [total * share // 100 for total, share in orders]
    amount = data.draw(st.integers(1, sum(totals)))
    parts = divide(amount, totals=totals, left=left)
    assert sum(parts) == amount
    if amount <= sum(left):
        assert all(part <= most for part, most in zip(parts, left, strict=True))
    else:
        assert all(part >= least for part, least in zip(parts, left, strict=True))
