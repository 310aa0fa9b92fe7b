"""Commission rules as finance edits them, and what orders freeze of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from feira.app import open_ground
from feira.platform.domain.errors import Conflict, InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import CommissionRuleId, ProductId, VariantId
from feira.platform.domain.permissions import Principal
from feira.platform.runtime.config import Config
from feira.services.payments import commission, commission_rules
from feira.services.payments.commission import ChangeCommission
from feira.services.payments.commission_rules import (
    AddCommissionRule,
    CommissionPreview,
    EndCommissionRule,
    PreviewCommission,
    PreviewLine,
    RuleFilter,
    RuleView,
)
from tests.integration.orders.memory_gateway import MemoryGateway
from tests.integration.orders.stage import Shop, Stage


@dataclass(kw_only=True)
class Office:
    """Finance at work, with a shop and a product of it for 100.00 EUR in "books"."""

    stage: Stage
    finance: Principal
    shop: Shop
    variant: VariantId
    product: ProductId

    async def add(self, **terms: Any) -> RuleView:
        given: dict[str, Any] = {"basis_points": 1_000, **terms}
        wanted = AddCommissionRule(**given)
        return await self.stage.transact(
            lambda tx: commission_rules.add_rule(tx, self.finance, wanted)
        )

    async def end(self, rule: CommissionRuleId, **when: Any) -> RuleView:
        return await self.stage.transact(
            lambda tx: commission_rules.end_rule(tx, self.finance, rule, EndCommissionRule(**when))
        )

    async def preview(self, *, currency: str = "EUR", **when: Any) -> CommissionPreview:
        line = PreviewLine(product_id=self.product, unit_price_minor=10_000, quantity=2)
        wanted = PreviewCommission(currency=currency, lines=[line], **when)
        async with self.stage.database.connection() as con:
            now = await con.fetchval("SELECT now()")
            return await commission_rules.preview(con, self.finance, wanted, now)

    async def category(self, slug: str) -> Any:
        async with self.stage.database.connection() as con:
            return await con.fetchval("SELECT id FROM categories WHERE slug = $1", slug)

    async def bought(self) -> tuple[int, Any]:
        """The commission of an order of two, and the rule that its line froze."""
        _, (order,) = await self.stage.buy(await self.stage.buyer(), self.variant, quantity=2)
        async with self.stage.database.connection() as con:
            row = await con.fetchrow(
                "SELECT o.commission_minor, l.commission_rule_id FROM orders o JOIN order_lines l ON l.order_id = o.id"
                " WHERE o.id = $1",
                order,
            )
        assert row is not None
        return row["commission_minor"], row["commission_rule_id"]


@pytest.fixture
async def office(config: Config, fresh_database_dsn: str) -> AsyncIterator[Office]:
    own = msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)
    async with open_ground(own) as ground:
        gateway = MemoryGateway()
        stage = Stage(market=replace(ground.market, payments=gateway), gateway=gateway)
        shop = await stage.shop()
        variant = await stage.variant(shop, price_minor=10_000, on_hand=100)
        yield Office(
            stage=stage,
            finance=await stage.person("finance"),
            shop=shop,
            variant=variant,
            product=stage.product_of(variant),
        )


async def test_the_preview_says_what_an_order_will_freeze_and_by_which_rule(
    office: Office,
) -> None:
    assert (await office.preview()).commission_minor == 2_000
    in_books = await office.add(category_id=await office.category("books-media"), basis_points=800)
    shops = await office.add(
        shop_id=office.shop.id, basis_points=500, currency="EUR", fixed_minor=35
    )
    previewed = await office.preview()
    assert [one.id for one in previewed.lines[0].candidates][:2] == [
        shops.rule.id,
        in_books.rule.id,
    ]
    assert previewed.commission_minor == 1_035
    assert await office.bought() == (1_035, shops.rule.id)

    await office.end(shops.rule.id)
    assert await office.bought() == (1_600, in_books.rule.id)
    assert (await office.preview(currency="JPY")).commission_minor == 1_600


async def test_a_rule_for_later_is_previewed_and_does_not_touch_orders_before_it(
    office: Office,
) -> None:
    async with office.stage.database.connection() as con:
        tomorrow = await con.fetchval("SELECT now()") + timedelta(days=1)
    later = await office.add(product_id=office.product, basis_points=0, valid_from=tomorrow)
    assert (await office.preview(at=tomorrow)).commission_minor == 0
    assert (await office.preview()).commission_minor == 2_000
    commission_minor, rule = await office.bought()
    assert commission_minor == 2_000
    assert rule != later.rule.id


async def test_a_new_default_takes_the_old_ones_place(office: Office) -> None:
    await office.stage.transact(
        lambda tx: commission.change_commission(
            tx, office.finance, ChangeCommission(basis_points=700)
        )
    )
    async with office.stage.database.connection() as con:
        now = await con.fetchval("SELECT now()")
        page = await commission_rules.list_rules(con, office.finance, RuleFilter(), now)
        everything = await commission_rules.list_rules(
            con, office.finance, RuleFilter(ended=True, limit=1), now
        )
    assert [view.rule.basis_points for view in page.items] == [700]
    assert page.items[0].warning is None
    assert everything.next_cursor is not None
    assert (await office.preview()).commission_minor == 1_400


async def test_a_rule_that_can_never_win_says_by_what(office: Office) -> None:
    first = await office.add(shop_id=office.shop.id)
    assert first.warning is None
    second = await office.add(shop_id=office.shop.id)
    assert second.warning is None
    async with office.stage.database.connection() as con:
        now = await con.fetchval("SELECT now()")
        view = await commission_rules.read_rule(con, office.finance, first.rule.id, now)
    assert view.warning is not None
    assert (view.warning.kind, view.warning.by) == ("shadowed", (second.rule.id,))
    wrong = await office.add(product_id=office.product, category_id=await office.category("shoes"))
    assert wrong.warning is not None
    assert wrong.warning.kind == "fits_nothing"


async def test_the_last_rule_that_fits_everything_stays(office: Office) -> None:
    async with office.stage.database.connection() as con:
        default = await con.fetchval("SELECT id FROM commission_rules")
    with pytest.raises(Rejected) as caught:
        await office.end(default)
    assert caught.value.code == "commission.last_default"
    await office.add()
    await office.end(default)
    with pytest.raises(Conflict):
        await office.end(default)


async def test_senseless_rules_are_refused(office: Office) -> None:
    band = {"price_from_minor": 5, "price_below_minor": 5}
    senseless: list[tuple[dict[str, Any], str]] = [
        ({"fixed_minor": 5}, "commission.needs_currency"),
        ({"price_from_minor": 5}, "commission.needs_currency"),
        ({"currency": "XXX"}, "money.unknown_currency"),
        ({"currency": "EUR", **band}, "commission.empty_band"),
        ({"currency": "EUR", "min_minor": 5, "max_minor": 4}, "commission.min_above_max"),
        ({"product_id": uuid4()}, "commission.unknown_subject"),
        ({"shop_id": uuid4()}, "commission.unknown_subject"),
        ({"category_id": uuid4()}, "commission.unknown_subject"),
    ]
    for terms, code in senseless:
        with pytest.raises(InvalidInput) as caught:
            await office.add(**terms)
        assert caught.value.code == code


async def test_rules_begin_and_end_from_now_on(office: Office) -> None:
    async with office.stage.database.connection() as con:
        now = await con.fetchval("SELECT now()")
    with pytest.raises(Rejected, match="in_the_past"):
        await office.add(valid_from=now - timedelta(seconds=1))
    soon = now + timedelta(hours=1)
    with pytest.raises(InvalidInput, match="ends_before"):
        await office.add(valid_from=soon, valid_until=soon)
    rule = (await office.add(shop_id=office.shop.id)).rule
    with pytest.raises(Rejected, match="in_the_past"):
        await office.end(rule.id, at=rule.valid_from)
    with pytest.raises(NotFound):
        await office.end(CommissionRuleId(uuid4()))


async def test_each_change_is_told_with_who_made_it(office: Office) -> None:
    rule = (await office.add(shop_id=office.shop.id, basis_points=1)).rule
    await office.end(rule.id)
    async with office.stage.database.connection() as con:
        bodies = await con.fetch("SELECT body FROM topic_events WHERE topic = 'ops' ORDER BY seq")
    told = [msgspec.json.decode(row["body"]) for row in bodies]
    assert [(one["rule"], one["change"]) for one in told] == [
        (str(rule.id), "added"),
        (str(rule.id), "ended"),
    ]
    assert {one["changed_by"] for one in told} == {str(office.finance.user_id)}
