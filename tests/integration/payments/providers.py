"""Payment providers as the conformance suite drives them: the gateway, and what buyers, banks and time do outside.

Another gateway joins the suite by a `Provider` of its own over its simulator, in `PROVIDERS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from uuid import uuid4

from feira.platform.gateways.payments.objects import Intent
from feira.platform.gateways.payments.port import PaymentGateway
from tests.integration.payments.floor import GOOD_CARD, Floor

CallKind = Literal["create_intent", "capture_intent", "refund", "transfer", "reverse", "payout"]


class Provider(Protocol):
    """The other side of a gateway."""

    @property
    def gateway(self) -> PaymentGateway: ...

    async def pay(self, intent: Intent) -> None:
        """The buyer pays with a card that works."""
        ...

    async def pay_with_declined_card(self, intent: Intent) -> None: ...

    async def open_account(self) -> str:
        """An account that may receive money and send it to its bank."""
        ...

    async def fail_payouts_of(self, account: str) -> None:
        """The bank returns payouts from now on, after they were paid."""
        ...

    async def restrict(self, account: str) -> None: ...

    async def dispute(self, intent: Intent) -> str:
        """The buyer's bank takes all of it back; the reference of the dispute."""
        ...

    async def decide_dispute(self, reference: str, outcome: Literal["won", "lost"]) -> None: ...

    async def end_authorization(self, intent: Intent) -> None: ...

    async def lose_next_answer(self, call: CallKind) -> None:
        """The next such call is carried out, and its answer never comes."""
        ...


@dataclass(frozen=True, kw_only=True)
class SandboxProvider:
    floor: Floor

    @property
    def gateway(self) -> PaymentGateway:
        return self.floor.gateway

    async def pay(self, intent: Intent) -> None:
        await self._confirm(intent, GOOD_CARD)

    async def pay_with_declined_card(self, intent: Intent) -> None:
        await self._confirm(intent, "4000000000000002")

    async def open_account(self) -> str:
        account = await self.gateway.create_account(
            shop_name="Honest Goods", country="PT", idempotency_key=uuid4().hex
        )
        await self._pull(f"accounts/{account.reference}", {"status": "verified"})
        return account.reference

    async def fail_payouts_of(self, account: str) -> None:
        await self._pull(f"accounts/{account}", {"payouts_do": "pay_then_fail"})

    async def restrict(self, account: str) -> None:
        await self._pull(f"accounts/{account}", {"status": "restricted"})

    async def dispute(self, intent: Intent) -> str:
        opened = await self._pull("disputes", {"payment_intent": intent.reference})
        return opened["id"]

    async def decide_dispute(self, reference: str, outcome: Literal["won", "lost"]) -> None:
        await self._pull(f"disputes/{reference}/close", {"outcome": outcome})

    async def end_authorization(self, intent: Intent) -> None:
        await self._pull(f"payment_intents/{intent.reference}/expire", {})

    async def lose_next_answer(self, call: CallKind) -> None:
        operation = {
            "create_intent": "payment_intents.create",
            "capture_intent": "payment_intents.capture",
            "refund": "refunds.create",
            "transfer": "transfers.create",
            "reverse": "transfers.reverse",
            "payout": "payouts.create",
        }[call]
        await self.floor.fault(operation, "apply_then_hang_up")

    async def _confirm(self, intent: Intent, card: str) -> None:
        path = f"/v1/payment_intents/{intent.reference}/confirm"
        status, _ = await self.floor.sandbox("POST", path, {"card": card})
        assert status == 200

    async def _pull(self, lever: str, body: object) -> dict[str, Any]:
        status, answer = await self.floor.sandbox("POST", f"/v1/test/{lever}", body)
        assert status == 200, answer
        return answer


PROVIDERS: Final[Mapping[str, Callable[[Floor], Provider]]] = {
    "sandbox": lambda floor: SandboxProvider(floor=floor),
}


async def until(check: Callable[[], Awaitable[bool]], *, within_s: float = 15) -> None:
    """Look again until it is so."""
    async with asyncio.timeout(within_s):
        while not await check():
            await asyncio.sleep(0.05)
