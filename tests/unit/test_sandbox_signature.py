from collections.abc import Callable

import msgspec
import pytest

from feira.platform.domain.errors import NotAllowed
from feira.platform.gateways.payments.sandbox.client import SandboxGateway
from feira.platform.gateways.payments.sandbox.signature import sign
from feira.platform.gateways.payments.sandbox.wire import SIGNATURE_HEADER, WebhookEvent

SECRET = "whsec_of_a_test"
NOW = 1_800_000_000
BODY = msgspec.json.encode(
    WebhookEvent(id="evt_1", type="payment_intent.succeeded", created=NOW, object="pi_1")
)
RIGHT = sign(BODY, secret=SECRET, at=NOW)

FORGERIES: dict[str, str] = {
    "missing": "",
    "nonsense": "nonsense",
    "no signature": f"t={NOW}",
    "empty signature": f"t={NOW},v1=",
    "not ASCII": f"t={NOW},v1=\u00e9",
    "no time": RIGHT.partition(",")[2],
    "time that is no number": f"t=x,v1={'0' * 64}",
    "time of endless length": f"t={'9' * 5000},v1={'0' * 64}",
    "zeros": f"t={NOW},v1={'0' * 64}",
    "another secret": sign(BODY, secret="another", at=NOW),
    "no secret": sign(BODY, secret="", at=NOW),
    "another body": sign(BODY + b" ", secret=SECRET, at=NOW),
    "another time": RIGHT.replace(f"t={NOW}", f"t={NOW + 1}"),
    "two times": f"t={NOW},{RIGHT}",
}


def gateway(secret: str = SECRET, clock: Callable[[], float] = lambda: NOW) -> SandboxGateway:
    return SandboxGateway(list, webhook_secret=secret, clock=clock)


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_signature_is_refused(forgery: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        await gateway().verify_webhook({SIGNATURE_HEADER: FORGERIES[forgery]}, BODY)
    assert caught.value.code == "webhook.bad_signature"


@pytest.mark.parametrize("age_s", [-86_400, -301, 301, 86_400])
async def test_a_right_signature_from_another_time_is_refused(age_s: int) -> None:
    with pytest.raises(NotAllowed) as caught:
        await gateway(clock=lambda: NOW + age_s).verify_webhook({SIGNATURE_HEADER: RIGHT}, BODY)
    assert caught.value.code == "webhook.stale"


@pytest.mark.parametrize("age_s", [-300, 0, 300])
async def test_a_signature_within_five_minutes_is_taken(age_s: int) -> None:
    event = await gateway(clock=lambda: NOW + age_s).verify_webhook({SIGNATURE_HEADER: RIGHT}, BODY)
    assert (event.event_id, event.kind, event.subject) == ("evt_1", "intent", "pi_1")


async def test_one_fitting_signature_is_enough_while_a_secret_is_replaced() -> None:
    header = RIGHT.replace("v1=", f"v1={'0' * 64},v1=")
    event = await gateway().verify_webhook({SIGNATURE_HEADER: header}, BODY)
    assert event.subject == "pi_1"


async def test_nothing_can_be_signed_where_there_is_no_secret() -> None:
    with pytest.raises(NotAllowed):
        await gateway(secret="").verify_webhook(
            {SIGNATURE_HEADER: sign(BODY, secret="", at=NOW)}, BODY
        )
