"""Payouts: when shops are paid, the payouts that this makes, and each one's way to the bank.

`making` takes the money out of what is available, in one transaction with the payout and its job. `moving` asks the
provider, step by step; `outcomes` writes down what it answers, and what it tells later.
"""
