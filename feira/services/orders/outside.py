"""What carriers and tax services say of a basket, asked outside of transactions.

Pricing is pure: it is run with what was said so far and leaves the questions that are still open. `ask` puts them to the services
and prices again until none is open. The checkout's transaction then prices what it has locked with the same answers;
where the cart has changed meanwhile, a question is open again and nothing is bought.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from feira.platform.domain.shipping import Parcel, ShippingRate
from feira.platform.domain.taxes import UNTAXED, Taxes, TaxRequest
from feira.platform.gateways.shipping.port import CarrierRates
from feira.platform.gateways.tax.port import TaxService

T = TypeVar("T")


class Said:
    """Answers by question, and the questions that nobody has asked yet."""

    def __init__(
        self, carriers: CarrierRates | None = None, taxes: TaxService | None = None
    ) -> None:
        self._carriers = carriers
        self._taxes = taxes
        self._rates_of: dict[Parcel, tuple[ShippingRate, ...]] = {}
        self._taxes_of: dict[TaxRequest, Taxes] = {}
        self._parcels: list[Parcel] = []
        self._requests: list[TaxRequest] = []

    @property
    def has_carriers(self) -> bool:
        return self._carriers is not None

    @property
    def has_tax_service(self) -> bool:
        return self._taxes is not None

    @property
    def is_open(self) -> bool:
        """Whether pricing asked anything that has no answer yet: its result counts for nothing then."""
        return bool(self._parcels or self._requests)

    def rates(self, parcel: Parcel) -> tuple[ShippingRate, ...]:
        """What carriers take for a parcel; nothing while that is open."""
        if self._carriers is None:
            return ()
        if parcel not in self._rates_of:
            self._parcels.append(parcel)
        return self._rates_of.get(parcel, ())

    def taxes(self, request: TaxRequest) -> Taxes:
        """What the tax service says; nothing while that is open."""
        assert self._taxes is not None, "without a service, the table is asked"
        # What a delivery costs is taxed too: that comes first.
        if request not in self._taxes_of and not self._parcels:
            self._requests.append(request)
        untaxed = Taxes(lines=(UNTAXED,) * len(request.lines), shipping=UNTAXED)
        return self._taxes_of.get(request, untaxed)

    async def find_out(self) -> None:
        """Put the open questions to the services.

        Raises:
            Unavailable: one of them is away.
        """
        parcels, self._parcels = self._parcels, []
        if parcels:
            assert self._carriers is not None, "who else would be asked"
            answers = await self._carriers.quote(parcels)
            self._rates_of |= dict(zip(parcels, answers, strict=True))
        requests, self._requests = self._requests, []
        if requests:
            assert self._taxes is not None, "who else would be asked"
            taxes = await self._taxes.tax(requests)
            self._taxes_of |= dict(zip(requests, taxes, strict=True))


async def ask(said: Said, price: Callable[[], Awaitable[T]]) -> T:
    """Price until no question is open, and return the last price.

    A tax depends on the delivery's price, and that on the discounts: a few rounds are enough.
    """
    priced = await price()
    while said.is_open:
        await said.find_out()
        priced = await price()
    return priced
