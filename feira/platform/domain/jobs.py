"""Jobs: what a business transaction asks to be done after it, one struct of arguments per kind.

A job is a row written in the transaction that causes it. Its handler must be safe to run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, Literal
from uuid import UUID

import msgspec

from feira.platform.domain.ids import (
    AttachmentId,
    ConversationId,
    OfferId,
    OrderId,
    PaymentId,
    ProductId,
    RefundId,
    ReportId,
    ReturnId,
    ShipmentId,
    ShopId,
    UserId,
)
from feira.platform.domain.offers import OfferStep
from feira.platform.domain.order_commands import DeadlineKind
from feira.platform.domain.order_state import ActorRole, Fact
from feira.platform.domain.return_state import ReturnFact

# Waits of a failed job double from 2 s to at most an hour: twelve attempts span a bit more than an hour.
BACKOFF_FIRST_S: Final = 2.0
BACKOFF_MAX_S: Final = 3600.0


def backoff_s(attempt: int, jitter: float) -> float:
    """Seconds to wait after failed attempt 1, 2, 3 ...; `jitter` in [0, 1) takes up to half of them away.

    Half is kept so that a sick neighbour gets its rest; the rest is spread so that its callers do not
    come back together.
    """
    assert attempt >= 1, "attempts count from one"
    assert 0 <= jitter < 1, "jitter is a share"
    longest = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, 32))
    return longest * (1 - jitter / 2)


Priority = Literal["high", "normal", "low"]
# How much later a job that came earlier may be handed over: whoever has waited longest beyond their patience goes
# first, so that high goes before low, and low is overtaken for no longer than this.
PATIENCE_S: Final[Mapping[Priority, float]] = {"high": 0.0, "normal": 10.0, "low": 120.0}


class Job(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """Base of every kind of job: `tag` is the kind, the fields are its arguments."""

    attempts_max: ClassVar[int] = 12
    timeout_s: ClassVar[float] = 30.0
    priority: ClassVar[Priority] = "normal"
    concurrency_max: ClassVar[int | None] = None
    """At most so many under way at once, over all workers."""
    is_cancellable: ClassVar[bool] = True
    """Whether an operator may cancel it. Not what a row elsewhere waits for: cancel that, not its job."""


class MoneyJob(Job, frozen=True, kw_only=True):
    """Base of jobs that finish what was promised about money: first in line, and never cancelled half-way."""

    priority: ClassVar[Priority] = "high"
    is_cancellable: ClassVar[bool] = False


class SendVerificationEmail(Job, frozen=True, kw_only=True, tag="users.send_verification_email"):
    """The link's token is made by the handler, so that no secret rests in a job row."""

    priority: ClassVar[Priority] = "high"
    user: UserId


class SendPasswordResetEmail(Job, frozen=True, kw_only=True, tag="users.send_password_reset_email"):
    priority: ClassVar[Priority] = "high"
    user: UserId


class VerifyShop(Job, frozen=True, kw_only=True, tag="users.verify_shop"):
    """Open the shop's account at the payment provider and ask for its KYC decision."""

    shop: ShopId


class SyncProductToSearch(Job, frozen=True, kw_only=True, tag="products.sync_to_search"):
    """Bring the search index to the product's current state, whatever that is by then."""

    product: ProductId


class CheckUploadedMedia(Job, frozen=True, kw_only=True, tag="products.check_uploaded_media"):
    """Compare an uploaded object with what was announced, and publish or reject it."""

    media_key: str


class ReleaseExpiredReservations(
    Job, frozen=True, kw_only=True, tag="products.release_expired_reservations"
):
    """Give held stock back whose hold is over."""


class ExpireUnpaidOrders(Job, frozen=True, kw_only=True, tag="orders.expire_unpaid"):
    """Expire orders whose hold ended without a payment."""


class FireOrderDeadlines(Job, frozen=True, kw_only=True, tag="orders.fire_deadlines"):
    """Do what deadlines of paid orders ask for that have passed."""


class CreatePaymentIntent(MoneyJob, frozen=True, kw_only=True, tag="payments.create_intent"):
    """Make a payment known to its gateway, where no request does it or the one that should have died."""

    payment: PaymentId


class IntroducePayments(Job, frozen=True, kw_only=True, tag="payments.introduce"):
    """Look for payments that no gateway knows although their checkout is over."""


class CapturePayment(MoneyJob, frozen=True, kw_only=True, tag="payments.capture"):
    """Take money that is authorised."""

    payment: PaymentId


class CancelPaymentIntent(MoneyJob, frozen=True, kw_only=True, tag="payments.cancel_intent"):
    """Tell the gateway that an expired or cancelled checkout takes no money any more."""

    payment: PaymentId


class RefundPayment(MoneyJob, frozen=True, kw_only=True, tag="payments.refund"):
    refund: RefundId


