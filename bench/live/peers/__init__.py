"""Servers that relay messages, each behind the same small interface; their own programs are in `servers/`."""
