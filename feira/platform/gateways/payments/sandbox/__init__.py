"""The sandbox provider: another company's payment API with its own books, and our adapter to it.

`server` and what it stands on (`storage`, `clockwork`, `page`, `cards`) are that company: they know nothing of
Feira and are reached over HTTP alone. `client` is our side, an implementation of the payment port.
`wire` and `signature` are what both companies agreed on.

It behaves like a real one on request: declines by card number, captures and webhooks that come late or twice,
refunds that fail later, calls that are refused or whose answer is lost.
"""
