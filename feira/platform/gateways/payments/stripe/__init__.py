"""The payment port at Stripe: Connect accounts, hosted payment pages, separate charges and transfers."""
