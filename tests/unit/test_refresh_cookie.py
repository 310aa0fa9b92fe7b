"""The browser's refresh token."""

import msgspec
import pytest

from feira.http.refresh_cookie import clear_cookie, set_cookie
from feira.platform.runtime.config import Config


@pytest.mark.parametrize(
    ("public_url", "secure"), [("https://feira.example", True), ("http://127.0.0.1:8080", False)]
)
def test_the_cookie_is_secure_wherever_the_market_is_served_over_tls(
    public_url: str,
    secure: bool,  # noqa: FBT001
) -> None:
    config = msgspec.structs.replace(Config(), public_url=public_url)
    for _, header in (set_cookie(config, "token"), clear_cookie(config)):
        assert header.startswith("feira_refresh=")
        assert header.endswith("; Secure") is secure
        assert {"HttpOnly", "SameSite=Strict", "Path=/v1/auth"} <= set(header.split("; "))
        assert "Domain" not in header
