"""Measurements of what money runs on: jobs, and what else `scenarios` of `__main__` list."""
