"""The whole table of a shop's life: every pair that is not listed is refused or changes nothing."""

import itertools
from typing import get_args

import pytest

from feira.platform.domain.errors import Conflict
from feira.platform.domain.shops import (
    SHOP_STATUSES,
    AccountStatus,
    ShopCommand,
    ShopStatus,
    after_account,
    after_command,
    sells,
)

COMMANDS: dict[tuple[ShopStatus, ShopCommand], ShopStatus] = {
    ("applied", "open_account"): "verifying",
    ("verified", "approve"): "approved",
    ("applied", "reject"): "rejected",
    ("verifying", "reject"): "rejected",
    ("verified", "reject"): "rejected",
    ("restricted", "reject"): "rejected",
    ("approved", "suspend"): "suspended",
    ("restricted", "suspend"): "suspended",
    ("suspended", "reinstate"): "approved",
}
ACCOUNTS: dict[tuple[ShopStatus, AccountStatus], ShopStatus] = {
    ("verifying", "verified"): "verified",
    ("restricted", "verified"): "verified",
    ("verifying", "restricted"): "restricted",
    ("verified", "restricted"): "restricted",
    ("approved", "restricted"): "restricted",
}


def test_every_command_leads_where_the_drawing_says_or_nowhere() -> None:
    for status, command in itertools.product(SHOP_STATUSES, get_args(ShopCommand)):
        if (status, command) in COMMANDS:
            assert after_command(status, "verified", command) == COMMANDS[status, command]
            continue
        with pytest.raises(Conflict) as refused:
            after_command(status, "verified", command)
        assert refused.value.code == "shop.wrong_status"
        assert refused.value.details == {"status": status}


def test_every_word_of_the_provider_leads_where_the_drawing_says() -> None:
    for status, account in itertools.product(SHOP_STATUSES, get_args(AccountStatus)):
        assert after_account(status, account) == ACCOUNTS.get((status, account), status)


def test_only_an_admin_opens_a_shop() -> None:
    assert all(not sells(status) for status in ACCOUNTS.values())
    assert [status for status in SHOP_STATUSES if sells(status)] == ["approved"]


@pytest.mark.parametrize("account", ["pending", "restricted"])
def test_a_reinstated_shop_without_a_verified_account_stays_closed(account: AccountStatus) -> None:
    assert after_command("suspended", account, "reinstate") == "restricted"
