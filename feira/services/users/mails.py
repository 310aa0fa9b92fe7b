"""What the users service writes to people. Plain words, one link, nothing that tells whose account it is to others."""

from __future__ import annotations

from html import escape
from typing import Final

from feira.platform.gateways.mail.port import Mail

_IGNORE: Final = "If this was not you, you can ignore this e-mail; nothing changes."


def verification_mail(*, to: str, public_url: str, token: str, key: str) -> Mail:
    return _mail(
        to=to,
        subject="Confirm your e-mail address",
        sentences=(
            "Please confirm that this is your e-mail address. The link is good for 24 hours.",
        ),
        link=f"{public_url}/?verify={token}",
        label="Confirm my address",
        ending="If you did not sign up at Feira, you can ignore this e-mail: leave the link alone.",
        key=key,
    )


def already_registered_mail(*, to: str, public_url: str, key: str) -> Mail:
    """For a sign-up with an address that has an account: only the mailbox learns that it does."""
    return _mail(
        to=to,
        subject="You already have an account",
        sentences=(
            "Somebody, probably you, tried to sign up with this address, which has an account already.",
            "Sign in as usual; if you forgot the password, reset it there.",
        ),
        link=f"{public_url}/",
        label="Sign in",
        ending=_IGNORE,
        key=key,
    )


def password_reset_mail(*, to: str, public_url: str, token: str, key: str) -> Mail:
    return _mail(
        to=to,
        subject="Reset your password",
        sentences=(
            "Choose a new password with this link. It is good for one hour and signs you out everywhere.",
        ),
        link=f"{public_url}/?reset={token}",
        label="Choose a new password",
        ending=_IGNORE,
        key=key,
    )


def _mail(
    *,
    to: str,
    subject: str,
    sentences: tuple[str, ...],
    link: str,
    label: str,
    ending: str,
    key: str,
) -> Mail:
    # No name: it is whatever a stranger typed beside this address.
    lines = ["Hello,", *sentences]
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return Mail(
        to=to,
        subject=subject,
        text="\n\n".join([*lines, link, ending]) + "\n",
        html=f'{paragraphs}<p><a href="{escape(link)}">{escape(label)}</a></p><p>{escape(ending)}</p>',
        idempotency_key=key,
    )
