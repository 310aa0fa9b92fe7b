"""Sign-up, confirming the address, resetting the password: and never telling who has an account."""

from __future__ import annotations

import asyncio
import hashlib
from uuid import UUID

import pytest

from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import inbox_topic
from feira.services.users.accounts import create_user
from feira.services.users.passwords import hash_password
from tests.integration.users.stage import PASSWORD, Stage, new_address

NEW_PASSWORD = "a better horse battery"


async def test_a_new_account_is_confirmed_through_its_mailbox(stage: Stage) -> None:
    address = new_address()
    signed_up = await stage.sign_up(address)
    assert (signed_up.status, signed_up.body) == (201, {"email": address})
    tokens = (await stage.log_in(address)).body
    assert (await stage.get("/v1/me", tokens["access_token"])).body["email_verified"] is False

    await stage.work_off()
    token = stage.link_token(address, "verify")
    assert (await stage.post("/v1/auth/verify-email", {"token": token})).status == 204
    assert (await stage.get("/v1/me", tokens["access_token"])).body["email_verified"] is True
    again = await stage.post("/v1/auth/verify-email", {"token": token})
    assert (again.status, again.code) == (422, "auth.link_invalid")


async def test_secrets_rest_in_the_database_as_hashes_only(stage: Stage) -> None:
    address = new_address()
    await stage.sign_up(address)
    await stage.work_off()
    token = stage.link_token(address, "verify")
    refresh = (await stage.log_in(address)).body["refresh_token"]
    password_hash = await stage.fetchval(
        "SELECT password_hash FROM users WHERE email = $1", address
    )
    assert password_hash.startswith("$argon2id$")
    for table, secret in (("one_time_tokens", token), ("refresh_tokens", refresh)):
        stored = await stage.fetchval(f"SELECT token_sha256 FROM {table}")  # noqa: S608 - two fixed names
        assert stored == hashlib.sha256(secret.encode()).digest()
    assert token not in await stage.fetchval("SELECT string_agg(args::text, ' ') FROM jobs")


async def test_signing_up_with_a_known_address_tells_only_its_mailbox(stage: Stage) -> None:
    ana = await stage.person()
    stranger = new_address()
    known, unknown = await stage.sign_up(ana.email.upper()), await stage.sign_up(stranger)
    assert (known.status, unknown.status) == (201, 201)
    assert known.body == {"email": ana.email.upper()}
    assert set(known.headers) == set(unknown.headers)
    assert known.headers["Content-Type"] == unknown.headers["Content-Type"]

    await stage.work_off()
    (mail,) = stage.mails(ana.email)
    assert "already have an account" in str(mail["Subject"])
    # Nothing about the account changed.
    assert (await stage.log_in(ana.email)).status == 200
    assert (await stage.get("/v1/me", ana.access)).status == 200


async def test_a_second_sign_up_before_confirmation_takes_the_account_over(stage: Stage) -> None:
    """Who waits inside an unconfirmed account must be gone when the mailbox's owner comes."""
    address = new_address()
    await stage.sign_up(address, password="the squatter's own")
    squatter = (await stage.log_in(address, "the squatter's own")).body
    await stage.work_off()
    first_link = stage.link_token(address, "verify")

    assert (await stage.sign_up(address)).status == 201
    await stage.work_off()
    refused = await stage.get("/v1/me", squatter["access_token"])
    assert (refused.status, refused.code) == (401, "auth.session_revoked")
    assert (await stage.log_in(address, "the squatter's own")).status == 401
    assert (await stage.post("/v1/auth/verify-email", {"token": first_link})).status == 422
    newest = stage.link_token(address, "verify")
    assert (await stage.post("/v1/auth/verify-email", {"token": newest})).status == 204
    assert (await stage.log_in(address)).status == 200


async def test_resending_answers_alike_for_known_confirmed_and_unknown_addresses(
    stage: Stage,
) -> None:
    unconfirmed, unknown = new_address(), new_address()
    confirmed = (await stage.person()).email
    await stage.sign_up(unconfirmed)
    await stage.work_off()
    for address in (unconfirmed, confirmed, unknown):
        answer = await stage.post("/v1/auth/resend-verification", {"email": address})
        assert (answer.status, answer.body) == (202, {"email": address})
    await stage.work_off()
    assert len(stage.mails(unconfirmed)) == 2
    assert stage.mails(confirmed) == stage.mails(unknown) == []
    first, second = stage.mails(unconfirmed)
    assert first["Message-ID"] != second["Message-ID"]


async def test_an_old_link_opens_nothing(stage: Stage) -> None:
    address = new_address()
    await stage.sign_up(address)
    await stage.work_off()
    await stage.fetchval(
        "UPDATE one_time_tokens SET expires_at = now() - interval '1 s' RETURNING 1"
    )
    token = stage.link_token(address, "verify")
    assert (await stage.post("/v1/auth/verify-email", {"token": token})).code == "auth.link_invalid"


