"""The sandbox provider: another company's payment API with its own books, and our adapter to it.

That company: `server` lists its endpoints, `api` has those for customers and `levers` those for tests; `accounts`,
`intents`, `refunds`, `transfers`, `disputes` and `lists` keep its books on `books`, `calls` carries a request out once
or makes it go wrong, `clockwork` does what is due, `page` and `cards` are what buyers see. They know nothing of Feira
and are reached over HTTP alone.

Our side: `client` implements the payment port, over `connection`, with `answers` to turn its objects into the port's.
Both agreed on `wire`, `requests` and `signature`.

It behaves like a real one, and misbehaves on request: see `levers`.
"""
