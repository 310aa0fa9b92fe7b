"""The one permission table: which role may do what. HTTP, sockets and jobs all ask it.

A role is either platform-wide (support, finance, admin), or a relation between the caller and the object at
hand (buyer, owner, staff, member, self), worked out by the service that owns the object. Everybody is
`anyone`; the signed-in are also `user`, and with a verified e-mail address `verified`.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Literal

import msgspec

from feira.platform.domain.api_keys import KeyUse, Scope
from feira.platform.domain.audit import NOWHERE, Origin
from feira.platform.domain.errors import NotAllowed, NotSignedIn
from feira.platform.domain.ids import SessionId, UserId

Role = Literal[
    "anyone",
    "user",
    "verified",
    "self",
    "buyer",
    "owner",
    "staff",
    "member",
    "support",
    "finance",
    "admin",
]

Action = Literal[
    "shop.apply",
    "shop.read_private",
    "shop.update",
    "shop.decide",
    "shop.suspend",
    "product.write",
    "product.read_draft",
    "stock.write",
    "cart.use",
    "order.place",
    "order.read",
    "order.pay",
    "order.accept",
    "order.ship",
    "order.deliver",
    "order.complete",
    "order.cancel",
    "order.refund",
    "order.request_cancel",
    "order.answer_cancel",
    "order.request_more_time",
    "order.extend_ship_by",
    "order.open_dispute",
    "order.add_evidence",
    "order.settle",
    "order.withdraw_dispute",
    "order.decide_dispute",
    "dispute.read_queue",
    "dispute.claim",
    "promotion.read",
    "promotion.write",
    "promotion.write_market",
    "shipping.write",
    "tax.write_rates",
    "return.request",
    "return.command",
    "conversation.open",
    "conversation.read",
    "conversation.send",
    "conversation.join",
    "message.edit",
    "message.delete",
    "report.decide",
    "offer.make",
    "offer.answer",
    "payout.read",
    "payout.read_all",
    "payout.write",
    "payout.operate",
    "chargeback.answer",
    "ledger.read",
    "ledger.write",
    "provider_events.read",
    "provider_events.replay",
    "commission.write",
    "jobs.read",
    "jobs.steer",
    "api_key.write",
    "actors.read",
    "audit.read",
    "topic.watch_inbox",
    "topic.watch_shop",
    "topic.watch_ops",
]

PERMISSIONS: Final[Mapping[Action, frozenset[Role]]] = {
    "shop.apply": frozenset({"verified"}),
    "shop.read_private": frozenset({"owner", "staff", "support", "finance", "admin"}),
    "shop.update": frozenset({"owner"}),
    "shop.decide": frozenset({"admin"}),
    "shop.suspend": frozenset({"admin"}),
    "product.write": frozenset({"owner", "staff"}),
    "product.read_draft": frozenset({"owner", "staff", "support", "admin"}),
    "stock.write": frozenset({"owner", "staff"}),
    "cart.use": frozenset({"anyone"}),
    "order.place": frozenset({"verified"}),
    "order.read": frozenset({"buyer", "owner", "staff", "support", "finance", "admin"}),
    "order.pay": frozenset({"buyer"}),
    "order.accept": frozenset({"owner", "staff"}),
    "order.ship": frozenset({"owner", "staff"}),
    # The buyer confirms the parcel; support may for a carrier that told them.
    "order.deliver": frozenset({"buyer", "support"}),
    "order.complete": frozenset({"buyer", "support"}),
    "order.cancel": frozenset({"buyer", "owner", "staff", "support"}),
    "order.refund": frozenset({"owner", "staff", "support"}),
    "order.request_cancel": frozenset({"buyer"}),
    "order.answer_cancel": frozenset({"owner", "staff"}),
    "order.request_more_time": frozenset({"owner", "staff"}),
    "order.extend_ship_by": frozenset({"buyer", "support"}),
    "order.open_dispute": frozenset({"buyer"}),
    "order.add_evidence": frozenset({"buyer", "owner", "staff", "support"}),
    "order.settle": frozenset({"buyer", "owner", "staff"}),
    "order.withdraw_dispute": frozenset({"buyer"}),
    "order.decide_dispute": frozenset({"support"}),
    "dispute.read_queue": frozenset({"support", "finance", "admin"}),
    "dispute.claim": frozenset({"support"}),
    "promotion.read": frozenset({"owner", "staff", "support", "finance", "admin"}),
    "promotion.write": frozenset({"owner", "staff"}),
    # The market pays for these.
    "promotion.write_market": frozenset({"finance", "admin"}),
    "shipping.write": frozenset({"owner", "staff"}),
    "tax.write_rates": frozenset({"finance", "admin"}),
    "return.request": frozenset({"buyer"}),
    # Which of them may do what about a return is the return machine's to say.
    "return.command": frozenset({"buyer", "owner", "staff", "support"}),
    "conversation.open": frozenset({"verified"}),
    "conversation.read": frozenset({"member"}),
    "conversation.send": frozenset({"member"}),
    "conversation.join": frozenset({"support", "admin"}),
    # `self` is whoever said it.
    "message.edit": frozenset({"self"}),
    "message.delete": frozenset({"self", "support", "admin"}),
    # Members report, each to see their own; the queue is the moderators'.
    "report.decide": frozenset({"support", "admin"}),
    # Which of the two sides may do what about an offer is the offer machine's to say.
    "offer.make": frozenset({"buyer", "owner", "staff"}),
    "offer.answer": frozenset({"buyer", "owner", "staff"}),
    "payout.read": frozenset({"owner", "staff", "support", "finance", "admin"}),
    "payout.read_all": frozenset({"support", "finance", "admin"}),
    # When and where money leaves is the owner's alone.
    "payout.write": frozenset({"owner"}),
    "payout.operate": frozenset({"finance", "admin"}),
    "chargeback.answer": frozenset({"owner", "staff", "support", "finance", "admin"}),
    "ledger.read": frozenset({"finance", "admin"}),
    "ledger.write": frozenset({"finance", "admin"}),
    "provider_events.read": frozenset({"finance", "admin"}),
    "provider_events.replay": frozenset({"finance", "admin"}),
    "commission.write": frozenset({"finance", "admin"}),
    "jobs.read": frozenset({"support", "finance", "admin"}),
    "jobs.steer": frozenset({"admin"}),
    # Whoever has a key has the shop's data.
    "api_key.write": frozenset({"owner"}),
    "actors.read": frozenset({"support", "finance", "admin"}),
    "audit.read": frozenset({"admin"}),
    "topic.watch_inbox": frozenset({"self"}),
    "topic.watch_shop": frozenset({"owner", "staff", "support", "admin"}),
    "topic.watch_ops": frozenset({"support", "finance", "admin"}),
}


SCOPES: Final[Mapping[Scope, frozenset[Action]]] = {
    "orders:read": frozenset({"order.read"}),
    "products:read": frozenset({"product.read_draft"}),
    "products:write": frozenset({"product.read_draft", "product.write"}),
    "payouts:read": frozenset({"payout.read", "shop.read_private"}),
}
"""What a key with the scope may do, where whoever made it may."""

PLATFORM_ROLES: Final = frozenset[Role]({"support", "finance", "admin"})


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking: a signed-in user in one session, as the database knew them a moment ago."""

    user_id: UserId
    session_id: SessionId
    display_name: str
    roles: frozenset[Role]
    """Platform-wide roles, `anyone`, `user`, and `verified` where it applies."""
    api_key: KeyUse | None = None
    """The key they ask with instead of a session: then they have no platform-wide role, and only its shop."""
    origin: Origin = NOWHERE
    """From where they ask, for the audit log."""


