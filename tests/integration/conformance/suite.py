"""All cases, and playing them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.integration.conformance.case import Case, HandshakeCase
from tests.integration.conformance.framing import framing_cases
from tests.integration.conformance.opening_and_closing import closing_cases, opening_cases
from tests.integration.conformance.text import text_cases

FAMILIES: Final = {
    "0": "opening handshake",
    "1": "lengths",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "reserved opcodes",
    "5": "fragments",
    "6": "UTF-8",
    "7": "closing",
    "8": "masks",
    "9": "limits",
}
_AT_ONCE: Final = 8


@dataclass(frozen=True, kw_only=True)
class Result:
    """A case and what the server said to it."""

    case: Case | HandshakeCase
    said: tuple[str, ...]

    @property
    def is_passed(self) -> bool:
        return self.said in {self.case.expected, self.case.or_else}


def all_cases() -> list[Case | HandshakeCase]:
    """Every case, family by family; ids are unique."""
    cases = [*opening_cases(), *framing_cases(), *text_cases(), *closing_cases()]
    return sorted(cases, key=lambda case: case.id.split(".")[0])


async def run_all(cases: Iterable[Case | HandshakeCase], port: int) -> list[Result]:
    """Play the cases, a few at once."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def run(case: Case | HandshakeCase) -> Result:
        async with gate:
            return Result(case=case, said=await case.run(port))

    return await asyncio.gather(*(run(case) for case in cases))
