"""Conversations between a buyer and a shop: membership, the message log, cursors."""
