"""Webhook signatures: `t=UNIX_SECONDS,v1=HEX` with HMAC-SHA256 over `{t}.{raw body}`.

Several `v1` may stand in one header while a secret is being replaced; one that fits is enough.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

TOLERANCE_S: Final = 300


class BadSignature(Exception):
    """The header is not one that the secret's holder made for this body."""


class StaleSignature(Exception):
    """The signature is right, but its time is too far from now, before or after."""


def sign(body: bytes, *, secret: str, at: int) -> str:
    """Return the header's value."""
    return f"t={at},v1={_digest(body, secret, at)}"


def verify(header: str, body: bytes, *, secret: str, now: float) -> None:
    """Pass, or raise. The signature is checked first, so that a forger learns nothing of our clock.

    Raises:
        BadSignature: also when the header is missing or malformed, and when there is no secret.
        StaleSignature: more than five minutes away from `now`.
    """
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value.strip() for name, _, value in parts if name.strip() == "v1"]
    if len(times) != 1 or not re.fullmatch("[0-9]{1,12}", times[0]):
        raise BadSignature
    at = int(times[0])
    wanted = _digest(body, secret, at)
    if not secret or not any(hmac.compare_digest(wanted.encode(), one.encode()) for one in given):
        raise BadSignature
    if abs(now - at) > TOLERANCE_S:
        raise StaleSignature


def api_key(secret: str) -> str:
    """The bearer key that goes with a webhook secret: one setting serves both directions."""
    return "sk_sandbox_" + hmac.new(secret.encode(), b"api key", hashlib.sha256).hexdigest()


def _digest(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
