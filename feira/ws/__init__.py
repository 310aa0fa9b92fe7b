"""Sockets: a pure protocol (bytes in, commands out), a session, and a connection that owns the writing."""
