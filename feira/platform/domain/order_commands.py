"""What may be asked of an order: by people (commands, as they come over HTTP and sockets) and by machines (triggers)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import AttachmentId, OrderLineId, ShipmentId
from feira.platform.domain.money import AMOUNT_MINOR_MAX

QUANTITY_MAX: Final = 999
EVIDENCE_FILES_MAX: Final = 10
ShortText = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]
Reason = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]
EvidenceText = Annotated[str, Meta(min_length=1, max_length=4000, pattern=r"\S")]
EvidenceFiles = Annotated[tuple[AttachmentId, ...], Meta(max_length=EVIDENCE_FILES_MAX)]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]
RefundAmount = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]
Instant = Annotated[datetime, Meta(tz=True)]

DisputeProblem = Literal[
    "not_arrived", "damaged", "not_as_described", "wrong_item", "incomplete", "other"
]
DisputeOutcome = Literal["completed", "refunded", "split"]
DeadlineKind = Literal[
    "hold",
    "ship_by",
    "late_cancel",
    "cancel_answer",
    "arrival",
    "auto_accept",
    "dispute_decision",
]


class LineQuantity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units of one line of the order."""

    line: OrderLineId
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]


class Command(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="action", forbid_unknown_fields=True
):
    """`expected_version`: refuse when the order is not at the version that the sender looked at."""

    expected_version: Version | None = None


class Accept(Command, frozen=True, kw_only=True, tag="accept"):
    """The shop takes the order on."""


class Ship(Command, frozen=True, kw_only=True, tag="ship"):
    """A parcel left. Without `lines` it carries everything that had not left yet."""

    carrier: ShortText
    tracking_number: ShortText
    lines: Annotated[list[LineQuantity], Meta(min_length=1, max_length=200)] | None = None


class Deliver(Command, frozen=True, kw_only=True, tag="deliver"):
    """A parcel arrived; without `shipment`, all that left."""

    shipment: ShipmentId | None = None


class Complete(Command, frozen=True, kw_only=True, tag="complete"):
    """The buyer is content: the shop is owed its money."""


class Cancel(Command, frozen=True, kw_only=True, tag="cancel"):
    """Stop what has not shipped; the money for it goes back."""

    reason: Reason


class RequestCancel(Command, frozen=True, kw_only=True, tag="request_cancel"):
    """The buyer asks a shop that has accepted the order; nothing ships until the answer."""

    reason: Reason


class ApproveCancel(Command, frozen=True, kw_only=True, tag="approve_cancel"):
    """The shop agrees to what the buyer asked for."""


class DeclineCancel(Command, frozen=True, kw_only=True, tag="decline_cancel"):
    """The shop does not, and says why."""

    reason: Reason


class RequestMoreTime(Command, frozen=True, kw_only=True, tag="request_more_time"):
    """The shop asks the buyer to let it ship by a later time."""

    ship_by: Instant
    reason: Reason


class ExtendShipBy(Command, frozen=True, kw_only=True, tag="extend_ship_by"):
    """The shop may ship until then, and is not late before."""

    ship_by: Instant


class OpenDispute(Command, frozen=True, kw_only=True, tag="open_dispute"):
    """The buyer says what is wrong; every countdown and the money stand still.

    `attachments` are files that the sender uploaded to the order's conversation.
    """

    problem: DisputeProblem
    text: EvidenceText
    attachments: EvidenceFiles = ()


class AddEvidence(Command, frozen=True, kw_only=True, tag="add_evidence"):
    """Something that speaks for one side, for everybody to see."""

    text: EvidenceText
    attachments: EvidenceFiles = ()


class ProposeSettlement(Command, frozen=True, kw_only=True, tag="propose_settlement"):
    """End it with so much going back to the buyer, and the rest to the shop. Takes the place of any proposal before."""

    refund_minor: RefundAmount
    reason: Reason


class AcceptSettlement(Command, frozen=True, kw_only=True, tag="accept_settlement"):
    """Agree to the other side's proposal; `refund_minor` is what one agrees to, should it change meanwhile."""

    refund_minor: RefundAmount


class WithdrawDispute(Command, frozen=True, kw_only=True, tag="withdraw_dispute"):
    """The buyer lets it go; the countdowns go on where they stood."""

    reason: Reason


class DecideDispute(Command, frozen=True, kw_only=True, tag="decide_dispute"):
    """Support decides: the shop gets the money, the buyer does, or `refund_minor` of it (`split` only)."""

    outcome: DisputeOutcome
    refund_minor: RefundAmount | None = None
    reason: Reason


OrderCommand = (
    Accept
    | Ship
    | Deliver
    | Complete
    | Cancel
    | RequestCancel
    | ApproveCancel
    | DeclineCancel
    | RequestMoreTime
    | ExtendShipBy
    | OpenDispute
    | AddEvidence
    | ProposeSettlement
    | AcceptSettlement
    | WithdrawDispute
    | DecideDispute
)
Action = Literal[
    "accept",
    "ship",
    "deliver",
    "complete",
    "cancel",
    "request_cancel",
    "approve_cancel",
    "decline_cancel",
    "request_more_time",
    "extend_ship_by",
    "open_dispute",
    "add_evidence",
    "propose_settlement",
    "accept_settlement",
    "withdraw_dispute",
    "decide_dispute",
]


class _Trigger(msgspec.Struct, frozen=True, kw_only=True, tag_field="trigger"):
    """Base of what machines tell an order."""


class Pay(_Trigger, frozen=True, kw_only=True, tag="pay"):
    """The gateway captured the group's payment."""


class Decline(_Trigger, frozen=True, kw_only=True, tag="decline"):
    """The gateway refused; the buyer may try again until the hold ends."""

    decline_code: str


class Refuse(_Trigger, frozen=True, kw_only=True, tag="refuse"):
    """The gateway will not take the group's payment at all: nothing can come of the order."""

    reason: str


class Refund(_Trigger, frozen=True, kw_only=True, tag="refund"):
    """The gateway gave money back: `refunded_minor` of this order in all, up to now."""

    refunded_minor: int


class ChargeBack(_Trigger, frozen=True, kw_only=True, tag="charge_back"):
    """The buyer's bank took the money back for now."""


class WinChargeback(_Trigger, frozen=True, kw_only=True, tag="win_chargeback"):
    """The bank gave it back to the market."""


class LoseChargeback(_Trigger, frozen=True, kw_only=True, tag="lose_chargeback"):
    """The bank gave it to the buyer for good."""


class TimeUp(_Trigger, frozen=True, kw_only=True, tag="time_up"):
    """A deadline passed."""

    deadline: DeadlineKind


Trigger = Pay | Decline | Refuse | Refund | ChargeBack | WinChargeback | LoseChargeback | TimeUp
