"""Chargebacks: what a buyer's bank takes back, what it decides, and what is answered."""
