"""Pure rules of products: titles, prices, image signatures, events and lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.platform.domain.errors import FeiraError, InvalidInput
from feira.platform.domain.images import IMAGE_BYTES_MAX, check_image, sniff_image
from feira.platform.domain.money import AMOUNT_MINOR_MAX, MINOR_DIGITS, format_money
from feira.platform.domain.prices import parse_price
from feira.platform.domain.product_csv import parse_products
from feira.platform.domain.products import (
    VariantFacts,
    check_transition,
    check_variants,
    clean_title,
    slugify,
)


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Käse & Brot", "kase-brot"),
        ("  --Vase--  ", "vase"),
        ("Чайник", "product"),
        ("x" * 200, "x" * 60),
        ("½ litre", "12-litre"),
    ],
)
def test_slugs_are_what_addresses_can_hold(title: str, slug: str) -> None:
    assert slugify(title) == slug


def test_titles_stand_on_one_line() -> None:
    assert clean_title("  A \n tall\tvase ") == "A tall vase"
    for bad in ("", " \n", "a\x07b"):
        with pytest.raises(InvalidInput):
            clean_title(bad)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("19.99", "EUR", 1_999),
        ("19,99", "EUR", 1_999),
        (" 7 ", "EUR", 700),
        ("0.5", "EUR", 50),
        ("1999", "JPY", 1_999),
        ("1.234", "KWD", 1_234),
        ("0.001", "KWD", 1),
    ],
)
def test_prices_are_read_exactly(text: str, currency: str, minor: int) -> None:
    assert parse_price(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.999", "EUR"),
        ("1,200", "EUR"),  # a thousand and two hundred, to whoever wrote it
        ("1,234", "KWD"),  # nobody could tell
        ("1.50", "JPY"),
        ("1.200,00", "EUR"),
        ("1 200", "EUR"),
        ("-1", "EUR"),
        ("+1", "EUR"),
        ("=1", "EUR"),
        ("1e3", "EUR"),
        ("0x10", "EUR"),
        ("NaN", "EUR"),
        ("", "EUR"),
        (".5", "EUR"),
        ("5.", "EUR"),
        ("0", "EUR"),
        ("0.00", "EUR"),
        ("١٢", "EUR"),
        ("9999999999999", "EUR"),
        ("1" * 400, "EUR"),
    ],
)
def test_prices_that_could_be_misread_are_refused(text: str, currency: str) -> None:
    with pytest.raises(InvalidInput):
        parse_price(text, currency)


@given(minor=st.integers(1, AMOUNT_MINOR_MAX), currency=st.sampled_from(sorted(MINOR_DIGITS)))
def test_every_price_that_is_written_is_read_back(minor: int, currency: str) -> None:
    assert parse_price(format_money(minor, currency).split()[0], currency) == minor


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", "image/avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0avifmiaf", "image/avif"),
        (b"\0\0\0\x14ftypmif1avif\0\0\0\0", None),  # the minor version is no brand
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", None),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"GIF89a", None),
        (b"<svg/>", None),
        (b"\xff\xd8", None),
        (b"", None),
    ],
)
def test_images_are_told_by_their_signatures(content: bytes, kind: str | None) -> None:
    assert sniff_image(content) == kind


@given(st.binary(max_size=300))
def test_any_bytes_can_be_looked_at(content: bytes) -> None:
    sniff_image(content)
    sniff_image(content[:4] + b"ftyp" + content)


def test_an_image_is_what_it_was_announced_as_and_not_too_large() -> None:
    jpeg = b"\xff\xd8\xff"
    assert check_image(jpeg, "image/jpeg") is None
    assert "image/jpeg" in (check_image(jpeg, "image/png") or "")
    assert "over" in (check_image(jpeg + b"\0" * IMAGE_BYTES_MAX, "image/jpeg") or "")


def test_inactive_variants_may_share_options() -> None:
    old = VariantFacts(sku="A", options={"Size": "M"}, active=False)
    new = VariantFacts(sku="B", options={"Size": "M"}, active=True)
    check_variants([old, new])
    with pytest.raises(InvalidInput):
        check_variants([new, VariantFacts(sku="C", options={"Size": "M"}, active=True)])


def test_a_product_moves_only_along_its_life() -> None:
    for status, to in (
        ("draft", "published"),
        ("published", "archived"),
        ("archived", "published"),
    ):
        check_transition(status, to)  # pyright: ignore[reportArgumentType]
    for status, to in (("draft", "archived"), ("published", "draft"), ("published", "published")):
        with pytest.raises(FeiraError):
            check_transition(status, to)  # pyright: ignore[reportArgumentType]


@given(st.binary(max_size=400))
def test_any_bytes_as_a_list_give_rows_or_a_reason(body: bytes) -> None:
    header = b"sku,title,category,price\n"
    for candidate in (body, header + body):
        try:
            rows, errors = parse_products(candidate, "EUR")
        except FeiraError as error:
            assert error.code.startswith("import.")  # noqa: PT017 - either outcome is right
        else:
            assert all(row.row > 1 for row in rows)
            assert all(error.code and error.message for error in errors)
