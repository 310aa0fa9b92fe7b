from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from feira.platform.runtime.cluster_map import (
    PARTITION_SLOTS,
    PARTITION_TAGS,
    PARTITIONS,
    SLOTS,
    ClusterMapError,
    Redirect,
    parse_redirect,
    parse_slots,
    partition_of,
    partition_of_slot,
    slot_of,
)
from feira.platform.runtime.redis_url import Address

ASKED = Address("asked", 7000)
A, B = Address("a", 1), Address("b", 2)


def range_of(first: int, last: int, host: str | None, port: int, *replicas: Any) -> list[Any]:
    name = None if host is None else host.encode()
    return [first, last, [name, port, b"id", []], *replicas]


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        # The first is of the specification, the others from a server's CLUSTER KEYSLOT.
        ("123456789", 0x31C3),
        ("foo", 12182),
        ("{user1000}.following", slot_of("user1000")),
        ("foo{}{bar}", slot_of("foo{}{bar}")),
        ("foo{{bar}}zap", slot_of("{bar")),
        ("foo{bar}{zap}", slot_of("bar")),
        ("foo{bar", slot_of("foo{bar")),
    ],
)
def test_a_slot_is_what_a_server_would_compute(key: str, slot: int) -> None:
    assert slot_of(key) == slot


def test_braces_hold_the_part_that_decides() -> None:
    assert slot_of("foo{bar}{zap}") != slot_of("foo{zap}")
    assert slot_of("foo{}{bar}") not in {slot_of("bar"), slot_of("")}


def test_every_partition_lies_in_a_range_of_slots_of_its_own() -> None:
    assert len(set(PARTITION_TAGS)) == PARTITIONS
    assert [slot * PARTITIONS // SLOTS for slot in PARTITION_SLOTS] == list(range(PARTITIONS))
    assert [partition_of_slot(slot) for slot in PARTITION_SLOTS] == list(range(PARTITIONS))
    assert all(
        slot_of(f"{{{tag}}}feira:topic:x") == slot
        for tag, slot in zip(PARTITION_TAGS, PARTITION_SLOTS, strict=True)
    )


def test_partitions_never_change_and_are_filled_evenly() -> None:
    # Nodes of two versions must agree during a rolling deploy.
    assert (PARTITION_TAGS[0], PARTITION_TAGS[255], partition_of("ops")) == ("460", "430", 127)
    counts = Counter(partition_of(f"order:{UUID(int=n * 2**80 + 7)}") for n in range(25_600))
    assert len(counts) == PARTITIONS
    assert 50 < min(counts.values()) <= max(counts.values()) < 170


def test_a_map_names_the_owner_of_every_slot() -> None:
    replica: list[Any] = [b"c", 3, b"id", []]
    reply = [range_of(0, 99, "a", 1, replica), range_of(100, SLOTS - 1, "b", 2)]
    slot_map = parse_slots(reply, ASKED)
    assert [slot_map.owner(slot) for slot in (0, 99, 100, SLOTS - 1)] == [A, A, B, B]
    assert slot_map.nodes == [A, B]
    assert slot_map.is_complete


@pytest.mark.parametrize("host", ["", None])
def test_a_node_that_knows_not_its_own_host_is_where_it_was_asked(host: str | None) -> None:
    slot_map = parse_slots([range_of(0, SLOTS - 1, host, 7000)], ASKED)
    assert slot_map.nodes == [ASKED]


def test_a_slot_that_nobody_serves_has_no_owner() -> None:
    slot_map = parse_slots([range_of(0, 9, "a", 1)], ASKED)
    assert slot_map.owner(10) is None
    assert not slot_map.is_complete


@pytest.mark.parametrize(
    "reply",
    [b"OK", None, [[0, 1]], [[0, 1, b"a"]], [[0, b"x", [b"a", 1]]], [range_of(0, SLOTS, "a", 1)]],
)
def test_what_is_no_map_is_an_error(reply: object) -> None:
    with pytest.raises(ClusterMapError):
        parse_slots(reply, ASKED)


@pytest.mark.parametrize(
    ("error", "redirect"),
    [
        ("MOVED 3999 10.0.0.1:6381", Redirect(3999, Address("10.0.0.1", 6381))),
        ("MOVED 3999 :6381", Redirect(3999, Address("asked", 6381))),
        ("MOVED 3999 fe80::1:6381", Redirect(3999, Address("fe80::1", 6381))),
        ("MOVED 16384 a:1", None),
        ("MOVED x a:1", None),
        ("MOVED 1 a", None),
        ("CLUSTERDOWN Hash slot not served", None),
        ("ASK 3999 10.0.0.1:6381", None),
    ],
)
def test_only_moved_redirects(error: str, redirect: Redirect | None) -> None:
    assert parse_redirect(error, ASKED) == redirect
