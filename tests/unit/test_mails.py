import re
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import msgspec
import pytest

from feira.platform.domain.errors import InvalidInput, Unavailable
from feira.platform.gateways.mail.console import ConsoleMailSender
from feira.platform.gateways.mail.port import Mail
from feira.services.notifications.mails import (
    order_moved_mail,
    order_paid_mail,
    order_received_mail,
    order_shipped_mail,
    password_reset_mail,
    unread_messages_mail,
    verification_mail,
)

LINK = "https://feira.example/verify-email?token=abc&x=1"
HOSTILE = 'Ann <script>alert("1")</script>\r\nBcc: all@example.com $link'


def every_mail(name: str) -> list[Mail]:
    return [
        verification_mail("a@b.example", name, LINK, "k1"),
        password_reset_mail("a@b.example", name, LINK, "k2"),
        order_paid_mail(
            "a@b.example",
            name,
            shop_name=name,
            number=1001,
            total_minor=1999,
            currency="EUR",
            link=LINK,
            idempotency_key="k3",
        ),
        order_received_mail(
            "a@b.example",
            name,
            shop_name=name,
            buyer_name=name,
            number=1001,
            total_minor=1999,
            currency="EUR",
            link=LINK,
            idempotency_key="k4",
        ),
        order_shipped_mail(
            "a@b.example",
            name,
            shop_name=name,
            number=1001,
            carrier=name,
            tracking_number=name,
            link=LINK,
            idempotency_key="k5",
        ),
        order_moved_mail(
            "a@b.example", name, text=name, reason=name, link=LINK, idempotency_key="k7"
        ),
        unread_messages_mail(
            "a@b.example", name, sender_name=name, count=2, link=LINK, idempotency_key="k6"
        ),
    ]


def test_every_mail_says_who_and_where_in_text_and_html() -> None:
    for mail in every_mail("Ann"):
        assert "Hello Ann," in mail.text
        assert LINK in mail.text
        assert "Hello Ann," in mail.html
        assert "token=abc&amp;x=1" in mail.html
        assert "$" not in mail.subject + mail.text + mail.html


def test_names_from_people_are_escaped_and_stay_on_one_line() -> None:
    for mail in every_mail(HOSTILE):
        assert "<script" not in mail.html
        assert "&lt;script&gt;" in mail.html
        assert "\n" not in mail.subject
        assert not re.search(r"^Bcc:", mail.text, re.MULTILINE)
        # A value is not a template.
        assert "$link" in mail.text


async def test_a_mail_is_one_file_however_often_it_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = ConsoleMailSender(tmp_path / "mail", "Feira <no-reply@feira.example>")
    first = verification_mail("ann@b.example", "Änn", LINK, "verify:1")
    await sender.send(first)
    await sender.send(msgspec.structs.replace(first, subject="Once more"))
    (file,) = (tmp_path / "mail").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    message = message_from_bytes(file.read_bytes(), policy=default)
    assert message["To"] == "ann@b.example"
    assert message["Subject"] == "Once more"
    text = message.get_body(("plain",))
    assert text is not None
    assert LINK in text.get_content()
    assert "Hello Änn" in text.get_content()
    html = message.get_body(("html",))
    assert html is not None
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert str(file) in lines[0]
    assert "token" not in lines[0]


async def test_a_line_break_in_a_header_is_refused(tmp_path: Path) -> None:
    sender = ConsoleMailSender(tmp_path, "Feira <no-reply@feira.example>")
    mail = Mail(to="a@b.example", subject="Hi\nBcc: x@y", text="", html="", idempotency_key="k")
    with pytest.raises(InvalidInput, match=r"mail\.bad_header"):
        await sender.send(mail)
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_written_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("in the way")
    sender = ConsoleMailSender(tmp_path / "mail", "Feira <no-reply@feira.example>")
    with pytest.raises(Unavailable, match=r"mail\.unavailable"):
        await sender.send(verification_mail("a@b.example", "Ann", LINK, "k"))
