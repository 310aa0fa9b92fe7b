"""Outgoing webhooks: when a delivery is tried again, when a receiver gets a rest, and when it is given up.

    pending -> delivered   a 2xx answer
       |-> failed          tries used up, or its endpoint was disabled or deleted
    failed, delivered -> pending   somebody asked for it again

Each delivery has its own schedule. A receiver that fails again and again gets a rest as a whole, so that it is asked
less often and holds nobody up; one success ends it.
"""

from __future__ import annotations

from typing import Final, Literal

DeliveryState = Literal["pending", "delivered", "failed"]
DisabledReason = Literal["asked", "gone", "failing"]
"""Its owner asked; the receiver answered 410; or nothing got through for days."""

ENDPOINTS_MAX: Final = 20
"""Of a shop, and of the market."""

# As the Standard Webhooks specification suggests: ten tries within a bit more than three days.
RETRY_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
RETRY_AFTER_MAX_S: Final = 86_400
FAILING_MAX_S: Final = 5 * 86_400
"""An endpoint to which nothing got through for so long is disabled."""

FAILURES_BEFORE_REST: Final = 3
_REST_FIRST_S: Final = 5
_REST_MAX_S: Final = 300
REST_ASKED_MAX_S: Final = 3_600

_OK: Final = range(200, 300)
GONE: Final = 410
_BUSY: Final = frozenset({429, 502, 503, 504})


def is_delivered(status: int | None) -> bool:
    return status in _OK


def retry_in_s(tries: int, jitter: float, *, asked_s: float = 0) -> float | None:
    """Seconds from failed try 1, 2, 3 ... to the next; None after the last.

    `jitter` in [0, 1) adds up to a fifth; the receiver may have asked for more time, at most a day.
    """
    assert tries >= 1, "tries count from one"
    assert 0 <= jitter < 1, "jitter is a share"
    if tries > len(RETRY_S):
        return None
    return max(RETRY_S[tries - 1] * (1 + jitter / 5), min(asked_s, RETRY_AFTER_MAX_S))


def rest_s(failures: int, status: int | None, *, asked_s: float = 0) -> float:
    """Seconds in which nothing is sent to an endpoint that failed so many times in a row; 0: it goes on.

    One bad answer may be the one message's fault. No answer, or one that says the receiver is overloaded, is the
    receiver's: the rest begins at once.
    """
    assert failures >= 1, "it failed"
    is_away = status is None or status in _BUSY
    counted = failures if is_away else failures - FAILURES_BEFORE_REST + 1
    rest = min(_REST_MAX_S, _REST_FIRST_S * 2 ** min(counted - 1, 10)) if counted >= 1 else 0
    return max(rest, min(asked_s, REST_ASKED_MAX_S) if is_away else 0)


def families(kind: str) -> tuple[str, str, str]:
    """What an endpoint may ask for in order to hear of a type of event: `order.paid`, `order.*` or `*`."""
    return kind, f"{kind.partition('.')[0]}.*", "*"
