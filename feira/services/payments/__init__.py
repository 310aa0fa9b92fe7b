"""Payments, refunds, the ledger and commission.

`payments`, `refunds`, `postings` and `commission` know nothing of the order service, which stands on them;
`outcomes` applies what a provider says and tells orders.
"""
