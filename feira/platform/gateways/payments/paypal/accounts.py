"""Shops at PayPal: their own business accounts, tied to the market by a tracking id that we choose.

PayPal makes no account for us: a seller signs in, or up, on the referral's page and gives the market permission. Until
then the tracking id is all there is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from feira.platform.gateways.payments.lacking import not_supported
from feira.platform.gateways.payments.objects import Account, OnboardingLink
from feira.platform.gateways.payments.paypal import wire
from feira.platform.gateways.payments.paypal.part import PayPalPart
from feira.platform.gateways.payments.refusal import GatewayRefused

_PREFIX: Final = "feira-"
# PayPal says nothing of an end; a link this old is better asked for anew.
_LINK_LASTS: Final = timedelta(days=1)
_URL_LENGTH_MAX: Final = 127


class PayPalAccounts(PayPalPart):
    """Partner referrals, and what became of them."""

    async def create_account(
        self, *, shop_name: str, country: str, idempotency_key: str
    ) -> Account:
        """Choose the tracking id: one key, one account. The seller tells PayPal name and country."""
        assert shop_name, "a shop has a name"
        assert country, "a shop is somewhere"
        return Account(reference=f"{_PREFIX}{idempotency_key}", status="pending")

    async def fetch_account(self, reference: str) -> Account:
        if not reference.startswith(_PREFIX):
            raise GatewayRefused("not_found", "it is no account of ours.", provider_code="")
        try:
            merchant = await self._merchant(reference)
        except GatewayRefused as refusal:
            if refusal.reason != "not_found":
                raise
            return Account(
                reference=reference, status="pending", requirements=("paypal.onboarding",)
            )
        wanted = {
            "paypal.confirm_email": merchant.primary_email_confirmed,
            "paypal.lift_limitation": merchant.payments_receivable,
        }
        left = tuple(name for name, done in wanted.items() if not done)
        return Account(
            reference=reference,
            status="restricted" if left else "verified",
            requirements=left,
            disabled_reason=left[0] if left else "",
        )

    async def make_onboarding_link(
        self, reference: str, *, return_url: str, refresh_url: str
    ) -> OnboardingLink:
        for url in (return_url, refresh_url):
            if len(url) > _URL_LENGTH_MAX:
                raise GatewayRefused(
                    "invalid_request",
                    f"an address of more than {_URL_LENGTH_MAX} characters is none that PayPal returns to.",
                    provider_code="url_length",
                )
        referral = await self.paypal.post(
            "/v2/customer/partner-referrals",
            {
                "tracking_id": reference,
                "partner_config_override": {
                    "return_url": return_url,
                    "action_renewal_url": refresh_url,
                },
                "operations": [
                    {
                        "operation": "API_INTEGRATION",
                        "api_integration_preference": {
                            "rest_api_integration": {
                                "integration_method": "PAYPAL",
                                "integration_type": "THIRD_PARTY",
                                "third_party_details": {"features": ["PAYMENT", "REFUND"]},
                            }
                        },
                    }
                ],
                "products": ["EXPRESS_CHECKOUT"],
                "legal_consents": [{"type": "SHARE_DATA_CONSENT", "granted": True}],
            },
            wire.Referral,
        )
        return OnboardingLink(
            url=wire.link(referral.links, "action_url"),
            expires_at=datetime.now(UTC) + _LINK_LASTS,
        )

    async def merchant_id(self, reference: str) -> str:
        """Whom to pay.

        Raises:
            GatewayRefused: `account_restricted`: the seller has not onboarded.
        """
        try:
            return (await self._name(reference)).merchant_id
        except GatewayRefused as refusal:
            if refusal.reason != "not_found":
                raise
            raise GatewayRefused(
                "account_restricted",
                "the seller has not given the market permission yet.",
                provider_code="not_onboarded",
                try_later=True,
            ) from None

    async def _merchant(self, reference: str) -> wire.Merchant:
        name = await self._name(reference)
        return await self.paypal.get(f"{self._integrations()}/{name.merchant_id}", wire.Merchant)

    async def _name(self, reference: str) -> wire.MerchantName:
        return await self.paypal.get(
            self._integrations(), wire.MerchantName, {"tracking_id": reference}
        )

    def _integrations(self) -> str:
        if not self.settings.partner_id:
            raise not_supported("PayPal tells of sellers only with paypal_partner_id set")
        return f"/v1/customer/partners/{self.settings.partner_id}/merchant-integrations"
