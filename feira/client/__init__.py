"""An asynchronous Python client of Feira's REST API and socket, used by tests, bots and benchmarks.

Server code must never import it (held by import-linter).
"""
