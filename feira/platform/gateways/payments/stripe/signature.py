"""Whether a webhook came from Stripe, just now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from stripe import SignatureVerificationError, WebhookSignature

from feira.platform.domain.errors import NotAllowed

HEADER: Final = "Stripe-Signature"
TOLERANCE_S: Final = 300
_TIME: Final = re.compile(r"(?:^|,)t=([0-9]{1,12})(?:,|$)")


def verify(header: str, body: bytes, *, secrets: Sequence[str], now: float) -> None:
    """Pass, or raise; one secret that fits is enough. The signature is checked before the time.

    Raises:
        NotAllowed: `webhook.bad_signature`; `webhook.stale`: a right one, more than five minutes away from `now`.
    """
    times = _TIME.findall(header)
    if len(times) != 1 or not any(_fits(header, body, secret) for secret in secrets if secret):
        raise NotAllowed("webhook.bad_signature", f"The {HEADER} header does not fit this body.")
    # The SDK would refuse only what is old: a signature from the future would stay good until long after.
    if abs(now - int(times[0])) > TOLERANCE_S:
        raise NotAllowed(
            "webhook.stale", "The signature's time is more than five minutes away from now."
        )


def _fits(header: str, body: bytes, secret: str) -> bool:
    try:
        WebhookSignature.verify_header(body, header, secret, tolerance=None)
    except (SignatureVerificationError, UnicodeDecodeError):
        return False
    return True
