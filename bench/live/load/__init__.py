"""The load client: C, so that one core of it is enough for what the servers do with theirs."""
