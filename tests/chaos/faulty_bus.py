"""A bus that misbehaves as a network may, only far more often."""

from __future__ import annotations

from random import Random
from typing import Final

from feira.platform.runtime.bus import Bus

DELAYED_BY_MAX: Final = 12


class FaultyBus(Bus):
    """Of all that is published it loses, doubles and delays a share each, as a seeded die decides.

    What is delayed leaves after one to twelve later messages.
    """

    def __init__(self, redis_url: str, installation: str, die: Random, share: float) -> None:
        super().__init__(redis_url, installation)
        self.lost = self.doubled = self.delayed = 0
        self.loses_everything = False
        self._die = die
        self._share = share
        self._published = 0
        self._held: list[tuple[int, str, bytes]] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self._published += 1
        fate = 0.0 if self.loses_everything else self._die.random() / self._share
        if fate < 1:
            self.lost += 1
        elif fate < 2:
            self.doubled += 1
            super().publish(topic, payload)
            super().publish(topic, payload)
        elif fate < 3:
            self.delayed += 1
            due = self._published + self._die.randint(1, DELAYED_BY_MAX)
            self._held.append((due, topic, payload))
        else:
            super().publish(topic, payload)
        late = [held for held in self._held if held[0] <= self._published]
        self._held = [held for held in self._held if held[0] > self._published]
        for _, late_topic, late_payload in late:
            super().publish(late_topic, late_payload)
