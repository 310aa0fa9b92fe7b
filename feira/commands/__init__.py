"""One module for each subcommand; each has `run(config, args) -> int`, the exit code."""
