"""Where the providers' published descriptions are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.stripe_stage import StripeStage, open_stripe


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The folder named by FEIRA_CONTRACTS; without it there is nothing to judge by."""
    folder = os.environ.get("FEIRA_CONTRACTS")
    if not folder:
        pytest.skip("FEIRA_CONTRACTS names no folder of providers' API descriptions")
    return Path(folder)


@pytest.fixture
async def stage(contracts: Path) -> AsyncIterator[StripeStage]:
    async with open_stripe(contracts) as opened:
        yield opened
