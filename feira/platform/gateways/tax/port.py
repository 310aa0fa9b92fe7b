"""What Feira needs of a tax service. Without one, the market's table decides (`domain/taxes.table_taxes`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from feira.platform.domain.taxes import Taxes, TaxRequest


class TaxService(Protocol):
    """Computes taxes. Called outside of transactions only; the same request within a checkout is asked once."""

    async def tax(self, requests: Sequence[TaxRequest]) -> list[Taxes]:
        """Return the taxes of each request, in their order, in the request's mode (inside prices, or on top).

        Raises:
            Unavailable: the service cannot be reached; nobody checks out meanwhile.
        """
        ...

    async def close(self) -> None: ...
