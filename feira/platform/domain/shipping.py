"""What it costs to send one shop's part of a basket: the shop's own tables, and what a carrier's answer looks like.

A method has zones, each with a table of prices by what it counts (`flat`, `weight` in grams, or the `value` of the
goods in minor units): the first bracket whose `up_to` is not exceeded gives the price, and past the last one the
method does not take the parcel. The most particular zone counts: country and region, then country, then everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import ShopId
from feira.platform.domain.money import AMOUNT_MINOR_MAX

ZONES_MAX: Final = 50
BRACKETS_MAX: Final = 50
METHODS_MAX: Final = 50

TableKind = Literal["flat", "weight", "value"]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}(?![\s\S])")]
Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where something goes, as far as prices depend on it."""

    country: str
    region: str = ""
    postal_code: str = ""


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One shop's part of a basket as a carrier sees it. `goods_minor` is after the shop's own discounts."""

    shop_id: ShopId
    currency: str
    destination: Destination
    weight_g: int
    units: int
    goods_minor: int


class ShippingRate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to send a parcel. `method_id` is whatever its carrier calls it."""

    method_id: str
    name: str
    price_minor: int
    days_min: int
    days_max: int


class Bracket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price up to and including an amount; null means any."""

    up_to: Amount | None = None
    price_minor: Amount


class Zone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Places with a table of their own. No countries: everywhere else. Regions narrow one country.

    From `free_from_minor` of goods on, sending is free here.
    """

    countries: Annotated[tuple[CountryCode, ...], Meta(max_length=250)] = ()
    regions: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=120)], ...], Meta(max_length=100)
    ] = ()
    brackets: Annotated[tuple[Bracket, ...], Meta(min_length=1, max_length=BRACKETS_MAX)]
    free_from_minor: Amount | None = None


class TableMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A shop's own method."""

    id: str
    name: str
    kind: TableKind
    zones: tuple[Zone, ...]
    days_min: int
    days_max: int


def check_zones(kind: TableKind, zones: Sequence[Zone]) -> None:
    """Pass tables that give one answer for each parcel.

    Raises:
        InvalidInput: `shipping.regions_need_one_country`, `shipping.zones_overlap`, `shipping.flat_has_one_price`,
            `shipping.brackets_not_rising`.
    """
    seen: set[tuple[str, str]] = set()
    for place, zone in enumerate(zones):
        if zone.regions and len(zone.countries) != 1:
            raise InvalidInput(
                "shipping.regions_need_one_country",
                "Regions belong to one country: name it, and only it, in the zone.",
                field=f"$.zones[{place}].regions",
            )
        places = {
            (country, _folded(region))
            for country in zone.countries or ("",)
            for region in zone.regions or ("",)
        }
        if seen & places:
            raise InvalidInput(
                "shipping.zones_overlap",
                "Two zones name the same place; leave it in one of them.",
                field=f"$.zones[{place}]",
            )
        seen |= places
        _check_brackets(kind, zone.brackets, f"$.zones[{place}].brackets")


def table_rates(methods: Sequence[TableMethod], parcel: Parcel) -> tuple[ShippingRate, ...]:
    """Those of a shop's methods that take the parcel, in the shop's order."""
    rates: list[ShippingRate] = []
    for method in methods:
        zone = _zone_of(method.zones, parcel.destination)
        price = None if zone is None else _price(method.kind, zone, parcel)
        if price is not None:
            rates.append(
                ShippingRate(
                    method_id=method.id,
                    name=method.name,
                    price_minor=price,
                    days_min=method.days_min,
                    days_max=method.days_max,
                )
            )
    return tuple(rates)


def _zone_of(zones: Sequence[Zone], to: Destination) -> Zone | None:
    region = _folded(to.region)
    found: list[tuple[int, Zone]] = []
    for zone in zones:
        if to.country in zone.countries and region in {_folded(name) for name in zone.regions}:
            found.append((2, zone))
        elif to.country in zone.countries and not zone.regions:
            found.append((1, zone))
        elif not zone.countries:
            found.append((0, zone))
    return max(found, key=lambda ranked: ranked[0])[1] if found else None


def _price(kind: TableKind, zone: Zone, parcel: Parcel) -> int | None:
    counted = {"flat": 0, "weight": parcel.weight_g, "value": parcel.goods_minor}[kind]
    for bracket in zone.brackets:
        if bracket.up_to is None or counted <= bracket.up_to:
            free = zone.free_from_minor is not None and parcel.goods_minor >= zone.free_from_minor
            return 0 if free else bracket.price_minor
    return None


def _check_brackets(kind: TableKind, brackets: Sequence[Bracket], field: str) -> None:
    if kind == "flat" and (len(brackets) != 1 or brackets[0].up_to is not None):
        raise InvalidInput(
            "shipping.flat_has_one_price", "A flat rate has one price and no `up_to`.", field=field
        )
    limits = [bracket.up_to for bracket in brackets]
    named = [limit for limit in limits[:-1] if limit is not None]
    last = limits[-1]
    rising = [*named, last] if last is not None else named
    if len(named) != len(limits) - 1 or rising != sorted(set(rising)):
        raise InvalidInput(
            "shipping.brackets_not_rising",
            "Brackets rise by `up_to`; only the last one may leave it out.",
            field=field,
        )


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
