"""A name for this installation's part of a shared Redis."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qs, urlsplit


def installation_name(postgres_dsn: str) -> str:
    """`feira:` and a digest of where the database is, so that two markets on one Redis never mix.

    User and password are left out: rotating them renames nothing.
    """
    parts = urlsplit(postgres_dsn)
    place = parts.netloc.rpartition("@")[2]
    query = parse_qs(parts.query)
    socket = [*query.get("host", []), *query.get("port", [])]
    digest = hashlib.sha256("|".join([place, parts.path, *socket]).encode()).hexdigest()
    return f"feira:{digest[:12]}"
