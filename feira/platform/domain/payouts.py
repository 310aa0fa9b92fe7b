r"""A payout's life: the shop's money leaves for its account at the provider, and from there for its bank.

    created --ask--> transferring --made--> transferred --ask--> sending --taken--> sent --> paid
      |                  |                      ^  |                |                |        |
      | cancel           | refused              |  | (ends there)   | refused        | failed | failed: the bank sent
      v                  |                      |  '------> paid    |                |        | it back
   canceled              |                      '-------------------+----------------+--------'  while attempts are left
                         |                                          |
                         '--> failed <--reversed-- reversing <------'  none are left

A row says what is asked before it is asked, so that whoever comes after a crash knows what may have happened. A
repeat under the key of the same attempt has one effect for as long as the provider remembers keys. Past that, or
where the provider answers a key with the same failure for ever, the outcome is `unknown`: what is there is
listed and adopted, and only its absence makes a new attempt.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from feira.platform.domain.errors import Conflict

PayoutState = Literal[
    "created",
    "transferring",
    "transferred",
    "sending",
    "sent",
    "paid",
    "reversing",
    "failed",
    "canceled",
]
Ask = Literal["transfer", "send", "reverse"]
Step = Literal[
    "ask_transfer",  # write down that the transfer is asked for, then ask
    "repeat_transfer",
    "find_transfer",
    "watch_transfer",  # the provider took it, and has not made it yet
    "ask_send",
    "repeat_send",
    "find_send",
    "end_at_account",  # this provider sends to banks by itself
    "watch",  # it is on its way to the bank: see how it is
    "repeat_reverse",
    "find_reverse",
    "none",
]

ENDED: Final[frozenset[PayoutState]] = frozenset({"paid", "failed", "canceled"})
ASKING: Final[dict[PayoutState, Ask]] = {
    "transferring": "transfer",
    "sending": "send",
    "reversing": "reverse",
}
# A refused transfer (no money at the provider yet), and a bank that sends back: asked again so many times in all.
ATTEMPTS_MAX: Final = 4
# What is asked for is asked with time to spare before the provider forgets the key.
KEY_MARGIN: Final = timedelta(hours=1)


class PayoutProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What decides about the next step. `attempt` counts askings of the current state's kind, from 1."""

    state: PayoutState
    attempt: int = 0
    asked_at: datetime | None = None
    retry_at: datetime | None = None
    is_accepted: bool = False
    """The provider took the transfer that was asked for."""
    unknown_since: datetime | None = None
    is_held: bool = False
    is_payable: bool = True
    """The shop is in order, at the market and at the provider."""


def next_step(
    payout: PayoutProgress, *, now: datetime, key_lifetime: timedelta, has_payouts: bool
) -> Step:
    """What to do about a payout now. `has_payouts`: the provider leaves sending to the bank to us."""
    if payout.retry_at is not None and payout.retry_at > now:
        return "none"
    if payout.is_accepted:
        return "watch_transfer"
    if ask := ASKING.get(payout.state):
        assert payout.asked_at is not None, "who asks writes down when"
        if payout.unknown_since or is_forgotten(payout.asked_at, now, key_lifetime):
            return _FIND[ask]
        return _REPEAT[ask]
    if payout.state == "sent":
        return "watch"
    if payout.is_held or not payout.is_payable:
        return "none"
    if payout.state == "created":
        return "ask_transfer"
    if payout.state == "transferred":
        return "ask_send" if has_payouts else "end_at_account"
    return "none"


def is_forgotten(asked_at: datetime, now: datetime, key_lifetime: timedelta) -> bool:
    """Whether the provider may no longer know the key of what was asked then."""
    margin = min(KEY_MARGIN, key_lifetime / 2)
    return now - asked_at >= key_lifetime - margin


def after_refusal(ask: Ask, attempt: int, *, try_later: bool) -> PayoutState:
    """Where a payout stands once the provider refused to do what was asked; nothing was done there."""
    again = try_later and attempt < ATTEMPTS_MAX
    match ask:
        case "transfer":
            return "created" if again else "failed"
        case "send":
            return "transferred" if again else "reversing"
        case "reverse":
            return "reversing"


def after_return(attempt: int) -> PayoutState:
    """Where a payout stands once the bank sent it back, or never got it."""
    return "transferred" if attempt < ATTEMPTS_MAX else "reversing"


def wait_before(attempt: int, first: timedelta) -> timedelta:
    """How long a refused or returned payout waits before attempt + 1: four times as long each time."""
    return first * 4 ** (attempt - 1)


def require_cancelable(state: PayoutState) -> None:
    """Pass while nobody was asked to move money.

    Raises:
        Conflict: `payout.under_way`, `payout.over`.
    """
    if state in ENDED:
        raise Conflict("payout.over", f"The payout is {state} already.", details={"state": state})
    if state != "created":
        raise Conflict(
            "payout.under_way",
            "The provider was asked for its transfer; it can be canceled no more.",
            details={"state": state},
        )


_FIND: Final[dict[Ask, Step]] = {
    "transfer": "find_transfer",
    "send": "find_send",
    "reverse": "find_reverse",
}
_REPEAT: Final[dict[Ask, Step]] = {
    "transfer": "repeat_transfer",
    "send": "repeat_send",
    "reverse": "repeat_reverse",
}
