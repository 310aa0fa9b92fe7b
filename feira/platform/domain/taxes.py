"""Taxes on one shop's part of a basket, from a table of rates or as an outside service answers.

A shop's prices include the tax or not (`TaxMode`). The tax of each rate is computed once on the sum of what it
applies to, rounded half-up, and split over the lines by largest remainder: lines add up to what an invoice shows for
each rate. What counts is what the shop gets for a line: its own discounts lower the taxed amount, the market's
do not, since the market pays them to the shop. Delivery is taxed at the place's standard rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec

from feira.platform.domain.ids import ShopId
from feira.platform.domain.money import BASIS_POINTS, allocate, share
from feira.platform.domain.shipping import Destination

TaxMode = Literal["inclusive", "exclusive"]


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """A rate of a country, or of a region in it; of a category, or the standard one (no category)."""

    country: str
    region: str = ""
    category: str | None = None
    basis_points: int
    name: str


class Taxable(msgspec.Struct, frozen=True, kw_only=True):
    """An amount and the categories of what it is for, the nearest first."""

    categories: tuple[str, ...]
    amount_minor: int


class TaxRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taxed. `shipping_minor` is what the shop gets for sending it."""

    shop_id: ShopId
    currency: str
    mode: TaxMode
    destination: Destination
    lines: tuple[Taxable, ...]
    shipping_minor: int


class LineTax(msgspec.Struct, frozen=True, kw_only=True):
    """`tax_minor` is inside the amount or on top of it, by the request's mode. No name: not taxed."""

    name: str = ""
    basis_points: int = 0
    tax_minor: int = 0


UNTAXED = LineTax()


class Taxes(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: one tax for each line, in their order, and the delivery's."""

    lines: tuple[LineTax, ...]
    shipping: LineTax

    @property
    def total_minor(self) -> int:
        return sum(line.tax_minor for line in self.lines) + self.shipping.tax_minor


def table_taxes(rates: Sequence[TaxRate], request: TaxRequest) -> Taxes:
    """Tax by a table; places and categories that it does not name are untaxed."""
    amounts = [*(line.amount_minor for line in request.lines), request.shipping_minor]
    applied = [
        *(rate_for(rates, request.destination, line.categories) for line in request.lines),
        rate_for(rates, request.destination, ()),
    ]
    taxes = [UNTAXED] * len(amounts)
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, rate in enumerate(applied):
        if rate is not None:
            places[rate.name, rate.basis_points].append(place)
    for (name, basis_points), taxed in places.items():
        whole = tax_on(sum(amounts[place] for place in taxed), basis_points, request.mode)
        parts = allocate(whole, [amounts[place] for place in taxed])
        for place, part in zip(taxed, parts, strict=True):
            taxes[place] = LineTax(name=name, basis_points=basis_points, tax_minor=part)
    return Taxes(lines=tuple(taxes[:-1]), shipping=taxes[-1])


def tax_on(amount_minor: int, basis_points: int, mode: TaxMode) -> int:
    """The tax on top of an amount, or inside it: `amount - amount / (1 + rate)`, the net part rounded half-up."""
    if mode == "exclusive":
        return share(amount_minor, basis_points)
    gross_points = BASIS_POINTS + basis_points
    return amount_minor - (2 * amount_minor * BASIS_POINTS + gross_points) // (2 * gross_points)


def rate_for(
    rates: Sequence[TaxRate], destination: Destination, categories: Sequence[str]
) -> TaxRate | None:
    """The most particular rate: of the nearest category first, then of the region before its country."""
    region = destination.region.strip().casefold()
    here = [
        rate
        for rate in rates
        if rate.country == destination.country and rate.region.casefold() in {"", region}
    ]
    for category in (*categories, None):
        fitting = [rate for rate in here if rate.category == category]
        if fitting:
            return max(fitting, key=lambda rate: rate.region != "")
    return None
