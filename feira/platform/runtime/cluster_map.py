"""Which node of a cluster owns what: slots, the bus's partitions of them, and the nodes' answers about both. Pure.

The bus spreads topics over a fixed number of partitions. All channels of a partition carry the same hash tag and
so lie in one slot: any number of them can be subscribed to in one command, and they move together.
"""

from __future__ import annotations

import binascii
import zlib
from typing import Any, Final, NamedTuple, cast

from feira.platform.runtime.redis_url import Address

SLOTS: Final = 16_384
PARTITIONS: Final = 256
_SLOTS_EACH: Final = SLOTS // PARTITIONS


class ClusterMapError(ValueError):
    """A node's answer is not a map of slots."""


class Redirect(NamedTuple):
    """MOVED: this slot is somebody else's for good."""

    slot: int
    owner: Address


class SlotMap:
    """The owner of each slot, as one node sees it."""

    def __init__(self, owners: list[Address | None]) -> None:
        self._owners: Final = owners

    @property
    def is_complete(self) -> bool:
        return None not in self._owners

    @property
    def nodes(self) -> list[Address]:
        """Every owner once, in the order of their slots."""
        return list(dict.fromkeys(owner for owner in self._owners if owner is not None))

    def owner(self, slot: int) -> Address | None:
        return self._owners[slot]


def slot_of(key: str) -> int:
    """The slot of a key or channel: what is between its first braces decides, else all of it."""
    opened = key.find("{")
    if opened >= 0:
        closed = key.find("}", opened + 1)
        if closed > opened + 1:
            key = key[opened + 1 : closed]
    return binascii.crc_hqx(key.encode(), 0) % SLOTS


def partition_of(topic: str) -> int:
    """The partition of a topic; every node must come to the same, for ever."""
    return zlib.crc32(topic.encode()) % PARTITIONS


def _make_tags() -> tuple[str, ...]:
    """Partition N's tag is the smallest number whose slot is in the Nth of 256 equal ranges.

    So that however the slots are split into ranges, every node gets its share of the partitions.
    """
    tags: dict[int, str] = {}
    number = 0
    while len(tags) < PARTITIONS:
        tags.setdefault(slot_of(str(number)) // _SLOTS_EACH, str(number))
        number += 1
    return tuple(tags[partition] for partition in range(PARTITIONS))


PARTITION_TAGS: Final = _make_tags()
PARTITION_SLOTS: Final = tuple(slot_of(tag) for tag in PARTITION_TAGS)


def partition_of_slot(slot: int) -> int:
    """The partition whose channels are in this slot."""
    return slot // _SLOTS_EACH


def parse_slots(reply: object, asked: Address) -> SlotMap:
    """Read the reply to CLUSTER SLOTS: `[[first, last, [host, port, id, ...], replica, ...], ...]`.

    A node that does not know its own host leaves it empty: then it is the host that was asked.

    Raises:
        ClusterMapError: it is something else.
    """
    owners: list[Address | None] = [None] * SLOTS
    try:
        for first, last, (host, port, *_), *_replicas in cast("list[Any]", reply):
            owner = Address(host.decode() if host else asked.host, int(port))
            owners[first : last + 1] = [owner] * (last + 1 - first)
    except (TypeError, ValueError, AttributeError) as error:
        raise ClusterMapError("not a map of slots") from error
    if len(owners) != SLOTS:
        raise ClusterMapError("a map of more slots than there are")
    return SlotMap(owners)


def parse_redirect(error: str, asked: Address) -> Redirect | None:
    """Read `MOVED slot host:port`; None where the error is another one.

    ASK is not read: servers do not give it to channels, which have no contents that could be half moved.
    """
    match error.split():
        case ["MOVED", slot, place] if slot.isdigit() and int(slot) < SLOTS:
            host, _, port = place.rpartition(":")
            if port.isdigit():
                return Redirect(int(slot), Address(host or asked.host, int(port)))
        case _:
            pass
    return None
