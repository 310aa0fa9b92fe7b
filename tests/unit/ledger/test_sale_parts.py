"""How parts of a sale divide among buyer, shop and market: exact, and nobody gives back what they never had."""

from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.money import AMOUNT_MINOR_MAX, portion
from tests.unit.ledger.book import sale

amounts = st.one_of(
    st.integers(min_value=1, max_value=30), st.integers(min_value=1, max_value=AMOUNT_MINOR_MAX)
)


@given(total=amounts, data=st.data())
def test_parts_add_up_to_the_frozen_whole_and_never_go_below_zero(
    total: int, data: st.DataObject
) -> None:
    subsidy = data.draw(st.one_of(st.just(0), st.integers(0, 2 * total)))
    commission = data.draw(st.integers(0, total + subsidy))
    order = sale(total, commission, subsidy=subsidy)
    shop = commissions = subsidies = before = 0
    while before < total:
        amount = (
            data.draw(st.integers(max(1, total // 7), total - before))
            if before < total - max(1, total // 7)
            else total - before
        )
        part = order.part(before_minor=before, amount_minor=amount)
        before += amount
        assert part.shop_minor >= 0
        assert part.commission_minor >= 0
        shop += part.shop_minor
        commissions += part.commission_minor
        subsidies += part.subsidy_minor
        assert order.left(before).shop_minor == total + subsidy - commission - shop >= 0
        assert order.left(before).commission_minor == commission - commissions >= 0
        assert subsidies >= 0
    assert (shop, commissions, subsidies) == (total + subsidy - commission, commission, subsidy)


@given(total=amounts, data=st.data())
def test_without_a_subsidy_the_shop_has_what_the_market_leaves(
    total: int, data: st.DataObject
) -> None:
    order = sale(total, data.draw(st.integers(0, total)))
    amount = data.draw(st.integers(0, total))
    part = order.part(before_minor=0, amount_minor=amount)
    assert part.commission_minor == portion(order.commission_minor, amount, total)
    assert part.subsidy_minor == 0
    assert part.shop_minor == amount - part.commission_minor


def test_a_free_order_gives_the_shop_the_markets_subsidy() -> None:
    left = sale(0, 100, subsidy=1_000).left(0)
    assert (left.shop_minor, left.commission_minor, left.subsidy_minor) == (900, 100, 1_000)
