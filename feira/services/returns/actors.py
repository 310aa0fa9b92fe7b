"""Who takes a step of a return."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.platform.domain.ids import UserId
from feira.platform.domain.order_state import ActorRole
from feira.platform.domain.refunds import RefundRole


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does it; nobody where the timer does."""

    role: ActorRole
    user: UserId | None = None

    @property
    def refund_role(self) -> RefundRole:
        match self.role:
            case "buyer" | "seller" | "support":
                return self.role
            case _:
                return "market"


TIMER: Final = Actor(role="timer")
