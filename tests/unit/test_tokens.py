"""Access tokens against forgery, age and key rotation."""

import base64
import hashlib
import hmac
import multiprocessing
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from feira.platform.domain.errors import NotSignedIn
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.runtime.config import ConfigError
from feira.platform.runtime.tokens import (
    ACCESS_TOKEN_S,
    AUDIENCE,
    ISSUER,
    LEEWAY_S,
    AccessTokens,
    SigningKey,
    ensure_signing_key,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USER = UserId(uuid4())
SESSION = SessionId(uuid4())


class _Clock:
    """A monotonic clock that moves when told to."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def _write_key(folder: Path, kid: str, *, age_s: int = 0) -> ed25519.Ed25519PrivateKey:
    key = ed25519.Ed25519PrivateKey.generate()
    file = folder / f"{kid}.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    at = NOW.timestamp() - age_s
    os.utime(file, (at, at))
    return key


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    ensure_signing_key(tmp_path)
    return tmp_path


def _claims(**changes: object) -> dict[str, Any]:
    at = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(USER),
        "sid": str(SESSION),
        "iat": at,
        "nbf": at,
        "exp": at + ACCESS_TOKEN_S,
    }
    claims.update(changes)
    return {name: value for name, value in claims.items() if value is not None}


def _forge(
    keys_dir: Path,
    claims: dict[str, Any],
    *,
    key: Any = None,
    algorithm: str = "EdDSA",
    **header: object,
) -> str:
    (file,) = keys_dir.glob("*.pem")
    headers = {"kid": file.stem, "typ": "at+jwt", **header}
    signer: Any = key or load_pem_private_key(file.read_bytes(), password=None)
    return jwt.encode(
        claims,
        signer,
        algorithm=algorithm,
        headers={k: v for k, v in headers.items() if v is not None},
    )


def _refusal(tokens: AccessTokens, token: str, now: datetime = NOW) -> str:
    with pytest.raises(NotSignedIn) as refused:
        tokens.verify(token, now)
    return refused.value.code


def test_an_issued_token_verifies_and_says_whose_it_is(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    token, expires_at = tokens.issue(USER, SESSION, NOW)
    claims = tokens.verify(token, NOW)
    assert (claims.user_id, claims.session_id) == (USER, SESSION)
    assert claims.expires_at == expires_at == NOW + timedelta(minutes=15)


def test_a_token_issued_now_verifies_by_the_wall_clock(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    token, _ = tokens.issue(USER, SESSION, datetime.now(UTC))
    assert tokens.verify(token).user_id == USER


def test_an_expired_token_is_refused_after_the_leeway_only(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    token, expires_at = tokens.issue(USER, SESSION, NOW)
    tokens.verify(token, expires_at + timedelta(seconds=LEEWAY_S - 1))
    late = expires_at + timedelta(seconds=LEEWAY_S)
    assert _refusal(tokens, token, late) == "auth.token_expired"


def test_a_token_from_the_future_is_refused_beyond_the_leeway(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    at = int(NOW.timestamp())
    tokens.verify(_forge(keys_dir, _claims(nbf=at + LEEWAY_S - 1)), NOW)
    assert _refusal(tokens, _forge(keys_dir, _claims(nbf=at + 60))) == "auth.token_invalid"
    assert _refusal(tokens, _forge(keys_dir, _claims(iat=at + 60))) == "auth.token_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "someone-else"},
        {"iss": None},
        {"aud": "another-api"},
        {"aud": [AUDIENCE, "another-api"]},
        {"aud": None},
        {"exp": None},
        {"nbf": None},
        {"iat": None},
        {"sub": None},
        {"sid": None},
        {"sub": "not-a-uuid"},
        {"sid": "not-a-uuid"},
        {"exp": "soon"},
        {"nbf": 1.5},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_or_missing_claim_is_refused(
    keys_dir: Path, changes: dict[str, object]
) -> None:
    tokens = AccessTokens.load(keys_dir)
    assert _refusal(tokens, _forge(keys_dir, _claims(**changes))) == "auth.token_invalid"


def test_a_token_without_a_signature_is_refused(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    (file,) = keys_dir.glob("*.pem")
    for algorithm in ("none", "None", "NONE"):
        head = msgspec.json.encode({"alg": algorithm, "typ": "at+jwt", "kid": file.stem})
        parts = [
            base64.urlsafe_b64encode(part).rstrip(b"=")
            for part in (head, msgspec.json.encode(_claims()))
        ]
        assert _refusal(tokens, b".".join([*parts, b""]).decode()) == "auth.token_invalid"
    token, _ = tokens.issue(USER, SESSION, NOW)
    assert _refusal(tokens, token.rpartition(".")[0] + ".") == "auth.token_invalid"


def test_the_public_key_used_as_an_hmac_secret_is_refused(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    (file,) = keys_dir.glob("*.pem")
    private = load_pem_private_key(file.read_bytes(), password=None)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = msgspec.json.encode({"alg": "HS256", "typ": "at+jwt", "kid": file.stem})
    signed = b".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=")
        for part in (head, msgspec.json.encode(_claims()))
    )
    mac = base64.urlsafe_b64encode(hmac.digest(public, signed, hashlib.sha256)).rstrip(b"=")
    assert _refusal(tokens, (signed + b"." + mac).decode()) == "auth.token_invalid"


def test_other_algorithms_are_refused_even_with_our_key_id(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curve_key = ec.generate_private_key(ec.SECP256R1())
    for key, algorithm in ((rsa_key, "RS256"), (curve_key, "ES256")):
        token = _forge(keys_dir, _claims(), key=key, algorithm=algorithm)
        assert _refusal(tokens, token) == "auth.token_invalid"


def test_a_stranger_s_key_is_refused_under_our_key_id_and_under_its_own(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    stranger = ed25519.Ed25519PrivateKey.generate()
    for kid in (None, "stranger", next(keys_dir.glob("*.pem")).stem):
        token = _forge(keys_dir, _claims(), key=stranger, kid=kid)
        assert _refusal(tokens, token) == "auth.token_invalid"


def test_a_jwt_of_another_type_is_refused(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    assert _refusal(tokens, _forge(keys_dir, _claims(), typ="JWT")) == "auth.token_invalid"


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "....", "é.é.é", "a" * 5000])
def test_rubbish_is_refused(keys_dir: Path, token: str) -> None:
    assert _refusal(AccessTokens.load(keys_dir), token) == "auth.token_invalid"


def test_a_changed_payload_is_refused(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    token, _ = tokens.issue(USER, SESSION, NOW)
    head, _, signature = token.split(".")
    forged = (
        base64.urlsafe_b64encode(msgspec.json.encode(_claims(sub=str(uuid4()))))
        .rstrip(b"=")
        .decode()
    )
    assert _refusal(tokens, f"{head}.{forged}.{signature}") == "auth.token_invalid"


def test_the_newest_key_signs_and_every_key_verifies(tmp_path: Path) -> None:
    _write_key(tmp_path, "zebra", age_s=100)
    before = AccessTokens.load(tmp_path)
    old_token, _ = before.issue(USER, SESSION, NOW)
    _write_key(tmp_path, "aardvark", age_s=10)
    after = AccessTokens.load(tmp_path)
    new_token, _ = after.issue(USER, SESSION, NOW)
    assert jwt.get_unverified_header(old_token)["kid"] == "zebra"
    assert jwt.get_unverified_header(new_token)["kid"] == "aardvark"
    assert after.verify(old_token, NOW) == after.verify(new_token, NOW)
    (tmp_path / "zebra.pem").unlink()
    assert _refusal(AccessTokens.load(tmp_path), old_token) == "auth.token_invalid"


def test_keys_of_one_age_are_ordered_by_name(tmp_path: Path) -> None:
    for kid in ("2026-01", "2026-03", "2026-02"):
        _write_key(tmp_path, kid)
    token, _ = AccessTokens.load(tmp_path).issue(USER, SESSION, NOW)
    assert jwt.get_unverified_header(token)["kid"] == "2026-03"


def test_a_running_node_learns_of_a_key_that_another_node_signs_with(tmp_path: Path) -> None:
    _write_key(tmp_path, "old", age_s=100)
    clock = _Clock()
    node = AccessTokens.load(tmp_path, monotonic=clock)
    _write_key(tmp_path, "new", age_s=10)
    token, _ = AccessTokens.load(tmp_path).issue(USER, SESSION, NOW)
    clock.seconds += 60
    assert node.verify(token, NOW).user_id == USER
    assert [key.kid for key in node.jwks().keys] == ["new", "old"]


def test_a_key_that_is_half_written_does_not_take_a_running_node_down(tmp_path: Path) -> None:
    _write_key(tmp_path, "good", age_s=100)
    clock = _Clock()
    node = AccessTokens.load(tmp_path, monotonic=clock)
    (tmp_path / "half.pem").write_text("-----BEGIN PRIVATE")
    clock.seconds += 60
    token, _ = node.issue(USER, SESSION, NOW)
    assert node.verify(token, NOW).user_id == USER


def test_the_published_key_set_verifies_our_tokens_elsewhere(keys_dir: Path) -> None:
    tokens = AccessTokens.load(keys_dir)
    token, _ = tokens.issue(USER, SESSION, datetime.now(UTC))
    published = jwt.PyJWKSet.from_json(msgspec.json.encode(tokens.jwks()).decode())
    key = published[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER)
    assert claims["sub"] == str(USER)
    assert b'"d"' not in msgspec.json.encode(tokens.jwks())


def test_an_empty_folder_gets_a_private_key_only_when_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="signing_keys_dir"):
        AccessTokens.load(tmp_path / "missing")
    folder = tmp_path / "keys"
    AccessTokens.load(folder, make_missing=True)
    (file,) = folder.glob("*.pem")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_many_processes_that_start_on_an_empty_folder_agree_on_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=ensure_signing_key, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert len(list(tmp_path.glob("*.pem"))) == 1


def test_a_key_of_another_kind_is_named_at_the_start(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "curve.pem").write_bytes(pem)
    with pytest.raises(ConfigError, match=r"curve\.pem"):
        AccessTokens.load(tmp_path)


def test_a_key_s_repr_shows_only_its_id() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    key = SigningKey(kid="march", private=private, public=private.public_key())
    assert repr(key) == "SigningKey(kid='march')"
