"""The payment port at PayPal: orders that buyers approve, refunds, partner onboarding, and payouts to sellers."""
