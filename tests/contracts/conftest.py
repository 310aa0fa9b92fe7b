"""Providers on loopback, and our gateways before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.folder import contracts_folder
from tests.contracts.stripe_stage import StripeStage, open_stripe


@pytest.fixture(scope="session")
def contracts() -> Path:
    return contracts_folder()


@pytest.fixture
async def stage(contracts: Path) -> AsyncIterator[StripeStage]:
    async with open_stripe(contracts) as opened:
        yield opened
