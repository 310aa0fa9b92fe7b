"""Errors as application/problem+json."""

import msgspec
import pytest
from aiohttp import web

from feira.http import problem
from feira.platform.domain.errors import (
    Conflict,
    FeiraError,
    NotSignedIn,
    Rejected,
    TooMany,
    Unavailable,
)

ID = "request-1"


def _decoded(answer: web.Response) -> dict[str, object]:
    assert isinstance(answer.body, bytes)
    return msgspec.json.decode(answer.body, type=dict[str, object])


def test_an_expected_failure_keeps_its_code_sentence_field_and_details() -> None:
    error = Rejected(
        "stock.insufficient", "Only 2 are left.", field="$.lines[0].quantity", details={"left": 2}
    )
    answer = problem.to_response(problem.of_feira_error(error, ID))
    assert answer.status == 422
    assert answer.content_type == "application/problem+json"
    assert _decoded(answer) == {
        "type": "urn:feira:problem:stock.insufficient",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "Only 2 are left.",
        "code": "stock.insufficient",
        "request_id": ID,
        "retryable": False,
        "field": "$.lines[0].quantity",
        "details": {"left": 2},
    }


def test_a_part_of_a_second_to_wait_is_rounded_up_in_retry_after() -> None:
    error = TooMany("login.throttled", "Too many tries.", retry_after_s=1.2)
    answer = problem.to_response(problem.of_feira_error(error, ID))
    assert answer.headers["Retry-After"] == "2"
    assert _decoded(answer)["retry_after_s"] == 1.2


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (Unavailable("database.unavailable", "Away."), True),
        (Conflict("idempotency.in_flight", "Running.", retry_after_s=1), True),
        (Conflict("order.stale", "It moved on."), False),
    ],
)
def test_an_error_is_retryable_by_its_kind_or_when_it_says_when(
    *, error: FeiraError, retryable: bool
) -> None:
    assert problem.of_feira_error(error, ID).retryable is retryable


@pytest.mark.parametrize(
    ("code", "challenge"),
    [("auth.required", "Bearer"), ("auth.token_expired", 'Bearer error="invalid_token"')],
)
def test_a_401_names_the_scheme_and_says_whether_a_token_was_bad(code: str, challenge: str) -> None:
    answer = problem.to_response(problem.of_feira_error(NotSignedIn(code, "Sign in."), ID))
    assert answer.headers["WWW-Authenticate"] == challenge


def test_an_unknown_address_is_a_problem_with_a_code() -> None:
    described = problem.of_http_exception(web.HTTPNotFound(), ID)
    assert (described.status, described.code) == (404, "route.not_found")


def test_an_unexpected_error_tells_nothing_but_its_request_id() -> None:
    described = problem.of_unexpected_error(ID)
    assert described.code == "server.error"
    assert described.request_id == ID
    assert described.details == {}