async def test_a_link_works_only_for_its_own_purpose(stage: Stage) -> None:
    address = new_address()
    await stage.sign_up(address)
    await stage.work_off()
    token = stage.link_token(address, "verify")
    confirm = {"token": token, "password": NEW_PASSWORD}
    assert (
        await stage.post("/v1/auth/password-reset/confirm", confirm)
    ).code == "auth.link_invalid"
    assert (await stage.post("/v1/auth/verify-email", {"token": token})).status == 204


async def test_a_password_reset_ends_every_session_and_says_so(stage: Stage) -> None:
    ana = await stage.person()
    other = (await stage.log_in(ana.email)).body
    asked = await stage.post("/v1/auth/password-reset", {"email": ana.email})
    assert (asked.status, asked.body) == (202, {"email": ana.email})
    await stage.work_off()
    confirm = {"token": stage.link_token(ana.email, "reset"), "password": NEW_PASSWORD}
    assert (await stage.post("/v1/auth/password-reset/confirm", confirm)).status == 204

    for access in (ana.access, other["access_token"]):
        assert (await stage.get("/v1/me", access)).code == "auth.session_revoked"
    assert (await stage.refresh(ana.refresh)).code == "auth.session_revoked"
    assert (await stage.log_in(ana.email)).code == "auth.wrong_credentials"
    assert (await stage.log_in(ana.email, NEW_PASSWORD)).status == 200
    events = await stage.events(inbox_topic(ana.id))
    assert {(event["kind"], event["reason"]) for event in events} == {
        ("session.revoked", "password_reset")
    }
    assert {event["session"] for event in events} == {str(ana.session), other["session"]}
    again = await stage.post("/v1/auth/password-reset/confirm", confirm)
    assert again.code == "auth.link_invalid"


async def test_a_reset_answers_alike_for_an_unknown_address_and_sends_nothing(stage: Stage) -> None:
    address = new_address()
    asked = await stage.post("/v1/auth/password-reset", {"email": address})
    assert (asked.status, asked.body) == (202, {"email": address})
    await stage.work_off()
    assert stage.mails(address) == []


async def test_a_reset_proves_the_mailbox_and_lifts_the_login_pause(stage: Stage) -> None:
    address = new_address()
    await stage.sign_up(address)
    for _ in range(5):
        await stage.log_in(address, "wrong password")
    assert (await stage.log_in(address)).code == "auth.throttled"
    await stage.post("/v1/auth/password-reset", {"email": address})
    await stage.work_off()
    confirm = {"token": stage.link_token(address, "reset"), "password": NEW_PASSWORD}
    await stage.post("/v1/auth/password-reset/confirm", confirm)
    tokens = await stage.log_in(address, NEW_PASSWORD)
    assert tokens.status == 200
    me = await stage.get("/v1/me", tokens.body["access_token"])
    assert me.body["email_verified"] is True


async def test_nobody_can_flood_a_mailbox(stage: Stage) -> None:
    for address in (new_address(), (await stage.person()).email):
        answers = [
            await stage.post("/v1/auth/password-reset", {"email": address}) for _ in range(7)
        ]
        assert [answer.status for answer in answers] == [202] * 5 + [429] * 2
        assert answers[-1].code == "auth.throttled"
        assert float(answers[-1].headers["Retry-After"]) > 1
    await stage.work_off()
    assert len(stage.mails(address)) == 5


async def test_a_mail_job_that_runs_again_sends_no_second_copy(stage: Stage) -> None:
    address = new_address()
    await stage.sign_up(address)
    await stage.work_off()
    await stage.fetchval("UPDATE jobs SET state = 'ready', finished_at = NULL RETURNING 1")
    assert await stage.work_off() == 1
    assert len(stage.mails(address)) == 1
    token = stage.link_token(address, "verify")
    assert (await stage.post("/v1/auth/verify-email", {"token": token})).status == 204


async def test_two_sign_ups_at_once_make_one_account(stage: Stage) -> None:
    address = new_address()
    answers = await asyncio.gather(*(stage.sign_up(address) for _ in range(4)))
    assert [answer.status for answer in answers] == [201] * 4
    assert await stage.fetchval("SELECT count(*) FROM users WHERE email = $1", address) == 1


async def test_a_made_account_is_confirmed_and_carries_its_roles(stage: Stage) -> None:
    password_hash = await hash_password(PASSWORD)
    address = new_address()

    async def make() -> UserId:
        return await stage.market.database.transact(
            lambda tx: create_user(
                tx,
                email=address.upper(),
                password_hash=password_hash,
                display_name="Rui",
                roles=frozenset({"admin", "finance"}),
            )
        )

    user = await make()
    tokens = (await stage.log_in(address)).body
    me = (await stage.get("/v1/me", tokens["access_token"])).body
    assert UUID(me["id"]) == user
    assert me["roles"] == ["admin", "finance"]
    assert me["email_verified"] is True
    with pytest.raises(Conflict, match=r"user\.email_taken"):
        await make()
