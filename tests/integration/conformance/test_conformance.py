"""RFC 6455 on a node of the suite's: a part of the cases. `make conformance` plays all and writes the report."""

from __future__ import annotations

from collections import Counter

import structlog

from feira.app import RunningNode
from tests.integration.conformance.case import Case, HandshakeCase
from tests.integration.conformance.suite import FAMILIES, all_cases, run_all


def test_every_case_has_an_id_of_its_own_in_a_named_family() -> None:
    ids = Counter(case.id for case in all_cases())
    assert [one for one, times in ids.items() if times > 1] == []
    assert {one.split(".")[0] for one in ids} == set(FAMILIES)


def some_cases() -> list[Case | HandshakeCase]:
    """All that are about order and closing, and every fourth of the long tables."""
    return [
        case
        for number, case in enumerate(all_cases())
        if case.id.split(".")[0] in {"0", "5", "7", "9"} or number % 4 == 0
    ]


async def test_the_socket_does_what_rfc_6455_asks_for(node: RunningNode) -> None:
    with structlog.testing.capture_logs() as logs:
        results = await run_all(some_cases(), node.port)
    assert [
        f"{result.case.id} {result.case.title}: {result.said}, not {result.case.expected}"
        for result in results
        if not result.is_passed
    ] == []
    assert [line for line in logs if line["log_level"] in {"error", "critical"}] == []
