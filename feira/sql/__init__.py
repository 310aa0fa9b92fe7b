"""The truth: migrations, named queries, transactions and the topic logs."""
