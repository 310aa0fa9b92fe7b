"""What a return is at one moment, and what a decision makes of it. The rules are in `returns.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from feira.platform.domain.ids import OrderLineId
from feira.platform.domain.return_commands import (
    ReceivedUnits,
    Remedy,
    ReturnDeadlineKind,
    ReturnKind,
)

ReturnStatus = Literal[
    "requested",
    "approved",
    "declined",
    "withdrawn",
    "expired",
    "in_transit",
    "received",
    "refunded",
    "exchanged",
]
ReturnFact = Literal[
    "requested",
    "approved",
    "declined",
    "withdrawn",
    "expired",
    "sent",
    "received",
    "refunded",
    "exchanged",
]
"""What the logs tell, each as `return.` and this word."""

OPEN: Final = frozenset[ReturnStatus]({"requested", "approved", "in_transit", "received"})
VOID: Final = frozenset[ReturnStatus]({"declined", "withdrawn", "expired"})
"""Nothing came of these: their units may be asked for again."""

_FACTS: Final[Mapping[ReturnStatus, ReturnFact]] = {
    "requested": "requested",
    "approved": "approved",
    "declined": "declined",
    "withdrawn": "withdrawn",
    "expired": "expired",
    "in_transit": "sent",
    "received": "received",
    "refunded": "refunded",
    "exchanged": "exchanged",
}


class ReturnTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How long each step may take, in seconds."""

    answer_s: int
    send_s: int
    arrive_s: int
    """From sending until the shop has to have said what came back."""
    settle_s: int


class ReturnLine(msgspec.Struct, frozen=True, kw_only=True):
    line: OrderLineId
    quantity: int
    received: int = 0


class ReturnDeadline(msgspec.Struct, frozen=True, kw_only=True):
    """What happens by itself, and when."""

    kind: ReturnDeadlineKind
    due_at: datetime


class ReturnState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision depends on."""

    kind: ReturnKind
    remedy: Remedy
    status: ReturnStatus
    version: int
    lines: tuple[ReturnLine, ...]
    deadline: ReturnDeadline | None
    terms: ReturnTerms


class ReturnDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: the next state, and what has to move with it in the same transaction.

    `arrived` is what came back (with `restock` for the shelf). `refund_minor`, where the return is refunded, is null
    for the full price of what arrived.
    """

    status: ReturnStatus
    version: int
    deadline: ReturnDeadline | None
    arrived: tuple[ReceivedUnits, ...] = ()
    refund_minor: int | None = None

    @property
    def fact(self) -> ReturnFact:
        return _FACTS[self.status]
