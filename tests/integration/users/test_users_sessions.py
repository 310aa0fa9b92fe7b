"""Login, refresh rotation and its thieves, logout, and the list of own sessions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import msgspec
import pytest
from argon2 import PasswordHasher

from feira.platform.domain.errors import NotSignedIn
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.topics import inbox_topic
from feira.services.users.authentication import authenticate
from feira.services.users.expiry import forget_expired
from feira.services.users.one_time_tokens import sha256
from tests.integration.users.stage import PASSWORD, Answer, Person, Stage, new_address

COOKIE = "feira_refresh"


async def _revocations(stage: Stage, person: Person) -> list[tuple[str, str]]:
    events = await stage.events(inbox_topic(person.id))
    return [(e["session"], e["reason"]) for e in events if e["kind"] == "session.revoked"]


async def test_a_login_gives_tokens_that_open_the_account(stage: Stage) -> None:
    ana = await stage.person("support")
    answer = await stage.log_in(ana.email.upper())
    body = answer.body
    assert body["token_type"] == "Bearer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not answer.cookies
    expires_at = datetime.fromisoformat(body["access_expires_at"])
    assert timedelta(minutes=14) < expires_at - datetime.now(UTC) <= timedelta(minutes=15)
    refresh_expires_at = datetime.fromisoformat(body["refresh_expires_at"])
    assert timedelta(days=29) < refresh_expires_at - datetime.now(UTC) <= timedelta(days=30)
    me = await stage.get("/v1/me", body["access_token"])
    assert (me.body["id"], me.body["roles"]) == (str(ana.id), ["support"])


async def test_a_principal_carries_the_roles_that_the_database_knows(stage: Stage) -> None:
    admin = await stage.person("admin", "finance")
    known = (await authenticate(stage.market, admin.access)).principal
    assert known.roles == {"anyone", "user", "verified", "admin", "finance"}
    assert (known.user_id, known.session_id) == (admin.id, admin.session)
    address = new_address()
    await stage.sign_up(address)
    access = (await stage.log_in(address)).body["access_token"]
    assert (await authenticate(stage.market, access)).principal.roles == {"anyone", "user"}


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(stage: Stage) -> None:
    ana = await stage.person()
    wrong = await stage.log_in(ana.email, "wrong password")
    unknown = await stage.log_in(new_address(), "wrong password")
    assert (wrong.status, wrong.code) == (401, "auth.wrong_credentials")
    for answer in (wrong, unknown):
        answer.body.pop("request_id")
    assert wrong.body == unknown.body


async def test_a_suspended_user_is_told_so_only_after_the_right_password(stage: Stage) -> None:
    ana = await stage.person()
    await stage.fetchval("UPDATE users SET status = 'suspended' WHERE id = $1 RETURNING 1", ana.id)
    assert (await stage.log_in(ana.email)).code == "auth.suspended"
    assert (await stage.log_in(ana.email, "wrong password")).code == "auth.wrong_credentials"
    assert (await stage.get("/v1/me", ana.access)).code == "auth.suspended"
    assert (await stage.refresh(ana.refresh)).code == "auth.suspended"


async def test_a_genuine_token_of_no_session_or_of_another_user_s_is_refused(stage: Stage) -> None:
    ana, rui = await stage.person(), await stage.person()
    for user, session in (
        (ana.id, SessionId(uuid4())),
        (ana.id, rui.session),
        (UserId(uuid4()), ana.session),
    ):
        token, _ = stage.market.tokens.issue(user, session, datetime.now(UTC))
        with pytest.raises(NotSignedIn, match=r"auth\.session_revoked"):
            await authenticate(stage.market, token)


async def test_an_expired_access_token_is_refused(stage: Stage) -> None:
    ana = await stage.person()
    token, _ = stage.market.tokens.issue(
        ana.id, ana.session, datetime.now(UTC) - timedelta(hours=1)
    )
    answer = await stage.get("/v1/me", token)
    assert (answer.status, answer.code) == (401, "auth.token_expired")
    assert "Bearer" in answer.headers["WWW-Authenticate"]


async def test_a_refresh_trades_the_token_for_the_next_one(stage: Stage) -> None:
    ana = await stage.person()
    first = (await stage.refresh(ana.refresh)).body
    second = (await stage.refresh(first["refresh_token"])).body
    assert len({ana.refresh, first["refresh_token"], second["refresh_token"]}) == 3
    assert first["session"] == second["session"] == str(ana.session)
    assert (await stage.get("/v1/me", second["access_token"])).status == 200


async def test_a_spent_refresh_token_revokes_the_session(stage: Stage) -> None:
    """The thief's first use, or the victim's: whoever comes second ends it for both."""
    ana = await stage.person()
    other = (await stage.log_in(ana.email)).body
    first = (await stage.refresh(ana.refresh)).body
    second = (await stage.refresh(first["refresh_token"])).body
    reused = await stage.refresh(ana.refresh)
    assert (reused.status, reused.code) == (401, "auth.refresh_reused")
    assert (await stage.refresh(second["refresh_token"])).code == "auth.session_revoked"
    assert (await stage.get("/v1/me", second["access_token"])).code == "auth.session_revoked"
    assert await _revocations(stage, ana) == [(str(ana.session), "refresh_reused")]
    # The user's other session is somebody else's chain.
    assert (await stage.get("/v1/me", other["access_token"])).status == 200


async def test_a_spent_token_that_comes_late_revokes_even_if_its_successor_is_unused(
    stage: Stage,
) -> None:
    ana = await stage.person()
    successor = (await stage.refresh(ana.refresh)).body
    await stage.fetchval(
        "UPDATE refresh_tokens SET spent_at = spent_at - interval '6 s' WHERE token_sha256 = $1 RETURNING 1",
        sha256(ana.refresh),
    )
    assert (await stage.refresh(ana.refresh)).code == "auth.refresh_reused"
    assert (await stage.refresh(successor["refresh_token"])).code == "auth.session_revoked"


async def test_of_many_refreshes_at_once_one_wins_and_the_session_lives(stage: Stage) -> None:
    ana = await stage.person()
    answers = await asyncio.gather(*(stage.refresh(ana.refresh) for _ in range(8)))
    won = [answer for answer in answers if answer.status == 200]
    lost = [answer for answer in answers if answer.status != 200]
    assert len(won) == 1
    assert {(answer.status, answer.code) for answer in lost} == {(409, "auth.refresh_raced")}
    live = "SELECT count(*) FROM refresh_tokens WHERE session_id = $1 AND spent_at IS NULL"
    assert await stage.fetchval(live, ana.session) == 1
    assert (await stage.refresh(won[0].body["refresh_token"])).status == 200
    assert await _revocations(stage, ana) == []


async def test_a_refresh_token_is_refused_when_unknown_or_too_old(stage: Stage) -> None:
    ana = await stage.person()
    assert (await stage.refresh("x" * 43)).code == "auth.refresh_invalid"
    assert (await stage.post("/v1/auth/refresh", {})).code == "auth.refresh_missing"
    await stage.fetchval("UPDATE refresh_tokens SET expires_at = now() RETURNING 1")
    assert (await stage.refresh(ana.refresh)).code == "auth.refresh_invalid"


async def test_a_browser_keeps_its_refresh_token_in_a_cookie_no_script_reads(stage: Stage) -> None:
    ana = await stage.person()
    login = await stage.log_in(ana.email, refresh_in="cookie")
    assert login.body["refresh_token"] is None
    cookie = login.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/v1/auth")
    # Plain HTTP, as on one's own machine.
    assert cookie["secure"] == ""
    refreshed = await _with_cookie(stage, "/v1/auth/refresh", cookie.value)
    assert refreshed.status == 200
    assert refreshed.body["refresh_token"] is None
    assert refreshed.cookies[COOKIE].value != cookie.value
    signed_out = await _with_cookie(stage, "/v1/auth/logout", refreshed.cookies[COOKIE].value)
    assert signed_out.status == 204
    assert signed_out.cookies[COOKIE].value == ""
    assert signed_out.cookies[COOKIE]["max-age"] == "0"
    assert (
        await stage.get("/v1/me", refreshed.body["access_token"])
    ).code == "auth.session_revoked"


async def _with_cookie(stage: Stage, path: str, token: str) -> Answer:
    return await stage.call("POST", path, {}, headers={"Cookie": f"{COOKIE}={token}"})


async def test_a_logout_ends_the_session_of_whichever_token_came(stage: Stage) -> None:
    by_access, by_refresh = await stage.person(), await stage.person()
    assert (await stage.post("/v1/auth/logout", {}, by_access.access)).status == 204
    body = {"refresh_token": by_refresh.refresh}
    assert (await stage.post("/v1/auth/logout", body)).status == 204
    for person in (by_access, by_refresh):
        assert (await stage.get("/v1/me", person.access)).code == "auth.session_revoked"
        assert await _revocations(stage, person) == [(str(person.session), "logout")]
    assert (await stage.post("/v1/auth/logout", body)).status == 204
    assert (await stage.post("/v1/auth/logout", {})).status == 204
    assert len(await _revocations(stage, by_refresh)) == 1


async def test_own_sessions_are_listed_and_ended_one_by_one(stage: Stage) -> None:
    ana, rui = await stage.person(), await stage.person()
    for number in range(3):
        headers = {"User-Agent": f"phone {number}"}
        login = {"email": ana.email, "password": PASSWORD}
        await stage.call("POST", "/v1/auth/login", login, headers=headers)
    seen: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await stage.get(f"/v1/me/sessions?limit=2{cursor}", ana.access)).body
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [entry["user_agent"] for entry in seen[:3]] == ["phone 2", "phone 1", "phone 0"]
    assert [entry["current"] for entry in seen] == [False, False, False, True]
    assert {entry["address"] for entry in seen} == {"127.0.0.1"}

    phone = seen[0]["id"]
    foreign = await stage.call("DELETE", f"/v1/me/sessions/{phone}", token=rui.access)
    assert (foreign.status, foreign.code) == (404, "session.not_found")
    assert (await stage.call("DELETE", f"/v1/me/sessions/{phone}", token=ana.access)).status == 204
    again = await stage.call("DELETE", f"/v1/me/sessions/{phone}", token=ana.access)
    assert again.code == "session.not_found"
    left = (await stage.get("/v1/me/sessions", ana.access)).body["items"]
    assert phone not in {entry["id"] for entry in left}
    assert len(left) == 3
    assert await _revocations(stage, ana) == [(phone, "revoked")]


async def test_a_login_that_a_password_reset_overtook_opens_no_session(stage: Stage) -> None:
    """The reset commits while argon2 compares the old password."""
    ana = await stage.person()
    await stage.post("/v1/auth/password-reset", {"email": ana.email})
    await stage.work_off()
    confirm = {"token": stage.link_token(ana.email, "reset"), "password": "a better horse"}
    logins = [asyncio.create_task(stage.log_in(ana.email)) for _ in range(4)]
    assert (await stage.post("/v1/auth/password-reset/confirm", confirm)).status == 204
    for login in await asyncio.gather(*logins):
        if login.status == 200:
            refused = await stage.get("/v1/me", login.body["access_token"])
            assert refused.code == "auth.session_revoked"


async def test_a_hash_of_former_cost_is_renewed_at_login(stage: Stage) -> None:
    ana = await stage.person()
    former = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    update = "UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING 1"
    await stage.fetchval(update, ana.id, former)
    assert (await stage.log_in(ana.email)).status == 200
    now = await stage.fetchval("SELECT password_hash FROM users WHERE id = $1", ana.id)
    assert "m=19456,t=2,p=1" in now
    assert (await stage.log_in(ana.email)).status == 200


async def test_the_event_loop_runs_on_while_passwords_are_compared(stage: Stage) -> None:
    ana = await stage.person()
    logins = asyncio.gather(*(stage.log_in(ana.email) for _ in range(4)))
    turns = 0
    while not logins.done():
        await asyncio.sleep(0.002)
        turns += 1
    assert {login.status for login in await logins} == {200}
    # Four hashes take over 100 ms of computing; a loop that waited for them would come round a few times.
    assert turns > 10


async def test_the_published_keys_verify_an_access_token(stage: Stage) -> None:
    ana = await stage.person()
    answer = await stage.get("/.well-known/jwks.json")
    assert "max-age" in answer.headers["Cache-Control"]
    keys = jwt.PyJWKSet.from_json(msgspec.json.encode(answer.body).decode())
    key = keys[jwt.get_unverified_header(ana.access)["kid"]]
    claims = jwt.decode(ana.access, key, algorithms=["EdDSA"], audience="feira-api", issuer="feira")
    assert (claims["sub"], claims["sid"]) == (str(ana.id), str(ana.session))


async def test_what_ended_long_ago_is_forgotten_and_what_lives_is_kept(stage: Stage) -> None:
    ana, rui = await stage.person(), await stage.person()
    first = (await stage.refresh(ana.refresh)).body
    await stage.refresh(first["refresh_token"])
    await stage.post("/v1/auth/password-reset", {"email": ana.email})
    await stage.work_off()
    assert await stage.market.database.transact(lambda tx: forget_expired(tx, limit=10)) == 0
    for statement in (
        "UPDATE refresh_tokens SET expires_at = expires_at - interval '38 days' WHERE session_id = $1",
        "UPDATE sessions SET last_used_at = now() - interval '38 days' WHERE id = $1",
        "UPDATE one_time_tokens SET expires_at = now() - interval '8 days' WHERE $1::uuid IS NOT NULL",
    ):
        await stage.fetchval(f"{statement} RETURNING 1", ana.session)
    # In small steps: three tokens of a chain, their session, a link.
    steps: list[int] = []
    while not steps or steps[-1]:
        steps.append(await stage.market.database.transact(lambda tx: forget_expired(tx, limit=1)))
    assert sum(steps) == 5
    assert (await stage.get("/v1/me", ana.access)).code == "auth.session_revoked"
    assert (await stage.refresh(rui.refresh)).status == 200
