"""Accounts: sign-up, confirming the e-mail address, resetting the password.

Nobody learns from an answer whether an address has an account: known or not, the same work is done and the
same is said; only the mailbox is told more.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from feira.platform.domain.audit import MailboxHolder, Origin
from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import UserId
from feira.platform.domain.jobs import SendPasswordResetEmail, SendVerificationEmail
from feira.platform.domain.permissions import Role
from feira.services.audit.recording import record
from feira.services.users import fields, one_time_tokens, sessions, throttling
from feira.services.users.passwords import hash_password
from feira.sql.database import Database, Tx
from feira.sql.loader import Connection, fetch_one, load_queries

SQL = load_queries("users")

PlatformRole = Literal["support", "finance", "admin"]


class SignUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account. Nothing but the mailbox tells whether the address had one already."""

    email: fields.Email
    password: fields.NewPassword
    display_name: fields.DisplayName


class EmailRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to send a link."""

    email: fields.Email


class VerifyEmail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token from the link in the verification e-mail."""

    token: fields.Secret


class ConfirmPasswordReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token from the link in the reset e-mail, and the new password."""

    token: fields.Secret
    password: fields.NewPassword


class MailSentView(msgspec.Struct, frozen=True, kw_only=True):
    """Where we wrote to, if there is reason to: the same answer for known and unknown addresses."""

    email: str


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account as this service needs it inside. `repr` leaves the password's hash out."""

    id: UserId
    email: str
    verified: bool
    password_hash: str
    display_name: str
    status: Literal["active", "suspended"]

    def __repr__(self) -> str:
        return f"UserRow(id={self.id!r})"


def normal_email(email: str) -> str:
    """One spelling for one mailbox: ours are ASCII, and case means nothing in any mailbox in use."""
    return email.lower()


async def sign_up(database: Database, wanted: SignUp) -> MailSentView:
    """Create an account and have a verification link sent.

    A known address that was confirmed gets an e-mail that says so. One that was not confirmed yet belongs to
    nobody: the newest sign-up replaces the password and ends what was open, so that nobody can wait inside
    an account for the mailbox's owner to confirm it.

    Raises:
        TooMany: `auth.throttled`: too many e-mails to this address.
        Unavailable: `auth.busy`.
    """
    email = normal_email(wanted.email)
    # Charged before the hash is computed, and hashed whether or not it will be needed.
    await database.transact(lambda tx: _charge_mail(tx, email))
    password_hash = await hash_password(wanted.password)

    async def create(tx: Tx) -> MailSentView:
        created: UserId | None = await tx.con.fetchval(
            SQL["insert_user"], email, password_hash, wanted.display_name, [], None
        )
        if created is None:
            known = await fetch_one(tx.con, SQL["lock_user_by_email"], UserRow, email)
            assert known is not None, "accounts are never deleted"
            if not known.verified:
                await _start_over(tx, known.id, password_hash, wanted.display_name)
            created = known.id
        tx.enqueue(SendVerificationEmail(user=created))
        return MailSentView(email=wanted.email)

    return await database.transact(create)


async def resend_verification(database: Database, wanted: EmailRequest) -> MailSentView:
    """Send another verification link where there is an account that needs one.

    Raises:
        TooMany: `auth.throttled`.
    """
    email = normal_email(wanted.email)

    async def send(tx: Tx) -> MailSentView:
        await _charge_mail(tx, email)
        user = await fetch_one(tx.con, SQL["read_login"], UserRow, email)
        if user is not None and not user.verified:
            tx.enqueue(SendVerificationEmail(user=user.id))
        return MailSentView(email=wanted.email)

    return await database.transact(send)


async def verify_email(tx: Tx, given: VerifyEmail) -> None:
    """Confirm the address behind a link.

    Raises:
        Rejected: `auth.link_invalid`.
    """
    user = await one_time_tokens.use(tx, given.token, "verify_email")
    await tx.con.execute(SQL["confirm_email"], user, tx.now)


async def request_password_reset(database: Database, wanted: EmailRequest) -> MailSentView:
    """Send a reset link where there is an account.

    Raises:
        TooMany: `auth.throttled`.
    """
    email = normal_email(wanted.email)

    async def send(tx: Tx) -> MailSentView:
        await _charge_mail(tx, email)
        user = await fetch_one(tx.con, SQL["read_login"], UserRow, email)
        if user is not None:
            tx.enqueue(SendPasswordResetEmail(user=user.id))
        return MailSentView(email=wanted.email)

    return await database.transact(send)


async def confirm_password_reset(
    database: Database, given: ConfirmPasswordReset, *, origin: Origin
) -> None:
    """Set a new password and end every session; the mailbox is proven, so its address counts as confirmed.

    Raises:
        Rejected: `auth.link_invalid`.
        Unavailable: `auth.busy`.
    """
    password_hash = await hash_password(given.password)

    async def confirm(tx: Tx) -> None:
        user = await one_time_tokens.use(tx, given.token, "reset_password")
        # Older verification links may have been asked for by somebody else.
        await one_time_tokens.void(tx, user, "verify_email")
        await tx.con.execute(SQL["set_password"], user, password_hash, tx.now)
        ended = await sessions.revoke_all(tx, user, "password_reset")
        await record(
            tx,
            MailboxHolder(user_id=user, origin=origin),
            "account.password_reset",
            "account",
            user,
            account=user,
            after={"sessions_ended": ended},
        )
        row = await load_user(tx.con, user)
        await throttling.lift(tx, normal_email(row.email))

    await database.transact(confirm)


async def create_user(
    tx: Tx,
    *,
    email: str,
    password_hash: str,
    display_name: str,
    roles: frozenset[PlatformRole] = frozenset(),
) -> UserId:
    """Create an account whose address counts as confirmed: for the seed command and operators.

    Hash the password before the transaction, with `passwords.hash_password`.

    Raises:
        Conflict: `user.email_taken`.
    """
    user: UserId | None = await tx.con.fetchval(
        SQL["insert_user"], normal_email(email), password_hash, display_name, sorted(roles), tx.now
    )
    if user is None:
        raise Conflict(
            "user.email_taken", f"There is an account for {email} already.", field="$.email"
        )
    return user


async def load_user(con: Connection, user: UserId) -> UserRow:
    """The account of a user that exists."""
    row = await fetch_one(con, SQL["read_user"], UserRow, user)
    assert row is not None, "accounts are never deleted"
    return row


def principal_roles(platform: list[Role], *, verified: bool) -> frozenset[Role]:
    """What a signed-in user is before any object is looked at."""
    roles: set[Role] = {"anyone", "user", *platform}
    if verified:
        roles.add("verified")
    found = frozenset(roles)
    # Nearly everybody has the same: thousands of idle sockets share one set.
    return _SHARED_ROLES.setdefault(found, found)


_SHARED_ROLES: Final[dict[frozenset[Role], frozenset[Role]]] = {}


async def _start_over(tx: Tx, user: UserId, password_hash: str, display_name: str) -> None:
    await tx.con.execute(SQL["replace_unverified_account"], user, password_hash, display_name)
    await one_time_tokens.void(tx, user, "verify_email")
    await sessions.revoke_all(tx, user, "signed_up_again")


async def _charge_mail(tx: Tx, email: str) -> None:
    await throttling.charge(tx, [(throttling.mail_subject(email), throttling.MAIL_LIMIT)])
