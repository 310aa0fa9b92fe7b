"""Rules of products and their variants.

draft --publish--> published --archive--> archived --publish--> published
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import Conflict, InvalidInput, Rejected
from feira.platform.domain.money import AMOUNT_MINOR_MAX

ProductStatus = Literal["draft", "published", "archived"]

TITLE_CHARS_MAX: Final = 200
DESCRIPTION_CHARS_MAX: Final = 10_000
VARIANTS_MAX: Final = 100
OPTIONS_MAX: Final = 3
ON_HAND_MAX: Final = 1_000_000
SKU_PATTERN: Final = "^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,62}[A-Za-z0-9])?$"
_SLUG_CHARS_MAX: Final = 60

Title = Annotated[str, Meta(min_length=1, max_length=TITLE_CHARS_MAX)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_CHARS_MAX)]
Sku = Annotated[str, Meta(pattern=SKU_PATTERN, description="Unique in the shop.")]
CategorySlug = Annotated[str, Meta(min_length=1, max_length=80, pattern="^[a-z0-9-]+$")]
PriceMinor = Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]
OnHand = Annotated[int, Meta(ge=0, le=ON_HAND_MAX)]
# As far as the column counts.
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]
OptionText = Annotated[str, Meta(min_length=1, max_length=60)]
Options = Annotated[
    dict[OptionText, OptionText],
    Meta(max_length=OPTIONS_MAX, description='Values by name, such as {"Size": "M"}.'),
]


WEIGHT_G_MAX: Final = 1_000_000
WeightG = Annotated[int, Meta(ge=0, le=WEIGHT_G_MAX, description="Of one unit, with its packing.")]


class VariantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at."""

    sku: str
    options: Mapping[str, str]
    active: bool


def clean_title(title: str, *, field: str = "$.title") -> str:
    """Return the title on one line, without spaces around it.

    Raises:
        InvalidInput: `product.title_empty`, `product.title_unprintable`.
    """
    cleaned = " ".join(title.split())
    if not cleaned:
        raise InvalidInput("product.title_empty", "Give the product a title.", field=field)
    if any(unicodedata.category(character) == "Cc" for character in cleaned):
        raise InvalidInput(
            "product.title_unprintable", "The title has control characters in it.", field=field
        )
    return cleaned


def slugify(title: str) -> str:
    """`"Käse & Brot"` -> `"kase-brot"`; `product` where no Latin letter or digit is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return slug[:_SLUG_CHARS_MAX].strip("-") or "product"


def check_variants(variants: Sequence[VariantFacts], *, field: str = "$.variants") -> None:
    """Pass when the variants can stand beside each other.

    Raises:
        InvalidInput: `product.sku_twice`, `product.option_names_differ`, `product.options_twice`.
    """
    skus: set[str] = set()
    for index, variant in enumerate(variants):
        if variant.sku in skus:
            raise InvalidInput(
                "product.sku_twice",
                f"Two variants have the SKU {variant.sku}; each needs its own.",
                field=f"{field}[{index}].sku",
            )
        skus.add(variant.sku)
    active = [(index, variant) for index, variant in enumerate(variants) if variant.active]
    seen: set[frozenset[tuple[str, str]]] = set()
    for index, variant in active:
        if variant.options.keys() != active[0][1].options.keys():
            raise InvalidInput(
                "product.option_names_differ",
                "All variants of a product have the same options, such as Size and Colour.",
                field=f"{field}[{index}].options",
            )
        combination = frozenset(variant.options.items())
        if combination in seen:
            raise InvalidInput(
                "product.options_twice",
                "Two variants have the same options; a buyer could not tell them apart.",
                field=f"{field}[{index}].options",
            )
        seen.add(combination)


def check_version(current: int, given: int) -> None:
    """Pass when the caller has seen the current state.

    Raises:
        Conflict: `product.stale_version`, with the current version in `details`.
    """
    if current != given:
        raise Conflict(
            "product.stale_version",
            f"The product changed meanwhile: you have version {given}, it is at {current}. Load it again.",
            field="$.version",
            details={"version": current},
        )


def check_publishable(*, shop_approved: bool, has_category: bool, has_active_variant: bool) -> None:
    """Pass when the public may see the product.

    Raises:
        Rejected: `shop.not_approved`, or `product.incomplete` with what is `missing` in `details`.
    """
    if not shop_approved:
        raise Rejected(
            "shop.not_approved", "The shop has to be approved before its products can be published."
        )
    missing: list[str] = []
    if not has_category:
        missing.append("category")
    if not has_active_variant:
        missing.append("variants")
    if missing:
        raise Rejected(
            "product.incomplete",
            f"Before it can be published, the product needs: {', '.join(missing)}.",
            field=f"$.{missing[0]}",
            details={"missing": missing},
        )


def check_transition(status: ProductStatus, to: ProductStatus) -> None:
    """Pass when a product may go from one status to the other.

    Raises:
        Conflict: `product.wrong_status`, with the current one in `details`.
    """
    if (status, to) not in _TRANSITIONS:
        raise Conflict(
            "product.wrong_status",
            f"A product that is {status} cannot become {to}.",
            details={"status": status},
        )


_TRANSITIONS: Final[frozenset[tuple[ProductStatus, ProductStatus]]] = frozenset(
    {("draft", "published"), ("archived", "published"), ("published", "archived")}
)
