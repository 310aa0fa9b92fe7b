"""Real-time figures against peers: the same client, the same machine, the same minute. `make bench-live` runs all."""
