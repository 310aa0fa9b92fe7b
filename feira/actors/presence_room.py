"""One room's presence as this node's watchers know it: what is, what they were told, and the news between the two.

names --more than NAMES_MAX are here--> count --NAMES_AGAIN_MAX or fewer--> names
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic

NAMES_MAX: Final = 200
# Lower, so that a room around the limit does not swing between names and counts.
NAMES_AGAIN_MAX: Final = 150


class Room:
    """Pure: `here` are users with sockets on this node, `elsewhere` those on other nodes, as far as known."""

    __slots__ = (
        "_names_told",
        "_number_told",
        "_sockets",
        "elsewhere",
        "is_counted",
        "is_known",
        "told_at",
        "topic",
    )

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.elsewhere: frozenset[UserId] = frozenset()
        self.is_known = False
        """Whether `elsewhere` was ever read."""
        self.is_counted = False
        self.told_at = 0.0
        self._sockets: Counter[UserId] = Counter()
        self._names_told: set[UserId] = set()
        self._number_told: int | None = None

    @property
    def is_empty(self) -> bool:
        return not self._sockets

    @property
    def here(self) -> Iterable[UserId]:
        return self._sockets.keys()

    def enter(self, user: UserId) -> bool:
        """Count a local socket in; True for the user's first."""
        self._sockets[user] += 1
        return self._sockets[user] == 1

    def leave(self, user: UserId) -> bool:
        """Count a local socket out; True for the user's last."""
        if user not in self._sockets:
            return False
        self._sockets[user] -= 1
        if self._sockets[user] > 0:
            return False
        del self._sockets[user]
        return True

    def snapshot(self) -> dict[str, object]:
        """Who is here now, for a newcomer, who gets the same news as the others from then on."""
        online = self._online()
        if len(online) > NAMES_MAX:
            self.is_counted = True
        return {"online_count": len(online)} if self.is_counted else {"online": sorted(online)}

    def news(self) -> list[dict[str, Any]]:
        """Messages that take the watchers from what they were told to what is; they count as told."""
        online = self._online()
        if len(online) > NAMES_MAX:
            self.is_counted = True
        elif self.is_counted and len(online) <= NAMES_AGAIN_MAX:
            self.is_counted, self._number_told = False, None
        if self.is_counted:
            self._names_told = set()
            return self._news_of_number(len(online))
        came, went = online - self._names_told, self._names_told - online
        self._names_told = online
        return [
            {"presence": {"topic": str(self.topic), "user": user, "online": user in came}}
            for user in sorted(came | went)
        ]

    def _news_of_number(self, online: int) -> list[dict[str, Any]]:
        if online == self._number_told:
            return []
        self._number_told = online
        return [{"presence_count": {"topic": str(self.topic), "online": online}}]

    def _online(self) -> set[UserId]:
        return self._sockets.keys() | self.elsewhere
