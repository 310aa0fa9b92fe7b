"""CSV lists: what becomes of good rows, bad rows, and rows that come again."""

from __future__ import annotations

import asyncio

import pytest

from feira.platform.domain.errors import InvalidInput, NotFound, Rejected, TooLarge
from feira.services.products.catalogue import list_team_products
from feira.services.products.importing import ImportReport, import_products
from feira.services.products.stock import reserve
from feira.services.products.variants import NewVariant
from feira.services.products.views import ProductView
from tests.integration.products.goods import Goods, Shop, hold
from tests.integration.products.test_stock import LATER

HEADER = "sku,title,description,category,price,currency,stock,options\n"


async def load(goods: Goods, shop: Shop, text: str | bytes) -> ImportReport:
    body = text.encode() if isinstance(text, str) else text
    return await goods.transact(lambda tx: import_products(tx, shop.owner, shop.id, body))


async def listed(goods: Goods, shop: Shop) -> dict[str, ProductView]:
    """All products by the SKU of their first variant."""
    async with goods.market.database.connection() as con:
        page = await list_team_products(
            con, shop.id, shop.owner, str, status=None, limit=100, cursor=None
        )
    return {product.variants[0].sku: product for product in page.items}


async def test_good_rows_become_published_products(goods: Goods) -> None:
    shop = await goods.shop()
    report = await load(
        goods,
        shop,
        HEADER
        + 'VASE-1,"Vase, tall",Hand made,ceramics,19.99,EUR,5,Colour=Blue|Size=M\n'
        + "BOOK-1,A book,,books,7,,,\n",
    )
    assert (report.created, report.updated, report.errors) == (2, 0, [])
    products = await listed(goods, shop)
    vase, book = products["VASE-1"], products["BOOK-1"]
    assert (vase.title, vase.status, vase.category) == ("Vase, tall", "published", "ceramics")
    assert vase.variants[0].options == {"Colour": "Blue", "Size": "M"}
    assert (vase.variants[0].price_minor, book.variants[0].price_minor) == (1_999, 700)
    assert await goods.stock(vase.variants[0].id) == (5, 0)
    assert await goods.stock(book.variants[0].id) == (0, 0)
    assert await goods.sync_jobs(vase.id) == [f"search:{vase.id}:1"]
    assert (await goods.read(vase.id)).sellable


async def test_a_spreadsheets_mark_and_semicolons_are_read(goods: Goods) -> None:
    shop = await goods.shop()
    text = "\ufeffSKU; Title ;Category;Price\r\nA;Käse & Brot;food-drink;4,50\r\n\r\n"
    report = await load(goods, shop, text)
    assert (report.created, report.errors) == (1, [])
    product = (await listed(goods, shop))["A"]
    assert product.title == "Käse & Brot"
    assert product.variants[0].price_minor == 450


async def test_bad_rows_are_named_with_field_and_code_and_the_others_are_kept(
    goods: Goods,
) -> None:
    shop = await goods.shop()
    rows = [
        ("OK-1,Fine,,ceramics,1.00,EUR,1,", None),
        ("B,,,ceramics,1,EUR,1,", ("title", "product.title_empty")),
        ("C,Thing,,nowhere,1,EUR,1,", ("category", "product.unknown_category")),
        ("D,Thing,,,1,EUR,1,", ("category", "import.missing")),
        ("E,Thing,,ceramics,1.999,EUR,1,", ("price", "price.too_many_digits")),
        ("F,Thing,,ceramics,-1,EUR,1,", ("price", "price.malformed")),
        ("G,Thing,,ceramics,0,EUR,1,", ("price", "price.out_of_range")),
        ("H,Thing,,ceramics,1e3,EUR,1,", ("price", "price.malformed")),
        ("I,Thing,,ceramics,1,USD,1,", ("currency", "import.wrong_currency")),
        ("J,Thing,,ceramics,1,EUR,-1,", ("stock", "import.bad_stock")),
        ("K,Thing,,ceramics,1,EUR,1.5,", ("stock", "import.bad_stock")),
        ("L,Thing,,ceramics,1,EUR,1,Red", ("options", "import.bad_options")),
        ("M,Thing,,ceramics,1,EUR,1,A=1|A=2", ("options", "import.bad_options")),
        ("=1+1,Thing,,ceramics,1,EUR,1,", ("sku", "import.bad_sku")),
        ("N,Thing,ceramics,1", ("", "import.wrong_width")),
        ("O," + "x" * 201 + ",,ceramics,1,EUR,1,", ("title", "import.too_long")),
        ("OK-2,Fine,,ceramics,1.00,EUR,1,", None),
    ]
    report = await load(goods, shop, HEADER + "\n".join(row for row, _ in rows))
    assert report.created == 2
    found = {error.row: (error.field, error.code) for error in report.errors}
    assert found == {number: error for number, (_, error) in enumerate(rows, 2) if error}
    assert all(error.message for error in report.errors)
    assert set(await listed(goods, shop)) == {"OK-1", "OK-2"}


