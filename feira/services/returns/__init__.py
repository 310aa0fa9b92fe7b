"""After the sale: refunds that people give, returns, exchanges and claims. Stands on orders, payments and stock."""
