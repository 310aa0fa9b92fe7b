"""Settings of payment providers: which one this market uses, and its keys there."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

SECRET = {"secret": True}
PaymentsName = Literal["sandbox", "stripe", "paypal", "razorpay"]


class PaymentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of `Config` that is about payments. docs/payments.md tells where each value comes from."""

    payments: Annotated[PaymentsName, Meta(description="Payment provider.")] = "sandbox"
    payment_capture: Annotated[
        Literal["automatic", "manual"],
        Meta(
            description="Take a buyer's money at once, or reserve it and take it when the orders still stand."
        ),
    ] = "automatic"
    sandbox_webhook_secret: Annotated[
        str, Meta(description="HMAC key of the sandbox provider's webhooks.", extra=SECRET)
    ] = ""
    stripe_secret_key: Annotated[
        str,
        Meta(
            pattern="^((sk|rk)_(test|live)_.+)?$",
            description="Stripe's secret or restricted key.",
            extra=SECRET,
        ),
    ] = ""
    stripe_webhook_secret: Annotated[
        str,
        Meta(
            description="Signing secret of the webhook endpoint for the market's own events; without it events are looked up.",
            extra=SECRET,
        ),
    ] = ""
    stripe_connect_webhook_secret: Annotated[
        str,
        Meta(
            description="Signing secret of the webhook endpoint for connected accounts' events.",
            extra=SECRET,
        ),
    ] = ""
    stripe_api_url: Annotated[
        str, Meta(pattern="^https?://[^/]+$", description="Stripe's API, or what stands in for it.")
    ] = "https://api.stripe.com"
    paypal_client_id: Annotated[str, Meta(description="Client ID of PayPal's REST app.")] = ""
    paypal_client_secret: Annotated[
        str, Meta(description="Secret of PayPal's REST app.", extra=SECRET)
    ] = ""
    paypal_partner_id: Annotated[
        str, Meta(description="The market's own PayPal merchant ID; sellers are tied to it.")
    ] = ""
    paypal_webhook_id: Annotated[
        str,
        Meta(description="ID of PayPal's webhook to this market; without it events are looked up."),
    ] = ""
    paypal_api_url: Annotated[
        str,
        Meta(pattern="^https?://[^/]+$", description="PayPal's API: live, sandbox or a stand-in."),
    ] = "https://api-m.paypal.com"
    razorpay_key_id: Annotated[str, Meta(description="Razorpay's API key ID.", extra=SECRET)] = ""
    razorpay_key_secret: Annotated[
        str, Meta(description="Razorpay's API key secret.", extra=SECRET)
    ] = ""
    razorpay_webhook_secret: Annotated[
        str, Meta(description="Secret of Razorpay's webhook to this market.", extra=SECRET)
    ] = ""
    razorpay_transfer_hold_s: Annotated[
        int,
        Meta(
            ge=0,
            description="Seconds a transfer to a seller waits, and can be reversed, before Razorpay settles it.",
        ),
    ] = 0
    razorpay_api_url: Annotated[
        str,
        Meta(pattern="^https?://[^/]+$", description="Razorpay's API, or what stands in for it."),
    ] = "https://api.razorpay.com"


# What each provider cannot work without.
REQUIRED_BY_PROVIDER: dict[PaymentsName, tuple[str, ...]] = {
    "sandbox": (),
    "stripe": ("stripe_secret_key",),
    "paypal": ("paypal_client_id", "paypal_client_secret", "paypal_partner_id"),
    # Razorpay lists no events: without webhooks nothing would be heard.
    "razorpay": ("razorpay_key_id", "razorpay_key_secret", "razorpay_webhook_secret"),
}
# What proves that a webhook came from the provider; without it news is looked up where the provider lists it.
WEBHOOK_SETTING: dict[PaymentsName, str] = {
    "sandbox": "sandbox_webhook_secret",
    "stripe": "stripe_webhook_secret",
    "paypal": "paypal_webhook_id",
    "razorpay": "razorpay_webhook_secret",
}
