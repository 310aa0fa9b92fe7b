"""What the audit log says: which privileged acts there are, who did one, and from where.

Privileged is what somebody may do to other people's things because they work for the market (`permissions.is_privileged`),
and what touches the safety of an account or decides where a shop's money goes.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from feira.platform.domain.ids import UserId

Act = Literal[
    "account.password_reset",
    "session.revoked",
    "api_key.make",
    "api_key.revoke",
    "shop.approve",
    "shop.reject",
    "shop.suspend",
    "shop.reinstate",
    "shop.tie_account",
    "order.command",
    "order.refund",
    "dispute.claim",
    "return.command",
    "promotion.create",
    "promotion.change",
    "promotion.archive",
    "tax.replace_rates",
    "message.delete",
    "conversation.add_support",
    "conversation.remove_support",
    "report.claim",
    "report.decide",
    "commission.change_default",
    "commission.add_rule",
    "commission.end_rule",
    "payout.ask",
    "payout.change_settings",
    "payout.change_terms",
    "payout.change_policy",
    "payout.hold",
    "payout.resume",
    "payout.retry",
    "payout.cancel",
    "chargeback.answer",
    "ledger.check",
    "ledger.reconcile",
    "ledger.acknowledge",
    "provider_event.replay",
    "job.requeue",
    "job.cancel",
    "job.requeue_kind",
    "job.pause_kind",
    "job.resume_kind",
]
ObjectKind = Literal[
    "account",
    "session",
    "api_key",
    "shop",
    "order",
    "refund",
    "dispute",
    "return",
    "promotion",
    "country",
    "message",
    "conversation",
    "report",
    "commission",
    "commission_rule",
    "payout",
    "payout_policy",
    "chargeback",
    "ledger",
    "ledger_check",
    "ledger_difference",
    "provider_event",
    "job",
    "job_kind",
]

USER_AGENT_CHARS_MAX: Final = 200


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """From where somebody asks: the peer's address, what their program calls itself, and the request's name in logs."""

    address: str | None = None
    user_agent: str = ""
    request_id: str = ""


NOWHERE: Final = Origin()
"""Of who asks from inside the process."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """An operator with a command line: `name` is the operating system's user and the machine's name."""

    name: str


THE_MARKET: Final = Machine(name="feira")
"""Feira itself, where it notices something and acts on it."""


class MailboxHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever reads an account's mail and followed a link in it, without being signed in."""

    user_id: UserId
    origin: Origin
