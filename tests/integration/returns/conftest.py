"""The stage of the tests of returns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feira.services.market import Market
from tests.integration.orders.memory_gateway import MemoryGateway
from tests.integration.orders.stage import Stage


@pytest.fixture
def stage(market: Market) -> Stage:
    gateway = MemoryGateway()
    return Stage(market=replace(market, payments=gateway), gateway=gateway)
