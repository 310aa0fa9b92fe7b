"""PayPal's objects, as far as we read them. Amounts are decimal strings, times RFC 3339."""

from __future__ import annotations

from datetime import datetime

import msgspec


class _Object(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Token(_Object, frozen=True, kw_only=True):
    access_token: str
    expires_in: int


class Money(_Object, frozen=True, kw_only=True):
    currency_code: str
    value: str


class Link(_Object, frozen=True, kw_only=True):
    href: str
    rel: str


class StatusDetails(_Object, frozen=True, kw_only=True):
    reason: str = ""


class Breakdown(_Object, frozen=True, kw_only=True):
    paypal_fee: Money | None = None


class RelatedIds(_Object, frozen=True, kw_only=True):
    order_id: str = ""


class Supplementary(_Object, frozen=True, kw_only=True):
    related_ids: RelatedIds = RelatedIds()


class Capture(_Object, frozen=True, kw_only=True):
    id: str
    status: str
    amount: Money
    status_details: StatusDetails = StatusDetails()
    seller_receivable_breakdown: Breakdown = Breakdown()
    supplementary_data: Supplementary = Supplementary()


class Authorization(_Object, frozen=True, kw_only=True):
    id: str
    status: str
    status_details: StatusDetails = StatusDetails()
    expiration_time: datetime | None = None


class Refund(_Object, frozen=True, kw_only=True):
    id: str
    status: str
    amount: Money
    custom_id: str = ""
    status_details: StatusDetails = StatusDetails()
    links: tuple[Link, ...] = ()


class Payments(_Object, frozen=True, kw_only=True):
    captures: tuple[Capture, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    refunds: tuple[Refund, ...] = ()


class PurchaseUnit(_Object, frozen=True, kw_only=True):
    amount: Money
    custom_id: str = ""
    payments: Payments = Payments()


class Order(_Object, frozen=True, kw_only=True):
    id: str
    status: str
    intent: str
    purchase_units: tuple[PurchaseUnit, ...]
    links: tuple[Link, ...] = ()


class Referral(_Object, frozen=True, kw_only=True):
    links: tuple[Link, ...]


class MerchantName(_Object, frozen=True, kw_only=True):
    merchant_id: str


class Merchant(_Object, frozen=True, kw_only=True):
    """A seller who gave the market permission."""

    merchant_id: str
    payments_receivable: bool = False
    primary_email_confirmed: bool = False


class PayoutMoney(_Object, frozen=True, kw_only=True):
    currency: str
    value: str


class SenderHeader(_Object, frozen=True, kw_only=True):
    sender_batch_id: str = ""


class BatchHeader(_Object, frozen=True, kw_only=True):
    payout_batch_id: str
    batch_status: str
    amount: PayoutMoney | None = None
    sender_batch_header: SenderHeader = SenderHeader()


class PayoutItem(_Object, frozen=True, kw_only=True):
    amount: PayoutMoney
    receiver: str
    note: str = ""
    sender_item_id: str = ""


class ItemErrors(_Object, frozen=True, kw_only=True):
    name: str = ""


class BatchItem(_Object, frozen=True, kw_only=True):
    payout_item: PayoutItem
    transaction_status: str = ""
    errors: ItemErrors = ItemErrors()


class Batch(_Object, frozen=True, kw_only=True):
    batch_header: BatchHeader
    items: tuple[BatchItem, ...] = ()


class Outcome(_Object, frozen=True, kw_only=True):
    outcome_code: str = ""


class DisputedTransaction(_Object, frozen=True, kw_only=True):
    seller_transaction_id: str = ""


class Dispute(_Object, frozen=True, kw_only=True):
    dispute_id: str
    status: str
    reason: str
    dispute_amount: Money
    dispute_life_cycle_stage: str = ""
    dispute_outcome: Outcome = Outcome()
    disputed_transactions: tuple[DisputedTransaction, ...] = ()
    seller_response_due_date: datetime | None = None


class Issue(_Object, frozen=True, kw_only=True):
    issue: str = ""
    field: str = ""


class Refusal(_Object, frozen=True, kw_only=True):
    """Its error answer; `links` of a batch that exists already lead to it."""

    name: str = ""
    message: str = ""
    details: tuple[Issue, ...] = ()
    links: tuple[Link, ...] = ()


class EventHeader(_Object, frozen=True, kw_only=True):
    payout_batch_id: str = ""


class EventResource(_Object, frozen=True, kw_only=True):
    """What an event is about: of an order its id, of what belongs to one its order's."""

    id: str = ""
    supplementary_data: Supplementary = Supplementary()
    batch_header: EventHeader = EventHeader()
    payout_batch_id: str = ""
    tracking_id: str = ""
    dispute_id: str = ""


class Event(_Object, frozen=True, kw_only=True):
    id: str
    event_type: str
    # Read further only where the event is of a kind that counts: others have any shape.
    resource: msgspec.Raw = msgspec.Raw(b"{}")


class Events(_Object, frozen=True, kw_only=True):
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()


class Verification(_Object, frozen=True, kw_only=True):
    verification_status: str


def link(links: tuple[Link, ...], *rels: str) -> str:
    """The first link of that kind, or nothing."""
    return next((one.href for rel in rels for one in links if one.rel == rel), "")
