"""What stands in the way of an embedded server."""


class EmbeddedServerError(Exception):
    """The message says which server, what is in the way, and what to do about it."""
