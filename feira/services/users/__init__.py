"""Accounts, sessions, addresses and shops."""
