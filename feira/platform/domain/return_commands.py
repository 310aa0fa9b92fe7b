"""What may be asked of a return: opening one, and the commands on it, as they come over HTTP and sockets."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import ConversationId, OrderLineId, VariantId
from feira.platform.domain.money import AMOUNT_MINOR_MAX
from feira.platform.domain.order_commands import QUANTITY_MAX, Reason, ShortText, Version

LINES_MAX: Final = 200

ReturnKind = Literal["return", "claim"]
"""`return`: the goods go back. `claim`: they never came, or came so that nobody wants them back."""
Remedy = Literal["refund", "exchange"]
ReturnCause = Literal[
    "changed_mind",
    "damaged",
    "not_as_described",
    "wrong_item",
    "incomplete",
    "not_arrived",
    "other",
]
Condition = Literal["as_new", "used", "damaged", "unsellable"]
ReturnDeadlineKind = Literal["answer", "send", "settle"]
Units = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
Description = Annotated[str, Meta(max_length=2_000)]


class ReturnUnits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units of a line. `replacement` is the variant wanted instead, in exchanges only."""

    line: OrderLineId
    quantity: Units
    replacement: VariantId | None = None


class RequestReturn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The buyer wants to give something back, or says that something went wrong.

    `conversation` is where both sides follow it: one between this buyer and this shop; the order's unless said.
    """

    kind: ReturnKind = "return"
    remedy: Remedy = "refund"
    cause: ReturnCause
    lines: Annotated[list[ReturnUnits], Meta(min_length=1, max_length=LINES_MAX)]
    text: Description = ""
    conversation: ConversationId | None = None


class ReceivedUnits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a line came back, how, and whether it goes back on the shelf."""

    line: OrderLineId
    quantity: Annotated[int, Meta(ge=0, le=QUANTITY_MAX)]
    condition: Condition = "as_new"
    restock: bool = False


class ReturnCommand(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="action", forbid_unknown_fields=True
):
    """`expected_version`: refuse when the return is not at the version that the sender looked at."""

    expected_version: Version | None = None


class ApproveReturn(ReturnCommand, frozen=True, kw_only=True, tag="approve"):
    """The shop agrees: the buyer sends it back; a claim is paid right away."""


class DeclineReturn(ReturnCommand, frozen=True, kw_only=True, tag="decline"):
    """The shop does not agree, and says why."""

    reason: Reason


class WithdrawReturn(ReturnCommand, frozen=True, kw_only=True, tag="withdraw"):
    """The buyer keeps it after all."""


class SendReturn(ReturnCommand, frozen=True, kw_only=True, tag="send"):
    """The parcel is on its way back."""

    carrier: ShortText
    tracking_number: ShortText


class ReceiveReturn(ReturnCommand, frozen=True, kw_only=True, tag="receive"):
    """The parcel arrived. Without `lines` everything came back as new, and nothing goes back on the shelf."""

    lines: Annotated[list[ReceivedUnits], Meta(min_length=1, max_length=LINES_MAX)] | None = None


class SettleReturn(ReturnCommand, frozen=True, kw_only=True, tag="settle"):
    """Give the money for what was received, or send the replacement.

    `refund_minor` is for less than the full price, with the `reason`; `remedy` for a refund instead of an exchange.
    """

    remedy: Remedy | None = None
    refund_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] | None = None
    reason: Annotated[str, Meta(max_length=300)] = ""


class TimeUp(msgspec.Struct, frozen=True, kw_only=True):
    """A deadline passed. Nobody asks for this but the timer."""

    deadline: ReturnDeadlineKind


ReturnAction = Literal["approve", "decline", "withdraw", "send", "receive", "settle"]
AnyReturnCommand = (
    ApproveReturn | DeclineReturn | WithdrawReturn | SendReturn | ReceiveReturn | SettleReturn
)
