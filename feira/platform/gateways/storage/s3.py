"""Any S3: AWS, MinIO, SeaweedFS. Browsers upload straight to it, by a form that the server signed.

The form's policy holds the uploader to one key, one content type and a size: the store itself refuses the rest.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from feira.platform.domain.errors import Unavailable
from feira.platform.gateways.storage.port import PresignedUpload, SignedUrl, StoredObject

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

UPLOAD_EXPIRES_IN_S: Final = 600
DOWNLOAD_EXPIRES_IN_S: Final = 300
_CONNECT_TIMEOUT_S: Final = 3
_READ_TIMEOUT_S: Final = 10


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bucket is. `browser_url` is the endpoint as browsers reach it. Holds secrets."""

    endpoint_url: str
    browser_url: str
    region: str
    bucket: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"S3Settings(endpoint_url={self.endpoint_url!r}, bucket={self.bucket!r})"


class S3ObjectStore:
    """An `ObjectStore`; made by `open`, as its clients hold connections until `close`."""

    def __init__(
        self, settings: S3Settings, client: S3Client, signer: S3Client, closing: AsyncExitStack
    ) -> None:
        self._bucket = settings.bucket
        self._public_url = f"{settings.browser_url.rstrip('/')}/{settings.bucket}"
        self._client = client
        self._signer = signer
        self._closing = closing

    @classmethod
    async def open(cls, settings: S3Settings) -> S3ObjectStore:
        """Make the clients. Nothing is sent yet."""
        async with AsyncExitStack() as stack:
            client = await _open_client(stack, settings, settings.endpoint_url)
            signer = client
            if settings.browser_url != settings.endpoint_url:
                signer = await _open_client(stack, settings, settings.browser_url)
            return cls(settings, client, signer, stack.pop_all())

    async def allow_public_reads(self) -> None:
        """Let anyone read what is under `public/`, and nothing else. Safe to repeat.

        For stores of our own; where the bucket is made by infrastructure code, its policy is too.
        """
        statement = {
            "Sid": "PublicImages",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{self._bucket}/public/*"],
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        async with _outage_as_unavailable():
            await self._client.put_bucket_policy(
                Bucket=self._bucket, Policy=msgspec.json.encode(policy).decode()
            )

    async def presign_upload(
        self, key: str, *, content_type: str, size_bytes_max: int
    ) -> PresignedUpload:
        # Signed here, without a request. Every field of the form needs its condition.
        form = await self._signer.generate_presigned_post(
            Bucket=self._bucket,
            Key=key,
            Fields={"Content-Type": content_type},
            Conditions=[
                {"Content-Type": content_type},
                ["content-length-range", 1, size_bytes_max],
            ],
            ExpiresIn=UPLOAD_EXPIRES_IN_S,
        )
        return PresignedUpload(
            url=form["url"],
            fields=cast("dict[str, str]", form["fields"]),
            expires_in_s=UPLOAD_EXPIRES_IN_S,
        )

    async def head(self, key: str) -> StoredObject | None:
        try:
            async with _outage_as_unavailable():
                answer = await self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _is_missing(error):
                return None
            raise
        return StoredObject(
            size_bytes=answer["ContentLength"],
            content_type=answer.get("ContentType", ""),
            etag=answer["ETag"],
        )

    async def read(self, key: str, *, size_bytes_max: int) -> bytes | None:
        try:
            async with _outage_as_unavailable():
                answer = await self._client.get_object(
                    Bucket=self._bucket, Key=key, Range=f"bytes=0-{size_bytes_max - 1}"
                )
                async with answer["Body"] as body:
                    return await body.read()
        except ClientError as error:
            if _is_missing(error):
                return None
            raise

    async def write(self, key: str, content: bytes, *, content_type: str) -> None:
        async with _outage_as_unavailable():
            await self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                # An image's key is its own: another image has another.
                CacheControl="public, max-age=31536000, immutable",
            )

    async def copy(self, source: str, target: str, *, etag: str, content_type: str) -> bool:
        try:
            async with _outage_as_unavailable():
                await self._client.copy_object(
                    Bucket=self._bucket,
                    Key=target,
                    CopySource={"Bucket": self._bucket, "Key": source},
                    CopySourceIfMatch=etag,
                    ContentType=content_type,
                    MetadataDirective="REPLACE",
                )
        except ClientError as error:
            if _is_missing(error) or _status(error) == HTTPStatus.PRECONDITION_FAILED:
                return False
            raise
        return True

    async def presign_download(self, key: str, *, content_type: str, disposition: str) -> SignedUrl:
        # Signed here, without a request. The answer's headers are part of what is signed.
        url = await self._signer.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentType": content_type,
                "ResponseContentDisposition": disposition,
                "ResponseCacheControl": f"private, max-age={DOWNLOAD_EXPIRES_IN_S}",
            },
            ExpiresIn=DOWNLOAD_EXPIRES_IN_S,
        )
        return SignedUrl(url=url, expires_in_s=DOWNLOAD_EXPIRES_IN_S)

    async def delete(self, key: str) -> None:
        async with _outage_as_unavailable():
            await self._client.delete_object(Bucket=self._bucket, Key=key)

    def public_url(self, key: str) -> str:
        return f"{self._public_url}/{quote(key)}"

    async def close(self) -> None:
        await self._closing.aclose()


@functools.cache
def _session() -> AioSession:
    """A session reads and parses S3's service description once: 0.1 s of CPU that every client would repeat."""
    return get_session()


async def _open_client(stack: AsyncExitStack, settings: S3Settings, endpoint_url: str) -> S3Client:
    context = _session().create_client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        config=AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"mode": "standard", "max_attempts": 3},
        ),
    )
    return await stack.enter_async_context(context)


@asynccontextmanager
async def _outage_as_unavailable() -> AsyncGenerator[None]:
    try:
        yield
    except ClientError as error:
        if _status(error) < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise _unavailable() from error
    except (BotoCoreError, OSError, TimeoutError) as error:
        raise _unavailable() from error


def _unavailable() -> Unavailable:
    return Unavailable(
        "storage.unavailable",
        "The image store cannot be reached right now; please try again.",
        retry_after_s=5,
    )


def _is_missing(error: ClientError) -> bool:
    return _status(error) == HTTPStatus.NOT_FOUND


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
