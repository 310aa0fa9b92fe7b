"""What a user's inbox carries about notifications."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event
from feira.platform.domain.ids import NotificationId


class NotificationCreated(Event, frozen=True, kw_only=True, tag="notification.created"):
    """A new entry of the user's list; `data` is as in `GET /v1/notifications`."""

    notification: NotificationId
    notification_kind: str
    data: msgspec.Raw
    created_at: datetime
    unread: int


class ReadState(Event, frozen=True, kw_only=True, tag="notification.read_state"):
    """Notifications were read on one device; every device shows the same from here on."""

    read: list[NotificationId]
    unread: int
