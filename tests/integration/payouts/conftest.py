"""The floor of the payments' tests, with a till."""

from __future__ import annotations

import pytest

from tests.integration.payments.conftest import floor
from tests.integration.payments.floor import Floor
from tests.integration.payouts.till import Till

__all__ = ["floor"]


@pytest.fixture
def till(floor: Floor) -> Till:
    return Till(floor=floor)
