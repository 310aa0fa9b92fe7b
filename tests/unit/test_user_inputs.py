"""What people may write about themselves, decided while decoding."""

import msgspec
import pytest

from feira.http.endpoint import decode_body
from feira.platform.domain.errors import InvalidInput
from feira.services.users.accounts import SignUp
from feira.services.users.addresses import AddressInput
from feira.services.users.profile import UpdateProfile
from feira.services.users.shop_profiles import ApplyForShop, slug_of

SIGN_UP = {"email": "ana@example.com", "password": "correct horse", "display_name": "Ana"}
ADDRESS = {
    "name": "Ana Lima",
    "line1": "Rua Augusta 1",
    "city": "Lisboa",
    "postal_code": "1100-048",
    "country": "PT",
}
SHOP = {"name": "Casa da Ana", "country": "PT", "currency": "EUR"}


@pytest.mark.parametrize(
    ("changes", "kind", "base"),
    [
        ({"email": "no-at-sign"}, SignUp, SIGN_UP),
        ({"email": "ana@example.com\n"}, SignUp, SIGN_UP),
        ({"email": "ana@example.com\nBcc: all@example.com"}, SignUp, SIGN_UP),
        ({"email": "a,b@example.com"}, SignUp, SIGN_UP),
        ({"email": "ana@@example.com"}, SignUp, SIGN_UP),
        ({"email": "ana@example..com"}, SignUp, SIGN_UP),
        ({"email": "á@example.com"}, SignUp, SIGN_UP),
        ({"email": "a" * 65 + "@example.com"}, SignUp, SIGN_UP),
        ({"password": "too short"}, SignUp, SIGN_UP),
        ({"password": "x" * 129}, SignUp, SIGN_UP),
        ({"display_name": ""}, SignUp, SIGN_UP),
        ({"display_name": "   "}, SignUp, SIGN_UP),
        ({"display_name": "x" * 81}, SignUp, SIGN_UP),
        ({"display_name": "two\nlines"}, SignUp, SIGN_UP),
        ({"display_name": "nul\0"}, SignUp, SIGN_UP),
        ({"roles": ["admin"]}, SignUp, SIGN_UP),
        ({"country": "pt"}, AddressInput, ADDRESS),
        ({"country": "PRT"}, AddressInput, ADDRESS),
        ({"line1": ""}, AddressInput, ADDRESS),
        ({"line2": "x" * 121}, AddressInput, ADDRESS),
        ({"city": "Lis\tboa"}, AddressInput, ADDRESS),
        ({"phone": "call me"}, AddressInput, ADDRESS),
        ({"postal_code": "x" * 17}, AddressInput, ADDRESS),
        ({"user_id": "1"}, AddressInput, ADDRESS),
        ({"name": "x"}, ApplyForShop, SHOP),
        ({"slug": "Casa"}, ApplyForShop, SHOP),
        ({"slug": "-casa"}, ApplyForShop, SHOP),
        ({"slug": "casa\n"}, ApplyForShop, SHOP),
        ({"description": "x" * 4001}, ApplyForShop, SHOP),
        ({"currency": "euro"}, ApplyForShop, SHOP),
        ({"status": "approved"}, ApplyForShop, SHOP),
        ({"locale": "english"}, UpdateProfile, {"version": 1}),
        ({"time_zone": "../../etc/passwd"}, UpdateProfile, {"version": 1}),
        ({"roles": ["admin"]}, UpdateProfile, {"version": 1}),
    ],
    ids=repr,
)
def test_what_is_not_in_order_is_refused(
    changes: dict[str, object], kind: type[msgspec.Struct], base: dict[str, object]
) -> None:
    decode_body(msgspec.json.encode(base), kind)
    with pytest.raises(InvalidInput) as refused:
        decode_body(msgspec.json.encode(base | changes), kind)
    # Unknown fields and NUL are refused for the body as a whole.
    assert refused.value.field in {"$", *(f"$.{name}" for name in changes)}


@pytest.mark.parametrize(
    ("changes", "kind", "base"),
    [
        ({"email": "a.b+shop@mail.example.co"}, SignUp, SIGN_UP),
        ({"email": "ana@localhost"}, SignUp, SIGN_UP),
        ({"display_name": "李小龍 🐉"}, SignUp, SIGN_UP),
        ({"password": "日本語のパスワード123"}, SignUp, SIGN_UP),
        ({"phone": "+351 21 000 00 00"}, AddressInput, ADDRESS),
        ({"description": "many\nlines"}, ApplyForShop, SHOP),
        (
            {"locale": "pt-BR", "time_zone": "America/Argentina/Buenos_Aires"},
            UpdateProfile,
            {"version": 1},
        ),
    ],
    ids=repr,
)
def test_what_people_are_really_called_is_taken(
    changes: dict[str, object], kind: type[msgspec.Struct], base: dict[str, object]
) -> None:
    decode_body(msgspec.json.encode(base | changes), kind)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Café Ó Brasil!", "cafe-o-brasil"),
        ("  -- Ana & Rui -- ", "ana-rui"),
        ("李小龍", "shop"),
        ("x" * 80, "x" * 48),
        ("a" * 47 + " b", "a" * 47),
    ],
)
def test_a_slug_is_made_of_what_is_latin_in_a_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug
