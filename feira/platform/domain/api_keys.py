"""API keys: what they look like, and what each scope lets them do.

`feira_live_` + 64 hexadecimal digits (256 random bits) + 8 of their CRC-32. Secret scanners find the prefix, and the checksum tells a
truncated or invented key apart without a query; it proves nothing.
"""

from __future__ import annotations

import re
import zlib
from typing import Final, Literal
from uuid import UUID

import msgspec

from feira.platform.domain.ids import ShopId

Scope = Literal["orders:read", "products:read", "products:write", "payouts:read"]

PREFIX: Final = "feira_live_"
KEYS_PER_SHOP_MAX: Final = 20
_FORM: Final = re.compile(r"feira_live_([0-9a-f]{64})([0-9a-f]{8})")


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """The key that somebody asks with: for one shop, within its scopes."""

    id: UUID
    shop: ShopId
    scopes: frozenset[Scope]


def format_key(secret: bytes) -> str:
    """A key of 32 random bytes."""
    digits = secret.hex()
    return f"{PREFIX}{digits}{_checksum(digits)}"


def is_wellformed(key: str) -> bool:
    """Whether it may be a key at all."""
    match = _FORM.fullmatch(key)
    return match is not None and _checksum(match[1]) == match[2]


def _checksum(digits: str) -> str:
    return f"{zlib.crc32(digits.encode()):08x}"
