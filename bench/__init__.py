"""Measurements. `make bench` runs all and prints ratios measured in one run on one machine."""
