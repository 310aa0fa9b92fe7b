from collections import defaultdict
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain import ledger
from feira.platform.domain.ids import OrderId, PaymentId, RefundId, ShopId
from feira.platform.domain.ledger import LedgerTransaction, OrderShare, Sale
from feira.platform.domain.money import MINOR_DIGITS

ORDER = OrderId(UUID("0198f2c4-0000-7000-8000-000000000001"))
SHOP = ShopId(UUID("0198f2c4-0000-7000-8000-000000000002"))
PAYMENT = PaymentId(UUID("0198f2c4-0000-7000-8000-000000000003"))
REFUND = RefundId(UUID("0198f2c4-0000-7000-8000-000000000004"))

amounts = st.integers(min_value=1, max_value=10**12)
currencies = st.sampled_from(sorted(MINOR_DIGITS))


def sale(total: int, commission: int, currency: str = "EUR") -> Sale:
    return Sale(
        order_id=ORDER,
        shop_id=SHOP,
        currency=currency,
        total_minor=total,
        commission_minor=commission,
    )


def moved(*transactions: LedgerTransaction) -> dict[str, int]:
    """Balances by kind, in the accounts' normal direction, without zeros."""
    sums: defaultdict[str, int] = defaultdict(int)
    for transaction in transactions:
        for posting in transaction.postings:
            sums[posting.account.kind] += posting.account.in_normal_direction(posting.amount_minor)
    return {kind: amount for kind, amount in sums.items() if amount}


def capture(total: int, fee: int, currency: str = "EUR") -> LedgerTransaction:
    return ledger.captured(
        payment_id=PAYMENT,
        gateway="sandbox",
        currency=currency,
        orders=[OrderShare(order_id=ORDER, total_minor=total)],
        fee_minor=fee,
    )


def test_the_worked_example_goes_where_the_books_say() -> None:
    captured = capture(10_000, 320)
    assert moved(captured) == {"psp": 9_680, "fees": 320, "hold": 10_000}

    completed = ledger.completed(sale(10_000, 1_000), refunded_minor=0)
    assert moved(captured, completed) == {
        "psp": 9_680,
        "fees": 320,
        "pending": 9_000,
        "commission": 1_000,
    }


def test_a_refund_before_release_leaves_the_rest_to_the_shop_and_the_market() -> None:
    captured = capture(10_000, 320)
    requested = ledger.refund_requested(
        refund_id=REFUND, order_id=ORDER, currency="EUR", amount_minor=4_000
    )
    assert moved(captured, requested)["refund_payable"] == 4_000

    succeeded = ledger.refund_succeeded(
        refund_id=REFUND, order_id=ORDER, gateway="sandbox", currency="EUR", amount_minor=4_000
    )
    completed = ledger.completed(sale(10_000, 1_000), refunded_minor=4_000)
    assert moved(captured, requested, succeeded, completed) == {
        "psp": 5_680,
        "fees": 320,
        "pending": 5_400,
        "commission": 600,
    }


@pytest.mark.parametrize("released", [False, True])
def test_a_failed_refund_ends_as_if_it_had_never_been_asked_for(*, released: bool) -> None:
    order = sale(10_001, 1_001)
    requested = ledger.refund_requested(
        refund_id=REFUND, order_id=ORDER, currency="EUR", amount_minor=3_333
    )
    failed = ledger.refund_failed(
        order, refund_id=REFUND, amount_minor=3_333, other_refunds_minor=0, released=released
    )
    completed = ledger.completed(order, refunded_minor=3_333 if released else 0)
    untouched = ledger.completed(order, refunded_minor=0)

    captured = capture(10_001, 0)
    assert moved(captured, requested, failed, completed) == moved(captured, untouched)


@given(
    totals=st.lists(amounts, min_size=1, max_size=8),
    currency=currencies,
    fee_percent=st.integers(min_value=0, max_value=100),
)
def test_a_capture_balances_for_any_split_and_fee(
    totals: list[int], currency: str, fee_percent: int
) -> None:
    transaction = ledger.captured(
        payment_id=PAYMENT,
        gateway="sandbox",
        currency=currency,
        orders=[OrderShare(order_id=OrderId(uuid4()), total_minor=total) for total in totals],
        fee_minor=sum(totals) * fee_percent // 100,
    )
    assert sum(posting.amount_minor for posting in transaction.postings) == 0
    assert moved(transaction)["hold"] == sum(totals)


@given(total=amounts, currency=currencies, data=st.data())
def test_every_life_of_an_order_balances_and_empties_what_it_passes_through(
    total: int, currency: str, data: st.DataObject
) -> None:
    commission = data.draw(st.integers(min_value=0, max_value=total))
    order = sale(total, commission, currency)
    books = [capture(total, data.draw(st.integers(0, total)), currency)]
    promised, returned, pending = 0, 0, list[tuple[RefundId, int]]()
    for _ in range(data.draw(st.integers(0, 4))):
        if promised == total:
            break
        amount, refund = data.draw(st.integers(1, total - promised)), RefundId(uuid4())
        promised += amount
        pending.append((refund, amount))
        books.append(
            ledger.refund_requested(
                refund_id=refund, order_id=ORDER, currency=currency, amount_minor=amount
            )
        )

    completed_first = data.draw(st.booleans())
    if completed_first:
        books.append(ledger.completed(order, refunded_minor=promised))
    for refund, amount in pending:
        if data.draw(st.booleans()):
            returned += amount
            books.append(
                ledger.refund_succeeded(
                    refund_id=refund,
                    order_id=ORDER,
                    gateway="sandbox",
                    currency=currency,
                    amount_minor=amount,
                )
            )
        else:
            promised -= amount
            books.append(
                ledger.refund_failed(
                    order,
                    refund_id=refund,
                    amount_minor=amount,
                    other_refunds_minor=promised,
                    released=completed_first,
                )
            )
    if not completed_first:
        books.append(ledger.completed(order, refunded_minor=promised))

    for transaction in books:
        assert sum(posting.amount_minor for posting in transaction.postings) == 0
        assert all(posting.amount_minor for posting in transaction.postings)
    sums = moved(*books)
    assert "hold" not in sums
    assert "refund_payable" not in sums
    assert sums.get("pending", 0) + sums.get("commission", 0) == total - returned
    assert sums.get("commission", 0) >= 0
    assert sums.get("psp", 0) + sums.get("fees", 0) == total - returned


def test_the_same_effect_has_the_same_body_and_another_has_not() -> None:
    assert capture(100, 3).body_sha256 == capture(100, 3).body_sha256
    assert capture(100, 3).body_sha256 != capture(100, 4).body_sha256
    assert capture(100, 3).idem_key == capture(100, 4).idem_key
