"""What inboxes and shop topics learn from the users service."""

from __future__ import annotations

from typing import Final, Literal

from feira.platform.domain.events import Event
from feira.platform.domain.ids import SessionId, ShopId
from feira.platform.domain.shops import ShopStatus

RevokedReason = Literal["logout", "revoked", "refresh_reused", "password_reset", "signed_up_again"]


class SessionRevoked(Event, frozen=True, kw_only=True, tag="session.revoked"):
    """On the user's inbox: this session's sockets close and its tokens are refused from now on."""

    session: SessionId
    reason: RevokedReason


class RightsChanged(Event, frozen=True, kw_only=True, tag="rights.changed"):
    """On the user's inbox: what they may see has changed (a team, a role); their sockets ask anew at once."""


class VisibilityChanged(Event, frozen=True, kw_only=True, tag="profile.visibility_changed"):
    """On the user's inbox: whether others see when they are or were here."""

    last_seen_visible: bool


class ShopEvent(Event, frozen=True, kw_only=True):
    """A shop moved on: on its own topic and on its owner's inbox. `reason` is for the shop's team."""

    shop: ShopId
    reason: str = ""


class ShopVerifying(ShopEvent, frozen=True, kw_only=True, tag="shop.verifying"):
    """The account at the payment provider is open; its KYC decision is awaited."""


class ShopVerified(ShopEvent, frozen=True, kw_only=True, tag="shop.verified"):
    """The provider knows the shop; an admin decides next. On `ops` too."""


class ShopRestricted(ShopEvent, frozen=True, kw_only=True, tag="shop.restricted"):
    """The provider will not pay this shop for now; its listings are hidden."""


class ShopApproved(ShopEvent, frozen=True, kw_only=True, tag="shop.approved"):
    """The shop is open to the public."""


class ShopRejected(ShopEvent, frozen=True, kw_only=True, tag="shop.rejected"):
    """The application was turned down."""


class ShopSuspended(ShopEvent, frozen=True, kw_only=True, tag="shop.suspended"):
    """An admin closed the shop for now; its listings are hidden."""


class ShopReinstated(ShopEvent, frozen=True, kw_only=True, tag="shop.reinstated"):
    """A suspension was lifted and the shop is open again."""


_BY_STATUS: Final[dict[ShopStatus, type[ShopEvent]]] = {
    "verifying": ShopVerifying,
    "verified": ShopVerified,
    "restricted": ShopRestricted,
    "approved": ShopApproved,
    "rejected": ShopRejected,
    "suspended": ShopSuspended,
}


def shop_event(shop: ShopId, *, before: ShopStatus, after: ShopStatus, reason: str) -> ShopEvent:
    """The event of a status change."""
    assert before != after, "something changed"
    if (before, after) == ("suspended", "approved"):
        return ShopReinstated(shop=shop, reason=reason)
    return _BY_STATUS[after](shop=shop, reason=reason)


class ShopUpdated(Event, frozen=True, kw_only=True, tag="shop.updated"):
    """The shop's profile was changed by its owner."""

    shop: ShopId
    name: str
    version: int
