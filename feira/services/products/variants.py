"""A product's variants: what differs, its SKU, its price.

Variants are never deleted, as orders speak of them; one that is given up becomes inactive, and its SKU stays
its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import asyncpg
import msgspec
from msgspec import UNSET, Meta, UnsetType

from feira.platform.domain.errors import InvalidInput, Rejected
from feira.platform.domain.ids import ProductId, ShopId, VariantId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.products import (
    VARIANTS_MAX,
    OnHand,
    Options,
    PriceMinor,
    Sku,
    VariantFacts,
    Version,
    WeightG,
    check_variants,
)
from feira.services.products.rows import SQL, ProductRow, VariantRow, decode_options
from feira.sql.database import Tx
from feira.sql.loader import fetch_all


class NewVariant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`on_hand` is the first stock; of a variant that exists already it is left alone: use its stock."""

    sku: Sku
    options: Options = {}
    price_minor: PriceMinor
    weight_g: WeightG = 0
    on_hand: OnHand = 0


class VariantSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All variants, in their order. Those that exist are known by their SKU; what is missing is given up."""

    version: Version
    variants: Annotated[list[NewVariant], Meta(max_length=VARIANTS_MAX)]


class VariantChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. `version` is the product's."""

    version: Version
    sku: Sku | UnsetType = UNSET
    options: Options | UnsetType = UNSET
    price_minor: PriceMinor | UnsetType = UNSET
    weight_g: WeightG | UnsetType = UNSET
    active: bool | UnsetType = UNSET


async def insert_variants(
    tx: Tx,
    principal: Principal,
    product_id: ProductId,
    shop_id: ShopId,
    variants: Sequence[NewVariant],
) -> None:
    """Add the first variants of a product.

    Raises:
        InvalidInput: see `check_variants`.
        Rejected: `product.sku_taken`.
    """
    check_variants([_facts(variant) for variant in variants])
    for position, variant in enumerate(variants):
        await _insert_variant(tx, principal, product_id, shop_id, variant, position)


async def replace_variants(
    tx: Tx, principal: Principal, product: ProductRow, variants: Sequence[NewVariant]
) -> None:
    """Give a locked product another set of variants.

    Raises:
        InvalidInput: see `check_variants`.
        Rejected: `product.sku_taken`, `product.needs_variant`.
    """
    check_variants([_facts(variant) for variant in variants])
    _require_some(product, any_active=bool(variants))
    known = {row.sku: row for row in await read_variants(tx, product.id)}
    await tx.con.execute(SQL["give_up_variants"], product.id)
    for position, variant in enumerate(variants):
        row = known.get(variant.sku)
        if row is None:
            await _insert_variant(tx, principal, product.id, product.shop_id, variant, position)
        else:
            await tx.con.execute(
                SQL["update_variant"],
                row.id,
                row.sku,
                variant.options,
                variant.price_minor,
                position,
                True,
            )
            await tx.con.execute(SQL["set_weight"], row.id, variant.weight_g)


async def change_variant(
    tx: Tx, product: ProductRow, variant_id: VariantId, change: VariantChange
) -> None:
    """Change one variant of a locked product.

    Raises:
        InvalidInput: see `check_variants`.
        Rejected: `product.sku_taken`, `product.needs_variant`.
    """
    rows = await read_variants(tx, product.id)
    changed = {row.id: _changed(row, change if row.id == variant_id else None) for row in rows}
    row = next(row for row in rows if row.id == variant_id)
    facts = changed[variant_id]
    try:
        # One wrong part is all that a change of one variant can have.
        check_variants(list(changed.values()))
    except InvalidInput as error:
        part = (error.field or "$").rpartition(".")[2]
        raise InvalidInput(error.code, error.message, field=f"$.{part}") from error
    _require_some(product, any_active=any(variant.active for variant in changed.values()))
    try:
        await tx.con.execute(
            SQL["update_variant"],
            variant_id,
            facts.sku,
            facts.options,
            row.price_minor if change.price_minor is UNSET else change.price_minor,
            row.position,
            facts.active,
        )
        if change.weight_g is not UNSET:
            await tx.con.execute(SQL["set_weight"], variant_id, change.weight_g)
    except asyncpg.UniqueViolationError as error:
        _assert_sku(error)
        raise sku_taken(facts.sku, "$.sku") from error


async def read_variants(tx: Tx, product_id: ProductId) -> list[VariantRow]:
    """Return a locked product's variants, inactive ones too."""
    return await fetch_all(tx.con, SQL["read_variants"], VariantRow, [product_id])


def sku_taken(sku: str, field: str) -> Rejected:
    return Rejected(
        "product.sku_taken",
        f"The shop has another variant with the SKU {sku}; choose a different one.",
        field=field,
    )


async def _insert_variant(
    tx: Tx,
    principal: Principal,
    product_id: ProductId,
    shop_id: ShopId,
    variant: NewVariant,
    position: int,
) -> VariantId:
    """Add one variant that was checked against its siblings.

    Raises:
        Rejected: `product.sku_taken`. The transaction is over then.
    """
    try:
        variant_id: VariantId = await tx.con.fetchval(
            SQL["insert_variant"],
            product_id,
            shop_id,
            variant.sku,
            variant.options,
            variant.price_minor,
            position,
            True,
            variant.on_hand,
            principal.user_id,
        )
    except asyncpg.UniqueViolationError as error:
        _assert_sku(error)
        raise sku_taken(variant.sku, f"$.variants[{position}].sku") from error
    if variant.weight_g:
        await tx.con.execute(SQL["set_weight"], variant_id, variant.weight_g)
    return variant_id


def _facts(variant: NewVariant) -> VariantFacts:
    return VariantFacts(sku=variant.sku, options=variant.options, active=True)


def _changed(row: VariantRow, change: VariantChange | None) -> VariantFacts:
    options = decode_options(row.options)
    if change is None:
        return VariantFacts(sku=row.sku, options=options, active=row.active)
    return VariantFacts(
        sku=row.sku if change.sku is UNSET else change.sku,
        options=options if change.options is UNSET else change.options,
        active=row.active if change.active is UNSET else change.active,
    )


def _require_some(product: ProductRow, *, any_active: bool) -> None:
    if product.status == "published" and not any_active:
        raise Rejected(
            "product.needs_variant",
            "A published product keeps at least one active variant; archive it instead.",
            field="$.variants",
        )


def _assert_sku(error: asyncpg.UniqueViolationError) -> None:
    assert error.constraint_name == "variants_sku_unique", "options were checked under the lock"
