"""For receivers of Feira's webhooks: whether a request really comes from the market.

    body = await request.read()          # the very bytes: JSON parsed and written again is signed differently
    verify(secret, request.headers, body)

Standard Webhooks, symmetric scheme. Answer 2xx as soon as the event is stored; one may come twice, with the same
`webhook-id`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

TOLERANCE_S = 300


class BadWebhook(Exception):
    """The request is forged, altered, or too old to be told from one sent again by somebody else."""


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the `webhook-id` of a genuine request; `headers` are looked up in lower case.

    Raises:
        BadWebhook: it is not.
        ValueError: `secret` is not one (`whsec_...`).
    """
    if not secret.startswith("whsec_"):
        raise ValueError("a webhook secret begins with whsec_")
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    try:
        message_id, sent_at = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"]
    except KeyError as error:
        raise BadWebhook(f"the header {error} is missing") from None
    if not (sent_at.isascii() and sent_at.isdigit()):
        raise BadWebhook("webhook-timestamp is not a number of seconds")
    if abs((time.time() if now_s is None else now_s) - int(sent_at)) > tolerance_s:
        raise BadWebhook("webhook-timestamp is too far from now")
    signed = message_id.encode() + b"." + sent_at.encode() + b"." + body
    expected = hmac.new(key, signed, hashlib.sha256).digest()
    for signature in signatures.split(" "):
        version, _, encoded = signature.partition(",")
        if version == "v1" and hmac.compare_digest(_decoded(encoded), expected):
            return message_id
    raise BadWebhook("no signature fits")


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
