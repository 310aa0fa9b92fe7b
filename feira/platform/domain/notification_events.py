"""What a user's inbox carries about notifications. `unread` is the count after the event."""

from __future__ import annotations

from datetime import datetime

from feira.platform.domain.events import Event
from feira.platform.domain.ids import NotificationId
from feira.platform.domain.notices import Notice


class NotificationCreated(Event, frozen=True, kw_only=True, tag="notification.created"):
    """A new entry of the user's list, as `GET /v1/notifications` shows it."""

    notification: NotificationId
    data: Notice
    created_at: datetime
    unread: int


class ReadState(Event, frozen=True, kw_only=True, tag="notification.read_state"):
    """Notifications were read on one device; every device shows the same from here on.

    Read are those in `ids`, or all up to and including `up_to`.
    """

    ids: list[NotificationId] | None = None
    up_to: NotificationId | None = None
    unread: int
