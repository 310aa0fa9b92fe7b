"""Sellers' money: Route transfers to linked accounts, which Razorpay settles to their banks by itself.

A transfer can wait (`on_hold_until`), and be reversed as long as it waits. Out of a payment that was refunded there is
none. Our key stands in the notes, and is looked for before anything is made.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from feira.platform.gateways.payments.lacking import not_supported
from feira.platform.gateways.payments.objects import (
    Account,
    OnboardingLink,
    Transfer,
    TransferReversal,
    TransferState,
)
from feira.platform.gateways.payments.razorpay import wire
from feira.platform.gateways.payments.razorpay.intents import RazorpayIntents, notes_of
from feira.platform.gateways.payments.razorpay.part import (
    require_same,
    require_step,
)

_PAGE_SIZE: Final = 100
# A repeat of a direct transfer is looked for this far back.
_LOOK_BACK: Final = timedelta(days=7)
_STATES: Final[dict[str, TransferState]] = {
    "created": "pending",
    "pending": "pending",
    "processed": "made",
    "partially_reversed": "made",
    "reversed": "reversed",
    "failed": "failed",
}


class RazorpayTransfers(RazorpayIntents):
    """Linked accounts and what they get."""

    async def create_account(
        self,
        *,
        shop_name: str,  # noqa: ARG002
        country: str,  # noqa: ARG002
        idempotency_key: str,  # noqa: ARG002
    ) -> Account:
        raise not_supported(
            "Razorpay wants papers for a linked account: make it in its dashboard, then `feira shop-account`"
        )

    async def fetch_account(self, reference: str) -> Account:
        account = await self.razorpay.get(f"/v2/accounts/{reference}", wire.LinkedAccount)
        match account.status:
            case "created" | "activated":
                return Account(reference=account.id, status="verified")
            case "suspended" | "rejected" | "deleted":
                return Account(
                    reference=account.id, status="restricted", disabled_reason=account.status
                )
            case other:
                return Account(reference=account.id, status="pending", requirements=(other,))

    async def make_onboarding_link(
        self,
        reference: str,  # noqa: ARG002
        *,
        return_url: str,  # noqa: ARG002
        refresh_url: str,  # noqa: ARG002
    ) -> OnboardingLink:
        raise not_supported("Razorpay has no page on which a seller completes a linked account")

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
        item: dict[str, object] = {
            "account": account,
            "amount": require_step(amount_minor, currency),
            "currency": currency,
            "notes": notes_of(
                {"key": idempotency_key, "group": group, "client_reference": client_reference}
            ),
        }
        if self.settings.transfer_hold_s:
            item["on_hold"] = True
            item["on_hold_until"] = int(time.time()) + self.settings.transfer_hold_s
        async with self.one_at_a_time(idempotency_key):
            payment_id = ""
            if intent_reference is not None:
                payment_id = (await self.captured(intent_reference)).id
            made = await self._made(idempotency_key, payment_id)
            if made is None:
                made = await self._make(item, payment_id)
        require_same(made.amount, amount_minor)
        return _transfer(made)

    async def fetch_transfer(self, reference: str) -> Transfer:
        return _transfer(await self.razorpay.get(f"/v1/transfers/{reference}", wire.Transfer))

    async def list_transfers(self, group: str, *, since: datetime) -> list[Transfer]:
        found = await self._since(since)
        return [_transfer(one) for one in found if wire.note(one.notes, "group") == group]

    async def reverse_transfer(
        self,
        reference: str,
        *,
        amount_minor: int,
        client_reference: str,
        idempotency_key: str,
    ) -> TransferReversal:
        async with self.one_at_a_time(idempotency_key):
            for made in await self._reversals(reference):
                if wire.note(made.notes, "key") == idempotency_key:
                    require_same(made.amount, amount_minor)
                    return _reversal(made)
            notes = notes_of({"key": idempotency_key, "client_reference": client_reference})
            reversal = await self.razorpay.post(
                f"/v1/transfers/{reference}/reversals",
                {"amount": amount_minor, "notes": notes},
                wire.Reversal,
            )
        return _reversal(reversal)

    async def list_reversals(self, transfer_reference: str) -> list[TransferReversal]:
        return [_reversal(one) for one in await self._reversals(transfer_reference)]

    async def _made(self, key: str, payment_id: str) -> wire.Transfer | None:
        """The transfer that this key made before, out of a payment or out of the balance."""
        if payment_id:
            path = f"/v1/payments/{payment_id}/transfers"
            listed = (await self.razorpay.get(path, wire.Collection[wire.Transfer])).items
        else:
            listed = tuple(await self._since(datetime.now(UTC) - _LOOK_BACK))
        return next((one for one in listed if wire.note(one.notes, "key") == key), None)

    async def _make(self, item: dict[str, object], payment_id: str) -> wire.Transfer:
        if not payment_id:
            return await self.razorpay.post("/v1/transfers", item, wire.Transfer)
        made = await self.razorpay.post(
            f"/v1/payments/{payment_id}/transfers",
            {"transfers": [item]},
            wire.Collection[wire.Transfer],
        )
        return made.items[0]

    async def _since(self, since: datetime) -> list[wire.Transfer]:
        found: list[wire.Transfer] = []
        while True:
            page = await self.razorpay.get(
                "/v1/transfers",
                wire.Collection[wire.Transfer],
                {
                    "from": str(int(since.timestamp())),
                    "count": str(_PAGE_SIZE),
                    "skip": str(len(found)),
                },
            )
            found += page.items
            if len(page.items) < _PAGE_SIZE:
                return found

    async def _reversals(self, reference: str) -> tuple[wire.Reversal, ...]:
        path = f"/v1/transfers/{reference}/reversals"
        return (await self.razorpay.get(path, wire.Collection[wire.Reversal])).items


def _transfer(transfer: wire.Transfer) -> Transfer:
    state = _STATES.get(transfer.status, "pending")
    error = transfer.error or wire.TransferError()
    return Transfer(
        reference=transfer.id,
        account=transfer.recipient,
        state=state,
        amount_minor=transfer.amount,
        reversed_minor=transfer.amount_reversed,
        currency=transfer.currency,
        group=wire.note(transfer.notes, "group"),
        client_reference=wire.note(transfer.notes, "client_reference"),
        failure_code=(error.reason or error.code or "failed").lower() if state == "failed" else "",
    )


def _reversal(reversal: wire.Reversal) -> TransferReversal:
    return TransferReversal(
        reference=reversal.id,
        transfer_reference=reversal.transfer_id,
        amount_minor=reversal.amount,
        client_reference=wire.note(reversal.notes, "client_reference"),
    )
