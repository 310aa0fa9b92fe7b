"""Everything that a topic's log may say, as one type: for documentation, and for readers of any topic."""

from __future__ import annotations

from feira.platform.domain.chargeback_events import ChargebackMoved
from feira.platform.domain.job_events import (
    JobCancelAsked,
    JobCancelled,
    JobDied,
    JobKindPaused,
    JobKindResumed,
    JobRequeued,
    JobsRequeued,
)
from feira.platform.domain.ledger_events import LedgerCheckFailed, LedgerDifferencesFound
from feira.platform.domain.messaging_events import (
    BlockChanged,
    ConversationLeft,
    ConversationOpened,
    MemberAdded,
    MemberRemoved,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    ReactionAdded,
    ReactionRemoved,
    SupportRequested,
    SupportWanted,
)
from feira.platform.domain.moderation_events import (
    PostingLimited,
    ReportClaimed,
    ReportDecided,
    ReportMade,
)
from feira.platform.domain.notification_events import NotificationCreated, ReadState
from feira.platform.domain.offer_events import AnyOfferEvent
from feira.platform.domain.order_events import AnyOrderEvent, OrderMoved, OrderPlaced
from feira.platform.domain.payments_events import CommissionChanged, RefundFailed
from feira.platform.domain.payout_events import AnyPayoutEvent
from feira.platform.domain.product_events import (
    MediaChecked,
    ProductArchived,
    ProductChanged,
    ProductPublished,
    StockChanged,
)
from feira.platform.domain.refund_events import AnyRefundEvent
from feira.platform.domain.return_events import AnyReturnEvent
from feira.platform.domain.user_events import (
    RightsChanged,
    SessionRevoked,
    ShopApproved,
    ShopReinstated,
    ShopRejected,
    ShopRestricted,
    ShopSuspended,
    ShopUpdated,
    ShopVerified,
    ShopVerifying,
    VisibilityChanged,
)

AnyMessagingEvent = (
    MessagePosted
    | MessageEdited
    | MessageDeleted
    | ReactionAdded
    | ReactionRemoved
    | SupportRequested
    | MemberAdded
    | MemberRemoved
    | BlockChanged
    | ConversationOpened
    | ConversationLeft
    | SupportWanted
)

AnyUserEvent = (
    SessionRevoked
    | RightsChanged
    | VisibilityChanged
    | ShopVerifying
    | ShopVerified
    | ShopRestricted
    | ShopApproved
    | ShopRejected
    | ShopSuspended
    | ShopReinstated
    | ShopUpdated
)

AnyProductEvent = StockChanged | ProductPublished | ProductChanged | ProductArchived | MediaChecked

AnyEvent = (
    AnyPayoutEvent
    | ChargebackMoved
    | AnyMessagingEvent
    | AnyOfferEvent
    | AnyOrderEvent
    | OrderPlaced
    | OrderMoved
    | AnyRefundEvent
    | AnyReturnEvent
    | NotificationCreated
    | ReadState
    | AnyUserEvent
    | AnyProductEvent
    | PostingLimited
    | ReportMade
    | ReportClaimed
    | ReportDecided
    | RefundFailed
    | CommissionChanged
    | LedgerDifferencesFound
    | LedgerCheckFailed
    | JobDied
    | JobRequeued
    | JobsRequeued
    | JobCancelAsked
    | JobCancelled
    | JobKindPaused
    | JobKindResumed
)
