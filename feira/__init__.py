"""Feira: a real-time marketplace where people talk before they trade."""

__version__ = "0.1.0"