async def test_cells_that_look_like_formulas_stay_the_text_they_are(goods: Goods) -> None:
    shop = await goods.shop()
    title = '=HYPERLINK("http://evil.example")'
    quoted = '"' + title.replace('"', '""') + '"'
    report = await load(goods, shop, HEADER + f"A,{quoted},@SUM(1),ceramics,1,EUR,+1,\n")
    # A plus is no digit: stock is refused, not computed.
    assert [error.code for error in report.errors] == ["import.bad_stock"]
    report = await load(goods, shop, HEADER + f"A,{quoted},@SUM(1),ceramics,1,EUR,1,\n")
    assert report.created == 1
    product = (await listed(goods, shop))["A"]
    assert (product.title, product.description) == (title, "@SUM(1)")


async def test_the_same_sku_again_changes_the_product(goods: Goods) -> None:
    shop = await goods.shop()
    await load(goods, shop, HEADER + "A,First,Text,ceramics,1,EUR,5,Size=S\n")
    before = (await listed(goods, shop))["A"]
    report = await load(goods, shop, "sku,title,category,price,stock\nA,Second,books,2,3\n")
    assert (report.created, report.updated, report.errors) == (0, 1, [])
    after = (await listed(goods, shop))["A"]
    assert after.id == before.id
    assert (after.title, after.description, after.category) == ("Second", "Text", "books")
    assert after.variants[0].options == {"Size": "S"}
    assert after.variants[0].price_minor == 200
    assert await goods.stock(after.variants[0].id) == (3, 0)


async def test_a_sku_that_stands_twice_in_one_list_ends_as_its_last_row(goods: Goods) -> None:
    shop = await goods.shop()
    report = await load(
        goods, shop, HEADER + "A,First,,ceramics,1,EUR,5,\nA,Second,,books,2,EUR,7,\n"
    )
    assert (report.created, report.updated, report.errors) == (1, 1, [])
    product = (await listed(goods, shop))["A"]
    assert (product.title, product.variants[0].price_minor) == ("Second", 200)
    assert await goods.stock(product.variants[0].id) == (7, 0)


async def test_a_row_never_takes_stock_that_orders_hold(goods: Goods) -> None:
    shop = await goods.shop()
    product = await goods.product(shop, variants=[NewVariant(sku="A", price_minor=5, on_hand=4)])
    held = [hold(product.variants[0].id, 3)]
    await goods.transact(lambda tx: reserve(tx, held, LATER))
    report = await load(goods, shop, HEADER + "A,New title,,ceramics,1,EUR,2,\n")
    assert [(error.field, error.code) for error in report.errors] == [
        ("stock", "stock.below_reserved")
    ]
    # Nothing of the row was kept.
    assert (await goods.read(product.id)).title == product.title


async def test_an_archived_or_drafted_product_is_published_by_its_row(goods: Goods) -> None:
    shop = await goods.shop()
    draft = await goods.draft(shop, category=None, variants=[NewVariant(sku="A", price_minor=5)])
    report = await load(goods, shop, HEADER + "A,Now ready,,ceramics,1,EUR,2,\n")
    assert report.updated == 1
    assert (await goods.read(draft.id)).status == "published"


