"""Signatures of outgoing webhooks, by the Standard Webhooks scheme (version 1.0.0, symmetric, `v1`).

What is signed is `{id}.{timestamp}.{body}`: neither of the first two can hold a full stop, so that no two deliveries
are signed alike.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
SECRET_BYTES: Final = 32
"""The scheme wants 24 to 64."""


def secret_text(secret: bytes) -> str:
    """A secret as receivers are shown it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode("ascii")


def signature_header(
    secrets: Sequence[bytes], *, message_id: str, timestamp_s: int, body: bytes
) -> str:
    """The `webhook-signature` header: one signature for each secret that is good now, divided by spaces."""
    assert secrets, "there is a secret"
    assert "." not in message_id, "what is signed can be taken apart"
    signed = b"%s.%d.%s" % (message_id.encode("ascii"), timestamp_s, body)
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join("v1," + base64.b64encode(digest).decode("ascii") for digest in digests)
