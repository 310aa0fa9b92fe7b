"""The one error tree.

    FeiraError
    ├── InvalidInput      400  the request itself is wrong; `field` names the part
    ├── NotSignedIn       401
    ├── NotAllowed        403
    ├── NotFound          404  also for objects the caller may not know of
    ├── Conflict          409  the state moved on; `details` may carry the current one
    ├── TooLarge          413
    ├── Rejected          422  well-formed, but a rule says no
    ├── TooMany           429  `retry_after_s` says when
    └── Unavailable       503  nothing is known to be wrong with the request; try again

Each error has a stable `code` (dotted, for programs) and a sentence that says what to do (for people).
Edges map `status` once; nothing else interprets it.
"""

from __future__ import annotations

from typing import ClassVar


class FeiraError(Exception):
    """An expected failure with a stable code; bugs are `AssertionError` and friends, never this."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s
        self.details = details or {}


class InvalidInput(FeiraError):
    """The request is malformed; `field` is a JSON path such as `$.lines[0].quantity`."""

    status = 400


class NotSignedIn(FeiraError):
    """No valid access token came with the request."""

    status = 401


class NotAllowed(FeiraError):
    """The caller is known and may not do this."""

    status = 403


class NotFound(FeiraError):
    """There is no such object, or the caller may not learn that there is."""

    status = 404


class Conflict(FeiraError):
    """The object is in a state in which this cannot be done; `details` may carry that state."""

    status = 409


class TooLarge(FeiraError):
    """The body is over the limit that `message` names."""

    status = 413


class Rejected(FeiraError):
    """The request is well-formed, but a rule of the market forbids it."""

    status = 422


class TooMany(FeiraError):
    """Too many tries; `retry_after_s` says when the next one counts."""

    status = 429
    retryable = True


class Unavailable(FeiraError):
    """Something this needs is away, or the outcome is unknown; repeating with the same key is safe."""

    status = 503
    retryable = True
