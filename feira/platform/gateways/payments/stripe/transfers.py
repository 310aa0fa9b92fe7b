"""Sellers' money: from the market's balance to their accounts, and from there to their banks.

Separate charges and transfers: a transfer out of a captured payment (`source_transaction`) needs no money that is
available already, and fails rather than take another payment's. Payouts are made on the connected account, by us alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from feira.platform.gateways.payments.objects import (
    Payout,
    PayoutState,
    Transfer,
    TransferReversal,
)
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.stripe import amounts, wire
from feira.platform.gateways.payments.stripe.intents import StripeIntents
from feira.platform.gateways.payments.stripe.times import moment, unix_s

if TYPE_CHECKING:
    from stripe.params import TransferCreateParams

_PAYOUT_STATES: Final[dict[str, PayoutState]] = {
    "pending": "pending",
    "in_transit": "pending",
    "paid": "paid",
    "failed": "failed",
    "canceled": "canceled",
}


class StripeTransfers(StripeIntents):
    """Transfers, reversals and payouts."""

    async def transfer(
        self,
        *,
        account: str,
        amount_minor: int,
        currency: str,
        group: str,
        client_reference: str,
        idempotency_key: str,
        intent_reference: str | None = None,
    ) -> Transfer:
        asked: TransferCreateParams = {
            "destination": account,
            "amount": amounts.to_units(amount_minor, currency, "charge"),
            "currency": currency.lower(),
            "metadata": {"client_reference": client_reference},
        }
        if group:
            asked["transfer_group"] = group
        if intent_reference is not None:
            asked["source_transaction"] = await self._captured_charge(intent_reference)
        call = self.stripe.v1.transfers.create_async(asked, {"idempotency_key": idempotency_key})
        return _transfer(await self.stripe.ask(call, wire.Transfer))

    async def fetch_transfer(self, reference: str) -> Transfer:
        return _transfer(await self._fetch(reference))

    async def list_transfers(self, group: str, *, since: datetime) -> list[Transfer]:
        transfers = self.stripe.all_of(
            lambda page: self.stripe.v1.transfers.list_async(
                {
                    "transfer_group": group,
                    "created": {"gte": unix_s(since)},
                    "limit": 100,
                    **page,
                }
            ),
            wire.Transfer,
        )
        return [_transfer(transfer) async for transfer in transfers]

    async def reverse_transfer(
        self,
        reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> TransferReversal:
        currency = (await self._fetch(reference)).currency.upper()
        call = self.stripe.v1.transfers.reversals.create_async(
            reference,
            {
                "amount": amounts.to_units(amount_minor, currency, "charge"),
                "metadata": {"client_reference": client_reference},
            },
            {"idempotency_key": idempotency_key},
        )
        return _reversal(await self.stripe.ask(call, wire.TransferReversal))

    async def list_reversals(self, transfer_reference: str) -> list[TransferReversal]:
        reversals = self.stripe.all_of(
            lambda page: self.stripe.v1.transfers.reversals.list_async(
                transfer_reference, {"limit": 100, **page}
            ),
            wire.TransferReversal,
        )
        return [_reversal(reversal) async for reversal in reversals]

    async def payout(
        self,
        *,
        account: str,
        amount_minor: int,
        currency: str,
        client_reference: str,
        idempotency_key: str,
    ) -> Payout:
        call = self.stripe.v1.payouts.create_async(
            {
                "amount": amounts.to_units(amount_minor, currency, "payout"),
                "currency": currency.lower(),
                "metadata": {"client_reference": client_reference},
            },
            {"idempotency_key": idempotency_key, "stripe_account": account},
        )
        return _payout(await self.stripe.ask(call, wire.Payout), account)

    async def fetch_payout(self, reference: str, *, account: str) -> Payout:
        call = self.stripe.v1.payouts.retrieve_async(reference, {}, {"stripe_account": account})
        return _payout(await self.stripe.ask(call, wire.Payout), account)

    async def list_payouts(self, account: str, *, since: datetime) -> list[Payout]:
        payouts = self.stripe.all_of(
            lambda page: self.stripe.v1.payouts.list_async(
                {"created": {"gte": unix_s(since)}, "limit": 100, **page},
                {"stripe_account": account},
            ),
            wire.Payout,
        )
        return [_payout(payout, account) async for payout in payouts]

    async def _fetch(self, reference: str) -> wire.Transfer:
        return await self.stripe.ask(
            self.stripe.v1.transfers.retrieve_async(reference), wire.Transfer
        )

    async def _captured_charge(self, intent_reference: str) -> str:
        payment = (await self.session(intent_reference)).payment_intent
        if payment is None or payment.latest_charge is None or payment.amount_received == 0:
            raise GatewayRefused(
                "unexpected_state", "nothing of this was captured.", provider_code="not_captured"
            )
        return payment.latest_charge.id


def _transfer(transfer: wire.Transfer) -> Transfer:
    currency = transfer.currency.upper()
    return Transfer(
        reference=transfer.id,
        account=transfer.destination or "",
        state="reversed" if transfer.reversed else "made",
        amount_minor=amounts.from_units(transfer.amount, currency),
        reversed_minor=amounts.from_units(transfer.amount_reversed, currency),
        currency=currency,
        group=transfer.transfer_group or "",
        client_reference=wire.client_reference(transfer.metadata),
    )


def _reversal(reversal: wire.TransferReversal) -> TransferReversal:
    return TransferReversal(
        reference=reversal.id,
        transfer_reference=reversal.transfer,
        amount_minor=amounts.from_units(reversal.amount, reversal.currency.upper()),
        client_reference=wire.client_reference(reversal.metadata),
    )


def _payout(payout: wire.Payout, account: str) -> Payout:
    currency = payout.currency.upper()
    return Payout(
        reference=payout.id,
        account=account,
        state=_PAYOUT_STATES.get(payout.status, "pending"),
        amount_minor=amounts.from_units(payout.amount, currency),
        currency=currency,
        client_reference=wire.client_reference(payout.metadata),
        failure_code=payout.failure_code or "",
        arrives_on=moment(payout.arrival_date).date(),
    )
