"""What an order's topic says of a dispute about it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.attachments import AttachedFile
from feira.platform.domain.ids import DisputeId, EvidenceId, UserId
from feira.platform.domain.order_commands import DisputeOutcome, DisputeProblem
from feira.platform.domain.order_event_head import OrderEvent


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one side, or support, has said in a dispute."""

    id: EvidenceId
    side: Literal["buyer", "seller", "support"]
    author: UserId
    text: str
    attachments: tuple[AttachedFile, ...]
    at: datetime


class OrderDisputeOpened(OrderEvent, frozen=True, kw_only=True, tag="order.dispute_opened"):
    dispute: DisputeId
    problem: DisputeProblem
    evidence: Evidence


class OrderEvidenceAdded(OrderEvent, frozen=True, kw_only=True, tag="order.evidence_added"):
    dispute: DisputeId
    evidence: Evidence


class OrderSettlementProposed(
    OrderEvent, frozen=True, kw_only=True, tag="order.settlement_proposed"
):
    """The actor would end it with so much going back to the buyer."""

    dispute: DisputeId
    refund_minor: int
    currency: str


class OrderDisputeWithdrawn(OrderEvent, frozen=True, kw_only=True, tag="order.dispute_withdrawn"):
    dispute: DisputeId


class OrderDisputeOverdue(OrderEvent, frozen=True, kw_only=True, tag="order.dispute_overdue"):
    """Support should have decided by now."""

    dispute: DisputeId


class _DisputeEnded(OrderEvent, frozen=True, kw_only=True):
    """`refund_minor` goes back to the buyer, `released_minor` to the shop and the market."""

    dispute: DisputeId
    outcome: DisputeOutcome
    refund_minor: int
    released_minor: int
    currency: str


class OrderDisputeSettled(_DisputeEnded, frozen=True, kw_only=True, tag="order.dispute_settled"):
    """Both sides agreed: `refund_minor` goes back to the buyer, `released_minor` to the shop and the market."""


class OrderDisputeDecided(_DisputeEnded, frozen=True, kw_only=True, tag="order.dispute_decided"):
    """Support decided: `refund_minor` goes back to the buyer, `released_minor` to the shop and the market."""
