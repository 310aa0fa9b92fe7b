"""REST under /v1: one module per service, one declaration per endpoint, OpenAPI generated from both."""
