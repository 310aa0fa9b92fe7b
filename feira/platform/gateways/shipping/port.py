"""What Feira needs of carriers. Without one, shops send by their own tables (`domain/shipping.table_rates`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from feira.platform.domain.shipping import Parcel, ShippingRate


class CarrierRates(Protocol):
    """Quotes parcels. Called outside of transactions only; the same parcel within a checkout is asked about once."""

    async def quote(self, parcels: Sequence[Parcel]) -> list[tuple[ShippingRate, ...]]:
        """Return the ways to send each parcel, in their order; none where the carrier does not go there.

        Raises:
            Unavailable: the carrier cannot be reached; nobody checks out meanwhile.
        """
        ...

    async def close(self) -> None: ...
