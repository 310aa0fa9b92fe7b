"""Access tokens: short-lived JWTs signed with Ed25519, and the folder of keys behind them.

The folder holds one PEM private key (PKCS #8) a file; the file's stem is the key's `kid`. The newest key
signs, every key verifies. To rotate: add a key, wait at least `ACCESS_TOKEN_S`, remove the old one. Running
nodes notice by themselves, so a shared folder rotates without a restart.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.utils import base64url_encode

from feira.platform.domain.errors import NotSignedIn
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.runtime.config import ConfigError

ACCESS_TOKEN_S: Final = 15 * 60
# How far the clocks of two nodes may be apart.
LEEWAY_S: Final = 5
ALGORITHM: Final = "EdDSA"
ISSUER: Final = "feira"
AUDIENCE: Final = "feira-api"
# RFC 9068, 2.1: tells an access token apart from any other JWT signed with the same key.
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type
# How often the folder is looked at while signing, and while unknown key ids arrive.
_LOOK_EVERY_S: Final = 30.0
_LOOK_FOR_UNKNOWN_EVERY_S: Final = 1.0
# Ours are below 500; nobody makes us parse more.
_TOKEN_CHARS_MAX: Final = 2048


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid access token says. Whether its session still lives, only the database knows."""

    user_id: UserId
    session_id: SessionId
    expires_at: datetime


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the folder. `repr` shows only its id."""

    kid: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"


class JsonWebKey(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 7517 with RFC 8037: a public key that verifies access tokens."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    use: str = "sig"
    alg: str = ALGORITHM


class JsonWebKeySet(msgspec.Struct, frozen=True, kw_only=True):
    """Every key whose tokens are accepted now; the signing one first."""

    keys: list[JsonWebKey]


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    sub: UUID
    sid: UUID
    iat: int
    nbf: int
    exp: int


class AccessTokens:
    """Issues and verifies access tokens with the keys of one folder."""

    def __init__(
        self, keys_dir: Path, keys: list[SigningKey], monotonic: Callable[[], float]
    ) -> None:
        assert keys, "there is a key to sign with"
        self._keys_dir = keys_dir
        self._keys = keys
        self._monotonic = monotonic
        self._looked_at = monotonic()

    @classmethod
    def load(
        cls,
        keys_dir: Path,
        *,
        make_missing: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AccessTokens:
        """Read the folder's keys; with `make_missing` (development only) an empty folder gets one.

        Raises:
            ConfigError: the folder cannot be read, is empty, or holds something that is no Ed25519 key.
        """
        if make_missing:
            ensure_signing_key(keys_dir)
        keys = _read_keys(keys_dir)
        if not keys:
            raise ConfigError(
                "signing_keys_dir",
                f"{keys_dir} holds no *.pem",
                "Put an Ed25519 private key there: openssl genpkey -algorithm ed25519",
            )
        return cls(keys_dir, keys, monotonic)

    def issue(self, user_id: UserId, session_id: SessionId, now: datetime) -> tuple[str, datetime]:
        """Return a token and the moment from which it is refused."""
        self._look_again(_LOOK_EVERY_S)
        key = self._keys[0]
        issued = int(now.timestamp())
        expires = issued + ACCESS_TOKEN_S
        token = jwt.encode(
            {
                "iss": ISSUER,
                "aud": AUDIENCE,
                "sub": str(user_id),
                "sid": str(session_id),
                "iat": issued,
                "nbf": issued,
                "exp": expires,
                "jti": secrets.token_urlsafe(9),
            },
            key.private,
            algorithm=ALGORITHM,
            headers={"kid": key.kid, "typ": TOKEN_TYPE},
        )
        return token, datetime.fromtimestamp(expires, UTC)

    def verify(self, token: str, now: datetime | None = None) -> AccessClaims:
        """Check signature, key, issuer, audience and times.

        Raises:
            NotSignedIn: `auth.token_expired`: genuine, but over. `auth.token_invalid`: anything else.
        """
        payload = self._decode(token)
        at = (now or datetime.now(UTC)).timestamp()
        # The times are compared here and not by PyJWT, whose clock cannot be held still.
        if at < payload.nbf - LEEWAY_S or at < payload.iat - LEEWAY_S:
            raise _invalid("it is not valid yet")
        if at >= payload.exp + LEEWAY_S:
            raise NotSignedIn("auth.token_expired", "The access token has expired; refresh it.")
        return AccessClaims(
            user_id=UserId(payload.sub),
            session_id=SessionId(payload.sid),
            expires_at=datetime.fromtimestamp(payload.exp, UTC),
        )

    def jwks(self) -> JsonWebKeySet:
        """The public keys, for others who verify our tokens."""
        self._look_again(_LOOK_EVERY_S)
        return JsonWebKeySet(
            keys=[
                JsonWebKey(
                    kid=key.kid,
                    # RFC 8037, 2: the raw 32 bytes.
                    x=base64url_encode(
                        key.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
                    ).decode(),
                )
                for key in self._keys
            ]
        )

    def _decode(self, token: str) -> _Payload:
        if len(token) > _TOKEN_CHARS_MAX:
            raise _invalid("it is too long")
        try:
            header: Mapping[str, object] = jwt.get_unverified_header(token)
            if header.get("typ") != TOKEN_TYPE:
                raise _invalid("it is no access token")
            claims = jwt.decode(
                token,
                self._key(header.get("kid")).public,
                # Never the header's choice: `none` and HMAC-with-the-public-key are refused here.
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={
                    "require": ["iss", "aud", "sub", "sid", "iat", "nbf", "exp"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            return msgspec.convert(claims, _Payload)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise _invalid("it was not issued by this market, or was changed") from error

    def _key(self, kid: object) -> SigningKey:
        for _ in range(2):
            for key in self._keys:
                if key.kid == kid:
                    return key
            # Another node may sign with a key that was added since.
            self._look_again(_LOOK_FOR_UNKNOWN_EVERY_S)
        raise _invalid("its key is not known")

    def _look_again(self, every_s: float) -> None:
        """Read the folder again where it is due. A handful of tiny local files: well below a millisecond."""
        at = self._monotonic()
        if at - self._looked_at < every_s:
            return
        self._looked_at = at
        try:
            keys = _read_keys(self._keys_dir)
        except ConfigError:
            # Somebody is in the middle of writing a key: what was read before stays good until the next look.
            return
        if keys:
            self._keys = keys


def ensure_signing_key(keys_dir: Path) -> None:
    """Write one key (mode 0600) where the folder has none. Safe in several processes at once."""
    keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(keys_dir.glob("*.pem")):
        return
    lock = os.open(keys_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(keys_dir.glob("*.pem")):
            return
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        unfinished = keys_dir / f".{secrets.token_hex(8)}.new"
        written = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(written, "wb") as file:
            file.write(pem)
        # Readers see the whole key or none.
        unfinished.rename(keys_dir / f"dev-{secrets.token_hex(4)}.pem")
    finally:
        os.close(lock)


def _read_keys(keys_dir: Path) -> list[SigningKey]:
    """Newest file first; equal times (a mounted secret) go by name, so name keys by date there."""
    try:
        files = sorted(
            keys_dir.glob("*.pem"),
            key=lambda file: (file.stat().st_mtime_ns, file.stem),
            reverse=True,
        )
        return [_read_key(file) for file in files]
    except OSError as error:
        raise ConfigError(
            "signing_keys_dir",
            f"{error.filename}: {error.strerror}",
            "Give a folder that this process may read",
        ) from error


def _read_key(file: Path) -> SigningKey:
    try:
        private = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _wrong_key(file) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _wrong_key(file)
    return SigningKey(kid=file.stem, private=private, public=private.public_key())


def _wrong_key(file: Path) -> ConfigError:
    return ConfigError(
        "signing_keys_dir",
        f"{file} is not an unencrypted Ed25519 private key in PEM",
        "Make one with: openssl genpkey -algorithm ed25519",
    )


def _invalid(reason: str) -> NotSignedIn:
    return NotSignedIn("auth.token_invalid", f"The access token is not valid: {reason}.")
