"""What every request meets, whatever its route: problems, limits, headers, CORS, ids, deadlines, health."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import structlog
from aiohttp import ClientResponse, ClientSession, web

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.http.health import Readiness, store_probes
from feira.http.runner import build_runner
from feira.http.server import build_http_app
from feira.platform.domain.errors import Conflict, TooMany
from feira.platform.runtime.config import Config
from feira.services.market import Market

BODY_BYTES_MAX = 2048
OURS, FOREIGN = "https://shop.example", "https://evil.example"


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: int = 10


@endpoint("POST", "/v1/notes", service="users", summary="Echo.", signed_in=False)
async def echo(call: Call, body: Note) -> Note:
    assert call
    return body


@endpoint("GET", "/v1/notes/{number}", service="users", summary="Read.", signed_in=False)
async def read(call: Call, number: int, query: Filter) -> Note:
    assert call
    return Note(text=f"{number}/{query.limit}")


@endpoint("POST", "/v1/hooks", service="users", summary="Raw bytes.", signed_in=False)
async def hook(call: Call) -> Note:
    return Note(text=str(len(call.raw_body)))


@endpoint("GET", "/v1/bug", service="users", summary="A bug.", signed_in=False)
async def bug(call: Call) -> None:
    assert call
    secret = "hunter2"
    raise RuntimeError(f"the password is {secret}")


@endpoint("GET", "/v1/slow", service="users", summary="Too slow.", signed_in=False)
async def slow(call: Call) -> None:
    assert call
    await asyncio.Event().wait()


@endpoint("GET", "/v1/timeout", service="users", summary="A time-out inside.", signed_in=False)
async def inner_timeout(call: Call) -> None:
    assert call
    raise TimeoutError


@endpoint("GET", "/v1/busy", service="users", summary="Throttled.", signed_in=False)
async def busy(call: Call) -> None:
    assert call
    raise TooMany("login.throttled", "Too many tries.", retry_after_s=7.5)


@endpoint("GET", "/v1/stale", service="users", summary="Moved on.", signed_in=False)
async def stale(call: Call) -> None:
    assert call
    raise Conflict("order.stale", "It moved on.", field="$.version", details={"version": 3})


@endpoint("GET", "/v1/private", service="users", summary="For the signed-in.")
async def private(call: Call) -> None:
    assert call


@endpoint("GET", "/v1/elsewhere", service="payments", summary="Another node's.", signed_in=False)
async def elsewhere(call: Call) -> None:
    assert call


async def broken_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise RuntimeError("the other half is lost")


async def moved(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/v1/notes/1")


ENDPOINTS = (echo, read, hook, bug, slow, inner_timeout, busy, stale, private, elsewhere)
EXTRA = (web.get("/extra/broken", broken_stream), web.get("/extra/moved", moved))


@pytest.fixture
def edge_config(config: Config) -> Config:
    return msgspec.structs.replace(
        config,
        services=("users",),
        request_body_bytes_max=BODY_BYTES_MAX,
        cors_origins=(OURS,),
    )


@pytest.fixture
async def readiness(edge_config: Config) -> Readiness:
    return Readiness(store_probes(edge_config))


@pytest.fixture
async def address(edge_config: Config, readiness: Readiness) -> AsyncIterator[tuple[str, int]]:
    """A real server on a real port; its market has settings alone, which is all that the edge asks of it."""
    market = cast("Market", SimpleNamespace(config=edge_config))
    app = build_http_app(
        market,
        cast("Any", None),
        readiness=readiness,
        extra_routes=EXTRA,
        endpoints=ENDPOINTS,
        deadline_s=0.5,
    )
    runner = build_runner(app, shutdown_timeout_s=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield cast("tuple[str, int]", runner.addresses[0])
    await runner.cleanup()


@pytest.fixture
async def client(address: tuple[str, int]) -> AsyncIterator[ClientSession]:
    async with ClientSession(f"http://{address[0]}:{address[1]}") as session:
        yield session


async def problem_of(answer: ClientResponse, status: int, code: str) -> dict[str, Any]:
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/problem+json"
    problem: dict[str, Any] = await answer.json(content_type=None)
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    return problem


async def raw(address: tuple[str, int], request: bytes) -> tuple[int, bytes]:
    """Send bytes as they are; the status and the body of the answer."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    await writer.drain()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


