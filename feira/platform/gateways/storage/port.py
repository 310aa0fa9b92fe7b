"""What Feira needs of an object store."""

from __future__ import annotations

from typing import Protocol

import msgspec


class PresignedUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A form that a browser posts straight to the store: `fields` first, the file last, before it expires."""

    url: str
    fields: dict[str, str]
    expires_in_s: int


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of an uploaded object."""

    size_bytes: int
    content_type: str


class ObjectStore(Protocol):
    """One bucket."""

    async def presign_upload(self, key: str, *, content_type: str, size_bytes_max: int) -> PresignedUpload: ...

    async def head(self, key: str) -> StoredObject | None: ...

    async def read(self, key: str, *, size_bytes_max: int) -> bytes: ...

    async def delete(self, key: str) -> None: ...

    def public_url(self, key: str) -> str: ...

    async def close(self) -> None: ...
