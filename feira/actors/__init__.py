"""Per-topic actors: caches with a mailbox that order, batch and fan out what Postgres committed."""
