"""The six services. A verb takes the caller's transaction; the caller commits."""