# Typed requests


async def test_a_body_is_decoded_and_the_answer_encoded(client: ClientSession) -> None:
    answer = await client.post("/v1/notes", json={"text": "olá"})
    assert answer.status == 200
    assert await answer.json() == {"text": "olá"}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "request.malformed_json", "$"),
        (b"{", "request.malformed_json", "$"),
        (b'{"text": "\xff"}', "request.malformed_json", "$"),
        (b'{"text": "\\ud800"}', "request.malformed_json", "$"),
        (b"[" * 2000, "request.invalid", "$"),
        (b'{"text": 1}', "request.invalid", "$.text"),
        (b'{"text": "a", "extra": 1}', "request.invalid", "$"),
        (b'{"text": "nul \\u0000"}', "request.invalid", "$"),
    ],
)
async def test_a_wrong_body_names_what_is_wrong(
    client: ClientSession, body: bytes, code: str, field: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/notes", data=body, headers=headers)
    problem = await problem_of(answer, 400, code)
    assert problem["field"] == field


async def test_a_backslash_before_u0000_is_only_a_backslash(client: ClientSession) -> None:
    answer = await client.post("/v1/notes", json={"text": "\\u0000"})
    assert await answer.json() == {"text": "\\u0000"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_json_is_refused(client: ClientSession, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await client.post("/v1/notes", data=b'{"text":"a"}', headers=headers)
    await problem_of(answer, 415, "request.not_json")


async def test_json_in_another_character_set_is_refused(client: ClientSession) -> None:
    headers = {"Content-Type": "application/json; charset=utf-16"}
    answer = await client.post("/v1/notes", data=b'{"text":"a"}', headers=headers)
    await problem_of(answer, 400, "request.not_utf8")


async def test_a_raw_endpoint_takes_any_bytes(client: ClientSession) -> None:
    answer = await client.post("/v1/hooks", data=b"\x00\xff\x01")
    assert await answer.json() == {"text": "3"}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/notes/seven", "path.number"),
        ("/v1/notes/1?limit=many", "$.limit"),
        ("/v1/notes/1?limit=1&limit=2", "$.limit"),
        ("/v1/notes/1?colour=red", "$"),
        ("/v1/notes/%ff", "path.number"),
        ("/v1/notes/%00", "path.number"),
    ],
)
async def test_a_wrong_address_names_its_wrong_part(
    client: ClientSession, path: str, field: str
) -> None:
    problem = await problem_of(await client.get(path), 400, "request.invalid")
    assert problem["field"] == field


# Limits


async def test_a_body_over_the_limit_is_refused_by_its_length(client: ClientSession) -> None:
    answer = await client.post("/v1/hooks", data=b"x" * (BODY_BYTES_MAX + 1))
    problem = await problem_of(answer, 413, "request.too_large")
    assert "2,048" in problem["detail"]


async def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(
    client: ClientSession,
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 512

    await problem_of(await client.post("/v1/hooks", data=chunks()), 413, "request.too_large")


async def test_a_compressed_body_counts_by_what_it_unpacks_to(client: ClientSession) -> None:
    bomb = gzip.compress(b"x" * 1_000_000)
    assert len(bomb) < BODY_BYTES_MAX
    headers = {"Content-Encoding": "gzip"}
    answer = await client.post("/v1/hooks", data=bomb, headers=headers)
    await problem_of(answer, 413, "request.too_large")


async def test_a_body_that_is_not_what_its_encoding_says_is_a_problem(
    client: ClientSession,
) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = await client.post("/v1/hooks", data=b"not gzip at all", headers=headers)
    await problem_of(answer, 400, "request.malformed_body")


async def test_a_handler_that_never_ends_is_answered_at_the_deadline(
    client: ClientSession,
) -> None:
    answer = await client.get("/v1/slow")
    problem = await problem_of(answer, 503, "request.timed_out")
    assert problem["retryable"] is True
    assert answer.headers["Retry-After"] == "2"


# Errors


async def test_an_expected_error_carries_field_details_and_wait(client: ClientSession) -> None:
    problem = await problem_of(await client.get("/v1/stale"), 409, "order.stale")
    assert (problem["field"], problem["details"]) == ("$.version", {"version": 3})
    answer = await client.get("/v1/busy")
    await problem_of(answer, 429, "login.throttled")
    assert answer.headers["Retry-After"] == "8"


@pytest.mark.parametrize("path", ["/v1/bug", "/v1/timeout"])
async def test_a_bug_is_logged_with_its_traceback_and_tells_the_client_nothing(
    client: ClientSession, path: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await client.get(path)
        await problem_of(answer, 500, "server.error")
    assert "hunter2" not in await answer.text()
    failed = [line for line in logs if line["event"] == "http.failed"]
    assert [line["log_level"] for line in failed] == ["error"]
    assert failed[0]["exc_info"] is not None


async def test_an_unknown_address_is_a_problem(client: ClientSession) -> None:
    await problem_of(await client.get("/v1/nothing"), 404, "route.not_found")


async def test_a_wrong_method_is_a_problem_that_says_which_are_right(client: ClientSession) -> None:
    answer = await client.delete("/v1/notes")
    await problem_of(answer, 405, "route.method_not_allowed")
    assert answer.headers["Allow"] == "POST"


async def test_a_service_that_this_node_does_not_serve_says_so(client: ClientSession) -> None:
    await problem_of(await client.get("/v1/elsewhere"), 404, "route.not_served_here")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "auth.required"),
        ("Basic Zm9vOmJhcg==", "auth.token_invalid"),
        ("Bearer", "auth.token_invalid"),
        ("Bearer \u00ff", "auth.token_invalid"),
    ],
)
async def test_a_missing_or_malformed_token_is_a_401(
    client: ClientSession, header: str | None, code: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await client.get("/v1/private", headers=headers)
    await problem_of(answer, 401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_answer_that_breaks_half_way_ends_the_connection(
    client: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    with structlog.testing.capture_logs(), pytest.raises(Exception, match=r"(?i)payload|closed"):
        await (await client.get("/extra/broken")).read()


async def test_a_redirect_passes_through(client: ClientSession) -> None:
    answer = await client.get("/extra/moved", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/v1/notes/1")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/notes/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/hooks HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["no-http", "bad-header", "long-line", "bare-bytes", "bad-length"],
)
async def test_bytes_that_are_no_request_get_a_problem_and_no_traceback(
    address: tuple[str, int], request_bytes: bytes
) -> None:
    with structlog.testing.capture_logs() as logs:
        status, body = await raw(address, request_bytes)
    assert status == 400
    assert msgspec.json.decode(body, type=dict[str, object])["code"] in {
        "request.malformed_http",
        "request.invalid",
    }
    assert [line for line in logs if line["log_level"] == "error"] == []


# Headers


async def test_every_answer_carries_security_headers_and_an_id(client: ClientSession) -> None:
    for path in ("/", "/v1/notes/1", "/v1/nothing", "/livez", "/openapi.json"):
        headers = (await client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-inline" not in headers["Content-Security-Policy"]
        assert len(headers["X-Request-ID"]) == 24


async def test_a_sane_request_id_is_kept_and_another_replaced(client: ClientSession) -> None:
    for given, kept in (
        ("trace-0001.a:b", True),
        ("short", False),
        ("x" * 65, False),
        ("a b c d e", False),
    ):
        answer = await client.get("/livez", headers={"X-Request-ID": given})
        assert (answer.headers["X-Request-ID"] == given) is kept


async def test_a_listed_origin_may_call_and_another_may_not(client: ClientSession) -> None:
    listed = await client.get("/v1/notes/1", headers={"Origin": OURS})
    assert listed.headers["Access-Control-Allow-Origin"] == OURS
    assert "Origin" in listed.headers["Vary"]
    foreign = await client.get("/v1/notes/1", headers={"Origin": FOREIGN})
    assert "Access-Control-Allow-Origin" not in foreign.headers


async def test_a_preflight_is_answered_for_listed_origins_alone(client: ClientSession) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    listed = await client.options("/v1/notes", headers={"Origin": OURS, **asked})
    assert listed.status == 204
    assert listed.headers["Access-Control-Allow-Origin"] == OURS
    assert "Idempotency-Key" in listed.headers["Access-Control-Allow-Headers"]
    foreign = await client.options("/v1/notes", headers={"Origin": FOREIGN, **asked})
    assert "Access-Control-Allow-Methods" not in foreign.headers


async def test_options_without_an_origin_lists_the_methods(client: ClientSession) -> None:
    answer = await client.options("/v1/notes/1")
    assert answer.status == 204
    assert answer.headers["Allow"] == "GET,HEAD"


async def test_head_answers_like_get_without_a_body(client: ClientSession) -> None:
    answer = await client.head("/v1/notes/1")
    assert answer.status == 200
    assert await answer.read() == b""


# Logs and metrics


async def test_a_request_is_logged_by_its_template_without_its_query(client: ClientSession) -> None:
    with structlog.testing.capture_logs() as logs:
        await client.get("/v1/notes/1?limit=5")
    (line,) = [line for line in logs if line["event"] == "http.request"]
    assert line["route"] == "/v1/notes/{number}"
    assert line["status"] == 200
    assert line["duration_ms"] >= 0
    assert "limit" not in str(line)


async def test_metrics_count_by_route_template_and_unknown_paths_as_one(
    client: ClientSession,
) -> None:
    await client.get("/v1/notes/77")
    await client.get("/v1/nothing/88")
    await client.request("PROPFIND", "/v1/notes/77")
    text = await (await client.get("/metrics")).text()
    assert 'feira_http_requests_total{method="GET",route="/v1/notes/{number}",status="200"}' in text
    assert 'route="unmatched"' in text
    assert 'method="other"' in text
    assert "/77" not in text
    assert "/88" not in text


# Health


async def test_a_live_node_with_its_stores_is_ready(client: ClientSession) -> None:
    assert (await client.get("/livez")).status == 200
    answer = await client.get("/readyz")
    assert answer.status == 200, await answer.text()
    assert await answer.json() == {"status": "ready", "failed": {}}


async def test_a_draining_node_is_live_but_not_ready(
    client: ClientSession, readiness: Readiness
) -> None:
    readiness.drain()
    answer = await client.get("/readyz")
    assert (answer.status, (await answer.json())["status"]) == (503, "draining")
    assert (await client.get("/livez")).status == 200


async def test_a_store_that_is_away_is_named_without_its_address(config: Config) -> None:
    away = msgspec.structs.replace(
        config,
        postgres_dsn="postgresql://feira:hunter2@127.0.0.1:1/feira",
        redis_url="redis://127.0.0.1:1/0",
    )
    with structlog.testing.capture_logs():
        verdict = await Readiness(store_probes(away)).check()
    assert verdict.status == "unready"
    assert set(verdict.failed) == {"postgres", "redis"}
    assert "127.0.0.1" not in str(verdict.failed)


async def test_a_node_without_redis_is_degraded_and_still_takes_requests(config: Config) -> None:
    away = msgspec.structs.replace(config, redis_url="redis://127.0.0.1:1/0")
    with structlog.testing.capture_logs():
        verdict = await Readiness(store_probes(away)).check()
    assert (verdict.status, set(verdict.failed)) == ("degraded", {"redis"})


async def test_the_stores_are_asked_once_however_many_ask_at_the_same_time() -> None:
    asked = 0

    async def probe() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)

    readiness = Readiness({"store": probe})
    verdicts = await asyncio.gather(*(readiness.check() for _ in range(50)))
    assert asked == 1
    assert {verdict.status for verdict in verdicts} == {"ready"}


async def test_version_names_the_release_and_the_services(client: ClientSession) -> None:
    answer = await (await client.get("/version")).json()
    assert answer["services"] == ["users"]
    assert answer["version"]
