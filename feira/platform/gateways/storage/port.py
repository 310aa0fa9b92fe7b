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
    etag: str
    """Another one as soon as the content is another."""


class SignedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has it may read one private object with it, for so long."""

    url: str
    expires_in_s: int


class ObjectStore(Protocol):
    """One bucket. A store that cannot be reached raises `Unavailable`."""

    async def presign_upload(
        self, key: str, *, content_type: str, size_bytes_max: int
    ) -> PresignedUpload: ...

    async def head(self, key: str) -> StoredObject | None: ...

    async def read(self, key: str, *, size_bytes_max: int) -> bytes | None:
        """Return up to `size_bytes_max` bytes of an object, or None where there is none."""
        ...

    async def write(self, key: str, content: bytes, *, content_type: str) -> None: ...

    async def copy(self, source: str, target: str, *, etag: str, content_type: str) -> bool:
        """Copy an object inside the store; False when the source is not the one with this etag any more."""
        ...

    async def presign_download(
        self, key: str, *, content_type: str, disposition: str
    ) -> SignedUrl: ...

    async def delete(self, key: str) -> None:
        """Delete an object; one that is not there is fine."""
        ...

    def public_url(self, key: str) -> str:
        """Where browsers read an object under `public/`; all others are private."""
        ...

    async def close(self) -> None: ...