def is_allowed(
    action: Action, principal: Principal | None, relations: AbstractSet[Role] = frozenset()
) -> bool:
    """Say whether the caller may do `action`, given their relations to the object at hand."""
    if principal is not None and principal.api_key is not None:
        admitted = (SCOPES[scope] for scope in principal.api_key.scopes)
        if not any(action in actions for actions in admitted):
            return False
    everybody: frozenset[Role] = frozenset({"anyone"})
    roles = (everybody if principal is None else principal.roles) | relations
    return not PERMISSIONS[action].isdisjoint(roles)


def is_privileged(
    action: Action, principal: Principal, relations: AbstractSet[Role] = frozenset()
) -> bool:
    """Say whether nothing but a platform-wide role lets them: then the audit log has to hear of it."""
    return PERMISSIONS[action].isdisjoint((principal.roles - PLATFORM_ROLES) | relations)


def require(
    action: Action, principal: Principal | None, relations: AbstractSet[Role] = frozenset()
) -> None:
    """Pass, or raise.

    Raises:
        NotSignedIn: `auth.required`.
        NotAllowed: `auth.email_unverified` where verifying would be enough, else `auth.not_allowed`.
    """
    if is_allowed(action, principal, relations):
        return
    if principal is None:
        raise NotSignedIn("auth.required", "Sign in to do this.")
    if "verified" in PERMISSIONS[action] and "verified" not in principal.roles:
        raise NotAllowed(
            "auth.email_unverified", "Confirm your e-mail address first: open the link we sent you."
        )
    raise NotAllowed("auth.not_allowed", f"You may not do this ({action}).")
