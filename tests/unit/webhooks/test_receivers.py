"""Which receivers may be named, where a connection may go, and what becomes of tries."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.webhook_urls import receiver_url
from feira.platform.domain.webhooks import RETRY_S, is_delivered, rest_s, retry_in_s
from feira.platform.gateways.webhooks.addresses import is_allowed, is_public
from feira.platform.gateways.webhooks.line import retry_after_s

SPELLED = {
    "https://example.com": "https://example.com/",
    "HTTPS://Example.COM:443/Hooks?a=B": "https://example.com/Hooks?a=B",
    "https://hooks.example.com:8443/x": "https://hooks.example.com:8443/x",
    "https://xn--mnchen-3ya.example/": "https://xn--mnchen-3ya.example/",
    "https://a-b.c-d.example/%7Euser;v=1": "https://a-b.c-d.example/%7Euser;v=1",
}
BAD = [
    "",
    "example.com/hooks",
    "//example.com/hooks",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https:///hooks",
    "https:example.com",
    "https://",
    "https://example.com:80/",
    "https://example.com:22/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:-1/",
    "https://example.com:x/",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@169.254.169.254/",
    "https://169.254.169.254\\@example.com/",
    "https://example.com/#fragment",
    "https://example.com/#",
    "https://example.com/a b",
    " https://example.com/",
    "https://example.com/\r\nHost: internal",
    "https://example.com/\x00",
    "https://exam\tple.com/",
    "https://münchen.example/",
    "https://example.com/ü",
    "https://\uff45xample.com/",
    "https://example\u3002com/",
    "https://example.com./",
    "https://.example.com/",
    "https://exa..mple.com/",
    "https://-a.example/",
    "https://a_b.example/",
    "https://%65xample.com/",
    "https://example/",
    "https://localhost/",
    "https://api.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://router.home.arpa/",
    "https://8.8.8.8/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://example.0x7f/",
    "https://example.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[2001:db8::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1/",
    "https://" + "a" * 64 + ".example/",
    "https://" + ".".join(["a" * 60] * 5) + "/",
    "https://example.com/" + "a" * 2000,
]


@pytest.mark.parametrize(("given", "spelled"), SPELLED.items())
def test_a_receiver_has_one_spelling(given: str, spelled: str) -> None:
    assert receiver_url(given, to_loopback=False) == spelled
    assert receiver_url(spelled, to_loopback=False) == spelled


@pytest.mark.parametrize("given", BAD)
def test_what_is_no_receiver_is_refused_with_a_sentence(given: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        receiver_url(given, to_loopback=False)
    assert (refused.value.code, refused.value.field) == ("webhook.bad_url", "$.url")


@pytest.mark.parametrize(
    "given", ["http://127.0.0.1:8099/x", "http://localhost:8099/", "https://[::1]:9443/x"]
)
def test_receivers_on_this_machine_are_for_development(given: str) -> None:
    assert receiver_url(given, to_loopback=True) == given
    with pytest.raises(InvalidInput):
        receiver_url(given, to_loopback=False)


@pytest.mark.parametrize(
    "given",
    [
        "http://example.com/",
        "https://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://127.0.0.1:0/",
        "ftp://127.0.0.1/",
        "https://db.internal/",
        "http://user@127.0.0.1/",
    ],
)
def test_development_opens_this_machine_and_nothing_else(given: str) -> None:
    with pytest.raises(InvalidInput):
        receiver_url(given, to_loopback=True)


NOT_PUBLIC = [
    *(
        "0.0.0.0",  # noqa: S104 - not bound
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
    ),
    *("172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::"),
    *("3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1"),
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_development_adds_loopback_and_no_other_address() -> None:
    allowed = {
        address
        for address in NOT_PUBLIC
        if is_allowed(ipaddress.ip_address(address), to_loopback=True)
    }
    assert allowed == {"127.0.0.1", "127.255.255.254", "::1"}


def test_a_delivery_is_tried_ten_times_within_the_days_that_the_specification_suggests() -> None:
    waits = [retry_in_s(tries, 0) for tries in range(1, 11)]
    assert waits == [*RETRY_S, None]
    assert sum(RETRY_S) == 75 * 3600 + 35 * 60 + 5


def test_chance_adds_up_to_a_fifth_to_a_wait() -> None:
    assert retry_in_s(2, 0.5) == pytest.approx(330)
    assert retry_in_s(2, 0.999) < 360  # pyright: ignore[reportOptionalOperand]


def test_a_receiver_may_ask_for_more_time_but_not_for_more_than_a_day() -> None:
    assert retry_in_s(1, 0, asked_s=100) == 100
    assert retry_in_s(3, 0, asked_s=100) == RETRY_S[2]
    assert retry_in_s(1, 0, asked_s=10**9) == 86_400


def test_single_bad_answers_do_not_rest_an_endpoint_but_silence_does() -> None:
    assert [rest_s(n, 500) for n in (1, 2, 3, 4)] == [0, 0, 5, 10]
    assert [rest_s(n, None) for n in (1, 2, 3)] == [5, 10, 20]
    assert [rest_s(n, 429) for n in (1, 2)] == [5, 10]
    assert rest_s(1000, None) == rest_s(1000, 404) == 300


def test_an_overloaded_receiver_is_let_alone_for_as_long_as_it_asks_within_an_hour() -> None:
    assert rest_s(1, 429, asked_s=60) == 60
    assert rest_s(1, 503, asked_s=10**6) == 3600
    assert rest_s(1, 500, asked_s=60) == 0


def test_only_2xx_is_success() -> None:
    assert [s for s in (100, 199, 200, 204, 299, 300, 301, 404, 410, 500) if is_delivered(s)] == [
        200,
        204,
        299,
    ]
    assert not is_delivered(None)


NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("²", 0),
        ("9" * 400, 999_999_999),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 12:01:30 -0000", 90),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds
