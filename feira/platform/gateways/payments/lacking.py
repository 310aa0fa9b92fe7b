"""What a provider may lack: calls of the port that it has nothing for, each with a typed refusal."""

from __future__ import annotations

from datetime import datetime

from feira.platform.gateways.payments.objects import (
    BalanceTransaction,
    Dispute,
    Evidence,
    Page,
    Payout,
)
from feira.platform.gateways.payments.refusal import GatewayRefused


def not_supported(why: str) -> GatewayRefused:
    return GatewayRefused("not_supported", f"{why}.", provider_code="")


class WithoutPayouts:
    """A transfer ends at the seller."""

    async def payout(
        self,
        *,
        account: str,  # noqa: ARG002
        amount_minor: int,  # noqa: ARG002
        currency: str,  # noqa: ARG002
        client_reference: str,  # noqa: ARG002
        idempotency_key: str,  # noqa: ARG002
    ) -> Payout:
        raise not_supported("a transfer has paid the seller already")

    async def fetch_payout(self, reference: str, *, account: str) -> Payout:  # noqa: ARG002
        raise not_supported("there are no payouts beyond transfers")

    async def list_payouts(self, account: str, *, since: datetime) -> list[Payout]:  # noqa: ARG002
        return []


class WithoutEvidence:
    """Disputes are answered in the provider's own pages, which want documents."""

    async def submit_evidence(
        self,
        reference: str,  # noqa: ARG002
        evidence: Evidence,  # noqa: ARG002
        *,
        idempotency_key: str,  # noqa: ARG002
    ) -> Dispute:
        raise not_supported("evidence is given in the provider's own pages, as documents")


class WithoutMovements:
    """Movements come as the provider's reports, hours or a day later."""

    async def list_balance_transactions(
        self,
        *,
        since: datetime,  # noqa: ARG002
        page: str | None = None,  # noqa: ARG002
        account: str = "",  # noqa: ARG002
    ) -> Page[BalanceTransaction]:
        raise not_supported("movements come as the provider's reports; compare those")
