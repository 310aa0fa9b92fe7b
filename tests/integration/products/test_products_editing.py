"""From draft to published to archived, by the right people, in the right order."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec
import pytest

from feira.platform.domain.errors import (
    Conflict,
    FeiraError,
    InvalidInput,
    NotAllowed,
    NotFound,
    Rejected,
)
from feira.platform.domain.ids import ProductId, VariantId
from feira.services.products.catalogue import (
    list_public_products,
    list_team_products,
    load_sellable,
)
from feira.services.products.editing import (
    ProductChange,
    archive,
    publish,
    set_variants,
    update_product,
    update_variant,
)
from feira.services.products.variants import NewVariant, VariantChange, VariantSet
from feira.services.products.views import ProductView
from tests.integration.products.goods import Goods, Shop


def shirt(size: str, sku: str | None = None, price_minor: int = 2_500) -> NewVariant:
    return NewVariant(sku=sku or f"SHIRT-{size}", options={"Size": size}, price_minor=price_minor)


async def replace(
    goods: Goods, shop: Shop, product: ProductView, *variants: NewVariant
) -> ProductView:
    wanted = VariantSet(version=product.version, variants=list(variants))
    await goods.transact(lambda tx: set_variants(tx, shop.owner, product.id, wanted))
    return await goods.read(product.id, shop.owner)


async def change_variant(
    goods: Goods, shop: Shop, variant: VariantId, change: VariantChange
) -> ProductId:
    return await goods.transact(lambda tx: update_variant(tx, shop.owner, variant, change))


async def test_a_draft_is_there_for_its_team_and_for_nobody_else(goods: Goods) -> None:
    shop, stranger = await goods.shop(), await goods.person()
    draft = await goods.draft(shop)
    assert draft.status == "draft"
    assert draft.variants[0].on_hand == 5
    for principal in (None, stranger):
        with pytest.raises(NotFound):
            await goods.read(draft.id, principal)
    with pytest.raises(NotFound):
        await goods.transact(
            lambda tx: update_product(tx, stranger, draft.id, ProductChange(version=1))
        )


async def test_an_admin_may_see_a_draft_but_not_change_it(goods: Goods) -> None:
    admin = await goods.person(is_admin=True)
    draft = await goods.draft(await goods.shop())
    assert (await goods.read(draft.id, admin)).id == draft.id
    with pytest.raises(NotAllowed):
        await goods.transact(
            lambda tx: update_product(tx, admin, draft.id, ProductChange(version=1))
        )


async def test_the_public_sees_a_published_product_without_the_teams_figures(goods: Goods) -> None:
    product = await goods.product(await goods.shop(), on_hand=3)
    seen = await goods.read(product.id)
    assert seen.sellable
    assert seen.in_stock
    assert seen.price_min_minor == 1_999
    assert (seen.variants[0].available, seen.variants[0].on_hand) == (3, None)


async def test_publishing_needs_a_category_and_a_variant(goods: Goods) -> None:
    shop = await goods.shop()
    draft = await goods.draft(shop, category=None, variants=[])
    with pytest.raises(Rejected) as caught:
        await goods.transact(lambda tx: publish(tx, shop.owner, draft.id, draft.version))
    assert caught.value.code == "product.incomplete"
    assert caught.value.details == {"missing": ["category", "variants"]}


@pytest.mark.parametrize("status", ["applied", "verified", "suspended"])
async def test_only_an_approved_shop_publishes(goods: Goods, status: str) -> None:
    shop = await goods.shop(status=status)
    draft = await goods.draft(shop)
    with pytest.raises(Rejected) as caught:
        await goods.transact(lambda tx: publish(tx, shop.owner, draft.id, draft.version))
    assert caught.value.code == "shop.not_approved"


async def test_an_edit_of_a_stale_version_is_told_the_current_one(goods: Goods) -> None:
    shop = await goods.shop()
    draft = await goods.draft(shop)

    async def rename(title: str) -> FeiraError | None:
        change = ProductChange(version=draft.version, title=title)
        try:
            await goods.transact(lambda tx: update_product(tx, shop.owner, draft.id, change))
        except FeiraError as error:
            return error
        return None

    answers = await asyncio.gather(rename("One"), rename("Two"))
    lost = [answer for answer in answers if answer]
    assert len(lost) == 1
    assert isinstance(lost[0], Conflict)
    assert lost[0].code == "product.stale_version"
    assert lost[0].details == {"version": draft.version + 1}


async def test_sales_do_not_make_a_sellers_open_form_stale(goods: Goods) -> None:
    from tests.integration.products.test_stock import hold, take

    shop = await goods.shop()
    product = await goods.product(shop, on_hand=1)
    assert await take(goods, hold(product.variants[0].id)) is None
    change = ProductChange(version=product.version, title="Vase, reduced")
    await goods.transact(lambda tx: update_product(tx, shop.owner, product.id, change))
    assert (await goods.read(product.id)).title == "Vase, reduced"


async def test_an_archived_product_is_gone_until_it_is_published_again(goods: Goods) -> None:
    shop = await goods.shop()
    product = await goods.product(shop)
    await goods.transact(lambda tx: archive(tx, shop.owner, product.id, product.version))
    with pytest.raises(NotFound):
        await goods.read(product.id)
    gone = await goods.read(product.id, shop.owner)
    with pytest.raises(Conflict):
        await goods.transact(lambda tx: archive(tx, shop.owner, product.id, gone.version))
    await goods.transact(lambda tx: publish(tx, shop.owner, product.id, gone.version))
    back = await goods.read(product.id)
    assert back.published_at == product.published_at


async def test_a_suspended_shops_goods_are_hidden_at_once_and_come_back(goods: Goods) -> None:
    shop = await goods.shop()
    product = await goods.product(shop)
    variant = product.variants[0].id
    await goods.decide(shop, "suspend")
    with pytest.raises(NotFound):
        await goods.read(product.id)
    async with goods.market.database.connection() as con:
        assert [v.sellable for v in await load_sellable(con, [variant])] == [False]
        with pytest.raises(NotFound):
            await list_public_products(con, shop.id, str, limit=10, cursor=None)
    assert not (await goods.read(product.id, shop.owner)).sellable
    await goods.decide(shop, "reinstate")
    assert (await goods.read(product.id)).sellable


async def test_publishing_and_suspending_at_once_never_leave_a_product_unseen_by_search(
    goods: Goods,
) -> None:
    shop = await goods.shop()
    drafts = [await goods.draft(shop) for _ in range(5)]

    async def show(draft: ProductView) -> None:
        try:
            await goods.transact(lambda tx: publish(tx, shop.owner, draft.id, draft.version))
        except Rejected as error:
            assert error.code == "shop.not_approved"  # noqa: PT017 - either order is right

    await asyncio.gather(*(show(draft) for draft in drafts), goods.decide(shop, "suspend"))
    for draft in drafts:
        status = (await goods.read(draft.id, shop.owner)).status
        # Whoever was published before the suspension was looked at again because of it.
        assert len(await goods.sync_jobs(draft.id)) == (2 if status == "published" else 0)


class TestVariants:
    async def test_variants_have_the_same_options_in_different_combinations(
        self, goods: Goods
    ) -> None:
        shop = await goods.shop()
        with pytest.raises(InvalidInput) as caught:
            await goods.draft(shop, variants=[shirt("S"), shirt("S", "OTHER")])
        assert caught.value.code == "product.options_twice"
        assert caught.value.field == "$.variants[1].options"
        odd = NewVariant(sku="ODD", options={"Colour": "Red"}, price_minor=1)
        with pytest.raises(InvalidInput) as caught:
            await goods.draft(shop, variants=[shirt("S"), odd])
        assert caught.value.code == "product.option_names_differ"

    async def test_a_sku_is_one_variants_in_a_shop_and_free_in_another(self, goods: Goods) -> None:
        shop, other = await goods.shop(), await goods.shop()
        await goods.draft(shop, variants=[shirt("S")])
        with pytest.raises(Rejected) as caught:
            await goods.draft(shop, "Another", variants=[shirt("M"), shirt("S")])
        assert caught.value.code == "product.sku_taken"
        assert caught.value.field == "$.variants[1].sku"
        await goods.draft(other, variants=[shirt("S")])

    async def test_replacing_variants_keeps_those_known_by_sku_and_gives_up_the_rest(
        self, goods: Goods
    ) -> None:
        shop = await goods.shop()
        product = await goods.product(shop, variants=[shirt("S"), shirt("M")])
        small = product.variants[0]
        changed = await replace(goods, shop, product, shirt("S", price_minor=9), shirt("L"))
        shown = {variant.sku: variant for variant in changed.variants if variant.active}
        assert set(shown) == {"SHIRT-S", "SHIRT-L"}
        assert shown["SHIRT-S"].id == small.id
        assert shown["SHIRT-S"].price_minor == 9
        public = await goods.read(product.id)
        assert [variant.sku for variant in public.variants] == ["SHIRT-S", "SHIRT-L"]
        again = await replace(goods, shop, changed, shirt("M"))
        assert [variant.sku for variant in again.variants if variant.active] == ["SHIRT-M"]

    async def test_variants_may_swap_their_options(self, goods: Goods) -> None:
        shop = await goods.shop()
        product = await goods.product(shop, variants=[shirt("S", "A"), shirt("M", "B")])
        swapped = await replace(goods, shop, product, shirt("M", "A"), shirt("S", "B"))
        assert {v.sku: v.options["Size"] for v in swapped.variants} == {"A": "M", "B": "S"}

    async def test_a_published_product_keeps_something_to_buy(self, goods: Goods) -> None:
        shop = await goods.shop()
        product = await goods.product(shop)
        with pytest.raises(Rejected) as caught:
            await replace(goods, shop, product)
        assert caught.value.code == "product.needs_variant"
        change = VariantChange(version=product.version, active=False)
        with pytest.raises(Rejected):
            await change_variant(goods, shop, product.variants[0].id, change)

    async def test_one_variant_changes_alone_and_the_page_is_told(self, goods: Goods) -> None:
        shop = await goods.shop()
        product = await goods.product(shop, variants=[shirt("S"), shirt("M")])
        change = VariantChange(version=product.version, price_minor=1)
        await change_variant(goods, shop, product.variants[0].id, change)
        seen = await goods.read(product.id)
        assert [variant.price_minor for variant in seen.variants] == [1, 2_500]
        last = msgspec.json.decode((await goods.events(product.id))[-1])
        assert last == {
            "kind": "product.changed",
            "product": str(product.id),
            "version": seen.version,
        }

    async def test_a_variant_cannot_take_its_siblings_options_or_sku(self, goods: Goods) -> None:
        shop = await goods.shop()
        product = await goods.product(shop, variants=[shirt("S"), shirt("M")])
        for change, code in (
            (
                VariantChange(version=product.version, options={"Size": "M"}),
                "product.options_twice",
            ),
            (VariantChange(version=product.version, sku="SHIRT-M"), "product.sku_twice"),
        ):
            with pytest.raises(InvalidInput) as caught:
                await change_variant(goods, shop, product.variants[0].id, change)
            assert caught.value.code == code


async def test_a_shops_list_is_read_page_by_page_without_gap_or_repeat(goods: Goods) -> None:
    shop = await goods.shop()
    made = [(await goods.product(shop, f"Thing {n}")).id for n in range(5)]
    draft = await goods.draft(shop)
    seen: list[ProductId] = []
    cursor = None
    async with goods.market.database.connection() as con:
        while True:
            page = await list_public_products(con, shop.id, str, limit=2, cursor=cursor)
            seen += [product.id for product in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        team = await list_team_products(
            con, shop.id, shop.owner, str, status=None, limit=100, cursor=None
        )
        drafts = await list_team_products(
            con, shop.id, shop.owner, str, status="draft", limit=100, cursor=None
        )
        with pytest.raises(InvalidInput):
            await list_public_products(con, shop.id, str, limit=2, cursor="x")
        with pytest.raises(NotFound):
            await list_team_products(
                con, shop.id, await goods.person(), str, status=None, limit=2, cursor=None
            )
    assert seen == list(reversed(made))
    assert [product.id for product in team.items] == [draft.id, *reversed(made)]
    assert [product.id for product in drafts.items] == [draft.id]


async def test_what_may_be_sold_is_read_in_the_order_asked_for(goods: Goods) -> None:
    shop = await goods.shop(currency="JPY")
    first = (await goods.product(shop, price_minor=300)).variants[0]
    second = (await goods.draft(shop)).variants[0]
    async with goods.market.database.connection() as con:
        known = await load_sellable(con, [second.id, VariantId(uuid4()), first.id])
    assert [(v.variant_id, v.sellable, v.currency) for v in known] == [
        (second.id, False, "JPY"),
        (first.id, True, "JPY"),
    ]
    assert known[1].price_minor == 300


async def test_equal_titles_have_different_slugs(goods: Goods) -> None:
    shop = await goods.shop()
    slugs = {(await goods.draft(shop, "Käse & Brot")).slug for _ in range(3)}
    assert len(slugs) == 3
    assert all(slug.startswith("kase-brot-") for slug in slugs)
