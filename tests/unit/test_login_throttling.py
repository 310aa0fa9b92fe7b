"""How long the pauses are, and what counts as one address."""

import pytest

from feira.services.users.throttling import EMAIL_LIMIT, Limit, address_subject, pause_s


def test_pauses_begin_after_the_free_tries_and_double_up_to_the_longest() -> None:
    limit = Limit(free=3, block_s=10, block_s_max=60)
    assert [pause_s(limit, tries) for tries in range(1, 8)] == [0, 0, 10, 20, 40, 60, 60]


def test_a_huge_count_is_the_longest_pause_and_no_overflow() -> None:
    assert pause_s(EMAIL_LIMIT, 10**9) == EMAIL_LIMIT.block_s_max


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("203.0.113.7", "address:203.0.113.7"),
        ("::ffff:203.0.113.7", "address:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "address:2001:db8:1:2::/64"),
    ],
)
def test_an_ipv6_customer_is_one_subject_whatever_address_they_take(
    address: str, subject: str
) -> None:
    assert address_subject(address) == subject
