r"""Payment intents.

requires_payment --card--> succeeded             (captured at once)
  |    \--card--> authorized --capture--> succeeded
  |                   \--cancelled, or its time is over--> canceled
  |--card that asks for 3-D Secure--> requires_action --approved--> as above; refused--> requires_payment
   \--cancelled--> canceled
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from feira.platform.gateways.payments.sandbox.books import (
    MARKET,
    ApiError,
    found,
    move,
    new_id,
    tell,
)
from feira.platform.gateways.payments.sandbox.cards import CARDS, Card, fee_minor
from feira.platform.gateways.payments.sandbox.disputes import open_dispute
from feira.platform.gateways.payments.sandbox.requests import (
    CaptureIntent,
    ConfirmIntent,
    CreateIntent,
    OpenDispute,
)
from feira.platform.gateways.payments.sandbox.wire import Capture, IntentObject, IntentState

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection

AUTHORIZATION_LASTS_S: Final = 7 * 24 * 3600

_INTENT: Final = """
    id, state, amount_minor, currency, capture, captured_minor, fee_minor, refunded_minor, transferred_minor,
    last_decline_code, authorized_until, transfer_group, metadata::text AS metadata, return_url, refunds_do,
    disputed_as, capture_at IS NOT NULL AS under_way, webhook_delay_s, webhook_duplicates
"""
_READ_INTENT: Final = f"SELECT {_INTENT} FROM sandbox.payment_intents WHERE id = $1"  # noqa: S608
_LOCK_INTENT: Final = f"{_READ_INTENT} FOR UPDATE"


class StoredIntent(msgspec.Struct, frozen=True, kw_only=True):
    """`under_way`: the bank has not said yet."""

    id: str
    state: IntentState
    amount_minor: int
    currency: str
    capture: Capture
    captured_minor: int
    fee_minor: int
    refunded_minor: int
    transferred_minor: int
    last_decline_code: str
    authorized_until: datetime | None
    transfer_group: str
    metadata: str
    return_url: str
    refunds_do: str
    disputed_as: str
    under_way: bool
    webhook_delay_s: int
    webhook_duplicates: int

    def shown(self, payment_page_url: str) -> IntentObject:
        return IntentObject(
            id=self.id,
            state="processing" if self.under_way else self.state,
            amount_minor=self.amount_minor,
            currency=self.currency,
            capture=self.capture,
            captured_minor=self.captured_minor,
            fee_minor=self.fee_minor,
            refunded_minor=self.refunded_minor,
            transferred_minor=self.transferred_minor,
            last_decline_code=self.last_decline_code,
            authorized_until=self.authorized_until,
            payment_page_url=payment_page_url,
            group=self.transfer_group,
            metadata=msgspec.json.decode(self.metadata, type=dict[str, str]),
        )


async def create_intent(con: Connection, request: CreateIntent) -> StoredIntent:
    intent_id = new_id("pi")
    await con.execute(
        "INSERT INTO sandbox.payment_intents"
        " (id, amount_minor, currency, state, return_url, metadata, capture, transfer_group)"
        " VALUES ($1, $2, $3, 'requires_payment', $4, $5::text::jsonb, $6, $7)",
        intent_id,
        request.amount_minor,
        request.currency,
        request.return_url,
        msgspec.json.encode(request.metadata).decode(),
        request.capture,
        request.group,
    )
    return await read_intent(con, intent_id)


async def read_intent(con: Connection, intent_id: str) -> StoredIntent:
    return found(await con.fetchrow(_READ_INTENT, intent_id), StoredIntent)


async def lock_intent(con: Connection, intent_id: str) -> StoredIntent:
    return found(await con.fetchrow(_LOCK_INTENT, intent_id), StoredIntent)


async def confirm_intent(con: Connection, intent_id: str, request: ConfirmIntent) -> StoredIntent:
    """Try a card: it pays now or later, wants the buyer's approval first, or is declined."""
    intent = await lock_intent(con, intent_id)
    if intent.state != "requires_payment":
        raise ApiError(409, "intent_unexpected_state", f"The payment is {intent.state}.")
    if intent.under_way:
        raise ApiError(409, "payment_under_way", "A payment of this is under way; wait for it.")
    card = CARDS.get(request.card)
    if card is None:
        raise ApiError(422, "unknown_card", f"Use one of the test cards: {', '.join(CARDS)}.")
    if card.decline_code:
        await _decline(con, intent_id, card.decline_code, request)
    elif card.needs_approval:
        await _put_card(con, intent_id, card, request)
        await con.execute(
            "UPDATE sandbox.payment_intents SET state = 'requires_action' WHERE id = $1", intent_id
        )
        await tell(con, "payment_intent.requires_action", intent_id)
    else:
        await _put_card(con, intent_id, card, request)
        await _pay(con, intent_id, float(request.delay_s))
    return await read_intent(con, intent_id)


