"""Turns a template and its values into a mail.

`templates/{name}.txt` is the subject, an empty line, and the text; `{name}.html` goes into `layout.html`.
Values come from people: each is put on one line, and escaped in HTML. A missing or unknown value is a bug.
"""

from __future__ import annotations

import html
from functools import cache
from importlib import resources
from string import Template
from typing import Final, Literal

import msgspec

from feira.platform.gateways.mail.port import Mail

TemplateName = Literal[
    "verification",
    "password_reset",
    "order_paid",
    "order_received",
    "order_shipped",
    "order_moved",
    "unread_messages",
]
SUBJECT_CHARS_MAX: Final = 150
_FOOTER: Final = "You get this mail because you have an account at Feira."


class _Loaded(msgspec.Struct, frozen=True, kw_only=True):
    subject: Template
    text: Template
    html: Template


def render(template_name: TemplateName, /, *, to: str, idempotency_key: str, **values: str) -> Mail:
    """Fill a template in."""
    template = _load(template_name)
    lines = {key: " ".join(value.split()) for key, value in values.items()}
    escaped = {key: html.escape(value) for key, value in lines.items()}
    subject = template.subject.substitute(lines)[:SUBJECT_CHARS_MAX]
    return Mail(
        to=to,
        subject=subject,
        text=template.text.substitute(lines),
        html=_layout().substitute(
            subject=html.escape(subject),
            content=template.html.substitute(escaped),
            footer=_FOOTER,
        ),
        idempotency_key=idempotency_key,
    )


@cache
def _load(name: TemplateName) -> _Loaded:
    subject, _, text = _read(f"{name}.txt").partition("\n\n")
    return _Loaded(
        subject=Template(subject), text=Template(text), html=Template(_read(f"{name}.html"))
    )


@cache
def _layout() -> Template:
    return Template(_read("layout.html"))


def _read(file: str) -> str:
    folder = resources.files("feira.services.notifications") / "templates"
    return (folder / file).read_text(encoding="utf-8")