async def test_buyers_and_a_list_that_touch_the_same_goods_never_wait_in_a_ring(
    goods: Goods,
) -> None:
    shop = await goods.shop()
    skus = [f"S{n}" for n in range(30)]
    rows = "".join(f"{sku},Thing,,ceramics,1,EUR,1000,\n" for sku in reversed(skus))
    await load(goods, shop, HEADER + rows)
    variants = [product.variants[0].id for product in (await listed(goods, shop)).values()]

    async def buy(turn: int) -> None:
        mine = [hold(variant) for variant in variants[turn:] + variants[:turn]]
        await goods.transact(lambda tx: reserve(tx, mine, LATER))

    await asyncio.gather(
        *(buy(turn) for turn in range(15)),
        load(goods, shop, HEADER + rows.replace("1000", "2000")),
        load(goods, shop, HEADER + rows.replace("1000", "3000")),
    )
    for variant in variants:
        on_hand, reserved = await goods.stock(variant)
        assert on_hand in {2_000, 3_000}
        assert reserved == 15


async def test_two_lists_with_the_same_new_sku_at_once_make_one_product(goods: Goods) -> None:
    shop = await goods.shop()
    rows = HEADER + "A,Thing,,ceramics,1,EUR,1,\nB,Thing,,ceramics,1,EUR,1,\n"
    reports = await asyncio.gather(*(load(goods, shop, rows) for _ in range(3)))
    assert sum(report.created for report in reports) == 2
    assert {error.code for report in reports for error in report.errors} <= {"product.sku_taken"}
    assert set(await listed(goods, shop)) == {"A", "B"}


async def test_a_thousand_rows_are_taken_and_one_more_is_not(goods: Goods) -> None:
    shop = await goods.shop()
    rows = [f"S{n},Thing {n},,ceramics,1.0{n % 10},EUR,{n},\n" for n in range(1_001)]
    with pytest.raises(TooLarge):
        await load(goods, shop, HEADER + "".join(rows))
    report = await load(goods, shop, HEADER + "".join(rows[:1_000]))
    assert (report.created, report.errors) == (1_000, [])
    again = await load(goods, shop, HEADER + "".join(rows[:1_000]))
    assert (again.updated, again.errors) == (1_000, [])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "import.bad_header"),
        (b"sku,title\n", "import.bad_header"),
        (b"sku,title,category,price,price\n", "import.bad_header"),
        (b"sku|title|category|price\nA|B|ceramics|1\n", "import.bad_header"),
        (b"sku\ttitle\tcategory\tprice\n", "import.bad_header"),
        (b"sku,title,category,price\nA,\xe4,ceramics,1\n", "import.not_utf8"),
        (b"sku,title,category,price\nA,\0,ceramics,1\n", "import.malformed"),
        (b'sku,title,category,price\nA,"open,ceramics,1\n', "import.malformed"),
        (b"PK\x03\x04" + b"\x00" * 50, "import.malformed"),
    ],
)
async def test_what_is_no_such_list_is_refused_whole(goods: Goods, body: bytes, code: str) -> None:
    shop = await goods.shop()
    with pytest.raises(InvalidInput) as caught:
        await load(goods, shop, body)
    assert caught.value.code == code


async def test_prices_are_read_in_the_digits_of_the_shops_currency(goods: Goods) -> None:
    for currency, text, minor in (("JPY", "1999", 1_999), ("KWD", "1.234", 1_234)):
        shop = await goods.shop(currency=currency)
        await load(goods, shop, f"sku,title,category,price\nA,Thing,books,{text}\n")
        assert (await listed(goods, shop))["A"].variants[0].price_minor == minor


async def test_only_the_team_of_an_approved_shop_brings_lists(goods: Goods) -> None:
    shop, closed = await goods.shop(), await goods.shop(status="suspended")
    stranger = await goods.person()
    with pytest.raises(NotFound):
        await goods.transact(lambda tx: import_products(tx, stranger, shop.id, HEADER.encode()))
    with pytest.raises(Rejected) as caught:
        await load(goods, closed, HEADER)
    assert caught.value.code == "shop.not_approved"
