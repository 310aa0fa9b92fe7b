"""Deals: offers for a variant made, answered and accepted inside a conversation."""
