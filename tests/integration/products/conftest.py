"""Goods on a market of this worker's servers."""

from __future__ import annotations

import pytest

from feira.services.market import Market
from tests.integration.products.goods import Goods


@pytest.fixture
def goods(market: Market) -> Goods:
    return Goods(market=market)
