import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.commission import commission_given_back, commission_on, commission_part
from feira.platform.domain.money import AMOUNT_MINOR_MAX

amounts = st.integers(min_value=0, max_value=AMOUNT_MINOR_MAX)


@pytest.mark.parametrize(
    ("amount_minor", "basis_points", "expected"),
    [
        (10_000, 1_000, 1_000),  # 100.00 EUR at 10 %
        (3_333, 1_000, 333),
        (3_335, 1_000, 334),  # half a cent goes up
        (5, 1_000, 1),  # 5 yen: 0.5 goes up
        (12_345, 1_000, 1_235),  # 12.345 KWD: three digits
        (1, 0, 0),
        (1, 10_000, 1),
    ],
)
def test_commission_is_rounded_half_up(amount_minor: int, basis_points: int, expected: int) -> None:
    assert commission_on(amount_minor, basis_points) == expected


@given(total=amounts, data=st.data())
def test_what_refunds_give_back_adds_up_to_the_frozen_commission(
    total: int, data: st.DataObject
) -> None:
    commission = data.draw(st.integers(min_value=0, max_value=total))
    given_back, refunded = 0, 0
    while refunded < total:
        part = data.draw(st.integers(min_value=max(1, total // 5), max_value=max(1, total)))
        part = min(part, total - refunded)
        back = commission_given_back(
            total_minor=total,
            commission_minor=commission,
            refunded_before_minor=refunded,
            refund_minor=part,
        )
        assert 0 <= back <= part, "the market never gives back more than the refund"
        given_back, refunded = given_back + back, refunded + part
    assert given_back == commission


@given(total=amounts, data=st.data())
def test_a_larger_part_never_has_less_commission(total: int, data: st.DataObject) -> None:
    commission = data.draw(st.integers(min_value=0, max_value=total))
    part = data.draw(st.integers(min_value=0, max_value=total))
    smaller = data.draw(st.integers(min_value=0, max_value=part))
    assert commission_part(total, commission, smaller) <= commission_part(total, commission, part)
