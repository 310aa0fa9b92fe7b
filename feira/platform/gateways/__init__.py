"""The outside world behind small ports; one file per provider."""
