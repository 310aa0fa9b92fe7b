r"""A chargeback's life: a buyer's bank takes a payment back, hears the shop, and decides.

    needs_response --evidence--> under_review --> won
         |   \                      |  \
         |    \------------------- won  \--> lost --> reinstated (the bank changed its mind)
         '--> lost

Providers tell it late, twice and out of order: what is fetched is where it stands now, and a chargeback only moves on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from feira.platform.domain.money import allocate

ChargebackState = Literal["needs_response", "under_review", "won", "lost", "reinstated"]
# As providers know it: they have no word for a lost one that was won after all.
# An inquiry has moved no money: it is none yet.
ProviderState = Literal["inquiry", "needs_response", "under_review", "won", "lost"]
Effect = Literal[
    "open",  # the money is gone; the shop's part is kept aside, and the order stands still
    "review",
    "win",  # it is back
    "lose",  # it is gone for good
    "reinstate",  # what was lost is back
]

DECIDED: Final[frozenset[ChargebackState]] = frozenset({"won", "lost", "reinstated"})
GIVEN_BACK: Final[frozenset[ChargebackState]] = frozenset({"won", "reinstated"})


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chargeback goes, and what that does, in order."""

    state: ChargebackState
    effects: tuple[Effect, ...]


def move(state: ChargebackState | None, news: ProviderState) -> Movement | None:
    """Where a chargeback goes with what its provider says now; None: nowhere. `state` is null for a new one."""
    opening: tuple[Effect, ...] = ("open",) if state is None else ()
    match state, news:
        case None, "needs_response":
            return Movement(state="needs_response", effects=opening)
        case None | "needs_response", "under_review":
            return Movement(state="under_review", effects=(*opening, "review"))
        case None | "needs_response" | "under_review", "won":
            return Movement(state="won", effects=(*opening, "win"))
        case None | "needs_response" | "under_review", "lost":
            return Movement(state="lost", effects=(*opening, "lose"))
        case "lost", "won":
            return Movement(state="reinstated", effects=("reinstate",))
        case _:
            return None


def divide(amount_minor: int, *, totals: Sequence[int], left: Sequence[int]) -> list[int]:
    """Divide what a bank took over the payment's orders: by what they had not given back, as far as that goes.

    A bank may take back what was refunded as well; that part goes by what the orders cost.
    """
    assert len(totals) == len(left), "each order has both"
    within = min(amount_minor, sum(left))
    parts = allocate(within, list(left)) if within else [0] * len(left)
    if amount_minor == within:
        return parts
    beyond = allocate(amount_minor - within, list(totals))
    return [part + more for part, more in zip(parts, beyond, strict=True)]
