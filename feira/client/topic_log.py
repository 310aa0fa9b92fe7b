"""One watched topic on the client's side: its events are handed over in order and once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

# Events that overtake the answer to the first subscription; what is beyond is read from the log.
EARLY_MAX: Final = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One entry of a topic's log."""

    topic: str
    seq: int
    at: str
    body: dict[str, Any]


OnEvent = Callable[[Event], None]
OnGap = Callable[[int], None]


class TopicLog:
    """`seq` is the last event that was handed over; None until the first subscription is answered."""

    def __init__(
        self, topic: str, on_event: OnEvent, on_gap: OnGap, position: tuple[int, str] | None
    ) -> None:
        self.topic = topic
        self.state: dict[str, Any] = {}
        self.seq, self.epoch = position or (None, "")
        self._on_event = on_event
        self._on_gap = on_gap
        # Events that overtook the answer to the first subscription.
        self._early: list[dict[str, Any]] = []

    @property
    def position(self) -> dict[str, Any]:
        """As `subscribe` and `connect` want it; empty asks for what comes from now on."""
        return {} if self.seq is None else {"seq": self.seq, "epoch": self.epoch}

    def take(self, event: dict[str, Any]) -> bool:
        """Hand over a pushed event if it is the next; False when one is missing before it."""
        if self.seq is None:
            # One more is kept, to know that there was more.
            if len(self._early) <= EARLY_MAX:
                self._early.append(event)
        elif event["seq"] == self.seq + 1:
            self._hand_over([event])
        elif event["seq"] > self.seq:
            return False
        return True

    def subscribed(self, subscription: dict[str, Any]) -> bool:
        """Go on from the answer to a subscription; False when more came meanwhile than is kept: ask again."""
        self.state, self.epoch = subscription["state"], subscription["epoch"]
        early, self._early = self._early, []
        if subscription["recovered"]:
            self._hand_over(subscription["events"])
            self.seq = max(subscription["seq"], self.seq or 0)
        else:
            self.seq = subscription["seq"]
            self._on_gap(self.seq)
        self._hand_over(early)
        return len(early) <= EARLY_MAX

    def _hand_over(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            if self.seq is None or event["seq"] > self.seq:
                self.seq = event["seq"]
                self._on_event(
                    Event(topic=self.topic, seq=event["seq"], at=event["at"], body=event["body"])
                )
