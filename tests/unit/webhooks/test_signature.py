"""Our signatures are what the Standard Webhooks libraries make and take."""

from __future__ import annotations

import base64
import time

import pytest

from feira.client.webhooks import TOLERANCE_S, BadWebhook, verify
from feira.platform.domain.webhook_signature import secret_text, signature_header

# The test vector of the reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SENT_AT_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
HEADERS = {
    "webhook-id": MESSAGE,
    "webhook-timestamp": str(SENT_AT_S),
    "webhook-signature": SIGNATURE,
}


def test_the_published_vector_is_signed_as_published() -> None:
    signed = signature_header([KEY], message_id=MESSAGE, timestamp_s=SENT_AT_S, body=BODY)
    assert signed == SIGNATURE
    assert secret_text(KEY) == SECRET


def test_the_published_vector_is_genuine_to_a_receiver() -> None:
    assert verify(SECRET, HEADERS, BODY, now_s=SENT_AT_S) == MESSAGE


def test_while_a_secret_is_changed_both_the_old_and_the_new_one_fit() -> None:
    new = b"n" * 32
    both = signature_header([new, KEY], message_id=MESSAGE, timestamp_s=SENT_AT_S, body=BODY)
    assert both.split(" ")[1] == SIGNATURE
    headers = HEADERS | {"webhook-signature": both}
    for secret in (SECRET, secret_text(new)):
        assert verify(secret, headers, BODY, now_s=SENT_AT_S) == MESSAGE


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS | {"webhook-id": "msg_other"},
        HEADERS | {"webhook-timestamp": str(SENT_AT_S + 1)},
        HEADERS | {"webhook-timestamp": "soon"},
        HEADERS | {"webhook-timestamp": "²"},
        HEADERS | {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        HEADERS | {"webhook-signature": "v1,AAAA"},
        HEADERS | {"webhook-signature": "v1,not base64 at all"},
        HEADERS | {"webhook-signature": ""},
        {name: value for name, value in HEADERS.items() if name != "webhook-id"},
        {},
    ],
)
def test_what_was_altered_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadWebhook):
        verify(SECRET, headers, BODY, now_s=SENT_AT_S)


def test_another_body_is_refused() -> None:
    with pytest.raises(BadWebhook):
        verify(SECRET, HEADERS, BODY.replace(b" ", b""), now_s=SENT_AT_S)


@pytest.mark.parametrize("skew_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_what_is_too_old_or_from_the_future_is_refused(skew_s: int) -> None:
    verify(SECRET, HEADERS, BODY, now_s=SENT_AT_S + skew_s - (1 if skew_s > 0 else -1))
    with pytest.raises(BadWebhook):
        verify(SECRET, HEADERS, BODY, now_s=SENT_AT_S + skew_s)


def test_without_being_told_the_time_a_receiver_looks_at_its_clock() -> None:
    now_s = int(time.time())
    signed = signature_header([KEY], message_id=MESSAGE, timestamp_s=now_s, body=BODY)
    fresh = HEADERS | {"webhook-timestamp": str(now_s), "webhook-signature": signed}
    assert verify(SECRET, fresh, BODY) == MESSAGE
    with pytest.raises(BadWebhook):
        verify(SECRET, HEADERS, BODY)


def test_a_secret_of_another_shape_is_a_mistake_of_the_receiver() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify("secret", HEADERS, BODY)
