"""Sending to receivers of webhooks."""