class NotifyRefund(Job, frozen=True, kw_only=True, tag="notifications.refund"):
    """Tell the buyer that money goes back to them."""

    refund: RefundId


class NotifyReturn(Job, frozen=True, kw_only=True, tag="notifications.return"):
    """Tell the other side what became of a return."""

    returned: ReturnId
    fact: ReturnFact
    actor_role: ActorRole


class EndReturnDeadlines(Job, frozen=True, kw_only=True, tag="returns.end_deadlines"):
    """Do what silence means: approve, expire or settle returns whose time is over."""


class HandleWebhook(MoneyJob, frozen=True, kw_only=True, tag="payments.handle_webhook"):
    """Apply a stored provider event by fetching the object it speaks of."""

    provider: str
    account: str
    event_id: str


class SweepProviderEvents(Job, frozen=True, kw_only=True, tag="payments.sweep_events"):
    """Adopt what the provider's list of events has and its webhooks did not bring."""

    timeout_s: ClassVar[float] = 300.0


class NotifyOrderPaid(Job, frozen=True, kw_only=True, tag="notifications.order_paid"):
    order: OrderId


class NotifyOrderShipped(Job, frozen=True, kw_only=True, tag="notifications.order_shipped"):
    order: OrderId
    shipment: ShipmentId


class NotifyOrderMoved(Job, frozen=True, kw_only=True, tag="notifications.order_moved"):
    """Tell those whom a change of an order concerns, but for whoever made it."""

    order: OrderId
    version: int
    fact: Fact
    actor: UserId | None
    refund_minor: int
    reason: str


class RemindOfDeadline(Job, frozen=True, kw_only=True, tag="notifications.deadline"):
    """Tell whose deadline comes near, if it still does: frozen, moved and ended ones have another job or none."""

    order: OrderId
    deadline: DeadlineKind
    due_at: datetime


class NotifyUnreadMessages(Job, frozen=True, kw_only=True, tag="notifications.unread_messages"):
    """Mail a member about a message that is still unread when this job runs."""

    priority: ClassVar[Priority] = "low"
    conversation: ConversationId
    user: UserId
    seq: int


class NotifyOffer(Job, frozen=True, kw_only=True, tag="notifications.offer"):
    """Tell the other side what became of an offer."""

    offer: OfferId
    step: OfferStep


class NotifyReportDecided(Job, frozen=True, kw_only=True, tag="notifications.report_decided"):
    """Tell the reporter, and whoever was limited, what the moderators decided."""

    report: ReportId


class ExpireOffers(Job, frozen=True, kw_only=True, tag="deals.expire_offers"):
    """End offers that nobody answered in time."""


class DrawAttachment(Job, frozen=True, kw_only=True, tag="messaging.draw_attachment"):
    """Draw an attached image anew, without metadata, and a thumbnail of it."""

    # A file that kills the process that decodes it gets few chances.
    attempts_max: ClassVar[int] = 4
    timeout_s: ClassVar[float] = 60.0
    attachment: AttachmentId


class SweepAttachments(Job, frozen=True, kw_only=True, tag="messaging.sweep_attachments"):
    """Delete files that were uploaded and never sent."""

    priority: ClassVar[Priority] = "low"
    timeout_s: ClassVar[float] = 300.0


class CheckLedger(Job, frozen=True, kw_only=True, tag="ledger.check"):
    """Ask whether every rule of the money holds: for `check`, which somebody asked for, or for the night's."""

    attempts_max: ClassVar[int] = 4
    timeout_s: ClassVar[float] = 1800.0
    check: UUID | None = None


class MatchProviderMovements(Job, frozen=True, kw_only=True, tag="ledger.reconcile"):
    """Compare the ledger with the provider's own list of movements."""

    timeout_s: ClassVar[float] = 600.0


class RollUpLedger(Job, frozen=True, kw_only=True, tag="ledger.roll_up"):
    """Add up what became final of the market's own accounts."""


class Purge(Job, frozen=True, kw_only=True, tag="jobs.purge"):
    """Forget what nobody will ask for again: done jobs, fired slots, answers kept for repeated requests."""

    priority: ClassVar[Priority] = "low"
    timeout_s: ClassVar[float] = 300.0


def kind_of(job: type[Job]) -> str:
    """The kind's name in job rows: the struct's tag."""
    tag = job.__struct_config__.tag
    assert isinstance(tag, str), "every kind of job has a tag"
    return tag


def known_kinds() -> dict[str, type[Job]]:
    """Every kind of job that this process knows, by name: the leaves below `Job`."""
    kinds: dict[str, type[Job]] = {}
    unseen: list[type[Job]] = [Job]
    while unseen:
        kind = unseen.pop()
        below = kind.__subclasses__()
        unseen += below
        if not below:
            kinds[kind_of(kind)] = kind
    return dict(sorted(kinds.items()))
