"""Product lists: each good row becomes a published product, each bad one a complaint.

A row with a SKU that the shop has already changes that product. All rows commit together with the answer, so
that a repeated request never sets stock back; each row is checked whole before anything of it is written.
Lock order: products by id, the shop, stock by id; then search versions and topics, once for all rows.
"""

from __future__ import annotations

import msgspec

from feira.platform.domain.errors import FeiraError, Rejected
from feira.platform.domain.events import Event
from feira.platform.domain.ids import CategoryId, ProductId, ShopId, VariantId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.product_csv import ImportRow, RowError, error_of, parse_products
from feira.platform.domain.product_events import ProductChanged, ProductPublished
from feira.platform.domain.products import VariantFacts, check_publishable, check_variants, slugify
from feira.platform.domain.topics import product_topic
from feira.services.products.access import require_shop
from feira.services.products.categories import list_categories, unknown_category
from feira.services.products.inventory import check_on_hand
from feira.services.products.rows import SQL, ProductRow, ShopFacts, VariantRow, decode_options
from feira.services.products.stock import (
    Change,
    StockLevel,
    lock_stock,
    move_stock,
    write_movements,
)
from feira.services.products.variants import sku_taken
from feira.sql.database import Tx
from feira.sql.loader import fetch_all, fetch_one


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows made and changed a product, and why the others were left out. The header is row 1."""

    created: int
    updated: int
    errors: list[RowError]


async def import_products(
    tx: Tx, principal: Principal, shop_id: ShopId, body: bytes
) -> ImportReport:
    """Create, change and publish the products of a CSV list: see product_csv.py for its form.

    Raises:
        NotFound: `shop.not_found`.
        Rejected: `shop.not_approved`.
        InvalidInput, TooLarge: see `parse_products`.
    """
    shop = await require_shop(tx.con, shop_id, principal, "product.write")
    rows, errors = parse_products(body, shop.currency)
    run = _Import(tx, principal, shop)
    await run.lock(rows)
    for row in rows:
        try:
            await run.take(row)
        except FeiraError as error:
            errors.append(error_of(row.row, error))
    await run.finish()
    errors.sort(key=lambda complaint: complaint.row)
    return ImportReport(created=run.created, updated=run.updated, errors=errors)


class _Import:
    """One list on its way in: what is known of the shop, and what the rows did so far."""

    def __init__(self, tx: Tx, principal: Principal, shop: ShopFacts) -> None:
        self.created = 0
        self.updated = 0
        self._tx = tx
        self._principal = principal
        self._shop = shop
        self._categories: dict[str, CategoryId] = {}
        self._products: dict[ProductId, ProductRow] = {}
        self._by_sku: dict[str, VariantRow] = {}
        # All variants of the known products, for the rules about siblings.
        self._facts: dict[ProductId, dict[VariantId, VariantFacts]] = {}
        self._levels: dict[VariantId, StockLevel] = {}
        self._on_hand: dict[VariantId, int] = {}
        self._events: dict[ProductId, Event] = {}

    async def lock(self, rows: list[ImportRow]) -> None:
        """Take what the rows will touch, in the one order.

        Raises:
            Rejected: `shop.not_approved`.
        """
        con = self._tx.con
        skus = list({row.sku for row in rows})
        known = await fetch_all(con, SQL["find_variants_by_sku"], VariantRow, self._shop.id, skus)
        product_ids = list({row.product_id for row in known})
        locked = await fetch_all(con, SQL["lock_products"], ProductRow, product_ids, self._shop.id)
        check_publishable(
            shop_approved=await con.fetchval(SQL["lock_shop_open"], self._shop.id),
            has_category=True,
            has_active_variant=True,
        )
        self._products = {product.id: product for product in locked}
        # Read again: under the locks nobody changes them.
        for variant in await fetch_all(con, SQL["read_variants"], VariantRow, product_ids):
            self._know(variant)
        wanted = [self._by_sku[sku].id for sku in skus if sku in self._by_sku]
        self._levels = await lock_stock(self._tx, wanted)
        self._categories = {category.slug: category.id for category in await list_categories(con)}

    async def take(self, row: ImportRow) -> None:
        """Do one row, or raise what is wrong with it before anything of it is kept."""
        category = self._categories.get(row.category)
        if category is None:
            raise unknown_category(row.category, field="category")
        variant = self._by_sku.get(row.sku)
        if variant is None:
            await self._create(row, category)
            self.created += 1
        else:
            await self._update(row, category, variant)
            self.updated += 1

    async def finish(self) -> None:
        """Move stock and tell the world, for all rows at once."""
        differences = {
            variant_id: on_hand - self._levels[variant_id].on_hand
            for variant_id, on_hand in self._on_hand.items()
            if on_hand != self._levels[variant_id].on_hand
        }
        if differences:
            await write_movements(self._tx, differences, "imported", self._principal.user_id)
        changes = {v: Change(on_hand=difference) for v, difference in differences.items()}
        for product_id, event in self._events.items():
            self._tx.emit(product_topic(product_id), event)
        await move_stock(self._tx, self._levels, changes, also_sync=self._events)

    async def _create(self, row: ImportRow, category: CategoryId) -> None:
        variant = await fetch_one(
            self._tx.con,
            SQL["insert_published_product"],
            VariantRow,
            self._shop.id,
            category,
            slugify(row.title),
            row.title,
            row.description or "",
            self._shop.currency,
            row.sku,
            row.options or {},
            row.price_minor,
            row.on_hand or 0,
            self._principal.user_id,
        )
        if variant is None:
            # Another request took the SKU in this moment.
            raise sku_taken(row.sku, "sku")
        product_id = variant.product_id
        self._products[product_id] = ProductRow(
            id=product_id,
            shop_id=self._shop.id,
            category_id=category,
            title=row.title,
            currency=self._shop.currency,
            status="published",
            version=1,
        )
        self._know(variant)
        self._levels[variant.id] = StockLevel(
            variant_id=variant.id,
            product_id=product_id,
            active=True,
            on_hand=row.on_hand or 0,
            reserved=0,
        )
        self._events[product_id] = ProductPublished(product=product_id, version=1)

    async def _update(self, row: ImportRow, category: CategoryId, variant: VariantRow) -> None:
        product = self._products[variant.product_id]
        options = self._facts[product.id][variant.id].options
        facts = VariantFacts(
            sku=row.sku,
            options=dict(options) if row.options is None else row.options,
            active=True,
        )
        siblings = {**self._facts[product.id], variant.id: facts}
        try:
            check_variants(list(siblings.values()))
        except FeiraError as error:
            raise Rejected(error.code, error.message, field="options") from error
        if row.on_hand is not None:
            check_on_hand(self._levels[variant.id], row.on_hand, field="stock")
            self._on_hand[variant.id] = row.on_hand
        self._facts[product.id] = siblings
        con = self._tx.con
        version: int = await con.fetchval(
            SQL["update_product"], product.id, row.title, row.description, category
        )
        if product.status != "published":
            version = await con.fetchval(SQL["set_product_status"], product.id, "published")
            self._products[product.id] = msgspec.structs.replace(product, status="published")
            self._events[product.id] = ProductPublished(product=product.id, version=version)
        elif isinstance(self._events.get(product.id), ProductPublished):
            self._events[product.id] = ProductPublished(product=product.id, version=version)
        else:
            self._events[product.id] = ProductChanged(product=product.id, version=version)
        await con.execute(
            SQL["update_variant"],
            variant.id,
            row.sku,
            facts.options,
            row.price_minor,
            variant.position,
            True,
        )

    def _know(self, variant: VariantRow) -> None:
        self._by_sku[variant.sku] = variant
        self._facts.setdefault(variant.product_id, {})[variant.id] = VariantFacts(
            sku=variant.sku, options=decode_options(variant.options), active=variant.active
        )
