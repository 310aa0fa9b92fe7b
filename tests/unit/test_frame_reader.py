"""RFC 6455's frames without a socket: how the bytes are cut on their way changes nothing."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.ws import wire
from tests.integration.conformance.case import Case
from tests.integration.conformance.suite import all_cases
from tests.raw_socket import BINARY, PING, TEXT, fragments, frame

SIZE_MAX = 64 * 1024
Outcome = list[wire.Received | int]


def read(pieces: list[bytes]) -> Outcome:
    """What a reader gives out, and the code with which it fails at last."""
    reader = wire.FrameReader(SIZE_MAX, frames_left=10_000)
    outcome: Outcome = []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (received := reader.next()) is not None:
                outcome.append(received)
                if received.opcode is wire.Opcode.CLOSE:
                    return outcome
        except wire.Violation as violation:
            return [*outcome, int(violation.code)]
    return outcome


def test_every_conformance_case_reads_the_same_however_its_bytes_arrive() -> None:
    for case in all_cases():
        if not isinstance(case, Case):
            continue
        whole = b"".join(case.sends)
        dice = random.Random(case.id)
        cuts = sorted(dice.randrange(len(whole) + 1) for _ in range(7))
        outcome = read([whole])
        pieces = [whole[start:end] for start, end in pairwise([0, *cuts, len(whole)])]
        assert read(pieces) == outcome, case.id
        if len(whole) < 2_000:
            assert read([bytes((byte,)) for byte in whole]) == outcome, case.id
        # The reader alone decides what breaks the RFC; the socket says it.
        failed = [f"close {code}" for code in outcome if isinstance(code, int)]
        assert failed == [] or failed[0] in case.expected, case.id


@given(
    payload=st.binary(max_size=70_000),
    size=st.integers(1, 300),
    mask=st.binary(min_size=4, max_size=4),
)
def test_what_is_sent_in_fragments_arrives_whole(payload: bytes, size: int, mask: bytes) -> None:
    reader = wire.FrameReader(100_000, frames_left=100_000)
    reader.feed(fragments(BINARY, payload, size) if payload else frame(BINARY))
    assert reader.next() == (wire.Opcode.BINARY, payload)
    reader.feed(frame(BINARY, payload, mask=mask))
    assert reader.next() == (wire.Opcode.BINARY, payload)
    assert reader.next() is None
    assert not reader.is_in_message


@given(data=st.binary(max_size=400), cut=st.integers(0, 400))
def test_no_bytes_whatever_do_more_than_break_the_rfc(data: bytes, cut: int) -> None:
    assert read([data]) == read([data[:cut], data[cut:]])


@given(
    payload=st.binary(max_size=70_000),
    opcode=st.sampled_from([wire.Opcode.TEXT, wire.Opcode.BINARY]),
)
def test_a_frame_for_a_client_is_what_the_rfc_says(payload: bytes, opcode: wire.Opcode) -> None:
    assert wire.frame(opcode, payload) == frame(opcode, payload, mask=None)


def test_a_message_that_is_too_big_is_refused_by_its_head_and_nothing_of_it_is_kept() -> None:
    reader = wire.FrameReader(SIZE_MAX, frames_left=10)
    reader.feed(frame(TEXT, b"x" * (SIZE_MAX + 1))[:14])
    with pytest.raises(wire.Violation) as refused:
        reader.next()
    assert refused.value.code is wire.FailCode.TOO_BIG


def test_frames_beyond_the_ration_are_not_read_be_they_ever_so_empty() -> None:
    for empty in (frame(PING), frame(TEXT)):
        reader = wire.FrameReader(SIZE_MAX, frames_left=100)
        reader.feed(empty * 101)
        for _ in range(100):
            assert reader.next() is not None
        with pytest.raises(wire.TooManyFrames):
            reader.next()


def test_a_message_that_never_ends_is_bounded_by_the_ration_too() -> None:
    reader = wire.FrameReader(SIZE_MAX, frames_left=100)
    reader.feed(frame(TEXT, fin=False) + frame(0, fin=False) * 100)
    with pytest.raises(wire.TooManyFrames):
        reader.next()


def test_a_reader_that_gave_out_all_holds_nothing() -> None:
    reader = wire.FrameReader(SIZE_MAX, frames_left=10_000)
    data = fragments(TEXT, b"x" * SIZE_MAX, 1_000)
    tracemalloc.start()
    try:
        for byte_count in (100, 1_000, len(data)):
            for at in range(0, len(data), byte_count):
                reader.feed(data[at : at + byte_count])
                reader.next()
        before, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert before < 10_000
