"""The books as operators and shops see them: checks, balances, statements and reconciliation. `payments.ledger` writes them."""