async def answer_challenge(con: Connection, intent_id: str, *, approved: bool) -> StoredIntent:
    """The buyer came back from the bank's 3-D Secure page."""
    intent = await lock_intent(con, intent_id)
    if intent.state != "requires_action":
        raise ApiError(409, "intent_unexpected_state", f"The payment is {intent.state}.")
    await con.execute(
        "UPDATE sandbox.payment_intents SET state = 'requires_payment' WHERE id = $1", intent_id
    )
    if approved:
        await _pay(con, intent_id, 0.0)
    else:
        await _decline(con, intent_id, "authentication_failed", None)
    return await read_intent(con, intent_id)


async def settle(con: Connection, intent_id: str) -> None:
    """The bank says yes to a locked intent whose outcome is due: the money is reserved, or taken."""
    intent = await read_intent(con, intent_id)
    assert intent.state == "requires_payment", "only an unpaid intent has a payment under way"
    if intent.capture == "automatic":
        await _capture(con, intent, intent.amount_minor)
        return
    await con.execute(
        "UPDATE sandbox.payment_intents SET state = 'authorized', capture_at = NULL,"
        " authorized_until = now() + make_interval(secs => $2::float8) WHERE id = $1",
        intent_id,
        float(AUTHORIZATION_LASTS_S),
    )
    await _tell_as_asked(con, "payment_intent.authorized", intent)


async def capture_intent(con: Connection, intent_id: str, request: CaptureIntent) -> StoredIntent:
    """Take what was authorised, or a part of it."""
    intent = await lock_intent(con, intent_id)
    if intent.state != "authorized":
        raise ApiError(409, "intent_unexpected_state", f"The payment is {intent.state}.")
    amount_minor = request.amount_minor or intent.amount_minor
    if amount_minor > intent.amount_minor:
        raise ApiError(
            422, "capture_exceeds_payment", f"Only {intent.amount_minor} minor units are reserved."
        )
    await _capture(con, intent, amount_minor)
    return await read_intent(con, intent_id)


async def cancel_intent(con: Connection, intent_id: str) -> StoredIntent:
    """Close an intent whose money was not taken; a payment under way is dropped."""
    intent = await lock_intent(con, intent_id)
    if intent.state == "succeeded":
        raise ApiError(409, "intent_unexpected_state", "The payment has succeeded; refund it.")
    if intent.state != "canceled":
        await end_authorization(con, intent_id)
    return await read_intent(con, intent_id)


async def end_authorization(con: Connection, intent_id: str) -> None:
    """Cancel a locked intent that nobody captured."""
    await con.execute(
        "UPDATE sandbox.payment_intents SET state = 'canceled', capture_at = NULL, authorized_until = NULL WHERE id = $1",
        intent_id,
    )
    await tell(con, "payment_intent.canceled", intent_id)


async def expire_authorization(con: Connection, intent_id: str) -> StoredIntent:
    intent = await lock_intent(con, intent_id)
    if intent.state != "authorized":
        raise ApiError(409, "intent_unexpected_state", f"The payment is {intent.state}.")
    await end_authorization(con, intent_id)
    return await read_intent(con, intent_id)


async def _pay(con: Connection, intent_id: str, delay_s: float) -> None:
    await con.execute(
        "UPDATE sandbox.payment_intents SET capture_at = now() + make_interval(secs => $2::float8) WHERE id = $1",
        intent_id,
        delay_s,
    )
    if delay_s == 0:
        await settle(con, intent_id)


async def _put_card(con: Connection, intent_id: str, card: Card, request: ConfirmIntent) -> None:
    await con.execute(
        "UPDATE sandbox.payment_intents SET refunds_do = $2, disputed_as = $3, webhook_delay_s = $4,"
        " webhook_duplicates = $5, last_decline_code = '' WHERE id = $1",
        intent_id,
        card.refunds_do,
        card.disputed_as,
        request.webhook_delay_s,
        request.duplicates,
    )


async def _capture(con: Connection, intent: StoredIntent, amount_minor: int) -> None:
    fee = fee_minor(amount_minor)
    await con.execute(
        "UPDATE sandbox.payment_intents SET state = 'succeeded', captured_minor = $2, fee_minor = $3,"
        " capture_at = NULL, authorized_until = NULL WHERE id = $1",
        intent.id,
        amount_minor,
        fee,
    )
    await move(
        con,
        "charge",
        account=MARKET,
        currency=intent.currency,
        amount_minor=amount_minor,
        fee_minor=fee,
        source=intent.id,
    )
    await _tell_as_asked(con, "payment_intent.succeeded", intent)
    if intent.disputed_as:
        await open_dispute(con, OpenDispute(payment_intent=intent.id, reason=intent.disputed_as))


async def _decline(
    con: Connection, intent_id: str, decline_code: str, request: ConfirmIntent | None
) -> None:
    await con.execute(
        "UPDATE sandbox.payment_intents SET last_decline_code = $2 WHERE id = $1",
        intent_id,
        decline_code,
    )
    await tell(
        con,
        "payment_intent.declined",
        intent_id,
        delay_s=request.webhook_delay_s if request else 0,
        duplicates=request.duplicates if request else 0,
    )


async def _tell_as_asked(con: Connection, kind: str, intent: StoredIntent) -> None:
    await tell(
        con,
        kind,
        intent.id,
        delay_s=intent.webhook_delay_s,
        duplicates=intent.webhook_duplicates,
    )
