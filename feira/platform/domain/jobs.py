"""Jobs: what a business transaction asks to be done after it, one struct of arguments per kind.

A job is a row written in the transaction that causes it. Its handler must be safe to run again.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from feira.platform.domain.ids import (
    ConversationId,
    OrderId,
    PaymentId,
    ProductId,
    RefundId,
    ShipmentId,
    ShopId,
    UserId,
)


class Job(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """Base of every kind of job: `tag` is the kind, the fields are its arguments."""

    attempts_max: ClassVar[int] = 12
    timeout_s: ClassVar[float] = 30.0


class SendVerificationEmail(Job, tag="users.send_verification_email"):
    """The link's token is made by the handler, so that no secret rests in a job row."""

    user: UserId


class SendPasswordResetEmail(Job, tag="users.send_password_reset_email"):
    user: UserId


class VerifyShop(Job, tag="users.verify_shop"):
    """Open the shop's account at the payment provider and ask for its KYC decision."""

    shop: ShopId


class SyncProductToSearch(Job, tag="products.sync_to_search"):
    """Bring the search index to the product's current state, whatever that is by then."""

    product: ProductId


class CheckUploadedMedia(Job, tag="products.check_uploaded_media"):
    """Compare an uploaded object with what was announced, and publish or reject it."""

    media_key: str


class ReleaseExpiredReservations(Job, tag="products.release_expired_reservations"):
    """Give held stock back whose hold is over."""


class ExpireUnpaidOrders(Job, tag="orders.expire_unpaid"):
    """Expire orders whose hold ended without a payment."""


class AcceptDeliveredOrders(Job, tag="orders.accept_delivered"):
    """Complete delivered orders whose buyer stayed silent until the auto-accept deadline."""


class CreatePaymentIntent(Job, tag="payments.create_intent"):
    """Repeat the gateway call of a checkout whose request died before it could."""

    payment: PaymentId


class CancelPaymentIntent(Job, tag="payments.cancel_intent"):
    """Tell the gateway that an expired or cancelled checkout takes no money any more."""

    payment: PaymentId


class RefundPayment(Job, tag="payments.refund"):
    refund: RefundId


class HandleWebhook(Job, tag="payments.handle_webhook"):
    """Apply a stored provider event by fetching the object it speaks of."""

    provider: str
    account: str
    event_id: str


class NotifyOrderPaid(Job, tag="notifications.order_paid"):
    order: OrderId


class NotifyOrderShipped(Job, tag="notifications.order_shipped"):
    order: OrderId
    shipment: ShipmentId


class NotifyUnreadMessages(Job, tag="notifications.unread_messages"):
    """Mail a member about a message that is still unread when this job runs."""

    conversation: ConversationId
    user: UserId
    seq: int
