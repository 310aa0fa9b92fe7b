"""Tokens that are over, changed, made up, or signed by somebody else open no endpoint at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from feira.http.routes import ENDPOINTS
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.runtime.tokens import ALGORITHM, AUDIENCE, ISSUER, TOKEN_TYPE, AccessTokens
from feira.services.users.sessions import revoke_session
from tests.integration.bad_input.door import Door, all_of, endpoint_of


def made_of(door: Door, **changes: Any) -> dict[str, Any]:
    """The claims of a good token of the buyer's, changed."""
    buyer = door.cast.people["buyer"]
    now = int(datetime.now(UTC).timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(buyer.user),
        "sid": str(buyer.principal.session_id),
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def unsigned(header: dict[str, Any], claims: dict[str, Any], key: bytes | None = None) -> str:
    """A token put together by hand, as attackers do."""

    def text(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).decode().rstrip("=")

    head = f"{text(msgspec.json.encode(header))}.{text(msgspec.json.encode(claims))}"
    signature = b"" if key is None else hmac.digest(key, head.encode(), hashlib.sha256)
    return f"{head}.{text(signature)}"


def false_tokens(door: Door) -> dict[str, str]:
    tokens = door.cast.market.tokens
    (published, *_) = tokens.jwks().keys
    header = {"typ": TOKEN_TYPE, "alg": ALGORITHM, "kid": published.kid}
    public = published.x.encode()
    genuine = door.cast.people["buyer"].token
    head, _, signature = genuine.rpartition(".")
    admin = door.cast.people["admin"]
    stranger = Ed25519PrivateKey.generate()
    return {
        "signed by another key": jwt.encode(
            made_of(door), stranger, algorithm=ALGORITHM, headers=header
        ),
        "another key with its own id": jwt.encode(
            made_of(door), stranger, algorithm=ALGORITHM, headers=header | {"kid": "mine"}
        ),
        "alg none": unsigned(header | {"alg": "none"}, made_of(door)),
        "alg None": unsigned(header | {"alg": "None"}, made_of(door)),
        "HMAC with the public key": unsigned(header | {"alg": "HS256"}, made_of(door), public),
        "HMAC with nothing": unsigned(header | {"alg": "HS256"}, made_of(door), b""),
        "a key that it brings along": unsigned(
            header | {"jwk": msgspec.to_builtins(published), "jku": "http://127.0.0.1/"},
            made_of(door),
            b"",
        ),
        "a key id that is a path": unsigned(header | {"kid": "../../etc/passwd"}, made_of(door)),
        "somebody else's claims": unsigned(
            header, made_of(door, sub=str(admin.user), sid=str(admin.principal.session_id))
        ).rpartition(".")[0]
        + f".{signature}",
        "a changed signature": f"{head}.{signature[:-4]}AAAA",
        "no signature": f"{head}.",
        "two parts": head,
        "a refresh token": "r" * 43,
        "the word null": "null",
        "very long": genuine + "A" * 6_000,
    }


async def test_a_false_token_is_refused_by_every_endpoint_even_where_none_is_needed(
    door: Door,
) -> None:
    tokens = false_tokens(door)
    before = await door.counts()
    answers = await all_of(
        [
            door.send(endpoint, what, headers={"Authorization": f"Bearer {token}"})
            for endpoint in ENDPOINTS
            for what, token in tokens.items()
        ]
    )
    wrong = [f"{a.what} -> {a.status} {a.body[:120]!r}" for a in answers if a.status != 401]
    assert not wrong, "\n".join(wrong[:20])
    assert {answer.problem["code"] for answer in answers} == {"auth.token_invalid"}
    assert await door.counts() == before


async def test_an_expired_a_revoked_and_a_suspended_token_say_so_at_every_endpoint(
    door: Door,
) -> None:
    cast = door.cast
    issue = cast.market.tokens.issue
    buyer, revoked, suspended = (cast.people[p] for p in ("buyer", "other_buyer", "rival"))
    past = datetime.now(UTC) - timedelta(minutes=16)
    session = revoked.principal.session_id
    await cast.transact(lambda tx: revoke_session(tx, revoked.user, session, "logout"))
    async with cast.market.database.connection() as con:
        await con.execute("UPDATE users SET status = 'suspended' WHERE id = $1", suspended.user)
    tokens = {
        "auth.token_expired": issue(buyer.user, buyer.principal.session_id, past)[0],
        "auth.session_revoked": revoked.token,
        "auth.suspended": suspended.token,
    }
    for code, token in tokens.items():
        answers = await all_of(
            [
                door.send(endpoint, code, headers={"Authorization": f"Bearer {token}"})
                for endpoint in ENDPOINTS
            ]
        )
        assert {(a.status, a.problem["code"]) for a in answers} == {(401, code)}


async def test_a_genuine_token_of_no_session_or_of_two_people_opens_nothing(door: Door) -> None:
    issue = door.cast.market.tokens.issue
    buyer, admin = door.cast.people["buyer"], door.cast.people["admin"]
    me, now = endpoint_of("GET /v1/me"), datetime.now(UTC)
    for user, session in (
        (buyer.user, SessionId(uuid4())),
        (UserId(uuid4()), buyer.principal.session_id),
        (admin.user, buyer.principal.session_id),
    ):
        token = issue(user, session, now)[0]
        answer = await door.send(me, "mixed", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.problem["code"]) == (401, "auth.session_revoked")


WRONG_CLAIMS: Final[tuple[dict[str, Any], ...]] = (
    {"iss": "elsewhere"},
    {"aud": "another-api"},
    {"aud": ["feira-api", "another-api"]},
    {"exp": None},
    {"nbf": None},
    {"sid": None},
    {"sub": "x"},
    {"sub": 7},
    {"exp": "soon"},
    {"exp": 1e300},
    {"exp": True},
    {"sub": "\0"},
)


async def test_claims_that_we_would_never_write_are_refused_though_the_signature_is_good(
    door: Door,
) -> None:
    me, tokens = endpoint_of("GET /v1/me"), door.cast.market.tokens
    for changes in WRONG_CLAIMS:
        token = signed(tokens, made_of(door, **changes))
        answer = await door.send(me, str(changes), headers={"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.problem["code"]) == (401, "auth.token_invalid")


async def test_a_token_from_the_future_is_not_valid_yet_by_the_servers_clock(door: Door) -> None:
    buyer = door.cast.people["buyer"]
    for ahead, status in ((timedelta(seconds=3), 200), (timedelta(minutes=10), 401)):
        token, _ = door.cast.market.tokens.issue(
            buyer.user, buyer.principal.session_id, datetime.now(UTC) + ahead
        )
        answer = await door.send(
            endpoint_of("GET /v1/me"), str(ahead), headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status == status, answer


def signed(tokens: AccessTokens, claims: dict[str, Any]) -> str:
    key = tokens._keys[0]  # pyright: ignore[reportPrivateUsage]
    headers = {"kid": key.kid, "typ": TOKEN_TYPE}
    return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers=headers)
