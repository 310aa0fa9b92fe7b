"""The life of a shop, decided in one pure place.

    applied    --open_account--> verifying
    verifying  --account verified--> verified      --account restricted--> restricted
    verified   --approve--> approved               --account restricted--> restricted
    approved   --suspend--> suspended              --account restricted--> restricted
    restricted --suspend--> suspended              --account verified--> verified
    suspended  --reinstate--> approved, or restricted while the account is not in order
    applied, verifying, verified, restricted --reject--> rejected

The provider's KYC decision speaks through `after_account`, admins and the account job through
`after_command`. A shop that the provider restricted is looked at by an admin again before it sells.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from feira.platform.domain.errors import Conflict

ShopStatus = Literal[
    "applied", "verifying", "verified", "approved", "restricted", "suspended", "rejected"
]
AccountStatus = Literal["pending", "verified", "restricted"]
ShopCommand = Literal["open_account", "approve", "reject", "suspend", "reinstate"]

SHOP_STATUSES: Final[tuple[ShopStatus, ...]] = get_args(ShopStatus)

# A reinstated shop whose account is not in order goes to `restricted` instead: see after_command.
_COMMANDS: Final[dict[tuple[ShopStatus, ShopCommand], ShopStatus]] = {
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

_ACCOUNT: Final[dict[tuple[ShopStatus, AccountStatus], ShopStatus]] = {
    ("verifying", "verified"): "verified",
    ("restricted", "verified"): "verified",
    ("verifying", "restricted"): "restricted",
    ("verified", "restricted"): "restricted",
    ("approved", "restricted"): "restricted",
}


def after_command(status: ShopStatus, account: AccountStatus, command: ShopCommand) -> ShopStatus:
    """Return the status that `command` leads to.

    Raises:
        Conflict: `shop.wrong_status`, with the current one in `details`.
    """
    following = _COMMANDS.get((status, command))
    if following is None:
        allowed = sorted(known for known, what in _COMMANDS if what == command)
        raise Conflict(
            "shop.wrong_status",
            f"A shop that is {status} cannot be changed this way ({command}); "
            f"it has to be {' or '.join(allowed)}.",
            details={"status": status},
        )
    if command == "reinstate" and account != "verified":
        return "restricted"
    return following


def after_account(status: ShopStatus, account: AccountStatus) -> ShopStatus:
    """Return the status once the provider says `account`; unchanged where that decides nothing."""
    return _ACCOUNT.get((status, account), status)


def sells(status: ShopStatus) -> bool:
    """Whether the public sees the shop and can buy there."""
    return status == "approved"
