"""What may be asked of an order: by people (commands, as they come over HTTP and sockets) and by machines (triggers)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import OrderLineId

QUANTITY_MAX: Final = 999
ShortText = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]
Reason = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]


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
    """All parcels arrived."""


class Complete(Command, frozen=True, kw_only=True, tag="complete"):
    """The buyer is content: the shop is owed its money."""


class Cancel(Command, frozen=True, kw_only=True, tag="cancel"):
    """Stop the order before anything ships; money that was taken goes back in full."""

    reason: Reason


OrderCommand = Accept | Ship | Deliver | Complete | Cancel
Action = Literal["accept", "ship", "deliver", "complete", "cancel"]


class Pay(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway captured the group's payment."""


class Decline(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway refused; the buyer may try again until the hold ends."""

    decline_code: str


class Expire(msgspec.Struct, frozen=True, kw_only=True):
    """The hold is over."""


class AutoComplete(msgspec.Struct, frozen=True, kw_only=True):
    """The buyer stayed silent until the auto-accept deadline."""


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway gave money back: `refunded_minor` of this order in all, up to now."""

    refunded_minor: int


Trigger = Pay | Decline | Expire | AutoComplete | Refund
