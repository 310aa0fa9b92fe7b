"""Every mail Feira sends. `idempotency_key` names the effect: the same key is the same mail."""

from __future__ import annotations

from feira.platform.domain.money import format_money
from feira.platform.gateways.mail.port import Mail
from feira.services.notifications.rendering import render


def verification_mail(to: str, display_name: str, link: str, idempotency_key: str) -> Mail:
    """The link that confirms an address."""
    return render(
        "verification", to=to, idempotency_key=idempotency_key, name=display_name, link=link
    )


def password_reset_mail(to: str, display_name: str, link: str, idempotency_key: str) -> Mail:
    """The link that chooses a new password."""
    return render(
        "password_reset", to=to, idempotency_key=idempotency_key, name=display_name, link=link
    )


def order_paid_mail(
    to: str,
    display_name: str,
    *,
    shop_name: str,
    number: int,
    total_minor: int,
    currency: str,
    link: str,
    idempotency_key: str,
) -> Mail:
    """To the buyer: the payment arrived."""
    return render(
        "order_paid",
        to=to,
        idempotency_key=idempotency_key,
        name=display_name,
        shop=shop_name,
        number=str(number),
        total=format_money(total_minor, currency),
        link=link,
    )


def order_received_mail(
    to: str,
    display_name: str,
    *,
    shop_name: str,
    buyer_name: str,
    number: int,
    total_minor: int,
    currency: str,
    link: str,
    idempotency_key: str,
) -> Mail:
    """To each of a shop's team: there is something to ship."""
    return render(
        "order_received",
        to=to,
        idempotency_key=idempotency_key,
        name=display_name,
        shop=shop_name,
        buyer=buyer_name,
        number=str(number),
        total=format_money(total_minor, currency),
        link=link,
    )


def order_shipped_mail(
    to: str,
    display_name: str,
    *,
    shop_name: str,
    number: int,
    carrier: str,
    tracking_number: str,
    link: str,
    idempotency_key: str,
) -> Mail:
    """To the buyer: a parcel is on its way."""
    return render(
        "order_shipped",
        to=to,
        idempotency_key=idempotency_key,
        name=display_name,
        shop=shop_name,
        number=str(number),
        carrier=carrier,
        tracking=tracking_number,
        link=link,
    )


def order_moved_mail(
    to: str, display_name: str, *, text: str, reason: str, link: str, idempotency_key: str
) -> Mail:
    """To whom a change of an order concerns; `reason` is what whoever made it said, if anything."""
    return render(
        "order_moved",
        to=to,
        idempotency_key=idempotency_key,
        name=display_name,
        text=text,
        reason=reason,
        link=link,
    )


def unread_messages_mail(
    to: str,
    display_name: str,
    *,
    sender_name: str,
    count: int,
    link: str,
    idempotency_key: str,
) -> Mail:
    """To a member who has not read for a while. What was said stays in the conversation."""
    return render(
        "unread_messages",
        to=to,
        idempotency_key=idempotency_key,
        name=display_name,
        sender=sender_name,
        count=str(count),
        link=link,
    )
